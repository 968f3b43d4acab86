"""The report in plain English, for a Caldicott guardian."""

from peerview_share.attack.finding import Kind, Report

RETRACTED = frozenset({Kind.PATIENTS, Kind.STRICTER, Kind.SMALL})
"""Finds in a practice's own releases, which can be taken back."""
SHOWN = 20
"""Finds of one attack that are told one by one."""


def words(report: Report, *, when: str, seconds: float) -> str:
    """``when`` is when it was done, as people write it."""
    found = len(report.finds)
    lines = [
        "Attack on everything that was released to peers",
        "An epoch is a release, by its number. A trial is one comparison.",
        f"{when}, {seconds:.1f} seconds",
        "",
        _verdict(found)
        if found or any(attack.pairs for attack in report.attacks)
        else "There was nothing to attack: nothing has been released yet.",
        "",
    ]
    for attack in report.attacks:
        lines += [
            attack.name.capitalize(),
            f"  Tried: {attack.what}.",
            f"  Over: {attack.over}; {attack.pairs:,} trials.",
            f"  Found: {_count(len(attack.finds))}.",
            *(f"    - {find.sentence}" for find in attack.finds[:SHOWN]),
        ]
        if len(attack.finds) > SHOWN:
            lines.append(f"    - and {len(attack.finds) - SHOWN:,} more (--json lists all).")
        lines += [f"  How sure: {attack.sure}.", ""]
    lines += _what_to_do(report)
    lines += [f"Not tried: {note}" for note in report.notes]
    lines.append(LEFT_OVER)
    return "\n".join(lines) + "\n"


def _what_to_do(report: Report) -> list[str]:
    """Whom it concerns, and the commands that take back what was released last."""
    if not report.finds:
        return []
    practices = sorted({find.practice for find in report.finds if find.practice})
    # of two releases that differ by few the later one gave it away
    wrong = sorted(
        {
            (find.practice, max(find.epochs), find.indicator)
            for find in report.finds
            if find.kind in RETRACTED and find.practice and find.epochs and find.indicator
        }
    )
    lines = ["What to do"]
    if practices:
        lines.append(f"  Tell these practices: {', '.join(practices)}.")
    lines += [
        f"  peerview release retract --practice {practice} --epoch {epoch} --indicator {indicator} "
        '--reason "found by the attacker"'
        for practice, epoch, indicator in wrong[:SHOWN]
    ]
    if len(wrong) > SHOWN:
        lines.append(f"  and {len(wrong) - SHOWN:,} more")
    if any(find.kind not in RETRACTED for find in report.finds):
        lines.append(
            "  What else is named above is no single practice's release: suspend the agreements of "
            "the networks named, and ask who runs Peerview."
        )
    return [*lines, ""]


def _verdict(found: int) -> str:
    if not found:
        return "Nothing was found."
    return (
        f"FOUND {_count(found).upper()}. Somebody who kept what was shown can learn about few "
        "people. Retract the releases named below, and tell the practices."
    )


def _count(found: int) -> str:
    return "nothing" if not found else "1 way in" if found == 1 else f"{found:,} ways in"


LEFT_OVER = (
    "Not covered by any of this: a colleague who knows all but one of the changed patients, "
    "attributes of whole groups, the moment of an epoch, that a cell did not move, and copies that "
    "peers kept."
)
