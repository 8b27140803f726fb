"""A DIR with every kind of folder that a removal has to go through, and what is left of it."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console
from support.audits import claim, set_claims
from support.feature_sets import write_features
from support.known_videos import add_videos
from support.shard_factory import CAPTION_SET, LAYER, build_dir

from curation.grounding.audit.audit_records import LABELS, Label, label_table
from curation.grounding.measurement.control_figures import ControlFigure, figures_table
from curation.view.audit.audit_command import Audit
from curation.view.injected.injected_report import write_table
from shards.artifact import Artifact
from shards.index import rebuild_index
from shards.keys import shard_name, video_id
from shards.manifest import StageMark, write_stage
from shards.reader import committed_media, read_artifact, read_table
from shards.removal.traces import all_files
from shards.schema import CONTAMINATION, DUPLICATES
from shards.scores.score_writer import ShardScores, commit_scores, score_schema
from shards.storage.store import Store
from shards.storage.tar import members
from shards.writer import commit_table

GONE_URL = "https://example.org/0-0"
"""The source that tests remove; its video is in shard 0, and has speech."""
GONE = video_id(GONE_URL)
STAYS_URL = "https://example.org/0-1"
STAYS = video_id(STAYS_URL)


def full_dir(root: str | Path, shards: int = 2, audited: int = 40) -> Store:
    """Build a DIR with all kinds of tables, arrays, pages and logs; names of videos are in all of them.

    In an object store there are no features and no logs. `audited` clips are drawn for an audit; 0: there is none.
    """
    store = build_dir(root, shards=shards, videos_per_shard=2)
    set_claims(store, LAYER, lambda row: [claim(f"a wall of {row['key']}"), claim("a wall", "unsupported")])
    _relink(store)
    add_videos(store, _known)
    with TemporaryDirectory() as folder:
        scratch = Path(folder)
        for shard in range(shards):
            _add_tables(store, scratch, shard)
        _add_whole_tables(store, scratch)
        if audited:
            _add_audit(store, scratch, audited)
    if store.is_local:
        write_features(root)
        for name in ("log/run-1/worker.log", ".scratch/media-0000000/0000/page.json", "features/.scratch-x/0.tmp"):
            path = Path(root) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"download {GONE_URL} ({GONE}), title The secret title")
    return store


def _relink(store: Store) -> None:
    """Record the present digests of the texts in the selection, as a run would."""
    name = f"selections/{LAYER}.parquet"
    record = read_artifact(store, name)
    inputs = {text: read_artifact(store, text).digest for text in record.inputs}
    with TemporaryDirectory() as scratch:
        made = Artifact(record.stage, record.content_hash, inputs=inputs)
        commit_table(store, Path(scratch), name, read_table(store, name), made)


def _known(root: dict[str, Any]) -> dict[str, Any]:
    name = root["source"][-3:]
    title = "The secret title" if root["video_id"] == GONE else "A title"
    by = {"video_uploader": f"Uploader of {name}", "video_uploader_url": "https://example.org/@u"}
    return {"video_title": title, "video_url": root["source"], "video_site": "example", "video_site_id": name} | by


def _clips(store: Store, shard: int) -> list[dict[str, Any]]:
    return list(read_table(store, f"media/{shard_name(shard)}.parquet").to_pylist())


def _add_tables(store: Store, scratch: Path, shard: int) -> None:
    """Add a replaced layer that was left behind, and scores with vectors."""
    stem, clips = shard_name(shard), _clips(store, shard)
    media = read_artifact(store, f"media/{stem}.parquet")
    made_from = {f"media/{stem}.parquet": media.digest}
    text = f"text/{LAYER}/{stem}.parquet"
    hidden = f"text/.{LAYER}-12345678/{stem}.parquet"
    commit_table(store, scratch, hidden, read_table(store, text), read_artifact(store, text))
    rows = [{"key": clip["key"], "shard": shard, "motion": float(row)} for row, clip in enumerate(clips)]
    vectors = np.arange(4 * len(clips), dtype=np.float16).reshape(len(clips), 4)
    made = ShardScores(shard, pa.Table.from_pylist(rows, score_schema({"motion": pa.float32()})), {"looks": vectors})
    inputs = made_from | {text: read_artifact(store, text).digest}
    commit_scores(store, scratch, "scores/basic", made, Artifact("score", "score-hash", inputs=inputs))
    write_stage(store, "scores/basic", StageMark("score", "score-hash"))


def _add_whole_tables(store: Store, scratch: Path) -> None:
    """Add groups of duplicates and matches with a benchmark."""
    clips = _clips(store, 0)
    gone = [clip["key"] for clip in clips if clip["video_id"] == GONE]
    stay = [clip["key"] for clip in clips if clip["video_id"] == STAYS]
    inputs = {f"media/{shard_name(0)}.parquet": read_artifact(store, f"media/{shard_name(0)}.parquet").digest}
    groups = [(gone[0], [gone[0], stay[0], stay[1]]), (stay[2], [stay[2], gone[1]])]
    rows = [
        {"key": key, "shard": 0, "group": group, "kind": "semantic", "score": 0.9, "keep": key == group}
        for group, keys in groups
        for key in keys
    ]
    record = Artifact("dedup", "", inputs=inputs)
    duplicates = pa.Table.from_pylist(rows, DUPLICATES)
    commit_table(store, scratch, "duplicates/all.parquet", duplicates, record)
    _add_pairs(store)
    matches = [
        {"key": key, "shard": 0, "benchmark": "msvd", "benchmark_id": "7", "kind": "id", "score": 1.0, "reason": key}
        for key in (gone[0], stay[0])
    ]
    videos = f"videos/{shard_name(0)}.parquet"
    record = Artifact("clean-of", "", inputs=inputs | {videos: read_artifact(store, videos).digest})
    table = pa.Table.from_pylist(matches, CONTAMINATION)
    commit_table(store, scratch, "contamination/msvd.parquet", table, record)


def _add_pairs(store: Store) -> None:
    """Add what a search for duplicates keeps: pairs, and work that it has begun."""
    store.commit_bytes(b"pairs of rows", "duplicates/.all/exact.pairs")
    store.commit_bytes(b"hashes of pictures", "duplicates/.all/exact-1234/0.npz")


def _add_audit(store: Store, scratch: Path, size: int) -> None:
    """Draw clips, label two of them, and add the tables of injected errors."""
    audit = Audit(store, LAYER, Console(file=io.StringIO()))
    audit.draw(size, 0)
    clips = read_table(store, f"audit/{LAYER}/sample.parquet").to_pylist()
    labelled = [next(clip for clip in clips if clip["video_id"] == video) for video in (GONE, STAYS)]
    labels = [Label("Ana", clip["key"], 1, clip["claims"][0]["text"], "supported") for clip in labelled]
    name = f"audit/{LAYER}/labels.parquet"
    commit_table(store, scratch, name, label_table(labels), Artifact("audit", ""), LABELS)
    audit.report()
    controls = [{"kind": "shuffled", "video_id": video, "key": video, "claim": "a wall"} for video in (GONE, STAYS)]
    write_table(store, f"audit/{LAYER}/injected_claims.parquet", pa.Table.from_pylist(controls))
    figures = figures_table([ControlFigure("text", "shuffled", 2, 1, 0, 0.5, 0.09, 0.91)])
    write_table(store, f"audit/{LAYER}/injected.parquet", figures)


def contents(store: Store) -> dict[str, Any]:
    """Return everything that a reader sees of a DIR: rows and records of tables, members and bytes of other files."""
    found: dict[str, Any] = {}
    for name in all_files(store):
        if name.endswith(".parquet"):
            found[name] = [row | {"removed_at": None} for row in read_table(store, name).to_pylist()]
            if "injected" not in name:
                found[f"{name} record"] = _without_time(name, read_artifact(store, name))
        else:
            found[name] = store.read_bytes(name)
    return found


def _without_time(name: str, artifact: Artifact) -> Artifact | None:
    return None if name == "removed.parquet" else artifact


def files_with(root: Path, *texts: bytes) -> list[str]:
    """Return the names of all files below a folder whose bytes, or the rows of whose table, hold one of the texts."""
    found = []
    for path in sorted(path for path in root.rglob("*") if path.is_file()):
        data = path.read_bytes()
        if path.suffix == ".parquet":
            data += repr(pq.read_table(path).to_pylist()).encode() + repr(pq.read_schema(path).metadata).encode()
        if any(text in data for text in texts):
            found.append(path.relative_to(root).as_posix())
    return found


def videos_in(store: Store, tar: str) -> set[str]:
    """Return the ids of the videos in a tar."""
    return {member.name[:16] for member in members(store, tar)}


def tables_of(store: Store, shard: int) -> Sequence[str]:
    """Return the names of the tables of a shard over clips or roots."""
    stem = shard_name(shard)
    layers = (f"captions/{CAPTION_SET}", f"text/{LAYER}", f"text/.{LAYER}-12345678", "scores/basic", "media", "videos")
    return [f"{layer}/{stem}.parquet" for layer in layers]


def rebuilt_index_is_same(store: Store) -> bool:
    """Return True if the index describes the committed media."""
    before = read_table(store, "index.parquet").to_pylist()
    assert {row["shard"] for row in before} == set(committed_media(store))
    return rebuild_index(store).to_pylist() == before
