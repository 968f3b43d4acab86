"""The agreement as people write it, and the hash of its terms that they sign.

A clause that this release cannot enforce is refused by name, never accepted and ignored.
"""

import hashlib
from datetime import date
from enum import StrEnum
from typing import Annotated, Any, Final, Literal

import rfc8785
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator
from pydantic.alias_generators import to_camel

from peerview_common.catalogue import catalogue
from peerview_common.ids import NetworkText, OdsText
from peerview_share.agreements.level import PeerMode

AGREEMENT_PATTERN: Final = r"^[a-z0-9][a-z0-9-]{1,62}$"
AgreementText = Annotated[str, StringConstraints(pattern=AGREEMENT_PATTERN)]
Line = Annotated[str, StringConstraints(min_length=1, max_length=300)]
NOT_TERMS: Final = frozenset({"parties"})
"""Who takes part is not a term: a practice that joins signs the terms, and nobody signs again."""


class _Clause(BaseModel):
    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True
    )


class Role(StrEnum):
    JOINT_CONTROLLER = "joint-controller"
    CONTROLLER = "controller"
    RECIPIENT = "recipient"
    """Sees, and shares nothing."""


class Party(_Clause):
    ods_code: OdsText
    name: Line
    role: Role = Role.CONTROLLER


class Network(_Clause):
    id: NetworkText
    name: str = Field("", max_length=300)
    type: Literal["super-partnership", "federation", "pcn", "mcp", "informal"] = "informal"


class LawfulBasis(_Clause):
    art6: Line = "6(1)(e)"
    art9: Line = "9(2)(h)"
    dpa2018_sched1: Line = "Part 1 paragraph 2"


class DataItem(_Clause):
    indicator_id: Line


class PeerIdentification(_Clause):
    mode: PeerMode
    per_indicator: dict[str, PeerMode] = Field(default_factory=dict)
    reciprocal: bool = True
    min_peers: int = Field(0, ge=0, le=1000)
    """With fewer other practices that share an indicator, it is not shown at all."""

    def of(self, indicator: str) -> PeerMode:
        return self.per_indicator.get(indicator, self.mode)


class Epochs(_Clause):
    every: Literal[1] = 1


class DisclosureControl(_Clause):
    """The defaults, said aloud. Stricter figures come with a later release."""

    min_change: Literal[8] = 8
    min_patients: Literal[20] = 20
    rounding_base: Literal[5] = 5


class Withdrawal(_Clause):
    notice_days: Annotated[int, Field(ge=0, le=366)] = 0
    """When the others must be told. Withdrawing takes effect at once."""
    past_data: Literal["remove"] = "remove"


class Contact(_Clause):
    name: Line
    email: str = Field("", max_length=300)


Purpose = Literal["quality-improvement", "peer-review", "clinical-audit", "service-evaluation"]
Prohibited = Literal[
    "performance-management", "contracting", "publication", "research", "re-identification"
]


class Agreement(_Clause):
    """All clauses. JSON names are in camelCase."""

    id: AgreementText
    version: int = Field(1, ge=1)
    title: Line
    parties: tuple[Party, ...] = Field(min_length=2, max_length=500)
    network: Network
    purposes: tuple[Purpose, ...] = Field(min_length=1)
    prohibited_uses: tuple[Prohibited, ...] = (
        "performance-management",
        "contracting",
        "publication",
        "research",
        "re-identification",
    )
    lawful_basis: LawfulBasis = Field(default_factory=LawfulBasis)
    confidentiality_basis: Literal["anonymised", "consent", "s251", "direct-care"] = "anonymised"
    dpia_ref: str = Field("", max_length=300)
    caldicott_approval: str = Field("", max_length=300)
    data_items: tuple[DataItem, ...] = Field(min_length=1)
    audiences: tuple[Literal["members"], ...] = ("members",)
    peer_identification: PeerIdentification
    epochs: Epochs = Epochs()
    disclosure_control: DisclosureControl = DisclosureControl()
    opt_outs: tuple[Literal["type1"], ...] = ("type1",)
    valid_from: date
    valid_to: date | None = None
    review_date: date | None = None
    withdrawal: Withdrawal = Field(default_factory=Withdrawal)
    retention: str = Field("", max_length=2000)
    onward_sharing: str = Field("", max_length=2000)
    contacts: tuple[Contact, ...] = ()
    supersedes: int | None = None

    @model_validator(mode="after")
    def _whole(self) -> "Agreement":
        codes = [party.ods_code for party in self.parties]
        if len(set(codes)) != len(codes):
            raise ValueError("parties: each practice is a party once")
        unknown = [x for x in self.indicators if x not in catalogue()]
        if unknown:
            raise ValueError(f"dataItems: unknown indicators {', '.join(sorted(unknown))}")
        stray = set(self.peer_identification.per_indicator) - self.indicators
        if stray:
            raise ValueError(
                f"peerIdentification.perIndicator: not in dataItems: {', '.join(sorted(stray))}"
            )
        if self.valid_to is not None and self.valid_to < self.valid_from:
            raise ValueError("validTo: lies before validFrom")
        if self.supersedes is not None and self.supersedes != self.version - 1:
            raise ValueError("supersedes: must be the version before this one")
        return self

    @property
    def indicators(self) -> frozenset[str]:
        return frozenset(item.indicator_id for item in self.data_items)

    def plain(self) -> dict[str, Any]:
        """The document as JSON values, every clause spelt out."""
        return self.model_dump(mode="json", by_alias=True)

    def terms_hash(self) -> str:
        """SHA-256, in hexadecimal, of the terms as canonical JSON (RFC 8785)."""
        terms = {name: value for name, value in self.plain().items() if name not in NOT_TERMS}
        return hashlib.sha256(rfc8785.dumps(terms)).hexdigest()


class Limits(_Clause):
    """What one party allows, where that is less than the agreement does."""

    mode: PeerMode = PeerMode.NAMED
    per_indicator: dict[str, PeerMode] = Field(default_factory=dict)

    def of(self, indicator: str) -> PeerMode:
        return self.per_indicator.get(indicator, self.mode)
