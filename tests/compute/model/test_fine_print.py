"""The sentences of the indicators' fine print that the core answers for."""

from typing import Any

import pytest

from peerview_common.days import LONG_AGO
from peerview_common.facts import Coded, Fact, GeneralPractice, ResourceType, Sex, Unit
from tests.compute.model.facts_of import (
    appointment,
    changes,
    coded,
    component,
    contact,
    day,
    fact,
    figures,
    lone,
    panel,
    person,
    registered,
    status,
    void,
)

D = "2025-06-15"
HYP = coded("HYP_COD", "2015-01-01")
DM = coded("DM_COD", "2015-01-01")
BORN = person("1960-01-01", sex=Sex.MALE)
BASE = [BORN, registered("2010-01-01"), HYP, DM]


def bp(*facts: Fact) -> str:
    return status("bp-htn-u80", [*BASE, *facts], D)


def dm(*facts: Fact) -> str:
    return status("dm-hba1c-58", [*BASE, *facts], D)


def is_registered(*facts: Fact, on: str = D) -> bool:
    return figures(list(facts), on)["broad-abx"][1] == 1


# -- time


def test_nothing_dated_after_the_day_counts_until_its_day_comes() -> None:
    facts = [*BASE, panel("2025-06-20", 130, 80)]
    assert status("bp-htn-u80", facts, D) == "miss"
    assert changes("bp-htn-u80", facts, D) == day("2025-06-20")
    assert status("bp-htn-u80", facts, "2025-06-20") == "met"


def test_the_window_on_31_august_less_6_months() -> None:
    facts = [person("1940-01-01"), registered("2010-01-01"), coded("AFIB_COD", "2015-01-01")]
    facts.append(coded("DOAC_RX", "2025-02-28"))
    assert status("af-anticoag", facts, "2025-08-27") == "met"
    assert changes("af-anticoag", facts, "2025-08-27") == day("2025-08-28")
    assert status("af-anticoag", facts, "2025-08-31") == "miss"


def test_a_prescription_of_31_august_lapses_on_1_march() -> None:
    facts = [person("1940-01-01"), registered("2010-01-01"), coded("AFIB_COD", "2015-01-01")]
    facts.append(coded("DOAC_RX", "2025-08-31"))
    assert status("af-anticoag", facts, "2026-02-28") == "met"
    assert changes("af-anticoag", facts, "2026-02-28") == day("2026-03-01")
    assert status("af-anticoag", facts, "2026-03-01") == "miss"


def test_who_is_born_on_29_february_is_18_on_1_march_and_80_on_29_february() -> None:
    young = [person("2007-02-28"), registered("2010-01-01"), HYP]
    leap = [person("2008-02-29"), registered("2010-01-01"), HYP]
    assert status("bp-htn-u80", young, "2025-02-28") == "miss"
    assert status("bp-htn-u80", leap, "2026-02-28") == "out"
    assert changes("bp-htn-u80", leap, "2026-02-28") == day("2026-03-01")
    assert status("bp-htn-u80", leap, "2026-03-01") == "miss"


def test_a_child_born_on_31_august_turns_18_months_on_the_last_of_february() -> None:
    child = [person("2023-08-31"), registered("2023-09-01")]
    assert status("mmr-18m", child, "2025-02-27") == "out"
    assert changes("mmr-18m", child, "2025-02-27") == day("2025-02-28")
    assert status("mmr-18m", child, "2025-02-28") == "miss"
    assert status("mmr-18m", child, "2026-02-27") == "miss"
    assert changes("mmr-18m", child, "2026-02-27") == day("2026-02-28")


# -- latest


def hba1c(value: float, when: str = "2025-06-01", **over: Any) -> Fact:
    return coded("HBA1C_IFCC", when, value=value, unit=Unit.MMOL_PER_MOL, **over)


def test_latest_goes_by_instant_then_last_updated_then_version_then_id_then_type() -> None:
    low, high = 50.0, 70.0
    assert dm(hba1c(high, elapsed=1), hba1c(low, elapsed=2)) == "met"
    assert dm(hba1c(high, elapsed=2), hba1c(low, elapsed=1, stamp=9)) == "miss"
    assert dm(hba1c(high, stamp=1, version=9), hba1c(low, stamp=2)) == "met"
    assert dm(hba1c(high, version=2, id="b"), hba1c(low, version=10, id="a")) == "met"
    assert dm(hba1c(high, id="a"), hba1c(low, id="b")) == "met"
    assert dm(hba1c(high, id="b"), hba1c(low, id="a")) == "miss"
    observation, procedure = ResourceType.OBSERVATION, ResourceType.PROCEDURE
    assert dm(hba1c(high, id="a", kind=observation), hba1c(low, id="a", kind=procedure)) == "met"
    assert dm(hba1c(high, id="a", kind=procedure), hba1c(low, id="a", kind=observation)) == "miss"


def test_ids_are_compared_as_text_also_where_they_are_packed() -> None:
    uuid = "9f3c1a52-0000-4000-8000-000000000000"
    assert dm(hba1c(70, id=uuid), hba1c(50, id="a")) == "met"
    assert dm(hba1c(70, id=uuid), hba1c(50, id="8")) == "miss"


# -- versions


def test_a_deleted_fact_takes_no_part() -> None:
    assert status("bp-htn-u80", [BORN, registered("2010-01-01"), void(HYP)], D) == "out"


# -- unresolved


def test_resolved_on_the_day_of_the_latest_diagnosis_is_unresolved() -> None:
    assert bp(coded("HYPRES_COD", "2015-01-01")) == "miss"
    assert bp(coded("HYPRES_COD", "2015-01-02")) == "out"
    assert bp(coded("HYPRES_COD", "2015-01-02"), coded("HYP_COD", "2016-01-01")) == "miss"


def test_a_condition_that_ended_counts_as_a_resolved_code_on_its_day() -> None:
    one = [BORN, registered("2010-01-01")]
    ended = coded("HYP_COD", "2015-01-01", resolved="2025-06-20", kind=ResourceType.CONDITION)
    assert status("bp-htn-u80", [*one, ended], D) == "miss"
    assert changes("bp-htn-u80", [*one, ended], D) == day("2025-06-20")
    assert status("bp-htn-u80", [*one, ended], "2025-06-20") == "out"


def test_resolution_is_of_the_cluster_not_of_one_condition() -> None:
    ended = coded("HYP_COD", "2010-01-01", resolved="2016-01-01", kind=ResourceType.CONDITION)
    assert bp(ended) == "out"
    assert dm(ended) == "miss"
    assert bp(ended, coded("HYP_COD", "2016-01-01")) == "miss"


def test_a_condition_of_two_clusters_is_resolved_in_both() -> None:
    both = coded(("HYP_COD", "DM_COD"), "2020-01-01", resolved="2021-01-01")
    assert (bp(both), dm(both)) == ("out", "out")


# -- registration


def test_registered_from_the_start_until_the_day_before_the_end() -> None:
    period = registered("2025-01-01", "2025-06-01")
    assert not is_registered(BORN, period, on="2024-12-31")
    assert changes("broad-abx", [BORN, period], "2024-12-31") == day("2025-01-01")
    assert is_registered(BORN, period, on="2025-01-01")
    assert changes("broad-abx", [BORN, period], "2025-01-01") == day("2025-06-01")
    assert is_registered(BORN, period, on="2025-05-31")
    assert not is_registered(BORN, period, on="2025-06-01")


def test_the_general_practitioner_registers_where_there_is_no_episode_at_all() -> None:
    absent = person(practice=GeneralPractice.ABSENT)
    elsewhere = person(practice=GeneralPractice.ELSEWHERE)
    other = registered("2010-01-01", here=False)
    assert is_registered(BORN)
    assert not is_registered(absent)
    assert not is_registered(elsewhere)
    assert not is_registered(BORN, other)
    assert is_registered(BORN, void(other))
    assert is_registered(absent, other, registered("2010-01-01"))


def test_of_several_periods_the_earliest_start_counts_and_unknown_is_the_earliest() -> None:
    recent, old = registered("2025-05-01"), registered("2010-01-01")
    one = [BORN, HYP, recent]
    assert status("bp-htn-u80", one, D) == "exception"
    assert status("bp-htn-u80", [*one, old], D) == "miss"
    assert status("bp-htn-u80", [*one, registered(LONG_AGO)], D) == "miss"
    assert status("bp-htn-u80", [*one, registered("2010-01-01", "2025-06-01")], D) == "exception"


def test_a_longer_period_that_ends_gives_way_to_the_recent_one() -> None:
    facts = [BORN, HYP, registered("2025-05-01"), registered("2010-01-01", "2025-06-20")]
    assert status("bp-htn-u80", facts, D) == "miss"
    assert changes("bp-htn-u80", facts, D) == day("2025-06-20")
    assert status("bp-htn-u80", facts, "2025-06-20") == "exception"


def test_inactive_ends_every_period_and_without_a_day_long_ago() -> None:
    left = person(inactive_from="2025-06-10")
    assert is_registered(left, on="2025-06-09")
    assert changes("broad-abx", [left], "2025-06-09") == day("2025-06-10")
    assert not is_registered(left, on="2025-06-10")
    assert not is_registered(left, registered("2010-01-01", "2030-01-01"), on="2025-06-10")
    assert not is_registered(left, registered("2010-01-01", "2025-01-01"), on="2025-02-01")
    assert not is_registered(person(inactive_from=LONG_AGO), registered("2010-01-01"))


def test_the_dead_are_not_registered_from_the_day_they_died() -> None:
    died = person(died="2025-06-10")
    assert is_registered(died, on="2025-06-09")
    assert changes("broad-abx", [died], "2025-06-09") == day("2025-06-10")
    assert not is_registered(died, on="2025-06-10")
    assert not is_registered(person(died=LONG_AGO), on="1990-01-01")


def test_nobody_is_registered_without_a_person_but_appointments_count() -> None:
    facts = [registered("2010-01-01"), HYP, appointment("2025-06-01"), contact(D), contact(D)]
    for gone in (facts, [*facts, void(BORN)]):
        found = figures(gone, D)
        assert found.pop("dna") == (3, 1, 0)
        assert set(found.values()) == {(0, 0, 0)}


def test_without_a_birth_date_every_age_test_fails() -> None:
    unborn = [person(None), registered("2010-01-01"), HYP, DM, coded("SMEAR_COD", D)]
    found = figures(unborn, D)
    for indicator in ("bp-htn-u80", "dm-hba1c-58", "cervical", "mmr-18m", "nsaid-65-nogi"):
        assert found[indicator] == (0, 0, 0)
    assert found["broad-abx"] == (3, 1, 0)


def test_an_unknown_registration_start_is_never_recent_nor_late() -> None:
    assert status("bp-htn-u80", [BORN, HYP], D) == "miss"
    assert status("mmr-18m", [person("2023-05-01"), registered(LONG_AGO)], D) == "miss"


# -- values


@pytest.mark.parametrize(
    ("cluster", "value", "unit", "expected"),
    [
        ("HBA1C_IFCC", 48, Unit.MMOL_PER_MOL, "met"),
        ("HBA1C_IFCC", 48, Unit.ABSENT, "met"),
        ("HBA1C_IFCC", 48, Unit.PERCENT, "miss"),
        ("HBA1C_IFCC", 48, Unit.OTHER, "miss"),
        ("HBA1C_IFCC", None, Unit.MMOL_PER_MOL, "miss"),
        ("HBA1C_IFCC", 10, Unit.MMOL_PER_MOL, "met"),
        ("HBA1C_IFCC", 9.9, Unit.MMOL_PER_MOL, "miss"),
        ("HBA1C_PERCENT", 6.5, Unit.PERCENT, "met"),
        ("HBA1C_PERCENT", 6.5, Unit.ABSENT, "met"),
        ("HBA1C_PERCENT", 6.5, Unit.MMOL_PER_MOL, "miss"),
        ("HBA1C_PERCENT", 3.0, Unit.PERCENT, "miss"),
        (("HBA1C_IFCC", "HBA1C_PERCENT"), 6.5, Unit.PERCENT, "met"),
        (("HBA1C_IFCC", "HBA1C_PERCENT"), 48, Unit.ABSENT, "met"),
        (("HBA1C_IFCC", "HBA1C_PERCENT"), 6.5, Unit.ABSENT, "miss"),
        (("HBA1C_IFCC", "HBA1C_PERCENT"), 48, Unit.MMOL_PER_MOL, "met"),
    ],
)
def test_a_reading_counts_with_its_own_unit_or_none_and_only_if_plausible(
    cluster: str | tuple[str, ...], value: float | None, unit: Unit, expected: str
) -> None:
    assert dm(coded(cluster, "2025-06-01", value=value, unit=unit)) == expected


def test_what_is_no_reading_is_neither_the_latest_nor_a_test() -> None:
    good = hba1c(50)
    assert dm(good, hba1c(251, "2025-06-10")) == "met"
    assert dm(good, hba1c(250, "2025-06-10")) == "miss"
    invited = (coded("DMINVITE_COD", "2025-01-01"), coded("DMINVITE_COD", "2025-02-01"))
    assert dm(*invited, hba1c(251, "2025-01-10")) == "exception"
    assert dm(*invited, hba1c(250, "2025-01-10")) == "miss"


def test_the_unit_of_a_score_is_not_read_and_mrc_counts_by_its_code() -> None:
    af = [BORN, registered("2010-01-01"), coded("AFIB_COD", "2015-01-01")]
    score = coded("CHA2DS2VASC_SCORE", "2020-01-01", value=2, unit=Unit.OTHER)
    assert status("af-anticoag", [*af, score], D) == "miss"


@pytest.mark.parametrize(
    ("systolic", "diastolic", "expected"),
    [
        (40, 20, "met"),
        (39, 80, "miss"),
        (130, 19, "miss"),
        (350, 250, "miss"),
    ],
)
def test_implausible_pressures_are_no_reading(
    systolic: float, diastolic: float, expected: str
) -> None:
    assert bp(panel("2025-06-01", systolic, diastolic)) == expected


def test_an_implausible_pair_leaves_the_earlier_one_the_latest() -> None:
    assert bp(panel("2025-05-01", 130, 80), panel("2025-06-01", 351, 80)) == "met"
    assert bp(panel("2025-05-01", 130, 80), panel("2025-06-01", 350, 250)) == "miss"


def test_pressures_count_in_mm_hg_or_without_a_unit() -> None:
    assert bp(panel("2025-06-01", 130, 80, unit=Unit.ABSENT)) == "met"
    assert bp(panel("2025-06-01", 130, 80, unit=Unit.OTHER)) == "miss"
    assert bp(panel("2025-06-01", 130, 80, unit=Unit.PERCENT)) == "miss"


# -- blood pressure


def test_components_are_read_only_in_a_panel() -> None:
    parts = (component("BP_SYSTOLIC_CLINIC", 130), component("BP_DIASTOLIC_CLINIC", 80))
    assert bp(coded("BP_PANEL", "2025-06-01", components=parts)) == "met"
    assert bp(coded("MRC_COD", "2025-06-01", components=parts)) == "miss"


def test_each_component_belongs_to_the_setting_of_its_own_code() -> None:
    mixed = (component("BP_SYSTOLIC_CLINIC", 130), component("BP_DIASTOLIC_HOME", 80))
    assert bp(coded("BP_PANEL", "2025-06-01", components=mixed)) == "miss"
    four = (*mixed, component("BP_SYSTOLIC_HOME", 135), component("BP_DIASTOLIC_CLINIC", 95))
    assert bp(coded("BP_PANEL", "2025-06-01", components=four)) == "met"


def test_panels_and_lone_facts_of_a_day_are_pooled_by_setting() -> None:
    assert bp(lone("SYSTOLIC_CLINIC", D, 130), lone("DIASTOLIC_CLINIC", D, 80)) == "met"
    assert bp(lone("SYSTOLIC_CLINIC", D, 130), lone("DIASTOLIC_HOME", D, 80)) == "miss"
    assert bp(lone("SYSTOLIC_CLINIC", D, 130), lone("DIASTOLIC_CLINIC", "2025-06-14", 80)) == "miss"
    assert bp(panel(D, 150, 80), lone("SYSTOLIC_CLINIC", D, 130)) == "met"
    assert bp(panel(D, 130, 95), panel(D, 150, 80)) == "met"
    assert bp(panel(D, 150, None), panel(D, None, 80), lone("SYSTOLIC_CLINIC", D, 140)) == "met"


def test_either_setting_at_target_on_the_latest_day_is_enough_and_only_if_complete() -> None:
    assert bp(panel(D, 150, 95), panel(D, 130, 80, setting="HOME")) == "met"
    assert bp(panel(D, 150, 95), lone("SYSTOLIC_HOME", D, 120)) == "miss"
    assert bp(panel("2025-06-10", 130, 80), panel(D, 136, 80, setting="HOME")) == "miss"
    assert bp(panel("2025-06-10", 130, 80), lone("SYSTOLIC_HOME", D, 150)) == "met"


# -- invitations


def test_two_invitations_are_7_days_apart_wherever_a_third_lies() -> None:
    def invited(*days: str) -> tuple[Fact, ...]:
        return tuple(coded("HYPINVITE_COD", f"2025-{when}") for when in days)

    assert bp(*invited("01-01", "01-01")) == "miss"
    assert bp(*invited("01-01", "01-07")) == "miss"
    assert bp(*invited("01-01", "01-05", "01-08")) == "exception"


def test_the_first_invitation_is_the_earliest_inside_the_window() -> None:
    invitations = [
        coded("HYPINVITE_COD", when) for when in ("2024-06-20", "2025-01-01", "2025-02-01")
    ]
    facts = [*BASE, *invitations, panel("2024-07-01", 150, 95)]
    assert status("bp-htn-u80", facts, D) == "miss"
    assert changes("bp-htn-u80", facts, D) == day("2025-06-20")
    assert status("bp-htn-u80", facts, "2025-06-20") == "exception"
    assert changes("bp-htn-u80", facts, "2025-06-20") == day("2026-01-01")
    assert status("bp-htn-u80", facts, "2026-01-01") == "miss"


def test_a_reading_on_the_day_of_the_first_invitation_undoes_the_exception() -> None:
    invited = [coded("HYPINVITE_COD", when) for when in ("2025-01-01", "2025-02-01")]
    assert bp(*invited, panel("2025-01-01", 200, 110)) == "miss"
    assert bp(*invited, panel("2024-12-31", 200, 110)) == "exception"


# -- palliative care, first diagnoses, success before exceptions


def test_palliative_means_on_a_later_day() -> None:
    base = [BORN, registered("2010-01-01"), coded("CHD_COD", "2015-01-01")]
    care = coded("PALCARE_COD", "2020-01-01", elapsed=9)
    none_same, none_before, none_now = (
        coded("PALCARENI_COD", when) for when in ("2020-01-01", "2019-01-01", D)
    )
    assert status("cvd-lipid-rx", [*base, care], D) == "exception"
    assert status("cvd-lipid-rx", [*base, care, none_same], D) == "miss"
    assert status("cvd-lipid-rx", [*base, care, none_before], D) == "exception"
    assert status("cvd-lipid-rx", [*base, care, none_before, none_now], D) == "miss"


def test_the_first_diagnosis_is_the_earliest_fact_even_if_it_was_resolved() -> None:
    again = [BORN, registered("2010-01-01"), coded("HYP_COD", "2025-06-01")]
    assert status("bp-htn-u80", again, D) == "exception"
    earlier = coded("HYP_COD", "2000-01-01", resolved="2001-01-01", kind=ResourceType.CONDITION)
    assert status("bp-htn-u80", [*again, earlier], D) == "miss"


def test_success_beats_exceptions() -> None:
    assert bp(coded("HTMAX_COD", D), panel(D, 130, 80)) == "met"


def test_a_fact_in_several_clusters_is_in_all_of_them_whatever_carried_it() -> None:
    both = coded(("BPDEC_COD", "DMMAX_COD"), D, kind=ResourceType.PROCEDURE)
    assert (bp(both), dm(both)) == ("exception", "exception")


def test_a_code_in_no_cluster_counts_nowhere() -> None:
    body = Coded(day(D), 0, (999_999_999,), 140, int(Unit.MM_HG), None, ())
    assert bp(fact(ResourceType.OBSERVATION, body)) == "miss"


def test_a_prescription_with_two_listed_codes_is_one_fact() -> None:
    two = coded(("BROAD_ABX_RX", "STATIN_RX"), D)
    assert figures([*BASE, two], D)["broad-abx"] == (4, 1, 1)
