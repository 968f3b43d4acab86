"""Records as the services really encode them, one kind after another, with their headers."""

import base64
import json
from collections import defaultdict
from pathlib import Path
from random import Random
from typing import Any

import msgspec
from fastapi.testclient import TestClient

from peerview_common import changes, cloudevents, codes, snapshots
from peerview_common.changes import PatientChange
from peerview_common.cloudevents import JSON, MSGPACK, EventType
from peerview_compute.engine.deadletters import dead_letter, part_of
from peerview_compute.engine.headers import HeaderFactory
from peerview_compute.engine.partition import Partition
from peerview_compute.engine.records import Notes
from peerview_compute.engine.states import PartitionStates
from peerview_compute.engine.stores import MemoryStore
from peerview_compute.model.core import Core, shipped_definitions
from peerview_ingest.main import DEMONSTRATION_KEY
from peerview_ingest.store import Store
from peerview_ingest.submission import Ingest
from peerview_share.api.app import create_app
from peerview_share.store import outgoing
from peerview_tools.issuer import DevelopmentIssuer
from tests.compute.engine.feed import DAY, history, patient_key
from tests.ingest import builders
from tests.ingest.conftest import MemoryLog, Service
from tests.ingest.conftest import settings as ingest_settings
from tests.share.support import Clock, Issuer, World, document, make_share, patients

Examples = dict[str, list["Example"]]
PRACTICE = "A99090"


class Example:
    """One record: its key, its value decoded, and its headers."""

    def __init__(
        self, key: bytes | None, value: bytes, headers: Any, content_type: str = MSGPACK
    ) -> None:
        self.key = None if key is None else key.decode()
        read = json.loads if content_type == JSON else msgspec.msgpack.decode
        self.value = plain(read(value))
        self.headers = {name: text.decode() for name, text in headers}


def plain(value: Any) -> Any:
    """The decoded form as schemas describe it: binary is base64 text."""
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, list):
        return [plain(each) for each in value]
    if isinstance(value, dict):
        return {name: plain(each) for name, each in value.items()}
    return value


async def of_ingest(folder: Path) -> Examples:
    """Change sets of every type of resource, as the application put them into the log."""

    issuer = DevelopmentIssuer(folder / "issuer")
    chosen = ingest_settings(folder, issuer)
    log = MemoryLog()
    store = Store(chosen.ingest_database)
    ingest = Ingest(chosen, store, log, codes.shipped(), DEMONSTRATION_KEY, lambda: builders.NOW)
    service = Service(ingest, log, issuer)
    panel = builders.observation(
        "o2",
        "85354-9",
        valueQuantity=None,
        component=[
            {
                "code": builders.concept(code, "http://loinc.org"),
                "valueQuantity": {"value": amount, "code": "mm[Hg]"},
            }
            for code, amount in (("8480-6", 128.5), ("8462-4", 80))
        ],
    )
    everything = builders.bundle(
        builders.patient(),
        builders.condition(),
        builders.observation(),
        panel,
        builders.prescription(),
        builders.encounter(),
        builders.appointment(),
        builders.episode(),
        builders.deletion("Condition/gone"),
        builders.patient("p2"),
        builders.dissent("d2") | {"subject": {"reference": "Patient/p2"}},
    )
    answer = await service.bundle(everything)
    assert answer.status_code == 202, answer.text
    voided = builders.bundle(builders.observation(status="entered-in-error"))
    assert (await service.bundle(voided)).status_code == 202
    assert (await service.send("POST", "/v1/heartbeat")).status_code == 202
    await service.client.aclose()
    ingest.close()
    headers = cloudevents.headers(EventType.CHANGES, "peerview/ingest", subject=builders.PRACTICE)
    sets = [Example(builders.PRACTICE.encode(), record, headers) for record in log.records]
    whole = log.sets()[0]
    letter = dead_letter(
        builders.PRACTICE.encode(),
        part_of(whole, whole.patients[0]),
        headers,
        reason="ValueError: it cannot be",
        stage="apply",
        partition=3,
        offset=77,
    )
    return {"ChangeSet": sets, "DeadLetter": [Example(letter.key, letter.value, letter.headers)]}


def of_controls() -> Examples:
    events = [
        changes.ClockTicked("tick-1", DAY, 5),
        changes.ReleaseCut("cut-1", 1, DAY, 5),
        changes.PatientRekeyed("r", PRACTICE, b"o" * 16, b"n" * 16, "old", 5),
        changes.PracticeRekeying("p", PRACTICE, 2, True, 5),
        changes.BackfillCompleted("b", PRACTICE, "codes", 5),
    ]
    found: Examples = {}
    for event in events:
        practice = getattr(event, "practice", None)
        source = "peerview/ingest" if practice else "peerview/share"
        headers = cloudevents.headers(changes.event_type(event), source, subject=practice)
        key = practice.encode() if practice else None
        found[type(event).__name__] = [Example(key, changes.encode(event), headers)]
    return found


def of_compute() -> Examples:
    """A partition with patients: its states, values and a snapshot."""
    core = Core(shipped_definitions())
    partition = Partition(PartitionStates(0, core, MemoryStore()), core)
    found: Examples = defaultdict(list)
    made = HeaderFactory(PRACTICE)

    def keep(title: str, kind: str, write: Any, content_type: str = MSGPACK) -> None:
        headers = made.of(kind, content_type)
        found[title].append(Example(write.key, write.value, headers, content_type))

    keep("Marker", EventType.MARKER, partition.tick(DAY, 0))
    random = Random(7)
    practice = partition.practice(PRACTICE)
    for number in range(30):
        facts = [] if number == 3 else history(random, 12)
        change = PatientChange(patient_key(number), 1, number == 3, facts)
        write = partition.apply(practice, change)
        if write is not None:
            keep("PatientState", EventType.STATE, write)
    notes = Notes(data_through=5, position=9, codes={"c": 1}, first={"c": 1}, kept={"h": 1})
    partition.note(practice, notes)
    keep("Notes", EventType.STATE, partition.notes_of(practice))
    partition.work(float("inf"))
    for write in partition.values(practice):
        keep("IndicatorValue", EventType.VALUE, write, JSON)
    (body,) = [each for each in partition.snapshot(practice, DAY, bytes(16)) if each is not None]
    found["SnapshotBody"] = [Example(None, body, [])]
    chunks = snapshots.split_body(
        body, practice=PRACTICE, cut=1, cut_id="cut-1", attempt="a", as_of=DAY, data_through=5,
        definitions=core.definitions.hash_text, chunk_bytes=200,
    )  # fmt: skip
    for chunk in chunks:
        headers = made.of(EventType.SNAPSHOT, MSGPACK)
        record = snapshots.encode_chunk(chunk)
        found["SnapshotChunk"].append(Example(PRACTICE.encode(), record, headers))
    return found


def of_share(folder: Path) -> Examples:
    """Agreement events from the outbox, and cells of each state that a viewer gets."""

    clock, issuer = Clock(), Issuer(folder)
    share = make_share(folder, clock, issuer)
    world = World(share, clock, issuer, TestClient(create_app(share)))
    one, two, three = "A99001", "A99002", "A99003"
    world.agree(document(one, two, three))
    cells = {"bp-htn-u80": patients(40, 100)}
    world.release({one: cells, two: cells})
    share.agreements.poll()
    compiled = share.agreements.get()
    shown = share.views.of(compiled.index, "north", one, now=clock()).cells
    many = [f"A99{n:03}" for n in range(100, 123)]
    for mode in ("anonymous", "distribution"):
        text = document(*many, id=mode, network={"id": mode})
        world.agree(text | {"peerIdentification": {"mode": mode}})
    world.release({code: cells | {"dna": patients(20, 400)} for code in many})
    share.agreements.poll()
    unnamed = [
        cell
        for mode in ("anonymous", "distribution")
        for cell in share.views.of(share.agreements.get().index, mode, many[0], now=clock()).derived
    ]
    with share.database.read() as connection:
        events = outgoing.waiting(connection)
    share.database.close()
    return {
        "PeerCell": [
            Example(
                cell.key.encode(),
                cell.encoded(),
                cloudevents.headers(
                    EventType.CELL, "peerview/share", content_type=JSON, subject=cell.key
                ),
                JSON,
            )
            for cell in shown
        ],
        "DerivedCell": [
            Example(
                cell.key.encode(),
                cell.encoded(),
                cloudevents.headers(
                    EventType.DERIVED, "peerview/share", content_type=JSON, subject=cell.key
                ),
                JSON,
            )
            for cell in unnamed
        ],
        "AgreementChanged": [
            Example(
                event.key.encode(),
                event.value,
                cloudevents.headers(
                    event.type, "peerview/share", content_type=JSON, subject=event.key
                ),
                JSON,
            )
            for event in events
        ],
    }
