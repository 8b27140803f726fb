"""Builds small, valid DIRs with real videos, for every suite that reads shards.

The brightness of a frame is a function of its number in the root (`luma_of`), so that a test can identify frames.
All files are made by the writer that curation uses.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import av
import numpy as np
import pyarrow as pa
from PIL import Image
from support.selections import select

from shards.index import rebuild_index
from shards.keys import clip_key, shard_name, video_id
from shards.manifest import Manifest, StageMark, write_manifest, write_stage
from shards.schema import CAPTIONS, CLIPS, LEDGER, SOURCES, TEXT
from shards.sources.part_writer import append_parts
from shards.storage.store import Store
from shards.storage.tar import TarWriter
from shards.writer import Artifact, ShardMedia, commit_shard_media, commit_table

FPS = 8
GOP = 8
WIDTH, HEIGHT = 64, 48
LAYER = "grounded"
CAPTION_SET = "tagger"
LEAD = 0.25  # seconds from a root's first frame to the root's start


@dataclass(frozen=True)
class Node:
    """One clip of a tree to build, in seconds of the video."""

    start: float
    end: float
    level: str
    children: tuple[Node, ...] = ()


def tree(start: float) -> Node:
    """Return a long root of 24 s with two mediums; the first has two shorts, the second has no children."""
    shorts = (Node(start, start + 5.5, "short"), Node(start + 5.5, start + 12.25, "short"))
    mediums = (
        Node(start, start + 12.25, "medium", shorts),
        Node(start + 12.25, start + 24, "medium"),
    )
    return Node(start, start + 24, "long", mediums)


def trees_of(index: int) -> tuple[Node, ...]:
    """Return the roots of the `index`-th video: a whole tree and a short root, or a whole tree alone."""
    return (tree(0.5), Node(24.5, 30.5, "short")) if index % 2 == 0 else (tree(3.5),)


def luma_of(frame: int) -> int:
    """Return the brightness of a root's frame by its number; neighbours differ by more than coding errors."""
    return 30 + (frame * 37) % 190


@cache
def encode_root(num_frames: int, width: int = WIDTH, height: int = HEIGHT, audio: bool = True) -> bytes:
    """Encode an mp4 like those of the media stage: constant rate, closed GOP of 8, no B-frames, mono AAC."""
    with TemporaryDirectory() as scratch:
        path = Path(scratch) / "root.mp4"
        _encode(path, num_frames, width, height, audio)
        return path.read_bytes()


def _encode(path: Path, num_frames: int, width: int, height: int, audio: bool) -> None:
    with av.open(str(path), "w", options={"movflags": "+faststart"}) as container:
        options = {"preset": "veryfast", "tune": "fastdecode", "x264-params": f"keyint={GOP}:scenecut=0:bframes=0"}
        video = container.add_stream("libx264", rate=FPS, options=options)
        video.width, video.height, video.pix_fmt, video.gop_size = width, height, "yuv420p", GOP
        sound = container.add_stream("aac", rate=16_000, layout="mono") if audio else None
        for number in range(num_frames):
            frame = av.VideoFrame.from_ndarray(np.full((height, width, 3), luma_of(number), np.uint8), "rgb24")
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        if sound is not None:
            for tone in _tone(num_frames / FPS):
                container.mux(sound.encode(tone))
            container.mux(sound.encode(None))


def build_dir(
    root: str | Path, *, shards: int = 2, videos_per_shard: int = 2, layer: str = LAYER, val_percent: float = 1.0
) -> Store:
    """Build a whole DIR: media, keyframes, captions, texts, ledger, sources, index, manifest.

    Each shard has `videos_per_shard` written sources, one filtered and one failed. Every other video has speech,
    beginning with the first. `val_percent` of the videos are held out.
    """
    store = Store(root)
    with TemporaryDirectory() as scratch:
        write_manifest(store, Manifest("test", {"media": {"fps": FPS}}, videos_per_shard + 2, "media-hash"))
        for folder, stage in (("media", "media"), (f"captions/{CAPTION_SET}", "caption"), (f"text/{layer}", "rewrite")):
            write_stage(store, folder, StageMark(stage, f"{stage}-hash"))
        sources = [row for shard in range(shards) for row in _sources(shard, videos_per_shard)]
        table = pa.Table.from_pylist(sources, schema=SOURCES)
        append_parts(store, Path(scratch), [table])
        for shard in range(shards):
            add_shard(store, Path(scratch), shard, videos_per_shard, layer)
    rebuild_index(store)
    select(store, layer, val_percent)
    return store


def add_shard(store: Store, scratch: Path, shard: int, videos: int = 2, layer: str = LAYER) -> None:
    """Commit all artifacts of one shard; the selection is left as it is."""
    clips, captions, ledger = [], [], []
    with TarWriter(scratch / "media.tar") as media, TarWriter(scratch / "keyframes.tar") as keyframes:
        for row in _sources(shard, videos):
            made = 0
            if row["verdict"] is None and "broken" not in row["source"]:
                for node in trees_of(_index_of(row)):
                    rows, stills = _add_root(node, row, media, keyframes)
                    clips += rows
                    captions += stills
                    made += len(rows)
            ledger.append(_ledger_row(row, made))
    stem = shard_name(shard)
    record = Artifact("media", "media-hash", counts={"clips": len(clips)})
    record = commit_shard_media(
        store,
        scratch,
        ShardMedia(
            shard,
            media,
            keyframes,
            pa.Table.from_pylist(ledger, schema=LEDGER),
            pa.Table.from_pylist(clips, schema=CLIPS),
        ),
        record,
    )
    made_from = {f"media/{stem}.parquet": record.digest}
    name = f"captions/{CAPTION_SET}/{stem}.parquet"
    table = pa.Table.from_pylist(captions, schema=CAPTIONS)
    captioned = commit_table(store, scratch, name, table, Artifact("caption", "caption-hash", inputs=made_from))
    texts = pa.Table.from_pylist([_text_row(clip, captions) for clip in clips], schema=TEXT)
    record = Artifact("rewrite", "rewrite-hash", inputs=made_from | {name: captioned.digest})
    commit_table(store, scratch, f"text/{layer}/{stem}.parquet", texts, record)


def _sources(shard: int, videos: int) -> list[dict[str, Any]]:
    names = [f"https://example.org/{shard}-{index}" for index in range(videos)]
    names += [f"https://example.org/twice-{shard}", f"https://example.org/broken-{shard}"]
    return [
        {
            "source": name,
            "video_id": video_id(name),
            "start": None,
            "end": None,
            "shard": shard,
            "attempt": 1,
            "verdict": "duplicate" if "twice" in name else None,
            "carried": None,
            "overlap": 1,
        }
        for name in names
    ]


def _index_of(source: dict[str, Any]) -> int:
    return int(source["source"].split("-")[-1])


def _ledger_row(source: dict[str, Any], clips: int) -> dict[str, Any]:
    state, class_ = "written", None
    if source["verdict"]:
        state, class_ = "filtered", source["verdict"]
    elif not clips:
        state, class_ = "failed", "not_video"
    kept = {name: source[name] for name in ("source", "video_id", "start", "end", "shard", "attempt")}
    outcome = {"state": state, "class": class_, "message": class_, "seconds": 30.0 if clips else None}
    return kept | outcome | {"clips": clips, "elapsed": 1.0}


def _add_root(
    node: Node, source: dict[str, Any], media: TarWriter, keyframes: TarWriter
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    video = source["video_id"]
    key = clip_key(video, node.start, node.end)
    first_frame = node.start - LEAD
    num_frames = round((node.end - first_frame) * FPS)
    stored = {"width": WIDTH, "height": HEIGHT, "num_frames": num_frames, "fps": float(FPS)}
    words = _words(node) if _index_of(source) % 2 == 0 else []
    span = media.add(f"{key}.mp4", encode_root(num_frames))
    facts = {"key": key, "video_id": video, "source": source["source"], "start": node.start, "end": node.end}
    facts |= {"first_frame": first_frame, **stored, "shots": [node.start + 2.0], "words": words}
    media.add(f"{key}.json", json.dumps(facts).encode())
    shared = {"root_key": key, "video_id": video, "source": source["source"], "shard": source["shard"], **stored}
    shared |= {"language": "en" if words else None, "subtitle_origin": "asr:test" if words else "none"}
    shared |= {"byte_offset": span.offset, "byte_size": span.size}
    rows = [shared | _clip_row(clip, parent, video, first_frame, words) for clip, parent in _walk(node, None)]
    rows[0]["words"] = [{"start": start, "end": end, "text": text} for start, end, text in words]
    return rows, _add_keyframes(node, key, keyframes)


def _clip_row(
    clip: Node, parent: Node | None, video: str, first_frame: float, words: list[tuple[float, float, str]]
) -> dict[str, Any]:
    spoken = [word for word in words if clip.start <= (word[0] + word[1]) / 2 < clip.end]
    return {
        "key": clip_key(video, clip.start, clip.end),
        "parent_key": None if parent is None else clip_key(video, parent.start, parent.end),
        "level": clip.level,
        "start": clip.start,
        "end": clip.end,
        "offset": clip.start - first_frame,
        "subtitle": " ".join(text for _, _, text in spoken),
        "words": None,
        "speech_seconds": sum(end - start for start, end, _ in spoken),
        "motion": 0.1,
    }


def _add_keyframes(node: Node, key: str, keyframes: TarWriter) -> list[dict[str, Any]]:
    rows = []
    for clip, _ in _walk(node, None):
        if not clip.children:
            time = round((clip.start + clip.end) / 2, 3)
            keyframes.add(f"{key}.{round(time * 1000)}.jpg", _jpeg(round(time * 7) % 256))
            seen = {"root_key": key, "kind": "frame", "start": time, "end": time, "text": f"a grey wall at {time:g}"}
            rows.append(seen | {"confidence": 0.9, "share": None})
    return rows


def _text_row(clip: dict[str, Any], captions: list[dict[str, Any]]) -> dict[str, Any]:
    seen = [
        {"time": row["start"], "text": row["text"]}
        for row in captions
        if row["root_key"] == clip["root_key"] and clip["start"] <= row["start"] < clip["end"]
    ]
    caption = ". ".join(still["text"] for still in seen)
    grounded = f"A grey wall from {clip['start']:g} to {clip['end']:g} s."
    claim = {"text": grounded, "verdict": "supported", "evidence": [f"caption@{seen[0]['time']:g}"]}
    models = {"asr": "asr", "captioner": "tagger", "rewriter": "llm", "prompt": "ground-1"}
    kept = {name: value for name, value in clip.items() if name in TEXT.names}
    return kept | {
        "subtitle_summary": clip["subtitle"] or None,
        "frame_captions": seen,
        "caption": caption,
        "caption_summary": caption[:40],
        "grounded_text": grounded,
        "rewrite_status": "ok",
        "claims": [claim],
        "grounding_score": 1.0,
        "models": models,
    }


def _walk(node: Node, parent: Node | None) -> Iterator[tuple[Node, Node | None]]:
    yield node, parent
    for child in node.children:
        yield from _walk(child, node)


def _words(node: Node) -> list[tuple[float, float, str]]:
    count = int(node.end - node.start)
    return [(node.start + i + 0.1, node.start + i + 0.9, f"word{round(node.start) + i}") for i in range(count)]


def _tone(seconds: float) -> Iterator[av.AudioFrame]:
    samples = (np.sin(np.arange(round(seconds * 16_000)) * 0.05) * 8000).astype(np.int16)
    for begin in range(0, len(samples), 1024):
        frame = av.AudioFrame.from_ndarray(samples[None, begin : begin + 1024], "s16", "mono")
        frame.sample_rate, frame.pts, frame.time_base = 16_000, begin, Fraction(1, 16_000)
        yield frame


@cache
def _jpeg(level: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (96, 72), (level, level, level)).save(buffer, "JPEG")
    return buffer.getvalue()
