"""What practices and operators do with signing keys: register, ask to revoke, object, call off.

An operator can never sign for a practice, nor give it a key: only ask that its key be revoked. That
takes effect after days in which the practice and all that share an agreement with it are told, and
in which the practice can object. After it nothing less than a key is accepted: it registers anew.
"""

from collections.abc import Callable

from sqlalchemy import Connection

from peerview_share.agreements import keys
from peerview_share.agreements.key_state import KeyAct, KeyChange, KeyState
from peerview_share.agreements.life import DAY_MS, AgreementRecord
from peerview_share.agreements.replay import Event
from peerview_share.agreements.turn import Actor, RefusedError, Turn
from peerview_share.store import agreements as store
from peerview_share.store import signing_keys
from peerview_share.store.database import Database


class KeyActs:
    """``wait_days``: how long a revocation that is asked for waits. ``changed`` is called after
    every act."""

    def __init__(
        self,
        database: Database,
        clock: Callable[[], int],
        changed: Callable[[], None],
        wait_days: float,
    ) -> None:
        self._database = database
        self._clock = clock
        self._changed = changed
        self._wait_ms = round(wait_days * DAY_MS)

    def state(self, ods: str) -> KeyState:
        with self._database.read() as connection:
            return signing_keys.state(connection, ods)

    def register(
        self, public_key: str, actor: Actor, *, proof: str, former_proof: str | None = None
    ) -> None:
        """An Ed25519 key, in base64, for the actor's practice. ``proof`` is made with the key
        itself, ``former_proof`` with the one that it replaces, if there is one in force."""
        message = keys.key_message(actor.ods, public_key)
        with self._database.write() as connection:
            store.next_revision(connection)
            now = self._clock()
            state = signing_keys.state(connection, actor.ods)
            former = state.usable(now)
            try:
                keys.verify(public_key, proof, message)
                if former is not None:
                    if former_proof is None:
                        raise keys.KeyProofError(
                            f"{actor.ods} has a key: sign the new one with it too"
                        )
                    keys.verify(former, former_proof, message)
            except keys.KeyProofError as error:
                raise RefusedError("key-proof", str(error)) from None
            if former == public_key:
                raise RefusedError("unchanged", f"this is the key of {actor.ods} already")
            if public_key in state.revoked_before or state.public_key == public_key:
                raise RefusedError("key-revoked", "this key was to be revoked: make a new one")
            signing_keys.insert_key(connection, actor.ods, public_key, by=actor.subject, at=now)
            if state.revoked(now):
                self._tell(connection, actor, Event.KEY_REGISTERED)
        self._changed()

    def ask_revocation(self, operator: Actor, reason: str) -> KeyState:
        """Of the key of ``operator.ods``. It waits, and everybody concerned is told."""
        with self._database.write() as connection:
            store.next_revision(connection)
            now = self._clock()
            state = signing_keys.state(connection, operator.ods)
            if state.public_key is None:
                raise RefusedError("no-key", f"{operator.ods} has registered no key")
            if state.revoked(now):
                raise RefusedError("key-revoked", f"the key of {operator.ods} is revoked already")
            if state.waiting(now):
                raise RefusedError("already-asked", "this was asked already, and waits")
            signing_keys.insert_act(
                connection,
                KeyChange(
                    operator.ods, KeyAct.ASKED, state.public_key, now, operator.subject, reason,
                    now + self._wait_ms,
                ),
            )  # fmt: skip
            self._tell(connection, operator, Event.KEY_REVOCATION_ASKED)
            found = signing_keys.state(connection, operator.ods)
        self._changed()
        return found

    def stop(
        self, actor: Actor, reason: str, *, operator: bool, proof: str | None = None
    ) -> KeyState:
        """The practice objects, or the operator calls it off. An objection needs no key, since it
        gives nobody a right; one that is signed with the key shows that it is not lost."""
        with self._database.write() as connection:
            store.next_revision(connection)
            now = self._clock()
            state = signing_keys.state(connection, actor.ods)
            if state.public_key is None or not state.waiting(now):
                raise RefusedError("not-asked", f"no revocation of the key of {actor.ods} waits")
            if proof is not None:
                try:
                    message = keys.keep_message(actor.ods, state.public_key)
                    keys.verify(state.public_key, proof, message)
                except keys.KeyProofError as error:
                    raise RefusedError("key-proof", str(error)) from None
            act = KeyAct.CALLED_OFF if operator else KeyAct.OBJECTED
            change = KeyChange(actor.ods, act, state.public_key, now, actor.subject, reason)
            signing_keys.insert_act(connection, change, proof=proof)
            self._tell(connection, actor, Event.KEY_REVOCATION_STOPPED)
            found = signing_keys.state(connection, actor.ods)
        self._changed()
        return found

    def _tell(self, connection: Connection, actor: Actor, event: Event) -> None:
        """In the history, and so in the mirror, of every agreement that the practice is in."""
        for agreement, versions in sorted(store.by_agreement(connection).items()):
            record = _concerned(versions, actor.ods)
            if record is not None:
                Turn(connection, agreement, actor, self._clock).note(record, event)


def _concerned(versions: tuple[AgreementRecord, ...], ods: str) -> AgreementRecord | None:
    """The newest version that names the practice, unless it has left."""
    for record in reversed(versions):
        found = record.participant(ods)
        if found is not None:
            return record if found.withdrawn_at is None else None
    return None
