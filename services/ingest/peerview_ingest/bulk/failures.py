"""What can go wrong with lines and uploads, in the words of a problem document."""

from typing import Final

from sqlalchemy.exc import SQLAlchemyError

from peerview_common.problem import Problem
from peerview_ingest import refusals
from peerview_ingest.bulk.holding import HeldError
from peerview_ingest.bulk.uploads import LostError
from peerview_ingest.publisher import BrokerAwayError, BusyError
from peerview_ingest.receipt import SubmissionReceipt

FAILURES: Final = (
    BrokerAwayError,
    BusyError,
    HeldError,
    LostError,
    Problem,
    SQLAlchemyError,
)


def problem(error: Exception, taken: SubmissionReceipt | None = None) -> Problem:
    """One of ``FAILURES`` as an answer. ``taken`` is the receipt of the groups before it."""
    match error:
        case BrokerAwayError():
            return refusals.broker_away(error, taken)
        case BusyError():
            return refusals.busy(taken)
        case HeldError():
            found = Problem(
                409,
                "upload-held",
                "another request sends this upload; ask for its next line, then go on",
                headers={"Retry-After": str(error.seconds)},
            )
        case LostError():
            found = Problem(
                409,
                "upload-lost",
                "another request went on with this upload meanwhile; ask for its next line",
                headers={"Retry-After": refusals.RETRY_AFTER},
            )
        case SQLAlchemyError():
            found = refusals.database_away()
        case Problem():
            found = error
        case _:
            raise error
    if taken is not None:
        found.extra["receipt"] = taken.json()
    return found
