"""What peers read: released cells, under agreements, and nothing else."""

import json

from tests.share.support import document, live_value, patients

A, B, C = "A99001", "A99002", "A99003"
ALLOWED = {
    "network", "epoch", "indicator", "subject", "state", "numerator", "denominator", "value",
    "unit", "demonstration_only", "version", "as_of", "released", "released_epoch", "agreement",
}  # fmt: skip


def cells_of(numerator, denominator=100):
    return {"bp-htn-u80": patients(numerator, denominator), "dna": patients(20, 400)}


def cell(answer, subject, indicator="bp-htn-u80"):
    found = [
        c for c in answer.json()["cells"] if (c["subject"], c["indicator"]) == (subject, indicator)
    ]
    assert len(found) == 1, answer.text
    return found[0]


def test_peers_see_rounded_cells_by_name_and_no_more(world):
    world.agree(document(A, B))
    world.release({A: cells_of(40), B: cells_of(62, 93)})
    answer = world.peers(A)
    assert answer.status_code == 200
    assert answer.json()["epoch"] == {
        "number": 1,
        "as_of": "2024-10-04",
        "published": "2026-09-21T14:13:20.000Z",
    }
    assert {c["subject"] for c in answer.json()["cells"]} == {B}
    assert cell(answer, B) == {
        "network": "north",
        "epoch": 1,
        "indicator": "bp-htn-u80",
        "subject": B,
        "state": "value",
        "numerator": 60,
        "denominator": 95,
        "value": 63.2,
        "unit": "%",
        "demonstration_only": False,
        "version": "2026.1",
        "as_of": "2024-10-04",
        "released": "2026-09-21",
        "released_epoch": 1,
        "agreement": {"id": "north-learning", "version": 1},
    }
    assert all(set(c) == ALLOWED for c in answer.json()["cells"])


def test_one_indicator(world):
    world.agree(document(A, B))
    world.release({A: cells_of(40), B: cells_of(50)})
    answer = world.peers(A, path="/dna")
    assert [c["indicator"] for c in answer.json()["cells"]] == ["dna"]
    assert world.peers(A, path="/no-such").status_code == 404
    assert world.peers(A, path="/upc").json()["cells"] == []


def test_a_stranger_learns_nothing_not_even_that_the_network_exists(world):
    world.agree(document(A, B))
    world.release({A: cells_of(40), B: cells_of(50)})
    there, nowhere = world.peers(C), world.peers(C, network="nowhere")
    assert there.status_code == nowhere.status_code == 403
    assert there.json() == nowhere.json()
    assert there.headers["content-type"] == "application/problem+json"
    assert there.json()["clause"] == "no-agreement"


def test_nothing_published_yet(world):
    world.agree(document(A, B))
    assert world.peers(A).json() == {
        "network": "north", "viewer": A, "epoch": None, "cells": [], "derived": [], "totals": [],
    }  # fmt: skip
    assert world.peers(A, epoch=1).status_code == 404


def test_rights_never_cross_networks(world):
    world.agree(document(A, B))
    world.agree(document(B, C, id="south-learning", network={"id": "south"}))
    world.release({A: cells_of(40), B: cells_of(50), C: cells_of(60)})
    assert {c["subject"] for c in world.peers(B, "south").json()["cells"]} == {C}
    assert world.peers(A, "south").status_code == 403


def test_earlier_epochs_stay_as_they_were(world):
    world.agree(document(A, B))
    world.release({A: cells_of(40), B: cells_of(50)})
    first = world.peers(A)
    world.release({A: cells_of(40), B: cells_of(70)})
    assert cell(world.peers(A), B)["numerator"] == 70
    again = world.peers(A, epoch=1)
    assert again.content == first.content
    assert again.headers["etag"] == first.headers["etag"]


def test_a_small_change_is_carried_forward_with_its_date(world):
    world.agree(document(A, B))
    world.release({A: cells_of(40), B: cells_of(50)})
    world.clock.pass_days(30)
    world.share.agreements.poll()
    world.release({A: cells_of(40), B: cells_of(53)})
    held = cell(world.peers(A), B)
    assert (held["state"], held["numerator"], held["released"]) == (
        "carried-forward", 50, "2026-09-21"
    )  # fmt: skip
    assert (held["epoch"], held["released_epoch"]) == (2, 1)


def test_answer_and_etag_depend_on_nothing_unreleased(world):
    """Whatever the live figures and the unreleased changes are, a peer reads the same bytes."""
    world.agree(document(A, B))
    world.release({A: cells_of(40), B: cells_of(50)})
    seen = set()
    for changed in (50, 51, 57):
        world.share.figures.put(live_value(B, numerator=changed))
        number = world.release({A: cells_of(40), B: cells_of(changed)})
        answer = world.peers(A)
        # the epoch's number is public; all else must be equal
        assert answer.headers["etag"] == world.peers(A).headers["etag"]
        seen.add(answer.text.replace(f'"epoch":{number}', "").replace(f'"number":{number}', ""))
    dates = {text.split('"cells"')[1] for text in seen}
    assert len(dates) == 1


def test_if_none_match(world):
    world.agree(document(A, B))
    world.release({A: cells_of(40), B: cells_of(50)})
    tag = world.peers(A).headers["etag"]
    headers = world.issuer.headers(A) | {"If-None-Match": tag}
    again = world.client.get("/v1/networks/north/indicators", headers=headers)
    assert again.status_code == 304


def test_suppressed_and_missing_cells_say_so_without_a_reason(world):
    world.agree(document(A, B))
    world.release({A: cells_of(40), B: {"bp-htn-u80": patients(3, 100)}})
    answer = world.peers(A)
    small = cell(answer, B)
    assert small["state"] == "suppressed"
    assert (small["numerator"], small["denominator"], small["value"]) == (None, None, None)
    assert cell(answer, B, "dna")["state"] == "not-submitted"
    assert "few" not in answer.text


def test_usual_provider_of_few_gps_is_not_shared(world):
    world.agree(document(A, B, dataItems=[{"indicatorId": "upc"}]))
    mean = {"upc": dict.fromkeys(range(100), (1, 600000))}
    world.release({A: mean, B: mean}, gps=2)
    assert cell(world.peers(A), B, "upc")["state"] == "not-shared"


def test_waiting_for_a_backfill_is_not_applicable(world):
    world.agree(document(A, B))
    world.release({A: cells_of(40), B: cells_of(50)}, states={"bp-htn-u80": "awaiting-backfill"})
    assert cell(world.peers(A), B)["state"] == "not-applicable"


def test_while_a_practice_is_re_keyed_its_cells_stay_as_they_were(world):
    held = {"states": {"bp-htn-u80": "rekeying"}}
    world.agree(document(A, B))
    world.release({A: cells_of(40), B: cells_of(50)}, **held)
    assert cell(world.peers(A), B)["state"] == "not-submitted"
    world.release({A: cells_of(40), B: cells_of(50)})
    world.release({A: cells_of(40), B: cells_of(80)}, **held)
    found = cell(world.peers(A), B)
    assert (found["state"], found["numerator"]) == ("carried-forward", 50)
    world.release({A: cells_of(40), B: cells_of(80)})
    assert cell(world.peers(A), B)["numerator"] == 80


def test_a_silent_feed_is_not_released(world):
    world.agree(document(A, B))
    world.release({A: cells_of(40), B: cells_of(50)})
    world.release({A: cells_of(40), B: cells_of(80)}, now=world.clock.now - 8 * 86_400_000)
    assert cell(world.peers(A), B)["state"] == "carried-forward"


def test_everything_is_denied_while_agreements_cannot_be_confirmed(world):
    world.agree(document(A, B))
    world.release({A: cells_of(40), B: cells_of(50)})
    world.clock.seconds += 4.1
    answer = world.peers(A)
    assert answer.status_code == 503
    assert answer.json()["type"] == "urn:peerview:problem:agreements-unconfirmed"
    world.share.agreements.poll()
    assert world.peers(A).status_code == 200


def test_the_practice_is_the_tokens_or_named_among_several(world):
    world.agree(document(A, B))
    world.release({A: cells_of(40), B: cells_of(50)})
    get = world.client.get
    url = "/v1/networks/north/indicators"
    both = world.issuer.headers(A, B)
    assert get(url, headers=both).json()["type"] == "urn:peerview:problem:practice-needed"
    assert get(url, headers=both | {"ODS-Code": B}).json()["viewer"] == B
    assert get(url, headers=both | {"ODS-Code": C}).status_code == 403
    assert get(url, headers=world.issuer.headers(A, scope="")).status_code == 403
    assert get(url).status_code == 401


def test_preview_hides_an_epoch_until_the_lag_has_passed(world, tmp_path):
    world.share.epochs.lag_ms = 5 * 86_400_000
    world.agree(document(A, B))
    world.release({A: cells_of(40), B: cells_of(50)})
    assert world.peers(A).json()["epoch"] is None
    world.clock.pass_days(5)
    world.share.agreements.poll()
    epoch = world.share.epochs.current()
    assert world.share.epochs.publish_if_due(epoch, lambda connection: None)
    assert cell(world.peers(A), B)["released"] == "2026-09-26"


def test_every_look_is_logged_and_the_subject_can_read_it(world):
    world.agree(document(A, B))
    world.release({A: cells_of(40), B: cells_of(50)})
    world.peers(A, path="/dna")
    answer = world.client.get(f"/v1/practices/{B}/disclosures", headers=world.issuer.headers(B))
    (entry,) = answer.json()["disclosures"]
    assert entry | {"seq": 0} == {
        "seq": 0,
        "at": "2026-09-21T14:13:20.000Z",
        "subject": B,
        "viewer": A,
        "network": "north",
        "epoch": 1,
        "indicators": ["dna"],
        "agreement": "north-learning",
        "agreement_version": 1,
        "reader": "dr-jones",
        "channel": "api",
        "level": "named",
        "clauses": {"dna": "peerIdentification.mode"},
    }
    stranger = world.client.get(f"/v1/practices/{B}/disclosures", headers=world.issuer.headers(A))
    assert stranger.status_code == 403


def test_own_figures_are_live_exact_and_for_the_practice_alone(world):
    world.share.figures.put(live_value(A))
    url = f"/v1/practices/{A}/indicators"
    answer = world.client.get(url, headers=world.issuer.headers(A))
    assert answer.json()["note"] == "3 patients with a type 1 opt-out are not counted."
    assert answer.json()["indicators"]["bp-htn-u80"] == {
        "version": "2026.1",
        "state": "current",
        "demonstration_only": False,
        "denominator": 1000,
        "numerator": 682,
        "met": 682,
        "miss": 318,
        "exception": 41,
        "excluded": 12,
        "as_of": "2026-09-21",
        "data_through": "2026-09-21T11:58:00.000Z",
        "source": {"partition": 0, "offset": 7},
    }
    assert world.client.get(url, headers=world.issuer.headers(B)).status_code == 403
    assert world.client.get(url).status_code == 401


def test_an_operator_asks_for_a_cut_and_only_one_at_a_time(world):
    post = world.client.post
    assert post("/v1/releases/cut", headers=world.issuer.headers(A)).status_code == 403
    operator = world.issuer.headers(scope="release:operate")
    answer = post("/v1/releases/cut", headers=operator)
    assert (answer.status_code, answer.json()["epoch"]) == (202, 1)
    assert post("/v1/releases/cut", headers=operator).status_code == 409


def test_the_openapi_document_is_served(world):
    paths = json.loads(world.client.get("/openapi.json").content)["paths"]
    assert "/v1/networks/{network}/indicators/{indicator}" in paths


def test_health_says_what_is_missing(world):
    assert world.client.get("/health/live").status_code == 200
    ready = world.client.get("/health/ready")
    assert (ready.status_code, ready.json()["checks"]["database"]) == (503, "ok")


def test_metrics_are_for_whoever_operates_the_service(world):
    """They count everybody's cells and figures: no peer may watch them."""
    assert world.client.get("/metrics").status_code == 401
    reader = world.issuer.headers(A, scope="share:read")
    assert world.client.get("/metrics", headers=reader).status_code == 403
    operator = world.issuer.headers(scope="metrics:read")
    answer = world.client.get("/metrics", headers=operator)
    assert b"peerview_share_decisions_total" in answer.content
