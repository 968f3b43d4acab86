"""A token issuer for demonstrations and tests. Production mode refuses its tokens."""

import json
import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from joserfc import jwt
from joserfc.jwk import OKPKey

from peerview_common.settings import DEVELOPMENT_ISSUER

AUDIENCE: Final = "peerview"
KEY_ID: Final = "development"
ALGORITHM: Final = "Ed25519"


class DevelopmentIssuer:
    """Keeps an Ed25519 key in ``directory`` and signs what it is asked to.

    The private key stays in ``development-key.json`` (mode 0600), so tokens outlive a restart; the
    public one is in ``jwks.json``, which services read by ``PEERVIEW_JWKS=<issuer.jwks>``.
    """

    def __init__(self, directory: Path | str) -> None:
        self.directory = Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self._key = self._load_or_make()
        public = {**self._key.as_dict(private=False), "use": "sig", "alg": ALGORITHM}
        self._jwks_path = self.directory / "jwks.json"
        self._jwks_path.write_text(json.dumps({"keys": [public]}, indent=1) + "\n")

    def _load_or_make(self) -> OKPKey:
        path = self.directory / "development-key.json"
        if path.exists():
            return OKPKey.import_key(json.loads(path.read_text()))
        key = OKPKey.generate_key("Ed25519", parameters={"kid": KEY_ID})
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "w") as file:
            json.dump(key.as_dict(private=True), file)
        return key

    @property
    def jwks(self) -> str:
        """What ``PEERVIEW_JWKS`` takes."""
        return f"file:{self._jwks_path.resolve()}"

    def token(
        self,
        *,
        subject: str,
        practices: Iterable[str] = (),
        scope: str = "",
        roles: Iterable[str] = (),
        system: str = "demo",
        expires_in: int = 3600,
        **claims: Any,
    ) -> str:
        """A signed token. ``claims`` adds others, or replaces (``iss="..."``)."""
        now = int(time.time())
        body = {
            "iss": DEVELOPMENT_ISSUER,
            "aud": AUDIENCE,
            "sub": subject,
            "iat": now,
            "exp": now + expires_in,
            "scope": scope,
            "practices": sorted(practices),
            "roles": sorted(roles),
            "system": system,
            **claims,
        }
        header = {"alg": ALGORITHM, "kid": KEY_ID}
        return jwt.encode(header, body, self._key, algorithms=[ALGORITHM])
