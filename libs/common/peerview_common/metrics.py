"""Every metric, declared once with its meaning. ``docs/metrics.md`` is checked against this module.

No label ever holds a patient, and no label lets one practice's figures be read by another: metrics
are for operators.
"""

from prometheus_client import Counter, Gauge, Histogram

LATENCY = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)

# -- all services
requests = Histogram(
    "peerview_http_request_seconds",
    "Time to answer an HTTP request, by service, route template, method and status class.",
    ["service", "route", "method", "status"],
    buckets=LATENCY,
)
requests_under_way = Gauge(
    "peerview_http_requests_under_way", "HTTP requests not yet answered, by service.", ["service"]
)
auth_refusals = Counter(
    "peerview_auth_refusals_total",
    "Callers not let in, by why: no-token, malformed, header, key, signature, claims, expired, "
    "scope, practice, issuer-away or refused.",
    ["reason"],
)
jwks_fetches = Counter(
    "peerview_jwks_fetches_total",
    "Fetches of the token issuer's keys, by result: fetched or failed.",
    ["result"],
)

# -- ingest
resources = Counter(
    "peerview_ingest_resources_total",
    "Resources received: accepted, rejected, dropped (no indicator needs it) or unchanged.",
    ["outcome"],
)
published = Counter(
    "peerview_ingest_records_total",
    "Records sent to practice.changes, by result: acknowledged or failed.",
    ["result"],
)
publish_seconds = Histogram(
    "peerview_ingest_publish_seconds",
    "Time from the first send of a submission until every record was acknowledged.",
    buckets=LATENCY,
)
in_flight = Gauge(
    "peerview_ingest_in_flight_bytes", "Bytes sent to Kafka and not yet acknowledged."
)
held = Gauge("peerview_ingest_held_bytes", "Bytes of request bodies held in memory, unpacked.")
throttled = Counter(
    "peerview_ingest_throttled_total",
    "Requests answered 429, by why: requests or bytes (the caller's own allowance), or busy (too "
    "much is held in memory or unacknowledged).",
    ["why"],
)
repeated = Counter(
    "peerview_ingest_repeated_total",
    "Requests whose Idempotency-Key had been answered before, by result: replayed or refused.",
    ["result"],
)
uploads = Counter(
    "peerview_ingest_uploads_total",
    "Uploads, by event: begun, completed, backfilled (backfill.completed was sent for one).",
    ["event"],
)
extracts = Counter(
    "peerview_ingest_extracts_total",
    "Extracts, by mode (full, delta) and how they ended: complete, held, confirmed, rejected, "
    "incomplete (cut short), refused (nothing taken).",
    ["mode", "outcome"],
)
extract_rows = Counter(
    "peerview_ingest_extract_rows_total",
    "Rows of extracts, by table and outcome: accepted, dropped or rejected.",
    ["table", "outcome"],
)

# -- compute
changes = Counter(
    "peerview_compute_records_total",
    "Records of practice.changes worked off: changes, tick, cut, rekeyed, rekeying, backfill, "
    "other.",
    ["event"],
)
facts = Counter("peerview_compute_facts_total", "Facts received in change sets.")
patients = Counter(
    "peerview_compute_patient_updates_total", "Patients' parts worked off, by result.", ["result"]
)
evaluations = Counter(
    "peerview_compute_evaluations_total",
    "Evaluations of a patient's indicators, by cause: change, tick, recovery.",
    ["cause"],
)
dead_letters = Counter(
    "peerview_compute_dead_letters_total", "Parts put aside as dead letters, by stage.", ["stage"]
)
batch_seconds = Histogram(
    "peerview_compute_record_seconds",
    "Time to work off a record, until its state and values were handed to the producer; one record "
    "of 16 is timed.",
    buckets=LATENCY,
)
patients_held = Gauge(
    "peerview_compute_patients", "Patients in this worker's active partitions.", ["partition"]
)
as_of_day = Gauge(
    "peerview_compute_as_of_day",
    "The as-of day of a partition, in days since 1970-01-01.",
    ["partition"],
)
lag = Gauge(
    "peerview_compute_lag_records",
    "Records of practice.changes not yet worked off, by partition.",
    ["partition"],
)
snapshots = Counter(
    "peerview_compute_snapshots_total", "Snapshots of practices sent for release cuts."
)
standby_records = Counter(
    "peerview_compute_standby_records_total",
    "Records of patient.state that were read to keep another worker's partitions warm.",
)
standby_position = Gauge(
    "peerview_compute_standby_position",
    "Offset in patient.state before which a standby has read everything.",
    ["partition"],
)
recovery_seconds = Gauge(
    "peerview_compute_recovery_seconds", "How long the last recovery of states took."
)

# -- share
values_applied = Counter(
    "peerview_share_values_total", "Live figures taken over from indicator.values."
)
cells_released = Counter(
    "peerview_share_cells_total", "Cells decided at release, by state.", ["state"]
)
epochs = Counter(
    "peerview_share_epochs_total", "Epochs, by event: opened, closed, published.", ["event"]
)
decisions = Counter(
    "peerview_share_decisions_total", "Look-ups in the agreement index, by answer.", ["answer"]
)
revision_age = Gauge(
    "peerview_share_revision_age_seconds",
    "Seconds since agreements were last polled; access is denied when it is too old.",
)
scheduler_leader = Gauge(
    "peerview_share_scheduler_leader", "1 where this replica's scheduler is the leader."
)
attack_finds = Gauge(
    "peerview_share_attack_finds",
    "Ways to learn about few people that the last nightly attack on all releases found, by kind. "
    "Alert on anything above 0.",
    ["kind"],
)
attack_ended = Gauge(
    "peerview_share_attack_ended_timestamp_seconds",
    "When the last nightly attack ended, in seconds since 1970-01-01, as this replica knows. "
    "Alert when the greatest of all replicas is older than two days.",
)
attack_seconds = Gauge("peerview_share_attack_seconds", "How long the last nightly attack took.")
attack_failures = Counter(
    "peerview_share_attack_failures_total", "Nightly attacks that failed before they ended."
)
