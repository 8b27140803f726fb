"""The report that `curate card` wrote into the DIR, as it is: a page without scripts, which loads nothing."""

from __future__ import annotations

from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from curation.view.browser.viewed_dir import viewed
from shards.card_files import REPORT, is_own

_POLICY: Final = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'"
"""The report's style is inside it; whatever else its file may hold has no effect."""


def card_page(request: Request) -> Response:
    """Return the report.

    Raises:
        HTTPException: the DIR holds no report of a card.
    """
    store = viewed(request).store
    if not store.exists(REPORT) or not is_own(store, REPORT):
        raise HTTPException(404, "this folder has no card yet; write one with: curate card DIR")
    return HTMLResponse(store.read_bytes(REPORT), headers={"Content-Security-Policy": _POLICY})
