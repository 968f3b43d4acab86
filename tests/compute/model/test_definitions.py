"""Definition files: what is shipped, what a mistake looks like, and that a thirteenth indicator
needs no code."""

from importlib import resources
from pathlib import Path

import pytest

from peerview_common.changes import PatientChange
from peerview_common.codes import CodeList, Row, shipped
from peerview_common.facts import Coded, Fact, ResourceType
from peerview_compute.model.core import Core, shipped_definitions
from peerview_compute.model.definitions import DefinitionError, load_directory, load_texts
from peerview_compute.model.status import Status
from tests.compute.model.facts_of import day, fact, person

READINGS = (resources.files("peerview_compute") / "indicators" / "readings.yaml").read_text("utf-8")

ASTHMA = """\
id: asthma-review
title: Annual asthma review
why: >-
  Most deaths from asthma could be avoided. A yearly review finds who uses too much reliever.
direction: higher
kind: proportion-of-patients
per: 100
unit: "%"
payment: [45, 70]
bands: [50, 60, 70]
source: QOF AST007, simplified
versions:
  - version: "2025.1"
    population:
      - registered: true
      - age: {from: 6}
      - unresolved: {diagnosis: [AST_COD], resolved: [ASTRES_COD]}
    rules:
      - name: Reviewed in the last 12 months
        outcome: met
        when:
          coded: {any-of: [ASTRVW_COD], within: {months: 12}}
      - name: Registered in the last 3 months
        outcome: exception
        when:
          registered-within: {months: 3}
      - name: Not reviewed
        outcome: miss
"""
CODES = CodeList(
    [
        *shipped().rows,
        Row("AST_COD", "http://snomed.info/sct", "195967001", "test"),
        Row("ASTRES_COD", "http://snomed.info/sct", "162660004", "test"),
        Row("ASTRVW_COD", "http://snomed.info/sct", "394700004", "test"),
    ]
)


def load(text: str = ASTHMA, name: str = "asthma-review.yaml") -> Core:
    return Core(load_texts({"readings.yaml": READINGS, name: text}, CODES))


def mistake(old: str, new: str, text: str = ASTHMA) -> str:
    assert old in text
    with pytest.raises(DefinitionError) as raised:
        load(text.replace(old, new, 1))
    return str(raised.value)


def test_there_are_twelve_indicators_with_their_versions() -> None:
    definitions = shipped_definitions()
    assert len(definitions.indicators) == 12
    for indicator in definitions.indicators:
        assert definitions.version_on(indicator, day("2026-03-31")) == "2025.1"
        later = "2026.1" if indicator == "bp-htn-u80" else "2025.1"
        assert definitions.version_on(indicator, day("2026-04-01")) == later
        assert definitions.version_on(indicator, day("1990-01-01")) == "2025.1"


def test_the_payment_ranges_and_directions_are_the_published_ones() -> None:
    definitions = shipped_definitions()
    assert {one.id: one.payment for one in definitions.all if one.payment} == {
        "bp-htn-u80": (40, 85), "dm-hba1c-58": (35, 75), "af-anticoag": (70, 95),
        "cvd-lipid-rx": (70, 95), "copd-review": (50, 90), "cervical": (45, 80),
        "mmr-18m": (90, 96), "appt-14d": (85, 90),
    }  # fmt: skip
    lower = {one.id for one in definitions.all if one.direction == "lower"}
    assert lower == {"nsaid-65-nogi", "broad-abx", "dna"}


def test_a_figure_that_rests_on_stand_ins_is_for_demonstration_only() -> None:
    definitions = shipped_definitions()
    assert "NOCX_COD" in definitions.demonstration_only("cervical")
    assert definitions.demonstration_only("dm-hba1c-58") == frozenset()
    assert definitions.demonstration_only("dna") == frozenset()


def test_every_cluster_of_the_code_list_is_used_but_the_objections() -> None:
    definitions = shipped_definitions()
    used = frozenset().union(*(definitions.clusters(one) for one in definitions.indicators))
    assert shipped().clusters - used == {"TYPE1DISSENT_COD", "TYPE1WITHDRAWN_COD"}


def test_the_hash_tells_definitions_and_code_lists_apart() -> None:
    here = load().definitions
    assert len(here.hash) == 8
    assert here.hash == load().definitions.hash
    assert here.hash != load(ASTHMA.replace("months: 12", "months: 13")).definitions.hash
    other = CodeList([*CODES.rows, Row("AST_COD", "urn:x", "1", "test")])
    files = {"readings.yaml": READINGS, "asthma-review.yaml": ASTHMA}
    assert here.hash != load_texts(files, other).hash


def test_a_thirteenth_indicator_needs_only_its_file(tmp_path: Path) -> None:
    for path in (resources.files("peerview_compute") / "indicators").iterdir():
        (tmp_path / path.name).write_text(path.read_text("utf-8"), "utf-8")
    (tmp_path / "asthma-review.yaml").write_text(ASTHMA, "utf-8")
    core = Core(load_directory(tmp_path, CODES))
    assert len(core.definitions.indicators) == 13
    place = core.definitions.indicators.index("asthma-review")

    def asthma(when: str, code: int) -> Fact:
        body = Coded(day(when), 0, (code,), None, 0, None, ())
        return fact(ResourceType.OBSERVATION, body)

    facts = [person("1990-01-01"), asthma("2015-01-01", 195967001)]
    first = core.apply(None, PatientChange(b"p" * 16, 0, False, facts), day("2025-06-01"))
    assert first.after[place] == (Status.MISS, 1, 0)
    review = PatientChange(b"p" * 16, 0, False, [asthma("2025-05-31", 394700004)])
    second = core.apply(first.stored, review, day("2025-06-01"))
    assert second.after[place] == (Status.MET, 1, 1)
    assert second.evaluations == 1
    lapsed = core.refresh(second.stored, day("2026-05-31"))
    assert lapsed.after[place] == (Status.MISS, 1, 0)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            "any-of: [ASTRVW_COD]",
            "any-of: [ASTRVU_COD]",
            "asthma-review.yaml:22: versions[0].rules[0].when.coded.any-of[0]: "
            "no code list has a cluster ASTRVU_COD",
        ),
        (
            ", within: {months: 12}",
            "",
            "asthma-review.yaml:22: versions[0].rules[0].when.coded: "
            "say either within: {months: N} or ever: true",
        ),
        ("within: {months: 12}", "within: {month: 12}", "within.month: no such field"),
        (
            "direction: higher",
            "direktion: higher",
            "yaml:5: direktion: no such field",
        ),
        ("outcome: met", "outcome: success", "asthma-review.yaml:20: versions[0].rules[0].outcome"),
        ("age: {from: 6}", "age: {from: 60, to: 6}", "no age is at once from and to"),
        ("age: {from: 6}", "age: {}", "say from, to or both"),
        ("- age: {from: 6}", "- {age: {from: 6}, sex: female}", "exactly one field"),
        ("- registered: true", "- sex: female", "must hold registered: true"),
        ("months: 12", "months: 0", "within.months: Input should be greater than"),
        ("bands: [50, 60, 70]", "bands: [50, 70, 60]", "asthma-review.yaml:10: bands: the edges"),
        (
            "kind: proportion-of-patients",
            "kind: rate",
            "rules: the kind rate has no use",
        ),
        ("id: asthma-review", "id: asthma", "the file must be named after it"),
        (
            "title: Annual asthma review",
            "title: One\ntitle: Two",
            "yaml:3: title: said twice",
        ),
        ("[AST_COD]", "[AST_COD", "asthma-review.yaml:"),
        (
            "        outcome: met\n        when:\n"
            "          coded: {any-of: [ASTRVW_COD], within: {months: 12}}\n",
            "        outcome: met\n",
            "versions[0].rules[1]: never reached: 'Reviewed in the last 12 months' always applies",
        ),
        (
            "coded: {any-of: [ASTRVW_COD], within: {months: 12}}",
            "registered-within: {months: 3}",
            "versions[0].rules[1]: never reached: an earlier rule has the same condition",
        ),
        (
            "      - name: Not reviewed\n        outcome: miss\n",
            "",
            "versions[0].rules[1]: the last rule must always apply",
        ),
        (
            "coded: {any-of: [ASTRVW_COD], within: {months: 12}}",
            "latest-reading: {of: peak-flow, ever: true, at-least: 2}",
            "when.latest-reading.of: readings.yaml has no reading peak-flow",
        ),
        (
            "coded: {any-of: [ASTRVW_COD], within: {months: 12}}",
            "invited: {by: [ASTRVW_COD], times: 2, days-apart: 7}",
            "versions[0].rules[0].when.invited.within: is needed",
        ),
    ],
)
def test_a_mistake_is_told_with_file_line_and_field(old: str, new: str, expected: str) -> None:
    assert expected in mistake(old, new)


TWO = ASTHMA.replace(
    '  - version: "2025.1"\n', '  - version: "2025.1"\n    to: 2026-03-31\n'
) + ASTHMA[ASTHMA.index('  - version: "2025.1"') :].replace(
    '"2025.1"\n', '"2026.1"\n    from: 2026-04-01\n'
)


def test_versions_follow_each_other_without_gap_or_overlap() -> None:
    core = load(TWO)
    assert core.definitions.version_on("asthma-review", day("2026-03-31")) == "2025.1"
    assert core.definitions.version_on("asthma-review", day("2026-04-01")) == "2026.1"
    gap = mistake("from: 2026-04-01", "from: 2026-04-02", TWO)
    assert "versions[1].from: leaves a gap after version 2025.1, which ends on 2026-03-31" in gap
    overlap = mistake("from: 2026-04-01", "from: 2026-03-31", TWO)
    assert "versions[1].from: overlaps version 2025.1" in overlap
    assert "overlaps the version before" in mistake("    to: 2026-03-31\n", "", TWO)
    assert "the first version has no from" in mistake("to: 2026-03-31", "from: 2020-01-01", TWO)
    ends = mistake('version: "2025.1"\n', 'version: "2025.1"\n    to: 2026-03-31\n')
    assert "the last version has no to" in ends
    assert "two versions have one name" in mistake('"2026.1"', '"2025.1"', TWO)


def test_one_mistake_is_one_line() -> None:
    assert mistake("outcome: met", "outcome: success").splitlines() == [
        "asthma-review.yaml:20: versions[0].rules[0].outcome: "
        "Input should be 'excluded', 'met', 'exception' or 'miss'"
    ]


def test_all_mistakes_are_told_at_once() -> None:
    with pytest.raises(DefinitionError) as raised:
        load_texts(
            {
                "readings.yaml": READINGS,
                "asthma-review.yaml": ASTHMA.replace("higher", "up").replace("per: 100", "per: x"),
                "other.yaml": "id: [1]\n",
            },
            CODES,
        )
    text = str(raised.value)
    assert "asthma-review.yaml:5: direction" in text
    assert "asthma-review.yaml:7: per" in text
    assert "other.yaml:1: id" in text


def test_an_empty_file_and_unknown_readings_are_refused() -> None:
    with pytest.raises(DefinitionError, match=r"asthma-review.yaml:1: the file is empty"):
        load("")
    with pytest.raises(DefinitionError, match=r"blood-pressure needs a reading systolic-clinic"):
        load_texts({"bp-htn-u80.yaml": _shipped("bp-htn-u80")}, CODES)


def _shipped(indicator: str) -> str:
    path = resources.files("peerview_compute") / "indicators" / f"{indicator}.yaml"
    return path.read_text("utf-8")
