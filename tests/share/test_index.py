"""The agreement index against an oracle written from the rules' text, on agreements at random."""

from datetime import date, datetime

from hypothesis import given, settings
from hypothesis import strategies as st

from peerview_common.days import LONDON, millis
from peerview_share.agreements.document import Agreement, Limits, Role
from peerview_share.agreements.explain import Clause, explain
from peerview_share.agreements.index import compile_index
from peerview_share.agreements.life import AgreementRecord, PartyRecord
from tests.share.support import document

PRACTICES = ["A99001", "A99002", "A99003", "A99004"]
INDICATORS = ["bp-htn-u80", "dna"]
MODES = ["none", "distribution", "anonymous", "named", "prohibit"]
RANK = {"prohibit": 0, "none": 0, "distribution": 1, "anonymous": 2, "named": 3}
TODAY = date(2026, 9, 21)
NOON = millis(datetime(2026, 9, 21, 12, tzinfo=LONDON))

modes = st.sampled_from(MODES)
by_indicator = st.dictionaries(st.sampled_from(INDICATORS), modes, max_size=2)
days = st.sampled_from([date(2026, 9, 20), TODAY, date(2026, 9, 22)])


@st.composite
def agreements(draw):
    """Up to three agreements of one version each, two networks, four practices."""
    found = []
    for number in range(draw(st.integers(1, 3))):
        codes = draw(st.lists(st.sampled_from(PRACTICES), min_size=2, max_size=4, unique=True))
        roles = {c: draw(st.sampled_from(["controller", "controller", "recipient"])) for c in codes}
        items = draw(st.lists(st.sampled_from(INDICATORS), min_size=1, max_size=2, unique=True))
        start = draw(days)
        end = draw(st.one_of(st.none(), days.filter(lambda d, s=start: d >= s)))
        override = {k: v for k, v in draw(by_indicator).items() if k in items}
        text = document(
            id=f"agreement-{number}",
            network={"id": draw(st.sampled_from(["north", "south"]))},
            parties=[{"odsCode": c, "name": c, "role": roles[c]} for c in codes],
            dataItems=[{"indicatorId": i} for i in items],
            peerIdentification={
                "mode": draw(modes),
                "perIndicator": override,
                "reciprocal": draw(st.booleans()),
                "minPeers": draw(st.sampled_from([0, 0, 2])),
            },
            validFrom=start.isoformat(),
            validTo=end.isoformat() if end else None,
        )
        people = tuple(
            PartyRecord(
                c,
                c,
                Role(roles[c]),
                signed_at=draw(st.sampled_from([1, 1, 1, None])),
                withdrawn_at=draw(st.sampled_from([None, None, None, 2])),
                suspended_at=draw(st.sampled_from([None, None, None, None, 3])),
                limits=Limits(
                    mode=draw(st.sampled_from(["named", "named", *MODES])),
                    per_indicator=draw(by_indicator),
                ),
            )
            for c in codes
        )
        parsed = Agreement.model_validate(text)
        found.append(standing(parsed, people))
    return found


def standing(parsed, people):
    here = [p for p in people if p.withdrawn_at is None]
    whole = len(here) >= 2 and all(p.signed_at for p in here)
    return AgreementRecord(parsed, parsed.terms_hash(), people, complete_since=1 if whole else None)


# -- the oracle: read the rules, write them down naively


def says(limits, indicator):
    return str(limits.per_indicator.get(indicator, limits.mode))


def in_force(record):
    text = record.document
    here = [p for p in record.parties if p.withdrawn_at is None]
    return (
        len(here) >= 2
        and all(p.signed_at for p in here)
        and not any(p.suspended_at for p in here)
        and text.valid_from <= TODAY
        and (text.valid_to is None or text.valid_to >= TODAY)
    )


def present(record, code):
    return next((p for p in record.parties if p.ods == code and p.withdrawn_at is None), None)


def oracle(records, network, viewer, subject, indicator):
    if viewer == subject:
        return 0
    best = 0
    for record in records:
        terms = record.document.peer_identification
        v, s = present(record, viewer), present(record, subject)
        if not in_force(record) or v is None or s is None:
            continue
        if indicator not in [item.indicator_id for item in record.document.data_items]:
            continue
        agreed = str(terms.per_indicator.get(indicator, terms.mode))
        if "prohibit" in (agreed, says(s.limits, indicator), says(v.limits, indicator)):
            return 0
        sharing = [
            p
            for p in record.parties
            if p.withdrawn_at is None
            and p.role != "recipient"
            and p.ods != viewer
            and RANK[says(p.limits, indicator)] > 0
        ]
        if record.document.network.id != network or s.role == "recipient":
            continue
        if terms.reciprocal and v.role == "recipient":
            continue
        if len(sharing) < terms.min_peers:
            continue
        least = min(RANK[agreed], RANK[says(s.limits, indicator)], RANK[says(v.limits, indicator)])
        best = max(best, least)
    return best


@settings(max_examples=200, deadline=None)
@given(agreements())
def test_the_index_says_what_the_rules_say(records):
    index = compile_index(records, NOON)
    for network in ("north", "south"):
        for viewer in PRACTICES:
            for subject in PRACTICES:
                for indicator in INDICATORS:
                    grant = index.look_up(network, viewer, subject, indicator, NOON)
                    expected = oracle(records, network, viewer, subject, indicator)
                    assert (grant.level if grant else 0) == expected
                    why = explain(
                        records,
                        NOON,
                        network=network,
                        viewer=viewer,
                        subject=subject,
                        indicator=indicator,
                    )
                    assert why.level == expected
                    assert (why.clause is Clause.GRANTED) == (expected > 0)


@settings(max_examples=100, deadline=None)
@given(agreements())
def test_time_changes_nothing_before_the_moment_the_index_names(records):
    index = compile_index(records, NOON)
    if index.next_change is not None:
        just_before = compile_index(records, index.next_change - 1)
        assert (just_before.networks, just_before.forbidden) == (index.networks, index.forbidden)


def test_absent_means_denied():
    assert compile_index([], NOON).look_up("north", "A99001", "A99002", "dna", NOON) is None


def record(**clauses):
    parsed = Agreement.model_validate(document("A99001", "A99002", **clauses))
    people = tuple(PartyRecord(p.ods_code, p.name, p.role, signed_at=1) for p in parsed.parties)
    return standing(parsed, people)


def test_explain_names_the_clause():
    def clause(*records, **given):
        question = {
            "network": "north",
            "viewer": "A99001",
            "subject": "A99002",
            "indicator": "dna",
        } | given
        return explain(records, NOON, **question).clause

    assert clause(record()) is Clause.GRANTED
    assert clause() is Clause.NO_AGREEMENT
    assert clause(record(), network="south") is Clause.NO_AGREEMENT
    assert clause(record(), subject="A99009") is Clause.NOT_A_PARTY
    assert clause(record(), indicator="upc") is Clause.NOT_LISTED
    assert clause(record(validTo="2026-09-20")) is Clause.EXPIRED
    assert clause(record(validFrom="2026-09-22")) is Clause.NOT_YET_VALID
    assert clause(record(peerIdentification={"mode": "none"})) is Clause.LEVEL_NONE
    few = record(peerIdentification={"mode": "named", "minPeers": 3})
    assert clause(few) is Clause.MIN_PEERS
    forbids = record(id="another", network={"id": "south"}, peerIdentification={"mode": "prohibit"})
    assert clause(record(), forbids) is Clause.PROHIBITED


def test_the_terms_hash_covers_the_terms_and_not_the_parties():
    one = Agreement.model_validate(document("A99001", "A99002"))
    more = Agreement.model_validate(document("A99001", "A99002", "A99003"))
    other = Agreement.model_validate(document("A99001", "A99002", validTo="2027-01-01"))
    assert one.terms_hash() == more.terms_hash()
    assert one.terms_hash() != other.terms_hash()
