"""How a practice's signing key stands: it follows from what was asked or stopped, and the time.

A key is revoked by nobody at once. An operator asks; the practice and all that share an agreement
with it are told and have days to stop it; then time alone revokes it. Pure.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum


class KeyAct(StrEnum):
    """What can happen to a key once it is registered."""

    ASKED = "revocation-asked"
    """By an operator."""
    OBJECTED = "objected"
    """By the practice."""
    CALLED_OFF = "called-off"
    """By an operator."""


class RevocationState(StrEnum):
    WAITING = "waiting"
    STOPPED = "stopped"
    REVOKED = "revoked"


@dataclass(frozen=True, slots=True)
class KeyChange:
    """One row of what happened to a key. Times are milliseconds UTC."""

    ods: str
    act: KeyAct
    public_key: str
    at: int
    by: str
    reason: str
    effective_at: int | None = None


@dataclass(frozen=True, slots=True)
class Revocation:
    ods: str
    public_key: str
    asked_at: int
    effective_at: int
    by: str
    reason: str
    stopped: KeyChange | None = None

    def state(self, now: int) -> RevocationState:
        """Whoever stops it does so before it has taken effect, or not at all."""
        if self.stopped is not None:
            return RevocationState.STOPPED
        return RevocationState.REVOKED if now >= self.effective_at else RevocationState.WAITING


def latest(changes: Iterable[KeyChange]) -> dict[str, Revocation]:
    """``{public key: the revocation of it that was asked for last}``; changes in their order."""
    found: dict[str, Revocation] = {}
    for change in changes:
        before = found.get(change.public_key)
        if change.act is KeyAct.ASKED and change.effective_at is not None:
            found[change.public_key] = Revocation(
                change.ods,
                change.public_key,
                change.at,
                change.effective_at,
                change.by,
                change.reason,
            )
        elif before is not None and before.state(change.at) is RevocationState.WAITING:
            found[change.public_key] = replace(before, stopped=change)
    return found


@dataclass(frozen=True, slots=True)
class KeyState:
    """A practice's newest key in base64, None where it never registered one."""

    ods: str
    public_key: str | None = None
    revocation: Revocation | None = None
    """Of this key; the last one that was asked for."""
    revoked_before: frozenset[str] = frozenset()
    """Earlier keys of the practice that somebody asked to revoke: none is taken again."""

    def revoked(self, now: int) -> bool:
        return self._is(RevocationState.REVOKED, now)

    def waiting(self, now: int) -> bool:
        return self._is(RevocationState.WAITING, now)

    def usable(self, now: int) -> str | None:
        """The key that signatures are checked with."""
        return None if self.revoked(now) else self.public_key

    def _is(self, state: RevocationState, now: int) -> bool:
        return self.revocation is not None and self.revocation.state(now) is state
