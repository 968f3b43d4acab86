"""What people do with agreements. Each act is one transaction, and takes effect at once."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from sqlalchemy import Connection

from peerview_share.agreements.document import Agreement, Limits
from peerview_share.agreements.life import AgreementRecord, PartyRecord, Status, statuses
from peerview_share.store import agreements as store
from peerview_share.store.database import Database


class RefusedError(Exception):
    """An act that the agreement's state does not allow. ``code`` is a stable word."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


class UnknownAgreementError(Exception):
    """There is none, or it is none of the caller's business: the same to the caller."""


@dataclass(frozen=True, slots=True)
class Actor:
    """A signatory acting for one practice."""

    ods: str
    subject: str
    name: str
    role: str = "signatory"


class Acts:
    """``changed`` is called after every act, so that this replica decides by it at once."""

    def __init__(
        self, database: Database, clock: Callable[[], int], changed: Callable[[], None]
    ) -> None:
        self._database = database
        self._clock = clock
        self._changed = changed

    def create(self, document: Agreement, actor: Actor) -> None:
        """A new agreement, or the next version of one whose parties include the actor."""
        if actor.ods not in {party.ods_code for party in document.parties}:
            raise RefusedError(
                "not-a-party", "parties: the practice that proposes it is not among them"
            )
        at = self._clock()
        with self._database.write() as connection:
            newest = store.newest_version(connection, document.id)
            if newest is not None:
                self._party(self._record(connection, document.id, newest, actor), actor)
            if document.version != (newest or 0) + 1:
                raise RefusedError("version", f"version: the next one is {(newest or 0) + 1}")
            store.insert(connection, document, by=actor.subject, at=at)
            record = self._record(connection, document.id, document.version, actor)
            self._note(connection, record, "proposed", actor, at)
        self._changed()

    def sign(self, agreement: str, version: int, terms_hash: str, actor: Actor) -> None:
        at = self._clock()
        with self._database.write() as connection:
            record = self._record(connection, agreement, version, actor)
            party = self._party(record, actor)
            if terms_hash.lower() != record.terms_hash:
                raise RefusedError("terms-differ", "the hash is not that of this version's terms")
            if party.signed_at is not None:
                raise RefusedError("already-signed", f"{actor.ods} has signed this version")
            status = statuses(store.records(connection), at)[record.key]
            if status not in (Status.DRAFT, Status.SIGNED):
                raise RefusedError("not-open", f"an agreement that is {status} cannot be signed")
            store.insert_signature(
                connection,
                record,
                ods=actor.ods,
                signatory=actor.subject,
                name=actor.name,
                role=actor.role,
                at=at,
            )
            self._note(connection, record, "signed", actor, at, terms=record.terms_hash)
        self._changed()

    def suspend(self, agreement: str, actor: Actor) -> None:
        """Nobody sees anybody under it until whoever suspended it resumes it."""
        self._act(agreement, actor, "suspended", lambda party, at: {"suspended_at": at})

    def resume(self, agreement: str, actor: Actor) -> None:
        def values(party: PartyRecord, at: int) -> Mapping[str, object]:
            if party.suspended_at is None:
                raise RefusedError("not-suspended", f"{party.ods} has not suspended this agreement")
            return {"suspended_at": None}

        self._act(agreement, actor, "resumed", values)

    def withdraw(self, agreement: str, actor: Actor) -> None:
        """Final for this practice, in every version."""
        self._act(agreement, actor, "withdrawn", lambda party, at: {"withdrawn_at": at})

    def limit(self, agreement: str, limits: Limits, actor: Actor) -> None:
        text = limits.model_dump_json(by_alias=True)
        self._act(agreement, actor, "limited", lambda party, at: {"limits": text})

    def _act(
        self,
        agreement: str,
        actor: Actor,
        event: str,
        values: Callable[[PartyRecord, int], Mapping[str, object]],
    ) -> None:
        at = self._clock()
        with self._database.write() as connection:
            record = self._record_of_party(connection, agreement, actor)
            changes = values(self._party(record, actor), at)
            store.set_party(connection, agreement, actor.ods, **changes)
            self._note(
                connection, record, event, actor, at, **(changes if event == "limited" else {})
            )
        self._changed()

    def _record_of_party(
        self, connection: Connection, agreement: str, actor: Actor
    ) -> AgreementRecord:
        """The newest version that names the actor's practice."""
        found = [
            record
            for record in store.records(connection)
            if record.document.id == agreement and record.party(actor.ods) is not None
        ]
        if not found:
            raise UnknownAgreementError(agreement)
        return max(found, key=lambda record: record.document.version)

    def _record(
        self, connection: Connection, agreement: str, version: int, actor: Actor
    ) -> AgreementRecord:
        for record in store.records(connection):
            if record.key == (agreement, version) and record.party(actor.ods) is not None:
                return record
        raise UnknownAgreementError(agreement)

    def _party(self, record: AgreementRecord, actor: Actor) -> PartyRecord:
        party = record.party(actor.ods)
        if party is None:
            raise UnknownAgreementError(record.document.id)
        if party.withdrawn_at is not None:
            raise RefusedError("withdrawn", f"{actor.ods} has withdrawn, which is final")
        return party

    def _note(
        self,
        connection: Connection,
        record: AgreementRecord,
        event: str,
        actor: Actor,
        at: int,
        **detail: object,
    ) -> None:
        identity, version = record.key
        store.record_change(
            connection,
            agreement=identity,
            version=version,
            network=record.document.network.id,
            event=event,
            ods=actor.ods,
            by=actor.subject,
            at=at,
            detail=detail,
        )
