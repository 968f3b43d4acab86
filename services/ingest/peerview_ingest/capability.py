"""The CapabilityStatement: what ``/fhir`` does, and no more."""

from typing import Any, Final

from peerview_common.facts import FHIR_NAMES

UK_CORE: Final = "https://fhir.hl7.org.uk/StructureDefinition/UKCore-"
INTERACTIONS: Final = ("create", "update", "delete")
WITHOUT_DELETE: Final = frozenset({"Organization"})
SYSTEM_INTERACTIONS: Final = ("batch", "transaction")
KEPT: Final = tuple(sorted([*FHIR_NAMES, "Organization"]))
"""Types of which something is kept. Others are taken and dropped, and so they are not named."""

REFERENCES: Final = (
    "Patients are found by Patient/ID, by an absolute URL that ends so, and by urn:uuid. "
    "Organisations also by an identifier of the ODS system. Medications only where contained."
)
DOCUMENTATION: Final = {
    "Appointment": "Counts for every participant that is a Patient.",
    "Encounter": "Counts when finished, with a participant that is an identified GP.",
    "MedicationRequest": "By medicationCodeableConcept, or a contained Medication.",
    "Organization": "Kept for its ODS code alone; a deletion is passed over.",
    "Patient": "Names, addresses and telephone numbers are dropped; the NHS number is hashed.",
}


def statement(version: str) -> dict[str, Any]:
    """Writes only; nothing can be read back."""
    return {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": "2026-04-01",
        "kind": "instance",
        "software": {"name": "Peerview ingest", "version": version},
        "implementation": {"description": "Takes a practice's records; gives nothing back."},
        "fhirVersion": "4.0.1",
        "format": ["application/fhir+json", "json"],
        "rest": [
            {
                "mode": "server",
                "documentation": (
                    "The newest version of a resource counts, by meta.lastUpdated and versionId, "
                    "in whatever order versions arrive. A write is answered 202 once the log has "
                    "acknowledged it. " + REFERENCES
                ),
                "security": {
                    "service": [
                        {
                            "coding": [
                                {
                                    "system": "http://terminology.hl7.org/CodeSystem/"
                                    "restful-security-service",
                                    "code": "OAuth",
                                }
                            ],
                            "text": "OAuth 2.0 bearer token with the scope ingest:write",
                        }
                    ],
                },
                "resource": [_resource(name) for name in KEPT],
                "interaction": [{"code": code} for code in SYSTEM_INTERACTIONS],
            }
        ],
    }


def _resource(name: str) -> dict[str, Any]:
    found: dict[str, Any] = {
        "type": name,
        "supportedProfile": [UK_CORE + name],
        "interaction": [
            {"code": code}
            for code in INTERACTIONS
            if code != "delete" or name not in WITHOUT_DELETE
        ],
        "versioning": "no-version",
        "readHistory": False,
        "updateCreate": True,
        "conditionalCreate": False,
        "conditionalRead": "not-supported",
        "conditionalUpdate": False,
        "conditionalDelete": "not-supported",
        "referencePolicy": ["literal", "local"],
    }
    if name in DOCUMENTATION:
        found["documentation"] = DOCUMENTATION[name]
    return found
