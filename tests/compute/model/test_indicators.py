"""Every status of every indicator, each from the rule that gives it. As of 15 June 2025 unless a
test says otherwise."""

import pytest

from peerview_common.facts import AppointmentStatus, Fact, Sex, Unit
from peerview_compute.model.counts import divide_half_even
from tests.compute.model.facts_of import (
    appointment,
    changes,
    coded,
    contact,
    day,
    figures,
    lone,
    panel,
    person,
    registered,
    status,
)

D = "2025-06-15"
SINCE = registered("2010-01-01")


def somebody(*facts: Fact, born: str = "1960-01-01", sex: Sex = Sex.FEMALE) -> list[Fact]:
    return [person(born, sex=sex), SINCE, *facts]


# -- bp-htn-u80

HYP = coded("HYP_COD", "2015-01-01")
INVITED = (coded("HYPINVITE_COD", "2025-01-01"), coded("HYPINVITE_COD", "2025-01-08"))


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (somebody(), "out"),
        (somebody(HYP, born="2008-01-01"), "out"),
        (somebody(HYP, born="1945-06-15"), "out"),
        (somebody(HYP, born="1945-06-16"), "miss"),
        (somebody(HYP, born="2007-06-15"), "miss"),
        (somebody(HYP, coded("HYPRES_COD", "2015-01-02")), "out"),
        (somebody(HYP, coded("HYPRES_COD", "2015-01-01")), "miss"),
        ([person(), HYP], "miss"),
        ([SINCE, HYP], "out"),
        (somebody(HYP), "miss"),
        (somebody(HYP, panel("2025-06-01", 140, 90)), "met"),
        (somebody(HYP, panel("2025-06-01", 141, 90)), "miss"),
        (somebody(HYP, panel("2025-06-01", 140, 91)), "miss"),
        (somebody(HYP, panel("2025-06-01", 135, 85, setting="HOME")), "met"),
        (somebody(HYP, panel("2025-06-01", 136, 85, setting="HOME")), "miss"),
        (somebody(HYP, panel("2024-06-15", 130, 80)), "miss"),
        (somebody(HYP, panel("2024-06-16", 130, 80)), "met"),
        (somebody(HYP, panel("2025-06-01", 130, 80), panel("2025-06-10", 150, 95)), "miss"),
        (somebody(HYP, panel("2025-06-01", 150, 95), panel("2025-06-10", 130, 80)), "met"),
        (somebody(HYP, coded("HTMAX_COD", "2025-01-01")), "exception"),
        (somebody(HYP, coded("HYPPCAPU_COD", "2025-01-01")), "exception"),
        (somebody(HYP, coded("BPDEC_COD", "2025-01-01")), "exception"),
        (somebody(HYP, coded("HYPPCADEC_COD", "2025-01-01")), "exception"),
        (somebody(HYP, coded("HTMAX_COD", "2024-06-15")), "miss"),
        (somebody(HYP, coded("HTMAX_COD", "2025-01-01"), panel("2025-06-01", 130, 80)), "met"),
        (somebody(HYP, *INVITED), "exception"),
        (somebody(HYP, *INVITED, panel("2025-01-01", 150, 95)), "miss"),
        (somebody(HYP, *INVITED, panel("2024-12-31", 150, 95)), "exception"),
        (somebody(HYP, *INVITED, lone("SYSTOLIC_CLINIC", "2025-03-01", 150)), "exception"),
        (somebody(coded("HYP_COD", "2024-09-16")), "exception"),
        (somebody(coded("HYP_COD", "2024-09-15")), "miss"),
        (somebody(HYP, coded("HYP_COD", "2025-06-01")), "miss"),
        ([person(), registered("2024-09-16"), HYP], "exception"),
        ([person(), registered("2024-09-15"), HYP], "miss"),
    ],
)
def test_blood_pressure_controlled(facts: list[Fact], expected: str) -> None:
    assert status("bp-htn-u80", facts, D) == expected


@pytest.mark.parametrize("frail", ["MODFRAIL_COD", "SEVFRAIL_COD"])
def test_frailty_excludes_from_blood_pressure_since_april_2026_only(frail: str) -> None:
    facts = somebody(HYP, coded(frail, "2020-01-01"), panel("2026-03-01", 130, 80))
    assert status("bp-htn-u80", facts, "2026-03-31") == "met"
    assert changes("bp-htn-u80", facts, "2026-03-31") == day("2026-04-01")
    assert status("bp-htn-u80", facts, "2026-04-01") == "excluded"
    milder = [*facts, coded("MILDFRAIL_COD", "2021-01-01")]
    assert status("bp-htn-u80", milder, "2026-04-01") == "met"


def test_a_new_version_awaits_nobody_for_whom_it_says_the_same() -> None:
    facts = somebody(HYP, panel("2026-03-01", 130, 80))
    assert changes("bp-htn-u80", facts, "2026-03-02") == day("2027-03-01")


# -- dm-hba1c-58

DM = coded("DM_COD", "2015-01-01")


def hba1c(when: str, value: float | None, unit: Unit = Unit.MMOL_PER_MOL) -> Fact:
    cluster = "HBA1C_PERCENT" if unit == Unit.PERCENT else "HBA1C_IFCC"
    return coded(cluster, when, value=value, unit=unit)


DM_INVITED = (coded("DMINVITE_COD", "2025-01-01"), coded("DMINVITE_COD", "2025-01-20"))


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (somebody(), "out"),
        (somebody(DM, born="2008-06-16"), "out"),
        (somebody(DM, born="2008-06-15"), "miss"),
        (somebody(DM, coded("DMRES_COD", "2020-01-01")), "out"),
        (somebody(DM, coded("MODFRAIL_COD", "2020-01-01"), hba1c("2025-06-01", 50)), "excluded"),
        (
            somebody(DM, coded("SEVFRAIL_COD", "2020-01-01"), coded("MILDFRAIL_COD", "2021-01-01")),
            "miss",
        ),
        (somebody(DM, hba1c("2025-06-01", 58)), "met"),
        (somebody(DM, hba1c("2025-06-01", 58.1)), "miss"),
        (somebody(DM, hba1c("2025-06-01", 7.4, Unit.PERCENT)), "met"),
        (somebody(DM, hba1c("2025-06-01", 7.5, Unit.PERCENT)), "miss"),
        (somebody(DM, hba1c("2024-06-15", 50)), "miss"),
        (somebody(DM, hba1c("2025-06-01", 50), hba1c("2025-06-10", 70)), "miss"),
        (somebody(DM, hba1c("2025-06-01", 50), hba1c("2025-06-10", None)), "met"),
        (somebody(DM, coded("DMMAX_COD", "2025-01-01")), "exception"),
        (somebody(DM, coded("DMPCAPU_COD", "2025-01-01")), "exception"),
        (somebody(DM, coded("BLDTESTDEC_COD", "2025-01-01")), "exception"),
        (somebody(DM, coded("DMPCADEC_COD", "2025-01-01")), "exception"),
        (somebody(DM, *DM_INVITED), "exception"),
        (somebody(DM, *DM_INVITED, hba1c("2025-01-01", 90)), "miss"),
        (somebody(DM, *DM_INVITED, hba1c("2025-01-05", 900)), "exception"),
        (somebody(coded("DM_COD", "2024-09-16")), "exception"),
        ([person(), registered("2024-09-16"), DM], "exception"),
        (somebody(DM), "miss"),
    ],
)
def test_hba1c_58_or_less(facts: list[Fact], expected: str) -> None:
    assert status("dm-hba1c-58", facts, D) == expected


# -- af-anticoag

AF = coded("AFIB_COD", "2015-01-01")
SCORE = coded("CHA2DS2VASC_SCORE", "2010-01-01", value=2)
VKA = coded("VKA_RX", "2025-06-01")


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (somebody(SCORE), "out"),
        (somebody(AF), "out"),
        (somebody(AF, SCORE), "miss"),
        (somebody(AF, SCORE, coded("CHA2DS2VASC_SCORE", "2011-01-01", value=1)), "out"),
        (somebody(AF, SCORE, coded("CHA2DS2VASC_SCORE", "2011-01-01")), "miss"),
        (somebody(AF, born="1950-06-15"), "miss"),
        (somebody(AF, born="1950-06-16"), "out"),
        (somebody(AF, SCORE, coded("AFIBRES_COD", "2020-01-01")), "out"),
        (somebody(AF, SCORE, coded("DOAC_RX", "2024-12-16")), "met"),
        (somebody(AF, SCORE, coded("DOAC_RX", "2024-12-15")), "miss"),
        (somebody(AF, SCORE, VKA), "miss"),
        (somebody(AF, SCORE, VKA, coded("DOACDEC_COD", "2001-01-01")), "met"),
        (somebody(AF, SCORE, VKA, coded("DOACPCAPU_COD", D)), "met"),
        (somebody(AF, SCORE, coded("OACDEC_COD", "2025-01-01")), "exception"),
        (somebody(AF, SCORE, coded("OACCON_COD", "2025-01-01")), "exception"),
        (somebody(AF, SCORE, coded("AFPCADEC_COD", "2025-01-01")), "exception"),
        (somebody(AF, SCORE, coded("AFPCAPU_COD", "2025-01-01")), "exception"),
        (somebody(AF, SCORE, coded("AFPCAPU_COD", "2024-06-15")), "miss"),
        (somebody(coded("AFIB_COD", "2025-03-16"), SCORE), "exception"),
        (somebody(coded("AFIB_COD", "2025-03-15"), SCORE), "miss"),
        ([person(), registered("2025-03-16"), AF, SCORE], "exception"),
    ],
)  # fmt: skip
def test_anticoagulated(facts: list[Fact], expected: str) -> None:
    assert status("af-anticoag", facts, D) == expected


# -- cvd-lipid-rx

CHD = coded("CHD_COD", "2015-01-01")
OTHER = coded("OTHERLIPID_RX", "2025-06-01")


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (somebody(), "out"),
        (somebody(CHD), "miss"),
        (somebody(coded("PAD_COD", "1990-01-01")), "miss"),
        (somebody(coded("STRK_COD", "1990-01-01")), "miss"),
        (somebody(coded("TIA_COD", "1990-01-01")), "miss"),
        (somebody(coded("CHD_COD", "1990-01-01", resolved="1991-01-01")), "miss"),
        (somebody(CHD, coded("STATIN_RX", "2024-12-16")), "met"),
        (somebody(CHD, coded("STATIN_RX", "2024-12-15")), "miss"),
        (somebody(CHD, OTHER), "miss"),
        (somebody(CHD, OTHER, coded("STATDEC_COD", "2024-06-16")), "met"),
        (somebody(CHD, OTHER, coded("STATDEC_COD", "2024-06-15")), "miss"),
        (somebody(CHD, OTHER, coded("STATPCAPU_COD", "2025-01-01")), "met"),
        (somebody(CHD, coded("PALCARE_COD", "2020-01-01")), "exception"),
        (
            somebody(CHD, coded("PALCARE_COD", "2020-01-01"), coded("PALCARENI_COD", "2020-01-01")),
            "miss",
        ),
        (
            somebody(CHD, coded("PALCARE_COD", "2020-01-02"), coded("PALCARENI_COD", "2020-01-01")),
            "exception",
        ),
        (somebody(CHD, coded("LIPIDALLDEC_COD", "2025-01-01")), "exception"),
        (somebody(coded("CHD_COD", "2025-03-16")), "exception"),
        (somebody(coded("CHD_COD", "2025-03-16"), coded("TIA_COD", "1999-01-01")), "miss"),
        ([person(), registered("2025-03-16"), CHD], "exception"),
    ],
)
def test_lipid_lowering(facts: list[Fact], expected: str) -> None:
    assert status("cvd-lipid-rx", facts, D) == expected


# -- copd-review

COPD = coded("COPD_COD", "2015-01-01")
COPD_INVITED = coded("COPDINVITE_COD", "2025-01-01")
REVIEWED = (
    coded("COPDRVW_COD", "2024-06-16"),
    coded("COPDEXACB_COD", "2025-01-01"),
    coded("MRC_COD", "2025-06-15"),
)


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (somebody(), "out"),
        (somebody(COPD, coded("COPDRES_COD", "2016-01-01")), "out"),
        (somebody(COPD), "miss"),
        (somebody(COPD, *REVIEWED), "met"),
        (somebody(COPD, *REVIEWED[1:]), "miss"),
        (somebody(COPD, *REVIEWED[:2]), "miss"),
        (somebody(COPD, *REVIEWED[::2]), "miss"),
        (somebody(COPD, *REVIEWED[1:], coded("COPDRVW_COD", "2024-06-15")), "miss"),
        (somebody(COPD, coded("COPDPCAPU_COD", "2025-01-01")), "exception"),
        (somebody(COPD, coded("COPDPCADEC_COD", "2025-01-01")), "exception"),
        (somebody(COPD, COPD_INVITED, coded("COPDINVITE_COD", "2025-01-07")), "miss"),
        (somebody(COPD, COPD_INVITED, coded("COPDINVITE_COD", "2025-01-08")), "exception"),
        (somebody(coded("COPD_COD", "2025-03-16")), "exception"),
        ([person(), registered("2025-03-16"), COPD], "exception"),
    ],
)  # fmt: skip
def test_copd_review(facts: list[Fact], expected: str) -> None:
    assert status("copd-review", facts, D) == expected


# -- cervical


def woman(born: str, *facts: Fact) -> list[Fact]:
    return somebody(*facts, born=born)


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (somebody(born="1990-01-01", sex=Sex.MALE), "out"),
        (somebody(born="1990-01-01", sex=Sex.UNKNOWN), "out"),
        (woman("2000-06-16"), "out"),
        (woman("2000-06-15"), "miss"),
        (woman("1960-06-16"), "miss"),
        (woman("1960-06-15"), "out"),
        (woman("1990-01-01", coded("NOCX_COD", "1999-01-01"), coded("SMEAR_COD", D)), "excluded"),
        (woman("1990-01-01", coded("SMEAR_COD", "2021-12-16")), "met"),
        (woman("1990-01-01", coded("SMEAR_COD", "2021-12-15")), "miss"),
        (woman("1975-06-16", coded("SMEAR_COD", "2021-12-15")), "miss"),
        (woman("1975-06-15", coded("SMEAR_COD", "2021-12-15")), "met"),
        (woman("1975-06-15", coded("SMEAR_COD", "2019-12-16")), "met"),
        (woman("1975-06-15", coded("SMEAR_COD", "2019-12-15")), "miss"),
        (woman("1990-01-01", coded("CSPCAPU_COD", "2021-12-16")), "exception"),
        (woman("1990-01-01", coded("CSPCADEC_COD", "2021-12-15")), "miss"),
        (woman("1975-06-15", coded("CSPCADEC_COD", "2021-12-15")), "exception"),
        (woman("1990-01-01", coded("PREGNANT_COD", "2024-06-16")), "exception"),
        (woman("1990-01-01", coded("PREGNANT_COD", "2024-06-15")), "miss"),
        (
            woman("1990-01-01", *(coded("CSINVITE_COD", f"2023-01-{n:02}") for n in (1, 2, 3))),
            "exception",
        ),
        (
            woman("1990-01-01", *(coded("CSINVITE_COD", f"2023-01-{n:02}") for n in (1, 2, 2))),
            "miss",
        ),
        ([person("1990-01-01"), registered("2025-03-16")], "exception"),
    ],
)
def test_cervical_screening(facts: list[Fact], expected: str) -> None:
    assert status("cervical", facts, D) == expected


def test_at_50_a_smear_that_had_lapsed_counts_again() -> None:
    facts = woman("1975-08-01", coded("SMEAR_COD", "2021-01-01"))
    assert status("cervical", facts, "2025-07-31") == "miss"
    assert changes("cervical", facts, "2025-07-31") == day("2025-08-01")
    assert status("cervical", facts, "2025-08-01") == "met"


# -- mmr-18m


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (somebody(born="2023-12-16"), "out"),
        (somebody(born="2023-12-15"), "miss"),
        (somebody(born="2022-12-16"), "miss"),
        (somebody(born="2022-12-15"), "out"),
        (somebody(coded("MMR_COD", "2024-05-01"), born="2023-05-01"), "met"),
        (somebody(coded("MMR_COD", "2024-04-30"), born="2023-05-01"), "miss"),
        (somebody(coded("MMR_COD", "2024-11-01"), born="2023-05-01"), "met"),
        (somebody(coded("MMR_COD", "2024-11-02"), born="2023-05-01"), "miss"),
        (somebody(coded("MMRCON_COD", "2024-01-01"), born="2023-05-01"), "exception"),
        ([person("2023-05-01"), registered("2024-08-02")], "exception"),
        ([person("2023-05-01"), registered("2024-08-01")], "miss"),
        ([person("2023-05-01")], "miss"),
    ],
)
def test_mmr_by_18_months(facts: list[Fact], expected: str) -> None:
    assert status("mmr-18m", facts, D) == expected


# -- nsaid-65-nogi


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (somebody(born="1960-06-16"), "out"),
        (somebody(born="1960-06-15"), "miss"),
        (somebody(coded("PPI_H2RA_RX", "2025-03-16"), born="1950-01-01"), "out"),
        (somebody(coded("PPI_H2RA_RX", "2025-03-15"), born="1950-01-01"), "miss"),
        (somebody(coded("ORAL_NSAID_RX", "2025-03-16"), born="1950-01-01"), "met"),
        (somebody(coded("ORAL_NSAID_RX", "2025-03-15"), born="1950-01-01"), "miss"),
    ],
)
def test_nsaid_without_protection(facts: list[Fact], expected: str) -> None:
    assert status("nsaid-65-nogi", facts, D) == expected


# -- broad-abx


def test_broad_spectrum_antibiotics_counts_every_fact_of_three_months() -> None:
    facts = somebody(*(coded("BROAD_ABX_RX", f"2025-{when}") for when in
                       ("03-15", "03-16", "06-01", "06-01", "06-15", "06-16")))  # fmt: skip
    assert figures(facts, D)["broad-abx"] == (4, 1, 4)
    assert figures(somebody(), D)["broad-abx"] == (3, 1, 0)
    assert figures(facts[2:], D)["broad-abx"] == (0, 0, 0)
    assert changes("broad-abx", facts, D) == day("2025-06-16")


# -- appointments

S = AppointmentStatus


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (appointment("2025-06-15", booked="2025-06-01"), (4, 1, 1)),
        (appointment("2025-06-15", booked="2025-05-31"), (3, 1, 0)),
        (appointment("2025-03-16", booked="2025-03-16"), (4, 1, 1)),
        (appointment("2025-03-15", booked="2025-03-15"), (0, 0, 0)),
        (appointment("2025-06-16", booked="2025-06-15"), (0, 0, 0)),
        (appointment("2025-06-01", booked="2025-06-02"), (0, 0, 0)),
        (appointment("2025-06-01"), (0, 0, 0)),
        (appointment("2025-06-01", booked="2025-06-01", category=None), (0, 0, 0)),
        (appointment("2025-06-01", booked="2025-06-01", category=7), (4, 1, 1)),
        *(
            (appointment("2025-06-01", which, booked="2025-06-01"), (4, 1, 1))
            for which in (S.BOOKED, S.ARRIVED, S.FULFILLED, S.NOSHOW, S.CHECKED_IN)
        ),
        *(
            (appointment("2025-06-01", which, booked="2025-06-01"), (0, 0, 0))
            for which in (S.PROPOSED, S.PENDING, S.CANCELLED, S.WAITLIST)
        ),
    ],
)
def test_seen_within_14_days(found: Fact, expected: tuple[int, int, int]) -> None:
    assert figures([found], D)["appt-14d"] == expected


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        *(
            (appointment("2025-06-01", which, category=None), (3, 1, 0))
            for which in (S.ARRIVED, S.FULFILLED, S.CHECKED_IN)
        ),
        (appointment("2025-06-01", S.NOSHOW, category=None), (4, 1, 1)),
        *(
            (appointment("2025-06-01", which), (0, 0, 0))
            for which in (S.PROPOSED, S.PENDING, S.BOOKED, S.CANCELLED, S.WAITLIST)
        ),
        (appointment("2025-03-15", S.NOSHOW), (0, 0, 0)),
        (appointment("2025-06-16", S.NOSHOW), (0, 0, 0)),
    ],
)
def test_did_not_attend(found: Fact, expected: tuple[int, int, int]) -> None:
    assert figures([found], D)["dna"] == expected


def test_appointments_of_one_patient_add_up() -> None:
    facts = [appointment("2025-06-01", S.NOSHOW) for _ in range(2)]
    facts += [appointment("2025-06-02") for _ in range(3)]
    assert figures(facts, D)["dna"] == (4, 5, 2)


# -- upc

ONE, TWO, THREE = b"gp-one--", b"gp-two--", b"gp-three"


@pytest.mark.parametrize(
    ("gps", "expected"),
    [
        ((), (0, 0, 0)),
        ((ONE,), (0, 0, 0)),
        ((ONE, ONE), (4, 1, 1_000_000)),
        ((ONE, TWO), (4, 1, 500_000)),
        ((ONE, TWO, THREE), (4, 1, 333_333)),
        ((ONE, ONE, TWO), (4, 1, 666_667)),
        ((*(ONE,) * 5, *(TWO,) * 3), (4, 1, 625_000)),
        ((*(ONE,) * 71, *(TWO,) * 57), (4, 1, 554_688)),
    ],
)
def test_usual_provider_of_care(gps: tuple[bytes, ...], expected: tuple[int, int, int]) -> None:
    facts = somebody(*(contact("2025-01-01", gp) for gp in gps))
    assert figures(facts, D)["upc"] == expected


def test_continuity_looks_at_12_months_of_a_registered_patient() -> None:
    old, last, future = contact("2024-06-15"), contact("2025-06-15"), contact("2025-06-16", TWO)
    assert figures(somebody(old, last, future), D)["upc"] == (0, 0, 0)
    assert figures(somebody(contact("2024-06-16"), last, future), D)["upc"] == (4, 1, 1_000_000)
    assert figures([last, last], D)["upc"] == (0, 0, 0)


def test_the_share_is_rounded_half_to_even() -> None:
    assert [divide_half_even(n, 2) for n in (1, 2, 3, 4, 5)] == [0, 1, 2, 2, 2]
    assert divide_half_even(1_000_000 * 2, 3) == 666_667
