"""Practices that go on working: each sends small changes at a steady rate until it is stopped."""

import json
import threading
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime

from peerview_tools.client import Client, ServiceError, refusal
from peerview_tools.simulator import Practice, stream

FHIR_JSON = "application/fhir+json"
GIVE_UP_S = 30.0
STOP_S = 2.0


class Streaming:
    """One thread a practice. `counts` says what was sent, by kind, and what was refused."""

    def __init__(
        self,
        ingest_url: str,
        tokens: Callable[[Practice], str],
        practices: list[Practice],
        *,
        per_second: float,
    ) -> None:
        self.counts: Counter[str] = Counter()
        self.problem: str | None = None
        """Why a practice gave up, when one did."""
        self._url = ingest_url
        self._tokens = tokens
        self._gap = 1 / per_second
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._threads = [
            threading.Thread(target=self._run, args=(practice,), name=practice.ods, daemon=True)
            for practice in practices
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Ask all practices to stop, and wait until they have."""
        self._stop.set()
        deadline = time.monotonic() + STOP_S
        for thread in self._threads:
            if thread.is_alive():
                thread.join(max(0.0, deadline - time.monotonic()))

    def _run(self, practice: Practice) -> None:
        due = time.monotonic()
        failing_since: float | None = None
        with Client(self._url, lambda: self._tokens(practice), timeout=30) as client:
            for change in stream(practice, lambda: datetime.now(UTC)):
                body = json.dumps(change.bundle).encode()
                while not self._stop.wait(max(0.0, due - time.monotonic())):
                    problem = self._send(client, body)
                    if problem is None:
                        failing_since = None
                        break
                    # sending again is harmless, and a service may only be starting again
                    now = time.monotonic()
                    failing_since = failing_since or now
                    if now - failing_since > GIVE_UP_S:
                        self.problem = f"{practice.name}: {problem}"
                        return
                    due = now + 0.5
                if self._stop.is_set():
                    return
                with self._lock:
                    self.counts[change.kind] += 1
                due = max(due + self._gap, time.monotonic() - 1.0)

    def _send(self, client: Client, body: bytes) -> str | None:
        try:
            answer = client.request("POST", "/fhir", body, {"Content-Type": FHIR_JSON})
        except ServiceError as error:
            return str(error)
        if answer.status >= 300:
            return str(refusal("POST", "/fhir", answer))
        return None
