"""The caption stage and the rewrite stage: a shard's tables in, one table out.

    keyframes/<shard>.tar                        -> captions/<name>/<shard>.parquet
    media/<shard>.parquet + captions of the shard -> text/<layer>/<shard>.parquet

Second and third box of the flow. Tables are read and written in a thread, so that a worker with several shards in
flight keeps its engine busy. What is wrong with data becomes a null and a count; only the machine ends the run.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from curation.captions.frame_captions import CaptionSettings, captioner_for
from curation.engines.engine_interface import Captioner, ImageRef, Seen
from curation.engines.engine_registry import EngineSettings
from curation.filters.clip_filters import FilterSettings
from curation.text.rewriter import Rewriter, RewriteSettings
from curation.text.text_rows import Layer, ModelNames, caption_row, clip_texts, keyframe_place, text_row
from runtime.errors import UserError, is_machine_fault, one_line
from runtime.models.model_uri import ModelURI, revision_of
from runtime.ray_runner.stage import Service, ShardResult
from runtime.settings import content_hash
from shards.errors import ShardError
from shards.keys import shard_name
from shards.reader import read_artifact, read_table
from shards.schema import CAPTIONS, TEXT
from shards.storage.store import Store
from shards.storage.tar import members
from shards.writer import Artifact, commit_table

CAPTION_VERSION = 1
REWRITE_VERSION = 1


def model_names(
    caption: CaptionSettings, rewrite: RewriteSettings, engines: Mapping[str, EngineSettings]
) -> ModelNames:
    """The names for `ModelNames`, from the settings of a pipeline."""
    captioner = _short(caption.tagger.model) if caption.engine is None else _engine_name(engines[caption.engine])
    if rewrite.engine is None:
        return ModelNames(captioner, None, caption.prompt_ref())
    refs = [caption.prompt_ref(), *(prompt.ref for prompt in rewrite.prompts().values())]
    return ModelNames(captioner, _engine_name(engines[rewrite.engine]), "+".join(ref for ref in refs if ref))


def caption_hash(settings: CaptionSettings, engines: Mapping[str, EngineSettings]) -> str:
    """Content hash of a caption set: the stage's version, its settings, and the captioner with its revision."""
    model = revision_of(settings.tagger.model) if settings.engine is None else _engine_content(engines[settings.engine])
    return content_hash("caption", CAPTION_VERSION, settings.content(), model)


def rewrite_hash(
    settings: RewriteSettings,
    filters: FilterSettings,
    val_percent: float,
    engines: Mapping[str, EngineSettings],
    captions: str,
    captions_hash: str,
) -> str:
    """Content hash of a text layer; it covers the caption set it is made from, by name and hash."""
    model = None if settings.engine is None else _engine_content(engines[settings.engine])
    made_from = [captions, captions_hash]
    return content_hash(
        "rewrite", REWRITE_VERSION, settings.content(), filters.content(), val_percent, model, made_from
    )


def caption_worker(
    root: str, scratch: str, captions: str, settings: CaptionSettings, hash_: str, services: Mapping[str, Service]
) -> CaptionWorker:
    """Build a caption worker inside its own process: the embedded tagger, where it is used, is loaded here."""
    return CaptionWorker(Store(root), Path(scratch), captions, captioner_for(settings, services), hash_)


def rewrite_worker(
    root: str,
    scratch: str,
    captions: str,
    text: str,
    settings: RewriteSettings,
    filters: FilterSettings,
    val_percent: float,
    models: ModelNames,
    hash_: str,
    services: Mapping[str, Service],
) -> RewriteWorker:
    """Build a rewrite worker inside its own process."""
    engine = None if settings.engine is None else services[settings.engine]
    layer = Layer(filters, val_percent, models)
    return RewriteWorker(Store(root), Path(scratch), captions, text, Rewriter(engine, settings), layer, hash_)


class CaptionWorker:
    """Captions the keyframes of a shard; see `runtime.ray_runner.stage.Worker`."""

    def __init__(self, store: Store, scratch: Path, captions: str, captioner: Captioner, hash_: str) -> None:
        """Name its place; `captions` is the folder of the caption set, `hash_` the content hash of that folder."""
        self._store = store
        self._scratch = scratch
        self._captions = captions
        self._captioner = captioner
        self._hash = hash_

    async def process(self, shard: int) -> ShardResult:
        """Make ``<captions>/<shard>.parquet``."""
        return await _guarded(f"caption {shard_name(shard)}", self._make, shard)

    async def _make(self, shard: int) -> Mapping[str, float]:
        media = f"media/{shard_name(shard)}.parquet"
        made_from, images = await asyncio.to_thread(self._inputs, media, shard)
        seen = await self._captioner.caption(images)
        rows = [caption_row(name, seen.get(name) or Seen(None, error="no answer")) for name in images]
        counts = _caption_counts(seen, rows)
        artifact = Artifact("caption", self._hash, inputs={media: made_from}, counts=counts)
        name = f"{self._captions}/{shard_name(shard)}.parquet"
        await asyncio.to_thread(_commit, self._store, self._scratch, name, rows, CAPTIONS, artifact)
        return counts

    def _inputs(self, media: str, shard: int) -> tuple[str, dict[str, ImageRef]]:
        """Digest of the media artifact, and its keyframes by member name in order of root and time."""
        artifact = read_artifact(self._store, media)
        name = f"keyframes/{shard_name(shard)}.tar"
        url = self._store.path(name)
        found = {member.name: ImageRef(url, member.offset, member.size) for member in members(self._store, name)}
        return artifact.digest, {
            name: found[name] for name in sorted(found, key=keyframe_place) if name.endswith(".jpg")
        }


class RewriteWorker:
    """Writes the text layer of a shard; see `runtime.ray_runner.stage.Worker`."""

    def __init__(
        self,
        store: Store,
        scratch: Path,
        captions: str,
        text: str,
        rewriter: Rewriter,
        layer: Layer,
        hash_: str,
    ) -> None:
        """Name its place; `captions` and `text` are the folders to read and to write."""
        self._store = store
        self._scratch = scratch
        self._captions = captions
        self._text = text
        self._rewriter = rewriter
        self._layer = layer
        self._hash = hash_

    async def process(self, shard: int) -> ShardResult:
        """Make ``<text>/<shard>.parquet``: one row for each row of the shard's media table, in its order."""
        return await _guarded(f"rewrite {shard_name(shard)}", self._make, shard)

    async def _make(self, shard: int) -> Mapping[str, float]:
        inputs, clips, captions = await asyncio.to_thread(self._inputs, shard)
        texts = clip_texts(clips, captions)
        rewritten, figures = await self._rewriter.rewrite(texts)
        rows = [
            text_row(clip, text, result, self._layer)
            for clip, text, result in zip(clips, texts, rewritten, strict=True)
        ]
        counts = {**figures, **_row_counts(rows)}
        artifact = Artifact("rewrite", self._hash, inputs=inputs, counts=counts)
        name = f"{self._text}/{shard_name(shard)}.parquet"
        await asyncio.to_thread(_commit, self._store, self._scratch, name, rows, TEXT, artifact)
        return counts

    def _inputs(self, shard: int) -> tuple[dict[str, str], list[dict[str, Any]], list[dict[str, Any]]]:
        """Digests of what the layer is made from, the clips, and the captions.

        Raises:
            ShardError: the captions were made from other media than is there now.
        """
        media, captions = (f"{folder}/{shard_name(shard)}.parquet" for folder in ("media", self._captions))
        digests = {name: read_artifact(self._store, name) for name in (media, captions)}
        if digests[captions].inputs.get(media) != digests[media].digest:
            raise ShardError(f"{captions} was not made from the {media} that is there now; run the caption stage again")
        inputs = {name: artifact.digest for name, artifact in digests.items()}
        return inputs, read_table(self._store, media).to_pylist(), read_table(self._store, captions).to_pylist()


async def _guarded(what: str, make: Callable[[int], Awaitable[Mapping[str, float]]], shard: int) -> ShardResult:
    """The result of `make`; what the machine, the settings or a broken DIR is to blame for becomes one line."""
    try:
        return ShardResult(await make(shard))
    except Exception as error:
        if not (isinstance(error, UserError | ShardError | OSError) or is_machine_fault(error)):
            raise
        return ShardResult(fatal=f"{what}: {one_line(error)}")


def _commit(
    store: Store, scratch: Path, name: str, rows: list[dict[str, Any]], schema: pa.Schema, artifact: Artifact
) -> None:
    scratch.mkdir(parents=True, exist_ok=True)
    commit_table(store, scratch, name, pa.Table.from_pylist(rows, schema=schema), artifact)


def _caption_counts(seen: Mapping[str, Seen], rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    counts = {"keyframes": float(len(rows)), "tokens": float(sum(each.tokens for each in seen.values()))}
    failed = sum(each.error is not None for each in seen.values())
    return counts | ({"failed:caption": float(failed)} if failed else {})


def _row_counts(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    counts = Counter(f"dropped:{row['filter_reason']}" for row in rows if not row["keep"])
    return {"clips": len(rows), "kept": sum(row["keep"] for row in rows), **counts}


def _engine_content(settings: EngineSettings) -> list[Any]:
    """An engine's settings, with the revision of its model where the model is on this side."""
    return [settings.content(), revision_of(settings.model) if settings.kind == "vllm" else None]


def _engine_name(settings: EngineSettings) -> str:
    return _short(settings.model) if settings.kind == "vllm" else settings.model


def _short(uri: str) -> str:
    return ModelURI.parse(uri).name
