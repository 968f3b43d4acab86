"""Non-interference: what is not shared with somebody changes nothing that they can get.

A graph of agreements is run twice, with everything equal but one practice's data. Every byte of
every answer, header and topic record must be the same for all others to whom that data is not
shared, whatever they ask.
"""

import json
import shutil

import pytest
from sqlalchemy import func, select

from peerview_share.delivery.topics import ViewPublisher
from peerview_share.store import schema
from peerview_share.store.database import Database
from tests.share.noninterference.graph import KINDS, graph
from tests.share.noninterference.running import NOBODY, STRANGER, Run
from tests.share.noninterference.sabotage import ANSWERS
from tests.share.support import Issuer

CI, LONG = 100, 1_000


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """A database with all tables, copied for each run."""
    path = tmp_path_factory.mktemp("template") / "share.db"
    database = Database(f"sqlite:///{path}")
    database.migrate()
    database.close()
    return path


@pytest.fixture
def twice(tmp_path, template, monkeypatch):
    """Run a graph twice, and return both transcripts."""
    issuer = Issuer(tmp_path)

    def run(seed, sabotage=None):
        made, found = graph(seed), []
        for number in (0, 1):
            folder = tmp_path / f"{seed}-{number}"
            folder.mkdir()
            one = Run(
                made, number, folder, template, issuer, sabotage=sabotage, monkeypatch=monkeypatch
            )
            found.append(one.through())
            shutil.rmtree(folder)
        return made, *found

    return run


def differences(made, one, other):
    """``[(principal, what was asked)]`` in which the runs differ, though nothing permits it."""
    assert one.allowed == other.allowed
    parties = made.parties_of_others
    found = []
    for principal in (*made.readers, STRANGER, NOBODY):
        if principal == made.subject or principal in parties:
            continue
        look = _without_hidden(made) if principal in one.allowed else _everything
        (answers, records), (others, their_records) = one.of(principal), other.of(principal)
        assert len(answers) == len(others) > 0
        for answer, its in zip(answers, others, strict=True):
            if look(answer) != look(its):
                found.append((principal, answer[0]))
        found += [
            (principal, topic)
            for topic in records.keys() | their_records.keys()
            if [r for r in map(look, records.get(topic, ())) if r]
            != [r for r in map(look, their_records.get(topic, ())) if r]
        ]
    return found


def _everything(found):
    """To whom nothing of it is shared: every byte."""
    return found


def _without_hidden(made):
    """To whom the hidden indicators are shared in some form: all but those cells and what is
    derived from them, for a cell may move by rule, and but what hangs on them (tags, pages)."""

    def hidden(item):
        of_subject = item.get("subject", made.subject) == made.subject
        return item["indicator"] in made.hidden and of_subject

    def look(found):
        if len(found) == 3:  # a record: key, value, headers
            indicator, _, subject = found[0].decode().partition("/")
            item = {"indicator": indicator} | ({"subject": subject} if subject else {})
            return None if hidden(item) else found
        asked, status, _, body = found
        if asked in ("GET /", "GET /disclosures", "GET /disclosures.csv") or "preview" in asked:
            return asked
        if f"/v1/practices/{made.subject}" not in asked and "/disclosures" in asked:
            return asked
        if "/indicators" not in asked or "/v1/networks/" not in asked or status not in (200, 304):
            return found
        if status == 304:
            return asked
        content = json.loads(body)
        return asked, {
            key: [item for item in value if not hidden(item)] if isinstance(value, list) else value
            for key, value in content.items()
        }

    return look


@pytest.mark.parametrize("tens", range(CI // 10))
def test_what_is_not_shared_with_somebody_changes_nothing_that_they_get(tens, twice):
    for seed in range(10 * tens, 10 * tens + 10):
        made, one, other = twice(seed)
        assert differences(made, one, other) == [], f"graph {seed}"


@pytest.mark.parametrize("seed", [224, 470])
def test_whom_a_viewer_sees_by_name_elsewhere_shows_in_no_log_of_others(seed, twice):
    """A colleague's own agreement takes it off the contributors of figures that name nobody, or the
    figure with it: entries of those figures once told the others so."""
    assert differences(*twice(seed)) == []


@pytest.mark.parametrize("leak", ANSWERS)
def test_a_leak_in_answers_is_found(leak, twice):
    assert any(differences(*twice(seed, ANSWERS[leak])) for seed in range(5, 15))


def test_a_leak_on_topics_is_found(twice, monkeypatch):
    """A record's header says how much has been released of everybody."""
    write = ViewPublisher._write

    def leaking(self, *arguments):
        with self._database.read() as connection:
            released = select(func.count()).where(schema.cells.c.is_release)
            count = str(connection.execute(released).scalar_one()).encode()
        send = self._producer.send_all
        self._producer.send_all = lambda records: send(
            (*record, [*headers, ("count", count)]) for *record, headers in records
        )
        try:
            write(self, *arguments)
        finally:
            self._producer.send_all = send

    monkeypatch.setattr(ViewPublisher, "_write", leaking)
    assert any("peer-views" in what for seed in range(25) for _, what in differences(*twice(seed)))


@pytest.mark.long
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("hundreds", range(LONG // 100))
def test_a_thousand_other_graphs(hundreds, twice, closing):
    answers = principals = allowed = 0
    first = CI + 100 * hundreds
    for seed in range(first, first + 100):
        made, one, other = twice(seed)
        assert differences(made, one, other) == [], f"graph {seed}"
        answers += sum(len(found) for found in one.answers.values())
        principals += len(one.answers)
        allowed += len(one.allowed & set(made.readers))
    closing.append(
        f"two runs of graphs {first} to {first + 99}: {principals:,} principals, {allowed} of them "
        f"with some right to the data, {answers:,} answers each"
    )


def test_the_graphs_have_every_kind_of_difference_and_of_reader(twice):
    """What is compared is worth it: some may see the data, many may not, and it differs."""
    kinds, strangers, allowed, moved, stricter = set(), 0, 0, 0, set()
    for seed in range(8):
        made, one, other = twice(seed)
        kinds.add(made.kind)
        for asked in (text.get("disclosureControl", {}) for text in made.documents):
            stricter |= {name for name, least in asked.items() if least not in (8, 20)}
        allowed += len(one.allowed)
        strangers += sum(name not in one.allowed for name in made.readers if name != made.subject)
        moved += any(
            one.answers[name] != other.answers[name] for name in made.readers if name in one.allowed
        )
    assert kinds == set(KINDS)
    assert stricter == {"minChange", "minPatients"}
    assert strangers > 5
    assert allowed > 5
    assert moved > 0, "whoever may see the data sees it differ"
