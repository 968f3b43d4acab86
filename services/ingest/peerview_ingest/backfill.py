"""The end of a full submission, told in the log: what waited for codes not kept before may count.

Send it only once every record of the submission is acknowledged, and only if all that the practice
holds was read under one code list.
"""

import uuid

from peerview_common.changes import BackfillCompleted, encode, event_type
from peerview_ingest.publisher import Publisher


async def completed(publisher: Publisher, practice: str, codes: str, at: int) -> None:
    """Put ``backfill.completed`` behind the practice's records, and wait for its acknowledgement.

    ``codes`` is the version of the code list that the submission was minimised with, ``at`` its end
    in milliseconds UTC. Raises the publisher's errors; sending it again is harmless.
    """
    event = BackfillCompleted(str(uuid.uuid4()), practice, codes, at)
    await publisher.publish([encode(event)], practice, None, [event_type(event)])
