"""`peerview release`, as operators and practices use it, and what they are told when they err."""

import pytest
from structlog.testing import capture_logs
from typer.testing import CliRunner

from peerview_tools.cli import app
from peerview_tools.client import ServiceError
from tests.share.serving import served
from tests.share.support import document, patients

A, B = "A99001", "A99002"


def cells_of(numerator, dna=20):
    return {"bp-htn-u80": patients(numerator, 100), "dna": patients(dna, 400)}


@pytest.fixture
def run(world):
    """Runs a command; an epoch is published, and another rests in which B's figure jumped."""
    world.agree(document(A, B))
    world.release({A: cells_of(40), B: cells_of(50)})
    world.share.epochs.lag_ms = 5 * 86_400_000
    world.release({A: cells_of(40), B: cells_of(75, 24)}, confirmed=False)
    with served(world.client.app) as url, capture_logs():

        def command(*arguments, who=(B,), **claims):
            environment = {
                "PEERVIEW_SHARE": url,
                "PEERVIEW_TOKEN": world.issuer.bearer(*who, **claims),
            }
            done = CliRunner().invoke(app, ["release", *arguments], env=environment)
            if isinstance(done.exception, ServiceError):
                return str(done.exception)
            assert done.exit_code == 0, (done.output, done.exception)
            return done.output

        yield command


OPERATOR = {"who": (), "scope": "release:operate", "roles": ()}


def test_a_dry_run_shows_what_would_move_and_why(run):
    told = run("dry-run", "--practice", B, "--counts")
    assert "epoch 2 as of 2024-10-05: in preview" in told
    assert "Counts: 75 of 100." in told
    assert "jumped by over 20 points" in told
    assert "4 in the" in told, "patients who differ from the release that holds dna"
    assert "the token does not cover this practice" in run("dry-run", "--practice", B, who=(A,))


def test_hold_and_confirm(run):
    assert "is held" in run("hold", "bp-htn-u80", "--practice", B, "--note", "wrong extract")
    assert "is released with epoch 2" in run("confirm", "bp-htn-u80", "--practice", B)
    assert "nothing holds bp-htn-u80" in run("confirm", "bp-htn-u80", "--practice", B)
    assert "releases nothing new of dna" in run("hold", "dna", "--practice", B)


def test_the_operator_cuts_lists_and_retracts(run):
    assert "2024-10-05" in run("list", **OPERATOR)
    assert "the next cut waits for it" in run("cut", **OPERATOR)
    assert "lacks the scope release:operate" in run("cut")
    gone = ("retract", "--practice", B, "--epoch", "1", "--reason", "a wrong extract")
    assert "taken back of A99002, released at epoch 1: bp-htn-u80, dna" in run(*gone, **OPERATOR)
    early = ("retract", "--practice", B, "--epoch", "2", "--reason", "x")
    assert "a figure in preview is held instead" in run(*early, **OPERATOR)
