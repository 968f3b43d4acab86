"""The parts of the running service, as the web side sees them. `main.py` puts them together."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from peerview_common.auth import TokenVerifier
from peerview_common.catalogue import IndicatorInfo
from peerview_common.settings import ShareSettings
from peerview_share.agreements.acts import Acts
from peerview_share.agreements.current import CurrentAgreements
from peerview_share.agreements.key_acts import KeyActs
from peerview_share.consume.live import LiveFigures
from peerview_share.delivery.published import PublishedEpochs
from peerview_share.delivery.viewing import Views
from peerview_share.release.calendar import Calendar
from peerview_share.release.epochs import Epochs
from peerview_share.release.previewing import Previews
from peerview_share.release.retracting import Retractions
from peerview_share.store.database import Database


@dataclass(frozen=True, slots=True)
class Share:
    """``clock`` gives milliseconds UTC, ``today`` the as-of day, ``problems`` what keeps the
    service from being ready: ``{part: None when it is well}``."""

    settings: ShareSettings
    catalogue: Mapping[str, IndicatorInfo]
    database: Database
    verifier: TokenVerifier
    agreements: CurrentAgreements
    acts: Acts
    keys: KeyActs
    figures: LiveFigures
    published: PublishedEpochs
    views: Views
    epochs: Epochs
    previews: Previews
    retractions: Retractions
    calendar: Calendar
    clock: Callable[[], int]
    today: Callable[[], int]
    problems: Callable[[], Mapping[str, str | None]]
    session_key: bytes
    """Signs the demo's choice of practice."""
    start: Callable[[], None]
    stop: Callable[[], None]
