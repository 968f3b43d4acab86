"""What a simulated resource says, apart from FHIR's form: for writers of other forms."""

from datetime import UTC, date, datetime

from peerview_common.days import LONDON
from peerview_tools.simulator.resources import Resource


def patient_of(resource: Resource) -> str:
    """The patient's id; a Patient's own."""
    if resource["resourceType"] == "Patient":
        return str(resource["id"])
    if resource["resourceType"] == "Appointment":
        reference = resource["participant"][0]["actor"]
    else:
        reference = resource.get("subject") or resource["patient"]
    return str(reference["reference"]).removeprefix("Patient/")


def updated(resource: Resource) -> datetime:
    """`lastUpdated` as a clinical system's clock shows it."""
    moment = datetime.fromisoformat(resource["meta"]["lastUpdated"])
    return moment.astimezone(UTC).astimezone(LONDON)


def moment(text: str | None) -> datetime | date | None:
    """A day, or a moment by the clock on the wall."""
    if text is None:
        return None
    if len(text) == 10:
        return date.fromisoformat(text)
    return datetime.fromisoformat(text).astimezone(LONDON)


def code_of(resource: Resource) -> tuple[str, str, str]:
    """`(system, code, display)` of the first coding, whatever element holds it."""
    for element in ("code", "medicationCodeableConcept", "vaccineCode"):
        if element in resource:
            coding = resource[element]["coding"][0]
            return coding["system"], coding["code"], coding.get("display", "")
    raise ValueError(f"a {resource['resourceType']} without a code")


def quantity(resource: Resource) -> tuple[str, str]:
    """`(value, unit)` as texts, empty where there is none."""
    found = resource.get("valueQuantity")
    return ("", "") if found is None else (str(found["value"]), str(found["unit"]))


def gp_of(resource: Resource) -> str:
    reference = resource["participant"][0]["individual"]["reference"]
    return str(reference).removeprefix("Practitioner/")


def category_of(resource: Resource) -> str:
    return str(resource["serviceType"][0]["text"])
