"""The twelve indicators, a second time: clear, slow, and sharing no code with the product.

`evaluate` answers in the form of `peerview evaluate --patients`. The comments name the sentence of
the page of the twelve indicators that a line follows, in short words.
"""

import calendar
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction

from .reading import (
    LONG_AGO,
    ODS_SYSTEM,
    appointment,
    contact,
    fact_of,
    newest_versions,
    parse_time,
    patient_of,
    practice_of,
    versions_sent,
)

OUT, EXCLUDED, EXCEPTION = ("out", 0, 0), ("excluded", 0, 0), ("exception", 0, 0)
MISS, MET = ("miss", 1, 0), ("met", 1, 1)
BP_UNITS = (None, "mm[Hg]", "mmHg", "mm Hg")
CATEGORIES = {
    "General Consultation Acute",
    "General Consultation Routine",
    "Unplanned Clinical Activity",
    "Clinical Triage",
    "Walk-in",
    "Home Visit",
    "Care Home Visit",
    "Care Related Encounter but does not fit into any other category",
}


# --- days ------------------------------------------------------------------------------------


def plus_months(day, months):
    """A day that the other month lacks becomes that month's last day."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))


def age_on(birth, as_of):
    """Full years; who was born on 29 February has a birthday on 1 March in other years."""
    had_birthday = (as_of.month, as_of.day) >= (birth.month, birth.day)
    return as_of.year - birth.year - (0 if had_birthday else 1)


# --- one patient at one day ------------------------------------------------------------------


class Patient:
    """All that is known of one patient at `as_of`: only what is dated up to that day."""

    def __init__(self, facts, person, registrations, as_of):
        self.as_of = as_of
        self.facts = [f for f in facts if f["day"] is not None and f["day"] <= as_of]
        self.all_facts = facts
        self.person = person
        self.periods = [
            (start, end)
            for start, end in registrations
            if (start is None or start <= as_of) and (end is None or end > as_of)
        ]

    # the words of the page

    def in_last(self, months, day):
        return plus_months(self.as_of, -months) < day <= self.as_of

    def of(self, *clusters, months=None):
        return [
            fact
            for fact in self.facts
            if fact["clusters"] & set(clusters)
            and (months is None or self.in_last(months, fact["day"]))
        ]

    def days(self, *clusters, months=None):
        return sorted(fact["day"] for fact in self.of(*clusters, months=months))

    def born(self):
        moment = parse_time((self.person or {}).get("birthDate"))
        return moment and moment[1]

    def aged(self, low, high=1000):
        """No birth date: every age test fails."""
        born = self.born()
        return born is not None and low <= age_on(born, self.as_of) <= high

    def registered(self):
        if self.person is None or not self.periods:
            return False
        if self.person.get("deceasedBoolean") is True:
            return False
        died = parse_time(self.person.get("deceasedDateTime"))
        return died is None or died[1] > self.as_of

    def registration_start(self):
        """Several periods: the earliest start, and unknown is the earliest of all."""
        starts = [start for start, _ in self.periods]
        return None if None in starts else min(starts)

    def registered_within(self, months):
        start = self.registration_start()
        return start is not None and self.in_last(months, start)

    def diagnosed_within(self, months, *clusters):
        days = self.days(*clusters)
        return bool(days) and self.in_last(months, days[0])

    def unresolved(self, diagnosis, resolution):
        diagnoses = self.days(diagnosis)
        if not diagnoses:
            return False
        resolved = self.days(resolution)
        for fact in self.all_facts:  # its Condition may say so: abatement, else lastUpdated
            if diagnosis in fact["clusters"] and fact["day"] and fact["resolved"]:
                resolved.append(fact["resolved"])
        return not any(diagnoses[-1] < day <= self.as_of for day in resolved)

    def frail(self):
        facts = self.of("MILDFRAIL", "MODFRAIL", "SEVFRAIL")
        return bool(facts) and bool(latest(facts)["clusters"] & {"MODFRAIL", "SEVFRAIL"})

    def uncontrolled_invitations(self, cluster, test_days):
        """At least 7 days apart, and no test on or after the first one of the window."""
        days = self.days(cluster, months=12)
        if not days or days[-1] - days[0] < timedelta(days=7):
            return False
        return not any(days[0] <= day <= self.as_of for day in test_days)

    # readings

    def blood_pressures(self):
        """{day: {setting: (systolics, diastolics)}}, of plausible readings in a blood pressure's
        unit: panels' components and lone facts alike."""
        days = {}
        for fact in self.facts:
            said = [(fact["clusters"], fact["value"], fact["unit"]), *fact["components"]]
            for clusters, value, unit in said:
                if value is None or unit not in BP_UNITS:
                    continue
                for setting in ("CLINIC", "HOME"):
                    pools = days.setdefault(fact["day"], {}).setdefault(setting, ([], []))
                    if f"BP_SYSTOLIC_{setting}" in clusters and 40 <= value <= 350:
                        pools[0].append(value)
                    if f"BP_DIASTOLIC_{setting}" in clusters and 20 <= value <= 250:
                        pools[1].append(value)
        return days

    def complete_pair_days(self):
        return sorted(
            day
            for day, settings in self.blood_pressures().items()
            if any(systolic and diastolic for systolic, diastolic in settings.values())
        )

    def hba1c(self):
        """Facts that hold a plausible HbA1c, each with its mmol/mol."""
        readings = []
        for fact in self.facts:
            value, unit = fact["value"], fact["unit"]
            if value is None:
                continue
            if "HBA1C_IFCC" in fact["clusters"] and unit in (None, "mmol/mol"):
                mmol = value
            elif "HBA1C_PERCENT" in fact["clusters"] and unit in (None, "%"):
                mmol = Decimal("10.93") * value - Decimal("23.5")
            else:
                continue
            if 10 <= mmol <= 250:
                readings.append({**fact, "mmol": mmol})
        return readings


def latest(facts):
    """The order of `latest`: instant, last updated, version, id as text, resource type."""
    return max(facts, key=lambda f: (f["instant"], f["stamp"], f["version"], f["id"], f["type"]))


# --- proportions on patients -----------------------------------------------------------------


def bp_htn_u80(p):
    if not (p.unresolved("HYP", "HYPRES") and p.aged(18, 79)):
        return OUT
    if p.as_of >= date(2026, 4, 1) and p.frail():
        return EXCLUDED
    pairs = [day for day in p.complete_pair_days() if p.in_last(12, day)]
    if pairs:
        settings = p.blood_pressures()[pairs[-1]]
        for setting, systolic_target, diastolic_target in (("CLINIC", 140, 90), ("HOME", 135, 85)):
            systolic, diastolic = settings.get(setting, ([], []))
            if not (systolic and diastolic):
                continue
            if min(systolic) <= systolic_target and min(diastolic) <= diastolic_target:
                return MET
    if p.of("HTMAX", "HYPPCAPU", "BPDEC", "HYPPCADEC", months=12):
        return EXCEPTION
    if p.uncontrolled_invitations("HYPINVITE", p.complete_pair_days()):
        return EXCEPTION
    if p.diagnosed_within(9, "HYP") or p.registered_within(9):
        return EXCEPTION
    return MISS


def dm_hba1c_58(p):
    if not (p.unresolved("DM", "DMRES") and p.aged(17)):
        return OUT
    if p.frail():
        return EXCLUDED
    tests = p.hba1c()
    recent = [test for test in tests if p.in_last(12, test["day"])]
    if recent and latest(recent)["mmol"] <= 58:
        return MET
    if p.of("DMMAX", "DMPCAPU", "BLDTESTDEC", "DMPCADEC", months=12):
        return EXCEPTION
    if p.uncontrolled_invitations("DMINVITE", [test["day"] for test in tests]):
        return EXCEPTION
    if p.diagnosed_within(9, "DM") or p.registered_within(9):
        return EXCEPTION
    return MISS


def af_anticoag(p):
    scores = [f for f in p.of("CHA2DS2VASC_SCORE") if f["value"] is not None]
    at_risk = (scores and latest(scores)["value"] >= 2) or p.aged(75)
    if not (p.unresolved("AFIB", "AFIBRES") and at_risk):
        return OUT
    if p.of("DOAC_RX", months=6):
        return MET
    if p.of("VKA_RX", months=6) and p.of("DOACDEC", "DOACPCAPU"):
        return MET
    if p.of("OACDEC", "OACCON", "AFPCADEC", "AFPCAPU", months=12):
        return EXCEPTION
    if p.diagnosed_within(3, "AFIB") or p.registered_within(3):
        return EXCEPTION
    return MISS


def cvd_lipid_rx(p):
    diagnoses = ("CHD", "PAD", "STRK", "TIA")
    if not p.of(*diagnoses):
        return OUT
    if p.of("STATIN_RX", months=6):
        return MET
    if p.of("STATDEC", "STATPCAPU", months=12) and p.of("OTHERLIPID_RX", months=6):
        return MET
    palliative, not_indicated = p.days("PALCARE"), p.days("PALCARENI")
    # Palliative: a later local date; the same day is not palliative
    if palliative and (not not_indicated or palliative[-1] > not_indicated[-1]):
        return EXCEPTION
    if p.of("LIPIDALLDEC", months=12):
        return EXCEPTION
    if p.diagnosed_within(3, *diagnoses) or p.registered_within(3):
        return EXCEPTION
    return MISS


def copd_review(p):
    if not p.unresolved("COPD", "COPDRES"):
        return OUT
    if all(p.of(cluster, months=12) for cluster in ("COPDRVW", "COPDEXACB", "MRC")):
        return MET
    if p.of("COPDPCAPU", "COPDPCADEC", months=12):
        return EXCEPTION
    if p.uncontrolled_invitations("COPDINVITE", []):  # here no test undoes two invitations
        return EXCEPTION
    if p.diagnosed_within(3, "COPD") or p.registered_within(3):
        return EXCEPTION
    return MISS


def cervical(p):
    if not (p.person.get("gender") == "female" and p.aged(25, 64)):
        return OUT
    window = 42 if p.aged(0, 49) else 66
    if p.of("NOCX"):
        return EXCLUDED
    if p.of("SMEAR", months=window):
        return MET
    if p.of("CSPCAPU", "CSPCADEC", months=window) or p.of("PREGNANT", months=12):
        return EXCEPTION
    if len(set(p.days("CSINVITE", months=window))) >= 3:
        return EXCEPTION
    if p.registered_within(3):
        return EXCEPTION
    return MISS


def mmr_18m(p):
    born = p.born()
    if born is None or not p.in_last(12, plus_months(born, 18)):
        return OUT
    if any(plus_months(born, 12) <= day <= plus_months(born, 18) for day in p.days("MMR")):
        return MET
    start = p.registration_start()
    if p.of("MMRCON") or (start is not None and start > plus_months(born, 15)):
        return EXCEPTION
    return MISS


def nsaid_65_nogi(p):
    if not p.aged(65) or p.of("PPI_H2RA_RX", months=3):
        return OUT
    return MET if p.of("ORAL_NSAID_RX", months=3) else MISS


def broad_abx(p):
    number = len(p.of("BROAD_ABX_RX", months=3))
    return ("met" if number else "miss", 1, number)


def upc(p, contacts):
    """Contribution 1 and round_half_even(1,000,000 x most-seen / all)."""
    seen = [gp for day, gp in contacts if p.in_last(12, day)]
    if len(seen) < 2:
        return OUT
    most = max(seen.count(gp) for gp in seen)
    return ("met", 1, round(Fraction(1_000_000 * most, len(seen))))  # Fraction rounds half to even


# --- proportions on appointments -------------------------------------------------------------


def counted(denominator, numerator):
    """Status words: met when the numerator is above 0, miss when only the denominator is."""
    if not denominator:
        return OUT
    return ("met" if numerator else "miss", denominator, numerator)


def appt_14d(appointments, as_of):
    waits = [
        (a["start"] - a["booked"]).days
        for a in appointments
        if plus_months(as_of, -3) < a["start"] <= as_of
        and a["names"] & CATEGORIES
        and a["booked"] is not None
        and a["booked"] <= a["start"]
        and a["status"] not in ("cancelled", "proposed", "pending", "waitlist")
    ]
    return counted(len(waits), sum(wait <= 14 for wait in waits))


def dna(appointments, as_of):
    known = [
        a["status"]
        for a in appointments
        if plus_months(as_of, -3) < a["start"] <= as_of
        and a["status"] in ("fulfilled", "arrived", "checked-in", "noshow")
    ]
    return counted(len(known), known.count("noshow"))


ON_PATIENTS = {
    "bp-htn-u80": bp_htn_u80,
    "dm-hba1c-58": dm_hba1c_58,
    "af-anticoag": af_anticoag,
    "cvd-lipid-rx": cvd_lipid_rx,
    "copd-review": copd_review,
    "cervical": cervical,
    "mmr-18m": mmr_18m,
    "nsaid-65-nogi": nsaid_65_nogi,
    "broad-abx": broad_abx,
}
ON_APPOINTMENTS = {"appt-14d": appt_14d, "dna": dna}
INDICATORS = [*ON_PATIENTS, "appt-14d", "upc", "dna"]


def version_at(indicator, as_of):
    new = indicator == "bp-htn-u80" and as_of >= date(2026, 4, 1)
    return "2026.1" if new else "2025.1"


# --- registration and objection --------------------------------------------------------------


def registration_periods(person, episodes, newest, practice, register_all):
    """[(start or None, end or None)] at this practice, of the newest version of a Patient."""
    periods, has_episode = [], False
    for version in episodes:
        resource = version["resource"]
        if resource.get("status") == "entered-in-error":
            continue
        has_episode = True
        if resource.get("status") in ("planned", "waitlist", "cancelled"):
            continue
        # where managingOrganization is absent or gives no code, the sender
        if practice_of(resource.get("managingOrganization"), version, newest) in (None, practice):
            period = resource.get("period") or {}
            start, end = parse_time(period.get("start")), parse_time(period.get("end"))
            periods.append((start and start[1], end and end[1]))
    doctors = person["resource"].get("generalPractitioner") or []
    if not has_episode:
        # found as for an episode, an identifier without system being none
        practices = [practice_of(doctor, person, newest, [ODS_SYSTEM]) for doctor in doctors]
        if any(found in (None, practice) for found in practices) or (register_all and not doctors):
            periods.append((None, None))
    if person["resource"].get("active") is False:
        # shortens every period to the earlier of its end and lastUpdated; none: long ago
        updated = parse_time((person["resource"].get("meta") or {}).get("lastUpdated"))
        last = updated[1] if updated else LONG_AGO
        periods = [(start, last if end is None else min(end, last)) for start, end in periods]
    return periods


def objects(facts):
    """Type 1: the latest dissent is not followed by a withdrawal on a later day, whatever D.

    A dissent without a date stands until a deletion removes it."""
    dissents = [f["day"] for f in facts if "TYPE1DISSENT" in f["clusters"]]
    withdrawals = [f["day"] for f in facts if "TYPE1WITHDRAWN" in f["clusters"] and f["day"]]
    if None in dissents:
        return True
    return bool(dissents) and not any(day > max(dissents) for day in withdrawals)


# --- all patients ----------------------------------------------------------------------------


class Practice:
    """What one practice sent, read once; `at` answers for a day."""

    def __init__(self, documents, practice, register_all=False):
        self.practice = practice
        newest = newest_versions(versions_sent(documents))
        live = {key: version for key, version in newest.items() if not version["deleted"]}
        self.persons, self.facts, self.contacts, self.appointments = {}, {}, {}, {}
        self.periods, episodes = {}, {}
        for (kind, ident), version in live.items():
            if kind == "Patient":
                self.persons[ident] = version
            elif kind == "Appointment":
                read = appointment(version, newest)
                for patient in read["patients"] if read else ():
                    self.appointments.setdefault(patient, []).append(read)
            elif kind == "EpisodeOfCare":
                patient = patient_of(version["resource"].get("patient"), version, newest)
                episodes.setdefault(patient, []).append(version)
            elif kind == "Encounter":
                read = contact(version, newest)
                if read:
                    self.contacts.setdefault(read[0], []).append(read[1:])
            else:
                fact = fact_of(version, newest)
                if fact:
                    self.facts.setdefault(fact["patient"], []).append(fact)
        for ident, version in self.persons.items():
            self.periods[ident] = registration_periods(
                version, episodes.get(ident, []), newest, practice, register_all
            )

    def patient_at(self, ident, as_of):
        """{indicator: (status, denominator, numerator)} of one patient, with those out."""
        facts = self.facts.get(ident, [])
        if objects(facts):
            return dict.fromkeys(INDICATORS, OUT)
        results = {}
        person = self.persons.get(ident)
        patient = Patient(facts, person and person["resource"], self.periods.get(ident, []), as_of)
        registered = patient.registered()
        for indicator, rule in ON_PATIENTS.items():
            results[indicator] = rule(patient) if registered else OUT
        results["upc"] = upc(patient, self.contacts.get(ident, [])) if registered else OUT
        for indicator, rule in ON_APPOINTMENTS.items():
            results[indicator] = rule(self.appointments.get(ident, []), as_of)
        return results

    def at(self, as_of):
        """The answer of `peerview evaluate --patients` for one day."""
        patients = {}
        for ident in sorted({*self.persons, *self.facts, *self.contacts, *self.appointments}):
            results = self.patient_at(ident, as_of)
            kept = {i: list(results[i]) for i in INDICATORS if results[i] != OUT}
            if kept:
                patients[ident] = kept
        indicators = {}
        for indicator in INDICATORS:
            mine = [results[indicator] for results in patients.values() if indicator in results]
            statuses = [status for status, _, _ in mine]
            indicators[indicator] = {
                "version": version_at(indicator, as_of),
                "denominator": sum(denominator for _, denominator, _ in mine),
                "numerator": sum(numerator for _, _, numerator in mine),
                **{word: statuses.count(word) for word in ("met", "miss", "exception", "excluded")},
            }
        return {
            "practice": self.practice, "as_of": as_of.isoformat(),
            "indicators": indicators, "patients": patients,
        }  # fmt: skip


def evaluate(documents, practice, as_of, register_all=False):
    """FHIR resources and Bundles to the answer of `peerview evaluate --patients`."""
    return Practice(documents, practice, register_all).at(as_of)
