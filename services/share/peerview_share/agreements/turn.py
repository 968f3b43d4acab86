"""One change of an agreement: what stood before it, when it happens, and what is written of it."""

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Connection

from peerview_share.agreements.life import AgreementRecord, PartyRecord, Status, statuses
from peerview_share.agreements.replay import Event
from peerview_share.store import agreements as store
from peerview_share.store.agreements import Saved


class RefusedError(Exception):
    """An act that the agreement's state does not allow. ``code`` is a stable word."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


class ChangedMeanwhileError(RefusedError):
    """A change was made of another text than the one that stands: somebody saved theirs since."""

    def __init__(self, record: AgreementRecord, saved: Saved) -> None:
        who = f"{saved.by} of {saved.practice}" if saved.practice else saved.by
        super().__init__(
            "changed-meanwhile",
            f"{who} saved another text of this draft meanwhile: it is edition {record.edition} now",
        )
        self.record = record
        self.saved = saved


class UnknownAgreementError(Exception):
    """There is none, or it is none of the caller's business: the same to the caller."""


@dataclass(frozen=True, slots=True)
class Actor:
    """A signatory acting for one practice."""

    ods: str
    subject: str
    name: str
    role: str = "signatory"


class Turn:
    """Acts take turns: the revision is raised before anything is read, and that waits for whoever
    is changing an agreement. ``at`` never lies before what happened to this agreement already,
    whatever the replicas' clocks say."""

    def __init__(
        self, connection: Connection, agreement: str, actor: Actor, clock: Callable[[], int]
    ) -> None:
        self.connection = connection
        self.agreement = agreement
        self.actor = actor
        self.revision = store.next_revision(connection)
        self.at = max(clock(), store.last_at(connection, agreement))
        self.versions = store.records(connection, agreement=agreement)

    @property
    def newest(self) -> AgreementRecord | None:
        return self.versions[-1] if self.versions else None

    def version(self, number: int) -> AgreementRecord:
        """Raises UnknownAgreementError where there is none, whoever asks."""
        for record in self.versions:
            if record.document.version == number:
                return record
        raise UnknownAgreementError(self.agreement)

    def own(self) -> tuple[AgreementRecord, PartyRecord]:
        """The newest version that names the actor's practice, and how that practice stands."""
        for record in reversed(self.versions):
            participant = record.participant(self.actor.ods)
            if participant is not None:
                return record, participant
        raise UnknownAgreementError(self.agreement)

    def status(self, record: AgreementRecord) -> Status:
        return statuses(self.versions, self.at)[record.key]

    def later_complete(self, record: AgreementRecord) -> AgreementRecord | None:
        """A later version that all have signed: it takes over."""
        for other in self.versions:
            later = other.document.version > record.document.version
            if later and other.complete_since is not None:
                return other
        return None

    def note(
        self, record: AgreementRecord, event: Event, *, ods: str | None = None, **detail: object
    ) -> None:
        identity, version = record.key
        store.record_change(
            self.connection,
            agreement=identity,
            version=version,
            network=record.document.network.id,
            event=event.value,
            ods=ods or self.actor.ods,
            by=self.actor.subject,
            at=self.at,
            revision=self.revision,
            detail=detail,
        )

    def again(self) -> None:
        """Look at what has been written in this turn."""
        self.versions = store.records(self.connection, agreement=self.agreement)
