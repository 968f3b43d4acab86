"""Made-up patients, from a seed, as FHIR R4 resources of UK Core's manner.

Each patient has an anchor, one of `ANCHORS`: most facts lie on a boundary day of some window that
ends there, or on the day beside it, so that evaluating on the anchor, the day before and the day
after tells a `<` from a `<=`. Every variant that the fine print speaks of is drawn with a name
(`Patient.say`); `test_coverage` asserts that each name was drawn and each status reached.

Never made, because the page leaves them open: two different live versions with equal stamps, and
what no FHIR server would store (resources without an id, two types of one choice).
"""

import json
import uuid
from datetime import UTC, date, datetime, time, timedelta
from random import Random

from .evaluator import CATEGORIES, ON_PATIENTS, plus_months
from .reading import DMD, LONDON, ODS_SYSTEM, ROWS, SNOMED, VACCINATION_PROCEDURE, name_of

PRACTICE, OTHER_PRACTICE = "A99001", "A99002"
ANCHORS = (date(2024, 2, 29), date(2025, 8, 31), date(2026, 3, 31), date(2026, 10, 25))
NHS_NUMBER = "https://fhir.nhs.uk/Id/nhs-number"
DELETION_STAMPS = (None, "2025-01-01T00:00:00Z", "2026-12-01T12:00:00+00:00")
GIVEN = ("Avelie", "Bramwin", "Corvale", "Dellora", "Emrith", "Fenwell")
FAMILY = ("Ashquill", "Brindlemoor", "Cawthistle", "Dunnoway", "Elderfen")
ODD_CATEGORIES = ("general consultation acute", "Social Prescribing Service", "Walk in")

CODES = {}
for _cluster, _system, _code in ROWS:
    CODES.setdefault(name_of(_cluster), []).append((_system, _code))
# an objection would take nearly everybody out of everything
SOME_CLUSTERS = sorted(name for name in CODES if not name.startswith("TYPE1"))


def nhs_number(rng):
    """Of the range 999, which is never issued, with a valid check digit."""
    while True:
        digits = "999" + "".join(rng.choice("0123456789") for _ in range(6))
        total = sum(
            int(digit) * weight for digit, weight in zip(digits, range(10, 1, -1), strict=True)
        )
        check = (11 - total % 11) % 11
        if check < 10:
            return digits + str(check)


class Patient:
    def __init__(self, rng, number, anchor):
        self.rng, self.anchor = rng, anchor
        self.id = f"p{number}"
        self.uuid = str(uuid.UUID(int=rng.getrandbits(128), version=4))
        self.bundled = rng.random() < 0.3
        self.loose, self.entries = [], []
        self.deletions = {stamp: [] for stamp in DELETION_STAMPS}
        self.said, self.serial, self.full_urls = set(), 0, {}
        self.received = not self.chance(0.01)
        self.plain = self.chance(0.5)

    # --- chance ------------------------------------------------------------------------------

    def say(self, name):
        self.said.add(name)
        return name

    def chance(self, probability):
        return self.rng.random() < probability

    def draw(self, **weights):
        """One of the names by weight, and it is noted as drawn.

        The first is the ordinary one; half of the patients are mostly ordinary, or so many odd
        things would meet in each that hardly any reached a target.
        """
        if self.plain and self.rng.random() < 0.6:
            return self.say(next(iter(weights)))
        return self.say(self.rng.choices(list(weights), list(weights.values()))[0])

    def day(self, *months):
        """A day at the edge of a window of one of these lengths, inside it, or long before."""
        window = self.rng.choice(months or (12,))
        edge = plus_months(self.anchor, -window)
        where = self.rng.choices(("edge", "end", "inside", "before"), (4, 2, 4, 1))[0]
        if where == "edge":
            return edge + timedelta(days=self.rng.choice((-1, 0, 1, 2)))
        if where == "end":
            return self.anchor + timedelta(days=self.rng.choice((-1, 0, 1, 2)))
        if where == "inside":
            return edge + timedelta(days=self.rng.randint(1, (self.anchor - edge).days))
        return edge - timedelta(days=self.rng.randint(2, 1500))

    def recent(self, months=12):
        edge = plus_months(self.anchor, -months)
        return edge + timedelta(days=self.rng.randint(5, (self.anchor - edge).days - 2))

    def long_ago(self):
        return self.anchor - timedelta(days=self.rng.randint(1100, 4000))

    def when(self, day):
        """The day as FHIR text: with and without a time, near midnight, in many zones, partial."""
        form = self.draw(
            a_date=10,
            midnight_london=2,
            last_minute=2,
            no_zone=2,
            far_zone=1,
            a_month=0.4,
            a_year=0.1,
        )
        if form == "a_date":
            return day.isoformat()
        if form == "a_month":
            return day.strftime("%Y-%m")
        if form == "a_year":
            return day.strftime("%Y")
        if form == "no_zone":
            return f"{day.isoformat()}T{self.rng.choice(('00:00:00', '12:30:00', '23:59:59'))}"
        if form == "far_zone":
            moment = datetime.combine(day, time(12), LONDON).astimezone(UTC)
            return (moment.replace(tzinfo=None) + timedelta(hours=11)).isoformat() + "+11:00"
        at = time(0, self.rng.choice((0, 1))) if form == "midnight_london" else time(23, 59, 30)
        moment = datetime.combine(day, at, LONDON)
        if self.chance(0.5):
            return moment.isoformat()
        return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")

    def instant(self, day):
        """With a time and a zone, as an Appointment.start must be."""
        hour, minute = self.rng.choice(((0, 0), (0, 20), (9, 0), (14, 30), (23, 40)))
        moment = datetime.combine(day, time(hour, minute), LONDON)
        return moment.isoformat() if self.chance(0.5) else moment.astimezone(UTC).isoformat()

    # --- resources ---------------------------------------------------------------------------

    def subject(self):
        form = self.draw(
            relative=12, absolute=2, urn_full_url=3, urn_id=1, conditional=0.2, group=0.1
        )
        if form == "absolute":
            return {"reference": f"https://fhir.example.org/r4/Patient/{self.id}"}
        if form == "urn_full_url" and self.bundled and self.received:
            return {"reference": f"urn:uuid:{self.uuid}"}
        if form == "urn_id" and self.received:
            return {"reference": f"urn:uuid:{self.id}"}
        if form == "conditional":
            return {"reference": f"Patient?identifier={NHS_NUMBER}|9990000000"}
        if form == "group":
            return {"reference": f"Group/{self.id}"}
        return {"reference": f"Patient/{self.id}"}

    def next_id(self):
        self.serial += 1
        return f"{self.id}-{self.serial}"

    def stamp(self, low=date(2023, 1, 1), high=date(2026, 11, 1)):
        day = low + timedelta(days=self.rng.randint(0, (high - low).days))
        return (
            f"{day.isoformat()}T{self.rng.randint(0, 23):02}:15:00.{self.rng.randint(0, 999):03}Z"
        )

    def put(self, resource):
        """Send a resource: alone or in the Bundle, with its history and its deletions."""
        resource.setdefault("id", self.next_id())
        story = self.draw(
            one_version=20, no_stamp=4, older_wrong=2, newer_wrong=0.7, entered_in_error=0.4,
            deleted=0.5, deleted_before=0.7, deleted_tie=0.3, by_version_only=1, sent_twice=0.5,
        )  # fmt: skip
        old, new = sorted((self.stamp(), self.stamp(date(2023, 1, 2), date(2026, 11, 2))))
        if story == "no_stamp":
            self.send(resource)
        elif story == "one_version":
            self.send(resource, new, self.rng.choice((None, "1", "7", "a-b")))
        elif story == "sent_twice":
            self.send(resource, new, "1")
            self.send(resource, new, "1")
        elif story in ("older_wrong", "newer_wrong", "entered_in_error") and old != new:
            wrong = self.spoiled(resource, entered_in_error=story == "entered_in_error")
            first, second = (wrong, resource) if story == "older_wrong" else (resource, wrong)
            versions = [(first, old, "9"), (second, new, "1")]
            if self.chance(0.5):  # the order of arrival says nothing
                versions.reverse()
            for version in versions:
                self.send(*version)
        elif story == "by_version_only":
            stamp = self.rng.choice((None, old))
            self.send(resource, stamp, "10")
            self.send(self.spoiled(resource), stamp, self.rng.choice(("9", "x11", None)))
        else:
            self.send(resource, new, "3")
            if story == "deleted":
                form = self.draw(deletion_final=2, deletion_response=2, deletion_meta=1)
                later = (datetime.fromisoformat(new) + timedelta(days=1)).isoformat()
                self.delete(resource, form, later, None)
            elif story == "deleted_before":
                form = self.draw(deletion_response=2, deletion_meta=1, deletion_bundle=1)
                earlier = (datetime.fromisoformat(new) - timedelta(days=1)).isoformat()
                self.delete(resource, form, earlier, "8")
            elif story == "deleted_tie":
                number = self.rng.choice(("2", "3", "4"))
                self.delete(resource, self.draw(deletion_response=1, deletion_meta=1), new, number)

    def spoiled(self, resource, entered_in_error=False):
        """Another version of the resource, which must not be the one that counts."""
        other = json.loads(json.dumps(resource))
        kind = resource["resourceType"]
        if entered_in_error:
            if kind == "Condition":
                other["verificationStatus"] = {"coding": [{"code": "entered-in-error"}]}
            elif kind == "Patient":
                other["gender"] = "unknown"
            else:
                other["status"] = "entered-in-error"
            return other
        day = self.when(self.day(3, 6, 12))
        for name in ("onsetDateTime", "effectiveDateTime", "authoredOn", "occurrenceDateTime",
                     "performedDateTime", "start"):  # fmt: skip
            if name in other and not (kind == "Appointment" and len(day) < 20):
                other[name] = day
        if kind == "EpisodeOfCare":
            other["status"] = self.rng.choice(("planned", "finished"))
        if kind == "Patient":
            other["birthDate"] = "1971-07-07"
        if "valueQuantity" in other and "value" in other["valueQuantity"]:
            other["valueQuantity"]["value"] += self.rng.choice((-30, 30))
        if kind != "Patient" and self.chance(0.2):  # it was another patient's: the newest decides
            self.say("moved")
            name = next(n for n in ("subject", "patient", "participant") if n in other)
            if name != "participant":
                other[name] = {"reference": "Patient/p0"}
        return other

    def send(self, resource, stamp=None, version=None):
        resource = json.loads(json.dumps(resource))
        meta = {}
        if stamp:
            meta["lastUpdated"] = stamp
        if version:
            meta["versionId"] = version
        if meta:
            resource["meta"] = meta
        if not self.bundled:
            self.loose.append(resource)
            return
        own = self.uuid if resource["resourceType"] == "Patient" else str(
            uuid.UUID(int=self.rng.getrandbits(128), version=4)
        )  # fmt: skip
        self.entries.append({"fullUrl": f"urn:uuid:{own}", "resource": resource})

    def delete(self, resource, form, stamp, number):
        kind, ident = resource["resourceType"], resource["id"]
        base = self.rng.choice(("", "", "https://fhir.example.org/r4/"))
        entry = {"request": {"method": "DELETE", "url": f"{base}{kind}/{ident}"}}
        bundle_stamp = None
        if form == "deletion_response":
            entry["response"] = {"status": "204", "lastModified": stamp}
            if number:
                forms = (f'W/"{number}"', f'"{number}"')
                entry["response"]["etag"] = self.rng.choice(forms)
        elif form == "deletion_meta":
            meta = {"lastUpdated": stamp} | ({"versionId": number} if number else {})
            entry["resource"] = {"resourceType": kind, "id": ident, "meta": meta}
        elif form == "deletion_bundle":
            bundle_stamp = self.rng.choice(DELETION_STAMPS[1:])
        self.deletions[bundle_stamp].append(entry)

    # --- facts -------------------------------------------------------------------------------

    def coding(self, cluster):
        system, code = self.rng.choice(CODES[cluster])
        if system == "bnf-prefix":
            name = self.draw(bnf_upper=1, bnf_lower=1)
            system = "https://example.org/BNF" if name == "bnf_upper" else "urn:x-nhsbsa-bnf:code"
            return {"system": system, "code": code + self.rng.choice(("", "AAAAAA", "0AA"))}
        if system in (SNOMED, DMD) and self.chance(0.2):
            system = self.rng.choice((SNOMED, DMD))
            self.say("snomed_or_dmd")
        return {"system": system, "code": code, "display": cluster}

    def concept(self, *clusters):
        codings = [self.coding(cluster) for cluster in clusters]
        if self.chance(0.04):
            self.say("several_clusters")
            codings.append(self.coding(self.rng.choice(SOME_CLUSTERS)))
        if self.chance(0.15):
            self.say("coding_of_no_cluster")
            codings.insert(0, {"system": "urn:example:local", "code": codings[0]["code"]})
        if self.chance(0.03):
            self.say("wrong_system")
            codings = [{**c, "system": "urn:example:local"} for c in codings]
        if self.chance(0.02):
            self.say("no_system")
            codings = [{"code": c["code"]} for c in codings]
        return {"coding": codings}

    def time_of(self, resource, stem, day):
        if day is None:
            self.say("no_date")
            return resource
        form = self.draw(
            date_time=12, period=2, period_without_start=0.2, string=0.1,
            **({"instant": 1} if stem == "effective" else {}),
        )  # fmt: skip
        if form == "date_time":
            resource[stem + "DateTime"] = self.when(day)
        elif form == "instant":
            resource[stem + "Instant"] = self.instant(day)
        elif form == "period":
            resource[stem + "Period"] = {"start": self.when(day), "end": self.when(self.anchor)}
        elif form == "period_without_start":
            resource[stem + "Period"] = {"end": self.when(day)}
        elif stem == "effective":
            resource["effectiveTiming"] = {"event": [self.when(day)]}
        else:
            resource[stem + "String"] = day.isoformat()
        return resource

    def fact(self, *clusters, day, **more):
        """A fact in these clusters, carried by one of the resources that carry codes."""
        kind = self.draw(Condition=3, Observation=3, Procedure=2)
        getattr(self, kind.lower())(*clusters, day=day, **more)

    def condition(self, *clusters, day, **more):
        resource = {
            "resourceType": "Condition", "subject": self.subject(),
            "code": self.concept(*clusters),
        }  # fmt: skip
        form = self.draw(onset=8, recorded=2, onset_age=1, onset_and_recorded=2)
        if form in ("onset", "onset_and_recorded"):
            self.time_of(resource, "onset", day)
        if form == "onset_age":
            resource["onsetAge"] = {"value": 40, "unit": "a"}
        if form != "onset" and day:
            shift = timedelta(days=30) if form == "onset_and_recorded" else timedelta()
            resource["recordedDate"] = self.when(day + shift)
        form = self.draw(
            confirmed=8, provisional=1, verification_absent=3, verification_text=0.5, refuted=0.3,
            two_codings=0.5,
        )  # fmt: skip
        if form == "verification_text":
            resource["verificationStatus"] = {"text": "refuted"}
        elif form == "two_codings":
            resource["verificationStatus"] = {
                "coding": [{"code": "local-9"}, {"code": "confirmed"}]
            }
        elif form != "verification_absent":
            resource["verificationStatus"] = {"coding": [{"code": form}]}
        resource.update(more)
        self.put(resource)

    def observation(self, *clusters, day, **more):
        resource = {
            "resourceType": "Observation", "subject": self.subject(),
            "status": self.draw(final=12, amended=1, corrected=1, preliminary=0.3, registered=0.2),
            "code": self.concept(*clusters),
        }  # fmt: skip
        self.time_of(resource, "effective", day)
        resource.update(more)
        self.put(resource)

    def procedure(self, *clusters, day, **more):
        resource = {
            "resourceType": "Procedure", "subject": self.subject(),
            "status": self.rng.choices(("completed", "not-done", "stopped"), (20, 0.5, 0.5))[0],
            "code": self.concept(*clusters),
        }  # fmt: skip
        self.time_of(resource, "performed", day)
        resource.update(more)
        self.put(resource)

    def prescription(self, cluster, day):
        if self.chance(0.05):
            self.say("prescription_as_other_resource")
            self.fact(cluster, day=day)
            return
        resource = {
            "resourceType": "MedicationRequest", "subject": self.subject(),
            "status": self.draw(active=8, completed=3, stopped=1, cancelled=0.3, draft=0.3),
            "intent": self.draw(
                order=8, plan=0.4, proposal=0.2, option=0.2, reflex_order=0.5, filler_order=0.3,
                instance_order=0.5, original_order=0.5,
            ).replace("_", "-"),
        }  # fmt: skip
        if self.chance(0.1):
            self.say("no_intent")
            del resource["intent"]
        if self.chance(0.1):
            resource["doNotPerform"] = self.rng.choice((True, False))
            self.say(f"do_not_perform_{resource['doNotPerform']}")
        if day and not self.chance(0.03):
            resource["authoredOn"] = self.when(day)
        concept = self.concept(cluster)
        form = self.draw(concept=10, contained=3, contained_elsewhere=0.3, by_reference=0.5)
        if form == "concept":
            resource["medicationCodeableConcept"] = concept
        elif form == "by_reference":
            resource["medicationReference"] = {"reference": "Medication/not-sent"}
        else:
            resource["contained"] = [
                {"resourceType": "Medication", "id": "other", "code": {"text": "another"}},
                {"resourceType": "Medication", "id": "m1", "code": concept},
            ]
            named = "#m1" if form == "contained" else "#other"
            resource["medicationReference"] = {"reference": named}
        self.put(resource)

    def vaccination(self, day):
        if self.chance(0.1):
            self.say("vaccination_as_other_resource")
            self.fact("MMR", day=day)
            return
        resource = {
            "resourceType": "Immunization", "patient": self.subject(),
            "status": self.rng.choices(("completed", "not-done"), (15, 1))[0],
            "vaccineCode": {"text": "a vaccine"},
        }  # fmt: skip
        if self.draw(vaccine_code=2, vaccination_procedure=1) == "vaccine_code":
            resource["vaccineCode"] = self.concept("MMR")
        else:
            resource["extension"] = [
                {"url": "https://example.org/other", "valueString": "x"},
                {"url": VACCINATION_PROCEDURE, "valueCodeableConcept": self.concept("MMR")},
            ]
        if self.chance(0.03):
            self.say("occurrence_string")
            resource["occurrenceString"] = day.isoformat()
        else:
            resource["occurrenceDateTime"] = self.when(day)
        self.put(resource)

    def quantity(self, value, *units):
        """`valueQuantity` with its own unit by code or by unit, none, or one that is another's."""
        form = self.draw(
            unit_code=8, unit_only=2, no_unit=3, unit_and_code_differ=0.5, wrong_unit=0.5,
            comparator=0.5, no_value=0.3, code_wrong=0.3,
        )  # fmt: skip
        unit = self.rng.choice(units)
        if form == "no_value":
            return {"unit": unit, "code": unit}
        quantity = {"value": value}
        if form in ("unit_code", "comparator"):
            quantity |= {"unit": "as printed", "code": unit, "system": "http://unitsofmeasure.org"}
        if form == "unit_only":
            quantity["unit"] = unit
        if form == "unit_and_code_differ":
            quantity |= {"unit": "kPa", "code": unit}
        if form == "code_wrong":
            quantity |= {"unit": unit, "code": "kPa"}
        if form == "wrong_unit":
            quantity["unit"] = self.rng.choice(("kPa", "%", "mmol/mol", "mm[hg]", "mg/dL"))
        if form == "comparator":
            quantity["comparator"] = self.rng.choice(("<", ">="))
        return quantity

    def blood_pressure(self, day):
        setting = self.draw(CLINIC=3, HOME=2)
        systolic = self.rng.choice((118, 134, 135, 135, 136, 139.9, 140, 140, 140.1, 160))
        diastolic = self.rng.choice((70, 84, 85, 85, 86, 90, 90, 90.5, 91, 100))
        if self.chance(0.15):
            self.say("implausible_or_just_plausible")
            systolic = self.rng.choice((39, 39.9, 40, 350, 350.5, 351))
            diastolic = self.rng.choice((19.9, 20, 250, 251))
        units = ("mm[Hg]", "mmHg", "mm Hg")
        parts = [(f"BP_SYSTOLIC_{setting}", systolic), (f"BP_DIASTOLIC_{setting}", diastolic)]
        form = self.draw(
            panel=6, lone_pair=3, half_panel=1, half_lone=1, no_panel_code=0.7, lone_two_days=0.5,
            other_setting=0.5, panel_and_systolic=0.5,
        )  # fmt: skip
        if form in ("half_panel", "half_lone"):
            parts = [self.rng.choice(parts)]
        if form == "other_setting":
            parts[1] = ("BP_DIASTOLIC_" + ("HOME" if setting == "CLINIC" else "CLINIC"), diastolic)
        if form in ("lone_pair", "half_lone", "lone_two_days"):
            for number, (cluster, value) in enumerate(parts):
                shift = timedelta(days=number if form == "lone_two_days" else 0)
                said = self.quantity(value, *units)
                self.observation(cluster, day=day + shift, valueQuantity=said)
            return
        components = [
            {"code": self.concept(cluster), "valueQuantity": self.quantity(value, *units)}
            for cluster, value in parts
        ]
        if form == "panel_and_systolic":  # one Observation that is a panel and a reading
            value = self.quantity(systolic - 20, *units)
            self.observation(
                "BP_PANEL", parts[0][0], day=day, component=components, valueQuantity=value
            )
            return
        panel = "BP_PANEL" if form != "no_panel_code" else "HTMAX"
        if panel == "HTMAX":
            day = day - timedelta(days=800)
        self.observation(panel, day=day, component=components)

    def hba1c(self, day, **more):
        form = self.draw(ifcc=4, percent=2, both_clusters=1)
        mmol = self.rng.choice((35, 57.9, 58, 58.1, 64, 9.9, 10, 250, 250.5))
        percent = self.rng.choice((5.9, 7.4, 7.45, 7.46, 7.5, 9, 3.06, 3.07, 25.02, 25.03))
        if form == "ifcc":
            said = self.quantity(mmol, "mmol/mol")
            self.observation("HBA1C_IFCC", day=day, valueQuantity=said, **more)
        elif form == "percent":
            said = self.quantity(percent, "%")
            self.observation("HBA1C_PERCENT", day=day, valueQuantity=said, **more)
        else:
            unit, value = self.rng.choice((("mmol/mol", mmol), ("%", percent), (None, mmol)))
            said = {"value": value} | ({"code": unit} if unit else {})
            clusters = ["HBA1C_IFCC", "HBA1C_PERCENT"]
            self.rng.shuffle(clusters)
            self.observation(*clusters, day=day, valueQuantity=said, **more)

    # --- the person --------------------------------------------------------------------------

    def birth_date(self, focus):
        if focus == "mmr":
            shift = self.rng.choice((-370, -365, -364, -200, -100, -1, 0, 1))
            return plus_months(self.anchor, -18) + timedelta(days=shift)
        if self.draw(born_29_february=1, born_any_day=9) == "born_29_february":
            return date(self.rng.choice((1944, 1948, 1960, 1976, 2000, 2004, 2008)), 2, 29)
        age = {
            "bp": self.rng.choice((17, 18, 45, 60, 79, 80)), "dm": self.rng.choice((16, 17, 50)),
            "af": self.rng.choice((60, 74, 75, 80)),
            "cervical": self.rng.choice((24, 25, 40, 49, 50, 64, 65)),
            "nsaid": self.rng.choice((64, 65, 70)),
        }.get(focus, self.rng.randint(20, 85))  # fmt: skip
        birthday = plus_months(self.anchor, -12 * age)
        if self.chance(0.6):
            return birthday + timedelta(days=self.rng.choice((-1, 0, 1, 2)))
        return birthday - timedelta(days=self.rng.randint(3, 360))

    def person(self, focus):
        self.born = self.birth_date(focus)
        resource = {
            "resourceType": "Patient", "id": self.id,
            "identifier": [{"system": NHS_NUMBER, "value": nhs_number(self.rng)}],
            "name": [{"family": self.rng.choice(FAMILY), "given": [self.rng.choice(GIVEN)]}],
            "gender": self.rng.choice(("female", "female", "male", "other")),
        }  # fmt: skip
        if focus == "cervical" and not self.chance(0.1):
            resource["gender"] = "female"
        form = self.draw(birth_day=20, birth_month=0.7, birth_year=0.5, no_birth_date=0.4)
        if form != "no_birth_date":
            length = {"birth_day": 10, "birth_month": 7, "birth_year": 4}[form]
            resource["birthDate"] = self.born.isoformat()[:length]
        form = self.draw(alive=30, deceased_false=2, deceased_true=0.4, died_edge=1, died_later=1)
        if form == "deceased_false":
            resource["deceasedBoolean"] = False
        elif form == "deceased_true":
            resource["deceasedBoolean"] = True
        elif form != "alive":
            shift = self.rng.choice((-1, 0, 1)) if form == "died_edge" else 200
            resource["deceasedDateTime"] = self.when(self.anchor + timedelta(days=shift))
        form = self.draw(active_absent=20, active_true=5, inactive=0.7, inactive_no_stamp=0.2)
        if form != "active_absent":
            resource["active"] = form == "active_true"
        self.register(resource, focus)
        if not self.received:
            self.say("patient_never_received")
        elif form == "inactive":
            shift = self.rng.choice((-100, -1, 0, 1, 100))
            moment = datetime.combine(
                self.anchor + timedelta(days=shift), time(0, 30), LONDON
            ).astimezone(UTC)
            self.send(resource, moment.isoformat(), "2")
        elif form == "inactive_no_stamp":
            self.send(resource)
        else:
            self.put(resource)

    def doctor(self, kind):
        return {
            "gp_practitioner": {"reference": "Practitioner/d1"},
            "gp_here": {"identifier": {"system": ODS_SYSTEM, "value": PRACTICE}},
            "gp_elsewhere": {"identifier": {"system": ODS_SYSTEM, "value": OTHER_PRACTICE}},
            "gp_no_system": {"identifier": {"value": OTHER_PRACTICE}},
            "gp_organisation_here": {"reference": f"Organization/{PRACTICE}"},
            "gp_organisation_elsewhere": {"reference": "Organization/org-2"},
        }[kind]

    def register(self, resource, focus):
        form = self.draw(
            by_gp=6, by_episode=14, both=3, neither=0.7, only_waiting=0.6, mistaken_episode=0.6
        )
        if form in ("by_gp", "both", "only_waiting", "mistaken_episode"):
            kinds = ("gp_practitioner", "gp_here", "gp_elsewhere", "gp_no_system",
                     "gp_organisation_here", "gp_organisation_elsewhere")  # fmt: skip
            number = 1 if self.chance(0.8) else 2
            drawn = self.rng.choices(kinds, (6, 4, 1, 2, 2, 1), k=number)
            resource["generalPractitioner"] = [self.doctor(self.say(kind)) for kind in drawn]
        if form in ("by_episode", "both"):
            for _ in range(self.rng.choice((1, 1, 1, 2, 3))):
                self.episode(focus)
        if form == "only_waiting":
            self.episode(focus, status=self.draw(planned=1, waitlist=1, cancelled=1))
        if form == "mistaken_episode":
            self.episode(focus, status="entered-in-error")

    def episode(self, focus, status=None):
        resource = {
            "resourceType": "EpisodeOfCare", "patient": self.subject(),
            "status": status or self.draw(active=20, finished=2, onhold=1, planned=0.3),
        }  # fmt: skip
        form = self.draw(start_old=6, start_edge=6, start_unknown=2, no_period=0.5)
        if form != "no_period":
            period = {}
            if form == "start_old":
                period["start"] = self.when(self.long_ago())
            elif form == "start_edge":
                if focus == "mmr" and self.chance(0.7):
                    fifteen = plus_months(self.born, 15)
                    day = fifteen + timedelta(days=self.rng.choice((-1, 0, 1, 2)))
                else:
                    day = self.day(3, 9)
                period["start"] = self.when(day)
            if self.chance(0.15):
                shift = self.rng.choice((-200, -1, 0, 1, 2))
                period["end"] = self.when(self.anchor + timedelta(days=shift))
                self.say("episode_ended")
            resource["period"] = period
        form = self.draw(
            org_absent=6, org_ods=6, org_no_system=1, org_other_system=0.7, org_reference=1.5,
            org_by_id=1.5, org_absolute=0.5, org_elsewhere=1.5, org_conditional=0.5,
            org_display=0.5, org_reference_elsewhere=0.5, org_full_url=1,
        )  # fmt: skip
        organisation = {
            "org_ods": {"identifier": {"system": ODS_SYSTEM, "value": PRACTICE}},
            "org_no_system": {"identifier": {"value": PRACTICE}},
            "org_other_system": {
                "identifier": {"system": "urn:example:local", "value": "17"},
                "reference": f"Organization/{PRACTICE}",
            },
            "org_reference": {"reference": "Organization/org-1"},
            "org_by_id": {"reference": f"Organization/{PRACTICE}"},
            "org_absolute": {"reference": f"https://fhir.example.org/r4/Organization/{PRACTICE}"},
            "org_elsewhere": {"identifier": {"system": ODS_SYSTEM, "value": OTHER_PRACTICE}},
            "org_conditional": {"reference": f"Organization?identifier={ODS_SYSTEM}|A99009"},
            "org_display": {"display": OTHER_PRACTICE},
            "org_full_url": {"reference": self.full_url("Organization")},
            "org_reference_elsewhere": {"reference": "Organization/org-2"},
        }
        if form != "org_absent":
            resource["managingOrganization"] = organisation[form]
        self.put(resource)

    def objection(self):
        form = self.draw(
            no_objection=40, dissent=0.8, dissent_undated=0.4, withdrawn=1, withdrawn_same_day=0.5,
            withdrawn_undated=0.3, dissent_again=0.3, undated_withdrawn=0.3, future_dissent=0.3,
        )  # fmt: skip
        if form == "no_objection":
            return
        day = self.anchor + timedelta(days=400) if form == "future_dissent" else self.long_ago()
        self.fact(
            "TYPE1DISSENT", day=None if "undated" in form and form != "withdrawn_undated" else day
        )
        if form == "withdrawn_same_day":
            self.fact("TYPE1WITHDRAWN", day=day)
        elif form in ("withdrawn", "dissent_again", "undated_withdrawn"):
            self.fact("TYPE1WITHDRAWN", day=day + timedelta(days=1))
        elif form == "withdrawn_undated":
            self.fact("TYPE1WITHDRAWN", day=None)
        if form == "dissent_again":
            self.fact("TYPE1DISSENT", day=day + timedelta(days=2))

    # --- what the indicators ask -------------------------------------------------------------

    def diagnosis(self, cluster, resolution, months):
        """One or more diagnosis codes, perhaps resolved around the last of them."""
        first = self.long_ago() if self.chance(0.6) else self.day(months)
        days = [first] + [self.day(12) for _ in range(self.rng.choice((0, 0, 1)))]
        for day in days:
            self.condition(cluster, day=day)
        form = self.draw(
            not_resolved=16, resolved_code=2, resolved_status=2, resolved_by_stamp=1,
            active_status=2, status_text=0.5,
        )  # fmt: skip
        last = max(days)
        day = last + timedelta(days=self.rng.choice((-1, 0, 1, 30)))
        if form == "resolved_code":
            self.fact(resolution, day=day)
        elif form == "resolved_status":
            status = self.rng.choice(("resolved", "inactive", "remission"))
            self.condition(
                cluster, day=first, abatementDateTime=self.when(day),
                clinicalStatus={"coding": [{"code": status}]},
            )  # fmt: skip
        elif form == "resolved_by_stamp":
            self.condition(cluster, day=first, clinicalStatus={"coding": [{"code": "resolved"}]})
        elif form == "active_status":
            self.condition(
                cluster, day=first, clinicalStatus={"coding": [{"code": "active"}]},
                abatementDateTime=self.when(day),
            )  # fmt: skip
        elif form == "status_text":
            self.condition(
                cluster, day=first, clinicalStatus={"text": "resolved"},
                abatementDateTime=self.when(day),
            )  # fmt: skip

    def invitations(self, cluster, test=None, window=12):
        """Two at 6, 7 or 8 days apart, or on one day, with a test about the first of them."""
        first = self.day(window) if self.chance(0.4) else self.recent(window)
        gap = self.rng.choice((0, 6, 7, 7, 7, 8, 60))
        self.say(f"invited_{gap}_days_apart")
        self.fact(cluster, day=first)
        self.fact(cluster, day=first + timedelta(days=gap))
        if test and self.chance(0.4):
            test(first + timedelta(days=self.rng.choice((-1, 0, 1))))

    def frailty(self):
        for _ in range(self.rng.choice((1, 1, 2))):
            cluster = self.rng.choice(("MILDFRAIL", "MODFRAIL", "SEVFRAIL"))
            self.fact(cluster, day=self.rng.choice((self.long_ago(), self.day(12))))
        if self.chance(0.4):
            self.tie(*self.rng.choice((("MILDFRAIL", "SEVFRAIL"), ("SEVFRAIL", "MILDFRAIL"))))

    def tie(self, *clusters, values=(None, None)):
        """Two facts of one instant: the greater stamp, version, id or type decides."""
        day = self.recent()
        ids = [self.next_id(), self.next_id()]
        form = self.draw(tie_id=1, tie_stamp=1, tie_version=2, tie_type=1, tie_of_day=1)
        stamps = ["2026-01-01T00:00:00Z"] * 2 if self.chance(0.5) else [None, None]
        versions, kinds = ["3", "3"], ["Observation", "Observation"]
        if form == "tie_stamp":
            stamps = ["2026-01-01T00:00:00Z", "2026-01-01T00:30:00+01:00"]
        elif form == "tie_version":
            versions = list(self.rng.choice((("9", "10"), ("x", "0"), ("x", "0"), ("0", "99a"))))
        elif form == "tie_type" and values == (None, None):
            kinds, ids = ["Condition", "Observation"], ids[:1] * 2
        days = [day.isoformat()] * 2
        if form == "tie_of_day":  # no tie: the later hour decides, whatever was sent last
            days = [f"{day.isoformat()}T09:00:00", f"{day.isoformat()}T09:30:00+00:00"]
            stamps = ["2026-02-02T00:00:00Z", "2026-02-01T00:00:00Z"]
        for changing in (stamps, versions, kinds, days):
            self.rng.shuffle(changing)
        for cluster, value, ident, stamp, version, kind, when in zip(
            clusters, values, ids, stamps, versions, kinds, days, strict=True
        ):
            resource = {
                "resourceType": kind, "id": ident,
                "subject": {"reference": f"Patient/{self.id}"},
                "code": {"coding": [self.coding(cluster)]},
            }  # fmt: skip
            date_name = "recordedDate" if kind == "Condition" else "effectiveDateTime"
            resource[date_name] = when
            if kind == "Observation":
                resource["status"] = "final"
            if value is not None:
                resource["valueQuantity"] = {"value": value}
            self.send(resource, stamp, version)

    def bp(self):
        self.diagnosis("HYP", "HYPRES", 9)
        if self.chance(0.15):
            self.frailty()
        days = [self.recent() if self.chance(0.5) else self.day(12) for _ in range(2)]
        for _ in range(self.rng.choice((0, 1, 1, 2, 3))):
            self.blood_pressure(self.rng.choice(days))
        if self.chance(0.25):
            for _ in range(self.rng.choice((1, 2))):  # several readings of one day are pooled
                self.blood_pressure(days[0])
        if self.chance(0.15):
            cluster = self.rng.choice(("HTMAX", "HYPPCAPU", "BPDEC", "HYPPCADEC"))
            self.fact(cluster, day=self.day(12))
        if self.chance(0.3):
            self.invitations("HYPINVITE", self.blood_pressure)

    def dm(self):
        self.diagnosis("DM", "DMRES", 9)
        if self.chance(0.15):
            self.frailty()
        for _ in range(self.rng.choice((0, 1, 1, 2))):
            self.hba1c(self.recent() if self.chance(0.5) else self.day(12))
        if self.chance(0.2):
            day = self.recent()
            self.hba1c(day)
            self.hba1c(day)
        if self.chance(0.2):
            values = self.rng.choice(((50, 70), (70, 50)))
            self.tie("HBA1C_IFCC", "HBA1C_IFCC", values=values)
        if self.chance(0.2):
            cluster = self.rng.choice(("DMMAX", "DMPCAPU", "BLDTESTDEC", "DMPCADEC"))
            self.fact(cluster, day=self.day(12))
        if self.chance(0.3):
            self.invitations("DMINVITE", self.hba1c)

    def af(self):
        self.diagnosis("AFIB", "AFIBRES", 3)
        for _ in range(self.rng.choice((0, 1, 2))):
            said = {"value": self.rng.choice((0, 1, 1.9, 2, 3)), "unit": "anything"}
            if self.chance(0.1):
                self.say("score_without_value")
                del said["value"]
            if self.chance(0.1):
                self.say("score_without_observation")
                self.condition("CHA2DS2VASC_SCORE", day=self.day(12))
            else:
                self.observation("CHA2DS2VASC_SCORE", day=self.day(12), valueQuantity=said)
        if self.chance(0.3):
            self.prescription("DOAC_RX", self.day(6))
        if self.chance(0.4):
            self.prescription("VKA_RX", self.day(6))
        if self.chance(0.3):
            self.fact(self.rng.choice(("DOACDEC", "DOACPCAPU")), day=self.long_ago())
        if self.chance(0.2):
            cluster = self.rng.choice(("OACDEC", "OACCON", "AFPCADEC", "AFPCAPU"))
            self.fact(cluster, day=self.day(12))

    def cvd(self):
        for _ in range(self.rng.choice((1, 1, 2))):
            cluster = self.rng.choice(("CHD", "PAD", "STRK", "TIA"))
            self.fact(cluster, day=self.long_ago() if self.chance(0.5) else self.day(3))
        if self.chance(0.3):
            self.prescription("STATIN_RX", self.day(6))
        if self.chance(0.3):
            self.fact(self.rng.choice(("STATDEC", "STATPCAPU")), day=self.day(12))
            self.prescription("OTHERLIPID_RX", self.day(6))
        if self.chance(0.25):
            day = self.recent()
            self.fact("PALCARE", day=day)
            if self.chance(0.7):
                later = self.draw(palliative_same_day=1, palliative_ended=1, palliative_again=1)
                shift = {"palliative_same_day": 0, "palliative_ended": 1, "palliative_again": -1}
                self.fact("PALCARENI", day=day + timedelta(days=shift[later]))
        if self.chance(0.15):
            self.fact("LIPIDALLDEC", day=self.day(12))

    def copd(self):
        self.diagnosis("COPD", "COPDRES", 3)
        for cluster in ("COPDRVW", "COPDEXACB", "MRC"):
            for _ in range(self.rng.choice((0, 1, 1, 1, 2))):
                self.fact(cluster, day=self.day(12) if self.chance(0.4) else self.recent())
        if self.chance(0.2):
            self.fact(self.rng.choice(("COPDPCAPU", "COPDPCADEC")), day=self.day(12))
        if self.chance(0.3):
            self.invitations("COPDINVITE")

    def cervical(self):
        if self.chance(0.1):
            self.fact("NOCX", day=self.long_ago())
        for _ in range(self.rng.choice((0, 0, 1, 2))):
            self.fact("SMEAR", day=self.day(42, 66))
        if self.chance(0.2):
            self.fact(self.rng.choice(("CSPCAPU", "CSPCADEC")), day=self.day(42, 66))
        if self.chance(0.2):
            self.fact("PREGNANT", day=self.day(12))
        if self.chance(0.4):
            days = [self.day(42, 66), self.recent(), self.recent()]
            if self.chance(0.3):
                days[2] = days[1]
                self.say("three_invitations_two_days")
            for day in days:
                self.fact("CSINVITE", day=day)

    def mmr(self):
        for _ in range(self.rng.choice((0, 1, 1, 2))):
            edge = plus_months(self.born, self.rng.choice((12, 18)))
            self.vaccination(edge + timedelta(days=self.rng.choice((-30, -1, 0, 1, 30))))
        if self.chance(0.15):
            self.fact("MMRCON", day=self.day(3))

    def nsaid(self):
        if self.chance(0.7):
            self.prescription("ORAL_NSAID_RX", self.day(3))
        if self.chance(0.4):
            self.prescription("PPI_H2RA_RX", self.day(3))

    def abx(self):
        for _ in range(self.rng.choice((1, 2, 4))):
            self.prescription("BROAD_ABX_RX", self.day(3))

    # --- appointments and contacts -----------------------------------------------------------

    def appointment(self):
        start = self.day(3)
        wait = self.rng.choice((0, 1, 13, 14, 14, 15, 16, 40, -1))
        resource = {
            "resourceType": "Appointment",
            "status": self.draw(
                fulfilled=6, noshow=3, arrived=1, checked_in=1, booked=2, cancelled=1, proposed=0.3,
                pending=0.3, waitlist=0.3,
            ).replace("_", "-"),
            "start": self.instant(start),
        }  # fmt: skip
        if not self.chance(0.07):
            booked = start - timedelta(days=wait)
            resource["created"] = self.when(booked) if self.chance(0.5) else self.instant(booked)
        else:
            self.say("no_booking_time")
        category = self.rng.choice(sorted(CATEGORIES) + list(ODD_CATEGORIES[:2]))
        form = self.draw(
            category_text=5, category_code=5, category_display=0.7, category_none=0.3,
            category_second=0.7,
        )  # fmt: skip
        service = {
            "category_text": [{"text": category}],
            "category_code": [{"coding": [{"system": "urn:x", "code": category}]}],
            "category_display": [{"coding": [{"code": "GCA", "display": category}]}],
            "category_second": [
                {"text": "Clinic"},
                {"coding": [{"code": "1"}, {"code": category}]},
            ],
            "category_none": None,
        }[form]
        if service:
            resource["serviceType"] = service
        actor = {"actor": self.subject(), "status": "accepted"}
        form = self.draw(
            one_patient=12, with_gp=3, twice_the_same=1, two_patients=1, no_patient=0.3,
            unknown_patient=0.3,
        )  # fmt: skip
        again = {"actor": {"reference": f"https://fhir.example.org/r4/Patient/{self.id}"}}
        resource["participant"] = {
            "one_patient": [actor],
            "with_gp": [{"actor": {"reference": "Practitioner/d1"}}, actor],
            "twice_the_same": [actor, again],
            "two_patients": [actor, {"actor": {"reference": "Patient/p0"}}],
            "no_patient": [{"actor": {"reference": "Practitioner/d1"}}],
            "unknown_patient": [{"actor": {"reference": f"Patient/stranger-{self.id}"}}],
        }[form]
        self.put(resource)

    def individual(self):
        form = self.draw(
            doctor=8, doctor_absolute=2, doctor_conditional=2, doctor_urn=1, doctor_identifier=2,
            role_with_identifier=1, related_person=0.3, display_only=0.5, role_conditional=0.2,
            doctor_full_url=1, role_full_url=0.5, urn_of_nothing=0.3, identifier_without_system=0.3,
            urn_role_id=0.3,
        )  # fmt: skip
        number = self.rng.choice((1, 1, 2))
        identifier = {"system": "https://fhir.hl7.org.uk/Id/gmc-number", "value": f"900000{number}"}
        return {
            "doctor": {"reference": f"Practitioner/d{number}", "display": "Dr A"},
            "doctor_absolute": {"reference": f"https://fhir.example.org/r4/Practitioner/d{number}"},
            "doctor_conditional": {"reference": f"Practitioner?identifier=urn:gmc|900000{number}"},
            "doctor_urn": {"reference": f"urn:uuid:d{number}"},
            "doctor_full_url": {"reference": self.full_url("Practitioner")},
            "role_full_url": {
                "reference": self.full_url("PractitionerRole"),
                "identifier": identifier,
            },
            "urn_of_nothing": {"reference": "urn:uuid:nothing", "identifier": identifier},
            "urn_role_id": {"reference": "urn:uuid:r1", "identifier": identifier},
            "identifier_without_system": {"identifier": {"value": f"900000{number}"}},
            "doctor_identifier": {"identifier": identifier},
            "role_with_identifier": {
                "reference": f"PractitionerRole/r{number}",
                "identifier": identifier,
            },
            "related_person": {"reference": "RelatedPerson/x1", "identifier": identifier},
            "display_only": {"display": f"Dr {number}"},
            "role_conditional": {
                "reference": f"PractitionerRole?identifier=urn:gmc|900000{number}",
                "identifier": identifier,
            },
        }[form]

    def full_url(self, kind):
        """That of a resource in the patient's Bundle, else the urn:uuid of a shared one's id."""
        if not self.bundled:
            return {"Practitioner": "urn:uuid:d1", "PractitionerRole": "urn:uuid:r1"}.get(
                kind, f"Organization/{PRACTICE}"
            )
        if kind not in self.full_urls:
            ident = str(uuid.UUID(int=self.rng.getrandbits(128), version=4))
            resource = {"resourceType": kind, "id": f"{self.id}-{kind}"}
            if kind == "Organization":
                code = self.rng.choice((PRACTICE, PRACTICE, OTHER_PRACTICE))
                resource["identifier"] = [{"system": ODS_SYSTEM, "value": code}]
            self.full_urls[kind] = f"urn:uuid:{ident}"
            self.entries.append({"fullUrl": self.full_urls[kind], "resource": resource})
        return self.full_urls[kind]

    def encounter(self):
        resource = {
            "resourceType": "Encounter", "subject": self.subject(),
            "status": self.rng.choices(("finished", "in-progress"), (15, 1))[0],
            "period": {"start": self.when(self.day(12) if self.chance(0.4) else self.recent())},
        }  # fmt: skip
        kind = self.draw(AMB=10, HH=2, VR=1, EMER=1, IMP=1, ACUTE=0.5, NONAC=0.5, class_absent=1.5)
        if kind != "class_absent":
            resource["class"] = {"code": kind}
        participants = []
        for _ in range(self.rng.choice((1, 1, 1, 2, 3))):
            participant = {"individual": self.individual()}
            role = self.draw(PPRF=5, ATND=1, role_absent=2)
            if role != "role_absent":
                participant["type"] = [{"coding": [{"code": role}]}]
            participants.append(participant)
        resource["participant"] = participants
        self.put(resource)


FOCUSES = ("bp", "dm", "af", "cvd", "copd", "cervical", "mmr", "nsaid", "abx")


def make_patient(rng, number):
    patient = Patient(rng, number, rng.choice(ANCHORS))
    focus = FOCUSES[number % len(FOCUSES)]
    patient.person(focus)
    patient.objection()
    getattr(patient, focus)()
    for other in FOCUSES:
        if other != focus and rng.random() < 0.2:
            getattr(patient, other)()
    for _ in range(rng.choice((0, 0, 1, 2, 3))):
        patient.appointment()
    for _ in range(rng.choice((0, 0, 2, 3, 4))):
        patient.encounter()
    return patient


def shared_documents():
    """Organisations and practitioners that the patients' resources refer to."""
    return [
        {"resourceType": "Organization", "id": "org-1", "identifier": [
            {"system": "urn:x", "value": "9"}, {"system": ODS_SYSTEM, "value": PRACTICE}]},
        {"resourceType": "Organization", "id": "org-2",
         "identifier": [{"system": ODS_SYSTEM, "value": OTHER_PRACTICE}]},
        {"resourceType": "Practitioner", "id": "d1"},
        {"resourceType": "Practitioner", "id": "d2"},
        {"resourceType": "PractitionerRole", "id": "r1"},
    ]  # fmt: skip


def make_patients(count, seed):
    rng = Random(seed)
    return [make_patient(rng, number) for number in range(count)]


def loose_documents(patients):
    """What is sent as NDJSON lines, in an order that says nothing."""
    resources = [resource for patient in patients for resource in patient.loose]
    Random(len(resources)).shuffle(resources)
    return shared_documents() + resources


def bundles(patients):
    """What is sent as Bundles: collections and transactions, and the deletions by their stamps."""
    made = []
    for kind in ("collection", "transaction"):
        entries = []
        for number, patient in enumerate(patients):
            if kind == ("collection", "transaction")[number % 2]:
                for entry in patient.entries:
                    resource = entry["resource"]
                    url = f"{resource['resourceType']}/{resource['id']}"
                    request = {"request": {"method": "PUT", "url": url}}
                    entries.append(entry | (request if kind == "transaction" else {}))
        made.append({"resourceType": "Bundle", "type": kind, "entry": entries})
    for kind, stamp in zip(("batch", "history", "transaction"), DELETION_STAMPS, strict=True):
        entries = [entry for patient in patients for entry in patient.deletions[stamp]]
        bundle = {"resourceType": "Bundle", "type": kind, "entry": entries}
        made.append(bundle | ({"timestamp": stamp} if stamp else {}))
    return [bundle for bundle in made if bundle["entry"]]


def documents(patients):
    return loose_documents(patients) + bundles(patients)


STATUSES = {
    **{indicator: {"out", "exception", "miss", "met"} for indicator in ON_PATIENTS},
    "bp-htn-u80": {"out", "excluded", "exception", "miss", "met"},
    "dm-hba1c-58": {"out", "excluded", "exception", "miss", "met"},
    "cervical": {"out", "excluded", "exception", "miss", "met"},
    "nsaid-65-nogi": {"out", "miss", "met"},
    "broad-abx": {"out", "miss", "met"},
    "appt-14d": {"out", "miss", "met"},
    "upc": {"out", "met"},
    "dna": {"out", "miss", "met"},
}
