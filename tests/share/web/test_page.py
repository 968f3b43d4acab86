"""The page: own live figures beside peers' released ones, without a script."""

import re
from html.parser import HTMLParser

import pytest
from fastapi.testclient import TestClient

from peerview_common.settings import Mode
from peerview_share.api.app import create_app
from peerview_share.web import session
from tests.share.support import document, live_value, patients

A, B, C = "A99001", "A99002", "A99003"


@pytest.fixture
def shown(world):
    """A network of three with one release, seen by its first practice."""
    text = document(A, B, C)
    text["parties"][0]["name"] = "Harbour <Medical> Centre"
    world.agree(text)
    world.share.figures.put(live_value(A))
    world.release(
        {
            A: {"bp-htn-u80": patients(55, 100)},
            B: {"bp-htn-u80": patients(640, 1024)},
            C: {"bp-htn-u80": patients(3, 100)},
        }
    )
    return world


def text_of(answer):
    plain = re.sub(r"<[^>]+>", " ", answer.text)
    return re.sub(r"\s+", " ", plain.replace("\u00a0", " "))


def test_live_and_released_stand_side_by_side(shown):
    text = text_of(shown.client.get("/"))
    assert "68.2%" in text
    assert "682 of 1,000 patients" in text
    assert "62% 640 of 1,025 patients released 21 Sep 2026" in text
    assert "Exceptions 41" in text
    assert "3 patients with a type 1 opt-out are not counted." in text
    assert "suppressed" in text
    assert "Your peers see your released figure" in text
    assert "Periods are shortened" in text


def test_a_figure_that_is_held_is_not_shown(shown):
    for state, words in (
        ("rekeying", "Your patients are getting new pseudonyms"),
        ("awaiting-backfill", "Waiting for a full submission"),
    ):
        shown.share.figures.put(live_value(A, state=state))
        text = text_of(shown.client.get("/"))
        assert words in text
        assert "68.2%" not in text


def test_the_comparison_shows_the_own_released_figure_not_the_live_one(shown):
    page = shown.client.get("/").text
    own, _ = re.findall(r'<tr class="own">.*?</tr>', page, re.DOTALL)
    assert "55%" in own
    assert "68" not in own


def test_only_what_rests_on_stand_ins_is_for_demonstration_only(world):
    world.share.figures.put(live_value(A, "cervical"))
    world.share.figures.put(live_value(A, "dna"))
    page = world.client.get("/").text
    assert page.count("demonstration only</span>") == 1
    assert "demonstration only" in page.split('id="cervical"')[1].split("</h2>")[0]


def test_names_are_escaped_and_nothing_runs(shown):
    answer = shown.client.get("/")
    assert "Harbour &lt;Medical&gt; Centre" in answer.text
    assert "<script" not in answer.text
    assert "style=" not in answer.text
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert shown.client.get("/static/peerview.css").status_code == 200


class Outline(HTMLParser):
    def __init__(self):
        super().__init__()
        self.ids, self.references, self.headings, self.cells = [], [], [], []
        self.counts = {}

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.counts[tag] = self.counts.get(tag, 0) + 1
        if "id" in given:
            self.ids.append(given["id"])
        self.references += given.get("aria-labelledby", "").split()
        self.references += [given["for"]] if "for" in given else []
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))
        if tag == "th":
            self.cells.append(given.get("scope"))


def test_the_page_is_built_for_everyone(shown):
    page = shown.client.get("/").text
    outline = Outline()
    outline.feed(page)
    assert '<html lang="en-GB">' in page
    assert outline.headings[0] == 1
    assert outline.headings.count(1) == 1
    assert all(b - a <= 1 for a, b in zip(outline.headings, outline.headings[1:], strict=False))
    assert len(set(outline.ids)) == len(outline.ids)
    assert set(outline.references) <= set(outline.ids)
    assert outline.counts["table"] == outline.counts["caption"]
    assert set(outline.cells) == {"col", "row"}


def luminance(colour):
    parts = [int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)]
    red, green, blue = (p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_text_has_enough_contrast(world):
    css = world.client.get("/static/peerview.css").text
    colours = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", css))
    pairs = [("ink", "ground"), ("quiet", "paper"), ("quiet", "ground"), ("own", "own-ground")]
    for text, ground in [*pairs, ("paper", "deep"), ("paper", "own")]:
        light, dark = sorted((luminance(colours[text]), luminance(colours[ground])))[::-1]
        assert (light + 0.05) / (dark + 0.05) >= 4.5, (text, ground)


def test_a_visitor_of_the_demo_chooses_a_practice(shown):
    client = TestClient(shown.client.app)
    assert client.post("/demo/practice", data={"practice": "Z99999"}).status_code == 404
    answer = client.post("/demo/practice", data={"practice": B})
    assert answer.status_code == 200
    assert "Practice A99002" in answer.text
    assert re.search(r'value="A99002" selected', answer.text)
    forged = {"Cookie": f"{session.COOKIE}={C}.{'0' * 64}"}
    assert "Practice A99003 <" not in TestClient(client.app).get("/", headers=forged).text


def test_looking_at_the_page_is_logged(shown):
    shown.client.get("/")
    answer = shown.client.get(f"/v1/practices/{B}/disclosures", headers=shown.issuer.headers(B))
    assert {(d["viewer"], d["channel"]) for d in answer.json()["disclosures"]} == {(A, "page")}


def test_production_asks_who_is_there(shown, monkeypatch):
    production = shown.share.settings.model_copy(update={"mode": Mode.PRODUCTION})
    object.__setattr__(shown.share, "settings", production)
    client = TestClient(create_app(shown.share))
    assert client.get("/").status_code == 401
    assert client.post("/demo/practice", data={"practice": B}).status_code == 404
    answer = client.get("/", headers=shown.issuer.headers(A))
    assert answer.status_code == 200
    assert "Look as practice" not in answer.text
    assert "Demonstration" not in answer.text


def test_before_anything_is_there_the_page_says_so(world):
    assert "No practice yet" in world.client.get("/").text
    world.share.figures.put(live_value(A))
    text = text_of(world.client.get("/"))
    assert "no active sharing agreement" in text
    assert "68.2%" in text
    world.agree(document(A, B))
    assert "Nothing has been released yet" in text_of(world.client.get("/"))
