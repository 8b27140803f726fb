"""Copy a list from a web server to a file, in a child process that connects to public and allowed addresses only.

Run as ``python -m curation.sources.list_fetch REQUEST.json``. The guard (`curation.sources.address_guard`) can't be
undone and covers redirects, so it needs a process of its own, as a download does.
"""

from __future__ import annotations

import json
import os
import sys
import urllib.request
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Final
from urllib.error import HTTPError

from curation.sources.address_guard import REFUSAL, guard_connections
from runtime.errors import UserError, one_line
from runtime.processes import ProcessFailed, ProcessTimeout, python_environment, run
from runtime.retry_limits import DOWNLOAD_SOCKET_TIMEOUT, LIST_SECONDS
from shards.storage.storage_errors import StorageError
from shards.storage.url_secrets import without_secrets

_GONE: Final = (HTTPStatus.NOT_FOUND, HTTPStatus.GONE)
_PIECE: Final = 1 << 20


@dataclass(frozen=True)
class _Request:
    url: str
    target: str
    max_bytes: int
    allowed: Sequence[str]


def fetch_list(url: str, target: Path, *, max_bytes: int, allowed: Sequence[str]) -> None:
    """Copy the list at an http(s) URL to a new file.

    Args:
        url: may hold a token, so that it reaches the child in a file and not in its arguments.
        target: a new file, in a folder of the caller alone.
        max_bytes: the copy ends one piece after so many bytes.
        allowed: networks in CIDR form that are permitted although they are not public.

    Raises:
        FileNotFoundError: the server answered that there is no such list.
        UserError: the URL, or one that it redirects to, is at an address that is not permitted.
        StorageError: the server failed, or can't be reached.
    """
    request, shown = target.with_suffix(".request"), without_secrets(url)
    request.write_text(json.dumps(asdict(_Request(url, str(target), max_bytes, allowed))), encoding="utf-8")
    args: list[str | Path] = [sys.executable, "-P", "-m", __name__, request]
    try:
        answer = json.loads(run(args, timeout=LIST_SECONDS.seconds, env=python_environment()).stdout)
    except (ProcessFailed, ProcessTimeout, ValueError) as error:
        raise StorageError(shown, one_line(error)) from None
    if answer["missing"]:
        raise FileNotFoundError(url)
    if (reason := answer["error"]) is None:
        return
    if REFUSAL in reason:
        said = reason[reason.index("refused: ") :].partition(f" {REFUSAL}")[0]
        raise UserError(f"--input {shown}: {said}; media.download.allow_private_addresses permits it")
    raise StorageError(shown, f"can't be read ({without_secrets(reason)})")


def _fetch(request: _Request) -> dict[str, object]:
    """Copy the list, and return the answer for the parent process."""
    guard_connections(request.allowed, urllib.request.getproxies().values())
    handlers = ("ProxyHandler", "HTTPHandler", "HTTPSHandler", "HTTPDefaultErrorHandler", "HTTPRedirectHandler")
    opener = urllib.request.OpenerDirector()  # without the handlers of files and of FTP, which a redirect may name
    for name in (*handlers, "HTTPErrorProcessor", "UnknownHandler"):
        opener.add_handler(getattr(urllib.request, name)())
    missing, reason = False, None
    try:
        with (
            opener.open(request.url, timeout=DOWNLOAD_SOCKET_TIMEOUT.seconds) as source,
            Path(request.target).open("wb") as copy,
        ):
            while copy.tell() <= request.max_bytes and (piece := source.read(_PIECE)):
                copy.write(piece)
    except HTTPError as error:
        missing, reason = error.code in _GONE, f"HTTP status {error.code}"
    except (OSError, ValueError) as error:
        reason = one_line(error, named=True)
    return {"missing": missing, "error": reason}


if __name__ == "__main__":
    path = Path(sys.argv[1])
    own = _Request(**json.loads(path.read_text(encoding="utf-8")))
    path.unlink()
    answer = json.dumps(_fetch(own))
    os.write(1, answer.encode())
