"""A lane tells truly what is acknowledged, whatever is put in meanwhile."""

import asyncio

import pytest

from peerview_compute.engine.lanes import Item, Lane, Later, SendFailed
from peerview_compute.engine.tail import Tail
from tests.compute.engine.seam import Producer, settle


def lane(
    producer: Producer, newest_of_key: bool = True, linger: float = 0.0
) -> tuple[Lane, list[BaseException]]:
    failures: list[BaseException] = []
    made = Lane(
        lambda: producer,
        "topic",
        0,
        newest_of_key=newest_of_key,
        before_send=lambda: None,
        on_progress=lambda: None,
        on_failure=failures.append,
        linger=lambda: linger,
    )
    return made, failures


def item(key: str, value: str) -> Item:
    return Item(key.encode(), value.encode(), [])


async def test_what_comes_while_a_batch_is_on_its_way_makes_the_next() -> None:
    producer = Producer()
    one, _ = lane(producer)
    first = one.put([item("a", "1")])
    await settle()
    one.put([item("b", "1"), item("a", "2")])
    last = one.put([item("b", "2")])
    assert one.acknowledged < first
    await producer.acknowledge()
    assert first <= one.acknowledged < last
    await producer.acknowledge()
    assert one.acknowledged == last
    assert producer.sent == [[(b"a", b"1")], [(b"b", b"2"), (b"a", b"2")]]
    assert one.idle
    assert one.waiting_bytes == 0


async def test_a_record_that_waits_gives_its_place_to_the_next_of_its_key() -> None:
    producer = Producer(room=2)
    one, _ = lane(producer)
    one.put([item("z", "1")])
    await settle()
    one.put([item("old", "facts"), item("x", "1")])
    assert one.waits(b"old")
    assert not one.waits(b"z")
    # so whoever needs "new" in the log before this must wait first
    one.put([item("new", "facts"), item("old", "nothing")])
    await producer.acknowledge()
    assert producer.sent[1] == [(b"old", b"nothing"), (b"x", b"1")]
    assert not one.waits(b"old")


async def test_a_full_batch_does_not_acknowledge_what_is_left() -> None:
    producer = Producer(room=2)
    one, _ = lane(producer, newest_of_key=False)
    tickets = [one.put([item("a", str(n))]) for n in range(5)]
    await settle()
    await producer.acknowledge()
    assert one.acknowledged == tickets[1]
    await producer.acknowledge()
    await producer.acknowledge()
    await one.reached(tickets[-1])
    assert [value for batch in producer.sent for _, value in batch] == [
        b"0",
        b"1",
        b"2",
        b"3",
        b"4",
    ]


async def test_what_is_made_later_is_made_once_for_all_that_came_meanwhile() -> None:
    producer = Producer(room=3)
    one, _ = lane(producer)
    one.put([item("z", "0")])
    await settle()
    made = []

    def later(text: str) -> Later:
        return Later(lambda: made.append(text) or [item("a", text), item("b", text)], 5)

    first = one.put_later("A", later("1"))
    one.put([item("y", "1")])
    one.put_later("A", later("2"))
    last = one.put_later("B", later("3"))
    one.put_later("nothing", Later(list, 5))
    await producer.acknowledge()
    assert made[0] == "2"
    await producer.acknowledge()
    assert first <= one.acknowledged < last
    await producer.acknowledge()
    assert one.acknowledged == one.put_in
    assert one.waiting_bytes == 0
    assert producer.sent[1:] == [
        [(b"a", b"2"), (b"b", b"2"), (b"y", b"1")],
        [(b"a", b"3"), (b"b", b"3")],
    ]


async def test_a_lane_lingers_unless_somebody_waits() -> None:
    producer = Producer()
    one, _ = lane(producer, linger=0.2)
    one.put([item("a", "1")])
    await settle()
    assert len(producer.sent) == 1  # the first one at once
    await producer.acknowledge()
    one.put([item("b", "1")])
    await settle()
    assert len(producer.sent) == 1
    await asyncio.sleep(0.25)
    assert len(producer.sent) == 2
    await producer.acknowledge()
    waiting = asyncio.ensure_future(one.reached(one.put([item("c", "1")])))
    await settle()
    assert len(producer.sent) == 3
    await producer.acknowledge()
    await waiting


async def test_a_failed_send_is_told_to_all_who_wait_and_ends_the_lane() -> None:
    producer = Producer()
    one, failures = lane(producer)
    ticket = one.put([item("a", "1")])
    waiting = asyncio.ensure_future(one.reached(ticket))
    await settle()
    producer.futures[-1].set_exception(RuntimeError("gone"))
    with pytest.raises(SendFailed):
        await waiting
    assert [str(error) for error in failures] == ["gone"]
    with pytest.raises(SendFailed):
        await one.reached(one.put([item("b", "1")]))
    assert len(producer.sent) == 1


def test_a_hole_between_our_batches_is_somebody_elses() -> None:
    tail = Tail(10)
    tail.wrote(10, 5)
    assert (tail.known, tail.holes) == (15, [])
    tail.wrote(17, 1)
    tail.ends_at(20)
    assert (tail.known, tail.holes) == (15, [(15, 17), (18, 20)])
