"""Every setting of every service, in one place. All are environment variables ``PEERVIEW_*``.

``docs/settings.md`` is checked against this module: a setting that is not described fails a test.
"""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

DEVELOPMENT_ISSUER = "urn:peerview:development"
"""The issuer of ``peerview token``; production mode refuses it."""


class Mode(StrEnum):
    DEMO = "demo"
    PRODUCTION = "production"


class CommonSettings(BaseSettings):
    """What all services need."""

    model_config = SettingsConfigDict(env_prefix="PEERVIEW_", extra="ignore", frozen=True)

    mode: Mode = Field(Mode.DEMO, description="demo, or production: refuses development shortcuts.")
    kafka: str = Field("127.0.0.1:9092", description="Bootstrap servers, comma-separated.")
    topic_prefix: str = Field("", description="Put before every topic's and group's name.")
    partitions: int = Field(
        8, ge=1, le=1024, description="Partitions of the main topics; fixed once provisioned."
    )
    replication: int = Field(1, ge=1, description="Replication factor of topics it creates.")
    host: str = Field("127.0.0.1", description="Address that the service's HTTP server binds.")
    port: int = Field(0, ge=0, le=65535, description="Port of the HTTP server; 0 for a free one.")
    log_level: str = Field("info", description="debug, info, warning or error.")
    log_format: str = Field("json", description="json, or console for people.")
    jwks: str = Field(
        "", description="Where the issuer's public keys are: an http(s) URL, or file:PATH."
    )
    issuer: str = Field(DEVELOPMENT_ISSUER, description="The token issuer (iss) accepted.")
    audience: str = Field("peerview", description="The audience (aud) a token must name.")
    jwks_cache_s: float = Field(
        300.0, gt=0, description="A key withdrawn by the issuer stops working within so long."
    )
    jwks_stale_s: float = Field(
        3600.0, gt=0, description="How long keys go on being used while the issuer is away."
    )

    @model_validator(mode="after")
    def _production(self) -> "CommonSettings":
        if self.mode is Mode.PRODUCTION:
            if self.issuer == DEVELOPMENT_ISSUER:
                raise ValueError("production mode refuses the development token issuer")
            if not self.jwks.startswith("https://"):
                raise ValueError("production mode needs PEERVIEW_JWKS to be an https address")
        return self

    @property
    def group(self) -> str:
        return f"{self.topic_prefix}peerview"


class IngestSettings(CommonSettings):
    ingest_database: str = Field(
        "sqlite:///peerview-ingest.db", description="SQLAlchemy URL of ingest's own database."
    )
    master_key: SecretStr = Field(
        SecretStr(""),
        description="Hex master key (32 bytes) from which each practice's keys are derived.",
    )
    previous_master_key: SecretStr = Field(
        SecretStr(""),
        description="Hex master key in use before, until every practice is re-keyed.",
    )
    register_all: Annotated[frozenset[str], NoDecode] = Field(
        frozenset(),
        description="Source systems, comma-separated, whose patients all count as registered.",
    )
    opted_out_practices: Annotated[frozenset[str], NoDecode] = Field(
        frozenset(), description="Practices, comma-separated, of which nothing is taken."
    )
    code_list: Path | None = Field(None, description="CSV of code lists instead of the shipped.")
    max_body_bytes: int = Field(
        20_000_000, description="Largest body of one FHIR request; larger ones get 413."
    )
    max_in_flight_bytes: int = Field(
        64_000_000,
        description="Bytes of bodies held at once, and of records unacknowledged, before 429.",
    )
    caller_requests_per_s: float = Field(
        200.0, ge=0, description="Requests a second that one caller may send; 0 for no limit."
    )
    caller_requests_burst: float = Field(
        2_000.0, ge=1, description="Requests that one caller may send at once after a pause."
    )
    caller_bytes_per_s: float = Field(
        20_000_000.0, ge=0, description="Unpacked bytes a second of one caller; 0 for no limit."
    )
    caller_bytes_burst: float = Field(
        1_000_000_000.0, ge=1, description="Unpacked bytes of one caller at once after a pause."
    )
    delivery_timeout_ms: int = Field(
        20_000, description="How long a record may wait for acknowledgement before 503."
    )
    upload_lease_s: float = Field(
        15.0,
        gt=0,
        description="How long an upload stays its sender's when nothing arrives any more.",
    )
    max_future_hours: int = Field(24, description="How far ahead of receipt a stamp may lie.")
    extract_mappings: Path | None = Field(
        None, description="Folder of mappings of extracts (YAML), beside the shipped examples."
    )
    extract_hold_share: float = Field(
        0.2,
        gt=0,
        le=1,
        description="A full extract that lacks more than this share of a table's records, or of "
        "its patients, deletes nothing before somebody confirms it.",
    )
    extract_hold_minimum: int = Field(
        10, ge=1, description="Fewer records and patients gone from a table are never held for it."
    )

    @model_validator(mode="before")
    @classmethod
    def _lists(cls, data: Any) -> Any:
        for name in ("register_all", "opted_out_practices"):
            if isinstance(data, dict) and isinstance(data.get(name), str):
                data[name] = frozenset(x.strip() for x in data[name].split(",") if x.strip())
        return data

    @model_validator(mode="after")
    def _keys(self) -> "IngestSettings":
        key = self.master_key.get_secret_value()
        if self.mode is Mode.PRODUCTION and len(key) < 64:
            raise ValueError("PEERVIEW_MASTER_KEY must be at least 32 bytes in hexadecimal")
        return self


class ComputeSettings(CommonSettings):
    definitions: Path | None = Field(None, description="Folder of definitions, not the shipped.")
    code_list: Path | None = Field(None, description="CSV of code lists instead of the shipped.")
    snapshot_key: SecretStr = Field(
        SecretStr(""), description="Hex key (16 to 64 bytes) of the patient hashes in snapshots."
    )
    state_store: str = Field("memory://", description="memory://, or rocksdb://PATH.")
    session_timeout_s: float = Field(10.0, description="Consumer group session timeout.")
    heartbeat_s: float = Field(3.0, description="Consumer group heartbeat interval.")
    standby_replicas: int = Field(0, ge=0, description="Standby copies of each partition's state.")
    tick_slice_ms: int = Field(50, ge=1, description="Longest slice of a tick before events.")
    max_failures: int = Field(
        20, ge=1, description="Consecutive failing patients before the worker stops."
    )
    max_poll_gap_s: float = Field(300.0, description="Without a poll for so long, a worker exits.")
    data_dir: Path = Field(Path("peerview-compute"), description="Folder for the worker's files.")


class ShareSettings(CommonSettings):
    share_database: str = Field(
        "sqlite:///peerview-share.db", description="SQLAlchemy URL of share's own database."
    )
    share_owner_database: SecretStr = Field(
        SecretStr(""),
        description="PostgreSQL: the same database as the role that owns its tables, for "
        "`python -m peerview_share migrate` alone; empty: the service's role owns them (audit.md).",
    )
    tick_seconds: float = Field(60.0, description="How often the scheduler looks at the calendar.")
    cut_calendar: str = Field(
        "monthly", description="monthly, or every:SECONDS (demo) between release cuts."
    )
    epoch_deadline_s: float = Field(1800.0, description="Seconds after a cut at which it closes.")
    lag_days: float = Field(5.0, ge=0, description="Days of preview before peers see a release.")
    revision_poll_s: float = Field(1.0, description="How often replicas poll the agreements.")
    revision_max_age_s: float = Field(
        4.0, description="Deny when the last successful poll is older."
    )
    key_revocation_days: float = Field(
        14,
        ge=7,
        description="How long the revocation of a practice's signing key waits once an operator "
        "has asked for it, so that the practice can object.",
    )
    snapshot_months: int = Field(36, description="How long the gate remembers snapshots.")
    attack_hour: int = Field(
        2,
        ge=0,
        le=23,
        description="Hour of Europe/London from which the day's attack on all releases is due.",
    )
    clock_day: str = Field(
        "", description="Demo only: a fixed as-of day (YYYY-MM-DD) instead of today."
    )
    code_list: Path | None = Field(
        None, description="The code list in use: where it has no stand-ins, no figure is marked."
    )

    @model_validator(mode="after")
    def _clock(self) -> "ShareSettings":
        if self.mode is Mode.PRODUCTION and self.clock_day:
            raise ValueError("production mode refuses a fixed clock day")
        return self


ALL_SETTINGS: tuple[type[CommonSettings], ...] = (
    CommonSettings,
    IngestSettings,
    ComputeSettings,
    ShareSettings,
)
