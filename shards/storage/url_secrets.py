"""User names and passwords in URLs, whole or malformed: kept out of messages, and out of what is stored."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote

_SECRETS: Final = re.compile(
    r"(?P<scheme>(?>(?:[A-Za-z][A-Za-z0-9+.-]*:/+)?))"  # also with a slash too few
    r"[^\s/:@'\"=(]*:(?!/)(?!\d+/)"  # a user and a colon, which begins neither a path nor a path after a port
    r"(?:[^\s/]*@|[^\s@]*@)"  # a password; keys of S3 hold slashes
)
_TOKEN: Final = re.compile(
    r"token|secret|signature|passw|credential|session|api.?key|access.?key|auth|^(sig|key|pwd|jwt|policy|expires|hdnts?)$"
    r"|^x-(amz|goog|ms)-",
    re.IGNORECASE,
)
"""Names of parameters by which sites grant access for a while."""
_USER_INFO: Final = re.compile(r"^(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*://)[^/?#\s]*@")


def without_secrets(text: str) -> str:
    """Return a text, such as a message, with ``***`` for each user and password in front of an ``@``."""
    return _SECRETS.sub(r"\g<scheme>***@", text)


def has_secrets(url: str) -> bool:
    """Return True if a URL holds a password, or looks as if it did."""
    return _SECRETS.match(url) is not None


def without_user(url: str) -> str:
    """Return a URL without its user and password, to be stored."""
    return _USER_INFO.sub(r"\g<scheme>", url, count=1)


def without_tokens(url: str) -> str:
    """Return a URL without the parameters that grant access, such as a signature, and without its fragment."""
    address, _, query = url.partition("#")[0].partition("?")
    kept = [pair for pair in query.split("&") if pair and not _TOKEN.search(unquote(pair.partition("=")[0]))]
    return f"{address}?{'&'.join(kept)}" if kept else address
