"""The end of a full submission, told in the log: what waited for codes not kept before may count.

Send it only once every record of the submission is acknowledged, and only if all that the practice
holds was read under one code list.
"""

import uuid

from sqlalchemy import and_, select, update

from peerview_common.changes import BackfillCompleted, encode, event_type
from peerview_ingest.publisher import Publisher
from peerview_ingest.store import Store
from peerview_ingest.tables import sources


async def completed(publisher: Publisher, practice: str, codes: str, at: int) -> None:
    """Put ``backfill.completed`` behind the practice's records, and wait for its acknowledgement.

    ``codes`` is the version of the code list that the submission was minimised with, ``at`` its end
    in milliseconds UTC. Raises the publisher's errors; sending it again is harmless.
    """
    event = BackfillCompleted(str(uuid.uuid4()), practice, codes, at)
    await publisher.publish([encode(event)], practice, None, event_type=event_type(event))


def sources_to_come(store: Store, practice: str, source: str, codes: str) -> list[str]:
    """Note that all of a source's records came under ``codes``; the practice's other sources that
    have sent under another list, and have yet to send everything again. Blocks.

    First noted, then asked: of two sources that end at once, one sees the other.
    """
    ours = sources.c.practice == practice
    with store.writing() as connection:
        mine = and_(ours, sources.c.source == source)
        connection.execute(update(sources).where(mine).values(full_codes=codes))
    query = select(sources.c.source, sources.c.first_codes, sources.c.full_codes).where(ours)
    with store.engine.connect() as connection:
        rows = connection.execute(query).all()
    return sorted(row.source for row in rows if codes not in (row.first_codes, row.full_codes))
