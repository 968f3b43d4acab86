"""Whatever is sent: no fault of the service, and every answer as the OpenAPI document says.

schemathesis makes requests from the document, right ones and wrong ones, and sends them to the
application behind its own server: a few hundred here, 20,000 in the long form
(``PEERVIEW_FUZZ_CALLS`` for another number, ``PEERVIEW_FUZZ_SEED`` for the same again).
"""

import itertools
import logging
import os
import random
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import requests
import schemathesis
import structlog
from hypothesis import HealthCheck, Phase, given
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from peerview_common import codes, serving
from peerview_common.auth import TokenVerifier
from peerview_ingest.app import make_app
from peerview_ingest.main import DEMONSTRATION_KEY
from peerview_ingest.store import Store
from peerview_ingest.submission import Ingest
from peerview_tools.contracts import openapi
from peerview_tools.issuer import DevelopmentIssuer
from tests.ingest.builders import NOW, PRACTICE
from tests.ingest.conftest import MemoryLog, settings

DOCUMENT = openapi.document()
SCHEMA = schemathesis.openapi.from_dict(DOCUMENT)
SCHEMA.config.generation.update(with_security_parameters=False)
OPERATIONS = [found.ok() for found in SCHEMA.get_all_operations()]
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    response_headers_conformance,
]
DEFAULT_CALLS, LONG_CALLS = 500, 20_000


@schemathesis.serializer("application/x-ndjson")
def lines(_: Any, value: Any) -> Any:
    return value if isinstance(value, bytes) else str(value).encode(errors="replace")


@dataclass
class Fuzzed:
    """The service, and what it has answered so far."""

    address: str
    issuer: DevelopmentIssuer
    log: MemoryLog
    session: requests.Session = field(default_factory=requests.Session)
    calls: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    upload: str = ""

    def token(self, operation: Any) -> str:
        scopes = operation.definition.raw.get("x-scopes") or ["ingest:write"]
        roles = ["clinical"] if "pseudonyms:read" in scopes else []
        source = "fieldgate" if "/extracts" in operation.path else "emis"
        return self.issuer.token(
            subject="feed", practices=[PRACTICE], scope=scopes[-1], roles=roles, system=source
        )

    def send(self, case: Any, token: str | None) -> Any:
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        self.calls += 1
        response = case.call(base_url=self.address, headers=headers, session=self.session)
        self.statuses[response.status_code] += 1
        return response


@pytest.fixture
def fuzzed(tmp_path: Path) -> Iterator[Fuzzed]:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    issuer = DevelopmentIssuer(tmp_path / "issuer")
    chosen = settings(tmp_path, issuer, caller_requests_per_s=0, caller_bytes_per_s=0)
    log = MemoryLog()
    clock = itertools.count(NOW, 10)
    store = Store(chosen.ingest_database)
    ingest = Ingest(chosen, store, log, codes.shipped(), DEMONSTRATION_KEY, lambda: next(clock))
    app = make_app(ingest, TokenVerifier.from_settings(chosen))
    listener = serving.listen("127.0.0.1", 0)
    server = serving.server(app, app.state.stopping.begin)
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
    thread.start()
    made = Fuzzed(f"http://127.0.0.1:{listener.getsockname()[1]}", issuer, log)
    begun = made.session.post(
        f"{made.address}/v1/uploads",
        headers={"Authorization": f"Bearer {made.token(OPERATIONS[2])}"},
    )
    made.upload = begun.json()["upload"]
    yield made
    made.session.close()
    server.should_exit = True
    thread.join(30)
    assert not thread.is_alive()
    structlog.reset_defaults()


def fuzz(fuzzed: Fuzzed, wanted: int, seed: int) -> None:
    """``wanted`` requests, shared among operations and between right and wrong ones."""
    ways = [
        (operation, mode)
        for operation in OPERATIONS
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
    ]
    failures: dict[str, str] = {}
    while ways and fuzzed.calls < wanted:
        fruitful = []
        for number, (operation, mode) in enumerate(ways):
            share = max(1, (wanted - fuzzed.calls) // (len(ways) - number))
            before = fuzzed.calls
            try:
                one_way(fuzzed, operation, mode, share, seed)
            except hypothesis.errors.Unsatisfiable:
                continue  # there is no wrong request of an operation that takes nothing
            except (FailureGroup, AssertionError, ExceptionGroup) as error:
                failures[f"{operation.label}, {mode.value}"] = f"{error}"
            # others have no more to say than they said: what they leave over, these have
            if fuzzed.calls - before >= share:
                fruitful.append((operation, mode))
        ways, seed = fruitful, seed + 1
    assert not failures, "\n\n".join(f"{name}\n{text}" for name, text in failures.items())


def one_way(fuzzed: Fuzzed, operation: Any, mode: GenerationMode, share: int, seed: int) -> None:
    token = fuzzed.token(operation)
    turn = itertools.count()

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=share,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.explicit, Phase.generate],
        print_blob=False,
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def send(case: Any) -> None:
        number = next(turn)
        bring_further(case, number, fuzzed.upload)
        if number % 8 == 7:
            response = fuzzed.send(case, None)
            if operation.definition.raw["security"]:
                assert response.status_code >= 400, "nobody is let in without a token"
        else:
            response = fuzzed.send(case, token)
        checks = CHECKS
        if not response.content:
            # return=minimal, 204 and HEAD
            checks = [each for each in CHECKS if each is not content_type_conformance]
        case.validate_response(response, checks=checks)

    send()


def bring_further(case: Any, number: int, upload: str) -> None:
    """Most requests would end at the same first hurdles; half of them are lifted over these."""
    if number % 4:
        case.headers.pop("ODS-Code", None)
    if number % 2:
        return
    parameters = case.path_parameters or {}
    if "identity" in parameters:
        parameters["identity"] = upload
    if "kind" in parameters and isinstance(case.body, dict):
        case.body["resourceType"] = parameters["kind"]
        if "id_text" in parameters:
            case.body["id"] = parameters["id_text"]


def test_no_request_is_a_fault_of_the_service(fuzzed: Fuzzed) -> None:
    fuzz(fuzzed, DEFAULT_CALLS, seed=1)
    assert fuzzed.calls >= DEFAULT_CALLS
    assert fuzzed.log.records, "some are taken"


@pytest.mark.long
@pytest.mark.timeout(3_600)
def test_no_request_of_many_is_a_fault_of_the_service(
    fuzzed: Fuzzed, capsys: pytest.CaptureFixture[str]
) -> None:
    wanted = int(os.environ.get("PEERVIEW_FUZZ_CALLS", LONG_CALLS))
    seed = int(os.environ.get("PEERVIEW_FUZZ_SEED") or random.randrange(2**32))
    with capsys.disabled():
        print(f"\nPEERVIEW_FUZZ_SEED={seed}")
        try:
            fuzz(fuzzed, wanted, seed)
        finally:
            by_status = dict(sorted(fuzzed.statuses.items()))
            print(f"{fuzzed.calls:,} requests, answers by status: {by_status}")
    assert fuzzed.calls >= wanted
