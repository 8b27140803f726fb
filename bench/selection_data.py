"""Tables of a DIR with millions of clips, for `bench.selection`: written straight to Parquet, without any media.

They have the schemas of real tables, and records in their footers; digests are made up. Texts are short: what
`curate select` doesn't read costs it nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from shards.artifact import FOOTER_KEY, Artifact
from shards.keys import clip_key, shard_name, split_of, video_id
from shards.manifest import Manifest, StageMark, write_manifest, write_stage
from shards.schema import CLIPS, CONTAMINATION, DUPLICATES, SELECTION, TEXT, VIDEOS
from shards.scores.score_writer import score_schema
from shards.storage.store import Store

LAYER: Final = "bench"
CLIPS_OF_A_VIDEO: Final = 50
_LICENCES: Final = ("Creative Commons Attribution", "Standard licence", None)
_GROUP_ROWS: Final = 16_384


def write_dir(root: Path, clips: int, shards: int) -> None:
    """Write texts, media, videos, scores, the layer's selection, duplicates and contamination."""
    store, random = Store(root), np.random.default_rng(0)
    write_manifest(store, Manifest("bench", {}, 1, "h"))
    for folder, stage in (("media", "media"), (f"text/{LAYER}", "rewrite"), ("scores/look", "score")):
        (root / folder).mkdir(parents=True, exist_ok=True)
        write_stage(store, folder, StageMark(stage, "h"))
    for folder in ("videos", "selections", "duplicates", "contamination"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    looked_at = {f"media/{shard_name(shard)}.parquet": _digest("media", shard) for shard in range(shards)}
    texts = {f"text/{LAYER}/{shard_name(shard)}.parquet": _digest("text", shard) for shard in range(shards)}
    duplicates = _writer(root / "duplicates/all.parquet", DUPLICATES)
    marks = _writer(root / f"selections/{LAYER}.parquet", SELECTION)
    contamination = _writer(root / "contamination/tests.parquet", CONTAMINATION)
    for shard in range(shards):
        keys, videos = _keys(shard, clips // shards)
        _write_shard(root, shard, keys, videos, random)
        size = len(keys)
        split = [split for video in videos for split in [split_of(video)] * CLIPS_OF_A_VIDEO][:size]
        kept = {"key": keys, "shard": _all(shard, size, pa.int32()), "keep": _all(True, size), "split": split}
        marks.write_table(_table(kept, SELECTION, size), row_group_size=_GROUP_ROWS)
        twice = {"key": keys[::5], "group": [keys[0]] * len(keys[::5]), "kind": ["semantic"] * len(keys[::5])}
        twice |= {"shard": [shard] * len(keys[::5]), "keep": [True] + [False] * (len(keys[::5]) - 1)}
        duplicates.write_table(_table(twice, DUPLICATES, len(keys[::5])))
        few = keys[7::500]
        match = {"key": few, "shard": [shard] * len(few), "kind": ["id"] * len(few)}
        match |= {"benchmark": ["msrvtt"] * len(few), "benchmark_id": ["video1"] * len(few)}
        contamination.write_table(_table(match, CONTAMINATION, len(few)))
    _close(duplicates, Artifact("dedup", "h", "d", looked_at))
    _close(contamination, Artifact("clean-of", "h", "c", looked_at))
    _close(marks, Artifact("select", "h", "s", looked_at | texts))


def _write_shard(root: Path, shard: int, keys: list[str], videos: list[str], random: np.random.Generator) -> None:
    size, name = len(keys), f"{shard_name(shard)}.parquet"
    start = np.tile(np.arange(CLIPS_OF_A_VIDEO) * 13.0, len(videos))[:size]
    whole: dict[str, Any] = {
        "key": keys, "root_key": keys, "video_id": np.repeat(videos, CLIPS_OF_A_VIDEO)[:size],
        "source": _all("https://example.org/video", size), "level": _all("short", size),
        "shard": _all(shard, size, pa.int32()), "start": start, "end": start + 13, "offset": _all(0.0, size),
        "width": _all(256, size, pa.int32()), "height": _all(144, size, pa.int32()),
        "num_frames": _all(104, size, pa.int32()), "fps": _all(8.0, size, pa.float32()), "language": _all("en", size),
        "subtitle": _all("some words are said here", size), "subtitle_origin": _all("auto", size),
        "rewrite_status": _all("ok", size), "caption": _all("a cat", size), "byte_offset": _all(0, size),
        "byte_size": _all(1, size), "speech_seconds": _all(1.0, size, pa.float32()),
        "motion": random.random(size, np.float32), "grounding_score": random.random(size, np.float32),
    }  # fmt: skip
    media = Artifact("media", "h", _digest("media", shard))
    text = Artifact("rewrite", "h", _digest("text", shard), {f"media/{name}": media.digest})
    score = Artifact("score", "h", _digest("score", shard), {f"media/{name}": media.digest})
    _write(root / f"media/{name}", whole, CLIPS, size, media)
    _write(root / f"text/{LAYER}/{name}", whole, TEXT, size, text)
    scores = {"key": keys, "shard": whole["shard"]}
    scores |= {column: random.random(size, np.float32) for column in ("match", "blur")}
    _write(
        root / f"scores/look/{name}", scores, score_schema(dict.fromkeys(("match", "blur"), pa.float32())), size, score
    )
    licences = [_LICENCES[number % 3] for number in range(size)]
    uploaders = [f"uploader {number % 97}" for number in range(size)]
    known = {"root_key": keys, "video_license": licences, "video_uploader": uploaders}
    _write(root / f"videos/{name}", known, VIDEOS, size, media)


def _keys(shard: int, size: int) -> tuple[list[str], list[str]]:
    videos = [video_id(f"{shard}-{number}") for number in range(-(-size // CLIPS_OF_A_VIDEO))]
    keys = [clip_key(video, 13.0 * n, 13.0 * (n + 1)) for video in videos for n in range(CLIPS_OF_A_VIDEO)]
    return keys[:size], videos


def _digest(stage: str, shard: int) -> str:
    return f"{stage}-{shard}"


def _all(value: Any, size: int, type_: pa.DataType | None = None) -> pa.Array:
    return pa.repeat(pa.scalar(value, type_), size)


def _table(columns: Mapping[str, Any], schema: pa.Schema, size: int) -> pa.Table:
    """Return a table with the given columns, and null in the others of the schema."""
    arrays = []
    for field in schema:
        values = columns.get(field.name)
        array = (
            pa.nulls(size, field.type)
            if values is None
            else values
            if isinstance(values, pa.Array)
            else pa.array(values)
        )
        arrays.append(array if array.type == field.type else array.cast(field.type))
    return pa.Table.from_arrays(arrays, schema=schema)


def _write(path: Path, columns: Mapping[str, Any], schema: pa.Schema, size: int, record: Artifact) -> None:
    writer = _writer(path, schema)
    writer.write_table(_table(columns, schema, size))
    _close(writer, record)


def _writer(path: Path, schema: pa.Schema) -> pq.ParquetWriter:
    return pq.ParquetWriter(path, schema, compression="zstd")


def _close(writer: pq.ParquetWriter, record: Artifact) -> None:
    writer.add_key_value_metadata({FOOTER_KEY: record.to_json()})
    writer.close()
