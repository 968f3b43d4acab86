"""Why somebody sees or does not: the clause that decided, and what the hash covers."""

from datetime import datetime

from peerview_common.days import LONDON, millis
from peerview_share.agreements.document import Agreement
from peerview_share.agreements.explain import Clause, explain
from peerview_share.agreements.index import compile_index
from peerview_share.agreements.life import AgreementRecord, PartyRecord
from tests.share.support import document

NOON = millis(datetime(2026, 9, 21, 12, tzinfo=LONDON))


def test_absent_means_denied():
    assert compile_index([], NOON).look_up("north", "A99001", "A99002", "dna", NOON) is None


def record(**clauses):
    parsed = Agreement.model_validate(document("A99001", "A99002", **clauses))
    people = tuple(PartyRecord(p.ods_code, p.name, p.role, signed_at=1) for p in parsed.parties)
    return AgreementRecord(parsed, parsed.terms_hash(), people, complete_since=1, ready_since=1)


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


def test_explain_names_whose_word_it_was():
    def why(**clauses):
        return explain(
            [record(**clauses)], NOON,
            network="north", viewer="A99001", subject="A99002", indicator="dna",
        )  # fmt: skip

    assert why().place == "peerIdentification.mode"
    few = why(peerIdentification={"mode": "named", "perIndicator": {"dna": "anonymous"}})
    assert (few.place, few.level.name) == ("peerIdentification.perIndicator.dna", "ANONYMOUS")
    assert why(validTo="2026-09-20").place == "validTo"
    outside = {"odsCode": "QZ1", "name": "Quality team"}
    terms = {"mode": "named", "reciprocal": False}
    assert why(audiences=[outside], peerIdentification=terms).place == "audiences"


def test_time_alone_changes_nothing_before_the_moment_that_the_index_names():
    soon = record(validFrom="2026-09-22", validTo="2026-09-23")
    index = compile_index([soon], NOON)
    begins = index.next_change
    assert compile_index([soon], begins - 1).networks == index.networks == {}
    then = compile_index([soon], begins)
    assert then.look_up("north", "A99001", "A99002", "dna", begins)
    assert not then.look_up("north", "A99001", "A99002", "dna", then.next_change)
