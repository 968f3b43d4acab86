"""What operators are told of a submission: how much of it was taken, and why some was not."""

from collections.abc import Sequence

import structlog

from peerview_common import metrics
from peerview_ingest.fhir import Outcome, Read
from peerview_ingest.plan import Plan
from peerview_ingest.receipt import SubmissionReceipt

log = structlog.get_logger("peerview.ingest")


def tell(receipt: SubmissionReceipt, reads: Sequence[tuple[int | None, Read]], plan: Plan) -> None:
    """Count it, and log that something was refused: whose, how much, and the first place and
    reason, in which there is nothing that was sent."""
    for outcome in Outcome:
        number = sum(read.outcome is outcome for _, read in reads)
        metrics.resources.labels(outcome.value).inc(number)
    metrics.resources.labels("unchanged").inc(plan.unchanged + plan.superseded)
    if receipt.rejections:
        first = receipt.rejections[0].issue
        log.info(
            "refused",
            practice=receipt.practice,
            source=receipt.source,
            submission=receipt.submission,
            refused=receipt.rejected,
            of=len(reads),
            place=first.expression,
            reason=first.diagnostics,
        )
