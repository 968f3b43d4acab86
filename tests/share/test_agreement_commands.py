"""`peerview agreement`, as practices' people use it, and what they are told when it cannot be."""

import json
import re

import pytest
from structlog.testing import capture_logs
from typer.testing import CliRunner

from peerview_share.agreements import keys
from peerview_tools import signing_key
from peerview_tools.cli import app
from peerview_tools.client import ServiceError
from tests.share.serving import served

A, B, C, D = "A99001", "A99002", "A99003", "A99004"


@pytest.fixture
def run(world):
    """Runs a command for a practice; returns exit code and what was printed."""
    # the service is in this process: its log lines are not the command's output
    with served(world.client.app) as url, capture_logs():

        def command(practice, *arguments, stdin="", code=0, **claims):
            token = world.issuer.bearer(practice, **claims)
            environment = {"PEERVIEW_SHARE": url, "PEERVIEW_TOKEN": token}
            done = CliRunner().invoke(
                app, ["agreement", *map(str, arguments)], env=environment, input=stdin
            )
            if isinstance(done.exception, ServiceError):
                # what `main` prints of it
                return str(done.exception)
            assert done.exit_code == code, (done.output, done.exception)
            return done.output

        yield command


@pytest.fixture
def drafted(run, tmp_path):
    file = tmp_path / "north.json"
    parties = [word for code in (A, B, C) for word in ("--party", f"{code}=Practice {code}")]
    run(A, "draft", file, *parties, "--network", "north", "--valid-from", "2026-01-01")
    return file


def edited(file, **clauses):
    found = json.loads(file.read_text()) | clauses
    other = file.with_name(f"edited-{len(list(file.parent.iterdir()))}.json")
    other.write_text(json.dumps(found))
    return other


def test_a_draft_has_every_clause_and_no_fault(run, drafted):
    found = json.loads(drafted.read_text())
    assert found["admission"] == {"by": "quorum", "percent": 100}
    assert found["withdrawal"] == {"noticeDays": 0, "pastData": "remove"}
    assert len(found["dataItems"]) == 12
    told = run(A, "check", drafted)
    assert "has no fault" in told
    assert "3 parties, 12 indicators" in told
    assert "is there already" in run(
        A, "draft", drafted, "--party", f"{A}=x", "--party", f"{B}=y", "--network", "n1", code=1
    )


def test_check_tells_all_faults_at_once_by_their_clauses(run, drafted):
    bad = edited(
        drafted,
        purposes=["profit"],
        validTo="2025-12-31",
        titel="x",
        peerIdentification={"mode": "named", "perIndicator": {"nothing": "none"}},
    )
    told = run(A, "check", bad, code=1)
    assert "4 faults" in told
    assert "titel: there is no such clause; is title meant?" in told
    assert "purposes.0: “profit” is not one of" in told
    assert "validTo: 2025-12-31 lies before validFrom, 2026-01-01" in told
    assert "peerIdentification.perIndicator.nothing: this indicator is not in dataItems" in told
    assert "validTo: 2025-12-31 lies" in run(A, "create", bad), "the service says the same"
    assert "is not JSON" in run(A, "check", "README.md", code=2)
    assert "cannot read" in run(A, "check", drafted.parent / "nowhere", code=2)


def test_diff_of_two_files(run, drafted):
    other = edited(drafted, peerIdentification={"mode": "anonymous"}, validTo="2027-03-31")
    told = run(A, "diff", drafted, other, "--practice", A)
    assert "- Your figures of “Did not attend” would now be seen anonymously instead of" in told
    assert "- It would hold to the end of 2027-03-31." in told
    assert run(A, "diff", drafted, drafted) == "Nothing would change.\n"
    assert "two files, or an id" in run(A, "diff", drafted, code=2)


def test_from_a_draft_to_a_withdrawal(run, drafted, world, tmp_path):
    assert "is draft; not yet signed by" in run(A, "create", drafted)
    better = edited(drafted, title="Better", withdrawal={"noticeDays": 30, "pastData": "remove"})
    told = run(B, "edit", better, stdin="n\n", code=1)
    assert "The title would be “Better” instead of “Learning together”" in told
    assert "is draft" in run(B, "edit", better, stdin="y\n")
    document = run(B, "show", "north", "--document")
    assert json.loads(document) == json.loads(run(C, "show", "north", "--version", 1))["agreement"]
    file = tmp_path / "shown.json"
    file.write_text(document.replace("Better", "Best"))
    told = run(C, "edit", file, "--edition", "1.0")
    assert "dr-jones of A99002 saved another text of this draft meanwhile" in told
    assert "is draft" in run(C, "edit", file, "--edition", "1.1")
    assert "Sign these terms for your practice?" in run(A, "sign", "north", stdin="n\n", code=1)
    for code in (A, B):
        run(code, "sign", "north", "--yes")
    assert "north version 1 is active" in run(C, "sign", "north", stdin="y\n")
    assert "has signed this version" in run(C, "sign", "north", "--yes")

    # a practice joins, with a key
    key = tmp_path / "d.pem"
    assert "nothing less is accepted" in run(D, "key", key, "--practice", D)
    assert key.stat().st_mode & 0o077 == 0
    terms = json.loads(run(A, "show", "north"))["termsHash"]
    asked = ("join", "north", "--terms", terms, "--name", "Practice D", "--yes")
    assert "registered a key" in run(D, *asked)
    assert f"asking to join: {D}" in run(D, *asked, "--key", key)
    assert "no such agreement" in run(D, "join", "north", "--terms", "0" * 64, "--name", "x")
    assert "waits for more" in run(A, "admit", "north", "--practice", D)
    run(B, "admit", "north", "--practice", D)
    assert f"{D} is a party now" in run(C, "admit", "north", "--practice", D)

    question = (
        "explain",
        "--network",
        "north",
        "--viewer",
        D,
        "--subject",
        A,
        "--indicator",
        "dna",
    )
    told = run(D, *question)
    assert told.startswith("granted, named at 2026-09-21T14:13:20.000Z\n")
    assert "agreement north version 1, peerIdentification.mode" in told
    assert "is suspended" in run(B, "suspend", "north")
    assert "suspended by A99002 (suspended)" in run(D, *question, code=3)
    assert "has not suspended" in run(A, "resume", "north")
    assert "is active" in run(B, "resume", "north")

    world.clock.now += 60_000
    assert "Withdraw your practice from it?" in run(D, "withdraw", "north", stdin="n\n", code=1)
    told = run(D, "withdraw", "north", "--yes")
    assert f"withdrawn: {D}" in told
    assert "The others must be told by 2026-10-21T14:14:20.000Z" in told
    assert f"{D} has withdrawn (withdrawn)" in run(D, *question, code=3)
    assert run(D, *question, "--at", "2026-09-21T14:14:00Z").startswith("granted, named")
    assert "which is final" in run(D, "withdraw", "north", "--yes")

    second = edited(better, version=2, supersedes=1, peerIdentification={"mode": "distribution"})
    run(A, "create", second)
    told = run(B, "diff", "north", "--versions", "1", "2")
    assert "would now be seen only as part of a distribution instead of by name" in told
    assert json.loads(run(B, "export", "north", "--version", "1"))["@type"] == "Agreement"
    assert json.loads(run(B, "export", "north"))["@type"] == "Offer"


def test_a_signature_is_made_of_what_pages_ask_for_and_of_nothing_else(run, tmp_path):
    file = tmp_path / "a.pem"
    key = signing_key.make(file)
    message = keys.terms_message("sign", A, "north", 1, "0" * 64).decode()
    told = run(A, "signature", file, message)
    assert f"{A} signs version 1 of north, terms {'0' * 64}" in told
    assert told == run(A, "signature", file, stdin=f"{message}\n"), "a line of standard input"
    (proof,) = [line for line in told.splitlines() if line.endswith("==")]
    keys.verify(signing_key.public(key), proof, message.encode())
    admission = keys.admission_message(A, "north", 1, B).decode()
    assert f"{A} agrees to {B} joining version 1 of north" in run(A, "signature", file, admission)
    for other in (
        "",
        "I owe you a surgery",
        message.replace('"sign"', '"withdraw"'),
        message.replace(",", ", "),
        message.replace("}", ',"z":1}'),
        keys.key_message(A, "x").decode(),
    ):
        assert "no message that a page asks" in run(A, "signature", file, other, code=2), other
    assert "cannot read" in run(A, "signature", tmp_path / "none.pem", message)


def test_what_people_are_told_when_it_cannot_be(run, drafted, tmp_path, world):
    assert "no such agreement" in run(A, "show", "nothing")
    assert "lacks the role signatory" in run(A, "create", drafted, roles=())
    run(A, "create", drafted)
    assert "is a draft still" in run(A, "create", drafted)
    no_key = tmp_path / "no.pem"
    no_key.write_text("nothing")
    assert "no private key in PEM" in run(A, "sign", "north", "--yes", "--key", no_key)
    question = (
        "explain",
        "--network",
        "north",
        "--viewer",
        A,
        "--subject",
        B,
        "--indicator",
        "dna",
    )
    assert "needs an offset" in run(A, *question, "--at", "2026-09-21T12:00:00")
    assert "future" in run(A, *question, "--at", "2999-09-21T12:00:00Z")
    assert "covers neither" in run(D, *question)
    done = CliRunner().invoke(
        app,
        ["agreement", "show", "x"],
        env={"PEERVIEW_SHARE": "http://127.0.0.1:1", "PEERVIEW_TOKEN": "x"},
    )
    assert "nothing answers at this address" in str(done.exception)


def test_listed_limited_and_with_its_history(run, drafted):
    assert "no agreement names" in run(A, "list")
    run(A, "create", drafted)
    for practice in (A, B, C):
        run(practice, "sign", "north", "--yes")
    assert "north in north: version 1 active" in run(B, "list")
    told = run(B, "limit", "north", "--indicator", "dna=none", "--indicator", "upc=anonymous")
    assert "A99002 allows in north: named\n  dna: none\n  upc: anonymous\n" in told
    told = run(B, "limit", "north", "--indicator", "upc=", "--mode", "distribution")
    assert "north: distribution\n  dna: none\n" in told
    assert run(B, "limit", "north") == told
    assert "is dna meant?" in run(B, "limit", "north", "--indicator", "dnaa=none")
    assert "is not INDICATOR=LEVEL" in run(B, "limit", "north", "--indicator", "dna", code=2)
    terms = json.loads(run(A, "show", "north"))["termsHash"]
    run(D, "join", "north", "--terms", terms.upper(), "--name", "Dale Surgery", "--yes")
    assert f"{D} does not ask to join north any more" in run(D, "take-back", "north")
    told = run(C, "history", "north")
    assert re.search(r"Z  version 1  A99002 +limited, by dr-jones", told)
    assert "none" not in told, "what it limits is its own affair"


def test_a_lost_key_is_revoked_unless_the_practice_objects(run, drafted, tmp_path):
    key = tmp_path / "a.pem"
    run(A, "key", key, "--practice", A)
    words = ("--practice", A, "--reason", "lost")
    assert "lacks the scope" in run(A, "revoke-key", *words)
    operator = {"scope": "keys:revoke", "roles": ("operator",)}
    told = run("OPS", "revoke-key", *words, **operator)
    assert "unless the practice objects before" in told
    assert "stopped: A99001 goes on signing" in run(A, "keep-key", *words, "--key", key)
    assert "no revocation of the key of A99001 waits" in run(A, "keep-key", *words)


def test_a_merger_is_told_once_it_is_confirmed(run, drafted, world):
    run(A, "create", drafted)
    day = "2026-09-21"
    words = ("--from", A, "--from", C, "--to", D, "--date", day)
    operator = {"scope": "release:operate", "roles": ("operator",)}
    assert "which is final" in run("OPS", "succeed", *words, stdin="n\n", code=1, **operator)
    assert "lacks the scope" in run(A, "succeed", *words, "--yes")
    told = run("OPS", "succeed", *words, "--yes", **operator)
    assert f"{D} succeeds {A}, {C}. Agreements that they left: north" in told
    assert "north in north: version 1 withdrawn" in run(B, "list")


def test_a_hash_that_is_none_is_told_in_words(run):
    told = run(D, "join", "north", "--terms", "abc", "--name", "Dale Surgery")
    assert "query.terms: is no SHA-256: 64 hexadecimal digits" in told
