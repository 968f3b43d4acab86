"""How much of a practice a peer may see, from nothing to everything that is shared."""

from enum import IntEnum, StrEnum


class Level(IntEnum):
    """Ordered: the least of several is what all of them allow."""

    NONE = 0
    DISTRIBUTION = 1
    ANONYMOUS = 2
    NAMED = 3


class PeerMode(StrEnum):
    """A level as documents say it; ``prohibit`` also overrules every other agreement."""

    PROHIBIT = "prohibit"
    NONE = "none"
    DISTRIBUTION = "distribution"
    ANONYMOUS = "anonymous"
    NAMED = "named"

    @property
    def level(self) -> Level:
        return Level.NONE if self is PeerMode.PROHIBIT else Level[self.name]
