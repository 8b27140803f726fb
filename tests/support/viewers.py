"""The viewer of a DIR as a client asks it, and changes to the texts of a DIR for it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
from starlette.testclient import TestClient

from curation.view.browser.server import viewer_app
from curation.view.browser.viewed_dir import ViewedDir
from shards.reader import read_artifact, read_table
from shards.storage.store import Store
from shards.writer import commit_table

ADDRESS = "http://127.0.0.1:8765"


@contextmanager
def viewing(store: Store, layer: str | None = None, *, token: str | None = None) -> Iterator[TestClient]:
    """Give a client of the viewer of a DIR."""
    app = viewer_app(ViewedDir.open(store.root, layer, None), token)
    with TestClient(app, base_url=ADDRESS, headers={"host": "127.0.0.1:8765"}) as client:
        yield client


def change_rows(store: Store, name: str, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the rows of a table in place; its record stays."""
    table, record = read_table(store, name), read_artifact(store, name)
    rows = table.to_pylist()
    for row in rows:
        change(row)
    with TemporaryDirectory() as scratch:
        changed = pa.Table.from_pylist(rows, schema=table.schema.remove_metadata())
        commit_table(store, Path(scratch), name, changed, record)


def clip_links(page: str) -> list[str]:
    """Return the addresses of the clips of a browse page, in its order."""
    return [link.replace("&amp;", "&") for link in re.findall(r'href="(/clip/[^"]+)"', page)]
