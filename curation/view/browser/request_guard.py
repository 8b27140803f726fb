"""Which requests are answered: only those of our own pages, and elsewhere than on this machine only with the token.

A page of another site must not read the DIR through the visitor's browser. On loopback, the host in the request has to
be this machine's (a foreign name that resolves to it is refused: DNS rebinding); elsewhere the token is needed, which a
cookie holds after the first visit. Requests that another site's page makes are refused, and so is each write without
the origin of our own pages.
"""

from __future__ import annotations

import hmac
import ipaddress
from typing import Final
from urllib.parse import urlencode, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; img-src 'self'; media-src 'self'; style-src 'self'; "
    "script-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
_READS: Final = ("GET", "HEAD")
_WRITES: Final = {"POST": ("/audit/labels",)}
"""Addresses that change something, by method: labels, and nothing else."""
_TOKEN: Final = "token"  # noqa: S105  the name of a parameter


class RequestGuard:
    """ASGI middleware that refuses foreign requests and adds the headers of security to each answer."""

    def __init__(self, app: ASGIApp, token: str | None = None) -> None:
        """Wrap `app`.

        Args:
            app: what answers.
            token: that visitors need; None: only requests to this machine's own names are answered.
        """
        self._app = app
        self._token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)  # the page of a card has a stricter policy of its own
            await send(message)

        refusal = self._refusal(Request(scope))
        await (self._app if refusal is None else refusal)(scope, receive, send_guarded)

    def _refusal(self, request: Request) -> Response | None:
        """Return the answer that refuses a request; None if it may pass."""
        host = request.headers.get("host", "")
        if self._token is None and not is_loopback(_name_of(host)):
            return PlainTextResponse(f"host {host!r} is not served here; open the address that was printed", 421)
        if not _is_own(request.headers, host, needs_origin=request.method not in _READS):
            return PlainTextResponse("refused: the request comes from another site", 403)
        if request.method not in _READS and request.url.path not in _WRITES.get(request.method, ()):
            return PlainTextResponse("refused: this viewer reads only", 405)
        return None if self._token is None else self._asked_for_token(request, self._token)

    def _asked_for_token(self, request: Request, token: str) -> Response | None:
        cookie = f"curate_view_{request.url.port or 80}"
        if _same(request.cookies.get(cookie), token):
            return None
        if not _same(request.query_params.get(_TOKEN), token):
            return PlainTextResponse("refused: open the address that was printed, with its token", 401)
        rest = urlencode([(name, value) for name, value in request.query_params.multi_items() if name != _TOKEN])
        answer = RedirectResponse(f"{request.url.path}?{rest}" if rest else request.url.path, 303)
        answer.set_cookie(cookie, token, httponly=True, samesite="strict")
        return answer


def is_loopback(host: str) -> bool:
    """Return True for the names and addresses by which a machine reaches itself."""
    try:
        return host.lower() == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _name_of(host: str) -> str:
    """Return the name in a Host header, without the port; "" for one that can't be read."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _is_own(headers: Headers, host: str, *, needs_origin: bool) -> bool:
    origin = headers.get("origin")
    if origin is not None:
        return urlsplit(origin).netloc == host and origin.startswith(("http://", "https://"))
    site = headers.get("sec-fetch-site", "none")
    if needs_origin:
        return False
    # A link from elsewhere may open a page; no other site may embed or fetch anything.
    return site in ("none", "same-origin") or headers.get("sec-fetch-mode") == "navigate"


def _same(given: str | None, token: str) -> bool:
    return given is not None and hmac.compare_digest(given.encode(), token.encode())
