"""The token issuer's public keys: fetched beside the event loop, cached, and forgotten in time.

A key that the issuer withdraws stops working within ``cache_s``. Where the issuer does not answer,
keys fetched before go on being used for ``stale_s`` at most, and after that nobody is let in. What
a token says causes a fetch at most once in ``REFETCH_S``, however many tokens there are.
"""

import json
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Final

import httpx
import structlog
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey, RSAKey
from joserfc.util import base64_to_int

from peerview_common import metrics

CACHE_S: Final = 300.0
STALE_S: Final = 3600.0
REFETCH_S: Final = 5.0
"""Between two fetches for a key that is not known, or from an issuer that did not answer."""
RETRY_S: Final = 1.0
"""Between two fetches while there is no key at all."""
FETCH_S: Final = 5.0
"""A whole fetch takes no longer: an issuer that drips its answer counts as away."""
MAX_BYTES: Final = 262_144
MAX_KEYS: Final = 100
RSA_BITS: Final = range(2048, 8193)
ALGORITHMS: Final[Mapping[str, str]] = {"RS256": "RSA", "EdDSA": "OKP", "Ed25519": "OKP"}
"""The algorithms accepted, and the type of key (``kty``) of each."""
_PUBLIC: Final = ("kty", "kid", "use", "key_ops", "alg", "n", "e", "crv", "x")

Key = RSAKey | OKPKey
Keys = dict[tuple[str, str], Key]
"""By ``(kid, kty)``."""

log = structlog.get_logger("peerview.jwks")


class IssuerAwayError(Exception):
    """There is no key to check a token with."""


class KeySource:
    """Keys from ``place``: an http(s) address, or ``file:PATH``. Thread-safe.

    ``missing(kid)`` begins what fetch is needed and never blocks; ``find(kid, kty)`` looks into
    what is there.
    """

    def __init__(
        self,
        place: str,
        clock: Callable[[], float] = time.monotonic,
        *,
        cache_s: float = CACHE_S,
        stale_s: float = STALE_S,
        read: Callable[[str], bytes] | None = None,
    ) -> None:
        self._place = place
        self._clock = clock
        self._cache_s = cache_s
        self._stale_s = max(stale_s, cache_s)
        self._read = read or read_place
        self._lock = threading.Lock()
        self._keys: Keys = {}
        self._kids: frozenset[str] = frozenset()
        self._fetched = self._tried = float("-inf")
        self._fetch: Future[None] | None = None

    def missing(self, kid: str) -> "Future[None] | None":
        """The fetch to wait for before a token of this ``kid`` can be judged; None for none."""
        with self._lock:
            age = self._clock() - self._fetched
            since = self._clock() - self._tried
            if age <= self._cache_s and kid in self._kids:
                if age > self._cache_s / 2 and since > REFETCH_S and self._fetch is None:
                    self._begin()  # nobody need wait for it
                return None
            if self._fetch is None and since > (REFETCH_S if self.usable else RETRY_S):
                self._begin()
            return self._fetch

    def find(self, kid: str, kty: str) -> Key | None:
        """Raises IssuerAwayError when no keys are known, or those known are too old."""
        if not self.usable:
            raise IssuerAwayError
        return self._keys.get((kid, kty))

    @property
    def usable(self) -> bool:
        """Whether there are keys, and none older than ``stale_s``."""
        return self._clock() - self._fetched <= self._stale_s

    def _begin(self) -> None:
        self._tried = self._clock()
        future: Future[None] = Future()
        self._fetch = future
        threading.Thread(target=self._run, args=(future,), name="jwks", daemon=True).start()

    def _run(self, future: "Future[None]") -> None:
        began, found, reason = self._clock(), None, ""
        try:
            found = parse(self._read(self._place))
        except (OSError, ValueError, RecursionError, httpx.HTTPError, httpx.InvalidURL) as error:
            reason = type(error).__name__
        metrics.jwks_fetches.labels("fetched" if found else "failed").inc()
        if not found:
            log.warning("jwks", reason=reason or "it holds no usable key")
        with self._lock:
            if found:
                self._keys, self._fetched = found, began
                self._kids = frozenset(kid for kid, _ in found)
            self._fetch = None
        future.set_result(None)


def read_place(place: str) -> bytes:
    """The JWKS document: bounded in bytes and in time, without redirects."""
    if place.startswith("file:"):
        return Path(place[5:]).read_bytes()
    end = time.monotonic() + FETCH_S
    found = bytearray()
    with httpx.stream("GET", place, timeout=FETCH_S, follow_redirects=False) as answer:
        if answer.status_code != 200:
            raise OSError("the issuer answered another status than 200")
        for chunk in answer.iter_bytes():
            found += chunk
            if len(found) > MAX_BYTES:
                raise ValueError("too large")
            if time.monotonic() > end:
                raise TimeoutError
    return bytes(found)


def parse(document: bytes) -> Keys:
    """The usable keys of a JWKS; one that is not is left out and said, the others stay."""
    data = json.loads(document)
    listed = data.get("keys") if isinstance(data, dict) else None
    if not isinstance(listed, list):
        raise ValueError("not a JWKS")
    found: Keys = {}
    for each in listed[:MAX_KEYS]:
        kid = each.get("kid") if isinstance(each, dict) else None
        if not isinstance(kid, str):
            continue
        try:
            key = _key(each)
        except (JoseError, ValueError, TypeError, KeyError) as error:
            log.warning("jwks", reason="a key is not usable", kind=type(error).__name__)
            continue
        if key is not None:
            found.setdefault((kid, key.key_type), key)
    return found


def _key(data: Mapping[str, Any]) -> Key | None:
    """None for a key of another kind or use than ours; ValueError for one that must not be used."""
    kty, alg = data.get("kty"), data.get("alg")
    if data.get("use", "sig") != "sig" or "verify" not in data.get("key_ops", ["verify"]):
        return None
    if alg is not None and ALGORITHMS.get(alg) != kty:
        return None
    if kty not in ("RSA", "OKP"):
        return None
    if "d" in data:
        # whoever reads this set can sign with it
        raise ValueError("a private key is published")
    public = {name: data[name] for name in _PUBLIC if name in data}
    if kty == "OKP":
        return OKPKey.import_key(public) if data.get("crv") == "Ed25519" else None
    if base64_to_int(public["n"]).bit_length() not in RSA_BITS:
        raise ValueError("an RSA key has 2048 to 8192 bits")
    return RSAKey.import_key(public)
