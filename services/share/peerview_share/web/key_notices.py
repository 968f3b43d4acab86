"""Who is told that a practice's signing key is to be revoked: it, and all that share an agreement
with it."""

from dataclasses import dataclass

from peerview_share.agreements.key_state import Revocation
from peerview_share.agreements.life import AgreementRecord
from peerview_share.service import Share
from peerview_share.store import signing_keys


@dataclass(frozen=True, slots=True)
class KeyNotice:
    revocation: Revocation
    name: str
    own: bool
    revoked: bool


def notices(share: Share, own: str) -> list[KeyNotice]:
    """Of revocations that wait, and of those that took effect until a new key is registered."""
    records = [r for r in share.agreements.get().records if _takes_part(r, own)]
    known = {p.ods: p.name for r in records for p in (*r.audience, *r.parties)}
    now = share.clock()
    with share.database.read() as connection:
        states = signing_keys.states(connection, {own, *known})
    return [
        KeyNotice(state.revocation, known.get(ods, ods), ods == own, state.revoked(now))
        for ods, state in sorted(states.items())
        if state.revocation is not None and (state.waiting(now) or state.revoked(now))
    ]


def _takes_part(record: AgreementRecord, ods: str) -> bool:
    found = record.participant(ods)
    return found is not None and found.withdrawn_at is None
