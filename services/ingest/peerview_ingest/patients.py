"""What a practice asks of single patients: their pseudonyms, their erasure, their objection.

They are named by the id that the source system gives them, and leave here as keys alone.
"""

import hashlib
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from peerview_common.changes import FORMAT, ChangeSet, PatientChange, encode
from peerview_ingest import key_versions, rekeying
from peerview_ingest.fhir import HmacKeys
from peerview_ingest.fhir.objection import A_SETTING, Origin, Word
from peerview_ingest.keyring import PairingKeys
from peerview_ingest.plan import Plan, make_plan
from peerview_ingest.publisher import Position
from peerview_ingest.store import Turn
from peerview_ingest.submission import Ingest, Sender, Step

MOST = 1_000
"""Patients at once."""

log = structlog.get_logger("peerview.audit")


@dataclass(frozen=True)
class Asked:
    """Who asks, for whom."""

    sender: Sender
    system: str
    """The source system that the ids are of: the caller's text, which goes nowhere."""
    subject: str
    """The caller, as their token names them."""
    ids: Sequence[str]


async def pseudonyms(ingest: Ingest, asked: Asked) -> list[list[str]]:
    """Of each id its pseudonym in hexadecimal; during a re-keying the former one as well. Whether
    there is such a patient is not said. Noted before it is answered."""

    def work(turn: Turn, now: int) -> Step[list[list[str]]]:
        keys = ingest.keys_of(turn, now)
        found = [[key.hex() for key in _keys(keys, asked.system, one)] for one in asked.ids]
        turn.note(asked.subject, "pseudonyms", len(asked.ids), now)
        return Step([], lambda _: found)

    found = await ingest.in_turn(asked.sender, work)
    _audit(asked, "pseudonyms")
    return found


async def erase(ingest: Ingest, asked: Asked) -> int:
    """Replace what the log has of these patients by empty states of a newer generation; returns how
    many keys that were. What is sent of them afterwards is taken as of anybody.

    The index forgets them first: should nothing reach the log, the generation that it goes on with
    is newer all the same, and erasing them again sends it.
    """

    def work(turn: Turn, now: int) -> Step[int]:
        keys = ingest.keys_of(turn, now)
        new, former = _split(keys, asked)
        known = turn.knowledge([], [*new, *former], [])
        changes = []
        for patient in [*new, *former]:
            state = known.state(patient).next(known.state(patient).objected)
            known.patients[patient] = state
            changes.append(PatientChange(patient, state.generation, state.objected, []))
        turn.erase({patient: known.patients[patient] for patient in new}, former)
        turn.note(asked.subject, "erase", len(asked.ids), now)
        event = _change_set(ingest, asked.sender, now, changes)
        return Step([encode(event)], lambda _: len(changes))

    count = await ingest.in_turn(asked.sender, work)
    _audit(asked, "erase")
    return count


async def set_objection(ingest: Ingest, asked: Asked, *, objects: bool) -> tuple[int, int]:
    """Have patients object by the practice's word, or take that back, and with it what was carried
    over from former keys: then what their records say decides. Returns how many object from now on,
    and how many no longer do, whose records must be sent again."""

    def work(turn: Turn, now: int) -> Step[tuple[int, int]]:
        keys = ingest.keys_of(turn, now)
        new, _ = _split(keys, asked)
        known = turn.knowledge([], new, [])
        for patient in new:
            key = hashlib.sha256(b"set" + patient).digest()[:16]
            told: dict[bytes, Word | None] = {key: A_SETTING}
            if not objects:
                told = dict.fromkeys(
                    fact
                    for fact, word in known.words.get(patient, {}).items()
                    if word.origin != Origin.SAID
                )
            known.told[patient] = told
        plan = make_plan(ingest.codes, {}, known)
        objected, opted_in = len(plan.objected), len(plan.opted_in)
        if turn.keys.former is not None and plan.objected:
            _pair(turn, keys, asked, plan)
            key_versions.object_formerly(turn, plan)
        turn.reserve(plan)
        turn.note(asked.subject, "object" if objects else "take part", len(asked.ids), now)

        def commit(_: list[Position]) -> tuple[int, int]:
            turn.commit(plan, {}, None)
            return objected, opted_in

        return Step(_records(ingest, asked.sender, now, plan), commit)

    done = await ingest.in_turn(asked.sender, work)
    _audit(asked, "object" if objects else "take part")
    return done


def _keys(keys: HmacKeys, source: str, id_text: str) -> list[bytes]:
    new = keys.patient(source, id_text)
    return [new, keys.patients[new]] if isinstance(keys, PairingKeys) else [new]


def _split(keys: HmacKeys, asked: Asked) -> tuple[list[bytes], list[bytes]]:
    """Keys under the version in use, and under the former one."""
    found = [_keys(keys, asked.system, one) for one in asked.ids]
    return (
        list(dict.fromkeys(each[0] for each in found)),
        list(dict.fromkeys(key for each in found for key in each[1:])),
    )


def _pair(turn: Turn, keys: HmacKeys, asked: Asked, plan: Plan) -> None:
    """Note whom of the former patients these are, before anything of them has come."""
    assert isinstance(keys, PairingKeys) and turn.keys.former  # noqa: S101, PT018 - a re-keying
    by_id = dict(_keys(keys, asked.system, one) for one in asked.ids)
    looked_for = rekeying.Candidates(by_id, {})
    former = key_versions.former_patients(turn, turn.keys.former.version, looked_for)
    plan.pairs = rekeying.match(looked_for, former)


def _records(ingest: Ingest, sender: Sender, now: int, plan: Plan) -> list[bytes]:
    return [encode(_change_set(ingest, sender, now, plan.changes))] if plan.changes else []


def _change_set(
    ingest: Ingest, sender: Sender, now: int, changes: list[PatientChange]
) -> ChangeSet:
    # of the feed it says nothing, hence no time through which it is whole
    return ChangeSet(
        FORMAT,
        sender.practice,
        sender.source,
        str(uuid.uuid4()),
        now,
        0,
        ingest.codes.version,
        changes,
    )


def _audit(asked: Asked, action: str) -> None:
    log.info(
        "audit",
        action=action,
        subject=asked.subject,
        practice=asked.sender.practice,
        patients=len(asked.ids),
    )
