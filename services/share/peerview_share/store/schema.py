"""The tables. Times are milliseconds UTC, days are days since 1970-01-01, documents are JSON text.

``migrations/`` builds the same; a test compares them. Tables marked ``append_only`` are audit: the
service's role may insert and select there, nothing else (`rights.py`). Those with a ``chain`` carry
hashes that show tampering (`chain.py`).
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
)

metadata = MetaData()

AUDIT = {"append_only": True}


def append_only() -> list[Table]:
    return [table for table in metadata.sorted_tables if table.info.get("append_only")]


# SQLite numbers rows by itself only for a column that is exactly INTEGER
Sequence = BigInteger().with_variant(Integer, "sqlite")

state = Table(
    "state",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    # grows with every change of an agreement; replicas poll it
    Column("revision", BigInteger, nullable=False),
)

# every text that was proposed, and every edit of a draft: none is ever changed
agreements = Table(
    "agreements",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("edit", Integer, primary_key=True, autoincrement=False),
    Column("network", String(64), nullable=False),
    Column("document", Text, nullable=False),
    Column("terms_hash", String(64), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("created_by", String(255), nullable=False),
    info=AUDIT,
)

signatures = Table(
    "signatures",
    metadata,
    Column("seq", Sequence, primary_key=True),
    Column("agreement", String(64), nullable=False),
    Column("version", Integer, nullable=False),
    Column("ods", String(10), nullable=False),
    # what was signed: a draft that is edited is signed anew
    Column("terms_hash", String(64), nullable=False),
    Column("signed_at", BigInteger, nullable=False),
    Column("signatory", String(255), nullable=False),
    Column("name", String(255), nullable=False),
    Column("role", String(64), nullable=False),
    # Ed25519, in base64: the practice's key, and what it made of the terms; null by token alone
    Column("public_key", String(64)),
    Column("proof", String(128)),
    Index("signatures_agreement", "agreement", "version"),
    info=AUDIT,
)

signing_keys = Table(
    "signing_keys",
    metadata,
    Column("seq", Sequence, primary_key=True),
    Column("ods", String(10), nullable=False),
    Column("registered_at", BigInteger, nullable=False),
    Column("public_key", String(64), nullable=False),
    Column("by", String(255), nullable=False),
    info=AUDIT,
)

# what was asked and stopped of a key that is registered; whether it is revoked follows by time
signing_key_acts = Table(
    "signing_key_acts",
    metadata,
    Column("seq", Sequence, primary_key=True),
    Column("ods", String(10), nullable=False),
    # revocation-asked, objected, called-off
    Column("act", String(32), nullable=False),
    Column("public_key", String(64), nullable=False),
    Column("at", BigInteger, nullable=False),
    # of a revocation that is asked for: when it takes effect, unless it is stopped
    Column("effective_at", BigInteger),
    Column("by", String(255), nullable=False),
    Column("reason", Text, nullable=False),
    # of an objection that was signed with the key
    Column("proof", String(128)),
    Column("hash", String(64)),
    Index("signing_key_acts_practice", "ods"),
    info=AUDIT | {"chain": None},
)

agreement_history = Table(
    "agreement_history",
    metadata,
    Column("seq", Sequence, primary_key=True),
    Column("agreement", String(64), nullable=False),
    Column("version", Integer, nullable=False),
    Column("event", String(32), nullable=False),
    Column("ods", String(10)),
    Column("by", String(255), nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("detail", Text, nullable=False),
    Column("revision", BigInteger, nullable=False),
    # of this row and all before it, in hexadecimal; rows from before there was a chain have none
    Column("hash", String(64)),
    Index("agreement_history_agreement", "agreement"),
    info=AUDIT | {"chain": None},
)

live_values = Table(
    "live_values",
    metadata,
    Column("practice", String(10), primary_key=True),
    Column("indicator", String(64), primary_key=True),
    Column("body", LargeBinary, nullable=False),
    Column("partition", Integer, nullable=False),
    Column("offset", BigInteger, nullable=False),
)

offsets = Table(
    "offsets",
    metadata,
    Column("topic", String(249), primary_key=True),
    Column("partition", Integer, primary_key=True, autoincrement=False),
    # the next offset to read
    Column("next", BigInteger, nullable=False),
)

epochs = Table(
    "epochs",
    metadata,
    # the number of the cut, which is the number of the epoch
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("cut_id", String(64), nullable=False),
    Column("day", Integer, nullable=False),
    Column("opened_at", BigInteger, nullable=False),
    Column("deadline", BigInteger, nullable=False),
    Column("sent_at", BigInteger),
    Column("closed_at", BigInteger),
    Column("publish_at", BigInteger),
    Column("published_at", BigInteger),
    Column("rules", String(16), nullable=False),
    # releases of earlier days were not compared with, but for what was shown then
    Column("oldest_day", Integer),
)

snapshot_chunks = Table(
    "snapshot_chunks",
    metadata,
    Column("practice", String(10), primary_key=True),
    Column("cut", Integer, primary_key=True, autoincrement=False),
    Column("attempt", String(64), primary_key=True),
    Column("chunk", Integer, primary_key=True, autoincrement=False),
    Column("record", LargeBinary, nullable=False),
)

snapshots = Table(
    "snapshots",
    metadata,
    Column("practice", String(10), primary_key=True),
    Column("cut", Integer, primary_key=True, autoincrement=False),
    Column("as_of", Integer, nullable=False),
    Column("data_through", BigInteger, nullable=False),
    Column("definitions", String(128), nullable=False),
    # arrived: the body as it came, compressed with zlib; kept: packed over the practice's roster
    Column("form", String(8), nullable=False, server_default="arrived"),
    Column("body", LargeBinary, nullable=False),
    Column("received_at", BigInteger, nullable=False),
)

rosters = Table(
    "rosters",
    metadata,
    Column("practice", String(10), primary_key=True),
    # the cut at which these patients were kept first
    Column("cut", Integer, primary_key=True, autoincrement=False),
    Column("patients", LargeBinary, nullable=False),
)

cells = Table(
    "cells",
    metadata,
    Column("epoch", Integer, primary_key=True, autoincrement=False),
    Column("practice", String(10), primary_key=True),
    Column("indicator", String(64), primary_key=True),
    Column("state", String(32), nullable=False),
    Column("version", String(32), nullable=False),
    Column("numerator", BigInteger),
    Column("denominator", BigInteger),
    Column("value", Float),
    Column("as_of", Integer),
    Column("released_epoch", Integer),
    Column("released_day", Integer),
    # its snapshot was released at this epoch, shown or suppressed, and stays in the gate
    Column("is_release", Boolean, nullable=False),
    # for the subject practice alone
    Column("reason", String(32)),
    # of a release, for stricter agreements, and shown to nobody: the largest minChange under which
    # it is shown, and its patients to the nearest 5; empty of releases from before they were kept
    Column("reach", Integer),
    Column("patients", Integer),
    Index("cells_history", "practice", "indicator", "epoch"),
)

# for the subject practice alone: raw counts, reasons, what the gate found
accounts = Table(
    "accounts",
    metadata,
    Column("epoch", Integer, primary_key=True, autoincrement=False),
    Column("practice", String(10), primary_key=True),
    Column("indicator", String(64), primary_key=True),
    Column("body", Text, nullable=False),
)

holds = Table(
    "holds",
    metadata,
    Column("epoch", Integer, primary_key=True, autoincrement=False),
    Column("practice", String(10), primary_key=True),
    Column("indicator", String(64), primary_key=True),
    # jump: until the practice confirms; subject: the practice's own wish
    Column("kind", String(16), primary_key=True),
    # the figure that is held
    Column("numerator", BigInteger),
    Column("denominator", BigInteger),
    Column("value", Float),
    Column("at", BigInteger, nullable=False),
    Column("by", String(255), nullable=False),
    Column("note", Text, nullable=False),
    Column("ended_at", BigInteger),
    Column("ended_by", String(255)),
    Index("holds_practice", "practice", "epoch"),
)

retractions = Table(
    "retractions",
    metadata,
    Column("practice", String(10), primary_key=True),
    Column("indicator", String(64), primary_key=True),
    # the epoch of the release that was wrong
    Column("epoch", Integer, primary_key=True, autoincrement=False),
    Column("at", BigInteger, nullable=False),
    Column("by", String(255), nullable=False),
    Column("reason", Text, nullable=False),
    info=AUDIT,
)

successions = Table(
    "successions",
    metadata,
    Column("successor", String(10), primary_key=True),
    Column("predecessor", String(10), primary_key=True),
    Column("day", Integer, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("by", String(255), nullable=False),
    info=AUDIT,
)

# whose cells are in a derived figure, from this epoch until the next row of the same place
derived_sets = Table(
    "derived_sets",
    metadata,
    Column("network", String(64), primary_key=True),
    Column("viewer", String(10), primary_key=True),
    Column("indicator", String(64), primary_key=True),
    Column("epoch", Integer, primary_key=True, autoincrement=False),
    Column("step", String(16), nullable=False),
    # distribution or anonymous
    Column("level", String(16), nullable=False),
    # JSON list of practices
    Column("members", Text, nullable=False),
    # the epoch whose cells are shown; empty: each epoch's own
    Column("cells_epoch", Integer),
    Index("derived_sets_viewer", "viewer", "indicator"),
    info=AUDIT,
)

# what each practice's cells were when an epoch was published
releases = Table(
    "releases",
    metadata,
    Column("seq", Sequence, primary_key=True),
    Column("at", BigInteger, nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("practice", String(10), nullable=False),
    # the version of the rules of disclosure control
    Column("rules", String(16), nullable=False),
    Column("cells", Integer, nullable=False),
    # SHA-256 of the cells
    Column("digest", String(64), nullable=False),
    Column("hash", String(64)),
    Index("releases_epoch", "epoch", "practice", unique=True),
    info=AUDIT | {"chain": None},
)

disclosures = Table(
    "disclosures",
    metadata,
    Column("seq", Sequence, primary_key=True),
    Column("at", BigInteger, nullable=False),
    Column("subject", String(10), nullable=False),
    Column("viewer", String(10), nullable=False),
    Column("network", String(64), nullable=False),
    Column("epoch", Integer, nullable=False),
    # JSON list: what was shown under this agreement
    Column("indicators", Text, nullable=False),
    Column("agreement", String(64), nullable=False),
    Column("agreement_version", Integer, nullable=False),
    # the subject of the caller's token
    Column("reader", String(255), nullable=False),
    # api, page or topic
    Column("channel", String(16), nullable=False),
    # how much of the subject could be seen: named, anonymous or distribution
    Column("level", String(16), nullable=False),
    Column("hash", String(64)),
    Index("disclosures_subject", "subject", "seq"),
    Index("disclosures_viewer", "viewer", "seq"),
    info=AUDIT | {"chain": "viewer"},
)

published_views = Table(
    "published_views",
    metadata,
    Column("topic", String(249), primary_key=True),
    Column("key", String(128), primary_key=True),
    # epoch and SHA-256 of the value sent; empty while a send is not acknowledged
    Column("digest", String(64), nullable=False),
)

outbox = Table(
    "outbox",
    metadata,
    Column("seq", Sequence, primary_key=True),
    Column("topic", String(249), nullable=False),
    Column("key", String(128), nullable=False),
    Column("type", String(64), nullable=False),
    Column("value", LargeBinary, nullable=False),
)

leases = Table(
    "leases",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("holder", String(64), nullable=False),
    Column("expires_at", BigInteger, nullable=False),
)

attacks = Table(
    "attacks",
    metadata,
    Column("seq", Sequence, primary_key=True),
    # when it ended
    Column("at", BigInteger, nullable=False),
    Column("seconds", Float, nullable=False),
    Column("trials", BigInteger, nullable=False),
    Column("finds", Integer, nullable=False),
    # the whole report, as JSON
    Column("report", Text, nullable=False),
    info=AUDIT,
)
