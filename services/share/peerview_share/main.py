"""The composition root: settings, clocks and keys come in here and nowhere else."""

import secrets
import socket
import threading
import time
import uuid
from collections.abc import Callable, Mapping

import uvicorn
from kafka.errors import KafkaError
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from peerview_common import logs
from peerview_common.auth import TokenVerifier
from peerview_common.catalogue import catalogue, without_stand_ins
from peerview_common.codes import CodeList
from peerview_common.days import day_of_millis, parse_day
from peerview_common.settings import Mode, ShareSettings
from peerview_common.topics import (
    AGREEMENTS,
    CHANGES,
    SNAPSHOTS,
    VALUES,
    Topic,
    provision,
    topic_name,
)
from peerview_share.agreements.acts import Acts
from peerview_share.agreements.current import CurrentAgreements
from peerview_share.agreements.key_acts import KeyActs
from peerview_share.agreements.life import Status, statuses
from peerview_share.api.app import SERVICE, create_app
from peerview_share.consume.live import LiveFigures
from peerview_share.consume.reader import RECONNECT_MS, TopicReader
from peerview_share.consume.snapshots import SnapshotAssembler
from peerview_share.consume.values import ValuesConsumer
from peerview_share.delivery.producer import LogProducer
from peerview_share.delivery.published import PublishedEpochs
from peerview_share.delivery.topics import Outbox, ViewPublisher
from peerview_share.delivery.viewing import Views
from peerview_share.release.calendar import Calendar
from peerview_share.release.epochs import Epochs
from peerview_share.release.leader import Leader
from peerview_share.release.nightly import NightlyAttack
from peerview_share.release.previewing import Previews
from peerview_share.release.remembering import DerivedSets
from peerview_share.release.retracting import Retractions
from peerview_share.release.scheduler import Scheduler
from peerview_share.service import Share
from peerview_share.store import live as live_store
from peerview_share.store import rights
from peerview_share.store.database import Database
from peerview_share.store.leases import Lease

LEASE_TERM_MS = 15_000
RENEW_EVERY_S = 4.0
CONNECT_S = 1.0
TOPICS = (CHANGES, VALUES, SNAPSHOTS, AGREEMENTS)


def now_millis() -> int:
    return time.time_ns() // 1_000_000


def broker_problem(bootstrap: str) -> str | None:
    """What is wrong when none of the bootstrap servers takes a connection."""
    for server in bootstrap.split(","):
        host, _, port = server.strip().rpartition(":")
        try:
            socket.create_connection((host, int(port)), timeout=CONNECT_S).close()
            return None
        except OSError:
            continue
    return "no bootstrap server takes a connection"


def _refuse_to_rewrite(database: Database) -> None:
    with database.read() as connection:
        if found := rights.excess(connection):
            raise rights.RightsError(
                "production mode refuses a database role that could rewrite the audit "
                f"({', '.join(found)}): see docs/audit.md"
            )


def migrate() -> None:
    """Bring the tables to the newest version as their owner, and give the service its rights."""
    settings = ShareSettings()
    service = make_url(settings.share_database)
    database = Database(settings.share_owner_database.get_secret_value() or settings.share_database)
    try:
        database.migrate(service.username if service.get_backend_name() == "postgresql" else None)
    finally:
        database.close()


def build(
    settings: ShareSettings,
    *,
    clock: Callable[[], int] = now_millis,
    monotonic: Callable[[], float] = time.monotonic,
    session_key: bytes | None = None,
) -> Share:
    """Every part, wired. Opens the database; threads start with `Share.start`."""
    database = Database(settings.share_database)
    database.migrate()
    if settings.mode is Mode.PRODUCTION:
        _refuse_to_rewrite(database)
    indicators = catalogue()
    if settings.code_list is not None:
        listed = CodeList.load(settings.code_list)
        if not listed.demonstration_clusters():
            indicators = without_stand_ins(indicators)
    calendar = Calendar.parse(settings.cut_calendar)

    def today() -> int:
        fixed = settings.clock_day
        return parse_day(fixed) if fixed else day_of_millis(clock())

    def topic(kind: Topic) -> str:
        return topic_name(settings.topic_prefix, kind)

    agreements = CurrentAgreements(
        database,
        clock=clock,
        monotonic=monotonic,
        poll_s=settings.revision_poll_s,
        max_age_s=settings.revision_max_age_s,
    )
    agreements.poll()
    with database.read() as connection:
        figures = LiveFigures(live_store.load(connection))
    published = PublishedEpochs(database)
    views = Views(database, indicators, published, settings.lag_days)
    derived_sets = DerivedSets(indicators, agreements.get, clock, settings.lag_days)
    epochs = Epochs(
        database,
        indicators,
        clock=clock,
        deadline_s=settings.epoch_deadline_s,
        lag_days=settings.lag_days,
        snapshot_months=settings.snapshot_months,
        on_publish=derived_sets.remember,
    )

    def expected() -> frozenset[str]:
        """Practices whose feed is known, and parties of agreements that are active today."""
        with_feed = figures.practices()
        records = agreements.get().records
        states = statuses(records, clock())
        parties = {
            party.ods
            for record in records
            if states[record.key] is Status.ACTIVE
            for party in record.parties
            if party.takes_part and party.role != "recipient"
        }
        return with_feed | parties

    def open_reader(kind: Topic) -> Callable[[dict[int, int]], TopicReader]:
        return lambda offsets: TopicReader(settings.kafka, topic(kind), offsets)

    values = ValuesConsumer(database, figures, topic(VALUES), open_reader(VALUES), monotonic)
    producer = LogProducer(settings.kafka)
    leader = Leader(
        Lease(database, "leader", uuid.uuid4().hex, clock=clock, term_ms=LEASE_TERM_MS),
        Scheduler(
            epochs,
            producer,
            topic(CHANGES),
            calendar,
            clock=clock,
            today=today,
            expected=expected,
            look_every_s=settings.tick_seconds,
        ),
        SnapshotAssembler(database, topic(SNAPSHOTS), clock),
        ViewPublisher(
            database,
            producer,
            views,
            bootstrap=settings.kafka,
            prefix=settings.topic_prefix,
            replication=settings.replication,
            clock=clock,
        ),
        Outbox(database, producer, settings.topic_prefix),
        NightlyAttack(database, indicators, clock=clock, hour=settings.attack_hour),
        agreements,
        open_reader(SNAPSHOTS),
        renew_every_s=RENEW_EVERY_S,
        monotonic=monotonic,
    )
    stopping = threading.Event()

    def provision_topics() -> None:
        """Until the broker answers; the service lives without it meanwhile."""
        while not stopping.is_set():
            try:
                provision(
                    settings.kafka,
                    prefix=settings.topic_prefix,
                    partitions=settings.partitions,
                    replication=settings.replication,
                    topics=TOPICS,
                    client={"reconnect_backoff_max_ms": RECONNECT_MS},
                )
                values.start()
                leader.start()
                return
            except (KafkaError, OSError):
                stopping.wait(1.0)

    provisioning = threading.Thread(target=provision_topics, name="provision", daemon=True)

    def start() -> None:
        agreements.start()
        provisioning.start()

    def stop() -> None:
        stopping.set()
        provisioning.join(1)
        leader.stop()
        values.stop()
        agreements.stop()
        producer.close()
        database.close()

    def problems() -> Mapping[str, str | None]:
        age = agreements.age()
        stale = age > settings.revision_max_age_s
        found: dict[str, str | None] = {
            "database": None,
            "broker": broker_problem(settings.kafka),
            "agreements": f"not polled for {age:.1f} s" if stale else None,
            "values": values.problem,
            "leader": leader.problem,
        }
        try:
            database.check()
        except SQLAlchemyError as error:
            found["database"] = type(error).__name__
        return found

    return Share(
        settings=settings,
        catalogue=indicators,
        database=database,
        verifier=TokenVerifier.from_settings(settings),
        agreements=agreements,
        acts=Acts(database, clock, agreements.poll),
        keys=KeyActs(database, clock, agreements.poll, settings.key_revocation_days),
        figures=figures,
        published=published,
        views=views,
        epochs=epochs,
        previews=Previews(database, indicators, epochs, clock),
        retractions=Retractions(database, clock),
        calendar=calendar,
        clock=clock,
        today=today,
        problems=problems,
        session_key=session_key or secrets.token_bytes(32),
        start=start,
        stop=stop,
    )


def main() -> None:
    """Run the service until it is told to stop."""
    settings = ShareSettings()
    log = logs.configure(settings, SERVICE)
    listening = socket.create_server((settings.host, settings.port))
    app = create_app(build(settings))
    log.info("listening", host=settings.host, port=listening.getsockname()[1])
    config = uvicorn.Config(app, log_config=None, access_log=False)
    uvicorn.Server(config).run(sockets=[listening])
