"""Ingest's OpenAPI document, from the application itself."""

from typing import Any

from peerview_common import codes
from peerview_common.auth import TokenVerifier
from peerview_common.settings import IngestSettings
from peerview_ingest.app import make_app
from peerview_ingest.main import DEMONSTRATION_KEY
from peerview_ingest.publisher import KafkaPublisher
from peerview_ingest.store import Store
from peerview_ingest.submission import Ingest


def document() -> dict[str, Any]:
    """No broker and no file is touched: the application is made, and not started."""
    settings = IngestSettings(ingest_database="sqlite://")
    ingest = Ingest(
        settings,
        Store(settings.ingest_database),
        KafkaPublisher(settings),
        codes.shipped(),
        DEMONSTRATION_KEY,
        lambda: 0,
    )
    found: dict[str, Any] = make_app(ingest, TokenVerifier.from_settings(settings)).openapi()
    ingest.close()
    return found
