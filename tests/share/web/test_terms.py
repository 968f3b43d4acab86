"""Terms as people read them before they sign."""

from hypothesis import assume, given

from peerview_common.catalogue import catalogue
from peerview_share.agreements.checking import parse
from peerview_share.web import terms
from tests.share.support import document
from tests.share.web.agreement_documents import WORDS, documents


def said(text):
    return {clause.key: clause.lines for clause in terms.clauses(text, catalogue())}


@given(documents(WORDS), documents(WORDS))
def test_terms_that_differ_are_never_read_alike(one, other):
    """Each clause says all of its value; what is told of indicators rests on two of them."""
    before, after = said(one), said(other)
    assert before.keys() == one.keys() - {"parties"}
    for name in before:
        if name not in ("dataItems", "peerIdentification"):
            assert (before[name] == after[name]) == (one[name] == other[name]), name
    modes = one["peerIdentification"] | {"perIndicator": {}}
    assume(one["peerIdentification"]["mode"] != other["peerIdentification"]["mode"])
    changed = modes | {"mode": other["peerIdentification"]["mode"]}
    assert (
        said(one | {"peerIdentification": changed})["dataItems"]
        != said(one | {"peerIdentification": modes})["dataItems"]
    )


def test_the_terms_are_said_in_words():
    recipient = {"odsCode": "N01", "name": "Network office"}
    found = said(
        parse(
            document(
                "A99001",
                "A99002",
                audiences=["members", recipient],
                peerIdentification={"mode": "named", "reciprocal": False, "minPeers": 3},
                disclosureControl={"minCount": 12},
                epochs={"every": 3},
                withdrawal={"pastData": "retain"},
                dataItems=[{"indicatorId": "dna", "versionRange": "2026.1"}],
            )
        ).plain()
    )
    assert found["audiences"][1] == "Network office (N01), a recipient that shares nothing"
    assert "A count under 12, other than 0, is not shown" in found["disclosureControl"]
    assert "Peers see every third release" in found["epochs"]
    assert "stay in earlier releases" in found["withdrawal"][1]
    assert found["admission"] == ("The parties decide", "100 per cent of them must agree")
    assert found["contacts"] == ("none",)
    (item,) = found["dataItems"]
    assert item.endswith("seen by name; versions 2026.1 of its definition alone")
    assert "An indicator is shown once 3 other practices share it" in found["peerIdentification"]


def test_a_clause_that_is_not_known_yet_is_said_as_it_stands():
    """A later release's text, shown by this one."""
    text = parse(document("A99001", "A99002")).plain()
    text |= {"newClause": {"someDays": 3, "list": ["a", {"b": 1}]}, "audiences": ["everybody"]}
    text["epochs"] |= {"restsOn": "Sundays"}
    found = said(text)
    assert found["newClause"] == ("some days: 3", "list: a; b: 1")
    assert found["epochs"][-1] == "rests on: Sundays"
    assert found["audiences"] == ("everybody",)
