"""A coding is in exactly the clusters that list it."""

from pathlib import Path

import pytest

from peerview_common.codes import CodeList, CodeListError, Row, shipped


def clusters(codes: CodeList, system: str, code: str) -> set[str]:
    return {
        cluster for kept in codes.codes_for(system, code) for cluster in codes.clusters_of(kept)
    }


def test_dmd_and_snomed_are_one_code_space() -> None:
    assert clusters(shipped(), "http://snomed.info/sct", "703907006") == {"DOAC_RX"}
    assert clusters(shipped(), "https://dmd.nhs.uk", "38341003") == {"HYP_COD"}


def test_any_other_system_must_be_the_same_text() -> None:
    assert clusters(shipped(), "http://loinc.org", "8480-6") == {"BP_SYSTOLIC_CLINIC"}
    assert clusters(shipped(), "http://loinc.org/", "8480-6") == set()
    assert clusters(shipped(), "http://loinc.org", " 8480-6") == set()
    assert clusters(shipped(), "http://snomed.info/sct", "038341003") == set()


def test_a_bnf_code_matches_by_prefix_in_a_system_that_mentions_bnf() -> None:
    assert clusters(shipped(), "https://openprescribing.net/BNF", "0212000B0AAABAB") == {
        "STATIN_RX"
    }
    assert clusters(shipped(), "https://openprescribing.net/", "0212000B0AAABAB") == set()
    assert clusters(shipped(), "urn:bnf", "0212000B") == set()


def test_nested_prefixes_keep_every_cluster() -> None:
    codes = CodeList(
        [Row("WIDE", "bnf-prefix", "01", "x"), Row("NARROW", "bnf-prefix", "0103", "x")]
    )
    assert clusters(codes, "bnf", "010305") == {"WIDE", "NARROW"}
    assert clusters(codes, "bnf", "0102") == {"WIDE"}


def test_a_code_in_two_clusters_is_in_both() -> None:
    found = clusters(shipped(), "http://snomed.info/sct", "1109921000000106")
    assert found == {"HYPINVITE_COD", "DMINVITE_COD"}


def test_a_bnf_code_keeps_no_more_than_the_listed_prefix() -> None:
    assert shipped().codes_for("urn:bnf", "0212000B0 MRS CANARY") == ("bnf:0212000B0",)


def test_stand_ins_are_for_demonstration_only() -> None:
    found = shipped().demonstration_clusters()
    assert "PAD_COD" in found
    assert "HYP_COD" not in found


def test_equal_lists_have_equal_versions_in_any_order() -> None:
    rows = shipped().rows
    assert CodeList(reversed(rows)).version == CodeList(rows).version
    assert CodeList(rows[1:]).version != CodeList(rows).version


def test_a_bad_row_is_named_by_its_line(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_text("cluster,system,code,origin\nA,s,1,o\nB,s,,o\n")
    with pytest.raises(CodeListError, match=r"list.csv: line 3: an empty field"):
        CodeList.load(path)
    path.write_text("cluster;code\n")
    with pytest.raises(CodeListError, match="line 1: columns must be"):
        CodeList.load(path)
