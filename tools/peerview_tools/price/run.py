"""`peerview simulate`: the price of the gate, the attack on what it let through, and naming."""

import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from peerview_share.attack.linkage import LIMIT
from peerview_tools.price import naming
from peerview_tools.price.page import naming_section, page
from peerview_tools.price.simulation import PRODUCT, VARIANTS, Outcome, Plan, simulate

CHANGES: Final = 1_000_000
SENSITIVITY: Final = (0.5, 2.0)
PAGE: Final = Path(__file__).resolve().parents[3] / "docs" / "disclosure-price.md"


def run(*, changes: int, seed: int, write: bool) -> int:
    """0 when nothing was found behind the product's rules, and something behind the others."""
    began = time.perf_counter()
    outcome = simulate(Plan(changes=changes, seed=seed), _say)
    others = {}
    for churn in SENSITIVITY:
        _say(f"with {churn:g} times the movement")
        others[churn] = simulate(
            Plan(practices=4, churn=churn, seed=seed, variants=(PRODUCT,)), _say
        )
    _say("derived figures, and names")
    derived = outcome.networks()
    text = page(
        outcome,
        others,
        derived,
        naming.rows(),
        naming.exact(),
        seconds=time.perf_counter() - began,
        when=f"{datetime.now(UTC):%d %B %Y}",
    )
    sys.stdout.write(text)
    if write:
        PAGE.write_text(text)
        _say(f"written: {PAGE}")
    return 0 if holds(outcome) and not derived.finds else 1


def run_naming(*, draws: int, seed: int) -> int:
    """0 when no mode names more than the limit."""
    named = naming.rows(draws=draws, seed=seed)
    print(naming_section(named, naming.exact(draws=draws, seed=seed)))
    ratios = [naming.over_all(named, size, mode) for size in naming.SIZES for mode in naming.MODES]
    return 0 if max(ratios) <= LIMIT else 1


def holds(outcome: Outcome) -> bool:
    found = {name: outcome.finds(name) for name in VARIANTS}
    return found.pop(PRODUCT) == 0 and all(found.values())


def _say(text: str) -> None:
    print(f"[simulate] {text}", file=sys.stderr, flush=True)
