"""Who is calling: OAuth2 bearer tokens (JWT, RFC 9068 and 8725) checked against the issuer's keys.

A token's header chooses among the issuer's own keys by ``kid``, and nothing more: every other
member that could steer how it is checked (``jku``, ``jwk``, ``x5u``, ``x5c``, ``crit``, ``b64``,
``zip``) refuses it. What is refused, and why, is in ``docs/security.md``.
"""

import asyncio
import contextlib
import json
import re
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, NoReturn

from joserfc import jws, jwt
from joserfc.errors import ExpiredTokenError, JoseError, SecurityWarning
from joserfc.util import urlsafe_b64decode

from peerview_common.jwks import ALGORITHMS, FETCH_S, IssuerAwayError, KeySource
from peerview_common.settings import CommonSettings

LEEWAY_S: Final = 30
MAX_TOKEN: Final = 16_384
MAX_TEXT: Final = 255
MAX_LIFETIME_S: Final = 366 * 86_400
"""An ``exp`` further ahead is an issuer's mistake, such as milliseconds for seconds."""
HEADER_MEMBERS: Final = frozenset({"alg", "kid", "typ", "x5t", "x5t#S256"})
TYPES: Final = frozenset({"jwt", "at+jwt", "application/jwt", "application/at+jwt"})

_TOKEN68 = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+", re.ASCII)

# the name EdDSA is deprecated for saying no curve; the only keys that it finds here are Ed25519
warnings.filterwarnings("ignore", "EdDSA is deprecated", SecurityWarning)


class AuthError(Exception):
    """A caller who is not let in. ``status`` is 401 (who are you?), 403 (not this), or 503 (nobody
    can be asked); ``kind`` is a word for metrics. The reason never repeats what was sent."""

    def __init__(self, status: int, reason: str, kind: str = "refused") -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.kind = kind


@dataclass(frozen=True, slots=True)
class Principal:
    """A caller, as their token says."""

    subject: str
    scopes: frozenset[str]
    practices: frozenset[str]
    """Claim ``practices``: the ODS codes that the caller may act for."""
    roles: frozenset[str] = field(default_factory=frozenset)
    """Claim ``roles``: ``clinical``, ``signatory``, ``operator``."""
    system: str = "default"
    """Claim ``system``: the source system that the caller sends from."""
    name: str = ""

    def require_scope(self, scope: str) -> None:
        if scope not in self.scopes:
            raise AuthError(403, f"the token lacks the scope {scope}", "scope")

    def require_practice(self, ods: str) -> None:
        if ods not in self.practices:
            raise AuthError(403, "the token does not cover this practice", "practice")


class TokenVerifier:
    """Turns a bearer token into a Principal, or raises AuthError. ``now`` gives seconds UTC."""

    def __init__(
        self,
        keys: KeySource,
        *,
        issuer: str,
        audience: str,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.keys = keys
        self._now = now
        self._claims = jwt.JWTClaimsRegistry(
            now=lambda: int(now()),
            leeway=LEEWAY_S,
            iss={"essential": True, "value": issuer},
            aud={"essential": True, "value": audience},
            exp={"essential": True},
            sub={"essential": True},
        )

    @classmethod
    def from_settings(cls, settings: CommonSettings) -> "TokenVerifier":
        keys = KeySource(
            settings.jwks, cache_s=settings.jwks_cache_s, stale_s=settings.jwks_stale_s
        )
        return cls(keys, issuer=settings.issuer, audience=settings.audience)

    async def admit(self, authorization: str | None) -> Principal:
        """The caller behind an ``Authorization`` header's value. Never blocks the event loop."""
        token = bearer(authorization)
        header = _header(token)
        await self._fetched(header["kid"])
        return self._verified(token, header)

    async def wrong(self) -> str | None:
        """What is wrong with the issuer; None while tokens can be checked."""
        if not self.keys.usable:
            await self._fetched("")
        return None if self.keys.usable else "the token issuer's keys cannot be read"

    async def _fetched(self, kid: str) -> None:
        fetch = self.keys.missing(kid)
        if fetch is not None:
            await asyncio.wait([asyncio.wrap_future(fetch)], timeout=FETCH_S + 1)

    def principal(self, authorization: str | None) -> Principal:
        """The same for threads: it may block for a fetch of the issuer's keys."""
        return self.verify(bearer(authorization))

    def verify(self, token: str) -> Principal:
        """The caller behind a token; may block as ``principal`` does."""
        header = _header(token)
        fetch = self.keys.missing(header["kid"])
        if fetch is not None:
            with contextlib.suppress(TimeoutError):
                fetch.result(timeout=FETCH_S + 1)
        return self._verified(token, header)

    def _verified(self, token: str, header: dict[str, Any]) -> Principal:
        alg = header["alg"]
        try:
            key = self.keys.find(header["kid"], ALGORITHMS[alg])
        except IssuerAwayError:
            raise AuthError(503, "the token issuer's keys cannot be read", "issuer-away") from None
        if key is None:
            raise AuthError(401, "the token names no key of the issuer's", "key")
        try:
            jws.deserialize_compact(token, key, algorithms=[alg])
        except (JoseError, ValueError, TypeError, KeyError, RecursionError):
            raise AuthError(401, "the token's signature is not valid", "signature") from None
        claims = _members(token.split(".")[1])
        try:
            self._claims.validate(claims)
        except ExpiredTokenError:
            raise AuthError(401, "the token has expired", "expired") from None
        except JoseError as error:
            raise AuthError(401, f"the token is not valid: {error.error}", "claims") from None
        if claims["exp"] > self._now() + MAX_LIFETIME_S:
            _claim("exp", "lies too far ahead")
        return _principal(claims)


def bearer(authorization: str | None) -> str:
    """The token of an ``Authorization`` header's value."""
    scheme, _, token = (authorization or "").partition(" ")
    token = token.strip(" ")
    if scheme.lower() != "bearer" or not token:
        raise AuthError(401, "a bearer token is needed", "no-token")
    return token


def _header(token: str) -> dict[str, Any]:
    """The token's header, if it asks for nothing but to be checked: ``alg``, ``kid``, ``typ``."""
    if len(token) > MAX_TOKEN:
        raise AuthError(401, "the token is too long", "malformed")
    if not _TOKEN68.fullmatch(token):
        raise AuthError(401, "the token is not a signed JWT", "malformed")
    header = _members(token.split(".", 1)[0])
    if not header.keys() <= HEADER_MEMBERS:
        raise AuthError(401, "the token's header has members that are not taken", "header")
    alg, kid, typ = header.get("alg"), header.get("kid"), header.get("typ", "JWT")
    if not isinstance(alg, str) or alg not in ALGORITHMS:
        raise AuthError(401, "the token's algorithm is not taken", "header")
    if not isinstance(kid, str) or not 0 < len(kid) <= MAX_TEXT:
        raise AuthError(401, "the token names no key (kid)", "header")
    if not isinstance(typ, str) or typ.lower() not in TYPES:
        raise AuthError(401, "the token is of another type than an access token", "header")
    return header


def _members(part: str) -> dict[str, Any]:
    """A part of the token as a JSON object of which no member is there twice."""
    try:
        data = json.loads(
            urlsafe_b64decode(part.encode()).decode(),
            object_pairs_hook=_once_each,
            parse_constant=_no_constant,
        )
    except (ValueError, RecursionError):
        raise AuthError(401, "the token is not a JWT", "malformed") from None
    if not isinstance(data, dict):
        raise AuthError(401, "the token is not a JWT", "malformed")
    return data


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        # two readers might see two different tokens (RFC 7519, section 4)
        raise ValueError("a member twice")
    return found


def _no_constant(_: str) -> NoReturn:
    raise ValueError("NaN and Infinity are not JSON")


def _claim(name: str, what: str) -> NoReturn:
    raise AuthError(401, f"the token's claim {name} {what}", "claims")


def _texts(claims: dict[str, Any], name: str) -> frozenset[str]:
    value = claims.get(name, [])
    if isinstance(value, str):
        value = value.split()
    if not isinstance(value, list) or not all(isinstance(x, str) for x in value):
        _claim(name, "is not a list of texts")
    return frozenset(value)


def _text(claims: dict[str, Any], name: str, absent: str) -> str:
    value = claims.get(name)
    if value is None or value == "":
        return absent
    if not isinstance(value, str) or len(value) > MAX_TEXT:
        _claim(name, "is not a short text")
    if not value.isprintable():
        _claim(name, "has characters that cannot be shown")
    return value


def _principal(claims: dict[str, Any]) -> Principal:
    subject = _text(claims, "sub", "")
    if not subject:
        _claim("sub", "is empty")
    return Principal(
        subject=subject,
        scopes=_texts(claims, "scope"),
        practices=_texts(claims, "practices"),
        roles=_texts(claims, "roles"),
        system=_text(claims, "system", "default"),
        name=_text(claims, "name", ""),
    )
