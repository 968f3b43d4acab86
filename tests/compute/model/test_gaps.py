"""Care gaps are the misses (or the harmed), and name the first rule that would change them."""

from random import Random

import pytest

from peerview_common.changes import PatientChange
from peerview_common.facts import Coded, Fact, ResourceType, Unit, pack_id
from peerview_compute.model.core import Core, shipped_definitions
from peerview_compute.model.gaps import Gaps, NoRulesError, gap_status
from peerview_compute.model.status import Status
from tests.compute.engine.feed import DAY, blood_pressure, code, history, person

CORE = Core(shipped_definitions())
GAPS = Gaps(CORE.definitions)
RULED = [one.id for one in CORE.definitions.all if one.kind == "proportion-of-patients"]


def coded(cluster: str, days_ago: int, name: str) -> Fact:
    body = Coded(DAY - days_ago, 0, (code(cluster),), None, Unit.ABSENT, None, ())
    return Fact(ResourceType.OBSERVATION, pack_id(name), 0, 1, "", False, body)


def somebody(*facts: Fact) -> list[Fact]:
    """Registered, and about 72 years old."""
    while True:
        found = person(Random(len(facts) + 4))
        born = found[0].body.birth  # type: ignore[union-attr]
        if 66 * 365 < DAY - born < 79 * 365:
            return [*found, *facts]
        facts = (*facts, coded("BPDEC_COD", 5000, f"filler-{len(facts)}"))


def test_the_status_is_the_cores_for_everybody_and_every_indicator() -> None:
    random = Random(7)
    seen = set()
    for n in range(150):
        facts = history(random, random.randrange(2, 30))
        applied = CORE.apply(None, PatientChange(bytes(16), 0, False, facts), DAY)
        for name in RULED:
            place = CORE.definitions.indicators.index(CORE.definitions[name].id)
            told = GAPS.explain(CORE.facts(applied.stored), DAY, name)
            assert told.status == applied.after[place][0], (n, name)
            assert told.gap == (told.status == gap_status(CORE.definitions[name]))
            assert (told.change is not None) == told.gap
            applies = [answer.outcome for answer in told.rules if answer.applied]
            assert applies[:1] == ([] if told.status == Status.OUT else [told.status.name.lower()])
            seen.add((name, told.status))
    assert ("bp-htn-u80", Status.MISS) in seen
    assert ("nsaid-65-nogi", Status.MET) in seen


def test_a_miss_names_the_rule_that_would_change_it() -> None:
    told = GAPS.explain(
        somebody(coded("HYP_COD", 1000, "h"), blood_pressure(DAY - 20, 170, "b")), DAY, "bp-htn-u80"
    )
    assert told.status == Status.MISS
    assert told.change == "At target on the latest day with a complete pair, in the last 12 months"
    assert [answer.applied for answer in told.rules] == [False] * 5 + [True]


def test_of_several_conditions_those_that_lack_are_named() -> None:
    facts = somebody(coded("COPD_COD", 1000, "c"), coded("MRC_COD", 30, "m"))
    told = GAPS.explain(facts, DAY, "copd-review")
    assert told.status == Status.MISS
    assert told.change is not None
    assert "lacking: " in told.change
    assert "COPDRVW_COD in the last 12 months" in told.change
    assert "MRC" not in told.change.split("lacking: ")[1]


def test_where_lower_is_better_the_harmed_are_the_gaps() -> None:
    facts = somebody(coded("ORAL_NSAID_RX", 10, "n"))
    told = GAPS.explain(facts, DAY, "nsaid-65-nogi")
    assert (told.status, told.gap) == (Status.MET, True)
    assert told.change == "No longer: Oral NSAID in the last 3 months"
    assert not GAPS.explain(facts, DAY + 200, "nsaid-65-nogi").gap


def test_what_has_no_rules_has_no_gaps() -> None:
    for name in set(CORE.definitions.indicators) - set(RULED):
        with pytest.raises(NoRulesError):
            GAPS.explain([], DAY, name)
    with pytest.raises(KeyError):
        GAPS.explain([], DAY, "nothing")
    assert GAPS.explain([], DAY, "bp-htn-u80").status == Status.OUT
