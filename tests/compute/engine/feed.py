"""Change sets of invented practices, and a producer that puts them where ingest would."""

from collections.abc import Iterable
from random import Random
from typing import Any

from kafka import KafkaProducer

from peerview_common import changes, topics
from peerview_common.changes import ChangeSet, Control, PatientChange
from peerview_common.cloudevents import headers
from peerview_common.codes import shipped
from peerview_common.days import parse_day
from peerview_common.facts import (
    Coded,
    Component,
    Contact,
    Fact,
    GeneralPractice,
    Person,
    Registration,
    ResourceType,
    Sex,
    Unit,
    pack_id,
)

DAY = parse_day("2026-03-01")
DAY_MILLIS = 86_400_000


def code(cluster: str) -> int | str:
    """The first code of a cluster as facts hold it."""
    listed = shipped()
    for row in listed.rows:
        if row.cluster == cluster:
            if row.system == "bnf-prefix":
                return f"bnf:{row.code}"
            found = listed.codes_for(row.system, row.code)
            if found:
                return found[0]
    raise KeyError(cluster)


HYPERTENSION = code("HYP_COD")
_DIAGNOSES = [code(name) for name in ("HYP_COD", "DM_COD", "AFIB_COD", "COPD_COD", "CHD_COD")]
_EVENTS = [
    code(name) for name in ("STATIN_RX", "ORAL_NSAID_RX", "PPI_H2RA_RX", "BROAD_ABX_RX", "DOAC_RX")
]


def coded(day: int, found: int | str, kind: ResourceType, name: str, stamp: int) -> Fact:
    body = Coded(day, 0, (found,), None, Unit.ABSENT, None, ())
    return Fact(kind, pack_id(name), stamp, 1, "", False, body)


def person(random: Random, stamp: int = 0) -> list[Fact]:
    """Somebody registered, with an age and a sex."""
    born = DAY - random.randrange(20 * 365, 90 * 365)
    sex = random.choice((Sex.MALE, Sex.FEMALE))
    return [
        Fact(
            ResourceType.PATIENT,
            b"person",
            stamp,
            1,
            "",
            False,
            Person(born, sex, None, GeneralPractice.HERE, None, False),
        ),
        Fact(
            ResourceType.EPISODE_OF_CARE,
            b"episode",
            stamp,
            1,
            "",
            False,
            Registration(True, DAY - 4000, None),
        ),
    ]


def history(random: Random, facts: int, *, stamp: int = 0) -> list[Fact]:
    """``facts`` facts of one patient up to ``DAY``."""
    found = person(random, stamp)
    while len(found) < facts:
        n = len(found)
        when = DAY - random.randrange(0, 330)
        match random.randrange(4):
            case 0:
                kind, chosen = ResourceType.CONDITION, random.choice(_DIAGNOSES)
                found.append(coded(when - 700, chosen, kind, f"c{n}", stamp))
            case 1:
                kind, chosen = ResourceType.MEDICATION_REQUEST, random.choice(_EVENTS)
                found.append(coded(when, chosen, kind, f"m{n}", stamp))
            case 2:
                found.append(blood_pressure(when, random.randrange(110, 170), f"b{n}", stamp))
            case _:
                gp = random.randrange(4).to_bytes(8, "big")
                found.append(
                    Fact(
                        ResourceType.ENCOUNTER,
                        pack_id(f"e{n}"),
                        stamp,
                        1,
                        "",
                        False,
                        Contact(when, gp),
                    )
                )
    return found[:facts]


def blood_pressure(day: int, systolic: int, name: str, stamp: int = 0) -> Fact:
    parts = (
        Component((code("BP_SYSTOLIC_CLINIC"),), systolic, Unit.MM_HG),
        Component((code("BP_DIASTOLIC_CLINIC"),), 80, Unit.MM_HG),
    )
    panel = (code("BP_PANEL"),)
    body = Coded(day, 0, panel, None, Unit.ABSENT, None, parts)
    return Fact(ResourceType.OBSERVATION, pack_id(name), stamp, 1, "", False, body)


def patient_key(number: int) -> bytes:
    return number.to_bytes(16, "big")


def change_set(
    practice: str, parts: Iterable[tuple[int, list[Fact]]], *, data_through: int = DAY * DAY_MILLIS
) -> ChangeSet:
    return ChangeSet(
        changes.FORMAT,
        practice,
        "test",
        "submission",
        data_through,
        data_through,
        shipped().version,
        [PatientChange(patient_key(number), 0, False, facts) for number, facts in parts],
    )


class Feed:
    """Puts events into ``practice.changes``; every ODS code goes where it always goes."""

    def __init__(self, bootstrap: str, prefix: str, partitions: int) -> None:
        self.partitions = partitions
        self._topic = topics.topic_name(prefix, topics.CHANGES)
        topics.provision(bootstrap, prefix=prefix, partitions=partitions)
        self._producer = KafkaProducer(
            bootstrap_servers=bootstrap, compression_type="lz4", linger_ms=0
        )

    def partition_of(self, practice: str) -> int:
        return topics.practice_partition(practice, self.partitions)

    def send(self, event: ChangeSet | Control, partition: int | None = None) -> int:
        """One event; awaited by ``flush``. Control events name their partition."""
        if isinstance(event, ChangeSet):
            partition = self.partition_of(event.practice)
        key = event.practice.encode() if isinstance(event, ChangeSet) else b"!"
        self._producer.send(
            self._topic,
            key=key,
            value=changes.encode(event),
            partition=partition,
            headers=headers(changes.event_type(event), "test"),
        )
        assert partition is not None
        return partition

    def send_everywhere(self, event: Control) -> None:
        for partition in range(self.partitions):
            self.send(event, partition)

    def send_bytes(self, partition: int, value: bytes, ce_type: str) -> None:
        self._producer.send(
            self._topic,
            key=b"X",
            value=value,
            partition=partition,
            headers=[("ce_type", ce_type.encode())],
        )

    def copy(self, record: Any) -> None:
        """A record of another feed's topic, as it is."""
        self._producer.send(
            self._topic,
            key=record.key,
            value=record.value,
            partition=record.partition,
            headers=record.headers,
        )

    def flush(self) -> None:
        self._producer.flush(30)

    def close(self) -> None:
        self._producer.close()
