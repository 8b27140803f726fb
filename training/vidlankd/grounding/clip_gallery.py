"""The gallery of clips that words are matched against: read from shards, embedded by the teacher, shown by a still.

The gallery has the kept clips of each clip tree that contain no other kept clip, so that no moment appears twice.

Shapes: N clips, H width of the teacher.
"""

from __future__ import annotations

import base64
import io
import random
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice

import torch

from runtime.errors import UserError
from runtime.log import get_logger
from runtime.progress_bar import progress_bar
from shards.media.keyframes import StoredStill, nearest_still, read_still, stills_of
from shards.media.pictures import PictureError, opened_picture
from shards.reader import text_layers
from shards.storage.store import Store
from training.data.data_settings import Split
from training.data.sources.shard_tables import ClipRow, ShardRef, load_shard, open_shards
from training.features.feature_store import FeatureStore
from training.models.vidlankd.teacher_model import Teacher
from training.vidlankd.teacher.clip_text_collator import Features, stack_features

_TEXTS = ("grounded_text", "caption", "subtitle")
_BATCH = 64
_READERS = 8
_STILL_PIXELS = 240
_QUALITY = 80
_log = get_logger(__name__)


@dataclass(frozen=True)
class GalleryClip:
    """A clip of the gallery, with the location of its features and its still."""

    folder: str
    """The DIR, as the user names it."""
    shard: int
    key: str
    root_key: str
    start: float
    """Seconds of the video."""
    end: float
    """Seconds of the video."""
    offset: float
    """Seconds from the root's first frame."""
    text: str
    """Text of the clip in its shards; may be empty."""


def find_clips(
    shards: Sequence[str], limit: int, split: Split | None = None, selection: str | None = None
) -> list[GalleryClip]:
    """Return at most `limit` kept clips, from shards in a random order that is always the same.

    Args:
        shards: DIRs.
        limit: 1 or more.
        split: split of the clips; None: both.
        selection: says which clips to keep; None: the selection that is named as the layer.

    Raises:
        UserError: no DIR is given, or there is no clip.
        ShardError: a DIR can't be read.
    """
    common = set.intersection(*(set(text_layers(Store(root))) for root in shards)) if shards else set()
    opened = open_shards(shards, {min(common): 1.0} if common else None, selection)
    (layer,) = opened.layers
    order = random.Random(0).sample(opened.shards, len(opened.shards))
    splits: tuple[Split, ...] = (split,) if split else ("train", "val")
    every = (clip for shard in order for name in splits for clip in _clips_of(shard, layer, name))
    clips = list(islice(every, limit))
    if not clips:
        raise UserError(f"--shards {' '.join(shards)}: no clip was kept{f' in the split {split}' if split else ''}")
    return clips


def embed_clips(
    clips: Sequence[GalleryClip], teacher: Teacher, store: FeatureStore
) -> tuple[list[GalleryClip], torch.Tensor]:
    """Return the clips that have features, and the teacher's vector of each, [N, H] on the teacher's device.

    Raises:
        UserError: no clip has features.
        ShardError: features are damaged.
    """
    device = next(teacher.parameters()).device
    kept: list[GalleryClip] = []
    vectors = []
    with progress_bar("embedding clips") as advance, ThreadPoolExecutor(_READERS) as pool, torch.inference_mode():
        for begin in range(0, len(clips), _BATCH):
            part = clips[begin : begin + _BATCH]
            rows = list(pool.map(lambda clip: _features(clip, store, teacher.max_rows), part))
            with_features = [(clip, row) for clip, row in zip(part, rows, strict=True) if row is not None]
            if with_features:
                video_BTD, frames_BT = stack_features([row for _, row in with_features], store.width, teacher.max_rows)
                vectors.append(teacher.clip_vectors(video_BTD.to(device), frames_BT.to(device)))
                kept += [clip for clip, _ in with_features]
            advance(begin + len(part), len(clips))
    if not kept:
        raise UserError(
            f"--features {store.name}: none of {len(clips)} clips has any; run `train-vidlankd features` to its end"
        )
    if len(kept) < len(clips):
        _log.warning("%d of %d clips have no features and are left out", len(clips) - len(kept), len(clips))
    return kept, torch.cat(vectors)


class Stills:
    """Pictures of clips as `data:` URLs, small enough for hundreds on one page."""

    def __init__(self) -> None:
        self._of_shard = lru_cache(maxsize=64)(_stills)
        self.picture = lru_cache(maxsize=4096)(self._picture)
        """Return the keyframe nearest to a clip's middle as a JPEG of at most 240x240 pixels; None if none is
        readable."""

    def _picture(self, clip: GalleryClip) -> str | None:
        stills = self._of_shard(clip.folder, clip.shard).get(clip.root_key, ())
        still = nearest_still(stills, clip.start, clip.end)
        if still is None:
            return None
        try:
            data = _thumbnail(read_still(Store(clip.folder), clip.shard, still))
        except (PictureError, OSError) as error:
            _log.warning("%s: its still can't be read (%s)", clip.key, error)
            return None
        return f"data:image/jpeg;base64,{base64.b64encode(data).decode('ascii')}"


def _clips_of(shard: ShardRef, layer: str, split: str) -> Iterator[GalleryClip]:
    loaded = load_shard(shard, split, _TEXTS)
    for root, root_key in enumerate(loaded.keys):
        rows = loaded.rows(root, layer)
        ancestors = _ancestors_of_kept(rows)
        for row in rows:
            if row.keep and row.key not in ancestors:
                text = next((text for name in _TEXTS if (text := row.texts[name])), "")
                start, end, offset = row.start, row.end, max(row.offset, 0.0)
                yield GalleryClip(shard.folder, shard.number, row.key, root_key, start, end, offset, text)


def _ancestors_of_kept(rows: Sequence[ClipRow]) -> set[str]:
    """Return the keys of a root's clips that contain a kept clip at any depth."""
    parents = {row.key: row.parent_key for row in rows}
    ancestors: set[str] = set()
    for row in rows:
        key = row.parent_key if row.keep else None
        while key is not None and key not in ancestors:
            ancestors.add(key)
            key = parents.get(key)
    return ancestors


def _features(clip: GalleryClip, store: FeatureStore, limit: int) -> Features | None:
    end = clip.offset + clip.end - clip.start
    return store.read(clip.folder, clip.shard, clip.root_key, clip.offset, end, limit)


def _stills(folder: str, shard: int) -> Mapping[str, Sequence[StoredStill]]:
    try:
        return stills_of(Store(folder), shard)
    except FileNotFoundError:
        _log.warning("%s: shard %d has no keyframes; its clips are shown without pictures", folder, shard)
        return {}


def _thumbnail(data: bytes) -> bytes:
    with opened_picture(data, ("JPEG",)) as image:
        image.draft("RGB", (_STILL_PIXELS, _STILL_PIXELS))
        image.thumbnail((_STILL_PIXELS, _STILL_PIXELS))
        out = io.BytesIO()
        image.convert("RGB").save(out, "JPEG", quality=_QUALITY)
    return out.getvalue()
