"""Agreements that live: acts of the product on a real database, each that it takes told to the
oracle too, and both asked the same questions."""

from dataclasses import dataclass, field
from random import Random

from peerview_share.agreements.acts import Actor, Acts, RefusedError, UnknownAgreementError
from peerview_share.agreements.clauses import Limits, Role
from peerview_share.agreements.current import CurrentAgreements
from peerview_share.agreements.document import Agreement
from peerview_share.agreements.explain import Clause, explain
from peerview_share.agreements.index import compile_index
from peerview_share.agreements.life import Status, statuses
from peerview_share.store import agreements as store
from tests.share.agreements import oracle

PRACTICES = ("A99001", "A99002", "A99003", "A99004", "A99005")
OUTSIDE = ("QZ001", "QZ002")
EVERYBODY = (*PRACTICES, *OUTSIDE)
INDICATORS = ("bp-htn-u80", "dna", "upc")
NETWORKS = ("north", "south")
AGREEMENTS = ("one", "two", "three")
MODES = ("prohibit", "none", "distribution", "anonymous", "named")
ROLES = ("controller", "joint-controller", "recipient")
DAYS = tuple(f"2026-10-{day}" for day in range(20, 31))
"""Around the night in which the clocks go back."""
BEGIN = oracle.midnight("2026-10-22") + 10 * 3_600_000


def random_terms(rng, number=0):
    """Terms as the oracle has them. Some things are likelier, so that enough is granted."""
    items = rng.sample(INDICATORS, rng.randint(1, 3))
    often = ("named", "named", "named", "anonymous", "anonymous", *MODES[1:])
    reciprocal = rng.random() < 0.5
    outside = [] if reciprocal else [x for x in OUTSIDE if rng.random() < 0.5]
    members = [] if outside and rng.random() < 0.2 else ["members"]
    start = rng.choice((0, 0, 1, 1, 2, 3, 4, 5))
    return {
        "network": rng.choice(NETWORKS),
        "items": items,
        "mode": "prohibit" if rng.random() < 0.05 else rng.choice(often),
        "over": {name: rng.choice(MODES) for name in items if rng.random() < 0.2},
        "reciprocal": reciprocal,
        "min_peers": rng.choice((0, 0, 0, 0, 1, 2, 3)),
        "audience": members + outside,
        "from": DAYS[start],
        "to": None if rng.random() < 0.5 else DAYS[rng.randint(start, len(DAYS) - 1)],
        "admission": ("quorum", rng.choice((1, 34, 50, 67, 100))),
    }


def random_limits(rng):
    return {
        "mode": rng.choice(("named", "named", "named", *MODES)),
        "over": {name: rng.choice(MODES) for name in INDICATORS if rng.random() < 0.2},
    }


def document(name, version, terms, parties):
    """The same as the document that people write."""
    how, much = terms["admission"]
    audiences = [
        {"odsCode": who, "name": f"Team {who}"} if who in OUTSIDE else who
        for who in terms["audience"]
    ]
    return Agreement.model_validate(
        {
            "id": name,
            "version": version,
            "title": "Learning together",
            "parties": [{"odsCode": who, "name": who, "role": r} for who, r in parties.items()],
            "network": {"id": terms["network"]},
            "purposes": ["peer-review"],
            "dataItems": [{"indicatorId": item} for item in terms["items"]],
            "audiences": audiences,
            "peerIdentification": {
                "mode": terms["mode"],
                "perIndicator": terms["over"],
                "reciprocal": terms["reciprocal"],
                "minPeers": terms["min_peers"],
            },
            "validFrom": terms["from"],
            "validTo": terms["to"],
            "admission": {"by": "lead-practice", "practice": much}
            if how == "lead"
            else {"by": "quorum", "percent": much},
        }
    )


@dataclass
class Living:
    """``acts`` return whether the product took them."""

    database: object
    now: int = BEGIN
    events: list = field(default_factory=list)
    taken: int = 0
    refused: int = 0
    asked: int = 0
    granted: int = 0

    def __post_init__(self):
        self.current = CurrentAgreements(
            self.database,
            clock=lambda: self.now,
            monotonic=lambda: 0.0,
            poll_s=1,
            max_age_s=4,
        )
        self.acts = Acts(self.database, lambda: self.now, self.current.poll)
        self.current.poll()

    # -- acts

    def _do(self, action, **event):
        try:
            action()
        except (RefusedError, UnknownAgreementError):
            self.refused += 1
            return False
        self.taken += 1
        self.events.append({"at": self.now, **event})
        return True

    def propose(self, who, name, terms, parties):
        version = len(self.versions(name)) + 1
        text = document(name, version, terms, parties)
        event = {"act": "propose", "id": name, "version": version, "terms": terms}
        return self._do(lambda: self.acts.create(text, actor(who)), **event, parties=dict(parties))

    def edit(self, who, name, terms, parties):
        version = len(self.versions(name))
        text = document(name, version, terms, parties)
        event = {"act": "edit", "id": name, "version": version, "terms": terms}
        return self._do(lambda: self.acts.edit(text, actor(who)), **event, parties=dict(parties))

    def sign(self, who, name, version):
        record = self.record(name, version)
        if record is None:
            return False
        return self._do(
            lambda: self.acts.sign(name, version, record.terms_hash, actor(who)),
            act="sign", id=name, version=version, who=who, terms=self.terms(name, version),
        )  # fmt: skip

    def ask(self, who, name, version, role):
        record = self.record(name, version)
        if record is None:
            return False
        return self._do(
            lambda: self.acts.join(
                name, version, record.terms_hash, actor(who), name=who, role=Role(role)
            ),
            act="ask", id=name, version=version, who=who, role=role,
        )  # fmt: skip

    def agree(self, who, name, to):
        return self._do(
            lambda: self.acts.admit(name, to, actor(who)),
            act="agree", id=name, version=0, who=who, to=to,
        )  # fmt: skip

    def simply(self, what, who, name):
        """Suspend, resume or withdraw."""
        act = getattr(self.acts, what)
        event = {"act": what, "id": name, "version": 0, "who": who}
        return self._do(lambda: act(name, actor(who)), **event)

    def limit(self, who, name, limits):
        said = Limits(mode=limits["mode"], per_indicator=limits["over"])
        return self._do(
            lambda: self.acts.limit(name, said, actor(who)),
            act="limit", id=name, version=0, who=who, limits=limits,
        )  # fmt: skip

    def succeed(self, who, successor):
        """``who`` leaves every agreement in which it has not left before."""
        left = self.acts.succeed([who], successor, self.now // 86_400_000 - 1, actor("operator"))
        for name in left:
            event = {"act": "succeeded", "id": name, "version": 0, "who": who}
            self.events.append({"at": self.now, **event})
        return bool(left)

    def wait(self, millis):
        self.now += millis
        self.current.poll()

    # -- what there is

    def versions(self, name):
        return [r for r in self.current.get().records if r.document.id == name]

    def record(self, name, version):
        found = [r for r in self.versions(name) if r.document.version == version]
        return found[0] if found else None

    def terms(self, name, version):
        said = [e for e in self.events if e["id"] == name and e["version"] == version]
        return [e["terms"] for e in said if e["act"] in ("propose", "edit")][-1]

    # -- questions

    def judge(self, questions, moment):
        """``(network, viewer, subject, indicator)`` each: the index, by the replica's own way now
        and from the history at any moment, the reasons, and the oracle."""
        began = oracle.first_active(self.events)
        in_force = oracle.active(self.events, began, moment)
        with self.database.read() as connection:
            records = store.records(connection, at=moment)
        indexes = [compile_index(records, moment)]
        if moment == self.now:
            indexes.append(self.current.get().index)
        for question in questions:
            expected = oracle.level(in_force, *question)
            for index in indexes:
                grant = index.look_up(*question, moment)
                found = grant.level if grant else 0
                assert found == expected, self.story(question, moment, found, expected)
            self.asked += 1
            self.granted += expected > 0
        network, viewer, subject, indicator = questions[-1]
        why = explain(
            records, moment, network=network, viewer=viewer, subject=subject, indicator=indicator
        )
        assert why.level == expected
        assert (why.clause is Clause.GRANTED) == (expected > 0)
        assert why.why
        return began, in_force

    def judge_states(self, moment):
        """Which versions are active, by the product and by the oracle."""
        began = oracle.first_active(self.events)
        expected = len(oracle.active(self.events, began, moment))
        with self.database.read() as connection:
            records = store.records(connection, at=moment)
        states = statuses(records, moment)
        found = [key for key, state in states.items() if state is Status.ACTIVE]
        assert len(found) == expected, (found, self.events)

    def story(self, question, moment, found, expected):
        lines = [f"{question} at {moment}: the index says {found}, the oracle {expected}"]
        return "\n".join([*lines, *map(str, self.events)])


def actor(who):
    return Actor(who, f"dr-{who.lower()}", who)


def random_act(living: Living, rng: Random):
    """One act of somebody, which the product may refuse."""
    name, who = rng.choice(AGREEMENTS), rng.choice(PRACTICES)
    versions = living.versions(name)
    newest = versions[-1] if versions else None
    kind = rng.choices(
        ("propose", "edit", "sign", "ask", "agree", "suspend", "resume", "withdraw", "limit",
         "succeed", "wait"),
        (2, 1, 6, 2, 3, 0.7, 2, 0.4, 2, 0.1, 4),
    )[0]  # fmt: skip
    if newest is None:
        kind = "propose"
    if kind in ("propose", "edit"):
        living_parties = [] if newest is None else [p.ods for p in newest.remaining]
        named = living_parties or rng.sample(PRACTICES, rng.randint(2, 4))
        if rng.random() < 0.2:
            named = rng.sample(PRACTICES, rng.randint(2, 5))
        if len(named) < 2:
            return
        parties = {code: rng.choice(("controller", *ROLES)) for code in named}
        terms = random_terms(rng)
        if rng.random() < 0.3:
            terms["admission"] = ("lead", rng.choice(named))
        taken = getattr(living, kind)(rng.choice(named), name, terms, parties)
        if taken and rng.random() < 0.6:
            sign_all(living, name)
    elif kind == "sign":
        if rng.random() < 0.5:
            sign_all(living, name)
        else:
            number = rng.choice(versions).document.version
            living.sign(rng.choice(EVERYBODY), name, number)
    elif kind == "ask":
        living.ask(who, name, rng.choice(versions).document.version, rng.choice(ROLES))
    elif kind == "agree":
        asking = [a.ods for r in versions for a in r.asking] or [rng.choice(PRACTICES)]
        living.agree(who, name, rng.choice(asking))
    elif kind in ("suspend", "resume", "withdraw"):
        living.simply(kind, rng.choice((who, who, rng.choice(OUTSIDE))), name)
    elif kind == "limit":
        living.limit(who, name, random_limits(rng))
    elif kind == "succeed":
        living.succeed(who, rng.choice(PRACTICES))
    else:
        living.wait(random_wait(living, rng))


def sign_all(living, name):
    """Everybody who has not signed the newest version."""
    newest = living.versions(name)[-1]
    for party in (*newest.remaining, *newest.audience):
        if party.signed_at is None:
            living.sign(party.ods, name, newest.document.version)


def random_wait(living, rng):
    """Nothing, an instant, some hours, or up to the very moment at which a day begins."""
    ahead = [oracle.midnight(day) - living.now for day in (*DAYS, "2026-10-31", "2026-11-01")]
    next_day = min((left for left in ahead if left > 0), default=86_400_000)
    return rng.choice((0, 1, rng.randint(1, 40_000_000), next_day, next_day - 1))


def random_questions(living, rng, count):
    """Mostly of practices and indicators that an agreement names."""
    records = living.current.get().records
    found = []
    for _ in range(count):
        question = (
            rng.choice(NETWORKS),
            rng.choice(EVERYBODY),
            rng.choice(PRACTICES),
            rng.choice(INDICATORS),
        )
        if records and rng.random() < 0.7:
            record = rng.choice(records)
            terms = record.document
            looks = [p.ods for p in (*record.parties, *record.audience)]
            shown = [p.ods for p in record.parties]
            question = (
                terms.network.id,
                rng.choice(looks),
                rng.choice(shown),
                rng.choice(sorted(terms.indicators)),
            )
        found.append(question)
    return found
