"""docs/disclosure-price.md: what the gate costs in freshness, as the simulation measured it."""

import textwrap
from collections.abc import Iterable, Mapping, Sequence

from peerview_share.attack.finding import Tried
from peerview_share.attack.linkage import LIMIT
from peerview_tools.price.naming import MODES, SIZES, Row, over_all
from peerview_tools.price.networks import NETWORKS
from peerview_tools.price.simulation import CADENCES, INDICATORS, PRODUCT, Outcome, Share


def page(
    outcome: Outcome,
    others: Mapping[float, Outcome],
    derived: Tried,
    named: list[Row],
    exact: float,
    *,
    seconds: float,
    when: str,
) -> str:
    """``others`` are smaller runs with rates multiplied, ``exact`` is `naming.exact`."""
    plan = outcome.plan
    found = [
        "# The price of disclosure control",
        _text(
            "A cell moves only if at least 8 patients differ from every release before it "
            "([sharing](sharing.md)), so small registers wait. How long was simulated, and "
            "everything that was released was attacked ([attacker](attacker.md)). Written by "
            "`peerview simulate releases --write`; the rates are in "
            "`tools/peerview_tools/price/rates.py`, and are estimates."
        ),
        _text(
            f"{when}, {seconds:,.0f} seconds, seed {plan.seed}: {outcome.changes:,} changes with "
            f"corrections and reversions, {outcome.practices} practices with {outcome.patients:,} "
            f"patients, {plan.months} monthly cuts, {len(NETWORKS)} overlapping networks with late "
            "joiners and withdrawals, retractions."
        ),
        "## How fresh",
        _text(
            "Cells that moved, of the cells of all eight patient-level indicators at each epoch "
            "but the first, with the standard error over practices:"
        ),
        _table(
            ["patients", *CADENCES, "every third monthly"],
            (
                [
                    f"{size:,}",
                    *(_with_error(outcome.share(size, how)) for how in CADENCES),
                    _with_error(outcome.every_third(size)),
                ]
                for size in plan.sizes
            ),
        ),
        _text(
            "Quarterly: practices release four times a year. Every third monthly: they release "
            "every month, for some network, and another network shows every third release; a cell "
            "is fresh there if it moved since that network showed it last."
        ),
        f"By indicator, {' / '.join(CADENCES)}:",
        _table(
            ["", *(f"{size:,}" for size in plan.sizes)],
            (
                [f"`{name}`", *(_cadences(outcome, size, name) for size in plan.sizes)]
                for name in INDICATORS
            ),
        ),
        "With less and with more movement in the records (fewer practices):",
        _table(
            ["movement", *(f"{size:,}" for size in plan.sizes)],
            (
                [f"{churn:g} times", *(_cadences(other, size) for size in plan.sizes)]
                for churn, other in others.items()
            ),
        ),
        "So quarterly is the default, monthly a choice, and every cell carries its own date.",
        "## What the attacker found",
        "Pairs of releases of one cell that differ by 1 to 7 patients:",
        _table(
            ["rules", "pairs tried", "found"],
            (
                [
                    f"**{name}**" if name == PRODUCT else name,
                    f"{outcome.pairs(name):,}",
                    f"{outcome.finds(name):,}",
                ]
                for name in plan.variants
            ),
        ),
        _text(
            "Every member of a network has an anonymous view of each indicator, and of one network "
            f"one indicator by name: {derived.over}. Of {derived.pairs:,} pairs of one viewer's "
            f"figures {len(derived.finds):,} differ by 1 to 7 patients, or by one or two practices."
        ),
        naming_section(named, exact),
    ]
    return "\n\n".join(found) + "\n"


def naming_section(named: list[Row], exact: float) -> str:
    columns = [(size, mode) for mode in MODES for size in SIZES]
    rows = {(row.contributors, row.mode, row.indicator): row for row in named}
    return "\n\n".join(
        [
            "## Who can be named",
            _text(
                "An outsider who knows every practice's true figures of a year before puts names "
                "to views that name nobody: a name to the band of each contributor of an anonymous "
                "view, and to each value that a distribution shows. Written by `peerview simulate "
                "naming` too. In the table: contributors that are named rightly, in times of what "
                f"chance names (one of all). Over all indicators {LIMIT} is the limit. Of "
                "practices' exact percentages, without any protection, this outsider names "
                f"{100 * exact:.1f}% of 60, which is {60 * exact:.1f} times chance."
            ),
            _table(
                ["contributors", *(f"{mode}, {size}" for size, mode in columns)],
                [
                    [
                        "**all indicators**",
                        *(f"**{over_all(named, size, mode):.2f}**" for size, mode in columns),
                    ],
                    *(
                        [
                            f"`{name}`",
                            *(f"{rows[size, mode, name].right:.2f}" for size, mode in columns),
                        ]
                        for name in dict.fromkeys(row.indicator for row in named)
                    ),
                ],
            ),
            _text(
                "A figure that hardly changes from year to year, as screening does, is the easiest "
                "to recognise. Of what is named in distributions, "
                + " and ".join(_without(named, size) for size in SIZES)
                + " needs no view at all: last year's order says who is likely to be in the "
                "middle. In a small network anonymity is a courtesy."
            ),
        ]
    )


def _without(named: list[Row], size: int) -> str:
    rows = [row for row in named if (row.contributors, row.mode) == (size, "distribution")]
    part = sum(row.without for row in rows) / sum(row.right for row in rows)
    return f"{100 * part:.0f}% (of {size} contributors)"


def _moved(outcome: Outcome, size: int, cadence: str, indicator: str | None = None) -> str:
    return f"{100 * outcome.share(size, cadence, indicator).value:.0f}%"


def _with_error(share: Share) -> str:
    return f"{100 * share.value:.0f}% ± {100 * share.error:.1f}"


def _cadences(outcome: Outcome, size: int, indicator: str | None = None) -> str:
    return " / ".join(_moved(outcome, size, how, indicator) for how in CADENCES)


def _text(paragraph: str) -> str:
    return textwrap.fill(paragraph, 100, break_long_words=False, break_on_hyphens=False)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---", *("---:" for _ in head[1:])], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
