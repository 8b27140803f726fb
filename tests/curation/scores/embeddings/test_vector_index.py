"""The index over stored vectors: its searches against exact ones, growth, and what makes it out of date."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from support.curate_runs import curate
from support.shard_factory import add_shard, build_dir
from support.stored_vectors import add_vectors
from support.viewers import viewing

from curation.scores.embeddings import vector_index
from curation.scores.embeddings.vector_index import build_index, open_index, vector_count
from curation.view.browser.queries.similar_clips import nearest_clips, search_way, stored_vectors
from curation.view.browser.view_command import build_indexes
from runtime.errors import UserError
from runtime.terminal import SafeConsole
from shards.errors import ShardError
from shards.scores.score_set import ScoreSet
from shards.storage.store import Store


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A DIR with vectors, for which a few are many."""
    monkeypatch.setattr(vector_index, "EXACT_LIMIT", 5)
    store = build_dir(tmp_path / "out", shards=2)
    add_vectors(store, tmp_path)
    return store


def built(store: Store) -> vector_index.IndexRecord:
    return build_index(ScoreSet.open(store, "demo"), "clip", lambda done, total: None)


def test_a_search_by_the_index_gives_what_comparing_each_gives(store: Store) -> None:
    vectors = stored_vectors(store)["demo.clip"]
    to = np.ones(vectors.fact.width, np.float32) / np.sqrt(vectors.fact.width, dtype=np.float32)
    assert search_way(vectors).needs_index
    exact = nearest_clips(vectors, search_way(vectors), to, 6)
    record, way = built(store), search_way(vectors)
    assert (record.vectors, record.recall, record.least_recall) == (20, 1.0, 1.0)
    assert way.index is not None and way.vectors == vector_count(vectors.scored, "clip") == 22
    found = nearest_clips(vectors, way, to, 6)
    assert list(found) == list(exact)
    assert list(found.values()) == pytest.approx(list(exact.values()), abs=2e-3)


def test_new_shards_are_added_and_until_then_the_index_is_not_used(store: Store, tmp_path: Path) -> None:
    first = built(store)
    add_shard(store, tmp_path, 2)
    add_vectors(store, tmp_path)
    scored = ScoreSet.open(store, "demo")
    assert open_index(scored, "clip") is None
    grown = built(store)
    assert grown.vectors == 30 and first.digests.items() <= grown.digests.items()
    assert open_index(scored, "clip") is not None


def test_the_page_says_how_it_searches_and_which_command_builds_the_index(store: Store) -> None:
    with viewing(store) as client:
        assert f"<code>curate view {store.root} --index</code>" in client.get("/search").text
        build_indexes(store, SafeConsole())
        page = client.get("/search").text
        assert "it finds 100.0% of the 48 nearest" in page
        key = re.findall(r"/clip/([0-9a-f_]+)", client.get("/browse").text)[0]
        assert "cosine 1.000" in client.get(f"/search?like={key}").text


def test_an_index_that_is_cut_or_no_index_is_not_used_or_named(store: Store) -> None:
    built(store)
    path = Path(store.path("scores/demo/index/clip.usearch"))
    whole = path.read_bytes()
    path.write_bytes(whole[:-8])
    assert open_index(ScoreSet.open(store, "demo"), "clip") is None
    path.write_bytes(b"x" * len(whole))
    with pytest.raises(ShardError, match=r"clip\.usearch: is no index"):
        open_index(ScoreSet.open(store, "demo"), "clip")
    store.commit_bytes(b"{}", "scores/demo/index/clip.json")
    with pytest.raises(ShardError, match="no record of an index"):
        open_index(ScoreSet.open(store, "demo"), "clip")


def test_a_dir_in_an_object_store_and_one_without_vectors_are_refused(tmp_path: Path) -> None:
    remote = build_dir("memory://vectors/out", shards=1)
    add_vectors(remote, tmp_path)
    with pytest.raises(UserError, match="object store"):
        built(remote)
    with pytest.raises(UserError, match="has no vectors"):
        build_indexes(build_dir(tmp_path / "out", shards=1), SafeConsole())


def test_a_check_passes_and_a_removal_deletes_the_index(store: Store) -> None:
    built(store)
    assert curate("check", store.root, "--quick").status == 0
    ended = curate("remove", store.root, "--urls", "https://example.org/0-0", "--reason", "test")
    assert ended.status == 0 and "scores/demo/index" in ended.out
    assert not Path(store.path("scores/demo/index")).exists()
