"""The app of the viewer: its addresses, its static files, and the page that tells of a mistake."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from curation.view.browser.media.media_responses import still_response, video_response
from curation.view.browser.page_templates import rendered
from curation.view.browser.pages.audit_pages import audit_figures_page, audit_page, read_labels, write_label
from curation.view.browser.pages.browse import browse_page
from curation.view.browser.pages.card import card_page
from curation.view.browser.pages.clip import clip_page
from curation.view.browser.pages.duplicates import duplicates_page
from curation.view.browser.pages.runs import runs_page
from curation.view.browser.pages.search import search_page
from curation.view.browser.request_guard import RequestGuard
from curation.view.browser.viewed_dir import ViewedDir, viewed
from runtime.errors import UserError
from shards.errors import ShardError

_STATIC: Final = Path(__file__).parent / "static"


def viewer_app(opened: ViewedDir, token: str | None = None) -> Starlette:
    """Return the app that shows a DIR.

    Args:
        opened: the DIR.
        token: that visitors need; None: requests to this machine's own names are answered without one.
    """
    app = Starlette(
        routes=[
            Route("/", _to_browse, methods=["GET"]),
            Route("/browse", browse_page, methods=["GET"]),
            Route("/clip/{key}", clip_page, methods=["GET"]),
            Route("/audit", audit_page, methods=["GET"]),
            Route("/audit/figures", audit_figures_page, methods=["GET"]),
            Route("/audit/labels", read_labels, methods=["GET"]),
            Route("/audit/labels", write_label, methods=["POST"]),
            Route("/search", search_page, methods=["GET"]),
            Route("/duplicates", duplicates_page, methods=["GET"]),
            Route("/runs", runs_page, methods=["GET"]),
            Route("/card", card_page, methods=["GET"]),
            Route("/media/{shard:int}/{root_key}.mp4", _video, methods=["GET"]),
            Route("/stills/{shard:int}/{root_key}/{ms:int}.jpg", _still, methods=["GET"]),
            Mount("/static", StaticFiles(directory=_STATIC)),
        ],
        middleware=[Middleware(RequestGuard, token=token)],
        exception_handlers={UserError: _mistake, ShardError: _mistake, HTTPException: _refused},
        lifespan=_closing,
    )
    app.state.viewed = opened
    return app


@asynccontextmanager
async def _closing(app: Starlette) -> AsyncIterator[None]:
    yield
    app.state.viewed.tables.close()


def _to_browse(request: Request) -> Response:
    return RedirectResponse("/browse", 302)


def _video(request: Request) -> Response:
    return video_response(request, viewed(request).roots)


def _still(request: Request) -> Response:
    return still_response(request, viewed(request).roots)


def _mistake(request: Request, error: Exception) -> Response:
    """Answer a value that can't be, or a damaged table, with one line."""
    if request.method == "POST":
        return PlainTextResponse(str(error), 400)
    return rendered(
        request, "mistake.html.jinja", status=400 if isinstance(error, UserError) else 500, message=str(error)
    )


def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    answer = rendered(request, "mistake.html.jinja", status=error.status_code, message=error.detail)
    answer.headers.update(error.headers or {})
    return answer
