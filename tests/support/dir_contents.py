"""The content of a DIR as tests compare it: files, rows, states of sources, and invariants of clips and texts."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

from support.model_replies import INJECTED, INVENTED

from curation.prompts.wording import in_sentences
from shards.reader import media_shards, read_table
from shards.schema import REWRITE_STATUSES, STATES, TEXT
from shards.sources.source_parts import SourceParts
from shards.storage.store import Store
from shards.storage.tar import members

Snapshot = dict[str, tuple[str, int]]
"""Hash and time of change of each file, by name."""


def snapshot(folder: Path) -> Snapshot:
    """Return hash and time of change of every file that a run commits (without log, lock and cache), by name."""
    found: Snapshot = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and not name.startswith(("log/", ".scratch/", ".lock", ".artifacts")):
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns
    return found


def all_rows(store: Store, folder: str) -> list[dict[str, Any]]:
    """Return the rows of every table of a folder, in order."""
    names = sorted(name for name in store.list(folder) if name.endswith(".parquet"))
    return [row for name in names for row in read_table(store, f"{folder}/{name}").to_pylist()]


def shape(store: Store, layer: str) -> dict[str, Any]:
    """Return keys, members and columns of a DIR: equal for two runs over the same input."""
    tars = [f"{kind}/{name}" for kind in ("media", "keyframes") for name in store.list(kind) if name.endswith(".tar")]
    texts = sorted(name for name in store.list(f"text/{layer}") if name.endswith(".parquet"))
    return {
        "clips": [(row["key"], row["parent_key"], row["level"], row["subtitle"]) for row in all_rows(store, "media")],
        "members": {tar: [(member.name, member.size) for member in members(store, tar)] for tar in tars},
        "texts": {name: read_table(store, f"text/{layer}/{name}", ["key"])["key"].to_pylist() for name in texts},
        "columns": {name: read_table(store, f"text/{layer}/{name}").schema.names for name in texts},
    }


def latest_states(store: Store) -> Counter[str]:
    """Count the sources by state, from the ledgers of committed shards."""
    ledger = {
        (row["source"], row["start"], row["shard"]): row["state"]
        for shard in media_shards(store)
        for row in read_table(store, f"ledger/{shard:07d}.parquet").to_pylist()
    }
    last: dict[tuple[Any, ...], dict[str, Any]] = {}
    for row in SourceParts(store).table().to_pylist():  # appended in order of attempts
        last[row["source"], row["start"]] = row
    counts = Counter(ledger.get((*name, row["shard"]), "pending") for name, row in last.items())
    assert set(counts) <= set(STATES)
    assert counts.total() == len(last)
    return counts


def assert_texts_hold(store: Store, layer: str) -> Counter[str]:
    """Assert the invariants of a text layer, which hold for any model; return the clips by `rewrite_status`."""
    names = sorted(name for name in store.list(f"text/{layer}") if name.endswith(".parquet"))
    assert names
    for name in names:
        assert read_table(store, f"text/{layer}/{name}").schema.equals(TEXT, check_metadata=False)
        media = read_table(store, f"media/{name}", ["key"])["key"].to_pylist()
        assert read_table(store, f"text/{layer}/{name}", ["key"])["key"].to_pylist() == media
    rows = all_rows(store, f"text/{layer}")
    for row in rows:
        _assert_text_holds(row)
    return Counter(row["rewrite_status"] for row in rows)


def _assert_text_holds(row: Mapping[str, Any]) -> None:
    assert row["rewrite_status"] in REWRITE_STATUSES
    frames = {f"frame@{frame['time']}" for frame in row["frame_captions"]}
    kept = [claim for claim in row["claims"] if claim["verdict"] == "supported"]
    for claim in kept:
        assert frames & set(claim["evidence"]), "a supported claim cites a frame caption"
    if row["rewrite_status"] == "ok":
        assert row["grounded_text"] == in_sentences(claim["text"] for claim in kept)
        assert 0 < row["grounding_score"] <= 1
    else:
        assert row["grounding_score"] is None
    if row["rewrite_status"] == "fallback":
        assert row["grounded_text"] == row["caption"]
    if row["rewrite_status"] in ("abstained", "failed"):
        assert row["grounded_text"] is None
    kept_texts = [row[name] or "" for name in ("grounded_text", "caption_summary")]
    for invented in (INVENTED, INJECTED):
        assert not any(invented.casefold().rstrip(".") in text.casefold() for text in kept_texts)


def assert_trees_nest(rows: Iterable[Mapping[str, Any]]) -> None:
    """Assert that children tile their parent, and that levels grow towards the root."""
    order = {"short": 0, "medium": 1, "long": 2}
    listed = list(rows)
    by_key = {row["key"]: row for row in listed}
    assert len(by_key) == len(listed), "no key twice"
    for row in listed:
        children = [child for child in listed if child["parent_key"] == row["key"]]
        if children:
            assert [children[0]["start"], children[-1]["end"]] == [row["start"], row["end"]]
            assert all(a["end"] == b["start"] for a, b in pairwise(children))
        if row["parent_key"]:
            assert order[row["level"]] < order[by_key[row["parent_key"]]["level"]]
