"""One run of a graph through the whole service, and every byte that each principal got."""

import asyncio
import json
import shutil
from collections import defaultdict
from dataclasses import dataclass, field

from peerview_common.topics import peer_view_topic
from peerview_share.api.app import create_app
from peerview_share.delivery import topics
from peerview_share.delivery.topics import ViewPublisher
from tests.share.noninterference.graph import EPOCHS, INDICATORS, NETWORKS
from tests.share.support import Clock, World, live_value, make_share

STRANGER, NOBODY = "A99990", ""
FORM = f"peerview_form={43 * 'a'}"
"""A browser keeps it: a visitor without one is given another each time."""
OWN = ("indicators", "disclosures", "preview", "signing-key")
"""What a practice reads of itself: of another it is refused."""
OWN_OF_EACH_RECORD = {"ce_id", "ce_time", "traceparent"}
"""Headers that are drawn anew for every record, whatever it says."""


class MemoryLog:
    """Takes what goes to Kafka, in order: two runs are compared by what was sent."""

    def __init__(self):
        self.records = defaultdict(list)

    def send_all(self, records):
        for topic, _, key, value, headers in records:
            shown = tuple(header for header in headers if header[0] not in OWN_OF_EACH_RECORD)
            self.records[topic].append((key, value, shown))


@dataclass
class Answer:
    status_code: int
    headers: tuple
    content: bytes

    @property
    def text(self):
        return self.content.decode()

    def json(self):
        return json.loads(self.content)

    def header(self, name):
        return next((value.decode() for key, value in self.headers if key == name), None)


class Caller:
    """Calls an application without a server in between, and keeps what it sent to the byte."""

    def __init__(self, app):
        self._app = app
        self._loop = asyncio.new_event_loop()

    def close(self):
        self._loop.run_until_complete(self._loop.shutdown_default_executor())
        self._loop.close()

    def get(self, path, **given):
        return self.request("GET", path, **given)

    def post(self, path, **given):
        return self.request("POST", path, **given)

    def put(self, path, **given):
        return self.request("PUT", path, **given)

    def request(self, method, path, *, headers=None, json=None):
        return self.several([(method, path, headers or {}, json)])[0]

    def several(self, requests):
        """One after the other, in one go of the event loop: its threads are made once."""

        async def all_of_them():
            return [await self._request(*request) for request in requests]

        return self._loop.run_until_complete(all_of_them())

    async def _request(self, method, path, headers, content):
        path, _, query = path.partition("?")
        body = b"" if content is None else json.dumps(content).encode()
        sent = {"host": "share", "content-type": "application/json", "cookie": FORM} | headers
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "root_path": "",
            "query_string": query.encode(),
            "headers": [(key.lower().encode(), value.encode()) for key, value in sent.items()],
            "client": ("127.0.0.1", 1),
            "server": ("share", 80),
            "state": {},
        }
        messages = []

        async def receive():
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message):
            messages.append(message)

        try:
            await self._app(scope, receive, send)
        except Exception as error:
            # Starlette answers 500 and then raises: the answer is what a caller gets
            if not messages:
                raise AssertionError(f"no answer to {method} {path}") from error
        start = messages[0]
        content = b"".join(message.get("body", b"") for message in messages[1:])
        return Answer(start["status"], tuple(map(tuple, start["headers"])), content)


@dataclass
class Transcript:
    """``{principal: [(what was asked, status, headers, body)]}``, and the records of its topics."""

    answers: dict = field(default_factory=lambda: defaultdict(list))
    topics: dict = field(default_factory=dict)
    allowed: set = field(default_factory=set)
    """Principals to whom hidden data was shared in some form, at some time."""

    def of(self, principal):
        return self.answers[principal], self.topics.get(principal, {})


_applications = []


def application(share):
    """One for all runs, since it takes long to make; its parts come with each request."""
    if not _applications:
        _applications.append(create_app(share))
    _applications[0].state.share = share
    return _applications[0]


class Run:
    """``number`` is 0 or 1; ``template`` a database with the tables made; ``sabotage`` wraps the
    application, to see that a leak is found."""

    def __init__(self, graph, number, folder, template, issuer, *, sabotage=None, monkeypatch):
        self.graph, self.number, self.issuer = graph, number, issuer
        shutil.copy(template, folder / "share.db")
        self.clock = Clock()
        self.share = make_share(folder, self.clock, issuer)
        app = application(self.share)
        client = Caller(sabotage(app, self.share) if sabotage else app)
        self.world = World(self.share, self.clock, issuer, client)
        self.log = MemoryLog()
        self.publisher = ViewPublisher(
            self.share.database,
            self.log,
            self.share.views,
            bootstrap="",
            prefix="",
            replication=1,
            clock=self.clock,
        )
        monkeypatch.setattr(topics, "create_topics", lambda *_, **__: None)
        self.found = Transcript()
        self.tags = {}
        self.tokens = {}

    def through(self):
        """Everything that happens in the graph, and what everybody reads after each epoch."""
        try:
            self._begin()
            for epoch in range(1, EPOCHS + 1):
                self._release(epoch)
                if epoch > 1:
                    self._read(epoch)
                for _, agreement, practice, act in (a for a in self.graph.acts if a[0] == epoch):
                    self.world.act(agreement, practice, act)
                    self._publish()
            self._read(EPOCHS + 1)
            for viewer in self.graph.practices:
                names = [peer_view_topic("", network, viewer) for network in NETWORKS]
                self.found.topics[viewer] = {
                    name: self.log.records[name] for name in names if name in self.log.records
                }
            return self.found
        finally:
            self.world.client.close()
            self.share.database.close()

    def _begin(self):
        for document in self.graph.documents:
            self.world.agree(document, *self.graph.signers[document["id"]])
        more = self.graph.agreement_of_others()
        if more is not None and self.number == 1:
            self.world.agree(more)
        for agreement, practice, limits in self.graph.limits:
            self.world.client.put(
                f"/v1/agreements/{agreement}/limits", json=limits, headers=self._headers(practice)
            )
        for practice in self.graph.practices:
            for indicator in INDICATORS:
                denominator, numerator = self.graph.live(practice, indicator, run=self.number)
                self.share.figures.put(
                    live_value(practice, indicator, denominator=denominator, numerator=numerator)
                )

    def _release(self, epoch):
        self.clock.pass_days(30)
        cells = {}
        for practice in self.graph.practices:
            found = {
                name: self.graph.contributions(practice, name, epoch, run=self.number)
                for name in INDICATORS
            }
            there = {name: pairs for name, pairs in found.items() if pairs is not None}
            if there:
                cells[practice] = there
        self.world.release(cells)
        self._publish()

    def _publish(self):
        self.share.agreements.poll()
        compiled = self.share.agreements.get()
        self.publisher.sync(compiled)
        for viewer in self.graph.practices:
            for network in NETWORKS:
                for indicator in self.graph.hidden:
                    grant = compiled.index.look_up(
                        network, viewer, self.graph.subject, indicator, self.clock()
                    )
                    if grant is not None:
                        self.found.allowed.add(viewer)

    def _headers(self, practice):
        if practice not in self.tokens:
            self.tokens[practice] = self.issuer.headers(practice) if practice else {}
        return self.tokens[practice]

    def _read(self, epoch):
        asked = [
            (principal, method, path, body)
            for principal in (*self.graph.readers, STRANGER, NOBODY)
            if principal != self.graph.subject
            for method, path, body in _requests(principal, self.graph, epoch)
        ]
        answers = self.world.client.several(
            (method, path, self._headers(principal) | self._condition(principal, path), body)
            for principal, method, path, body in asked
        )
        for (principal, method, path, _), answer in zip(asked, answers, strict=True):
            self.found.answers[principal].append(
                (f"{method} {path}", answer.status_code, answer.headers, answer.content)
            )
            tag = answer.header(b"etag")
            if tag:
                self.tags[principal, path] = tag

    def _condition(self, principal, path):
        tag = self.tags.get((principal, path))
        return {"If-None-Match": tag} if tag else {}


def _requests(principal, graph, epoch):
    """What one principal asks after an epoch: views each time; at the end every reading route, and
    acts that are not theirs."""
    whole = epoch > EPOCHS
    if principal == NOBODY:
        paths = ["/metrics", "/openapi.json", "/health/live", "/v1/agreements"] if whole else []
        return [("GET", path, None) for path in paths]
    views = [f"/v1/networks/{network}/indicators" for network in NETWORKS]
    if not whole:
        return [("GET", path, None) for path in views]
    paths = ["/metrics", "/v1/agreements", "/", "/v1/releases", "/agreements", "/disclosures.csv"]
    paths += ["/release", "/signing-key", "/v1/attacks", "/v1/attacks/last"]
    for view in views:
        paths += [view, f"{view}/{INDICATORS[0]}", f"{view}/none"]
        paths += [f"{view}?epoch={n}" for n in range(1, EPOCHS + 2)]
    paths += [f"/v1/practices/{who}/{what}" for who in (principal, graph.subject) for what in OWN]
    paths += [
        f"/v1/networks/{NETWORKS[0]}/explain?viewer={principal}&subject={subject}&indicator={name}"
        for subject in graph.practices[:2]
        for name in INDICATORS[:1]
    ]
    paths += [
        f"/why?network={NETWORKS[0]}&other={subject}&indicator={INDICATORS[0]}&way={way}"
        for subject in graph.practices[:2]
        for way in ("they-see", "we-see")
    ]
    posts = [("POST", "/v1/releases/cut", None)]
    for document in graph.documents:
        identity = document["id"]
        paths += [f"/v1/agreements/{identity}{what}" for what in ("", "/history")]
        signature = {"version": 9, "termsHash": "0" * 64}
        posts += [("POST", f"/v1/agreements/{identity}/sign", signature)]
    identity = graph.documents[0]["id"]
    paths += [
        f"/v1/agreements/{identity}/odrl",
        f"/agreements/{identity}",
        f"/agreements/{identity}/preview",
        f"/agreements/{identity}/limits",
    ]
    return [*(("GET", path, None) for path in paths), *posts]
