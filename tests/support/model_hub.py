"""A model hub on loopback: repositories whose branch `main` can move, at the edge of the network for tests.

    with ModelHub() as hub:
        hub.publish("org/model", COMMIT, {"config.json": b"{}"})

The hub's client reads its address when it is imported: run it in a process with `hub_environment`.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple, Self

from support.waiting import PATIENCE


class _Commit(NamedTuple):
    sha: str
    files: Mapping[str, bytes]


class ModelHub:
    """The server, as a context manager; `requests` keeps the paths that were asked for, in order."""

    def __init__(self) -> None:
        self.requests: list[str] = []
        self._repositories: dict[str, list[_Commit]] = {}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def port(self) -> int:
        """Port on loopback."""
        return int(self._server.server_address[1])

    def publish(self, name: str, commit: str, files: Mapping[str, bytes]) -> None:
        """Add a commit to the repository `name`, and move `main` to it."""
        self._repositories.setdefault(name, []).append(_Commit(commit, files))

    def find(self, name: str, revision: str) -> _Commit | None:
        """Return a commit by its hash or as `main`; None if there is none."""
        commits = self._repositories.get(name, [])
        return next((commit for commit in reversed(commits) if revision in ("main", commit.sha)), None)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def hub_environment(port: int, home: Path) -> dict[str, str]:
    """Return the variables of a process whose model hub is at a port of loopback, with its cache in `home`."""
    return {
        "HF_ENDPOINT": f"http://127.0.0.1:{port}",
        "HF_HOME": str(home),
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DOWNLOAD_TIMEOUT": str(int(PATIENCE)),
        "HF_HUB_ETAG_TIMEOUT": str(int(PATIENCE)),
        "HF_HUB_DISABLE_XET": "1",
    }


def _handler(hub: ModelHub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(body=True)

        def do_HEAD(self) -> None:
            self._answer(body=False)

        def _answer(self, *, body: bool) -> None:
            path = self.path.partition("?")[0]
            hub.requests.append(path)
            parts = path.strip("/").split("/")
            if parts[:2] == ["api", "models"]:
                self._describe("/".join(parts[2:4]), parts[4:], body)
            elif parts[2:3] == ["resolve"]:
                commit = hub.find("/".join(parts[:2]), parts[3])
                name = "/".join(parts[4:])
                self._send(commit, None if commit is None else commit.files.get(name), body)
            else:
                self._send(None, None, body)

        def _describe(self, name: str, rest: list[str], body: bool) -> None:
            """Answer with a repository's facts, or with its tree of files."""
            commit = hub.find(name, rest[1] if len(rest) > 1 else "main")
            if commit is None:
                self._send(None, None, body)
                return
            tree = [{"type": "file", "path": f, "size": len(d), "oid": "0" * 40} for f, d in commit.files.items()]
            siblings = [{"rfilename": file} for file in commit.files]
            facts = {"id": name, "sha": commit.sha, "siblings": siblings}
            self._send(commit, json.dumps(tree if rest[:1] == ["tree"] else facts).encode(), body)

        def _send(self, commit: _Commit | None, data: bytes | None, body: bool) -> None:
            self.send_response(404 if data is None else 200)
            data = data or b""
            self.send_header("Content-Length", str(len(data)))
            self.send_header("ETag", f'"{hashlib.sha1(data).hexdigest()}"')
            if commit is None:
                self.send_header("X-Error-Code", "RepoNotFound")
            else:
                self.send_header("X-Repo-Commit", commit.sha)
            self.end_headers()
            if body:
                self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    return Handler
