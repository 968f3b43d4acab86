"""What a practice reads about itself: its live figures."""

from typing import Any

from fastapi import APIRouter

from peerview_common.catalogue import IndicatorInfo
from peerview_common.values import IndicatorValue
from peerview_share.api.callers import READ, Caller, ShareParts

router = APIRouter(prefix="/v1/practices/{ods}", tags=["own practice"])


def live_indicator(value: IndicatorValue, info: IndicatorInfo) -> dict[str, Any]:
    return {
        "version": value.version,
        "state": value.state,
        "demonstration_only": info.demonstration_only,
        "denominator": value.denominator,
        "numerator": value.numerator,
        "met": value.met,
        "miss": value.miss,
        "exception": value.exception,
        "excluded": value.excluded,
        "as_of": value.as_of,
        "data_through": value.data_through,
        "source": {"partition": value.source.partition, "offset": value.source.offset},
    }


def objected_sentence(count: int) -> str:
    """Said wherever live figures are."""
    if count == 0:
        return "No patient has a type 1 opt-out."
    if count == 1:
        return "1 patient with a type 1 opt-out is not counted."
    return f"{count:,} patients with a type 1 opt-out are not counted."


@router.get("/indicators")
def indicators(ods: str, principal: Caller, share: ShareParts) -> dict[str, Any]:
    """Live figures, unrounded, for the practice's own staff."""
    principal.require_scope(READ)
    principal.require_practice(ods)
    values = share.figures.of(ods)
    objected = max((value.objected for value in values.values()), default=0)
    return {
        "practice": ods,
        "as_of": max((value.as_of for value in values.values()), default=None),
        "data_through": max((value.data_through for value in values.values()), default=None),
        "objected": objected,
        "note": objected_sentence(objected),
        "indicators": {
            name: live_indicator(values[name], info)
            for name, info in share.catalogue.items()
            if name in values
        },
    }
