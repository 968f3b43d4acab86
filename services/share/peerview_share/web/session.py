"""The demo's session: which practice the visitor chose, signed. It exists in demo mode only."""

import hashlib
import hmac
from typing import Final

COOKIE: Final = "peerview_demo"


def sign(ods: str, key: bytes) -> str:
    return f"{ods}.{_mac(ods, key)}"


def chosen(cookie: str | None, key: bytes) -> str | None:
    """The practice in a cookie; None for none, or one that we did not sign."""
    ods, _, mac = (cookie or "").partition(".")
    return ods if ods and hmac.compare_digest(mac, _mac(ods, key)) else None


def _mac(ods: str, key: bytes) -> str:
    return hmac.new(key, ods.encode(), hashlib.sha256).hexdigest()
