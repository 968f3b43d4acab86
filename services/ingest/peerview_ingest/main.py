"""The composition root: settings in, a running service out."""

import gc
import hashlib
import os
import subprocess
import sys

from pydantic import ValidationError

from peerview_common import codes, logs, serving
from peerview_common.auth import TokenVerifier
from peerview_common.codes import CodeList
from peerview_common.settings import IngestSettings
from peerview_ingest.app import make_app, now_millis
from peerview_ingest.extracts.catalogue import Catalogue
from peerview_ingest.extracts.mapping import MappingError
from peerview_ingest.fhir.keys import MASTER_BYTES
from peerview_ingest.publisher import KafkaPublisher
from peerview_ingest.store import Store
from peerview_ingest.submission import Ingest

DEMONSTRATION_KEY = hashlib.sha256(b"peerview demonstration key: protects nobody").digest()


class MasterKeyError(ValueError):
    """PEERVIEW_MASTER_KEY is not at least 32 bytes in hexadecimal."""


def master_key(settings: IngestSettings) -> bytes:
    """The key that pseudonyms derive from; demo mode has a public one, so restarts agree."""
    text = settings.master_key.get_secret_value()
    return _key(text, "PEERVIEW_MASTER_KEY") if text else DEMONSTRATION_KEY


def previous_master_key(settings: IngestSettings) -> bytes | None:
    """The master key of practices that are not re-keyed yet, if there is one."""
    text = settings.previous_master_key.get_secret_value()
    return _key(text, "PEERVIEW_PREVIOUS_MASTER_KEY") if text else None


def _key(text: str, name: str) -> bytes:
    try:
        key = bytes.fromhex(text)
    except ValueError:
        raise MasterKeyError(f"{name} must be hexadecimal") from None
    if len(key) < MASTER_BYTES:
        raise MasterKeyError(f"{name} must be at least {MASTER_BYTES} bytes in hexadecimal")
    return key


class MigrationError(RuntimeError):
    """The database could not be brought to its newest form; the reason is on the error stream."""


def _migrate(database: str) -> None:
    """By a process of its own: what it loads takes some 7 MB, which would stay here for good."""
    done = subprocess.run(
        [sys.executable, "-m", "peerview_ingest.migrating"],
        env={**os.environ, "PEERVIEW_INGEST_DATABASE": database},
        check=False,
    )
    if done.returncode:
        raise MigrationError("the database could not be brought to its newest form")


def build(settings: IngestSettings) -> Ingest:
    """The service without its web part, not yet connected to the broker."""
    listed = CodeList.load(settings.code_list) if settings.code_list else codes.shipped()
    key, previous = master_key(settings), previous_master_key(settings)
    _migrate(settings.ingest_database)
    store = Store(settings.ingest_database, migrated=True)
    publisher = KafkaPublisher(settings)
    return Ingest(settings, store, publisher, listed, key, now_millis, previous)


def _settle() -> None:
    """What is loaded by now stays: a look through all of it by the garbage collector would keep
    every request waiting for a tenth of a second. A request goes from thread to thread some six
    times, and should not wait long each time for one that reads a large group."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
    sys.setswitchinterval(0.001)


def main() -> int:
    try:
        settings = IngestSettings()  # type: ignore[call-arg]
        log = logs.configure(settings, "ingest")
        mappings = Catalogue.of(settings.extract_mappings)
        ingest = build(settings)
    except ValidationError as error:
        for found in error.errors():
            where = ".".join(map(str, found["loc"])) or "settings"
            print(f"peerview-ingest: {where}: {found['msg']}", file=sys.stderr)
        return 2
    except (
        MasterKeyError,
        MigrationError,
        codes.CodeListError,
        MappingError,
        OSError,
    ) as error:
        print(f"peerview-ingest: {error}", file=sys.stderr)
        return 2
    if not settings.master_key.get_secret_value():
        log.warning("master key", reason="none set: the public demonstration key is used")
    app = make_app(ingest, TokenVerifier.from_settings(settings), mappings)
    listener = serving.listen(settings.host, settings.port)
    host, port = listener.getsockname()[:2]
    _settle()
    log.info("listening", address=f"http://{host}:{port}")
    serving.server(app, app.state.stopping.begin).run(sockets=[listener])
    log.info("stopped")
    return 0
