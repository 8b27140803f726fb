"""What a run has to do: which sources are new, which artifacts are missing or stale, and in which folders.

Everything is decided here before any work starts and before Ray is started; `curation.run` carries it out.
An artifact is up to date when its folder holds the hash of today's settings and the digests of what it was
made from are still those of its inputs.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa

from curation.captions.caption_stage import caption_hash
from curation.media.download.downloader import check_options, javascript_runtime
from curation.media.download.local_videos import SUBTITLE_SUFFIXES
from curation.pipeline import Hashes, PipelineSettings, Places, StageName
from curation.run_request import Job
from curation.sources.inputs import read_inputs
from curation.sources.source_rows import SourceRow
from curation.sources.source_states import source_states
from curation.sources.source_table import plan_sources
from curation.text.rewrite_stage import rewrite_hash
from curation.text.text_rows import TextLayer
from runtime.errors import UserError
from runtime.models.model_uri import cache_folder, revision_of
from shards.artifact import Artifact
from shards.manifest import read_manifest, read_stage
from shards.pending_shards import inputs_of, work_of
from shards.reader import artifacts, caption_sets, committed_media, read_table
from shards.storage.store import Store


@dataclass(frozen=True)
class StagePlan:
    """One stage: the folder it writes, and its shards by state."""

    name: StageName
    folder: str
    hash: str
    done: tuple[int, ...]
    todo: tuple[int, ...]
    stale: tuple[int, ...] = ()
    """Those of `todo` that were made from something that has changed since."""


@dataclass(frozen=True)
class Plan:
    """All a run does."""

    job: Job
    places: Places
    hashes: Hashes
    sources: pa.Table
    new_sources: int
    videos_per_shard: int
    stages: tuple[StagePlan, ...]
    media: Mapping[int, Artifact]
    """The media that are committed already."""
    replaces: str | None = None
    """The finished layer that `places.text` takes the place of."""
    warnings: tuple[str, ...] = field(default=())

    @property
    def is_done(self) -> bool:
        """Whether there is nothing to do at all."""
        return not self.new_sources and not self.replaces and not any(stage.todo for stage in self.stages)


def make_plan(job: Job) -> Plan:
    """Decide what a run has to do. Reads the DIR, changes nothing.

    Raises:
        UserError: the input, the settings or the state of the DIR don't allow the run.
    """
    store = job.store
    check_output(store)
    manifest = read_manifest(store)
    existing = read_table(store, "sources.parquet") if store.exists("sources.parquet") else None
    ignored: Counter[str] = Counter()
    fetching = job.settings.media.download
    found = read_inputs(
        job.inputs, allow_schemes=fetching.allow_schemes, cache=cache_folder() / "hashes", ignored=ignored
    )
    if fetching.yt_dlp or any(source.is_url for source in found):
        check_options(fetching)  # imports yt-dlp, which takes a second
    if not found and existing is None:
        raise UserError(f"--input {' '.join(job.inputs)}: no video found there")
    per_shard = manifest.videos_per_shard if manifest else _videos_per_shard(job.settings)
    planned = plan_sources(
        existing,
        found,
        videos_per_shard=per_shard,
        limit=job.limit,
        exclude=set(job.exclude),
        retry=_failed(job, existing),
    )
    hashes, captions = _hashes(job)
    _check_media_hash(job, hashes)
    text, replaces = _text_folder(job, hashes)
    places = Places(store.root, str(job.scratch), captions, text)
    media = committed_media(store)
    stages = _stage_plans(job, places, hashes, sorted(set(planned.table["shard"].to_pylist())), media)
    return Plan(
        job=job,
        places=places,
        hashes=hashes,
        sources=planned.table,
        new_sources=planned.new,
        videos_per_shard=planned.videos_per_shard,
        stages=stages,
        media=media,
        replaces=replaces,
        warnings=_warnings(job.settings, planned.table, ignored),
    )


def check_output(store: Store) -> None:
    """Refuse a DIR that can't be written, before any work; `UserError` names it."""
    if not store.is_local:
        return
    place = Path(store.root)
    if place.exists() and not place.is_dir():
        raise UserError(f"--output {place}: is a file, name a folder")
    while not place.exists():
        place = place.parent
    if not os.access(place, os.W_OK | os.X_OK):
        raise UserError(f"--output {store.root}: {place} can't be written to; choose another folder")


def _videos_per_shard(settings: PipelineSettings) -> int | Literal["auto"]:
    size = settings.videos_per_shard
    if size != "auto" and size < 1:
        raise UserError(f"videos_per_shard={size}: must be auto, or 1 or more")
    return size


def _failed(job: Job, existing: pa.Table | None) -> list[SourceRow]:
    """Sources that `--retry-failed` puts into new shards: those whose last attempt failed in a named class."""
    if job.retry is None or existing is None:
        return []
    return [
        source.row for source in source_states(job.store) if source.state == "failed" and source.class_ in job.retry
    ]


def _hashes(job: Job) -> tuple[Hashes, str]:
    """Content hash of each stage, and the folder of the caption set."""
    settings = job.settings
    transcription = settings.media.video.transcribe
    asr = revision_of(transcription.asr.model) if transcription.asr else None
    punctuation = revision_of(transcription.punctuation.model) if transcription.punctuation else None
    media = settings.media.hash(asr, punctuation)
    caption = caption_hash(settings.caption, settings.engines)
    captions = _caption_folder(job, caption)
    name = captions.removeprefix("captions/")
    layer = TextLayer(settings.filters, settings.val_percent)
    rewrite = rewrite_hash(settings.rewrite, layer, settings.engines, name, caption)
    return Hashes(media, caption, rewrite), captions


def _caption_folder(job: Job, hash_: str) -> str:
    """An existing caption set made with these settings, else one named after the layer."""
    known = {name: _made_with(job.store, f"captions/{name}") for name in caption_sets(job.store)}
    for name, made_with in known.items():
        if made_with == hash_:
            return f"captions/{name}"
    if job.layer in known and set(job.stages) & {"caption", "rewrite"}:
        if job.replace:
            return f"captions/{job.layer}-{hash_[:8]}"
        raise UserError(_changed(f"captions/{job.layer}", "caption"))
    return f"captions/{job.layer}"


def _text_folder(job: Job, hashes: Hashes) -> tuple[str, str | None]:
    """The folder to write the layer in, and the layer it takes the place of when it is complete."""
    folder = f"text/{job.layer}"
    made_with = _made_with(job.store, folder)
    if made_with in (None, hashes.rewrite) or "rewrite" not in job.stages:
        return folder, None
    if not job.replace:
        raise UserError(_changed(folder, "rewrite"))
    return f"text/.{job.layer}-{hashes.rewrite[:8]}", folder


def _changed(folder: str, stage: str) -> str:
    return (
        f"{folder} was made with other {stage} settings: add --layer NAME to write beside it, "
        "or --replace to rebuild it and swap when complete"
    )


def _check_media_hash(job: Job, hashes: Hashes) -> None:
    """All media of a DIR is made with one set of settings; another set needs another DIR."""
    mark = read_stage(job.store, "media")
    if mark is None or mark.content_hash == hashes.media or "media" not in job.stages:
        return
    differing = _differences(mark.settings, job.settings.media.content(), "media")
    detail = "; ".join(differing[:3]) or "a model or the program has changed"
    raise UserError(
        f"--output {job.store.root}: its media was made with other settings ({detail}); "
        "choose another --output, or set them as before with --set"
    )


def _made_with(store: Store, folder: str) -> str | None:
    mark = read_stage(store, folder)
    return None if mark is None else mark.content_hash


def _differences(before: Any, now: Any, where: str) -> list[str]:
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        keys = sorted(set(before) | set(now))
        return [line for key in keys for line in _differences(before.get(key), now.get(key), f"{where}.{key}")]
    return [] if before == now else [f"{where}: {before!r} then, {now!r} now"]


def _stage_plans(
    job: Job, places: Places, hashes: Hashes, shards: Sequence[int], media: Mapping[int, Artifact]
) -> tuple[StagePlan, ...]:
    """Which shards each of the asked-for stages has to make."""
    captions = artifacts(job.store, places.captions)
    texts = artifacts(job.store, places.text)
    plans: list[StagePlan] = []
    redone: set[int] = set()
    if "media" in job.stages:
        plans.append(_stage_plan("media", "media", hashes.media, shards, media, {}, redone))
        redone |= set(plans[-1].todo)
    available = sorted(set(media) | redone)
    if "caption" in job.stages:
        inputs = {shard: inputs_of({"media": media}, shard) for shard in available}
        plans.append(_stage_plan("caption", places.captions, hashes.caption, available, captions, inputs, redone))
        redone |= set(plans[-1].todo)
    if "rewrite" in job.stages:
        ready = [shard for shard in available if shard in captions or shard in redone]
        inputs = {shard: inputs_of({"media": media, places.captions: captions}, shard) for shard in ready}
        plans.append(_stage_plan("rewrite", places.text, hashes.rewrite, ready, texts, inputs, redone))
    return tuple(plans)


def _stage_plan(
    name: StageName,
    folder: str,
    hash_: str,
    shards: Sequence[int],
    made: Mapping[int, Artifact],
    inputs: Mapping[int, Mapping[str, str]],
    redone: set[int],
) -> StagePlan:
    work = work_of(shards, made, hash_, inputs, redone)
    return StagePlan(name, folder, hash_, work.done, work.todo, work.stale)


def _warnings(settings: PipelineSettings, sources: pa.Table, ignored: Counter[str]) -> tuple[str, ...]:
    """What may go wrong later and can be seen now."""
    warnings = []
    youtube = any("youtube.com/" in source or "youtu.be/" in source for source in sources["source"].to_pylist())
    if youtube and javascript_runtime() is None:
        warnings.append("YouTube needs a JavaScript runtime and none is on the PATH: install deno 2 (or node)")
    left_out = Counter({suffix: count for suffix, count in ignored.items() if suffix not in SUBTITLE_SUFFIXES})
    if left_out:
        kinds = ", ".join(f"{count} {suffix or '(no suffix)'}" for suffix, count in left_out.most_common(5))
        warnings.append(f"files in folders that are no videos were left out: {kinds}")
    return tuple(warnings)
