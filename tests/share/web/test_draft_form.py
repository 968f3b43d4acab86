"""The draft form and the document say the same."""

import itertools
import re
from html.parser import HTMLParser

from hypothesis import HealthCheck, given, settings

from peerview_share.agreements.checking import parse
from peerview_share.web import draft_form, draft_rows
from peerview_share.web.draft_words import CHOICES
from peerview_share.web.forms import Fields
from tests.share.support import document
from tests.share.web.agreement_documents import WORDS, documents
from tests.share.web.test_agreement_pages import A, B, Person

NUMBERS = itertools.count()


class Form(HTMLParser):
    """What a browser sends of a page's last form, when nobody touches it."""

    def __init__(self, page):
        super().__init__()
        self.sent, self._area, self._select = {}, None, None
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        name = found.get("name")
        if tag == "form":
            self.sent = {}
        elif tag == "textarea":
            self._area, self._text = name, ""
        elif tag == "select":
            self._select = name
        elif tag == "option" and (self._select not in self.sent or "selected" in found):
            self.sent[self._select] = [found["value"]]
        elif tag == "input":
            if found.get("type") in ("checkbox", "radio") and "checked" not in found:
                return
            self.sent.setdefault(name, []).append(re.sub(r"[\r\n]", "", found["value"]))

    def handle_data(self, data):
        if self._area is not None:
            self._text += data

    def handle_endtag(self, tag):
        if tag == "textarea":
            lines = re.sub(r"\r\n?", "\n", self._text).removeprefix("\n")
            self.sent[self._area] = [lines.replace("\n", "\r\n")]
            self._area = None


def in_a_browser(fields):
    """Choices in the page's order, once each; no line breaks in lines, CRLF in passages."""
    found = {}
    for name, values in fields.values.items():
        if name in ("purposes", "prohibitedUses", "items", "audiences"):
            values = sorted(set(values))
        areas = name in ("retention", "onwardSharing")
        found[name] = [
            re.sub(r"\r\n?|\n", "\r\n", value) if areas else re.sub(r"[\r\n]", "", value)
            for value in values
        ]
    return Fields(found)


@given(documents())
def test_any_agreement_survives_an_edit_without_changes(found):
    sent = in_a_browser(draft_form.fields_of(found))
    assert draft_form.document_of(sent, found) == found


@given(documents(WORDS), documents(WORDS))
def test_the_form_says_everything_that_can_be_chosen(found, other):
    """Whatever text the form began with, it ends with the one that was filled in."""
    made = draft_form.document_of(draft_form.fields_of(found), other)
    # the form does not decide these; of the definitions' versions there is no field
    ranges = {item["indicatorId"]: item["versionRange"] for item in other["dataItems"]}
    wanted = found | {name: other[name] for name in ("version", "supersedes")}
    wanted["dataItems"] = [
        {"indicatorId": name, "versionRange": ranges.get(name, "*")}
        for name in (item["indicatorId"] for item in found["dataItems"])
    ]
    assert _unordered(parse(made).plain()) == _unordered(wanted)


def _unordered(value):
    if isinstance(value, dict):
        return {name: _unordered(inner) for name, inner in value.items()}
    return sorted({str(inner) for inner in value}) if isinstance(value, list) else value


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(found=documents())
def test_the_page_sends_back_what_it_was_shown(world, found):
    """Through the real template: an edit without changes is refused as no change."""
    first = found["parties"][0]["odsCode"]
    found |= {"id": f"n{next(NUMBERS)}", "version": 1, "supersedes": None}
    answer = world.client.post("/v1/agreements", json=found, headers=world.issuer.headers(first))
    assert answer.status_code == 201, answer.text
    person, path = Person(world, first), f"/agreements/{found['id']}/edit"
    page = person.get(path)
    assert page.status_code == 200, page.text
    sent = Form(page.text).sent
    answer = person.client.post(path, data=sent | {"do": "propose"})
    assert answer.status_code == 422
    assert "this is the draft as it stands" in answer.text
    answer = person.client.post(path, data=sent | {"title": ["Another"], "do": "propose"})
    assert answer.status_code == 303, answer.text


def test_as_many_parties_as_there_may_be_fit_into_the_form(world):
    text = document(*(f"A{n:05}" for n in range(500)))
    assert world.client.post(
        "/v1/agreements", json=text, headers=world.issuer.headers("A00000")
    ).is_success
    person, path = Person(world, "A00000"), "/agreements/north-learning/edit"
    sent = Form(person.get(path).text).sent
    assert len(sent) > 2000
    answer = person.client.post(path, data=sent | {"do": "propose"})
    assert "this is the draft as it stands" in answer.text


def test_a_new_form_stands_at_the_defaults():
    start = {"parties": [{"odsCode": A, "name": "x"}], "peerIdentification": {"mode": "named"}}
    fields = draft_form.fields_of(start)
    made = draft_form.document_of(fields, {})
    filled = made | document(A, B) | {"network": made["network"] | {"id": "north"}}
    wanted = parse(document(A, B, network={"id": "north"})).plain()
    assert parse(filled | {"peerIdentification": made["peerIdentification"]}).plain() == wanted
    assert fields.one("minCount") == "8"
    for field, choices in CHOICES.items():
        assert set(fields.all(field)) <= choices.keys(), field


def test_what_makes_no_sense_stays_as_it_was_typed():
    typed = {"minCount": ["about ten"], "lagDays": ["-1"], "every": ["2"], "validTo": ["soon"]}
    typed |= {"admission": ["lead-practice"], "admission-practice": ["the first"]}
    made = draft_form.document_of(Fields(typed), parse(document(A, B)).plain())
    assert made["disclosureControl"]["minCount"] == "about ten"
    assert (made["epochs"]["lagDays"], made["epochs"]["every"]) == ("-1", 2)
    assert made["validTo"] == "soon"
    assert made["admission"] == {"by": "lead-practice", "practice": "THE FIRST"}


def test_a_field_left_open_is_at_its_default():
    base = parse(document(A, B, disclosureControl={"minCount": 12}, validTo="2027-03-31")).plain()
    sent = {"minCount": [""], "validTo": [""], "admission": ["quorum"], "admission-percent": [""]}
    made = draft_form.document_of(Fields(draft_form.fields_of(base).values | sent), base)
    said = parse(made)
    assert (said.disclosure_control.min_count, said.valid_to) == (8, None)
    assert said.admission.percent == 100


def test_rows_are_read_by_their_numbers():
    typed = {f"recipient-{row}-ods": [f"R{row}X"] for row in ("3", "11", "50", "²", "-1", "1" * 9)}
    rows = draft_rows.take(draft_rows.RECIPIENTS, Fields(typed))
    assert [row for row, _ in rows] == [3, 11]
    assert draft_rows.count(draft_rows.RECIPIENTS, Fields(typed)) == 15
    assert draft_rows.count(draft_rows.PARTIES, Fields({})) == draft_rows.EMPTY_ROWS


def test_faults_of_lists_are_told_beside_their_rows():
    typed = {
        "audiences": ["members", "network-staff"],
        "recipient-2-ods": ["r05"],
        "recipient-2-name": ["Second"],
        "recipient-4-ods": ["?"],
        "recipient-4-name": ["Fifth"],
    }
    text = document(A, B, audiences=["members", {"odsCode": "R05", "name": "Second"}])
    base = parse(text | {"peerIdentification": {"mode": "named", "reciprocal": False}})
    reading = draft_form.read(Fields(typed), base.plain())
    assert reading.document["audiences"] == [
        "members",
        {"odsCode": "R05", "name": "Second"},
        "network-staff",
        {"odsCode": "?", "name": "Fifth"},
    ], "what stays stands as it stood"
    found = reading.placed(
        [("audiences.3.odsCode", "is none"), ("audiences.1", "is a party"), ("audiences.2", "no")]
    )
    assert found == {
        "recipient-4-ods": ["Code of recipient 5: is none"],
        "recipient-2-ods": ["Code of recipient 3: is a party"],
        "audiences": ["Who may see: no"],
    }
