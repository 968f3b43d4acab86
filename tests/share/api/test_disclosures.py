"""Who saw whose cells: what the subject practice reads, and that nothing is shown un-logged."""

import csv
import io

import pytest
from sqlalchemy import text

from peerview_share.agreements.clause import deciding_clause
from peerview_share.agreements.document import PeerIdentification
from peerview_share.api import csv_text
from tests.share.support import document, patients

A, B, C = "A99001", "A99002", "A99003"


@pytest.fixture
def looked(world):
    """Two epochs, a day apart; A looks at both, C at the second alone, one indicator at a time."""
    world.agree(document(A, B, C))
    cells = {"bp-htn-u80": patients(40, 100), "dna": patients(20, 400)}
    world.release(dict.fromkeys((A, B, C), cells))
    world.peers(A)
    world.clock.pass_days(1)
    cells["dna"] = patients(60, 400)
    world.release(dict.fromkeys((A, B, C), cells))
    world.peers(A, path="/dna")
    world.peers(C, path="/bp-htn-u80")
    return world


def read(world, subject=B, who=None, accept="application/json", **query):
    headers = world.issuer.headers(who or subject) | {"Accept": accept}
    url = f"/v1/practices/{subject}/disclosures"
    return world.client.get(url, headers=headers, params=query)


def seen(world, **query):
    answer = read(world, **query)
    assert answer.status_code == 200, answer.text
    return [
        (item["viewer"], item["epoch"], *item["indicators"])
        for item in answer.json()["disclosures"]
    ]


FIRST = (A, 1, "bp-htn-u80", "dna")
SECOND = (A, 2, "dna")
THIRD = (C, 2, "bp-htn-u80")


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({}, [THIRD, SECOND, FIRST]),
        ({"viewer": A}, [SECOND, FIRST]),
        ({"indicator": "dna"}, [SECOND, FIRST]),
        ({"indicator": "bp-htn-u80", "viewer": C}, [THIRD]),
        ({"from": "2026-09-22"}, [THIRD, SECOND]),
        ({"to": "2026-09-21"}, [FIRST]),
        ({"from": "2026-09-21", "to": "2026-09-22"}, [THIRD, SECOND, FIRST]),
        ({"from": "2026-09-23"}, []),
        ({"network": "north"}, [THIRD, SECOND, FIRST]),
        ({"network": "south"}, []),
    ],
)
def test_filters(looked, query, found):
    assert seen(looked, **query) == found


def test_pages_follow_each_other_with_the_filter(looked):
    first = read(looked, limit=1, viewer=A).json()
    assert [item["epoch"] for item in first["disclosures"]] == [2]
    second = read(looked, limit=1, viewer=A, before=first["next"]).json()
    assert [item["epoch"] for item in second["disclosures"]] == [1]
    third = read(looked, limit=1, viewer=A, before=second["next"]).json()
    assert (third["disclosures"], third["next"]) == ([], None)


def test_another_practices_log_is_not_to_be_read(looked):
    assert read(looked, subject=B, who=A).status_code == 403
    assert read(looked, subject=B, who=A, accept="text/csv").status_code == 403
    answer = looked.client.get(f"/v1/practices/{B}/disclosures")
    assert answer.status_code == 401


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({"from": "2026-09-22", "to": "2026-09-21"}, 400),
        ({"from": "yesterday"}, 422),
        ({"viewer": "%"}, 422),
        ({"indicator": "%"}, 404),
        ({"limit": 0}, 422),
        ({"limit": 1001}, 422),
    ],
)
def test_what_cannot_be_asked_is_refused(looked, query, status):
    assert read(looked, **query).status_code == status


def test_each_entry_says_level_and_clause(world):
    modes = {"mode": "named", "perIndicator": {"dna": "named", "upc": "none"}}
    items = [{"indicatorId": name} for name in ("bp-htn-u80", "dna", "upc")]
    world.agree(document(A, B, peerIdentification=modes, dataItems=items))
    cells = {"bp-htn-u80": patients(40, 100)}
    world.release(dict.fromkeys((A, B), cells))
    world.peers(A)
    (entry,) = read(world).json()["disclosures"]
    assert (entry["level"], entry["agreement"], entry["agreement_version"]) == (
        "named",
        "north-learning",
        1,
    )
    assert entry["clauses"] == {
        "bp-htn-u80": "peerIdentification.mode",
        "dna": "peerIdentification.perIndicator.dna",
    }


def test_of_what_is_not_shared_the_log_says_only_that(world):
    world.agree(document(A, B, C))
    limits = {"perIndicator": {"dna": "none"}}
    url = "/v1/agreements/north-learning/limits"
    assert world.client.put(url, json=limits, headers=world.issuer.headers(B)).status_code == 200
    cells = {"bp-htn-u80": patients(40, 100)}
    world.release(dict.fromkeys((A, B, C), cells))
    world.peers(A)
    found = {entry["level"]: entry["clauses"] for entry in read(world).json()["disclosures"]}
    assert found == {
        "named": {"bp-htn-u80": "peerIdentification.mode"},
        "none": {"dna": "not-shared"},
    }


def test_the_clause_of_less_than_the_agreement_allows():
    terms = PeerIdentification(mode="named", per_indicator={"dna": "anonymous"})
    assert deciding_clause(terms, "dna", "anonymous") == "peerIdentification.perIndicator.dna"
    assert deciding_clause(terms, "dna", "distribution") == "limits"
    assert deciding_clause(terms, "upc", "named") == "peerIdentification.mode"
    assert deciding_clause(terms, "upc", "none") == "not-shared"


def test_csv_has_a_line_an_indicator_and_leads_to_the_next_page(looked):
    answer = read(looked, accept="text/csv", limit=2, viewer=A)
    assert answer.headers["content-type"].startswith("text/csv")
    assert "link" in answer.headers
    lines = list(csv.DictReader(io.StringIO(answer.text)))
    assert [(line["epoch"], line["indicator"]) for line in lines] == [
        ("2", "dna"),
        ("1", "bp-htn-u80"),
        ("1", "dna"),
    ]
    assert lines[0]["at"] == "2026-09-22T14:13:20.000Z"
    assert lines[0]["clause"] == "peerIdentification.mode"
    address = answer.headers["link"].partition(">")[0].lstrip("<")
    assert "viewer=A99001" in address
    headers = looked.issuer.headers(B) | {"Accept": "text/csv"}
    rest = looked.client.get(address, headers=headers)
    assert rest.text.splitlines() == [answer.text.splitlines()[0]]
    assert "link" not in rest.headers


def test_a_readers_name_runs_no_formula(world):
    world.agree(document(A, B))
    cells = {"dna": patients(20, 400)}
    world.release(dict.fromkeys((A, B), cells))
    formula = '=HYPERLINK("https://bad.example","x")'
    headers = world.issuer.headers(A, subject=formula)
    assert world.client.get("/v1/networks/north/indicators/dna", headers=headers).is_success
    (line,) = csv.DictReader(io.StringIO(read(world, accept="text/csv").text))
    assert line["reader"] == f"'{formula}"
    (entry,) = read(world).json()["disclosures"]
    assert entry["reader"] == formula


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        ("=1+1", "'=1+1"),
        ("+44", "'+44"),
        ("-1", "'-1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("  =1+1", "'  =1+1"),
        ("\t=1+1", "'\t=1+1"),
        ("\r=1+1", "'\r=1+1"),
        (-1, "-1"),
        (None, ""),
        ("plain = text", "plain = text"),
    ],
)
def test_cells_are_made_safe(value, cell):
    assert csv_text.safe(value) == cell


@pytest.mark.parametrize(
    ("accept", "wanted"),
    [
        ("text/csv", True),
        ("text/csv, application/json;q=0.5", True),
        ("text/csv;q=0.2, application/json", False),
        ("text/csv;q=0", False),
        ("text/csv;q=high", False),
        ("*/*", False),
        (None, False),
    ],
)
def test_csv_is_asked_for_by_name(accept, wanted):
    assert csv_text.wanted(accept) is wanted


BREAK = """
CREATE TRIGGER full_disk BEFORE INSERT ON disclosures
BEGIN SELECT RAISE(ABORT, 'no space left'); END
"""


def test_what_cannot_be_logged_is_not_shown(looked):
    with looked.share.database.write() as connection:
        connection.execute(text(BREAK))
    for answer in (
        looked.peers(A),
        looked.peers(A, path="/dna"),
        looked.peers(A, epoch=1),
        looked.client.get("/"),
    ):
        assert answer.status_code == 503
        assert "could not be logged" in answer.text
        assert "390" not in answer.text
    with looked.share.database.write() as connection:
        connection.execute(text("DROP TRIGGER full_disk"))
    assert looked.peers(A).status_code == 200
    assert looked.client.get("/").status_code == 200


def test_an_unchanged_answer_is_logged_too(looked):
    tag = looked.peers(A).headers["etag"]
    before = len(seen(looked))
    headers = looked.issuer.headers(A) | {"If-None-Match": tag}
    assert looked.client.get("/v1/networks/north/indicators", headers=headers).status_code == 304
    assert len(seen(looked)) == before + 1
