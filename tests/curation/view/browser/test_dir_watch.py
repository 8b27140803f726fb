"""A DIR that grows while it is viewed: new shards, another selection, damage."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient
from support.selections import select
from support.shard_factory import LAYER, add_shard, build_dir
from support.viewers import viewing

from curation.view.browser import dir_watch
from shards.storage.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return build_dir(tmp_path / "out", shards=1)


@pytest.fixture
def client(store: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    """A viewer that looks at every request."""
    monkeypatch.setattr(dir_watch, "LOOK_SECONDS", 0.0)
    with viewing(store) as client:
        yield client


def clips(client: TestClient, filters: str = "") -> int:
    """The clips that the page counts after the viewer has looked at the DIR."""
    thread = client.app.state.viewed.watch.look()  # type: ignore[attr-defined]
    if thread is not None:
        thread.join()
    found = re.search(r"<b>([\d,]+)</b> clip", client.get(f"/browse?{filters}").text)
    assert found is not None
    return int(found[1])


def test_a_new_shard_and_its_marks_are_shown_without_a_restart(
    store: Store, client: TestClient, tmp_path: Path
) -> None:
    before = clips(client), clips(client, "keep=kept"), clips(client, "text=wall")
    add_shard(store, tmp_path, 1)
    assert clips(client) == 2 * before[0]
    assert clips(client, "keep=unmarked") == before[0]
    select(store, LAYER)
    assert clips(client, "keep=kept") == 2 * before[1]
    assert clips(client, "text=wall") == 2 * before[2]


def test_nothing_is_read_anew_while_nothing_changes(
    store: Store, client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(client.app.state.viewed.tables), "refresh", None)  # type: ignore[attr-defined]
    assert clips(client) == clips(client) > 0


def test_clips_stay_while_a_table_is_damaged(store: Store, client: TestClient) -> None:
    before = clips(client)
    Path(store.path("text/grounded/0000001.parquet")).write_bytes(b"PAR1 no table PAR1")
    assert clips(client) == before
    Path(store.path("text/grounded/0000001.parquet")).unlink()
    assert clips(client) == before


def test_it_looks_no_more_often_than_the_bound(store: Store) -> None:
    with viewing(store) as client:
        assert client.app.state.viewed.watch.look() is None  # type: ignore[attr-defined]
