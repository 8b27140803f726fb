"""A generated world with label noise, for `bench.loop`: a DIR of short videos, half of whose texts belong to others.

A video of two seconds shows a wall of one of twelve hues in some light, before which a grey thing moves; its text names
the hue: "a teal wall". In a *noisy* DIR half of the texts are exchanged among each other: right in form and wrong for
their video, as scraped texts are.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from colorsys import hsv_to_rgb
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, NamedTuple

import av
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from runtime.settings import content_hash
from shards.artifact import Artifact
from shards.index import rebuild_index
from shards.keys import clip_key, shard_name, video_id
from shards.manifest import Manifest, StageMark, write_manifest, write_stage
from shards.reader import read_artifact
from shards.schema import CLIPS, LEDGER, SELECTION, SOURCES, TEXT
from shards.sources.part_writer import append_parts
from shards.storage.store import Store
from shards.storage.tar import TarWriter
from shards.writer import ShardMedia, commit_shard_media, commit_table

LAYER: Final = "scraped"
SIZE: Final = 32
FPS: Final = 8
SECONDS: Final = 2
PER_SHARD: Final = 64
_SPRITE: Final = 12
_HUES: Final = (
    *("red", "orange", "yellow", "lime", "green", "jade"),
    *("cyan", "azure", "blue", "violet", "magenta", "pink"),
)

Frames = npt.NDArray[np.uint8]
Row = dict[str, Any]


class Scene(NamedTuple):
    """A wall of one hue."""

    name: str
    hue: float
    """0 to 1, around the circle from red."""

    @property
    def text(self) -> str:
        """The text that is true of it."""
        return f"a {self.name} wall"


SCENES: Final = tuple(Scene(name, number / len(_HUES)) for number, name in enumerate(_HUES))


class Made(NamedTuple):
    """A written DIR."""

    scenes: dict[str, Scene]
    """The scene of each clip, by its key."""
    wrong: frozenset[str]
    """Keys of the clips whose text was exchanged."""


def write_world(folder: Path, videos: int, seed: int, *, noisy: bool, side: int = SIZE) -> Made:
    """Write a DIR with media, one text layer, and a selection of all clips.

    Args:
        folder: a new folder.
        videos: number of videos; of each of the 12 scenes the same number, or one more.
        seed: of the pictures, their order and the exchange.
        noisy: exchange half of the texts.
        side: side of the pictures, pixels.
    """
    rng = np.random.default_rng(seed)
    scenes = [SCENES[number % len(SCENES)] for number in rng.permutation(videos)]
    exchanged = rng.permutation(videos)[: videos // 2] if noisy else np.zeros(0, np.int64)
    texts = [scene.text for scene in scenes]
    for own, other in zip(exchanged, np.roll(exchanged, 1), strict=True):
        texts[own] = scenes[other].text
    made, store = content_hash("loop", seed, videos, noisy), Store(folder)
    write_manifest(store, Manifest("generated", {"videos": videos}, PER_SHARD, made))
    for place, stage in (("media", "media"), (f"text/{LAYER}", "rewrite")):
        write_stage(store, place, StageMark(stage, made))
    sources = [_source(seed, number) for number in range(videos)]
    clips: list[Row] = []
    with TemporaryDirectory() as scratch:
        table = _table(sources, SOURCES)
        append_parts(store, Path(scratch), [table])
        for first in range(0, videos, PER_SHARD):
            numbers = range(first, min(first + PER_SHARD, videos))
            clips += _write_shard(
                store, Path(scratch), made, [(sources[n], scenes[n], texts[n]) for n in numbers], rng, side
            )
        marks = [clip | {"keep": True, "split": "train"} for clip in clips]
        names = [f"text/{LAYER}/{shard_name(shard)}.parquet" for shard in sorted({clip["shard"] for clip in clips})]
        selection = Artifact("select", made, inputs={name: read_artifact(store, name).digest for name in names})
        commit_table(store, Path(scratch), f"selections/{LAYER}.parquet", _table(marks, SELECTION), selection)
    rebuild_index(store)
    keys = [clip["key"] for clip in clips]
    wrong = frozenset(key for key, scene, text in zip(keys, scenes, texts, strict=True) if scene.text != text)
    return Made(dict(zip(keys, scenes, strict=True)), wrong)


def render(scene: Scene, rng: np.random.Generator, side: int = SIZE) -> Frames:
    """Draw a scene: uint8 [T, S, S, 3]."""
    frames = SECONDS * FPS
    hue = (scene.hue + rng.uniform(-0.03, 0.03)) % 1
    wall = 255 * np.array(hsv_to_rgb(hue, rng.uniform(0.4, 1), rng.uniform(0.3, 1)))
    pictures, sprite = np.tile(wall, (frames, side, side, 1)), side * _SPRITE // SIZE
    row, grey = int(rng.integers(side - sprite + 1)), rng.uniform(0, 255)
    for picture, column in zip(pictures, np.linspace(0, side - sprite, frames).astype(int), strict=True):
        picture[row : row + sprite, column : column + sprite] = grey
    return (pictures + rng.normal(0, 12, pictures.shape)).clip(0, 255).astype(np.uint8)


def encode(pictures: Frames) -> bytes:
    """Encode pictures as the media stage does: 8 frames a second, closed groups of 8."""
    data = io.BytesIO()
    with av.open(data, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=FPS)
        stream.height, stream.width = pictures.shape[1:3]
        stream.pix_fmt = "yuv420p"
        stream.options = {"preset": "ultrafast", "tune": "fastdecode", "x264-params": "keyint=8:scenecut=0:bframes=0"}
        stream.thread_count = 1
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        container.mux(stream.encode(None))
    return data.getvalue()


def _source(seed: int, number: int) -> Row:
    name = f"generated:{seed}:{number}"
    return {"source": name, "video_id": video_id(name), "shard": number // PER_SHARD, "attempt": 1, "overlap": 1}


def _write_shard(
    store: Store,
    scratch: Path,
    made: str,
    videos: Sequence[tuple[Row, Scene, str]],
    rng: np.random.Generator,
    side: int,
) -> list[Row]:
    shard = videos[0][0]["shard"]
    stem, clips, ledger = shard_name(shard), [], []
    with TarWriter(scratch / "media.tar") as media, TarWriter(scratch / "keyframes.tar") as keyframes:
        for source, scene, text in videos:
            key = clip_key(source["video_id"], 0.0, SECONDS)
            held = media.add(f"{key}.mp4", encode(render(scene, rng, side)))
            clips.append(_clip(source, key, text, side) | {"byte_offset": held.offset, "byte_size": held.size})
            ledger.append(source | {"state": "written", "seconds": float(SECONDS), "clips": 1})
    parts = ShardMedia(shard, media, keyframes, _table(ledger, LEDGER), _table(clips, CLIPS))
    record = commit_shard_media(store, scratch, parts, Artifact("media", made))
    inputs = {f"media/{stem}.parquet": record.digest}
    texts = Artifact("rewrite", made, inputs=inputs)
    commit_table(store, scratch, f"text/{LAYER}/{stem}.parquet", _table(clips, TEXT), texts)
    return clips


def _clip(source: Row, key: str, text: str, side: int) -> Row:
    return {
        "key": key,
        "root_key": key,
        "video_id": source["video_id"],
        "source": source["source"],
        "level": "short",
        "shard": source["shard"],
        "start": 0.0,
        "end": float(SECONDS),
        "offset": 0.0,
        "width": side,
        "height": side,
        "num_frames": SECONDS * FPS,
        "fps": float(FPS),
        "language": "en",
        "subtitle": "",
        "subtitle_origin": "none",
        "speech_seconds": 0.0,
        "caption": text,
        "rewrite_status": "ok",
    }


def _table(rows: Sequence[Row], schema: pa.Schema) -> pa.Table:
    """Return rows as a table; columns that they lack are null."""
    return pa.Table.from_pylist([{name: row.get(name) for name in schema.names} for row in rows], schema=schema)
