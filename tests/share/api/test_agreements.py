"""Agreements over HTTP, from proposal to withdrawal."""

import hashlib

import pytest
import rfc8785

from tests.share.support import document, patients

BP = {"bp-htn-u80": patients(40, 100)}
A, B, C = "A99001", "A99002", "A99003"


def test_a_proposal_is_a_draft_that_names_its_terms_hash(world):
    answer = world.client.post(
        "/v1/agreements", json=document(A, B), headers=world.issuer.headers(A)
    )
    assert answer.status_code == 201
    assert answer.headers["location"] == "/v1/agreements/north-learning?version=1"
    found = answer.json()
    assert found["status"] == "draft"
    terms = {k: v for k, v in found["agreement"].items() if k != "parties"}
    assert found["termsHash"] == hashlib.sha256(rfc8785.dumps(terms)).hexdigest()


def test_it_is_active_when_all_have_signed(world):
    terms = world.agree(document(A, B), A)["termsHash"]
    assert (
        world.client.get("/v1/agreements/north-learning", headers=world.issuer.headers(A)).json()[
            "status"
        ]
        == "draft"
    )
    signed = world.sign("north-learning", B, terms)
    assert signed["status"] == "active"
    assert [s["practice"] for s in signed["signatures"]] == [A, B]
    assert signed["signatures"][0] | {"signedAt": ""} == {
        "practice": A,
        "signatory": "dr-jones",
        "name": "Dr Jones",
        "role": "signatory",
        "termsHash": terms,
        "signedAt": "",
        "publicKey": None,
        "proof": None,
    }


def test_it_waits_for_valid_from_and_ends_after_valid_to(world):
    text = document(A, B, validFrom="2026-09-23", validTo="2026-09-24")
    world.agree(text)
    world.release({A: BP, B: BP})
    seen = []
    for _ in range(5):
        world.share.agreements.poll()
        status = world.client.get(
            "/v1/agreements/north-learning", headers=world.issuer.headers(A)
        ).json()["status"]
        seen.append((status, world.peers(A).status_code))
        world.clock.pass_days(1)
    assert seen == [
        ("signed", 403), ("signed", 403), ("active", 200), ("active", 200), ("expired", 403)
    ]  # fmt: skip


def test_an_expired_grant_is_denied_even_before_the_next_poll(world):
    world.agree(document(A, B, validTo="2026-09-22"))
    world.release({A: BP, B: BP})
    assert world.peers(A).json()["cells"]
    world.clock.pass_days(5)
    assert world.peers(A).json()["cells"] == []


@pytest.mark.parametrize(
    ("clause", "value", "named"),
    [
        ("parties", [{"odsCode": A, "name": "x"}], "parties"),
        ("parties", [{"odsCode": "a b", "name": "x"}] * 2, "parties.0.odsCode"),
        ("purposes", ["profit"], "purposes.0"),
        ("dataItems", [{"indicatorId": "no-such"}], "dataItems"),
        ("peerIdentification", {"mode": "everything"}, "peerIdentification.mode"),
        (
            "peerIdentification",
            {"mode": "named", "perIndicator": {"upc": "none"}},
            "peerIdentification.perIndicator",
        ),
        ("validTo", "2025-01-01", "validTo"),
        ("disclosureControl", {"roundingBase": 12}, "disclosureControl.roundingBase"),
        ("disclosureControl", {"minChange": 7}, "disclosureControl.minChange"),
        ("disclosureControl", {"minChange": 12}, "disclosureControl.minChange"),
        ("disclosureControl", {"minPatients": 19}, "disclosureControl.minPatients"),
        ("epochs", {"every": 2}, "epochs.every"),
        ("onwardTo", "anyone", "onwardTo"),
    ],
)
def test_a_clause_that_cannot_be_is_refused_by_name(world, clause, value, named):
    answer = world.client.post(
        "/v1/agreements",
        json=document(A, B, **{clause: value}),
        headers=world.issuer.headers(A),
    )
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    errors = answer.json()["errors"]
    assert any(named in error["place"] or named in error["reason"] for error in errors), errors


def test_only_a_signatory_of_a_party_may_act(world):
    post = world.client.post
    stranger = world.issuer.headers(C)
    nobody = world.issuer.headers(A, roles=["clinical"])
    assert post("/v1/agreements", json=document(A, B), headers=nobody).status_code == 403
    assert post("/v1/agreements", json=document(A, B), headers=stranger).status_code == 409
    assert post("/v1/agreements", json=document(A, B)).status_code == 401
    terms = world.agree(document(A, B), A)["termsHash"]
    body = {"version": 1, "termsHash": terms}
    assert (
        post("/v1/agreements/north-learning/sign", json=body, headers=stranger).status_code == 404
    )
    assert post("/v1/agreements/north-learning/sign", json=body, headers=nobody).status_code == 403
    for act in ("suspend", "resume", "withdraw"):
        assert world.act("north-learning", C, act).status_code == 404
    assert world.client.get("/v1/agreements/north-learning", headers=stranger).status_code == 404


def test_a_wrong_hash_or_a_second_signature_is_refused(world):
    terms = world.agree(document(A, B), A)["termsHash"]

    def sign(code, value):
        return world.client.post(
            "/v1/agreements/north-learning/sign",
            json={"version": 1, "termsHash": value},
            headers=world.issuer.headers(code),
        )

    assert sign(B, "0" * 64).json()["type"] == "urn:peerview:problem:terms-differ"
    assert sign(A, terms).json()["type"] == "urn:peerview:problem:already-signed"


def test_whoever_suspends_resumes(world):
    world.agree(document(A, B, C))
    world.release({A: BP, B: BP, C: BP})
    assert world.act("north-learning", A, "suspend").json()["status"] == "suspended"
    assert world.peers(B).status_code == 403
    assert world.peers(B).json()["clause"] == "suspended"
    assert world.act("north-learning", B, "resume").status_code == 409
    assert world.act("north-learning", A, "resume").json()["status"] == "active"
    assert world.peers(B).status_code == 200


def test_withdrawing_is_final_and_leaves_the_others(world):
    world.agree(document(A, B, C))
    world.release({A: BP, B: BP, C: BP})
    assert world.act("north-learning", C, "withdraw").status_code == 200
    assert {cell["subject"] for cell in world.peers(A).json()["cells"]} == {B}
    assert world.peers(C).status_code == 403
    assert world.act("north-learning", C, "resume").status_code == 409
    assert world.act("north-learning", B, "withdraw").json()["status"] == "withdrawn"
    assert world.peers(A).status_code == 403


def test_the_old_version_holds_until_the_new_one_is_active(world):
    world.agree(document(A, B))
    world.release({A: BP, B: BP})
    second = document(A, B, version=2, supersedes=1, title="Again", validFrom="2026-09-25")
    world.agree(second)
    assert world.peers(A).json()["cells"][0]["agreement"] == {"id": "north-learning", "version": 1}
    world.clock.pass_days(4)
    world.share.agreements.poll()
    assert world.peers(A).json()["cells"][0]["agreement"] == {"id": "north-learning", "version": 2}
    old = world.client.get(
        "/v1/agreements/north-learning?version=1", headers=world.issuer.headers(A)
    )
    assert old.json()["status"] == "expired"


def test_versions_come_one_after_the_other(world):
    world.agree(document(A, B))
    answer = world.client.post(
        "/v1/agreements", json=document(A, B, version=3), headers=world.issuer.headers(A)
    )
    assert (answer.status_code, answer.json()["detail"]) == (409, "version: the next one is 2")


def test_limits_of_a_party_lower_what_others_see_and_what_it_sees(world):
    world.agree(document(A, B, C))
    world.release({A: BP, B: BP, C: BP})
    answer = world.client.put(
        "/v1/agreements/north-learning/limits",
        json={"perIndicator": {"bp-htn-u80": "none"}},
        headers=world.issuer.headers(B),
    )
    assert answer.status_code == 200
    cells = {(c["indicator"], c["subject"]): c["state"] for c in world.peers(A).json()["cells"]}
    assert cells["bp-htn-u80", B] == "not-shared"
    assert cells["bp-htn-u80", C] == "value"
    assert {c["indicator"] for c in world.peers(B).json()["cells"]} == {"dna"}


def test_a_limit_of_what_is_not_there_is_refused_by_its_name(world):
    """Else a slip would look like a limit, and the figure would go on being shown."""
    world.agree(document(A, B))
    url = "/v1/agreements/north-learning/limits"
    headers = world.issuer.headers(B)
    answer = world.client.put(url, json={"perIndicator": {"bp-htn-u8": "none"}}, headers=headers)
    assert answer.status_code == 422
    (fault,) = answer.json()["errors"]
    assert fault["place"] == "perIndicator.bp-htn-u8"
    assert fault["reason"] == "there is no indicator “bp-htn-u8”; is bp-htn-u80 meant?"
    # one that only another version lists may be limited before that is in force
    assert world.client.put(url, json={"perIndicator": {"upc": "none"}}, headers=headers).is_success


def test_an_explanation_of_what_is_not_there_says_so(world):
    world.agree(document(A, B))
    question = {"viewer": A, "subject": B, "indicator": "dnaa"}
    headers = world.issuer.headers(A)
    answer = world.client.get("/v1/networks/north/explain", params=question, headers=headers)
    assert answer.status_code == 422
    assert answer.json()["detail"] == "indicator: there is no indicator “dnaa”; is dna meant?"


def test_an_id_that_others_use_and_a_day_that_has_passed_are_told_at_their_clause(world):
    world.agree(document(A, B))

    def told(code, text):
        answer = world.client.post(
            "/v1/agreements", json=text, headers=world.issuer.headers(code)
        ).json()
        return answer["type"].rpartition(":")[2], answer["detail"]

    taken = told("A99008", document("A99008", C))
    assert taken == ("id-taken", "id: cannot be had; choose another id")
    over = document(A, B, id="old", validTo="2026-09-20")
    answer = world.client.post("/v1/agreements", json=over, headers=world.issuer.headers(A))
    (fault,) = answer.json()["errors"]
    assert (answer.status_code, fault["place"]) == (422, "validTo")
    assert fault["reason"].startswith("2026-09-20 has passed")
    last = document(A, B, id="today", validTo="2026-09-21")
    assert world.client.post(
        "/v1/agreements", json=last, headers=world.issuer.headers(A)
    ).is_success, "the last day included"


def test_every_change_is_kept_and_waits_for_the_mirror(world):
    world.agree(document(A, B))
    world.act("north-learning", A, "suspend")
    found = world.client.get(
        "/v1/agreements/north-learning/history", headers=world.issuer.headers(B)
    ).json()["changes"]
    assert [(c["event"], c["practice"]) for c in found] == [
        ("proposed", A), ("signed", A), ("signed", B), ("suspended", A)
    ]  # fmt: skip
    assert not any("revision" in c for c in found), "it counts everybody's agreements"


def test_agreements_of_a_practice_are_listed(world):
    world.agree(document(A, B))
    world.agree(document(B, C, id="other", network={"id": "south"}))

    def listed(code):
        answer = world.client.get("/v1/agreements", headers=world.issuer.headers(code))
        return [item["id"] for item in answer.json()["agreements"]]

    assert listed(A) == ["north-learning"]
    assert listed(B) == ["north-learning", "other"]


def test_a_request_that_is_wrong_is_told_in_words(world):
    headers = world.issuer.headers(A) | {"Content-Type": "application/json"}

    def faults(path, **given):
        answer = world.client.post(f"/v1/agreements{path}", headers=headers, **given)
        assert answer.status_code == 422, answer.text
        return {fault["place"]: fault["reason"] for fault in answer.json()["errors"]}

    (told,) = faults("", content=b'{"id": x}').items()
    assert told[0] == "body"
    assert told[1].startswith("is not JSON: Expecting value at ")
    assert faults("/north/sign") == {"body": "is missing"}
    assert faults("/north/sign", json={"termsHash": "ab", "hash": 1}) == {
        "body.version": "is missing",
        "body.termsHash": "is no SHA-256: 64 hexadecimal digits",
        "body.hash": "is not known here",
    }
    question = {"viewer": "a", "subject": A, "indicator": "dna"}
    answer = world.client.get("/v1/networks/north/explain", params=question, headers=headers)
    assert answer.json()["errors"] == [
        {
            "place": "query.viewer",
            "reason": "is not an organisation code: 3 to 10 capital letters and digits",
        }
    ]


def test_the_last_day_that_there_is_stops_nobody(world):
    """One document whose last day has no day after it once made every act of everybody fail."""
    world.agree(document(A, B, validTo="9999-12-31"))
    world.agree(document(B, C, id="other", network={"id": "south"}))
    assert world.act("other", B, "suspend").status_code == 200
    answer = world.client.get("/v1/agreements/north-learning", headers=world.issuer.headers(A))
    assert answer.json()["status"] == "active"
    assert world.peers(A).status_code == 200


@pytest.mark.parametrize("number", [2**31, 2**63, 10**30])
def test_numbers_that_no_column_holds_name_nothing(world, number):
    world.agree(document(A, B))
    world.release({A: BP, B: BP})
    headers = world.issuer.headers(A, scope="share:read release:operate")
    for path in (
        f"/v1/networks/north/indicators?epoch={number}",
        f"/v1/practices/{A}/disclosures?before={number}",
        f"/v1/agreements/north-learning?version={number}",
    ):
        assert world.client.get(path, headers=headers).status_code in (200, 404, 422), path
    body = {"practice": A, "epoch": number, "reason": "x"}
    answer = world.client.post("/v1/releases/retract", json=body, headers=headers)
    assert answer.status_code == 422


def test_a_nul_is_refused_wherever_it_comes(world):
    """PostgreSQL keeps none: it would be an error of the service's."""
    world.agree(document(A, B))
    headers = world.issuer.headers(A, scope="share:read release:operate keys:revoke")
    for path in (
        "/v1/agreements/x%00",
        f"/v1/practices/{A}/disclosures?network=%00",
        "/why?at=%00",
    ):
        answer = world.client.get(path, headers=headers)
        assert (answer.status_code, answer.json()["title"]) == (400, "nul"), path
    for path, body in (
        ("releases/retract", {"practice": A, "epoch": 1, "reason": "a\0b"}),
        (f"practices/{A}/signing-key/revocation", {"reason": "\0"}),
        (f"practices/{A}/preview/dna/hold", {"note": "\0"}),
    ):
        answer = world.client.post(f"/v1/{path}", json=body, headers=headers)
        assert answer.status_code == 422, path
        assert "has a NUL in it" in answer.text


@pytest.mark.parametrize("at", ["0001-01-01T00:00:00+14:00", "1969-12-31T00:00:00Z"])
def test_of_long_ago_nothing_is_known(world, at):
    world.agree(document(A, B))
    question = {"viewer": A, "subject": B, "indicator": "dna", "at": at}
    headers = world.issuer.headers(A)
    answer = world.client.get("/v1/networks/north/explain", params=question, headers=headers)
    assert (answer.status_code, answer.json()["type"]) == (422, "urn:peerview:problem:not-valid")
