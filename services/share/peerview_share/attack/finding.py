"""What the attacker finds, and what it went through: values that a report is made of."""

from dataclasses import dataclass, field
from enum import StrEnum


class Kind(StrEnum):
    PATIENTS = "patients"
    """Two releases of one cell differ by 1 to 7 patients."""
    STRICTER = "stricter"
    """Two releases that stricter agreements show differ by fewer patients than these ask for."""
    SMALL = "small"
    """A figure was shown that rests on 1 to 7 patients."""
    BLIND = "blind"
    """A release that the gate must compare with has lost its patients."""
    TOTALS = "derived-patients"
    """Two derived figures differ by 1 to 7 patients."""
    MEMBERS = "members"
    """Two derived figures differ by one or two practices."""
    REMAINDER = "remainder"
    """Less what the viewer sees by name, a derived figure is one of a few practices."""
    LINKAGE = "linkage"
    """Practices can be named from views that name nobody."""


@dataclass(frozen=True, slots=True)
class Find:
    """One way in. ``sentence`` says it to people; the rest says where to look."""

    kind: Kind
    sentence: str
    certain: bool = True
    """Counted, not estimated."""
    practice: str | None = None
    network: str | None = None
    viewer: str | None = None
    indicator: str | None = None
    epochs: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Tried:
    """One kind of attack over the whole log."""

    name: str
    what: str
    """What was tried, in one sentence."""
    over: str
    """Over what."""
    pairs: int
    finds: tuple[Find, ...] = ()
    sure: str = ""
    """How sure the answer is."""


@dataclass(frozen=True, slots=True)
class Report:
    attacks: tuple[Tried, ...] = ()
    notes: tuple[str, ...] = field(default=())
    """What could not be tried, and why."""

    @property
    def finds(self) -> tuple[Find, ...]:
        return tuple(find for attack in self.attacks for find in attack.finds)
