"""The clauses that agreements are made of, each as a value. JSON names are in camelCase."""

from enum import StrEnum
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from pydantic.alias_generators import to_camel

from peerview_common.ids import NetworkText, OdsText
from peerview_share.agreements.level import PeerMode
from peerview_share.disclosure.steps import MinChange

AGREEMENT_PATTERN: Final = r"^[a-z0-9][a-z0-9-]{1,62}$"
VERSION_PATTERN: Final = r"^(\*|\d{4}\.\d+|\d{4}\.\d+-\d{4}\.\d+)$"
AgreementText = Annotated[str, StringConstraints(pattern=AGREEMENT_PATTERN)]
Line = Annotated[str, StringConstraints(min_length=1, max_length=300)]
Passage = Annotated[str, StringConstraints(max_length=2000)]


class ClauseForm(BaseModel):
    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True
    )


class Role(StrEnum):
    JOINT_CONTROLLER = "joint-controller"
    CONTROLLER = "controller"
    RECIPIENT = "recipient"
    """Sees, and shares nothing."""


class Party(ClauseForm):
    """A practice that the proposal names. When it signed, joined or left is kept beside the
    document, for the document itself never changes by it."""

    ods_code: OdsText
    name: Line
    role: Role = Role.CONTROLLER
    signatory: str = Field("", max_length=300)
    """Who is expected to sign for it; who did stands in the signature."""


class Network(ClauseForm):
    id: NetworkText
    name: str = Field("", max_length=300)
    type: Literal["super-partnership", "federation", "pcn", "mcp", "informal"] = "informal"
    ods_code: OdsText | None = None
    """The network's own organisation, whose staff the audience ``network-staff`` is."""


class LawfulBasis(ClauseForm):
    art6: Line = "6(1)(e)"
    art9: Line = "9(2)(h)"
    dpa2018_sched1: Line = "Part 1 paragraph 2"


class DataItem(ClauseForm):
    indicator_id: Line
    version_range: Annotated[str, StringConstraints(pattern=VERSION_PATTERN)] = "*"
    """Definition versions that may be shown: ``*``, one, or ``first-last``."""


class Recipient(ClauseForm):
    """An audience by name: it sees under the agreement once it has signed the terms, shares
    nothing, and is no party."""

    ods_code: OdsText
    name: Line


class PeerIdentification(ClauseForm):
    mode: PeerMode
    per_indicator: dict[str, PeerMode] = Field(default_factory=dict)
    reciprocal: bool = True
    """A viewer sees an indicator only while it shares that indicator."""
    min_peers: int = Field(0, ge=0, le=1000)
    """With fewer other practices that share an indicator, it is not shown at all."""

    def of(self, indicator: str) -> PeerMode:
        return self.per_indicator.get(indicator, self.mode)


class Epochs(ClauseForm):
    every: Literal[1, 3] = 1
    """Every release, or every third."""
    lag_days: int = Field(0, ge=0, le=366)
    """How many days at least a release rests before peers see it; the service's own rest holds
    where that is longer."""


class DisclosureControl(ClauseForm):
    """Stricter than the defaults, or the defaults said aloud. Looser is refused."""

    min_change: MinChange = 8
    """So many patients differ at least between any two releases that are shown, in each count in
    which any do. Shows some of the releases of a practice's one series, and never others."""
    min_patients: int = Field(20, ge=20, le=100_000)
    """A figure of fewer patients is not shown."""
    min_denominator: int = Field(20, ge=20, le=100_000)
    """A figure of a smaller denominator is not shown."""
    min_count: int = Field(8, ge=8, le=1000)
    """A count of fewer, other than 0, is not shown, nor is its complement."""
    extremes_from: int = Field(50, ge=50, le=100_000)
    """0% and 100% are shown from this denominator on."""
    rounding_base: int = Field(5, ge=5, le=1000, multiple_of=5)


class Withdrawal(ClauseForm):
    notice_days: int = Field(0, ge=0, le=366)
    """When the others must be told. Withdrawing takes effect at once."""
    past_data: Literal["retain", "remove"] = "remove"
    """Whether the cells of earlier epochs of a party that left stay in views of those epochs."""


class Contact(ClauseForm):
    name: Line
    email: str = Field("", max_length=300)


class LeadPractice(ClauseForm):
    """One practice decides on new parties."""

    by: Literal["lead-practice"]
    practice: OdsText


class Quorum(ClauseForm):
    """So many per cent of the parties agree to a new one, rounded up to whole practices."""

    by: Literal["quorum"] = "quorum"
    percent: int = Field(100, ge=1, le=100)

    def needed(self, parties: int) -> int:
        return max(1, -(-self.percent * parties // 100))


Admission = Annotated[LeadPractice | Quorum, Field(discriminator="by")]
Audience = Literal["members", "network-staff"] | Recipient
Purpose = Literal["quality-improvement", "peer-review", "clinical-audit", "service-evaluation"]
Prohibited = Literal[
    "performance-management", "contracting", "publication", "research", "re-identification"
]
ConfidentialityBasis = Literal["anonymised", "consent", "s251", "direct-care"]


class Limits(ClauseForm):
    """What one party allows, where that is less than the agreement does."""

    mode: PeerMode = PeerMode.NAMED
    per_indicator: dict[str, PeerMode] = Field(default_factory=dict)

    def of(self, indicator: str) -> PeerMode:
        return self.per_indicator.get(indicator, self.mode)
