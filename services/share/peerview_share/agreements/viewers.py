"""Who may see a practice's figures under the agreements in force, by indicator. Pure."""

from collections import defaultdict
from collections.abc import Iterable

from peerview_share.agreements.index import AgreementIndex
from peerview_share.agreements.life import AgreementRecord


def viewers_of(
    records: Iterable[AgreementRecord], index: AgreementIndex, own: str, now: int
) -> dict[str, frozenset[str]]:
    """``{indicator: codes}`` of all that may see ``own`` in it at some level, in any network; an
    indicator that nobody may see is left out. ``index`` is made of ``records``."""
    found: dict[str, set[str]] = defaultdict(set)
    for record in records:
        if record.party(own) is None:
            continue
        network = record.document.network.id
        for party in (*record.parties, *record.audience):
            for indicator in record.document.indicators:
                if index.look_up(network, party.ods, own, indicator, now) is not None:
                    found[indicator].add(party.ods)
    return {indicator: frozenset(codes) for indicator, codes in found.items()}
