"""Write the videos of `bench.transfer_data` as a DIR with captions and features, as `curate run` would.

A video is one root of two scenes, each a clip of its own: short clips show one thing and have one sentence, the whole
root two. Nothing is encoded: the roots are empty files, and `features/` holds the features of their content.

Shapes: T rows of features over time, D feature width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import numpy as np
import pyarrow as pa

from bench import transfer_data as data
from runtime.settings import content_hash
from shards.artifact import Artifact, FileFact
from shards.index import rebuild_index
from shards.keys import clip_key, shard_name, split_of, video_id
from shards.manifest import Manifest, StageMark, write_manifest, write_stage
from shards.schema import CLIPS, FEATURES, LEDGER, SELECTION, TEXT
from shards.storage.files import file_sha256
from shards.storage.store import Store
from shards.storage.tar import TarWriter
from shards.writer import ShardMedia, commit_shard_media, commit_table

NAME: Final = "generated"
"""Name of the feature set and of the text layer."""
SCENE_SECONDS: Final = 4.0
_SCENES: Final = 2
_PER_SHARD: Final = 500
_FPS: Final = 8

Row = dict[str, Any]


def write_videos(world: data.World, folder: Path, videos: int, seed: int, leak: float = 0.0) -> None:
    """Write a DIR.

    Args:
        world: source of the scenes.
        folder: a new folder.
        videos: number of videos, of two scenes each.
        seed: seed of scenes, captions and noise.
        leak: see `bench.transfer_data.caption`.
    """
    store, made = Store(folder), content_hash("generated", seed, videos, leak)
    write_manifest(store, Manifest("generated", {"videos": videos}, _PER_SHARD, made))
    encoder = {"encoder": "generated", "encoder_identity": made, "width": data.WIDTH}
    for place, stage in (("media", "media"), (f"text/{NAME}", "rewrite")):
        write_stage(store, place, StageMark(stage, made))
    write_stage(store, f"features/{NAME}", StageMark("features", made, encoder))
    texts: dict[str, Artifact] = {}
    marks: list[Row] = []
    for shard, first in enumerate(range(0, videos, _PER_SHARD)):
        rng = np.random.default_rng((seed, shard))
        clips, record = _write_shard(
            store, shard, world, range(first, min(first + _PER_SHARD, videos)), leak, rng, made
        )
        texts[f"text/{NAME}/{shard_name(shard)}.parquet"] = record
        marks += [clip | {"keep": True, "split": split_of(clip["video_id"])} for clip in clips]
    selection = Artifact("select", made, inputs={name: record.digest for name, record in texts.items()})
    with TemporaryDirectory() as scratch:
        commit_table(store, Path(scratch), f"selections/{NAME}.parquet", _table(marks, SELECTION), selection)
    rebuild_index(store)


def _write_shard(
    store: Store,
    shard: int,
    world: data.World,
    numbers: Sequence[int],
    leak: float,
    rng: np.random.Generator,
    made: str,
) -> tuple[list[Row], Artifact]:
    """Commit media, texts and features of one shard; return its clips and the record of its texts."""
    clips: list[Row] = []
    features: list[data.Rows] = []
    stem = shard_name(shard)
    with TemporaryDirectory() as scratch:
        folder = Path(scratch)
        with TarWriter(folder / "media.tar") as media, TarWriter(folder / "keyframes.tar") as keyframes:
            for number in numbers:
                scenes = [data.draw_scene(world, rng) for _ in range(_SCENES)]
                texts = [data.caption(scene, rng, leak) for scene in scenes]
                clips += _clips(f"generated:{number}", shard, texts, media)
                features.append(np.concatenate([data.features(world, scene, rng) for scene in scenes]))
        ledger = pa.Table.from_pylist([], schema=LEDGER)
        media_table = _table(clips, CLIPS)
        mark = commit_shard_media(
            store, folder, ShardMedia(shard, media, keyframes, ledger, media_table), Artifact("media", made)
        )
        inputs = {f"media/{stem}.parquet": mark.digest}
        texts_mark = Artifact("rewrite", made, inputs=inputs)
        texts_mark = commit_table(store, folder, f"text/{NAME}/{stem}.parquet", _table(clips, TEXT), texts_mark)
        roots = [row["key"] for row in clips if row["parent_key"] is None]
        _commit_features(store, folder, stem, roots, features, Artifact("features", made, inputs=inputs))
    return clips, texts_mark


def _clips(source: str, shard: int, texts: Sequence[str], media: TarWriter) -> list[Row]:
    """Return the clips of a video: the root, and each scene below it."""
    video = video_id(source)
    seconds = SCENE_SECONDS * len(texts)
    root = clip_key(video, 0.0, seconds)
    held = media.add(f"{root}.mp4", b"")
    shared = {
        "root_key": root,
        "video_id": video,
        "source": source,
        "shard": shard,
        "width": 16,
        "height": 16,
        "num_frames": round(seconds * _FPS),
        "fps": float(_FPS),
        "language": "en",
        "subtitle": "",
        "subtitle_origin": "none",
        "words": None,
        "speech_seconds": 0.0,
        "motion": None,
        "byte_offset": held.offset,
        "byte_size": held.size,
        "rewrite_status": "ok",
    }
    spans: list[tuple[float, float, str, str | None, str]] = [(0.0, seconds, "long", None, " . ".join(texts))]
    spans += [(n * SCENE_SECONDS, (n + 1) * SCENE_SECONDS, "short", root, text) for n, text in enumerate(texts)]
    return [
        shared
        | {"key": clip_key(video, start, end), "parent_key": parent, "level": level, "caption": f"{text} ."}
        | {"start": start, "end": end, "offset": start}
        for start, end, level, parent, text in spans
    ]


def _commit_features(
    store: Store, scratch: Path, stem: str, roots: Sequence[str], features: Sequence[data.Rows], mark: Artifact
) -> None:
    """Return the feature rows of all roots in one array, and the table with the range of each root."""
    array, rows = scratch / "features.npy", data.SCENE_ROWS * _SCENES
    np.save(array, np.concatenate(features))
    fact = FileFact(array.stat().st_size, file_sha256(array))
    times = ((np.arange(rows) + 0.5) * SCENE_SECONDS / data.SCENE_ROWS).tolist()
    table = [
        {"root_key": key, "first": n * rows, "rows": rows, "times": times, "failed": None}
        for n, key in enumerate(roots)
    ]
    name = f"features/{NAME}/{stem}"
    store.commit(array, f"{name}.npy")
    mark = replace(mark, files={f"{name}.npy": fact})
    commit_table(store, scratch, f"{name}.parquet", pa.Table.from_pylist(table, schema=FEATURES), mark)


def _table(rows: Sequence[Row], schema: pa.Schema) -> pa.Table:
    """Return rows as a table; columns that they lack are null."""
    return pa.Table.from_pylist([{name: row.get(name) for name in schema.names} for row in rows], schema=schema)
