"""Templates into answers: one place for the headers, and for what every page says."""

from typing import Any, Final

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from peerview_common.settings import Mode
from peerview_share.service import Share
from peerview_share.web import forms, words

_templates = Environment(
    loader=PackageLoader("peerview_share.web"),
    autoescape=select_autoescape(default=True, default_for_string=True),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_templates.filters["moment"] = words.moment
HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self' data:; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
    # a form's Origin is withheld under no-referrer, and forms are told apart by it
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}


def html(
    request: Request, share: Share, template: str, *, status: int = 200, **content: Any
) -> HTMLResponse:
    """A page. ``form_token`` is there for its forms; ``section`` is its place in the menu."""
    token = forms.token(request, share)
    text = _templates.get_template(template).render(
        **{"section": "", "key_notices": [], **content},
        demo=share.settings.mode is Mode.DEMO,
        form_token=token,
        calendar=share.calendar.words(),
        shortened=share.calendar.shortened or share.settings.lag_days < 1,
        lag_days=share.settings.lag_days,
        fixed_day=share.settings.clock_day,
    )
    answer = HTMLResponse(text, status, headers=HEADERS)
    forms.remember(answer, share, token)
    return answer
