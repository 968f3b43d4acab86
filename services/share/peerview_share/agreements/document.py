"""The agreement as people write it, and the hash of its terms that they sign."""

import hashlib
from collections.abc import Mapping
from datetime import date
from typing import Any, Final

import rfc8785
from pydantic import Field, model_validator

from peerview_share.agreements import consistency
from peerview_share.agreements.clauses import (
    Admission,
    AgreementText,
    Audience,
    ClauseForm,
    ConfidentialityBasis,
    Contact,
    DataItem,
    DisclosureControl,
    Epochs,
    LawfulBasis,
    Limits,
    Line,
    Network,
    Party,
    Passage,
    PeerIdentification,
    Prohibited,
    Purpose,
    Quorum,
    Recipient,
    Role,
    Withdrawal,
)

__all__ = ["Agreement", "DisclosureControl", "Limits", "Role", "terms_hash"]

NOT_TERMS: Final = frozenset({"parties"})
"""Who takes part is not a term: a practice that joins signs the terms, and nobody signs again."""


class Agreement(ClauseForm):
    """All clauses. JSON names are in camelCase. ``checking.parse`` tells people what is wrong."""

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
    confidentiality_basis: ConfidentialityBasis = "anonymised"
    dpia_ref: str = Field("", max_length=300)
    caldicott_approval: str = Field("", max_length=300)
    data_items: tuple[DataItem, ...] = Field(min_length=1, max_length=500)
    audiences: tuple[Audience, ...] = Field(("members",), min_length=1, max_length=50)
    peer_identification: PeerIdentification
    epochs: Epochs = Epochs()
    disclosure_control: DisclosureControl = DisclosureControl()
    opt_outs: tuple[str, ...] = ("type1",)
    valid_from: date
    valid_to: date | None = None
    review_date: date | None = None
    withdrawal: Withdrawal = Withdrawal()
    retention: Passage = ""
    onward_sharing: Passage = ""
    contacts: tuple[Contact, ...] = Field((), max_length=50)
    admission: Admission = Quorum()
    supersedes: int | None = None

    @model_validator(mode="after")
    def _whole(self) -> "Agreement":
        faults = consistency.faults(self.__dict__)
        if faults:
            raise ValueError("; ".join(f"{fault.clause}: {fault.why}" for fault in faults))
        return self

    @property
    def indicators(self) -> frozenset[str]:
        return frozenset(item.indicator_id for item in self.data_items)

    @property
    def members_may_see(self) -> bool:
        return "members" in self.audiences

    @property
    def audience(self) -> Mapping[str, str]:
        """``{ODS code: name}`` of those who see and are no party."""
        found: dict[str, str] = {}
        for audience in self.audiences:
            if isinstance(audience, Recipient):
                found[audience.ods_code] = audience.name
            elif audience == "network-staff" and self.network.ods_code:
                found[self.network.ods_code] = self.network.name or self.network.id
        return found

    def plain(self) -> dict[str, Any]:
        """The document as JSON values, every clause spelt out."""
        return self.model_dump(mode="json", by_alias=True)

    def terms_hash(self) -> str:
        return terms_hash(self.plain())


def terms_hash(document: Mapping[str, Any]) -> str:
    """SHA-256, in hexadecimal, of a whole document's terms as canonical JSON (RFC 8785)."""
    terms = {name: value for name, value in document.items() if name not in NOT_TERMS}
    return hashlib.sha256(rfc8785.dumps(terms)).hexdigest()
