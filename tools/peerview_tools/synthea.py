"""Synthea's synthetic patients as FHIR NDJSON: the same seed makes the same files on any day.

Synthea takes today for its reference date unless told, so both its dates are fixed here.
"""

import shutil
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path
from typing import Final

from peerview_tools.broker_ready import Say
from peerview_tools.maven import DEPLOY, MavenError, fetched_jars

SYNTHEA_VERSION: Final = "3.3.0"
POM: Final = DEPLOY / "synthea" / "pom.xml"
REFERENCE_DATE: Final = date(2026, 4, 1)
"""Ages are taken at this day and nothing happens after it: a suitable as-of date."""

RESOURCE_TYPES: Final = (
    "Patient",
    "Condition",
    "Observation",
    "MedicationRequest",
    "Medication",  # half of the prescriptions name theirs by reference, as real exports do
    "Immunization",
    "Encounter",
    "Procedure",
)
_SAY_EVERY_SECONDS: Final = 2.0


def _say(text: str) -> None:
    print(f"[synthea] {text}", file=sys.stderr, flush=True)


class SyntheaError(RuntimeError):
    """Synthea could not be fetched or did not finish; the message says what to do."""


def synthea_jars(say: Say = _say) -> Path:
    """The directory of Synthea's jars. Raises SyntheaError."""
    try:
        return fetched_jars("Synthea", SYNTHEA_VERSION, POM, "200 MB", say)
    except MavenError as error:
        raise SyntheaError(str(error)) from error


def generate(patients: int, seed: int, directory: Path, *, say: Say = _say) -> list[Path]:
    """NDJSON files of `patients` living patients and of those who died on the way.

    One file a resource type, in `directory/synthea-SEED-PATIENTS`. Files made before are given
    again: nothing but the seed and the number decides what is in them.
    """
    target = directory / f"synthea-{seed}-{patients}"
    if not target.is_dir():
        java = shutil.which("java")
        if java is None:
            raise SyntheaError("Synthea needs Java 11 or later (java)")
        jars = synthea_jars(say)
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=directory) as scratch:
            _run(_command(java, jars, patients, seed, Path(scratch)), patients, say)
            made = Path(scratch) / "fhir"
            for path in made.iterdir():
                if path.stem not in RESOURCE_TYPES:
                    path.unlink()
            made.rename(target)
    return [
        target / f"{kind}.ndjson"
        for kind in RESOURCE_TYPES
        if (target / f"{kind}.ndjson").is_file()
    ]


def _command(java: str, jars: Path, patients: int, seed: int, output: Path) -> list[str]:
    day = REFERENCE_DATE.strftime("%Y%m%d")
    return [
        *(java, "-Duser.timezone=UTC", "-cp", f"{jars}/*", "App"),
        *("-s", str(seed), "-cs", str(seed), "-p", str(patients), "-r", day, "-e", day),
        "--exporter.fhir.bulk_data=true",
        "--exporter.years_of_history=5",
        f"--exporter.baseDirectory={output}/",
        "--exporter.hospital.fhir.export=false",
        "--exporter.practitioner.fhir.export=false",
        f"--exporter.fhir.included_resources={','.join(RESOURCE_TYPES)}",
        "--generate.thread_pool_size=1",  # more threads would change the order of the lines
        "Massachusetts",
    ]


def _run(command: list[str], patients: int, say: Say) -> None:
    """Runs Synthea and says how far it is; its last lines go into the error when it fails."""
    say(f"Synthea {SYNTHEA_VERSION}: generating {patients} patients")
    last_said, tail = time.monotonic(), [""]
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None  # noqa: S101 asked for just above
        for line in process.stdout:
            tail = [*tail[-30:], line]
            number = line.partition(" -- ")[0]
            if number.isdigit() and time.monotonic() - last_said > _SAY_EVERY_SECONDS:
                last_said = time.monotonic()
                say(f"Synthea: patient {number} of {patients}")
    if process.returncode != 0:
        raise SyntheaError(f"Synthea ended with {process.returncode}:\n{''.join(tail)}")


def main() -> None:
    """`python -m peerview_tools.synthea PATIENTS SEED DIRECTORY` prints the files' names."""
    patients, seed, directory = sys.argv[1:]
    for path in generate(int(patients), int(seed), Path(directory)):
        print(path)


if __name__ == "__main__":
    main()
