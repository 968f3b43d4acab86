"""The names of things, as types: a practice is not a network, and a key is not a text."""

import re
from typing import Annotated, NewType

from pydantic import StringConstraints

OdsCode = NewType("OdsCode", str)
"""A practice's code in the Organisation Data Service, such as ``A99001``."""

IndicatorId = NewType("IndicatorId", str)
NetworkId = NewType("NetworkId", str)
PatientKey = NewType("PatientKey", bytes)
"""16 bytes: HMAC-SHA-256 under the practice's own key, shortened. Never an identifier in clear."""

PATIENT_KEY_BYTES = 16

ODS_PATTERN = r"^[A-Z0-9]{3,10}$"
NETWORK_PATTERN = r"^[a-z0-9][a-z0-9-]{1,40}$"
INDICATOR_PATTERN = r"^[a-z0-9][a-z0-9-]{1,40}$"

OdsText = Annotated[str, StringConstraints(pattern=ODS_PATTERN)]
NetworkText = Annotated[str, StringConstraints(pattern=NETWORK_PATTERN)]
IndicatorText = Annotated[str, StringConstraints(pattern=INDICATOR_PATTERN)]

_ODS = re.compile(ODS_PATTERN)


def ods_code(text: str) -> OdsCode:
    """Return ``text`` as an ODS code; ValueError when it cannot be one."""
    if not _ODS.fullmatch(text):
        raise ValueError(f"not an ODS code: {text!r}")
    return OdsCode(text)
