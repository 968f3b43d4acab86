"""The refusals that are nobody's fault: the log is away, or too much is under way."""

from typing import Any, Final

from peerview_common import metrics
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
    metrics.throttled.labels("busy").inc()
    return Problem(
        429,
        "throttled",
        "too much is under way: try again shortly; sending it again is safe",
        headers={"Retry-After": RETRY_AFTER},
        **_extra(earlier),
    )


def throttled(what: str, wait_s: int) -> Problem:
    """429. ``what`` the caller has sent too much of: requests or bytes."""
    metrics.throttled.labels(what).inc()
    return Problem(
        429,
        "throttled",
        f"the caller's allowance of {what} is used up: send again after Retry-After",
        headers={"Retry-After": str(max(1, wait_s))},
    )


def record_too_large() -> Problem:
    """413. Readers bound every part of a resource, so that no resource should come to this."""
    return Problem(
        413,
        "too-costly",
        "one resource is larger than a record of the log may be; nothing of it was written",
    )


def _extra(earlier: SubmissionReceipt | None) -> dict[str, Any]:
    return {"receipt": earlier.json()} if earlier else {}
