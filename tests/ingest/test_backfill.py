"""`backfill.completed`: one function for all that ends a full submission."""

from peerview_common.changes import BackfillCompleted
from peerview_common.cloudevents import EventType
from peerview_ingest import backfill
from tests.ingest.builders import PRACTICE
from tests.ingest.conftest import MemoryLog


async def test_the_end_of_a_full_submission_is_an_event_of_its_own() -> None:
    log = MemoryLog()
    await backfill.completed(log, PRACTICE, "abc123", 77)
    (event,) = log.events()
    assert isinstance(event, BackfillCompleted)
    assert log.kinds == [EventType.BACKFILLED]
    assert (event.practice, event.codes, event.at) == (PRACTICE, "abc123", 77)
