"""Pages of agreements, without a browser: what they take, refuse and say."""

import re

import pytest
from fastapi.testclient import TestClient

from peerview_common.settings import Mode
from peerview_share.api.app import create_app
from peerview_share.web import session
from tests.share.support import document, live_value, patients

A, B, C = "A99001", "A99002", "A99003"


class Person:
    """Somebody with a browser of their own in the demo, at one practice."""

    def __init__(self, world, practice):
        self.client = TestClient(world.client.app, follow_redirects=False)
        chosen = session.sign(practice, world.share.session_key)
        self.client.cookies.set(session.COOKIE, chosen)

    def get(self, path):
        return self.client.get(path)

    def post(self, path, **data):
        """With the token that any page gives to its forms."""
        if "peerview_form" not in self.client.cookies:
            self.get("/agreements")
        token = self.client.cookies["peerview_form"]
        return self.client.post(path, data={"form_token": token} | data)


def text_of(answer):
    plain = re.sub(r"<[^>]+>", " ", answer.text)
    return re.sub(r"\s+", " ", plain.replace("\u00a0", " "))


@pytest.fixture
def proposed(world):
    """A draft that nobody has signed, and the hash of its terms."""
    found = world.client.post(
        "/v1/agreements", json=document(A, B, C), headers=world.issuer.headers(A)
    )
    world.hash = found.json()["termsHash"]
    return world


def sign(world, practice, **changed):
    data = {"version": "1", "terms_hash": world.hash, "hash_start": world.hash[:8]}
    data |= {"confirmed": "yes"} | changed
    return Person(world, practice).post("/agreements/north-learning/sign", **data)


def status(world):
    answer = world.client.get("/v1/agreements/north-learning", headers=world.issuer.headers(A))
    return answer.json()["status"]


def test_the_list_says_what_is_to_do(proposed):
    text = text_of(Person(proposed, B).get("/agreements"))
    assert "Learning together North network version 1 draft : not all parties have signed" in text
    assert "Read and sign version 1" in text
    assert sign(proposed, B).status_code == 303
    assert "Read and sign version 1" not in text_of(Person(proposed, B).get("/agreements"))


def test_an_agreement_of_others_is_not_there(proposed):
    proposed.share.figures.put(live_value("A99009"))
    stranger = Person(proposed, "A99009")
    assert "party of no agreement" in text_of(stranger.get("/agreements"))
    for path in ("", "/sign", "/withdraw", "/preview", "/changes?from=1&to=1", "/next-version"):
        known = stranger.get(f"/agreements/north-learning{path}")
        unknown = stranger.get(f"/agreements/no-such{path}")
        assert (known.status_code, unknown.status_code) == (404, 404), path
        assert text_of(known) == text_of(unknown)
    answer = stranger.post("/agreements/north-learning/withdraw", confirmed="yes")
    assert answer.status_code == 404


def test_signing_binds_exactly_what_was_shown(proposed):
    for practice in (A, B, C):
        assert status(proposed) == "draft"
        answer = sign(proposed, practice)
        assert answer.status_code == 303
        page = Person(proposed, practice).get(answer.headers["location"])
        assert "You have signed for your practice" in page.text
    assert status(proposed) == "active"
    text = text_of(Person(proposed, C).get("/agreements/north-learning"))
    assert "by Visitor of the demonstration" in text


UNCONFIRMED = [
    ({"hash_start": ""}, "Enter the first 8 characters of the SHA-256"),
    ({"hash_start": "0000000"}, "Enter the first 8 characters of the SHA-256"),
    ({"hash_start": "zzzzzzzz"}, "Enter the first 8 characters of the SHA-256"),
    ({"confirmed": ""}, "Confirm that you have read the terms"),
    (
        {"terms_hash": "0" * 64, "hash_start": "00000000"},
        "The hash is not that of this version",
    ),
]


def test_a_signature_that_is_not_confirmed_is_none(proposed):
    for changed, told in UNCONFIRMED:
        answer = sign(proposed, B, **changed)
        assert answer.status_code == 422, changed
        assert text_of(answer).count(told) == 2, "in the summary, and beside the field"
    found = proposed.client.get(
        "/v1/agreements/north-learning", headers=proposed.issuer.headers(A)
    ).json()
    assert found["signatures"] == []


def test_suspending_and_resuming_ask_first(proposed):
    for practice in (A, B, C):
        sign(proposed, practice)
    person = Person(proposed, B)
    assert "Nobody sees anybody" in text_of(person.get("/agreements/north-learning/suspend"))
    answer = person.post("/agreements/north-learning/suspend")
    assert answer.status_code == 422
    assert "Confirm it first" in answer.text
    assert status(proposed) == "active"
    answer = person.post("/agreements/north-learning/suspend", confirmed="yes")
    assert answer.headers["location"] == "/agreements/north-learning?done=suspended"
    assert status(proposed) == "suspended"
    other = Person(proposed, C)
    assert "cannot do this now" in text_of(other.get("/agreements/north-learning/resume"))
    assert other.post("/agreements/north-learning/resume", confirmed="yes").status_code == 422
    assert status(proposed) == "suspended"
    assert person.post("/agreements/north-learning/resume", confirmed="yes").status_code == 303
    assert status(proposed) == "active"


def test_a_draft_of_the_next_version_hides_nothing_of_the_one_in_force(proposed):
    for practice in (A, B, C):
        sign(proposed, practice)
    text = document(A, B, C, version=2, supersedes=1, title="Learning more")
    headers = proposed.issuer.headers(A)
    assert proposed.client.post("/v1/agreements", json=text, headers=headers).is_success
    (listed,) = proposed.client.get("/v1/agreements", headers=headers).json()["agreements"]
    assert listed["versions"] == [
        {"version": 1, "status": "active"},
        {"version": 2, "status": "draft"},
    ]
    person = Person(proposed, B)
    told = text_of(person.get("/agreements"))
    assert "version 1 active : in force: figures are shared under it" in told
    assert "version 2 draft : not all parties have signed" in told
    for version in ("", "?version=1"):
        page = person.get(f"/agreements/north-learning{version}")
        assert 'href="/agreements/north-learning/suspend"' in page.text, version
        assert "next-version" not in page.text, "the draft is edited instead"
    assert "Version 1 is active until this one comes into force" in text_of(
        person.get("/agreements/north-learning")
    )
    page = person.get("/agreements/north-learning/suspend")
    assert "The agreement is active" in text_of(page)
    answer = person.post("/agreements/north-learning/suspend", confirmed="yes")
    assert answer.status_code == 303
    found = proposed.client.get("/v1/agreements/north-learning?version=1", headers=headers).json()
    assert found["status"] == "suspended"
    assert (
        'href="/agreements/north-learning/resume"' in person.get("/agreements/north-learning").text
    )
    # whoever asks to join the version in force is decided on there
    person.post("/agreements/north-learning/resume", confirmed="yes")
    body = {"version": 1, "termsHash": proposed.hash, "name": "Quarryside"}
    asked = proposed.client.post(
        "/v1/agreements/north-learning/join", json=body, headers=proposed.issuer.headers("A99004")
    )
    assert asked.status_code == 202, asked.text
    assert 'href="/agreements/north-learning?version=1#parties"' in person.get("/agreements").text
    assert (
        'href="/agreements/north-learning/admit?practice=A99004"'
        in person.get("/agreements/north-learning?version=1").text
    )


def test_a_practice_allows_less_and_takes_that_back(proposed):
    for practice in (A, B, C):
        sign(proposed, practice)
    proposed.release({p: {"dna": patients(20, 400)} for p in (A, B, C)})

    def dna_of_b():
        cells = proposed.peers(A).json()["cells"]
        return {c["subject"]: c["state"] for c in cells if c["indicator"] == "dna"}.get(B)

    person, path = Person(proposed, B), "/agreements/north-learning/limits"
    assert f'href="{path}"' in person.get("/agreements/north-learning").text
    page = text_of(person.get(path))
    assert "reciprocal" in page
    assert "Did not attend by name" in page
    answer = person.post(path, **{"mode": "", "limit-dna": "sometimes"})
    assert answer.status_code == 422
    assert "Choose one of the levels" in answer.text
    assert dna_of_b() == "value"
    answer = person.post(path, **{"mode": "anonymous", "limit-dna": "none"})
    assert answer.headers["location"] == "/agreements/north-learning?done=limited"
    assert dna_of_b() is None
    again = person.get(path).text
    assert '<option value="anonymous" selected>' in again
    assert '<option value="none" selected>' in again
    person.post(path, **{"mode": "", "limit-dna": ""})
    assert dna_of_b() == "value"
    person.post("/agreements/north-learning/withdraw", confirmed="yes")
    assert "nothing that your practice can limit" in text_of(person.get(path))


def test_why_somebody_sees_a_figure_now_and_at_a_moment(proposed):
    person = Person(proposed, B)
    for practice in (A, B, C):
        sign(proposed, practice)
    assert "Who sees what, and why" in person.get("/agreements").text
    asked = f"/why?network=north&other={A}&indicator=dna&way="
    told = text_of(person.get(f"{asked}they-see"))
    assert "Yes, by name Practice A99001 (A99001) may see “Did not attend” of Practice" in told
    assert "peerIdentification.mode" in told
    proposed.clock.pass_days(2)
    person.post("/agreements/north-learning/suspend", confirmed="yes")
    told = text_of(person.get(f"{asked}we-see"))
    assert "No Practice A99002 may not see “Did not attend” of Practice A99001 (A99001)" in told
    assert "Because suspended by A99002" in told
    told = text_of(person.get(f"{asked}we-see&at=2026-09-22+12:00"))
    assert "Yes, by name" in told
    assert "as things stood on 22 September 2026, 12:00" in told
    for wrong, why in (
        ("&at=soon", "Enter a moment such as"),
        ("&at=2027-01-01", "This moment has not come"),
        ("&other=A99009", "Choose a practice"),
        ("&indicator=x", "Choose an indicator"),
    ):
        answer = person.get(f"{asked}we-see{wrong}")
        assert (answer.status_code, why in answer.text) == (422, True), wrong
    proposed.share.figures.put(live_value("A99009"))
    assert "in no agreement with anybody" in Person(proposed, "A99009").get("/why").text


def test_withdrawing_is_final_and_says_so(proposed):
    for practice in (A, B, C):
        sign(proposed, practice)
    person = Person(proposed, B)
    page = person.get("/agreements/north-learning/withdraw")
    assert "This is final" in page.text
    answer = person.post("/agreements/north-learning/withdraw", confirmed="yes")
    assert answer.status_code == 303
    text = text_of(person.get("/agreements/north-learning"))
    assert "withdrew 21 September 2026" in text
    for path in ("/agreements", "/agreements/north-learning"):
        told = text_of(person.get(path))
        assert "Your practice has withdrawn: it sees nobody" in told, "it is active for the others"
    assert "needs this address" not in text
    next_version = person.get("/agreements/north-learning/next-version")
    assert next_version.status_code == 409
    assert "only a party that has not left" in next_version.text.lower().replace("\n", " ")
    assert (
        'href="/agreements/north-learning/withdraw"'
        not in person.get("/agreements/north-learning").text
    )


FORMS = (
    "/agreements/new",
    "/agreements/north-learning/next-version",
    "/agreements/north-learning/sign",
    "/agreements/north-learning/withdraw",
)


def test_forms_of_other_sites_do_nothing(proposed):
    person = Person(proposed, B)
    person.get("/agreements")
    token = person.client.cookies["peerview_form"]
    data = {"confirmed": "yes", "form_token": token}
    wrongs = (
        ({"form_token": ""}, {}),
        ({"form_token": "x" * 43}, {}),
        ({"form_token": "é" * 43}, {}),
        ({}, {"Origin": "https://bad.example"}),
        ({}, {"Origin": "null"}),
        ({}, {"Sec-Fetch-Site": "cross-site"}),
        ({}, {"Sec-Fetch-Site": "same-site"}),
    )
    for path in FORMS:
        for wrong, headers in wrongs:
            answer = person.client.post(path, data=data | wrong, headers=headers)
            assert answer.status_code == 403, (path, wrong, headers)
    del person.client.cookies["peerview_form"]
    for path in FORMS:
        assert person.client.post(path, data=data).status_code == 403, path
    assert status(proposed) == "draft"


def test_a_form_that_is_too_long_is_refused(proposed):
    answer = Person(proposed, B).post("/agreements/new", title="x" * 600_000)
    assert answer.status_code == 413


def test_in_production_only_a_signatory_acts(proposed):
    production = proposed.share.settings.model_copy(update={"mode": Mode.PRODUCTION})
    object.__setattr__(proposed.share, "settings", production)
    client = TestClient(create_app(proposed.share), base_url="https://testserver")
    assert client.get("/agreements").status_code == 401
    assert client.get("/disclosures").status_code == 401
    cookie = "__Host-peerview_form"

    def post(path, roles, **data):
        headers = proposed.issuer.headers(B, roles=roles)
        client.cookies.clear()
        page = client.get("/agreements", headers=headers)
        assert "Secure" in page.headers["set-cookie"]
        assert "HttpOnly" in page.headers["set-cookie"]
        data["form_token"] = client.cookies[cookie]
        return client.post(path, data=data, headers=headers, follow_redirects=False)

    data = {"version": "1", "terms_hash": proposed.hash, "hash_start": proposed.hash[:8]}
    path = "/agreements/north-learning/sign"
    assert post(path, ("clinical",), **data, confirmed="yes").status_code == 403
    assert post(path, ("signatory",), **data, confirmed="yes").status_code == 303
    found = proposed.client.get(
        "/v1/agreements/north-learning", headers=proposed.issuer.headers(A)
    ).json()
    assert [(x["practice"], x["signatory"]) for x in found["signatures"]] == [(B, "dr-jones")]


def test_versions_are_compared_place_by_place(proposed):
    for practice in (A, B, C):
        sign(proposed, practice)
    second = document(A, B, C, version=2, supersedes=1, title="Learning more")
    second["dataItems"] = [{"indicatorId": "bp-htn-u80"}, {"indicatorId": "upc"}]
    answer = proposed.client.post("/v1/agreements", json=second, headers=proposed.issuer.headers(B))
    assert answer.status_code == 201, answer.text
    person = Person(proposed, A)
    text = text_of(person.get("/agreements/north-learning/changes?from=1&to=2"))
    assert "title Learning together Learning more" in text
    assert "dataItems.dna.indicatorId dna not there" in text
    assert "dataItems.upc.indicatorId not there upc" in text
    assert "purposes" not in text
    page = text_of(person.get("/agreements/north-learning"))
    assert "Version 1 (active)" in page
    assert person.get("/agreements/north-learning/changes?from=1&to=3").status_code == 404


D = "A99004"


def draft(**changed):
    data = {
        "id": "south-learning",
        "title": "South",
        "network-id": "south",
        "network-name": "South <network>",
        "network-type": "pcn",
        "party-0-ods": A,
        "party-0-name": "Harbour & Sons",
        "party-4-ods": B.lower(),
        "party-4-name": "Brook",
        "purposes": ["quality-improvement", "peer-review"],
        "prohibitedUses": ["research"],
        "audiences": ["members"],
        "items": ["dna", "upc"],
        "mode": "anonymous",
        "mode-dna": "named",
        "reciprocal": "yes",
        "minPeers": "2",
        "validFrom": "2026-10-01",
        "noticeDays": "30",
        "contact-0-name": "A. Person",
    }
    return {key: value for key, value in (data | changed).items() if value is not None}


def test_a_draft_is_checked_then_proposed(world):
    world.share.figures.put(live_value(A))
    person = Person(world, A)
    assert "Draft an agreement" in person.get("/agreements/new").text
    answer = person.post("/agreements/new", **draft(do="check"))
    assert answer.status_code == 200, text_of(answer)
    assert "Nothing is wrong with it" in answer.text
    assert "South &lt;network&gt;" in answer.text
    shown = re.search(r'<code class="hash">([0-9a-f]{64})</code>', answer.text)[1]
    headers = world.issuer.headers(A)
    assert world.client.get("/v1/agreements/south-learning", headers=headers).status_code == 404
    answer = person.post("/agreements/new", **draft(do="propose"))
    assert answer.status_code == 303
    found = world.client.get("/v1/agreements/south-learning", headers=headers).json()
    assert found["termsHash"] == shown, "what was checked is what is signed"
    said = found["agreement"]
    assert [p["odsCode"] for p in said["parties"]] == [A, B]
    assert said["peerIdentification"] == {
        "mode": "anonymous",
        "perIndicator": {"dna": "named"},
        "reciprocal": True,
        "minPeers": 2,
    }
    assert said["purposes"] == ["quality-improvement", "peer-review"]
    assert said["withdrawal"]["noticeDays"] == 30
    assert said["validTo"] is None


FAULTS = [
    ({"id": "Not An Id"}, "id"),
    ({"title": ""}, "title"),
    ({"network-id": "?"}, "network-id"),
    ({"party-4-ods": "?"}, "party-4-ods"),
    ({"party-4-name": ""}, "party-4-name"),
    ({"party-4-ods": A}, "party-4-ods"),
    ({"party-4-ods": "", "party-4-name": ""}, "parties"),
    ({"purposes": []}, "purposes"),
    ({"items": []}, "items"),
    ({"mode": "loudly"}, "mode"),
    ({"mode-dna": "loudly"}, "mode-dna"),
    ({"minPeers": "many"}, "minPeers"),
    ({"minPeers": "-1"}, "minPeers"),
    ({"validFrom": ""}, "validFrom"),
    ({"validFrom": "31.3.2026"}, "validFrom"),
    ({"validTo": "2026-09-01"}, "validTo"),
    ({"noticeDays": "400"}, "noticeDays"),
    ({"contact-0-name": "", "contact-0-email": "a@example.org"}, "contact-0-name"),
    ({"contact-2-name": "x" * 301}, "contact-2-name"),
    ({"network-ods": "north!"}, "network-ods"),
    ({"audiences": []}, "audiences"),
    ({"audiences": ["everybody"]}, "audiences"),
    ({"audiences": ["network-staff"], "reciprocal": ""}, "network-ods"),
    ({"audiences": ["members", "network-staff"], "network-ods": "N01"}, "reciprocal"),
    ({"recipient-1-ods": "?", "recipient-1-name": "Office"}, "recipient-1-ods"),
    ({"recipient-1-ods": D, "recipient-1-name": ""}, "recipient-1-name"),
    ({"recipient-1-ods": B, "recipient-1-name": "x", "reciprocal": ""}, "recipient-1-ods"),
    ({"mode-bp-htn-u80": "named"}, "mode-bp-htn-u80"),
    ({"every": "2"}, "every"),
    ({"lagDays": "400"}, "lagDays"),
    ({"minChange": "12"}, "minChange"),
    ({"minPatients": "19"}, "minPatients"),
    ({"minDenominator": "10"}, "minDenominator"),
    ({"minCount": "ten"}, "minCount"),
    ({"extremesFrom": "9" * 5000}, "extremesFrom"),
    ({"roundingBase": "7"}, "roundingBase"),
    ({"admission": "nobody"}, "admission"),
    ({"admission": "quorum", "admission-percent": "0"}, "admission-percent"),
    ({"admission": "lead-practice"}, "admission-practice"),
    ({"admission": "lead-practice", "admission-practice": "A99009"}, "admission-practice"),
    ({"pastData": "burn"}, "pastData"),
    ({"art6": ""}, "art6"),
    ({"confidentialityBasis": "none"}, "confidentialityBasis"),
    ({"party-0-ods": C}, "parties"),
]


def test_what_is_wrong_is_said_beside_its_field(world):
    world.share.figures.put(live_value(A))
    person = Person(world, A)
    for changed, field in FAULTS:
        answer = person.post("/agreements/new", **draft(do="propose", **changed))
        assert answer.status_code == 422, changed
        assert f'<p class="error" id="{field}-error">' in answer.text, changed
        assert f'<a href="#{field}">' in answer.text, changed
        (described,) = re.findall(rf'<(?:input|select|fieldset) id="{field}"[^>]*>', answer.text)
        assert f"{field}-error" in described, changed
        assert 'aria-invalid="true"' in described, changed
        assert 'value="South"' in answer.text or changed.get("title") == "", changed
        typed = changed.get(field)
        if isinstance(typed, str) and f'<input id="{field}" name="{field}"' in answer.text:
            assert f'value="{typed}"' in described, "what was typed is still there"


def test_more_rows_keep_what_was_typed(world):
    world.share.figures.put(live_value(A))
    answer = Person(world, A).post("/agreements/new", **draft(do="rows", title="Kept"))
    assert answer.status_code == 200
    assert 'value="Kept"' in answer.text
    assert 'id="party-13-ods"' in answer.text
    assert 'id="party-14-ods"' not in answer.text


def test_the_next_version_keeps_what_the_form_does_not_have(proposed):
    for practice in (A, B, C):
        sign(proposed, practice)
    person = Person(proposed, A)
    page = person.get("/agreements/north-learning/next-version").text
    assert 'value="Learning together"' in page
    assert 'id="item-dna" name="items" value="dna" checked' in page
    data = {"title": "Learning more", "network-id": "north", "network-type": "pcn"}
    data |= {"network-name": "North network", "mode": "named", "reciprocal": "yes"}
    for row, practice in enumerate((A, B, C)):
        data |= {f"party-{row}-ods": practice, f"party-{row}-name": f"Practice {practice}"}
    data |= {"purposes": "quality-improvement", "items": ["dna"], "validFrom": "2026-01-01"}
    data |= {"minPeers": "0", "noticeDays": "0", "audiences": "members"}
    path = "/agreements/north-learning/next-version"
    answer = person.post(path, **data, do="check")
    assert answer.status_code == 200, text_of(answer)
    assert "title Learning together Learning more" in text_of(answer)
    assert person.post(path, **data, do="propose").status_code == 303
    headers = proposed.issuer.headers(A)
    found = proposed.client.get("/v1/agreements/north-learning", headers=headers).json()
    assert (found["agreement"]["version"], found["agreement"]["supersedes"]) == (2, 1)
    assert found["agreement"]["lawfulBasis"]["art6"] == "6(1)(e)"
    first = proposed.client.get("/v1/agreements/north-learning?version=1", headers=headers)
    assert first.json()["status"] == "active"


def test_the_preview_is_what_each_viewer_then_sees(world):
    """What the page of a draft says is what REST gives the viewers once it is in force."""
    text = document(A, B, C, peerIdentification={"mode": "named", "perIndicator": {"dna": "none"}})
    answer = world.client.post("/v1/agreements", json=text, headers=world.issuer.headers(A))
    cells = {
        A: {"bp-htn-u80": patients(640, 1024), "dna": patients(20, 400)},
        B: {"bp-htn-u80": patients(321, 1000)},
        C: {"bp-htn-u80": patients(555, 1000)},
    }
    world.release(cells)
    page = Person(world, A).get("/agreements/north-learning/preview")
    for viewer in (B, C):
        said = page.text.split(f'id="viewer-{viewer}"')[1].split("</section>")[0]
        said = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", said))
        assert "by name 62% 640 of 1,025 patients released" in said, viewer
        assert "not at all –" in said, viewer
    assert "32%" not in page.text, "others' figures are not in it"
    assert "55%" not in page.text
    levels = text_of(page).split("Your figures at each level")[1]
    assert "one of the practices" in levels
    for practice in (A, B, C):
        world.sign("north-learning", practice, answer.json()["termsHash"])
    for viewer in (B, C):
        found = world.peers(viewer).json()["cells"]
        (cell,) = [x for x in found if x["subject"] == A and x["indicator"] == "bp-htn-u80"]
        assert (cell["value"], cell["numerator"], cell["denominator"]) == (62.4, 640, 1025)
        assert not [x for x in found if x["indicator"] == "dna" and x["state"] == "value"]


@pytest.mark.parametrize(
    ("control", "says", "numerator"),
    [
        ({"minChange": 10}, "by name 30% 30 of 100 patients released", 30),
        ({"minChange": 15}, "by name 20% 20 of 100 patients", 20),
        ({"minPatients": 100}, "by name –", None),
    ],
)
def test_the_preview_goes_by_stricter_figures(world, control, says, numerator):
    for met in (20, 32):
        world.release({code: {"bp-htn-u80": patients(met, 100)} for code in (A, B)})
    text = document(A, B, dataItems=[{"indicatorId": "bp-htn-u80"}], disclosureControl=control)
    answer = world.client.post("/v1/agreements", json=text, headers=world.issuer.headers(A))
    page = Person(world, A).get("/agreements/north-learning/preview")
    said = page.text.split(f'id="viewer-{B}"')[1].split("</section>")[0]
    assert says in re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", said))
    for practice in (A, B):
        world.sign("north-learning", practice, answer.json()["termsHash"])
    (cell,) = world.peers(B).json()["cells"]
    assert cell["numerator"] == numerator


def test_the_preview_counts_limits_and_withdrawals(proposed):
    for practice in (A, B, C):
        sign(proposed, practice)
    limits = {"mode": "named", "perIndicator": {"dna": "none"}}
    url = "/v1/agreements/north-learning/limits"
    proposed.client.put(url, json=limits, headers=proposed.issuer.headers(A))
    proposed.act("north-learning", C, "withdraw")
    text = text_of(Person(proposed, A).get("/agreements/north-learning/preview"))
    assert "Practice A99002" in text
    assert "Practice A99003" not in text
    assert text.count("not at all") == 1


def test_own_disclosures_with_filter_pages_and_csv(proposed):
    for practice in (A, B, C):
        sign(proposed, practice)
    proposed.release({A: {"dna": patients(20, 400)}, B: {"dna": patients(40, 400)}})
    for _ in range(51):
        proposed.peers(A, path="/dna")
    proposed.clock.pass_days(1)
    proposed.peers(C, path="/dna")
    person = Person(proposed, B)
    page = person.get("/disclosures").text
    assert page.count('<th scope="row">') == 50
    assert "Practice A99003" in page
    older = re.search(r'href="(/disclosures\?[^"]*before=[^"]*)"', page)[1].replace("&amp;", "&")
    assert person.get(older).text.count('<th scope="row">') == 2
    assert person.get("/disclosures?viewer=a99003").text.count('<th scope="row">') == 1
    assert "Nobody has looked" in person.get("/disclosures?to=2026-09-20").text
    csv = person.get("/disclosures.csv?from=2026-09-22")
    assert csv.headers["content-type"].startswith("text/csv")
    assert len(csv.text.splitlines()) == 2
    assert "peerIdentification.mode" in csv.text
    for query, field in (
        ("from=soon", "from"),
        ("from=2026-09-22&to=2026-09-21", "to"),
        ("viewer=%25", "viewer"),
        ("indicator=x", "indicator"),
    ):
        answer = person.get(f"/disclosures?{query}")
        assert answer.status_code == 422
        assert f'id="{field}-error"' in answer.text
        assert person.get(f"/disclosures.csv?{query}").status_code == 400


def test_looking_at_ones_own_pages_discloses_nothing(proposed):
    proposed.release({A: {"dna": patients(20, 400)}})
    for path in ("", "/north-learning", "/north-learning/preview", "/new"):
        assert Person(proposed, A).get(f"/agreements{path}").status_code == 200
    for practice in (A, B, C):
        url = f"/v1/practices/{practice}/disclosures"
        answer = proposed.client.get(url, headers=proposed.issuer.headers(practice))
        assert answer.json()["disclosures"] == []


def test_a_practice_joins_by_the_address_that_a_party_gives_it(proposed):
    for practice in (A, B, C):
        sign(proposed, practice)
    proposed.share.figures.put(live_value(D))
    path = re.search(
        r"<code>(/agreements/\S+)</code>",
        Person(proposed, A).get("/agreements/north-learning").text,
    )[1].replace("&amp;", "&")
    stranger = Person(proposed, D)
    assert "How practices are identified" in stranger.get(path).text
    assert Person(proposed, D).get(path.replace(proposed.hash, "0" * 64)).status_code == 404
    data = {"version": "1", "terms_hash": proposed.hash, "confirmed": "yes"}
    data |= {"party_name": "Dale Surgery"}
    answer = stranger.post("/agreements/north-learning/join", **data, hash_start="00")
    assert answer.status_code == 422
    answer = stranger.post("/agreements/north-learning/join", **data, hash_start=proposed.hash[:8])
    assert answer.status_code == 303, text_of(answer)
    assert "You have signed, and asked to join" in stranger.get(answer.headers["location"]).text
    assert "1 practice asks to join" in Person(proposed, A).get("/agreements").text

    told = text_of(stranger.get("/agreements"))
    assert "Agreements Dale Surgery A99004" in told
    assert "asks to join, and waits: it sees nobody, and nobody sees it" in told
    assert "/take-back" in stranger.get("/agreements/north-learning").text
    assert "It may ask again" in stranger.get("/agreements/north-learning/take-back").text
    gone = stranger.post("/agreements/north-learning/take-back", confirmed="yes")
    assert gone.headers["location"] == "/agreements"
    assert "party of no agreement" in text_of(stranger.get("/agreements"))
    assert "took back that it asked to join" in text_of(
        Person(proposed, A).get("/agreements/north-learning")
    )
    stranger.post("/agreements/north-learning/join", **data, hash_start=proposed.hash[:8])

    where = "/agreements/north-learning/admit"
    assert "nothing for your practice to decide" in stranger.get(f"{where}?practice={D}").text
    assert stranger.post(where, practice=D, confirmed="yes").status_code == 404
    for practice in (A, B, C):
        person = Person(proposed, practice)
        assert "Dale Surgery (A99004)" in text_of(person.get(f"{where}?practice={D}"))
        assert person.post(where, practice=D).status_code == 422, "it is confirmed first"
        assert person.post(where, practice=D, confirmed="yes").status_code == 303
    text = text_of(Person(proposed, D).get("/agreements/north-learning"))
    assert "Dale Surgery A99004 you controller 21 September 2026" in text
    assert Person(proposed, A).get(f"{where}?practice={D}").status_code == 404


def test_a_draft_is_changed_by_its_parties_until_all_have_signed(proposed):
    sign(proposed, B)
    person = Person(proposed, A)
    page = person.get("/agreements/north-learning/edit")
    assert 'action="/agreements/north-learning/edit"' in page.text
    data = draft(title="Learning better", items=["dna"], do="propose") | {"network-id": "north"}
    data |= form_of(page)
    data |= {"party-1-ods": C, "party-1-name": "Third"}
    answer = person.post("/agreements/north-learning/edit", **data)
    assert answer.status_code == 303, text_of(answer)
    text = text_of(person.get("/agreements/north-learning"))
    assert "Learning better version 1 draft" in text
    assert "Brook A99002 controller not yet signed" in text, "who signed other terms signs again"
    headers = proposed.issuer.headers(A)
    found = proposed.client.get("/v1/agreements/north-learning", headers=headers).json()
    proposed.hash = found["termsHash"]
    for practice in (A, B, C):
        assert sign(proposed, practice).status_code == 303
    assert person.get("/agreements/north-learning/edit").status_code == 409
    assert person.post("/agreements/north-learning/edit", **data).status_code == 409


def form_of(answer):
    """What a browser would send of the page's form: its hidden fields, as far as needed here."""
    return {"edition": re.search(r'name="edition" value="([^"]*)"', answer.text)[1]}


def test_of_two_who_change_a_draft_the_later_is_told_and_loses_nothing(proposed):
    path = "/agreements/north-learning/edit"
    fields = {
        "title": "Learning together", "network-id": "north", "network-name": "North network",
        "network-type": "pcn", "purposes": "quality-improvement", "mode": "named",
        "validFrom": "2026-01-01", "audiences": "members", "reciprocal": "yes", "every": "1",
        "admission": "quorum", "pastData": "remove", "confidentialityBasis": "anonymised",
        "items": "dna",
    } | {f"party-{n}-{part}": value for n, code in enumerate((A, B, C)) for part, value in
         (("ods", code), ("name", f"Practice {code}"), ("role", "controller"))}  # fmt: skip
    first, second = Person(proposed, A), Person(proposed, B)
    a, b = (form_of(person.get(path)) | fields for person in (first, second))
    a["title"], b["retention"] = "Ours is better", "Two years"
    assert first.post(path, **a, do="propose").status_code == 303

    for do in ("check", "propose"):
        late = second.post(path, **b, do=do)
        assert late.status_code == 412
        told = text_of(late)
        assert "Somebody else saved this draft meanwhile" in told
        assert "demo session of Practice A99001 saved another text on 21 September 2026" in told
        assert "What they changed" in told
        assert "title Learning together Ours is better" in told
        assert "Where your form differs" in told
        assert "title Ours is better Learning together" in told
        assert "Two years</textarea>" in late.text, "what was typed is still there"
        assert "Propose" not in told
        assert 'value="propose"' not in late.text, "it is checked before it replaces anything"
    stands = proposed.client.get(
        "/v1/agreements/north-learning", headers=proposed.issuer.headers(B)
    ).json()
    assert (stands["agreement"]["title"], stands["agreement"]["retention"]) == (
        "Ours is better",
        "",
    )
    # of a new agreement there is none
    new = second.post("/agreements/new", **b | {"edition": "x", "id": "another"}, do="check")
    assert new.status_code == 200
    # more rows do not make it forget which text it began with
    more = second.post(path, **b, do="rows")
    assert form_of(more)["edition"] == b["edition"]
    b |= form_of(late) | {"title": "Ours is better"}
    assert second.post(path, **b, do="check").status_code == 200
    assert second.post(path, **b, do="propose").status_code == 303

    for practice in (A, B, C):
        text = proposed.client.get(
            "/v1/agreements/north-learning", headers=proposed.issuer.headers(practice)
        ).json()
        proposed.sign("north-learning", practice, text["termsHash"])
    gone = second.post(path, **b, do="propose")
    assert gone.status_code == 409
    assert "only a draft is changed" in gone.text
    assert "Two years</textarea>" in gone.text


def test_what_a_version_changes_is_said_in_words(proposed):
    for practice in (A, B, C):
        sign(proposed, practice)
    second = document(A, B, C, version=2, supersedes=1)
    second["dataItems"] = [{"indicatorId": "bp-htn-u80"}]
    proposed.client.post("/v1/agreements", json=second, headers=proposed.issuer.headers(B))
    text = text_of(Person(proposed, A).get("/agreements/north-learning/changes?from=1&to=2"))
    assert "Your figures of “Did not attend” would no longer be shared." in text


def test_the_audience_signs_and_does_nothing_else(world):
    recipient = {"odsCode": D, "name": "Network office"}
    text = document(A, B, audiences=["members", recipient])
    text["peerIdentification"] = {"mode": "named", "reciprocal": False}
    world.hash = world.agree(text)["termsHash"]
    world.share.figures.put(live_value(D))
    person = Person(world, D)
    page = person.get("/agreements/north-learning").text
    assert "audience: sees, and shares nothing" in page
    assert "/agreements/north-learning/suspend" not in page
    assert sign(world, D).status_code == 303
    preview = Person(world, A).get("/agreements/north-learning/preview").text
    assert 'id="viewer-A99004"' in preview


def codes(count):
    return [f"A99{n:03}" for n in range(1, count + 1)]


def unnamed(world, count, mode):
    """So many practices at 51 per cent and more, of whom nobody is named."""
    items = [{"indicatorId": "bp-htn-u80"}]
    terms = {"mode": mode, "reciprocal": False}
    world.agree(document(*codes(count), dataItems=items, peerIdentification=terms))
    world.release({c: {"bp-htn-u80": patients(2 * (50 + int(c[3:])), 200)} for c in codes(count)})


def test_who_is_not_named_is_counted_on_the_page_and_in_the_log(world):
    unnamed(world, 12, "anonymous")
    text = text_of(Person(world, A).get("/"))
    assert "11 peers who are not named: 7 under 60% 4 from 60% to under 70%" in text
    assert "you, released" in text
    assert not re.search("A99002 ", text.split("What is compared")[1])
    entry = world.client.get(
        f"/v1/practices/{B}/disclosures", headers=world.issuer.headers(B)
    ).json()["disclosures"][0]
    assert (entry["level"], entry["channel"], entry["viewer"]) == ("anonymous", "page", A)
    assert "seen anonymously, counted in bands" in text_of(Person(world, B).get("/disclosures"))
    preview = text_of(Person(world, B).get("/agreements/north-learning/preview"))
    assert "as one of about 11 practices, counted in bands" in preview
    assert "one of the practices under 60%" in preview


def test_a_median_is_on_the_page_and_too_few_are_told_in_the_preview(world):
    unnamed(world, 12, "distribution")
    text = text_of(Person(world, A).get("/"))
    assert re.search(r"11 peers who are not named: median \d\d% ", text)
    assert "as one of about 11 practices behind a median" in text_of(
        Person(world, B).get("/agreements/north-learning/preview")
    )
    for code in codes(12)[10:]:
        world.act("north-learning", code, "withdraw")
    preview = text_of(Person(world, B).get("/agreements/north-learning/preview"))
    assert "not at all: 9 practices may contribute, and a figure of several needs 10" in preview
    assert "nothing is shown at this release" in text_of(Person(world, A).get("/"))
