"""FHIR resources to plain facts, as the page of the twelve indicators maps them.

Shares no code with the product. Each comment names the paragraph of the page it follows. A fact is
a dict: `patient, clusters, instant, day, stamp, version, id, type`, and with readings `value, unit,
components`; with a Condition `resolved` (a day, or None).
"""

import csv
import gzip
import json
import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import cache
from pathlib import Path
from zoneinfo import ZoneInfo

LONDON = ZoneInfo("Europe/London")
EARLIEST = datetime(1, 1, 2, tzinfo=UTC)
FINAL = datetime(9999, 12, 30, tzinfo=UTC)
LONG_AGO = date(1, 1, 1)
CLUSTERS_CSV = (
    Path(__file__).parents[2] / "libs" / "common" / "peerview_common" / "codes" / "clusters.csv"
)
SNOMED = "http://snomed.info/sct"
DMD = "https://dmd.nhs.uk"
ODS_SYSTEM = "https://fhir.nhs.uk/Id/ods-organization-code"
VACCINATION_PROCEDURE = (
    "https://fhir.hl7.org.uk/StructureDefinition/Extension-UKCore-VaccinationProcedure"
)
DATE_TIME = re.compile(
    r"(\d{4})(?:-(\d\d)(?:-(\d\d)(?:T(\d\d):(\d\d)(?::(\d\d)(\.\d+)?)?(Z|[+-]\d\d:\d\d)?)?)?)?"
)


# --- time ------------------------------------------------------------------------------------


def parse_time(text):
    """`(instant, local day)` of a FHIR date, dateTime or instant; None when it is none.

    Time: a day is 00:00 in London, a time without a zone is London's, a month or a year is its
    first day.
    """
    found = DATE_TIME.fullmatch(text) if isinstance(text, str) else None
    if not found:
        return None
    year, month, day, hour, minute, second, fraction, zone = found.groups()
    try:
        local = datetime(
            int(year),
            int(month or 1),
            int(day or 1),
            int(hour or 0),
            int(minute or 0),
            min(int(second or 0), 59),  # FHIR allows a leap second
            int(float(fraction or 0) * 1_000_000),
        )
    except ValueError:
        return None
    try:
        if zone is None:
            moment = local.replace(tzinfo=LONDON)
        else:
            hours, minutes = ("00", "00") if zone == "Z" else zone[1:].split(":")
            ahead = timedelta(hours=int(hours), minutes=int(minutes))
            moment = (local + ahead if zone[0] == "-" else local - ahead).replace(tzinfo=UTC)
        return moment.astimezone(UTC), moment.astimezone(LONDON).date()
    except OverflowError:  # before year 1, after 9999
        return None


def choice_time(resource, stem):
    """Time, choice types: dateTime or instant, else the Period's start, else no date."""
    for name in (stem + "DateTime", stem + "Instant"):
        if name in resource:
            return parse_time(resource[name])
    return parse_time((resource.get(stem + "Period") or {}).get("start"))


# --- codes -----------------------------------------------------------------------------------


def cluster_rows():
    with CLUSTERS_CSV.open(encoding="utf-8", newline="") as file:
        return [(row["cluster"], row["system"], row["code"]) for row in csv.DictReader(file)]


ROWS = cluster_rows()


def name_of(cluster):
    return cluster.removesuffix("_COD")


@cache
def clusters_of_coding(system, code):
    found = set()
    for cluster, row_system, row_code in ROWS:
        if row_system == "bnf-prefix":
            hit = "bnf" in system.lower() and code.startswith(row_code)
        else:
            one = SNOMED if system == DMD else system
            other = SNOMED if row_system == DMD else row_system
            hit = one == other and code == row_code
        if hit:
            found.add(name_of(cluster))
    return found


def clusters_of(concepts):
    """Codes: every cluster that lists any of the codings; dm+d and SNOMED CT are one space."""
    found = set()
    for concept in concepts:
        for coding in (concept or {}).get("coding") or []:
            system, code = coding.get("system"), coding.get("code")
            if isinstance(system, str) and isinstance(code, str):
                found |= clusters_of_coding(system, code)
    return found


def coding_codes(concept):
    return {c["code"] for c in (concept or {}).get("coding") or [] if c.get("code")}


# --- what was sent ---------------------------------------------------------------------------


def load(path):
    """The JSON documents of a file, perhaps gzipped: one document, or one a line."""
    packed = Path(path).read_bytes()
    text = (gzip.decompress(packed) if str(path).endswith(".gz") else packed).decode()
    try:
        return [json.loads(text, parse_float=Decimal)]
    except json.JSONDecodeError:
        return [json.loads(line, parse_float=Decimal) for line in text.splitlines() if line.strip()]


def stamp_of(text):
    """Versions: last updated in whole milliseconds."""
    moment = parse_time(text)
    if not moment:
        return None
    return moment[0].replace(microsecond=moment[0].microsecond // 1000 * 1000)


def version_number(text):
    """Versions: a versionId that is not all digits counts as -1."""
    return int(text) if isinstance(text, str) and re.fullmatch(r"[0-9]+", text) else -1


def deletion_of(entry, bundle):
    """Versions, deletions: where the time and the number of a deletion are found."""
    url = (entry.get("request") or {}).get("url") or ""
    found = re.search(r"(?:^|/)([A-Z][A-Za-z]+)/([A-Za-z0-9.-]+)$", url)
    if not found:
        return None
    response = entry.get("response") or {}
    meta = (entry.get("resource") or {}).get("meta") or {}
    stamp = FINAL
    for said in (response.get("lastModified"), meta.get("lastUpdated"), bundle.get("timestamp")):
        if stamp_of(said):
            stamp = stamp_of(said)
            break
    if response.get("etag"):
        number = version_number(re.sub(r'^(W/)?"?|"$', "", response["etag"]))
    else:
        number = version_number(meta.get("versionId"))
    return {
        "type": found[1], "id": found[2], "stamp": stamp, "version": number,
        "deleted": True, "resource": None, "links": {},
    }  # fmt: skip


def full_urls(document):
    """{fullUrl: (type, id)} of a Bundle's entries."""
    links = {}
    if document.get("resourceType") == "Bundle":
        for entry in document.get("entry") or []:
            resource = entry.get("resource") or {}
            if entry.get("fullUrl") and resource.get("id"):
                links[entry["fullUrl"]] = (resource["resourceType"], resource["id"])
    return links


def versions_sent(documents):
    """Every version of every resource, with the fullUrls that its references may use."""
    everywhere = {}
    for document in documents:
        everywhere |= full_urls(document)
    for document in documents:
        if document.get("resourceType") != "Bundle":
            yield version_of(document, everywhere)
            continue
        entries = document.get("entry") or []
        links = {**everywhere, **full_urls(document)}  # its own Bundle's first
        for entry in entries:
            if (entry.get("request") or {}).get("method") == "DELETE":
                deletion = deletion_of(entry, document)
                if deletion:
                    yield deletion
            elif entry.get("resource"):
                yield version_of(entry["resource"], links)


def version_of(resource, links):
    meta = resource.get("meta") or {}
    return {
        "type": resource.get("resourceType"), "id": resource.get("id"),
        "stamp": stamp_of(meta.get("lastUpdated")) or EARLIEST,
        "version": version_number(meta.get("versionId")),
        "deleted": False, "resource": resource, "links": links,
    }  # fmt: skip


def newest_versions(versions):
    """Versions: the greatest (last updated, version); at a tie a deletion, then a fixed choice."""

    def rank(version):
        text = json.dumps(version["resource"], sort_keys=True, default=str)
        return (version["stamp"], version["version"], version["deleted"], text)

    newest = {}
    for version in versions:
        key = (version["type"], version["id"])
        if key[1] and (key not in newest or rank(version) > rank(newest[key])):
            newest[key] = version
    return newest


# --- references ------------------------------------------------------------------------------


def resolve(reference, version, known, wanted):
    """`(type, id)` of `Type/id`, an absolute URL ending so, or a urn:uuid; else None.

    A urn:uuid is that of an entry's fullUrl, else of a resource with that id; `wanted` are the
    types that the caller can use.
    """
    if not isinstance(reference, str) or "?" in reference:
        return None
    if reference.startswith("urn:uuid:"):
        ident = reference.removeprefix("urn:uuid:")
        possible = [version["links"].get(reference), *((kind, ident) for kind in wanted)]
        return next((found for found in possible if found in known), None)
    unversioned = re.sub(r"/_history/[^/]+$", "", reference)
    found = re.search(r"(?:^|/)([A-Z][A-Za-z]+)/([A-Za-z0-9.-]+)$", unversioned)
    return (found[1], found[2]) if found else None


def patient_of(reference, version, known):
    """Person: all forms of a reference to a Patient are one; a conditional one is nobody."""
    found = resolve((reference or {}).get("reference"), version, known, ["Patient"])
    return found[1] if found and found[0] == "Patient" else None


def ods_code(organisation):
    for identifier in organisation.get("identifier") or []:
        if identifier.get("system") == ODS_SYSTEM and identifier.get("value"):
            return identifier["value"]
    return None


def practice_of(reference, version, newest, systems=(ODS_SYSTEM, None)):
    """Registration: the ODS code that an organisation's reference gives, or None."""
    reference = reference or {}
    identifier = reference.get("identifier") or {}
    if identifier.get("value") and identifier.get("system") in systems:
        return identifier["value"]
    for organisation in version["resource"].get("contained") or []:
        if reference.get("reference") == f"#{organisation.get('id')}":
            return ods_code(organisation)
    by_code = re.fullmatch(
        rf"(?:.*/)?Organization\?identifier={re.escape(ODS_SYSTEM)}\|(\w+)",
        reference.get("reference") or "",
    )
    if by_code:
        return by_code[1]
    found = resolve(reference.get("reference"), version, newest, ["Organization"])
    if found and found[0] == "Organization":
        code = ods_code((newest.get(found) or {}).get("resource") or {})
        if code:
            return code
        if not reference["reference"].startswith("urn:uuid:"):
            return found[1]
    return None


# --- facts -----------------------------------------------------------------------------------


def fact_of(version, newest):
    """The coded fact that a resource states, or None when its status or content states none."""
    resource = version["resource"]
    reader = {
        "Condition": condition, "Observation": observation, "MedicationRequest": prescription,
        "Immunization": immunization, "Procedure": procedure,
    }.get(version["type"])  # fmt: skip
    read = reader(resource) if reader else None
    if read is None:
        return None
    concepts, moment, more = read
    subject = resource.get("patient" if version["type"] == "Immunization" else "subject")
    patient = patient_of(subject, version, newest)
    if patient is None:
        return None
    return {
        "patient": patient, "clusters": clusters_of(concepts),
        "instant": moment and moment[0], "day": moment and moment[1],
        "stamp": version["stamp"], "version": version["version"],
        "id": version["id"], "type": version["type"],
        "value": None, "unit": None, "components": [], "resolved": None, **more,
    }  # fmt: skip


def condition(resource):
    said = resource.get("verificationStatus") or {}
    if said.get("coding") and not coding_codes(said) & {"confirmed", "provisional"}:
        return None  # any such coding is enough; text alone is absent
    moment = choice_time(resource, "onset") or parse_time(resource.get("recordedDate"))
    resolved = None
    if coding_codes(resource.get("clinicalStatus")) & {"resolved", "inactive", "remission"}:
        # Words, unresolved: dated abatement, else lastUpdated (absent: the earliest)
        updated = parse_time((resource.get("meta") or {}).get("lastUpdated"))
        when = choice_time(resource, "abatement") or updated
        resolved = when[1] if when else LONG_AGO
    return [resource.get("code")], moment, {"resolved": resolved}


def quantity(holder):
    """Values: a numeric value, and its own unit: the code, else the unit, else none."""
    said = holder.get("valueQuantity") or {}
    value = said.get("value")
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return None, None
    return Decimal(str(value)), said.get("code") or said.get("unit") or None


def observation(resource):
    if resource.get("status") not in ("final", "amended", "corrected"):
        return None
    value, unit = quantity(resource)
    components = []
    if "BP_PANEL" in clusters_of([resource.get("code")]):
        components = [
            (clusters_of([component.get("code")]), *quantity(component))
            for component in resource.get("component") or []
        ]
    more = {"value": value, "unit": unit, "components": components}
    return [resource.get("code")], choice_time(resource, "effective"), more


INTENTS = (None, "order", "original-order", "reflex-order", "filler-order", "instance-order")


def prescription(resource):
    if resource.get("status") in ("cancelled", "draft", "entered-in-error"):
        return None
    if resource.get("intent") not in INTENTS or resource.get("doNotPerform") is True:
        return None
    concept = resource.get("medicationCodeableConcept")
    if concept is None:
        named = (resource.get("medicationReference") or {}).get("reference") or ""
        for contained in resource.get("contained") or []:
            if contained.get("resourceType") == "Medication" and named == f"#{contained.get('id')}":
                concept = contained.get("code")
    return [concept], parse_time(resource.get("authoredOn")), {}


def immunization(resource):
    if resource.get("status") != "completed":
        return None
    concepts = [resource.get("vaccineCode")] + [
        extension.get("valueCodeableConcept")
        for extension in resource.get("extension") or []
        if extension.get("url") == VACCINATION_PROCEDURE
    ]
    return concepts, parse_time(resource.get("occurrenceDateTime")), {}


def procedure(resource):
    if resource.get("status") != "completed":
        return None
    return [resource.get("code")], choice_time(resource, "performed"), {}


def appointment(version, newest):
    """Appointments: its patients, its days, its status and whether its category is national."""
    resource = version["resource"]
    start, created = parse_time(resource.get("start")), parse_time(resource.get("created"))
    if start is None or resource.get("status") == "entered-in-error":
        return None
    names = set()
    for service in resource.get("serviceType") or []:
        names |= coding_codes(service) | {service.get("text")}
    patients = {
        patient_of(participant.get("actor"), version, newest)
        for participant in resource.get("participant") or []
    }
    return {
        "patients": patients - {None}, "start": start[1], "booked": created and created[1],
        "status": resource.get("status"), "names": names,
    }  # fmt: skip


def practitioner_identity(individual, version, newest):
    """Contacts: the reference as it stands when it points to a Practitioner, else system|value."""
    reference = individual.get("reference") or ""
    if reference.startswith(("Practitioner/", "Practitioner?identifier=")):
        return reference
    found = resolve(
        reference, version, newest, ["Practitioner", "PractitionerRole", "RelatedPerson"]
    )
    kind = found[0] if found else individual.get("type")
    if found and kind == "Practitioner":
        return reference
    if kind in ("PractitionerRole", "RelatedPerson"):
        return None
    if re.match(r"(.*/)?(PractitionerRole|RelatedPerson)[/?]", reference):
        return None
    identifier = individual.get("identifier") or {}
    if identifier.get("value"):
        return f"{identifier.get('system', '')}|{identifier['value']}"
    return None


def contact(version, newest):
    """Contacts: `(patient, day, GP)` of a finished Encounter, or None."""
    resource = version["resource"]
    moment = parse_time((resource.get("period") or {}).get("start"))
    patient = patient_of(resource.get("subject"), version, newest)
    kind = (resource.get("class") or {}).get("code")
    if resource.get("status") != "finished" or moment is None or patient is None:
        return None
    if kind in ("EMER", "IMP", "ACUTE", "NONAC"):
        return None
    everyone, performers = [], []
    for participant in resource.get("participant") or []:
        identity = practitioner_identity(participant.get("individual") or {}, version, newest)
        if identity:
            everyone.append(identity)
            if any("PPRF" in coding_codes(said) for said in participant.get("type") or []):
                performers.append(identity)
    seen = performers or (everyone if kind == "AMB" else [])
    return (patient, moment[1], seen[0]) if seen else None
