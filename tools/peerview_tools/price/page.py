"""docs/disclosure-price.md: what the gate costs in freshness, as the simulation measured it."""

from collections.abc import Mapping

from peerview_tools.price.simulation import CADENCES, INDICATORS, NETWORKS, PRODUCT, Outcome


def page(outcome: Outcome, others: Mapping[float, Outcome], *, seconds: float, when: str) -> str:
    """``others`` are smaller runs with rates multiplied."""
    plan = outcome.plan
    lines = [
        "# The price of disclosure control",
        "",
        "A cell moves only if at least 8 patients differ from every release before it "
        "([sharing](sharing.md)), so",
        "small registers wait. How long was simulated, and everything that was released was "
        "attacked",
        "([attacker](attacker.md)). Written by `peerview simulate releases`; its rates are in",
        "`peerview_tools/price/rates.py` and are estimates.",
        "",
        f"{when}, {seconds:,.0f} seconds, seed {plan.seed}: {outcome.changes:,} changes with "
        f"corrections and reversions,",
        f"{outcome.practices} practices with {outcome.patients:,} patients, {plan.months} monthly "
        f"cuts, {len(NETWORKS)} overlapping networks with late",
        "joiners and withdrawals, retractions.",
        "",
        "## How fresh",
        "",
        "Cells that moved, of all eight patient-level indicators' cells at each epoch but the "
        "first:",
        "",
        "| patients | " + " | ".join(CADENCES) + " |",
        "|---:|" + "---:|" * len(CADENCES),
        *(
            f"| {size:,} | " + " | ".join(_per_cent(outcome, size, how) for how in CADENCES) + " |"
            for size in plan.sizes
        ),
        "",
        "By indicator, " + " / ".join(CADENCES) + ":",
        "",
        "| | " + " | ".join(f"{size:,}" for size in plan.sizes) + " |",
        "|---|" + "---:|" * len(plan.sizes),
        *(_by_indicator(outcome, indicator) for indicator in INDICATORS),
        "",
        "With less or more movement in the records (fewer practices):",
        "",
        "| movement | " + " | ".join(f"{size:,}" for size in plan.sizes) + " |",
        "|---|" + "---:|" * len(plan.sizes),
        *(
            f"| {churn:g} times | "
            + " | ".join(
                " / ".join(_per_cent(other, size, how) for how in CADENCES) for size in plan.sizes
            )
            + " |"
            for churn, other in others.items()
        ),
        "",
        "So quarterly is the default, monthly a choice, and every cell carries its own date.",
        "",
        "## What the attacker found",
        "",
        "Pairs of releases of one cell that differ by 1 to 7 patients:",
        "",
        "| rules | pairs tried | found |",
        "|---|---:|---:|",
        *(
            f"| {'**' + name + '**' if name == PRODUCT else name} | {outcome.pairs(name):,} | "
            f"{outcome.finds(name):,} |"
            for name in plan.variants
        ),
        "",
    ]
    return "\n".join(lines)


def _per_cent(outcome: Outcome, size: int, cadence: str, indicator: str | None = None) -> str:
    return f"{100 * outcome.share(size, cadence, indicator):.0f}%"


def _by_indicator(outcome: Outcome, indicator: str) -> str:
    found = [
        " / ".join(_per_cent(outcome, size, how, indicator) for how in CADENCES)
        for size in outcome.plan.sizes
    ]
    return f"| `{indicator}` | " + " | ".join(found) + " |"
