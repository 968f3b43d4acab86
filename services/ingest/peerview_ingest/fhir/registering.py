"""What a fact says of being registered depends on what ingest knows, not on the resource alone."""

from collections.abc import Iterator

from msgspec import structs

from peerview_common.facts import Fact, GeneralPractice, Person, Registration, fact_digest


def registered_otherwise(fact: Fact, digest: bytes) -> bool:
    """Whether ``digest`` is of the same version, read while ingest knew otherwise whose practice it
    names: an Organization has come, or has another code, or the source is now ``register-all``."""
    return any(fact_digest(other) == digest for other in _others(fact))


def _others(fact: Fact) -> Iterator[Fact]:
    body = fact.body
    if isinstance(body, Registration):
        yield structs.replace(fact, body=structs.replace(body, here=not body.here))
    elif isinstance(body, Person):
        for practice in GeneralPractice:
            if practice != body.practice:
                yield structs.replace(fact, body=structs.replace(body, practice=int(practice)))
