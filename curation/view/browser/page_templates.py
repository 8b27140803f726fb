"""Renders the pages of the viewer; every foreign text is escaped, and control characters are shown as such."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse

from curation.reporting.next_command import relative_to_here
from curation.reporting.spoken_numbers import byte_size, clock, counted, duration, short_number
from curation.view.browser.viewed_dir import viewed
from runtime.terminal import visible
from shards.storage.url_secrets import without_secrets

_PAGES: Final = (
    ("Browse", "/browse"),
    ("Search", "/search"),
    ("Duplicates", "/duplicates"),
    ("Audit", "/audit"),
    ("Runs", "/runs"),
    ("Card", "/card"),
)


def rendered(request: Request, template: str, status: int = 200, **values: Any) -> HTMLResponse:
    """Return the page that a template makes of some values."""
    opened = viewed(request)
    page = _ENVIRONMENT.get_template(template).render(
        pages=_PAGES,
        path=request.url.path,
        layer=opened.layer,
        selection="" if opened.selection is None else opened.selection.name,
        root=without_secrets(relative_to_here(Path(opened.store.root)) if opened.store.is_local else opened.store.root),
        **values,
    )
    return HTMLResponse(page, status, {"Cache-Control": "no-store"})


def page_data(values: object) -> Markup:
    """Return JSON for an element of a page: nothing in it can end that element."""
    text = json.dumps(values).replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    return Markup(text)  # noqa: S704  no angle bracket is left in it


def _made() -> Environment:
    environment = Environment(
        loader=PackageLoader("curation.view.browser", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        clock=clock,
        duration=duration,
        number=short_number,
        counted=counted,
        bytes=byte_size,
        shown=lambda text: visible(str(text)),
    )
    return environment


_ENVIRONMENT: Final = _made()
