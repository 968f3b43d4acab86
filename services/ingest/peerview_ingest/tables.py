"""Ingest's own tables. They hold pseudonyms, hashes and times; no clinical content."""

from typing import Any, Final

import sqlalchemy
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
)


class LargeBinary(sqlalchemy.LargeBinary):
    """Bytes as they are: both drivers take them so, and wrapping each costs a tenth of a
    submission's time."""

    cache_ok = True

    def bind_processor(self, dialect: Any) -> None:
        return None


metadata: Final = MetaData()

facts: Final = Table(
    "facts",
    metadata,
    Column("key", LargeBinary(16), primary_key=True, comment="hash of practice, source, type, id"),
    Column("practice", String(10), nullable=False),
    Column("stamp", BigInteger, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("deleted", Boolean, nullable=False),
    Column("digest", LargeBinary(32), nullable=False, comment="of the whole version, for ties"),
    Column("content", LargeBinary(16), nullable=False, comment="of the body alone"),
    Column("holders", LargeBinary, nullable=False, comment="20 bytes each: patient, generation"),
    Column("codes", String(16), nullable=False, server_default="", comment="code list's version"),
    Column(
        "raised", Integer, nullable=False, server_default="0", comment="stamp less the source's"
    ),
    Column("key_version", Integer, nullable=False, server_default="1"),
    Index("facts_holders", "holders"),
    sqlite_with_rowid=False,
)

patients: Final = Table(
    "patients",
    metadata,
    Column("key", LargeBinary(16), primary_key=True),
    Column("practice", String(10), nullable=False),
    Column("generation", Integer, nullable=False),
    Column("objected", Boolean, nullable=False),
    Column("person", LargeBinary(16), comment="keyed hash of the NHS number"),
    Column("key_version", Integer, nullable=False, server_default="1"),
    Column(
        "reserved",
        Integer,
        nullable=False,
        server_default="0",
        comment="greatest generation that may be in the log: noted before it is sent",
    ),
    Index("patients_person", "person"),
    Index("patients_practice", "practice", "key_version"),
    sqlite_with_rowid=False,
)

objection_words: Final = Table(
    "objection_words",
    metadata,
    Column("fact", LargeBinary(16), primary_key=True),
    Column("patient", LargeBinary(16), nullable=False),
    Column("day", Integer, nullable=False),
    Column("dissent", Boolean, nullable=False),
    Column("withdrawn", Boolean, nullable=False),
    Column(
        "kind",
        SmallInteger,
        nullable=False,
        server_default="0",
        comment="0 said by a resource, 1 set by the practice, 2 carried over at a re-keying",
    ),
    Index("objection_words_patient", "patient"),
    sqlite_with_rowid=False,
)

organisations: Final = Table(
    "organisations",
    metadata,
    Column("practice", String(10), primary_key=True),
    Column("source", String(100), primary_key=True),
    Column("id", String(200), primary_key=True),
    Column("ods", String(20), nullable=False),
)

idempotency_keys: Final = Table(
    "idempotency_keys",
    metadata,
    Column("practice", String(10), primary_key=True),
    Column("key", LargeBinary(32), primary_key=True, comment="hash of the caller and their key"),
    Column("request", LargeBinary(32), nullable=False, comment="hash of what was asked"),
    Column("status", Integer, nullable=False),
    Column("answer", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("headers", Text, nullable=False, server_default="{}", comment="as a JSON object"),
    Index("idempotency_keys_at", "at"),
)

sources: Final = Table(
    "sources",
    metadata,
    Column("practice", String(10), primary_key=True),
    Column("source", String(100), primary_key=True),
    Column("data_through", BigInteger, nullable=False),
    Column("last_extract", String(10)),
    Column("first_codes", String(16), comment="code list of the source's first submission"),
    Column("full_codes", String(16), comment="code list of its last full upload"),
    Column("key_version", Integer, nullable=False, server_default="1"),
)

uploads: Final = Table(
    "uploads",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("practice", String(10), nullable=False),
    Column("source", String(100), nullable=False),
    Column("full", Boolean, nullable=False, comment="declared: all that the source has"),
    Column("codes", String(16), nullable=False, comment="code list's version when it began"),
    Column("lines", BigInteger, comment="how many there will be, where that was said"),
    Column("next_line", BigInteger, nullable=False, comment="all before it are committed"),
    Column("accepted", BigInteger, nullable=False),
    Column("rejected", BigInteger, nullable=False),
    Column("dropped", BigInteger, nullable=False),
    Column("unchanged", BigInteger, nullable=False),
    Column("objections", BigInteger, nullable=False),
    Column("opted_in", BigInteger, nullable=False),
    Column("shared_nhs_numbers", BigInteger, nullable=False),
    Column("partition", Integer, comment="of its last record in practice.changes"),
    Column("offset", BigInteger, comment="of its last record in practice.changes"),
    Column("refusals", Integer, nullable=False, comment="the first are in upload_refusals"),
    Column("created", BigInteger, nullable=False),
    Column("active", BigInteger, nullable=False, comment="last sign of life; it expires from then"),
    Column("completed", BigInteger),
    Column("backfill", Boolean, nullable=False, comment="backfill.completed was sent for it"),
    Column("holder", String(36), comment="the request that sends it just now"),
    Column("held_until", BigInteger, nullable=False),
    Index("uploads_active", "active"),
    Index("uploads_source", "practice", "source"),
)

upload_refusals: Final = Table(
    "upload_refusals",
    metadata,
    Column("upload", String(36), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("line", BigInteger, nullable=False),
    Column("place", Text, nullable=False),
    Column("code", String(50), nullable=False),
    Column("reason", Text, nullable=False),
)

key_versions: Final = Table(
    "key_versions",
    metadata,
    Column("practice", String(10), primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("master", LargeBinary(8), nullable=False, comment="fingerprint of the master key"),
    Column("first_generation", Integer, nullable=False),
    Column("phase", String(10), nullable=False, comment="a rekeying.Phase"),
    Column("began", BigInteger, nullable=False),
    Column("ended", BigInteger),
    Column("emptied", Integer, nullable=False, server_default="0"),
    Column("joined", Integer, nullable=False, server_default="0"),
)

rekeyed_patients: Final = Table(
    "rekeyed_patients",
    metadata,
    Column("old", LargeBinary(16), primary_key=True),
    Column("practice", String(10), nullable=False),
    Column("new", LargeBinary(16), nullable=False),
    Column("by_id", Boolean, nullable=False, comment="else by the NHS number"),
    Index("rekeyed_patients_practice", "practice"),
    Index("rekeyed_patients_new", "new"),
    sqlite_with_rowid=False,
)

audit: Final = Table(
    "audit",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("at", BigInteger, nullable=False),
    Column("practice", String(10), nullable=False),
    Column("subject", String(200), nullable=False, comment="who, as their token says"),
    Column("action", String(20), nullable=False),
    Column("patients", Integer, nullable=False, comment="how many; never which"),
    Index("audit_practice", "practice", "at"),
)
extracts: Final = Table(
    "extracts",
    metadata,
    Column("run", Integer, primary_key=True, autoincrement=True, comment="grows with each drop"),
    Column("practice", String(10), nullable=False),
    Column("source", String(100), nullable=False),
    Column("day", Integer, nullable=False, comment="the day that it is of"),
    Column("mode", String(5), nullable=False, comment="full or delta"),
    Column("state", String(12), nullable=False),
    Column("mapping", String(80), nullable=False, comment="name and version"),
    Column("codes", String(12), nullable=False, comment="version of the code list it came under"),
    Column("began", BigInteger, nullable=False),
    Column("ended", BigInteger),
    Column("report", Text, nullable=False, comment="JSON: counts and places, no value"),
    Column("decided_by", String(200), comment="who confirmed or rejected what was held"),
    Column("decided", BigInteger),
    Index("extracts_source", "practice", "source"),
    sqlite_autoincrement=True,
)

extract_facts: Final = Table(
    "extract_facts",
    metadata,
    Column("key", LargeBinary(16), primary_key=True, comment="as in facts"),
    Column("practice", String(10), nullable=False),
    Column("source", String(100), nullable=False),
    Column("type", Integer, nullable=False),
    Column("id", LargeBinary, nullable=False, comment="as the fact has it"),
    Column("patient", LargeBinary(16), nullable=False),
    Column("day", Integer, nullable=False, comment="the latest day of a drop that held it"),
    Column("run", Integer, nullable=False, comment="the latest drop that held it"),
    Column("key_version", Integer, nullable=False, server_default="1"),
    Index("extract_facts_source", "practice", "source", "type", "key"),
    Index("extract_facts_patient", "patient"),
    sqlite_with_rowid=False,
)
