"""Before a release, on a page: what will move and why; to hold, confirm and take back."""

from tests.share.api.test_previews import (
    B,
    cells_of,
    pass_preview,
    peer_sees,
    preview,
    resting,
)
from tests.share.support import live_value
from tests.share.web.test_agreement_pages import Person, text_of

__all__ = ["resting"]
A = "A99001"


def second_release(world, numerator):
    return world.release({A: cells_of(40), B: cells_of(numerator)}, confirmed=False)


def test_before_the_first_cut_the_page_says_when_there_is_one(world):
    world.share.figures.put(live_value(B))
    assert "Nothing has been cut yet" in text_of(Person(world, B).get("/release"))


def test_what_will_move_is_seen_by_the_practice_alone_and_can_be_held(resting):
    second_release(resting, 60)
    person = Person(resting, B)
    told = text_of(person.get("/release"))
    assert "Release 2" in told
    assert "in preview . Peers see it from" in told
    assert "50%, 50 of 100 patients" in told
    assert "60%, 60 of 100 patients" in told
    assert "moves . The figure may move" in told
    assert "stays . No patient differs from an earlier release" in told
    assert "60%" not in text_of(Person(resting, A).get("/release"))
    assert "Blood pressure controlled, hypertension, under 80 may be seen by 1 other" in told
    assert "Usual provider of care seen by nobody: no agreement in force shares it" in told
    assert preview(resting)[1]["viewers"] == 1
    assert preview(resting, indicator="upc")[1]["viewers"] == 0

    answer = person.post("/release/hold", indicator="bp-htn-u80")
    assert answer.headers["location"] == "/release?done=hold"
    told = text_of(person.get(answer.headers["location"]))
    assert "The figure is held" in told
    assert "held . " in told
    assert person.post("/release/hold", indicator="dna").status_code == 422
    assert "releases nothing new of dna" in text_of(person.post("/release/hold", indicator="dna"))
    assert person.post("/release/hold", indicator="nothing").status_code == 404
    assert person.post("/release/confirm", indicator="bp-htn-u80").status_code == 303
    assert preview(resting)[1]["held"] == []
    person.post("/release/hold", indicator="bp-htn-u80")
    pass_preview(resting)
    assert peer_sees(resting) == ("carried-forward", 50, 1)
    told = text_of(person.get("/release"))
    assert "published" in told
    assert ">Hold<" not in person.get("/release").text


def test_a_jump_is_confirmed_on_the_page(resting):
    second_release(resting, 90)
    person = Person(resting, B)
    page = person.get("/release")
    assert "It is right: release it" in page.text
    assert "It jumped by over 20 points" in text_of(page)
    person.post("/release/confirm", indicator="bp-htn-u80")
    pass_preview(resting)
    assert peer_sees(resting) == ("value", 90, 2)


def test_a_wrong_figure_is_taken_back_and_the_page_says_so_afterwards(resting):
    person = Person(resting, B)
    wrong = person.post("/release/take-back", figure="bp-htn-u80 1", reason="", confirmed="yes")
    assert wrong.status_code == 422
    assert "Say what was wrong" in wrong.text
    assert '<option value="bp-htn-u80 1" selected>' in wrong.text
    data = {"reason": "A mapping was wrong", "confirmed": "yes"}
    assert person.post("/release/take-back", figure="bp-htn-u80 9", **data).status_code == 422
    assert person.post("/release/take-back", figure="", **data).status_code == 422
    assert peer_sees(resting)[0] == "value"
    answer = person.post("/release/take-back", figure="bp-htn-u80 1", **data)
    assert answer.headers["location"] == "/release?done=take-back"
    assert peer_sees(resting)[0] == "suppressed"
    told = text_of(person.get("/release"))
    assert "was taken back: peers see that it is suppressed until enough has changed" in told
    assert preview(resting)[1]["taken_back"] is True
    assert preview(resting, indicator="dna")[1]["taken_back"] is False
