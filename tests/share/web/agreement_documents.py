"""Any agreement that could be signed, as JSON values with every clause spelt out."""

from datetime import date
from typing import get_args

from hypothesis import strategies as st

from peerview_common.catalogue import catalogue
from peerview_share.agreements.checking import check, parse
from peerview_share.agreements.clauses import ConfidentialityBasis, Network, Prohibited, Purpose
from peerview_share.agreements.level import PeerMode

WORDS = ("Harbour & Sons", "“as agreed”", "<b>", 'it\'s; "so"', "Śród-mieście", "x" * 300)
"""Texts that a browser shows as they are."""
AWKWARD = (" ", "\n", " a", "a\n", "a\r\nb", "\n\n a\n\n b ", "\tb\u00a0", "\u2028c", "a\rb")
"""Texts that a field of a form cannot show exactly."""
RANGES = st.sampled_from(("*", "2026.1", "2025.1-2026.2"))
ROLES = ("joint-controller", "controller", "recipient")


def some(values, at_least=0, repeated=False):
    """In any order, each once unless ``repeated``."""
    elements = st.sampled_from(list(values))
    if repeated:
        return st.lists(elements, min_size=at_least, max_size=6)
    return st.lists(elements, min_size=at_least, unique=True)


@st.composite
def documents(draw, texts=WORDS + AWKWARD):
    line = st.sampled_from(texts)
    passage = st.sampled_from(("", *texts))
    codes = draw(some([f"A99{n:03}" for n in range(1, 6)], at_least=2))
    chosen = draw(some(catalogue(), at_least=1))
    office = draw(st.none() | st.just("N01"))
    others = [{"odsCode": f"R{n:02}", "name": draw(line)} for n in draw(some(range(4)))]
    groups = draw(some(["members", "network-staff"] if office else ["members"]))
    audiences = draw(st.permutations([*groups, *others])) or ["members"]
    # none has ended in the tests' time: it could not be changed any more
    first = draw(st.dates(date(2027, 1, 1)))
    later = st.none() | st.dates(first).map(str)
    version = draw(st.integers(1, 40))
    text = {
        "id": draw(st.from_regex(r"[a-z0-9][a-z0-9-]{1,20}", fullmatch=True)),
        "version": version,
        "supersedes": draw(st.sampled_from((None, version - 1) if version > 1 else (None,))),
        "title": draw(line),
        "parties": [
            {
                "odsCode": code,
                "name": draw(line),
                "role": draw(st.sampled_from(ROLES)),
                "signatory": draw(passage),
            }
            for code in codes
        ],
        "network": {
            "id": "north",
            "name": draw(passage),
            "type": draw(st.sampled_from(get_args(Network.model_fields["type"].annotation))),
            "odsCode": office,
        },
        "purposes": draw(some(get_args(Purpose), at_least=1, repeated=True)),
        "prohibitedUses": draw(some(get_args(Prohibited), repeated=True)),
        "lawfulBasis": {"art6": draw(line), "art9": draw(line), "dpa2018Sched1": draw(line)},
        "confidentialityBasis": draw(st.sampled_from(get_args(ConfidentialityBasis))),
        "dpiaRef": draw(passage),
        "caldicottApproval": draw(passage),
        "dataItems": [{"indicatorId": name, "versionRange": draw(RANGES)} for name in chosen],
        "audiences": audiences,
        "peerIdentification": {
            "mode": draw(st.sampled_from(PeerMode)).value,
            "perIndicator": {
                name: draw(st.sampled_from(PeerMode)).value for name in draw(some(chosen))
            },
            "reciprocal": audiences == ["members"] and draw(st.booleans()),
            "minPeers": draw(st.integers(0, 1000)),
        },
        "epochs": {"every": draw(st.sampled_from((1, 3))), "lagDays": draw(st.integers(0, 366))},
        "disclosureControl": {
            "minChange": draw(st.sampled_from((8, 10, 15, 20, 30, 50, 100))),
            "minPatients": draw(st.integers(20, 100_000)),
            "minDenominator": draw(st.integers(20, 100_000)),
            "minCount": draw(st.integers(8, 1000)),
            "extremesFrom": draw(st.integers(50, 100_000)),
            "roundingBase": 5 * draw(st.integers(1, 200)),
        },
        "validFrom": str(first),
        "validTo": draw(later),
        "reviewDate": draw(later),
        "withdrawal": {
            "noticeDays": draw(st.integers(0, 366)),
            "pastData": draw(st.sampled_from(("retain", "remove"))),
        },
        "retention": draw(passage),
        "onwardSharing": draw(passage),
        "contacts": [
            {"name": draw(line), "email": draw(passage)} for _ in range(draw(st.integers(0, 4)))
        ],
        "admission": draw(
            st.one_of(
                st.fixed_dictionaries({"by": st.just("quorum"), "percent": st.integers(1, 100)}),
                st.fixed_dictionaries(
                    {"by": st.just("lead-practice"), "practice": st.sampled_from(codes)}
                ),
            )
        ),
    }
    assert check(text) == []
    return parse(text).plain()
