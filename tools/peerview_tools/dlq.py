"""`peerview dlq list|replay`: dead letters, as an operator sees them."""

import heapq
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime
from operator import itemgetter
from typing import Final

from kafka.errors import KafkaError
from rich.table import Table
from rich.text import Text

from peerview_common.settings import CommonSettings
from peerview_tools.codes import wide_console
from peerview_tools.dead_letters import (
    STAGES,
    Choice,
    Letter,
    Outcome,
    Place,
    letters,
    place_of,
    replay,
    words,
)
from peerview_tools.rebuild import Log, RebuildError

DONE, FAILED, REFUSED = 0, 1, 2
NOT_SENT: Final = "not sent"


def choice_of(
    places: Sequence[str], practices: Sequence[str], stages: Sequence[str], since: datetime | None
) -> Choice:
    """What a command line asks for; `since` has no zone, and is UTC. Raises ValueError."""
    for stage in stages:
        if stage not in STAGES:
            raise ValueError(f"no stage {stage!r}: there are {', '.join(STAGES)}")
    return Choice(
        practices=frozenset(practices),
        stages=frozenset(stages),
        since=None if since is None else since.replace(tzinfo=UTC),
        places=frozenset(place_of(text) for text in places),
    )


def printable(text: str) -> str:
    """Without control characters: it comes from whoever wrote the record."""
    return "".join(char if char.isprintable() else "?" for char in text)


def _patients(letter: Letter) -> str:
    found = letter.patients
    return found[0] if len(found) == 1 else "" if not found else f"{len(found)} patients"


COLUMNS: Final = (
    "letter", "time (UTC)", "practice", "stage", "reason", "source", "patient", "facts",
)  # fmt: skip


def row(letter: Letter) -> tuple[Text, ...]:
    """What is shown of a letter: of its patients the pseudonym, and nothing else."""
    again = f" ({letter.replayed_from}, sent again)" if letter.replayed_from else ""
    cells = (
        str(letter.place),
        letter.at.strftime("%Y-%m-%d %H:%M:%S"),
        letter.practice or "all",
        letter.stage,
        letter.reason + again,
        letter.source,
        _patients(letter) if letter.event is not None else "cannot be decoded",
        "" if letter.facts is None else f"{letter.facts:,}",
    )
    return tuple(Text(printable(cell)) for cell in cells)


def run_list(choice: Choice, *, newest: int) -> int:
    """Dead letters as a table; at most the `newest` of them."""
    settings = CommonSettings()
    stages: Counter[str] = Counter()
    practices: set[str] = set()

    def rows(log: Log) -> Iterator[tuple[datetime, Place, tuple[Text, ...]]]:
        for letter in letters(log, choice):
            stages[letter.stage] += 1
            practices.add(letter.practice)
            yield letter.at, letter.place, row(letter)

    try:
        with closing(Log(settings.kafka, settings.topic_prefix)) as log:
            # records are large and may be many: none is kept
            shown = heapq.nlargest(newest, rows(log), key=itemgetter(0, 1))
    except (KafkaError, RebuildError) as error:
        return _unreadable("list", error)
    if shown:
        table = Table(*COLUMNS)
        for _, _, cells in reversed(shown):
            table.add_row(*cells)
        wide_console().print(table)
    if stages.total() > len(shown):
        print(f"and {stages.total() - len(shown):,} older (--newest shows more)")
    by_stage = ", ".join(f"{count:,} {stage}" for stage, count in sorted(stages.items()))
    told = f"{stages.total():,} dead letters of {len(practices):,} practices"
    print(printable(f"{told}: {by_stage}" if by_stage else told))
    return DONE


def run_replay(choice: Choice, *, raw: bool, dry: bool) -> int:
    """Send the chosen ones again; one line each, and what it came to."""
    settings = CommonSettings()
    counts: Counter[str] = Counter()
    missing = set(choice.places)
    try:
        with closing(Log(settings.kafka, settings.topic_prefix)) as log:
            partitions = log.partitions()
            for outcome in replay(settings, letters(log, choice), partitions, raw=raw, dry=dry):
                missing.discard(outcome.letter.place)
                kind, told = _told(outcome)
                counts[kind] += 1
                print(printable(told))
    except (KafkaError, RebuildError) as error:
        return _unreadable("replay", error)
    for place in sorted(missing):
        print(f"{place}: there is no such dead letter, or the other options leave it out")
    print(", ".join(f"{count:,} {kind}" for kind, count in sorted(counts.items())) or "none found")
    return FAILED if missing or counts[NOT_SENT] else DONE


def _told(outcome: Outcome) -> tuple[str, str]:
    letter, partition, sent, why = outcome
    what = f"{letter.place} ({letter.stage}, {letter.practice or 'all practices'})"
    if why:
        return NOT_SENT, f"{what}: not sent: {why}"
    if sent is None:
        return "would be sent", f"{what}: would be sent to partition {partition}"
    return "sent again", f"{what}: sent again as {sent} of practice.changes"


def _unreadable(command: str, error: Exception) -> int:
    print(f"peerview dlq {command}: {words(error)}", file=sys.stderr)
    return REFUSED
