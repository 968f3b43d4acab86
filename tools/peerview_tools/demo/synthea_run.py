"""`peerview demo-synthea`: synthetic patients that others made, through the services and beside
them. What the stream counts must be what `peerview evaluate` counts on the same files."""

import shutil
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from peerview_common import topics
from peerview_common.ids import ods_code
from peerview_tools.broker import start_broker
from peerview_tools.client import Client, refusal
from peerview_tools.demo import actions
from peerview_tools.demo.actions import Loaded
from peerview_tools.demo.ending import run_to_its_end
from peerview_tools.demo.network import Tokens
from peerview_tools.demo.stack import Stack
from peerview_tools.demo.steps import Steps, make_console
from peerview_tools.evaluate import Evaluation, evaluate
from peerview_tools.issuer import DevelopmentIssuer
from peerview_tools.maven import cache_dir
from peerview_tools.simulator import PRACTICES, Practice
from peerview_tools.synthea import REFERENCE_DATE, generate

SEED: Final = 7
SOURCE: Final = "synthea"
SHOWN: Final = ("bp-htn-u80", "dm-hba1c-58")
PRACTICE: Final = Practice(
    "A99900", "Synthea's patients", 0, SEED, PRACTICES[0].quality, system=SOURCE
)


def run(*, patients: int, fixture: Path | None) -> int:
    """0 when the stream and `evaluate` agree, 1 with the reason when they do not."""
    console = make_console()
    return run_to_its_end(lambda ending: _run(console, ending, patients, fixture), console)


def _run(console: Console, ending: ExitStack, patients: int, fixture: Path | None) -> int:
    steps = Steps(console)
    home = Path(tempfile.mkdtemp(prefix="peerview-synthea-"))
    ending.callback(shutil.rmtree, home, ignore_errors=True)
    if fixture is not None:
        files = [fixture]
    else:
        with steps.step("synthea", f"generating {patients} patients") as step:
            files = generate(patients, SEED, cache_dir() / "synthea-made", say=step.waiting)
            step.done = f"{patients} patients in {len(files)} files at {files[0].parent}"
    with steps.step("broker", "starting Kafka") as step:
        broker = start_broker(say=step.waiting)
        ending.callback(broker.stop)
        step.done = broker.description
    with steps.step("services", "starting ingest, compute and share") as step:
        issuer = DevelopmentIssuer(home / "issuer")
        tokens = Tokens(issuer)
        stack = Stack(
            home / "services",
            bootstrap=broker.bootstrap,
            jwks=issuer.jwks,
            prefix=f"{home.name}." if broker.kind == "given" else "",
            settings={"REGISTER_ALL": SOURCE, "CLOCK_DAY": REFERENCE_DATE.isoformat()},
        )
        topics.provision(broker.bootstrap, prefix=stack.prefix, partitions=stack.partitions)
        ending.callback(stack.stop)
        stack.start()
        stack.wait_ready(waiting=step.waiting)
        step.done = "ingest, compute and share are ready"
    with steps.step("records", "sending NDJSON to /v1/bulk") as step:
        total = Loaded()
        with Client(stack.ingest.url, lambda: tokens.system(PRACTICE), timeout=300) as client:
            for path in files:
                step.waiting(f"{path.name}, {path.stat().st_size / 1e6:.0f} MB")
                answer = actions.bulk_file(client, path)
                if answer.status >= 300:
                    raise refusal("POST", f"{stack.ingest.url}/v1/bulk", answer)
                receipt = answer.json()
                known = sum(receipt[name] for name in ("accepted", "dropped", "rejected"))
                total.add(actions.receipt(receipt, known))
        step.done = (
            f"{total.sent:,} resources: {total.accepted:,} accepted, {total.dropped:,} dropped as "
            f"unneeded, {total.rejected:,} rejected"
        )
    with steps.step("figures", "computing") as step:
        with Client(stack.share.url, lambda: tokens.staff(PRACTICE)) as client:
            live = actions.await_counted(
                client, PRACTICE.ods, total.positions, check=stack.check, seconds=120
            )
        step.done = "live figures include all of it"
    with steps.step("evaluate", "counting the same files without the services") as step:
        counted = evaluate(
            files, practice=ods_code(PRACTICE.ods), day=REFERENCE_DATE, register_all=True
        )
        step.done = f"{len(counted.collected.patients)} patients, as of {REFERENCE_DATE}"
    return _compare(console, actions.counts_of(live), counted)


def _compare(console: Console, live: dict[str, Any], counted: Evaluation) -> int:
    table = Table(header_style="bold")
    for name in ("indicator", "counted by", "numerator", "denominator", "exceptions", "excluded"):
        table.add_column(name)
    expected = counted.result["indicators"]
    for indicator in SHOWN:
        for who, found in (("live", live), ("evaluate", expected)):
            row = found[indicator]
            names = ("numerator", "denominator", "exception", "excluded")
            table.add_row(indicator, who, *(f"{row[name]:,}" for name in names))
    console.print()
    console.print(table)
    different = sorted(name for name in expected if expected[name] != live.get(name))
    if different:
        console.print(f"[bold red]The stream and evaluate differ in[/] {', '.join(different)}:")
        for name in different:
            console.print(f"  {name}: live {live.get(name)}, evaluate {expected[name]}")
        return 1
    console.print(f"All {len(expected)} indicators are equal to those of `peerview evaluate`.")
    return 0
