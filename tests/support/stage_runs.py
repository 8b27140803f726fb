"""The caption and rewrite workers over a DIR with a fake model: what the tests of both stages share."""

from __future__ import annotations

import asyncio
from pathlib import Path

from support.answering import Answering, asks_for_claims, claims_json
from support.shard_factory import CAPTION_SET

from curation.captions.caption_stage import CaptionWorker, caption_worker
from curation.captions.frames.frame_observer import FrameObserver
from curation.captions.observer_registry import CaptionSettings
from curation.engines.endpoint.openai_endpoint import EndpointSettings
from curation.engines.engine_interface import Answer, Captioner, Request
from curation.engines.engine_settings import EngineSettings
from curation.engines.vllm.vllm_settings import VllmSettings
from curation.stages.shard_table import ShardTable
from curation.text.rewrite_settings import RewriteSettings
from curation.text.rewrite_stage import rewrite_worker
from curation.text.text_rows import ModelNames
from runtime.ray_runner.stage import ShardResult
from shards.schema import CLIPS, LEDGER
from shards.storage.store import Store
from shards.storage.tar import TarWriter
from shards.writer import Artifact, ShardMedia, commit_shard_media

REWRITE = RewriteSettings(engine="llm")
NAMES = ModelNames("tagger", "llm", "summary@1+grounded_rewrite@1")
MEDIA = "media/0000000.parquet"
CAPTIONS_MADE = "captions/mine/0000000.parquet"
TEXTS_MADE = "text/mine/0000000.parquet"


def reply(request: Request) -> str | Answer:
    """Answer a caption request, a request for claims and a request for a summary."""
    if request.images:
        return f"a grey wall at byte {request.images[0].offset}"
    if request.options:
        agrees = "dragon" not in request.user
        return Answer("", probabilities=(float(agrees), float(not agrees)))
    if asks_for_claims(request):
        return claims_json(("A grey wall", ["F1"]), ("A dragon", ["F1"]))
    return "word1"


def captions_table(store: Store, scratch: Path, name: str = "mine") -> ShardTable:
    """Return the caption set `name` as a caption worker writes it."""
    return ShardTable("caption", store.root, f"captions/{name}", str(scratch), "c-hash")


def caption_shard(store: Store, scratch: Path, model: Answering, name: str = "mine") -> ShardResult:
    """Caption shard 0 with a vision-language model."""
    settings = CaptionSettings(engine="vlm")
    worker = caption_worker(captions_table(store, scratch, name), settings, {"vlm": model.service})
    return asyncio.run(worker.process(0))


def caption_shard_with(store: Store, scratch: Path, captioner: Captioner, name: str) -> ShardResult:
    """Caption shard 0 with any captioner."""
    return asyncio.run(CaptionWorker(captions_table(store, scratch, name), [FrameObserver(captioner)]).process(0))


def rewrite_shard(
    store: Store,
    scratch: Path,
    model: Answering,
    captions: str = f"captions/{CAPTION_SET}",
) -> ShardResult:
    """Rewrite shard 0 into the layer ``mine``."""
    output = ShardTable("rewrite", store.root, "text/mine", str(scratch), "t-hash")
    worker = rewrite_worker(output, captions, REWRITE, NAMES, {"llm": model.service})
    return asyncio.run(worker.process(0))


def empty_shard(root: Path) -> Store:
    """Make a DIR whose only shard holds no clip."""
    store = Store(root / "empty")
    with TarWriter(root / "m.tar") as media, TarWriter(root / "k.tar") as keyframes:
        pass
    ledger, clips = LEDGER.empty_table(), CLIPS.empty_table()
    commit_shard_media(store, root, ShardMedia(0, media, keyframes, ledger, clips), Artifact("media", "m-hash"))
    return store


def two_engines(folder: Path, **changes: object) -> dict[str, EngineSettings]:
    """Return settings of a local model (``vlm``, with `changes`) and of a server (``llm``)."""
    (folder / "model").mkdir(exist_ok=True)
    local = VllmSettings.model_validate({"model": f"path://{folder}/model"} | changes)
    return {"vlm": local, "llm": EndpointSettings(model="big-llm", base_url="http://127.0.0.1:1/v1")}
