"""`peerview send` and `peerview agreement`, as a practice's people use them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from peerview_common.catalogue import catalogue
from peerview_tools.demo import actions, network
from peerview_tools.simulator import history
from tests.endtoend.stack import DAY, World, practice

pytestmark = pytest.mark.broker


def peerview(
    *arguments: object, stdin: str = "", **environment: str
) -> "subprocess.CompletedProcess[str]":
    start = "from peerview_tools.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", start, *map(str, arguments)],
        env=os.environ | environment,
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_send_takes_files_of_every_form_and_names_what_it_refused(
    world: World, tmp_path: Path
) -> None:
    who = practice("A99070", size=40, seed=70)
    records = list(history(who, DAY))
    half = len(records) // 2
    lines, whole = tmp_path / "first.ndjson", tmp_path / "second.json"
    text = [json.dumps(record) for record in records[:half]]
    lines.write_text("\n".join([*text, "{broken"]))
    entries = [{"resource": record} for record in records[half:]]
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": entries}
    whole.write_text(json.dumps(bundle, indent=1))
    variables = {
        "PEERVIEW_INGEST": world.stack.ingest.url,
        "PEERVIEW_TOKEN": world.tokens.system(who),
    }
    done = peerview("send", "--json", lines, whole, **variables)
    assert done.returncode == 1, done.stderr
    assert f"{lines}:{half + 1}: " in done.stderr
    found = json.loads(done.stdout)
    assert found["rejected"] == 1
    positions = {found["position"]["partition"]: found["position"]["offset"]}
    with world.staff(who) as staff:
        live = actions.await_counted(staff, who.ods, positions, check=world.stack.check)
    assert actions.counts_of(live) == world.evaluated(who, tmp_path)
    again = peerview("send", "--json", whole, **variables)
    assert again.returncode == 0
    found = json.loads(again.stdout)
    assert found["unchanged"] == found["accepted"]


def test_send_says_what_is_wrong(world: World, tmp_path: Path) -> None:
    file = tmp_path / "x.ndjson"
    file.write_text("{}\n")
    refused = peerview("send", "--to", world.stack.ingest.url, "--token", "a.b.c", file)
    assert refused.returncode == 3, refused.stderr
    assert "401" in refused.stderr
    away = peerview("send", "--to", "http://127.0.0.1:9", "--token", "x", file)
    assert away.returncode == 3, away.stderr
    assert "nothing answers at this address" in away.stderr
    gone = peerview("send", "--to", world.stack.ingest.url, "--token", "x", tmp_path / "gone.json")
    assert gone.returncode == 2
    assert "No such file" in gone.stderr
    for done in (refused, away, gone):
        assert "Traceback" not in done.stderr


def test_an_agreement_from_draft_to_withdrawal(world: World, tmp_path: Path) -> None:
    parties = [practice("A99071"), practice("A99072")]
    document = network.agreement(parties, catalogue(), DAY, identity="by-hand", network="by-hand")
    file = tmp_path / "agreement.json"
    file.write_text(json.dumps(document))

    def by(n: int, *arguments: object) -> "subprocess.CompletedProcess[str]":
        token = world.tokens.signatory(parties[n])
        share = world.stack.share.url
        return peerview("agreement", *arguments, PEERVIEW_SHARE=share, PEERVIEW_TOKEN=token)

    made = by(0, "create", file)
    assert made.stdout == "by-hand version 1 is draft; not yet signed by A99071, A99072\n"
    assert by(0, "sign", "by-hand").returncode == 1, "unasked, it must not sign"
    signed = by(0, "sign", "by-hand", "--yes")
    assert signed.stdout == "by-hand version 1 is draft; not yet signed by A99072\n"
    assert by(1, "sign", "by-hand", "--yes").stdout == "by-hand version 1 is active\n"
    shown = json.loads(by(1, "show", "by-hand").stdout)
    assert shown["status"] == "active"
    assert len(shown["signatures"]) == 2
    left = by(1, "withdraw", "by-hand", "--yes")
    says, when, _ = left.stdout.split("\n")
    assert says == "by-hand version 1 is withdrawn; withdrawn: A99072"
    assert when.startswith("It holds now. The others must be told by 20")
    twice = by(0, "create", file)
    assert twice.returncode == 1
    assert "409" in twice.stderr
    unknown = by(0, "show", "nonsuch")
    assert unknown.returncode == 1
    assert "there is no such agreement" in unknown.stderr
