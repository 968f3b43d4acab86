"""The whole worker beside the pure core: what Kafka, Faust and the log cost."""

from peerview_tools.bench.measure import Found, Size
from peerview_tools.bench.processes import Process
from peerview_tools.bench.stream import Rate, Side, Stream, compare
from peerview_tools.bench.surroundings import Surroundings, Topics

SHAPES = (50, 5)
"""Patients of a change set: a nightly extract's, and a busy hour's."""
_SIZES = {"full": (1000, 15, 9), "quick": (500, 4, 1), "tiny": (20, 2, 1)}
"""Nine times: each side swings by a fifth from run to run, and three do not tell them apart."""


def start(place: Topics, last: int) -> Process:
    return place.worker()


OURS = Side("worker", start)


def streams(size: Size) -> tuple[list[Stream], int]:
    """One a shape, and how often each is run."""
    patients, rounds, times = _SIZES[size]
    return [Stream(patients, rounds, shape) for shape in SHAPES], times


def run(around: Surroundings, size: Size) -> Found:
    shapes, times = streams(size)
    ratios, told = [], []
    for stream in shapes:
        core, (ours,) = compare(around, stream, [OURS], times)
        ratios.append(ours.wall / core.wall)
        told.append(beside(stream, "worker", ours, "core", core))
    return Found(
        min(ratios), f"the pure core, medians of {times}, the lesser of two; " + "; ".join(told)
    )


def beside(stream: Stream, left: str, ours: Rate, right: str, theirs: Rate) -> str:
    """Both sides of a ratio, in words."""
    return (
        f"{stream.per_record} patients a record: {ours.wall / theirs.wall:.2f} "
        f"({left} {ours.wall:,.0f}, {right} {theirs.wall:,.0f} facts/s; "
        f"by processor time {ours.cpu / theirs.cpu:.2f})"
    )
