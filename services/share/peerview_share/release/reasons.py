"""Why a practice's figure moves or stays, in words for the practice alone."""

from typing import Final

from peerview_share.disclosure.release import Cause
from peerview_share.release.previewing import PreviewCell
from peerview_share.store.previews import JUMP, SUBJECT

WORDS: Final = {
    Cause.RELEASED: "The figure may move: every count differs from every earlier release by no "
    "patient or by at least 8.",
    Cause.UNCHANGED: "No patient differs from an earlier release, so the earlier figure stays.",
    Cause.SMALL_CHANGE: "Too few patients differ from an earlier release: the difference would "
    "tell about them, so the earlier figure stays.",
    Cause.NO_SNAPSHOT: "No snapshot has come for this cut.",
    Cause.SILENT_FEED: "The practice's feed had been silent for over 7 days at the cut.",
    Cause.REKEYING: "Patients are getting new pseudonyms and may be counted twice.",
    Cause.NOT_COMPUTED: "The snapshot has nothing of this indicator.",
    Cause.AWAITING_BACKFILL: "Awaiting a full submission under a new code list.",
    Cause.FEW_GPS: "With fewer than 3 GPs the figure would be one person's.",
    Cause.JUMP: "The figure jumped and was not confirmed.",
    Cause.HELD: "The practice holds the figure.",
}
REASONS: Final = {
    "few-patients": "fewer than 20 patients",
    "few-in-numerator": "1 to 7 patients in the numerator",
    "few-in-complement": "1 to 7 patients in the denominator and not in the numerator",
    "one-dominates": "one patient has over half of the numerator",
    "small-count": "a count of 1 to 7",
    "extreme": "0% or 100% of fewer than 50",
}


HELD: Final = {
    JUMP: "It jumped by over 20 points, or over 20% of its denominator: it is held until the "
    "practice confirms it.",
    SUBJECT: "The practice holds it.",
}
TAKEN_BACK: Final = (
    "The figure that was released last was taken back: peers see that it is suppressed until "
    "enough has changed for a new one."
)


def why(cell: PreviewCell) -> str:
    """Every reason that there is, a sentence each."""
    cause, reason = cell.account.get("cause"), cell.account.get("reason")
    found = [WORDS[Cause(cause)]] if cause else []
    if cell.taken_back:
        found.append(TAKEN_BACK)
    if reason:
        found.append(f"It is suppressed: {REASONS[reason]}.")
    return " ".join([*found, *(HELD[item.kind] for item in cell.holds)])


def gate(cell: PreviewCell) -> str:
    """Which earlier release stands in the way, and how many patients differ; empty for none."""
    found = cell.account.get("gate")
    if not found or not any(found[name] for name in ("denominator", "numerator", "complement")):
        return ""
    return (
        f"Against release {found['epoch']}: {found['denominator']} patients differ in the "
        f"denominator, {found['numerator']} in the numerator, {found['complement']} in the rest."
    )
