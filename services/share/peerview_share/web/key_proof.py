"""What pages ask of a practice that has registered a key: a signature made with it, elsewhere.

The private key stays where it is. A page shows the message to be signed, and takes the signature.
"""

import shlex
from dataclasses import dataclass
from typing import Final

from peerview_share.agreements import keys
from peerview_share.agreements.acts import RefusedError
from peerview_share.service import Share
from peerview_share.web.forms import Fields
from peerview_share.web.visitor import Visitor

FIELD: Final = "proof"
KEY_FILE: Final = "practice.pem"
"""Stands for whatever the practice's key file is called."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A signature that a page asks for."""

    message: str
    """Canonical JSON: exactly these characters are signed."""
    public_key: str
    """The registered one, in base64."""

    @property
    def command(self) -> str:
        """What makes the signature, for a shell."""
        return shlex.join(["peerview", "agreement", "signature", KEY_FILE, self.message])


def asked(share: Share, visitor: Visitor, message: bytes) -> Asked | None:
    """None where the visitor's practice has registered no key."""
    key = share.keys.state(visitor.own).usable(share.clock())
    return None if key is None else Asked(message.decode(), key)


def pasted(fields: Fields) -> str | None:
    """The signature; what prints base64 may have broken it into lines."""
    return "".join(fields.one(FIELD).split()) or None


def told(refused: RefusedError, proof: str | None) -> str | None:
    """What is wrong with a signature, in words that help; None of whatever else was refused."""
    if refused.code == "key-needed":
        return (
            "Paste the signature: your practice has registered a key, and nothing less is accepted "
            "from it"
        )
    if refused.code != "key-proof" or proof is None:
        return None
    try:
        keys.decoded(proof, keys.SIGNATURE_BYTES, "it")
    except keys.KeyProofError:
        return (
            "This is no signature: paste the whole line that the command printed, 88 characters "
            "that end in ==, and nothing else"
        )
    return (
        "This signature does not fit: it was made of another message, or with another key. Sign "
        "the message as it is shown here now, with the key file that has the public key shown here"
    )
