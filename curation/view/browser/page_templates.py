"""Renders the pages of the viewer; every foreign text is escaped, and control characters are shown as such."""

from __future__ import annotations

import json
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse

from curation.view.browser.viewed_dir import viewed
from runtime.terminal import visible
from shards.storage.url_secrets import without_secrets

_PAGES: Final = (
    ("Browse", "/browse"),
    ("Search", "/search"),
    ("Duplicates", "/duplicates"),
    ("Audit", "/audit"),
    ("Runs", "/runs"),
)


def rendered(request: Request, template: str, status: int = 200, **values: Any) -> HTMLResponse:
    """Return the page that a template makes of some values."""
    opened = viewed(request)
    page = _ENVIRONMENT.get_template(template).render(
        pages=_PAGES,
        path=request.url.path,
        layer=opened.layer,
        selection="" if opened.selection is None else opened.selection.name,
        root=without_secrets(opened.store.root),
        **values,
    )
    return HTMLResponse(page, status, {"Cache-Control": "no-store"})


def page_data(values: object) -> Markup:
    """Return JSON for an element of a page: nothing in it can end that element."""
    text = json.dumps(values).replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    return Markup(text)  # noqa: S704  no angle bracket is left in it


def clock(seconds: float | None) -> str:
    """Return a time as people write it: ``1:02:03.4``, ``2:03.4``."""
    if seconds is None:
        return ""
    minutes, rest = divmod(round(seconds, 1), 60)
    hours, minutes = divmod(int(minutes), 60)
    return f"{hours}:{minutes:02d}:{rest:04.1f}" if hours else f"{minutes}:{rest:04.1f}"


def duration(hours: float) -> tuple[str, str]:
    """Return a length of time as a number and its unit: hours, or minutes or seconds where it is short."""
    for unit, size in (("hours", 1.0), ("minutes", 60.0)):
        if hours * size >= 2:
            return f"{hours * size:,.1f}", unit
    return f"{hours * 3600:,.0f}", "seconds"


def short_number(value: float) -> str:
    """Return a number with the digits that people need."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def _made() -> Environment:
    environment = Environment(
        loader=PackageLoader("curation.view.browser", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        clock=clock, duration=duration, number=short_number, shown=lambda text: visible(str(text))
    )
    return environment


_ENVIRONMENT: Final = _made()
