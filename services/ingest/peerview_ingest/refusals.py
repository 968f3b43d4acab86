"""The refusals that are nobody's fault: the log is away, or too much is under way."""

from typing import Any, Final

from peerview_common.problem import Problem
from peerview_ingest.publisher import BrokerAwayError
from peerview_ingest.receipt import SubmissionReceipt

RETRY_AFTER: Final = "2"


def broker_away(error: BrokerAwayError, earlier: SubmissionReceipt | None = None) -> Problem:
    """503. ``earlier`` is the receipt of the groups of the same stream that were taken before."""
    if error.written or earlier:
        told = "part of it was written"
    elif error.sent:
        told = "none of it is known to be written"
    else:
        told = "nothing was written"
    return Problem(
        503,
        "broker-away",
        f"the log does not acknowledge; {told}; sending it again is safe",
        headers={"Retry-After": RETRY_AFTER},
        **_extra(earlier),
    )


def database_away() -> Problem:
    """503. The log may have it already; the index does not know, so it is taken once more."""
    return Problem(
        503,
        "database-away",
        "the service's own database does not answer; sending it again is safe",
        headers={"Retry-After": RETRY_AFTER},
    )


def foreign_keys() -> Problem:
    """503. Under another master key every patient would get a second pseudonym."""
    return Problem(
        503,
        "foreign-keys",
        "this practice's pseudonyms derive from a master key that the service was not given; "
        "nothing was taken",
    )


def busy(earlier: SubmissionReceipt | None = None) -> Problem:
    """429."""
    return Problem(
        429,
        "throttled",
        "too much awaits acknowledgement: try again shortly; sending it again is safe",
        headers={"Retry-After": RETRY_AFTER},
        **_extra(earlier),
    )


def _extra(earlier: SubmissionReceipt | None) -> dict[str, Any]:
    return {"receipt": earlier.json()} if earlier else {}
