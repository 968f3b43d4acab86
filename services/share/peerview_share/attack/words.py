"""The report in plain English, for a Caldicott guardian."""

from peerview_share.attack.finding import Report

SHOWN = 20
"""Finds of one attack that are told one by one."""


def words(report: Report, *, when: str, seconds: float) -> str:
    """``when`` is when it was done, as people write it."""
    found = len(report.finds)
    lines = [
        "Attack on everything that was released to peers",
        f"{when}, {seconds:.1f} seconds",
        "",
        _verdict(found),
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
    lines += [f"Not tried: {note}" for note in report.notes]
    lines.append(LEFT_OVER)
    return "\n".join(lines) + "\n"


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
