"""`peerview audit`: the subject's log from a terminal, and whether it is whole."""

import csv
import io
import json

import pytest
from sqlalchemy import text
from structlog.testing import capture_logs
from typer.testing import CliRunner

from peerview_tools.cli import app
from tests.share.serving import served
from tests.share.support import document, patients

A, B, C = "A99001", "A99002", "A99003"


@pytest.fixture
def looked(world):
    """A looks 4 times, and C once at one indicator."""
    world.agree(document(A, B, C))
    cells = {"bp-htn-u80": patients(40, 100), "dna": patients(20, 400)}
    world.release(dict.fromkeys((A, B, C), cells))
    for _ in range(4):
        world.peers(A)
    world.peers(C, path="/dna")
    return world


def peerview(*arguments):
    return CliRunner().invoke(app, ["audit", *arguments])


def listed(world, *arguments, practice=B, who=None):
    # the service is in this process: its log lines are not the command's output
    with served(world.client.app) as url, capture_logs():
        token = world.issuer.bearer(who or practice)
        return peerview("list", practice, "--at", url, "--token", token, *arguments)


def test_list_says_who_saw_what_under_which_agreement(looked):
    answer = listed(looked)
    assert answer.exit_code == 0, answer.output
    newest, *rest = answer.output.splitlines()
    assert len(rest) == 4
    assert newest == (
        "2026-09-21T14:13:20.000Z  A99003  api    north release 1: dna (named); "
        "north-learning version 1; dr-jones"
    )


def test_list_turns_pages_and_filters(looked, monkeypatch):
    monkeypatch.setattr("peerview_tools.audit.PAGE", 2)
    assert len(listed(looked).output.splitlines()) == 5
    assert len(listed(looked, "--newest", "3").output.splitlines()) == 3
    assert len(listed(looked, "--viewer", A).output.splitlines()) == 4
    assert len(listed(looked, "--indicator", "bp-htn-u80").output.splitlines()) == 4
    assert listed(looked, "--from", "2026-09-22").output == ""
    lines = list(csv.DictReader(io.StringIO(listed(looked, "--csv").output)))
    assert [line["indicator"] for line in lines] == ["dna", *["bp-htn-u80", "dna"] * 4]
    assert {line["clause"] for line in lines} == {"peerIdentification.mode"}


def test_another_practices_log_is_refused(looked):
    answer = listed(looked, practice=B, who=A)
    assert answer.exit_code == 1
    assert "gave 403" in str(answer.exception)


def test_verify_finds_what_an_owner_changed(looked, tmp_path):
    url, heads = looked.share.database.url, tmp_path / "heads"
    answer = peerview("verify", "--database", url, "--note", str(heads))
    assert answer.exit_code == 0, answer.output
    assert "17 rows in 4 chains, 0 breaks" in answer.output
    assert [json.loads(line)["rows"] for line in heads.read_text().splitlines()] == [4, 8, 2, 3]
    with looked.share.database.write() as connection:
        connection.execute(text("DROP TRIGGER disclosures_no_UPDATE"))
        connection.execute(text("DROP TRIGGER disclosures_no_DELETE"))
        connection.execute(text("DELETE FROM disclosures WHERE viewer = 'A99003'"))
    assert peerview("verify", "--database", url).exit_code == 0
    answer = peerview("verify", "--database", url, "--noted", str(heads))
    assert answer.exit_code == 1
    assert "disclosures of A99003: a noted head beyond its end: rows are gone" in answer.output
    with looked.share.database.write() as connection:
        connection.execute(text("UPDATE disclosures SET reader = 'nobody' WHERE seq = 3"))
    answer = peerview("verify", "--database", url)
    assert answer.exit_code == 1
    assert "disclosures row 3 of A99001: its hash does not follow" in answer.output


def test_verify_finds_cells_that_are_not_those_released(looked):
    url = looked.share.database.url
    assert peerview("verify", "--database", url).exit_code == 0
    with looked.share.database.write() as connection:
        connection.execute(
            text("UPDATE cells SET numerator = 45 WHERE practice = 'A99002' AND indicator = 'dna'")
        )
        connection.execute(text("DELETE FROM cells WHERE practice = 'A99003'"))
    answer = peerview("verify", "--database", url)
    assert answer.exit_code == 1
    told = answer.output.splitlines()
    assert told[0] == "cells of epoch 1, A99002: its cells are not those that were released"
    assert told[1] == "cells of epoch 1, A99003: its cells are gone"


def test_verify_says_what_it_cannot_read(tmp_path):
    absent = f"sqlite:///{tmp_path}/absent/share.db"
    assert peerview("verify", "--database", absent).exit_code == 2
    (tmp_path / "heads").write_text("not json")
    answer = peerview("verify", "--database", absent, "--noted", str(tmp_path / "heads"))
    assert answer.exit_code == 2
    assert "does not hold heads" in answer.output
