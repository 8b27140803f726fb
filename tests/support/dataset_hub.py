"""A model hub on loopback that takes uploads of datasets and models, at the edge of the network for tests.

It speaks the parts of the hub's API that the client's `upload_folder` uses: repositories, branches, regular files in
commits, large files by the LFS protocol.

    with DatasetHub() as hub:
        hub.tokens = {"hf_writer"}
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

import pytest
from huggingface_hub import constants

from runtime.models import hub_push

Files = dict[str, bytes]
REPOSITORY = re.compile(r"/(?:api/)?(?:datasets/|models/)?([^/]+/[^/.]+)(\.git/info/lfs/objects/batch|/.*)?")


@dataclass
class Repository:
    """A repository: files by branch."""

    private: bool = False
    branches: dict[str, Files] = field(default_factory=lambda: {"main": {}})
    commits: int = 0


class DatasetHub:
    """The server, as a context manager."""

    def __init__(self) -> None:
        self.tokens: set[str] = set()
        self.readers: set[str] = set()
        """Tokens that may not write."""
        self.repositories: dict[str, Repository] = {}
        self.stored: Files = {}
        """Large files by SHA-256."""
        self.large: tuple[str, ...] = (".parquet", ".tar", ".mp4", ".lance")
        """Endings of the names of large files."""
        self.puts: Counter[str] = Counter()
        """Uploads of each large file, by SHA-256."""
        self.fault: Callable[[str, str], int | None] = lambda method, path: None
        """Returns the status to refuse a request with, or None."""
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def url(self) -> str:
        """Address on loopback."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def answer(self, method: str, path: str, token: str, body: bytes) -> tuple[int, Any]:
        """Return the status and the content (JSON, or bytes) of an answer."""
        if (status := self.fault(method, path)) is not None:
            return status, {"error": "out of order"}
        if path.startswith("/lfs/"):
            oid = path.removeprefix("/lfs/")
            self.puts[oid] += 1
            self.stored[hashlib.sha256(body).hexdigest()] = body
            return (200, {}) if oid in self.stored else (400, {"error": "another hash"})
        if token not in self.tokens | self.readers:
            return 401, {"error": "Invalid credentials"}
        if path == "/api/whoami-v2":
            return 200, {"name": "me", "type": "user"}
        if path == "/api/validate-yaml":
            return 200, {"warnings": [], "errors": []}
        if token in self.readers and method == "POST":
            return 403, {"error": "You don't have the rights"}
        if path == "/api/repos/create":
            return self._create(json.loads(body))
        if found := REPOSITORY.fullmatch(path):
            repository = self.repositories.get(found[1])
            return (404, {"error": "not found"}) if repository is None else self._ask(repository, found[2] or "", body)
        return 404, {"error": f"{method} {path}"}

    def _create(self, wanted: dict[str, Any]) -> tuple[int, Any]:
        name = f"{wanted['organization']}/{wanted['name']}"
        url = {"url": f"{self.url}/{name if wanted.get('type') in (None, 'model') else f'datasets/{name}'}"}
        if name in self.repositories:
            return 409, url
        self.repositories[name] = Repository(
            private=wanted.get("visibility") == "private" or wanted.get("private", False)
        )
        return 200, url

    def _ask(self, repository: Repository, rest: str, body: bytes) -> tuple[int, Any]:
        if rest.endswith("/batch"):
            objects = [self._lfs_object(each) for each in json.loads(body)["objects"]]
            return 200, {"transfer": "basic", "objects": objects}
        kind, revision, name, *_ = *rest.strip("/").split("/", 2), "", "", ""
        if kind == "branch":
            if revision in repository.branches:
                return 409, {"error": "exists"}
            repository.branches[revision] = dict(repository.branches["main"])
            return 200, {}
        files = repository.branches.get(revision or "main")
        if files is None:
            return 404, {"error": "no such revision"}
        match kind:
            case "tree":
                return 200, [{"type": "file", "path": p, "size": len(d), "oid": _git_oid(d)} for p, d in files.items()]
            case "preupload":
                return 200, {"files": [self._mode(each["path"], files) for each in json.loads(body)["files"]]}
            case "commit":
                self._commit(files, body)
                repository.commits += 1
                return 200, {"commitUrl": f"{self.url}/datasets/a/b/commit/{revision}", "commitOid": "0" * 40}
            case "resolve":
                return (200, files[name]) if name in files else (404, {"error": "no file"})
        siblings = [{"rfilename": path} for path in files]
        return 200, {"id": "repository", "sha": "0" * 40, "private": repository.private, "siblings": siblings}

    def _commit(self, files: Files, body: bytes) -> None:
        for line in map(json.loads, body.splitlines()):
            value = line["value"]
            match line["key"]:
                case "file":
                    files[value["path"]] = base64.b64decode(value["content"])
                case "lfsFile":
                    files[value["path"]] = self.stored[value["oid"]]
                case "deletedFile":
                    del files[value["path"]]

    def _mode(self, path: str, files: Files) -> dict[str, Any]:
        oid = None
        if path in files:
            data = files[path]
            oid = hashlib.sha256(data).hexdigest() if path.endswith(self.large) else _git_oid(data)
        mode = "lfs" if path.endswith(self.large) else "regular"
        return {"path": path, "uploadMode": mode, "shouldIgnore": False, "oid": oid}

    def _lfs_object(self, wanted: dict[str, Any]) -> dict[str, Any]:
        if wanted["oid"] in self.stored:
            return wanted
        return wanted | {"actions": {"upload": {"href": f"{self.url}/lfs/{wanted['oid']}"}}}


def _git_oid(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def _handler(hub: DatasetHub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
            status, content = hub.answer(self.command, self.path.partition("?")[0], token, body)
            data = content if isinstance(content, bytes) else json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.send_header("X-Repo-Commit", "0" * 40)
            self.send_header("ETag", f'"{_git_oid(data)}"')
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data)

        do_GET = do_HEAD = do_POST = do_PUT = _answer

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    return Handler


@contextmanager
def hub_of_the_client(monkeypatch: pytest.MonkeyPatch, folder: Path, token: str) -> Iterator[DatasetHub]:
    """A hub that the client takes for its own; large files go by LFS, as the stand-in has no Xet storage."""
    with DatasetHub() as server:
        server.tokens = {token}
        monkeypatch.setattr(constants, "ENDPOINT", server.url)
        monkeypatch.setattr(
            constants, "HUGGINGFACE_CO_URL_TEMPLATE", server.url + "/{repo_id}/resolve/{revision}/{filename}"
        )
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(folder / "no-token"))
        monkeypatch.setenv("HF_TOKEN", token)
        monkeypatch.setattr(hub_push, "HUB_UPLOAD_BACKOFF", replace(hub_push.HUB_UPLOAD_BACKOFF, default=0.01))
        monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda seconds: None)
        yield server
