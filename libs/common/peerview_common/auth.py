"""Who is calling: OAuth2 bearer tokens (JWT) checked against the issuer's JWKS.

Only RS256 and EdDSA are accepted, the key is chosen among the issuer's own by ``kid``, and nothing
in a token's header can name another place to fetch keys from.
"""

import base64
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from peerview_common.settings import CommonSettings

ALGORITHMS: Final = ["RS256", "EdDSA", "Ed25519"]
KEY_TYPES: Final = frozenset({"RSA", "OKP"})
LEEWAY_S: Final = 30
CACHE_S: Final = 300.0
REFETCH_S: Final = 5.0
"""A token with an unknown kid causes a fetch at most this often."""
MAX_TOKEN: Final = 16_384


class AuthError(Exception):
    """A caller who is not let in. ``status`` is 401 (who are you?) or 403 (not this)."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


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
            raise AuthError(403, f"the token lacks the scope {scope}")

    def require_practice(self, ods: str) -> None:
        if ods not in self.practices:
            raise AuthError(403, f"the token does not cover practice {ods}")


class KeySource:
    """The issuer's public keys, cached, and fetched anew when a new ``kid`` turns up."""

    def __init__(self, place: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._place = place
        self._clock = clock
        self._keys: KeySet | None = None
        self._fetched = float("-inf")

    def _fetch(self) -> KeySet:
        if self._place.startswith("file:"):
            data: Any = json.loads(Path(self._place[5:]).read_text())
        else:
            answer = httpx.get(self._place, timeout=5.0, follow_redirects=False)
            answer.raise_for_status()
            data = answer.json()
        keys = [key for key in data.get("keys", []) if key.get("kty") in KEY_TYPES]
        return KeySet.import_key_set({"keys": keys})

    def keys(self, kid: str | None) -> KeySet:
        """The current keys. Raises AuthError(401) when there are none to be had.

        When the issuer is away, keys fetched before go on being used.
        """
        age = self._clock() - self._fetched
        known = self._keys is not None and any(key.kid == kid for key in self._keys.keys)
        if self._keys is None or age > CACHE_S or (not known and age > REFETCH_S):
            self._fetched = self._clock()
            try:
                self._keys = self._fetch()
            except (OSError, ValueError, httpx.HTTPError, JoseError) as error:
                if self._keys is None:
                    self._fetched = float("-inf")
                    raise AuthError(401, "the token issuer's keys cannot be read") from error
        return self._keys


class TokenVerifier:
    """Turns a bearer token into a Principal, or raises AuthError."""

    def __init__(self, keys: KeySource, *, issuer: str, audience: str) -> None:
        self._keys = keys
        self._claims = jwt.JWTClaimsRegistry(
            leeway=LEEWAY_S,
            iss={"essential": True, "value": issuer},
            aud={"essential": True, "value": audience},
            exp={"essential": True},
            sub={"essential": True},
        )

    @classmethod
    def from_settings(cls, settings: CommonSettings) -> "TokenVerifier":
        return cls(KeySource(settings.jwks), issuer=settings.issuer, audience=settings.audience)

    def principal(self, authorization: str | None) -> Principal:
        """The caller behind an ``Authorization`` header's value."""
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise AuthError(401, "a bearer token is needed")
        return self.verify(token.strip())

    def verify(self, token: str) -> Principal:
        if len(token) > MAX_TOKEN:
            raise AuthError(401, "the token is too long")
        kid = _kid(token)
        try:
            decoded = jwt.decode(token, self._keys.keys(kid), algorithms=ALGORITHMS)
            self._claims.validate(decoded.claims)
        except AuthError:
            raise
        except (JoseError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise AuthError(401, f"the token is not valid: {_reason(error)}") from error
        return _principal(decoded.claims)


def _reason(error: Exception) -> str:
    return str(getattr(error, "error", "") or type(error).__name__)


def _kid(token: str) -> str | None:
    head = token.split(".", 1)[0]
    try:
        data = json.loads(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)))
    except (ValueError, UnicodeDecodeError) as error:
        raise AuthError(401, "the token is not a JWT") from error
    kid = data.get("kid") if isinstance(data, dict) else None
    if not isinstance(kid, str):
        raise AuthError(401, "the token names no key (kid)")
    return kid


def _texts(claims: dict[str, Any], name: str) -> frozenset[str]:
    value = claims.get(name, [])
    if isinstance(value, str):
        value = value.split()
    if not isinstance(value, list) or not all(isinstance(x, str) for x in value):
        raise AuthError(401, f"the token's claim {name} is not a list of texts")
    return frozenset(value)


def _principal(claims: dict[str, Any]) -> Principal:
    return Principal(
        subject=str(claims["sub"]),
        scopes=_texts(claims, "scope"),
        practices=_texts(claims, "practices"),
        roles=_texts(claims, "roles"),
        system=str(claims.get("system") or "default"),
        name=str(claims.get("name") or ""),
    )
