"""Pages for a practice that has registered a key: what is to be signed, and what is accepted."""

import base64
import html
import re
import shlex

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from typer.testing import CliRunner

from peerview_share.agreements import keys
from peerview_tools import signing_key
from peerview_tools.cli import app
from tests.share.support import document, live_value
from tests.share.web.test_agreement_pages import A, B, C, D, Person, text_of

AGREEMENT = "/agreements/north-learning"


@pytest.fixture
def keyed(world, tmp_path):
    """Every practice has a key of its own in a file; a draft of three that nobody has signed."""
    world.keys = {}
    for practice in (A, B, C, D):
        world.keys[practice] = file = tmp_path / f"{practice} key.pem"
        key = signing_key.make(file)
        assert register(world, practice, key).status_code == 200
        world.share.figures.put(live_value(practice))
    found = world.client.post(
        "/v1/agreements", json=document(A, B, C), headers=world.issuer.headers(A)
    )
    world.hash = found.json()["termsHash"]
    return world


def register(world, practice, key, **more):
    public = signing_key.public(key)
    proof = signing_key.text(key.sign(keys.key_message(practice, public)))
    return world.client.put(
        f"/v1/practices/{practice}/signing-key",
        json={"publicKey": public, "proof": proof} | more,
        headers=world.issuer.headers(practice),
    )


def shown(page, field):
    return html.unescape(re.search(rf'<textarea id="{field}"[^>]*>([^<]*)<', page.text)[1])


def signed(world, practice, page):
    """What the command prints that the page shows, with the practice's key file put in."""
    words = shlex.split(shown(page, "command"))
    assert words[:3] == ["peerview", "agreement", "signature"]
    assert words[4] == shown(page, "message")
    words[3] = str(world.keys[practice])
    done = CliRunner().invoke(app, words[1:])
    assert done.exit_code == 0, done.output
    return done.stdout.strip()


def sign(world, practice, **changed):
    data = {"version": "1", "terms_hash": world.hash, "hash_start": world.hash[:8]}
    data |= {"confirmed": "yes"} | changed
    return Person(world, practice).post(f"{AGREEMENT}/sign", **data)


def signatures(world):
    answer = world.client.get("/v1/agreements/north-learning", headers=world.issuer.headers(A))
    return answer.json()["signatures"]


def test_the_page_says_what_is_signed_and_takes_the_signature(keyed):
    for practice in (A, B, C):
        page = Person(keyed, practice).get(f"{AGREEMENT}/sign")
        message = keys.terms_message("sign", practice, "north-learning", 1, keyed.hash)
        assert shown(page, "message").encode() == message
        proof = signed(keyed, practice, page)
        # as programs print base64 that break lines
        answer = sign(keyed, practice, proof=f" {proof[:64]}\r\n{proof[64:]} ")
        assert answer.status_code == 303, text_of(answer)
    assert {x["practice"]: x["publicKey"] for x in signatures(keyed)} == {
        practice: signing_key.public(signing_key.load(keyed.keys[practice]))
        for practice in (A, B, C)
    }
    assert "in force" in text_of(Person(keyed, A).get(AGREEMENT))


def test_a_signature_that_does_not_fit_is_told_beside_its_field(keyed):
    own = signing_key.load(keyed.keys[B])
    right = keys.terms_message("sign", B, "north-learning", 1, keyed.hash)
    wrongs = {
        "": "Paste the signature",
        "hello": "This is no signature",
        base64.b64encode(b"short").decode(): "This is no signature",
        signing_key.text(Ed25519PrivateKey.generate().sign(right)): "does not fit",
    }
    for message in (
        keys.terms_message("join", B, "north-learning", 1, keyed.hash),
        keys.terms_message("sign", C, "north-learning", 1, keyed.hash),
        keys.terms_message("sign", B, "north-learning", 2, keyed.hash),
        keys.terms_message("sign", B, "north-learning", 1, "0" * 64),
        right + b"\n",
    ):
        wrongs[signing_key.text(own.sign(message))] = "does not fit"
    for proof, told in wrongs.items():
        answer = sign(keyed, B, proof=proof)
        assert answer.status_code == 422
        assert text_of(answer).count(told) == 2, "in the summary, and beside the field"
        assert re.search(r'<p class="error" id="proof-error">[^\n]*' + told, answer.text)
        (field,) = re.findall(r'<input id="proof"[^>]*>', answer.text)
        assert f'value="{proof}"' in html.unescape(field), "it stays as it was pasted"
        assert "proof-error" in field
        assert "confirmed" in re.search(r"<input[^>]*confirmed[^>]* checked", answer.text)[0]
    assert signatures(keyed) == []


def test_whoever_has_no_key_sees_nothing_of_keys(world):
    world.hash = world.client.post(
        "/v1/agreements", json=document(A, B, C), headers=world.issuer.headers(A)
    ).json()["termsHash"]
    page = Person(world, B).get(f"{AGREEMENT}/sign")
    assert "registered a key" not in page.text
    assert 'id="proof"' not in page.text
    assert sign(world, B).status_code == 303


def test_joining_and_admitting_with_keys(keyed):
    for practice in (A, B, C):
        proof = signed(keyed, practice, Person(keyed, practice).get(f"{AGREEMENT}/sign"))
        assert sign(keyed, practice, proof=proof).status_code == 303
    stranger = Person(keyed, D)
    page = stranger.get(f"{AGREEMENT}/join?terms={keyed.hash}")
    data = {"version": "1", "terms_hash": keyed.hash, "hash_start": keyed.hash[:8]}
    data |= {"confirmed": "yes", "party_name": "Dale Surgery"}
    answer = stranger.post(f"{AGREEMENT}/join", **data)
    assert 'id="proof-error"' in answer.text
    answer = stranger.post(f"{AGREEMENT}/join", **data, proof=signed(keyed, D, page))
    assert answer.status_code == 303, text_of(answer)

    where = f"{AGREEMENT}/admit"
    for practice in (A, B, C):
        person = Person(keyed, practice)
        page = person.get(f"{where}?practice={D}")
        message = keys.admission_message(practice, "north-learning", 1, D)
        assert shown(page, "message").encode() == message
        answer = person.post(where, practice=D, confirmed="yes", proof="A" * 86 + "==")
        assert answer.status_code == 422
        assert "does not fit" in re.search(r'id="proof-error">.*', answer.text)[0]
        proof = signed(keyed, practice, page)
        answer = person.post(where, practice=D, proof=proof)
        assert 'id="confirmed-error"' in answer.text
        assert person.post(where, practice=D, confirmed="yes", proof=proof).status_code == 303
    assert "Dale Surgery" in text_of(Person(keyed, A).get(AGREEMENT))
    assert Person(keyed, A).get(f"{where}?practice={D}").status_code == 404


def test_without_its_key_a_practice_still_shows_less_and_leaves(keyed):
    """What takes rights away never needs the key; what gives them does, and so does a new key."""
    for practice in (A, B, C):
        proof = signed(keyed, practice, Person(keyed, practice).get(f"{AGREEMENT}/sign"))
        assert sign(keyed, practice, proof=proof).status_code == 303
    keyed.keys[B].unlink()
    person, headers = Person(keyed, B), keyed.issuer.headers(B)
    limits = keyed.client.put(
        "/v1/agreements/north-learning/limits", json={"mode": "none"}, headers=headers
    )
    assert limits.status_code == 200
    for act in ("suspend", "resume"):
        assert person.post(f"{AGREEMENT}/{act}", confirmed="yes").status_code == 303
    another = register(keyed, B, Ed25519PrivateKey.generate())
    assert another.status_code == 409
    assert "sign the new one with it too" in another.json()["detail"]
    second = document(A, B, C, version=2, supersedes=1, title="Learning more")
    found = keyed.client.post("/v1/agreements", json=second, headers=keyed.issuer.headers(A))
    answer = sign(
        keyed, B, version="2", terms_hash=found.json()["termsHash"],
        hash_start=found.json()["termsHash"][:8],
    )  # fmt: skip
    assert "nothing less is accepted" in answer.text

    assert "registered a key" not in person.get(f"{AGREEMENT}/withdraw").text
    answer = person.post(f"{AGREEMENT}/withdraw", confirmed="yes")
    assert answer.headers["location"].startswith(f"{AGREEMENT}?done=withdrawn")
    # those who remain wait for it no longer
    for practice in (A, C):
        page = Person(keyed, practice).get(f"{AGREEMENT}/sign?version=2")
        answer = sign(
            keyed, practice, version="2", terms_hash=found.json()["termsHash"],
            hash_start=found.json()["termsHash"][:8], proof=signed(keyed, practice, page),
        )  # fmt: skip
        assert answer.status_code == 303, text_of(answer)
    assert "version 2 active" in text_of(Person(keyed, A).get(AGREEMENT))


def test_all_are_told_on_their_pages_and_the_practice_objects(keyed):
    assert "with nothing less" in text_of(Person(keyed, A).get("/signing-key"))
    headers = keyed.issuer.headers("OPS", scope="keys:revoke", roles=("operator",), subject="op")
    url = f"/v1/practices/{A}/signing-key/revocation"
    asked = keyed.client.post(url, json={"reason": "It was <stolen>"}, headers=headers)
    assert asked.status_code == 202, asked.text
    for path in ("/", "/agreements", AGREEMENT, f"{AGREEMENT}/sign"):
        told = text_of(Person(keyed, B).get(path))
        assert "The signing key of Practice A99001 (A99001) is to be revoked on 5 October" in told
        assert "“It was &lt;stolen&gt;”" in told
        assert "is to be revoked" not in text_of(Person(keyed, D).get("/")), "no business of D"
    person = Person(keyed, A)
    assert "Your practice can object" in text_of(person.get("/"))
    page = person.get("/signing-key")
    proof = signed(keyed, A, page)
    assert person.post("/signing-key", proof="").status_code == 422
    wrong = person.post("/signing-key", reason="It is here", confirmed="yes", proof="x" * 88)
    assert wrong.status_code == 422
    assert "This is no signature" in wrong.text
    assert 'value="It is here"' in wrong.text
    done = person.post("/signing-key", reason="It is here", confirmed="yes", proof=proof)
    assert done.status_code == 303
    told = text_of(person.get("/signing-key"))
    assert "It was stopped on 21 September 2026" in told
    assert "objected for your practice: “It is here”" in told
    assert "is to be revoked" not in text_of(Person(keyed, B).get("/"))
    assert "the revocation of its signing key was stopped" in text_of(
        Person(keyed, B).get(AGREEMENT)
    )


def test_after_a_revocation_the_page_says_what_is_to_be_done(keyed):
    headers = keyed.issuer.headers("OPS", scope="keys:revoke", roles=("operator",))
    keyed.client.post(
        f"/v1/practices/{A}/signing-key/revocation", json={"reason": "lost"}, headers=headers
    )
    keyed.clock.pass_days(14)
    keyed.share.agreements.poll()
    assert "registers a new key" in text_of(Person(keyed, A).get("/signing-key"))
    assert "Your practice signs nothing until it has registered" in text_of(
        Person(keyed, A).get("/")
    )
    answer = sign(keyed, A)
    assert answer.status_code == 422
    assert "The key of A99001 was revoked: register a new one" in text_of(answer)
    assert signatures(keyed) == []
