"""Drafts that are edited, practices that join, keys that sign, mergers, and why somebody sees."""

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from peerview_share.agreements import keys
from tests.share.support import document, patients

BP = {"bp-htn-u80": patients(40, 100)}
A, B, C, D = "A99001", "A99002", "A99003", "A99004"
NAME = "north-learning"


def call(world, method, path, code, json=None, **claims):
    return world.client.request(
        method, f"/v1{path}", json=json, headers=world.issuer.headers(code, **claims)
    )


def edit(world, code, text, edition="1.0"):
    """As one who was shown an edition of the draft."""
    return world.client.put(
        f"/v1/agreements/{NAME}",
        json=text,
        headers=world.issuer.headers(code) | ({"If-Match": f'"{edition}"'} if edition else {}),
    )


def read(world, code, **params):
    answer = world.client.get(
        f"/v1/agreements/{NAME}", headers=world.issuer.headers(code), params=params
    )
    return answer.json() if answer.status_code == 200 else answer.status_code


def ask(world, code, terms, version=1, **more):
    body = {"version": version, "termsHash": terms, "name": f"Practice {code}"} | more
    return call(world, "POST", f"/agreements/{NAME}/join", code, body)


def admit(world, code, practice, **more):
    return call(world, "POST", f"/agreements/{NAME}/admit", code, {"practice": practice} | more)


def problem(answer):
    return answer.status_code, answer.json().get("type", "").rpartition(":")[2]


def explain(world, code, viewer, subject, indicator="bp-htn-u80", network="north", **params):
    question = {"viewer": viewer, "subject": subject, "indicator": indicator} | params
    return world.client.get(
        f"/v1/networks/{network}/explain", headers=world.issuer.headers(code), params=question
    ).json()


# -- drafts


def test_an_edited_draft_is_signed_anew_and_the_first_signature_is_kept(world):
    first = world.agree(document(A, B), A)["termsHash"]
    answer = edit(world, B, document(A, B, title="Better"))
    assert answer.status_code == 200, answer.text
    edited = answer.json()
    assert edited["agreement"]["title"] == "Better"
    assert edited["termsHash"] != first
    assert [p["signedAt"] for p in edited["parties"]] == [None, None]
    assert [s["termsHash"] for s in edited["signatures"]] == [first]
    assert problem(sign(world, A, first)) == (409, "terms-differ")
    for code in (A, B):
        assert sign(world, code, edited["termsHash"]).status_code == 200
    assert read(world, A)["status"] == "active"


def sign(world, code, terms, version=1, **more):
    body = {"version": version, "termsHash": terms} | more
    return call(world, "POST", f"/agreements/{NAME}/sign", code, body)


def test_only_parties_may_change_and_the_signature_holds_for_the_terms(world):
    terms = world.agree(document(A, B), A)["termsHash"]
    answer = edit(world, A, document(A, B, C))
    assert answer.json()["termsHash"] == terms
    assert [bool(p["signedAt"]) for p in answer.json()["parties"]] == [True, False, False]
    stranger = edit(world, D, document(A, B, D))
    assert stranger.status_code == 404


def test_of_two_who_edit_one_draft_the_later_is_told_and_undoes_nothing(world):
    world.agree(document(A, B), A)
    shown = world.client.get(f"/v1/agreements/{NAME}", headers=world.issuer.headers(A))
    assert shown.headers["ETag"] == '"1.0"'
    assert shown.json()["edition"] == "1.0"
    first = edit(world, B, document(A, B, title="Better"))
    assert (first.status_code, first.headers["ETag"]) == (200, '"1.1"')

    late = edit(world, A, document(A, B, dpiaRef="DPIA-7"))
    assert problem(late) == (412, "changed-meanwhile")
    told = late.json()
    assert "dr-jones of A99002 saved another text of this draft meanwhile" in told["detail"]
    assert (late.headers["ETag"], told["edition"], told["savedFor"]) == ('"1.1"', "1.1", B)
    assert any("Better" in change for change in told["changes"]), "what it would have undone"
    assert read(world, A)["agreement"]["title"] == "Better"
    assert edit(world, A, document(A, B, title="Better", dpiaRef="DPIA-7"), "1.1").is_success


@pytest.mark.parametrize(
    ("tag", "status"),
    [(None, 428), ('"1.0"', 200), ('"0.9", "1.0"', 200), ("*", 200), ('W/"1.0"', 412), ("1.0", 412),
     ('"2.0"', 412), ("", 412)],
)  # fmt: skip
def test_an_edit_says_of_which_text_it_is(world, tag, status):
    world.agree(document(A, B), A)
    headers = world.issuer.headers(B) | ({} if tag is None else {"If-Match": tag})
    answer = world.client.put(
        f"/v1/agreements/{NAME}", json=document(A, B, title="Better"), headers=headers
    )
    assert answer.status_code == status, answer.text
    assert (read(world, A)["agreement"]["title"] == "Better") == (status == 200)


def test_what_all_have_signed_is_not_edited(world):
    world.agree(document(A, B))
    answer = edit(world, A, document(A, B, title="Better"))
    assert problem(answer) == (409, "not-a-draft")


def test_the_next_version_leaves_nobody_out_and_brings_nobody_back(world):
    world.agree(document(A, B, C))
    two = document(A, B, version=2, supersedes=1)
    assert problem(call(world, "POST", "/agreements", A, two)) == (409, "left-out")
    world.act(NAME, C, "withdraw")
    three = document(A, B, C, version=2, supersedes=1)
    assert problem(call(world, "POST", "/agreements", A, three)) == (409, "withdrawn")
    assert call(world, "POST", "/agreements", A, two).status_code == 201


def test_the_difference_of_two_versions_is_told_in_plain_words(world):
    world.agree(document(A, B, peerIdentification={"mode": "anonymous"}))
    second = document(A, B, version=2, supersedes=1)
    assert call(world, "POST", "/agreements", A, second).status_code == 201
    answer = call(world, "GET", f"/agreements/{NAME}/difference?from=1&to=2", B)
    assert answer.json()["changes"] == [
        "Your figures of “Blood pressure controlled, hypertension, under 80” would now be seen by "
        "name instead of anonymously.",
        "Your figures of “Did not attend” would now be seen by name instead of anonymously.",
    ]


def test_a_difference_of_stricter_figures_is_told_in_plain_words(world):
    world.agree(document(A, B))
    stricter = {"minChange": 15, "minPatients": 50}
    second = document(A, B, version=2, supersedes=1, disclosureControl=stricter)
    assert call(world, "POST", "/agreements", A, second).status_code == 201
    answer = call(world, "GET", f"/agreements/{NAME}/difference?from=1&to=2", B)
    assert answer.json()["changes"] == [
        "Protection would change: a figure is renewed only from a change of 15 patients instead of "
        "8.",
        "Protection would change: figures are shown from 50 patients instead of 20.",
    ]


# -- joining


def test_a_practice_joins_by_the_hash_and_nobody_signs_again(world):
    clause = {"by": "quorum", "percent": 50}
    terms = world.agree(document(A, B, C, admission=clause))["termsHash"]
    world.release({A: BP, B: BP, C: BP, D: BP})
    assert read(world, D) == 404, "a stranger"
    assert read(world, D, terms=terms)["agreement"]["title"] == "Learning together"
    assert read(world, D, terms="0" * 64) == 404
    assert ask(world, D, "0" * 64).status_code == 404
    asked = ask(world, D, terms)
    assert asked.status_code == 202
    assert [who["odsCode"] for who in asked.json()["asking"]] == [D]
    assert world.peers(D).status_code == 403, "not admitted yet"
    assert admit(world, A, D).json()["asking"][0]["agreed"] == [A]
    assert problem(admit(world, A, D)) == (409, "already-agreed")
    joined = admit(world, B, D).json()
    assert joined["asking"] == []
    assert joined["termsHash"] == terms
    assert joined["status"] == "active"
    assert [p["odsCode"] for p in joined["parties"] if p["signedAt"]] == [A, B, C, D]
    assert {cell["subject"] for cell in world.peers(D).json()["cells"]} == {A, B, C}
    assert D in {cell["subject"] for cell in world.peers(A).json()["cells"]}
    events = call(world, "GET", f"/agreements/{NAME}/history", A).json()["changes"]
    assert [(c["event"], c["practice"]) for c in events[4:]] == [
        ("asked", D), ("agreed", A), ("agreed", B), ("joined", D)
    ]  # fmt: skip


def test_the_lead_practice_admits_and_nobody_else(world):
    clause = {"by": "lead-practice", "practice": B}
    terms = world.agree(document(A, B, admission=clause))["termsHash"]
    assert problem(admit(world, B, D)) == (409, "not-asked")
    ask(world, D, terms)
    assert problem(admit(world, A, D)) == (409, "not-the-lead")
    assert admit(world, B, D).json()["asking"] == []


def test_a_withdrawal_can_make_the_votes_enough(world):
    terms = world.agree(document(A, B, C))["termsHash"]
    ask(world, D, terms)
    admit(world, A, D)
    assert admit(world, B, D).json()["asking"]
    assert world.act(NAME, C, "withdraw").status_code == 200
    assert [p["odsCode"] for p in read(world, D)["parties"]] == [A, B, C, D]


def test_who_withdrew_does_not_come_back(world):
    terms = world.agree(document(A, B, C))["termsHash"]
    world.act(NAME, C, "withdraw")
    assert problem(ask(world, C, terms)) == (409, "withdrawn")
    assert problem(ask(world, A, terms)) == (409, "already-a-party")
    ask(world, D, terms)
    assert problem(ask(world, D, terms)) == (409, "already-asked")
    assert problem(world.act(NAME, D, "withdraw")) == (409, "not-admitted")


def test_a_party_of_the_next_version_gets_out_though_it_once_asked_to_join_the_last(world):
    terms = world.agree(document(A, B))["termsHash"]
    ask(world, D, terms)
    second = document(A, B, D, version=2, supersedes=1)
    new = call(world, "POST", "/agreements", A, second).json()["termsHash"]
    for code in (A, B, D):
        sign(world, code, new, version=2)
    assert world.act(NAME, D, "withdraw").status_code == 200
    assert [p["odsCode"] for p in read(world, A)["parties"] if p["withdrawnAt"]] == [D]
    assert read(world, A, version=1)["asking"] == []


def test_whoever_joins_meanwhile_signs_the_draft_of_the_next_version_too(world):
    terms = world.agree(document(A, B))["termsHash"]
    second = document(A, B, version=2, supersedes=1, title="Again")
    new = call(world, "POST", "/agreements", A, second).json()["termsHash"]
    ask(world, D, terms)
    admit(world, A, D)
    admit(world, B, D)
    for code in (A, B):
        assert sign(world, code, new, version=2).json()["status"] == "draft"
    assert read(world, A, version=1)["status"] == "active"
    assert sign(world, D, new, version=2).json()["status"] == "active"
    assert read(world, A, version=1)["status"] == "expired"


def test_a_draft_is_not_joined(world):
    terms = world.agree(document(A, B), A)["termsHash"]
    assert problem(ask(world, D, terms)) == (409, "not-open")


def test_who_asked_to_join_takes_it_back_and_is_not_let_in(world):
    """Also where all have agreed but one; and may ask again, of those who then agree anew."""
    terms = world.agree(document(A, B))["termsHash"]
    assert world.act(NAME, D, "take-back").status_code == 404
    ask(world, D, terms)
    admit(world, A, D)
    assert problem(world.act(NAME, A, "take-back")) == (409, "not-asked")
    assert world.act(NAME, D, "take-back").json()["asks"] is False
    assert problem(admit(world, B, D)) == (409, "not-asked")
    assert read(world, D) == 404
    assert read(world, A)["asking"] == []
    assert ask(world, D, terms).status_code == 202
    assert read(world, A)["asking"][0]["agreed"] == [], "votes are not kept"
    admit(world, A, D)
    admit(world, B, D)
    assert [bool(p["signedAt"]) for p in read(world, D)["parties"]] == [True, True, True]
    assert problem(world.act(NAME, D, "take-back")) == (409, "not-asked")


# -- keys


def text(data):
    return base64.b64encode(data).decode()


def register(world, code, key, former=None):
    public = text(key.public_key().public_bytes_raw())
    message = keys.key_message(code, public)
    body = {"publicKey": public, "proof": text(key.sign(message))}
    if former is not None:
        body["formerProof"] = text(former.sign(message))
    return call(world, "PUT", f"/practices/{code}/signing-key", code, body)


def test_with_a_key_nothing_less_is_accepted(world):
    key, other = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    assert register(world, A, key).status_code == 200
    terms = world.agree(document(A, B), B)["termsHash"]
    assert problem(sign(world, A, terms)) == (409, "key-needed")
    message = keys.terms_message("sign", A, NAME, 1, terms)
    wrong = text(other.sign(message))
    assert problem(sign(world, A, terms, proof=wrong)) == (409, "key-proof")
    joining = text(key.sign(keys.terms_message("join", A, NAME, 1, terms)))
    assert problem(sign(world, A, terms, proof=joining)) == (409, "key-proof")
    signed = sign(world, A, terms, proof=text(key.sign(message))).json()
    assert signed["status"] == "active"
    kept = signed["signatures"][-1]
    keys.verify(kept["publicKey"], kept["proof"], message)
    ask(world, D, terms)
    assert problem(admit(world, A, D)) == (409, "key-needed")
    vote = text(key.sign(keys.admission_message(A, NAME, 1, D)))
    assert admit(world, A, D, proof=vote).status_code == 200


def test_a_key_is_replaced_by_itself_alone(world):
    key, other = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    assert register(world, A, key).status_code == 200
    assert problem(register(world, A, other)) == (409, "key-proof")
    assert problem(register(world, A, other, former=other)) == (409, "key-proof")
    assert register(world, A, other, former=key).status_code == 200
    shown = call(world, "GET", f"/practices/{A}/signing-key", A).json()["publicKey"]
    assert shown == text(other.public_key().public_bytes_raw())
    body = {"publicKey": "x", "proof": "y"}
    assert problem(call(world, "PUT", f"/practices/{B}/signing-key", B, body)) == (409, "key-proof")
    assert call(world, "PUT", f"/practices/{B}/signing-key", A, body).status_code == 403


def test_without_a_key_a_proof_proves_nothing(world):
    terms = world.agree(document(A, B), B)["termsHash"]
    assert problem(sign(world, A, terms, proof="AA==")) == (409, "key-proof")


# -- mergers


def test_agreements_do_not_pass_over_to_a_successor(world):
    terms = world.agree(document(A, B, C))["termsHash"]
    world.release({A: BP, B: BP, C: BP})
    body = {"from": [B, C], "to": C, "date": "2026-09-21"}
    assert call(world, "POST", "/practices/succeeded", A, body).status_code == 403
    late = body | {"date": "2026-09-22"}
    operator = {"scope": "release:operate"}
    assert problem(call(world, "POST", "/practices/succeeded", A, late, **operator))[0] == 409
    answer = call(world, "POST", "/practices/succeeded", A, body, **operator)
    assert answer.json() == {"successor": C, "agreements": [NAME]}
    assert world.peers(C).status_code == 403
    assert read(world, A)["status"] == "withdrawn", "one party is left"
    assert problem(ask(world, C, terms)) == (409, "not-open")


def test_a_successor_that_keeps_its_code_joins_anew(world):
    terms = world.agree(document(A, B, C))["termsHash"]
    body = {"from": [C, D], "to": C, "date": "2026-09-21"}
    call(world, "POST", "/practices/succeeded", A, body, scope="release:operate")
    assert [p["succeeded"] for p in read(world, A)["parties"]] == [False, False, True]
    assert ask(world, C, terms).status_code == 202
    admit(world, A, C)
    again = admit(world, B, C).json()
    assert [bool(p["signedAt"]) for p in again["parties"]] == [True, True, True]
    assert again["status"] == "active"


# -- audiences


def test_a_named_recipient_sees_once_it_has_signed(world):
    text = document(
        A,
        B,
        audiences=["members", {"odsCode": "QZ9", "name": "Quality team"}],
        peerIdentification={"mode": "named", "reciprocal": False},
    )
    terms = world.agree(text)["termsHash"]
    world.release({A: BP, B: BP})
    assert world.peers("QZ9").json()["clause"] == "not-signed"
    assert sign(world, "QZ9", terms).json()["status"] == "active"
    assert {cell["subject"] for cell in world.peers("QZ9").json()["cells"]} == {A, B}
    assert {cell["subject"] for cell in world.peers(A).json()["cells"]} == {B}
    assert problem(world.act(NAME, "QZ9", "suspend")) == (409, "not-a-party")
    assert world.act(NAME, "QZ9", "withdraw").status_code == 200
    assert world.peers("QZ9").json()["clause"] == "withdrawn"
    assert world.peers(A).status_code == 200


# -- why


def test_explain_answers_for_now_and_for_any_moment_before(world):
    before = world.clock.now
    world.clock.now += 1000
    world.agree(document(A, B))
    signed = world.clock.now
    world.clock.now += 1000
    world.act(NAME, B, "withdraw")
    assert explain(world, A, A, B) == {
        "network": "north",
        "viewer": A,
        "subject": B,
        "indicator": "bp-htn-u80",
        "at": "2026-09-21T14:13:22.000Z",
        "level": "none",
        "clause": "withdrawn",
        "agreement": {"id": NAME, "version": 1},
        "place": f"parties.{B}",
        "why": f"{B} has withdrawn",
    }
    then = explain(world, B, A, B, at=iso(signed))
    assert (then["level"], then["clause"]) == ("named", "granted")
    assert then["place"] == "peerIdentification.mode"
    assert explain(world, A, A, B, at=iso(before))["clause"] == "no-agreement"


def iso(millis):
    from peerview_common.days import iso_millis

    return iso_millis(millis)


def test_explain_is_for_those_whom_it_concerns(world):
    world.agree(document(A, B))
    question = {"viewer": A, "subject": B, "indicator": "dna"}
    path = "/v1/networks/north/explain"

    def status(code, params=question, **claims):
        headers = world.issuer.headers(code, **claims)
        return world.client.get(path, headers=headers, params=params).status_code

    assert status(D) == 403
    assert status(D, scope="release:operate") == 200
    assert status(A, question | {"at": "2026-09-21T12:00:00"}) == 422
    assert status(A, question | {"at": "2999-09-21T12:00:00Z"}) == 422
    # a stranger learns nothing, not even that the network is there
    asked = question | {"viewer": D, "subject": B}
    headers = world.issuer.headers(D)
    told = [
        world.client.get(f"/v1/networks/{name}/explain", headers=headers, params=asked).json()
        for name in ("north", "nowhere")
    ]
    assert told[0]["clause"] == told[1]["clause"] == "no-agreement"
    assert told[0]["why"].replace("north", "nowhere") == told[1]["why"]


@pytest.mark.parametrize("status", ["draft", "active"])
def test_the_policy_in_odrl(world, status):
    world.agree(document(A, B, validTo="2027-03-31"), *([A] if status == "draft" else []))
    answer = call(world, "GET", f"/agreements/{NAME}/odrl", B)
    assert answer.headers["content-type"] == "application/ld+json"
    policy = answer.json()
    assert policy["@type"] == ("Offer" if status == "draft" else "Agreement")
    assert policy["uid"] == f"urn:peerview:agreement:{NAME}:1"
    rule = policy["permission"][0]
    assert rule["action"] == "peerview:seeByName"
    assert rule["target"] == "urn:peerview:indicator:bp-htn-u80"
    if status == "active":
        assert rule["assigner"] == [f"urn:peerview:practice:{code}" for code in (A, B)]
    ends = [c for c in rule["constraint"] if c["operator"] == "lt"]
    assert ends[0]["rightOperand"]["@value"] == "2027-03-31T23:00:00.000Z"


# -- what stays after a withdrawal


@pytest.mark.parametrize("kept", ["retain", "remove"])
def test_earlier_epochs_keep_or_lose_the_cells_of_whoever_withdrew(world, kept):
    world.agree(document(A, B, C, withdrawal={"pastData": kept, "noticeDays": 14}))
    for numerator in (40, 60):
        cells = {"bp-htn-u80": patients(numerator, 100), "dna": patients(20, 400)}
        world.release(dict.fromkeys((A, B, C), cells))
        world.clock.now += 1000

    def subjects(viewer, **query):
        return {cell["subject"] for cell in world.peers(viewer, **query).json().get("cells", [])}

    call(world, "PUT", f"/agreements/{NAME}/limits", C, {"perIndicator": {"dna": "none"}})
    world.act(NAME, C, "withdraw")
    assert subjects(A) == {B}, "at once, whatever stays"
    assert subjects(A, epoch=2) == {B}, "that is the newest"
    assert subjects(A, epoch=1) == ({B, C} if kept == "retain" else {B})
    assert world.peers(C, epoch=1).status_code == 403, "who left sees nothing"
    if kept == "retain":
        states = {
            cell["indicator"]: cell["state"]
            for cell in world.peers(A, epoch=1).json()["cells"]
            if cell["subject"] == C
        }
        assert states == {"bp-htn-u80": "value", "dna": "not-shared"}, "as it allowed last"
    later = {"bp-htn-u80": patients(80, 100)}
    world.release({A: later, B: later})
    assert subjects(A, epoch=2) == ({B, C} if kept == "retain" else {B})
    assert subjects(A) == {B}
