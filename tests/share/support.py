"""A share service in one process: real parts, a clock that tests move, tokens of its own issuer."""

from dataclasses import dataclass, field

from peerview_common.settings import ShareSettings
from peerview_common.snapshots import build_body, split_body
from peerview_common.values import IndicatorValue, Position
from peerview_share.main import build
from peerview_share.store import epochs as epoch_store
from peerview_share.store import previews
from peerview_share.store.database import Database
from peerview_tools.issuer import DevelopmentIssuer

DAY = 20_000
START = 1_790_000_000_000
"""21 September 2026, the first moment of most tests, in milliseconds."""


class Issuer(DevelopmentIssuer):
    """Tokens for tests: by default a signatory who may read."""

    def bearer(self, *practices, subject="dr-jones", scope="share:read", roles=("signatory",)):
        return self.token(
            subject=subject,
            practices=practices,
            scope=scope,
            roles=roles,
            name=subject.replace("-", " ").title(),
        )

    def headers(self, *practices, ods=None, **claims):
        found = {"Authorization": f"Bearer {self.bearer(*practices, **claims)}"}
        return found | ({"ODS-Code": ods} if ods else {})


@dataclass
class Clock:
    now: int = START
    seconds: float = 0.0

    def __call__(self):
        return self.now

    def monotonic(self):
        return self.seconds

    def pass_days(self, days):
        self.now += round(days * 86_400_000)


def settings(tmp_path, issuer, **given):
    return ShareSettings(
        **(
            {
                "share_database": f"sqlite:///{tmp_path}/share.db",
                "jwks": issuer.jwks,
                "lag_days": 0,
                "epoch_deadline_s": 60,
                "clock_day": "",
            }
            | given
        )
    )


def practices(*codes):
    return [{"odsCode": code, "name": f"Practice {code}"} for code in codes]


def document(*codes, **clauses):
    """An agreement that people could sign, as JSON values."""
    return {
        "id": "north-learning",
        "title": "Learning together",
        "parties": practices(*codes),
        "network": {"id": "north", "name": "North network", "type": "pcn"},
        "purposes": ["quality-improvement"],
        "dataItems": [{"indicatorId": "bp-htn-u80"}, {"indicatorId": "dna"}],
        "peerIdentification": {"mode": "named"},
        "validFrom": "2026-01-01",
    } | clauses


def live_value(practice, indicator="bp-htn-u80", **given):
    return IndicatorValue(
        **(
            {
                "practice": practice,
                "indicator": indicator,
                "version": "2026.1",
                "definitions": "d",
                "as_of": "2026-09-21",
                "data_through": "2026-09-21T11:58:00.000Z",
                "denominator": 1000,
                "numerator": 682,
                "met": 682,
                "miss": 318,
                "exception": 41,
                "excluded": 12,
                "objected": 3,
                "source": Position(0, 7),
            }
            | given
        )
    )


def patients(numerator, denominator, start=0):
    return {start + n: (1, int(n < numerator)) for n in range(denominator)}


def chunks(practice, cut, cells, *, now=START, attempt="a", gps=5, states=None, size=800_000):
    """The records of one snapshot: ``cells`` is ``{indicator: {patient: contribution}}``."""
    body = build_body(
        {name: ("2026.1", found) for name, found in cells.items()}, gps=gps, states=states
    )
    return split_body(
        body,
        practice=practice,
        cut=cut,
        cut_id="c",
        attempt=attempt,
        as_of=DAY,
        data_through=now,
        definitions="d",
        chunk_bytes=size,
    )


def submit(database: Database, practice, cut, cells, **given):
    """Put a whole snapshot where the consumer would."""
    (chunk,) = chunks(practice, cut, cells, **given)
    with database.write() as connection:
        epoch_store.save_snapshot(connection, chunk, chunk.part, START)


@dataclass
class World:
    """The service's parts, and what a leader would do, step by step."""

    share: object
    clock: Clock
    issuer: Issuer
    client: object = None
    cut: int = field(default=0)

    def release(self, cells_by_practice, *, confirmed=True, **given):
        """One epoch from cut to publication. Practices confirm what jumped, unless told not to."""
        epoch = self.share.epochs.open(DAY + self.cut)
        self.share.epochs.mark_sent(epoch)
        given.setdefault("now", self.clock.now)
        for practice, cells in cells_by_practice.items():
            submit(self.share.database, practice, epoch.number, cells, **given)
        self.cut = epoch.number
        self.share.epochs.close(
            self.share.epochs.current(),
            frozenset(cells_by_practice),
            alive=lambda: None,
            guard=lambda connection: None,
        )
        if confirmed:
            self.confirm_jumps(epoch.number)
        self.publish()
        return epoch.number

    def confirm_jumps(self, number):
        with self.share.database.write() as connection:
            held = previews.holds(connection, epoch=number)
            previews.end(connection, held, self.clock.now, "dr-jones")

    def publish(self):
        """What the leader does when the preview is over; False before that."""
        epoch = self.share.epochs.current()
        due = self.share.epochs.publish_if_due(epoch, lambda connection: None)
        if due:
            self.share.epochs.tidy(lambda: None, lambda connection: None)
        return due

    def agree(self, text, *signers):
        """Propose and have everyone (or the named) sign."""
        codes = [party["odsCode"] for party in text["parties"]]
        answer = self.client.post(
            "/v1/agreements", json=text, headers=self.issuer.headers(codes[0])
        )
        assert answer.status_code == 201, answer.text
        for code in signers or codes:
            self.sign(text["id"], code, answer.json()["termsHash"], text.get("version", 1))
        return answer.json()

    def sign(self, agreement, code, terms_hash, version=1):
        answer = self.client.post(
            f"/v1/agreements/{agreement}/sign",
            json={"version": version, "termsHash": terms_hash},
            headers=self.issuer.headers(code),
        )
        assert answer.status_code == 200, answer.text
        return answer.json()

    def act(self, agreement, code, what):
        return self.client.post(
            f"/v1/agreements/{agreement}/{what}", headers=self.issuer.headers(code)
        )

    def peers(self, viewer, network="north", path="", **query):
        return self.client.get(
            f"/v1/networks/{network}/indicators{path}",
            headers=self.issuer.headers(viewer),
            params=query,
        )


def make_share(tmp_path, clock, issuer, **given):
    return build(settings(tmp_path, issuer, **given), clock=clock, monotonic=clock.monotonic)
