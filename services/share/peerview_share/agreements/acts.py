"""What people do with agreements. Each act is one transaction, and takes effect at once."""

from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager

from peerview_common.days import date_of, day_of_millis
from peerview_share.agreements import keys
from peerview_share.agreements.clauses import LeadPractice, Limits, Role
from peerview_share.agreements.document import Agreement
from peerview_share.agreements.life import AgreementRecord, PartyRecord, Status
from peerview_share.agreements.replay import Event
from peerview_share.agreements.turn import (
    Actor,
    ChangedMeanwhileError,
    RefusedError,
    Turn,
    UnknownAgreementError,
)
from peerview_share.store import agreements as store
from peerview_share.store import signing_keys
from peerview_share.store.database import Database

__all__ = ["Actor", "Acts", "ChangedMeanwhileError", "RefusedError", "UnknownAgreementError"]

_OPEN = (Status.SIGNED, Status.ACTIVE, Status.SUSPENDED)


class Acts:
    """``changed`` is called after every act, so that this replica decides by it at once.

    ``proof`` is an Ed25519 signature in base64 (`keys.py` says of what). A practice that has
    registered a key signs, asks and admits with it, and with nothing less.
    """

    def __init__(
        self, database: Database, clock: Callable[[], int], changed: Callable[[], None]
    ) -> None:
        self._database = database
        self._clock = clock
        self._changed = changed

    def create(self, document: Agreement, actor: Actor) -> None:
        """A new agreement, or the next version of one whose parties include the actor."""
        _must_take_part(document, actor)
        with self._turn(document.id, actor) as turn:
            newest = turn.newest
            if newest is not None:
                _present(*turn.own())
                if turn.status(newest) is Status.DRAFT:
                    raise RefusedError(
                        "draft-open", f"version: {newest.document.version} is a draft still; "
                        "edit that, or let it end",
                    )  # fmt: skip
                _same_parties(document, newest)
            wanted = 1 if newest is None else newest.document.version + 1
            if document.version != wanted:
                raise RefusedError("version", f"version: the next one is {wanted}")
            store.insert_text(turn.connection, document, edit=0, by=actor.subject, at=turn.at)
            record = AgreementRecord(document, document.terms_hash(), ())
            turn.note(record, Event.PROPOSED, terms=record.terms_hash)

    def edit(self, document: Agreement, actor: Actor, *, of: Collection[str] | None = None) -> None:
        """Another text for a draft. Signatures hold as long as the terms are the same.

        ``of``: the editions that the change may have been made of. Raises ChangedMeanwhileError
        where the draft is another by now, so that nobody undoes what others wrote unseen."""
        _must_take_part(document, actor)
        with self._turn(document.id, actor) as turn:
            record, party = turn.own()
            _present(record, party)
            newest = turn.newest
            if newest is None or turn.status(newest) is not Status.DRAFT:
                raise RefusedError(
                    "not-a-draft", "what all have signed is not edited; propose the next version"
                )
            if of is not None and newest.edition not in of:
                saved = store.saved(turn.connection, *newest.key)
                raise ChangedMeanwhileError(newest, saved)
            if document.version != newest.document.version:
                raise RefusedError("version", f"version: the draft is {newest.document.version}")
            if document.plain() == newest.text:
                raise RefusedError("unchanged", "this is the draft as it stands")
            before = [r for r in turn.versions if r.document.version == document.version - 1]
            for each in before:
                _same_parties(document, each)
            _nobody_who_left(document, newest)
            edit = newest.edit + 1
            store.insert_text(turn.connection, document, edit=edit, by=actor.subject, at=turn.at)
            turn.note(newest, Event.EDITED, edit=edit, terms=document.terms_hash())

    def sign(
        self,
        agreement: str,
        version: int,
        terms_hash: str,
        actor: Actor,
        *,
        proof: str | None = None,
    ) -> None:
        """For a party, or for one of the audience."""
        with self._turn(agreement, actor) as turn:
            record = turn.version(version)
            party = record.participant(actor.ods)
            if party is None:
                raise UnknownAgreementError(agreement)
            _present(record, party)
            _same_terms(record, terms_hash)
            if party.signed_at is not None:
                raise RefusedError("already-signed", f"{actor.ods} has signed this version")
            status = turn.status(record)
            is_party = record.party(actor.ods) is not None
            # whoever is no party signs when it comes; nobody waits for it
            if status not in (Status.DRAFT, Status.SIGNED) and (is_party or status not in _OPEN):
                raise RefusedError("not-open", f"an agreement that is {status} cannot be signed")
            self._signed(turn, record, "sign", proof)
            turn.note(record, Event.SIGNED, terms=record.terms_hash)

    def join(
        self,
        agreement: str,
        version: int,
        terms_hash: str,
        actor: Actor,
        *,
        name: str,
        role: Role = Role.CONTROLLER,
        proof: str | None = None,
    ) -> None:
        """Ask to become a party, by signing the terms. Who knows their hash was shown them."""
        with self._turn(agreement, actor) as turn:
            record = turn.version(version)
            if terms_hash.lower() != record.terms_hash:
                # to a stranger there is nothing there
                raise UnknownAgreementError(agreement)
            party = record.party(actor.ods)
            if party is not None and party.withdrawn_at is None:
                raise RefusedError("already-a-party", f"{actor.ods} is a party already")
            for each in turn.versions:
                left = each.participant(actor.ods)
                if left is not None and left.withdrawn_at is not None and not left.succeeded:
                    raise RefusedError("withdrawn", f"{actor.ods} has withdrawn, which is final")
            if any(who.ods == actor.ods for who in record.asking):
                raise RefusedError("already-asked", f"{actor.ods} has asked already")
            _joinable(turn, record)
            self._signed(turn, record, "join", proof)
            turn.note(record, Event.ASKED, name=name, role=role.value, terms=record.terms_hash)

    def admit(
        self, agreement: str, practice: str, actor: Actor, *, proof: str | None = None
    ) -> None:
        """Agree to a practice that asks to join. It is in once those have whom `admission` says."""
        with self._turn(agreement, actor) as turn:
            _present(*turn.own())
            found = [(r, a) for r in turn.versions for a in r.asking if a.ods == practice]
            if not found:
                raise RefusedError("not-asked", f"{practice} does not ask to join")
            record, asking = found[-1]
            party = record.party(actor.ods)
            if party is None or not party.takes_part:
                raise RefusedError(
                    "not-a-party", f"{actor.ods} has no say in this: it is no party of version "
                    f"{record.document.version}",
                )  # fmt: skip
            admission = record.document.admission
            if isinstance(admission, LeadPractice) and admission.practice != actor.ods:
                raise RefusedError(
                    "not-the-lead", f"admission: {admission.practice}, the lead practice, decides"
                )
            if actor.ods in asking.agreed:
                raise RefusedError("already-agreed", f"{actor.ods} has agreed already")
            _joinable(turn, record)
            identity, version = record.key
            message = keys.admission_message(actor.ods, identity, version, practice)
            self._prove(turn, message, proof)
            turn.note(record, Event.AGREED, practice=practice, proof=proof)

    def take_back(self, agreement: str, actor: Actor) -> None:
        """Not join after all. Nobody has seen anything of it, so it may ask again."""
        with self._turn(agreement, actor) as turn:
            found = [r for r in turn.versions for who in r.asking if who.ods == actor.ods]
            if not found:
                turn.own()
                raise RefusedError("not-asked", f"{actor.ods} does not ask to join")
            turn.note(found[-1], Event.TAKEN_BACK)

    def suspend(self, agreement: str, actor: Actor) -> None:
        """Nobody sees anybody under it until whoever suspended it resumes it."""
        with self._turn(agreement, actor) as turn:
            record, party = _as_party(turn)
            if party.suspended_at is not None:
                raise RefusedError("already-suspended", f"{actor.ods} has suspended it already")
            turn.note(record, Event.SUSPENDED)

    def resume(self, agreement: str, actor: Actor) -> None:
        with self._turn(agreement, actor) as turn:
            record, party = _as_party(turn)
            if party.suspended_at is None:
                raise RefusedError("not-suspended", f"{party.ods} has not suspended this agreement")
            turn.note(record, Event.RESUMED)

    def withdraw(self, agreement: str, actor: Actor) -> None:
        """Final for this practice, in every version."""
        with self._turn(agreement, actor) as turn:
            asks = any(who.ods == actor.ods for r in turn.versions for who in r.asking)
            # whoever asked to join one version may be a party of the next
            if asks and not any(_is_there(r, actor.ods) for r in turn.versions):
                raise RefusedError(
                    "not-admitted", f"{actor.ods} only asks to join: nobody sees anything of it"
                )
            record, party = turn.own()
            _present(record, party)
            turn.note(record, Event.WITHDRAWN)

    def limit(self, agreement: str, limits: Limits, actor: Actor) -> None:
        """What this practice allows, where that is less than the agreement does."""
        with self._turn(agreement, actor) as turn:
            record, _ = _as_party(turn)
            turn.note(record, Event.LIMITED, limits=limits.model_dump_json(by_alias=True))

    def succeed(
        self, predecessors: Iterable[str], successor: str, day: int, operator: Actor
    ) -> list[str]:
        """One practice succeeds others, since a day that has come (days since 1970-01-01).

        Agreements do not pass over: the predecessors leave all of theirs, and the successor signs
        or joins its own, also where it keeps a predecessor's code. Returns those agreements' ids.
        """
        gone = sorted(set(predecessors))
        now = self._clock()
        if day > day_of_millis(now):
            raise RefusedError("not-yet", f"date: {date_of(day)} has not come; tell it on the day")
        with self._database.write() as connection:
            store.next_revision(connection)
            for predecessor in gone:
                store.insert_succession(
                    connection, predecessor, successor, day, by=operator.subject, at=now
                )
            left = []
            for agreement, versions in sorted(store.by_agreement(connection).items()):
                turn = Turn(connection, agreement, operator, self._clock)
                for predecessor in gone:
                    named = [r for r in versions if r.names(predecessor)]
                    stays = [r.participant(predecessor) for r in named]
                    if not named or any(p is not None and p.withdrawn_at for p in stays):
                        continue
                    turn.note(
                        named[-1], Event.SUCCEEDED, ods=predecessor, successor=successor,
                        date=date_of(day).isoformat(),
                    )  # fmt: skip
                    left.append(agreement)
                self._join_ready(turn)
        self._changed()
        return sorted(set(left))

    @contextmanager
    def _turn(self, agreement: str, actor: Actor) -> Iterator[Turn]:
        with self._database.write() as connection:
            turn = Turn(connection, agreement, actor, self._clock)
            yield turn
            self._join_ready(turn)
        self._changed()

    def _join_ready(self, turn: Turn) -> None:
        """Let in whoever has been agreed to by now: also a withdrawal can make votes enough."""
        turn.again()
        for record in turn.versions:
            for asking in record.asking:
                open_now = turn.status(record) in _OPEN and turn.later_complete(record) is None
                if open_now and record.admits(asking):
                    turn.note(record, Event.JOINED, ods=asking.ods)

    def _signed(self, turn: Turn, record: AgreementRecord, act: str, proof: str | None) -> None:
        identity, version = record.key
        actor = turn.actor
        message = keys.terms_message(act, actor.ods, identity, version, record.terms_hash)
        store.insert_signature(
            turn.connection,
            record,
            ods=actor.ods,
            signatory=actor.subject,
            name=actor.name,
            role=actor.role,
            at=turn.at,
            public_key=self._prove(turn, message, proof),
            proof=proof,
        )

    def _prove(self, turn: Turn, message: bytes, proof: str | None) -> str | None:
        """The key that the proof was made with; None for a practice that has none."""
        ods = turn.actor.ods
        state = signing_keys.state(turn.connection, ods)
        if state.revoked(turn.at):
            # never back to less: a token alone signs nothing for a practice that had a key
            raise RefusedError(
                "key-revoked", f"the key of {ods} was revoked: register a new one, and sign with it"
            )
        key = state.public_key
        if key is None:
            if proof is not None:
                raise RefusedError("key-proof", f"{ods} has registered no key to prove this with")
            return None
        if proof is None:
            raise RefusedError(
                "key-needed", f"{ods} has registered a key, and nothing less is accepted from it"
            )
        try:
            keys.verify(key, proof, message)
        except keys.KeyProofError as error:
            raise RefusedError("key-proof", str(error)) from None
        return key


def _must_take_part(document: Agreement, actor: Actor) -> None:
    if actor.ods not in {party.ods_code for party in document.parties}:
        raise RefusedError(
            "not-a-party", "parties: the practice that proposes it is not among them"
        )


def _is_there(record: AgreementRecord, ods: str) -> bool:
    found = record.participant(ods)
    return found is not None and found.withdrawn_at is None


def _present(record: AgreementRecord, party: PartyRecord) -> None:
    if party.withdrawn_at is not None:
        how = "was succeeded by another practice" if party.succeeded else "has withdrawn"
        raise RefusedError("withdrawn", f"{party.ods} {how}, which is final")


def _as_party(turn: Turn) -> tuple[AgreementRecord, PartyRecord]:
    record, participant = turn.own()
    _present(record, participant)
    if record.party(turn.actor.ods) is None:
        raise RefusedError("not-a-party", f"{turn.actor.ods} is in the audience, and no party")
    return record, participant


def _same_terms(record: AgreementRecord, terms_hash: str) -> None:
    if terms_hash.lower() != record.terms_hash:
        raise RefusedError("terms-differ", "the hash is not that of this version's terms")


def _same_parties(document: Agreement, before: AgreementRecord) -> None:
    """A change of terms is signed by all: nobody is left out of the version that comes next."""
    named = {party.ods_code for party in document.parties}
    missing = [party.ods for party in before.remaining if party.ods not in named]
    if missing:
        raise RefusedError(
            "left-out", f"parties: {', '.join(missing)} would be left out; a party leaves by "
            "withdrawing, and a change of terms is signed by all",
        )  # fmt: skip
    _nobody_who_left(document, before)


def _nobody_who_left(document: Agreement, before: AgreementRecord) -> None:
    named = {party.ods_code for party in document.parties}
    gone = [p.ods for p in before.parties if p.withdrawn_at is not None and p.ods in named]
    if gone:
        raise RefusedError("withdrawn", f"parties: {', '.join(gone)} left, which is final")


def _joinable(turn: Turn, record: AgreementRecord) -> None:
    status = turn.status(record)
    if status not in _OPEN:
        raise RefusedError("not-open", f"an agreement that is {status} cannot be joined")
    later = turn.later_complete(record)
    if later is not None:
        raise RefusedError(
            "superseded", f"all have signed version {later.document.version}: that one is to join"
        )
