"""The sources of a run: those that the DIR holds already, and those that its inputs add."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Literal

from curation.media.download.download_archives import archived_ids
from curation.media.download.downloader import check_options, javascript_runtime
from curation.media.download.local_videos import SUBTITLE_SUFFIXES
from curation.media.download.playlists import read_sources
from curation.media.media_settings import MediaSettings
from curation.run_request import RunRequest
from curation.sources.inputs import NOT_UTF8
from curation.sources.postponed_sources import postponed_rows
from curation.sources.source_rows import SourceRow
from curation.sources.source_states import SourceStates
from curation.sources.table.planned_sources import PlannedSources, plan_sources
from runtime.errors import UserError
from runtime.models.model_uri import cache_folder
from shards.manifest import MANIFEST, read_manifest
from shards.reader import media_shards
from shards.removal.tombstones import REMOVED_NAME, removed_ids
from shards.sources.source_parts import SOURCES_FOLDER, SourceParts
from shards.storage.store import Store


def run_sources(request: RunRequest, postponed_in: Sequence[int] = ()) -> tuple[PlannedSources, tuple[str, ...]]:
    """Read the inputs of a run and add the new sources to those of the DIR, which is not changed.

    Args:
        request: the run.
        postponed_in: shards of which an earlier run has postponed some sources; they are tried again.

    Returns:
        All sources, and one warning for each problem that may come up later.

    Raises:
        UserError: an input is missing or invalid, or there are no sources at all.
    """
    ignored: Counter[str] = Counter()
    store = request.store
    manifest = read_manifest(store)
    is_new = not SourceParts(store)
    if is_new:
        _refuse_lost_sources(store, has_manifest=manifest is not None)
    if not request.inputs and is_new:
        raise UserError(f"--input: must be set, because {store.root} holds no sources yet")
    download = request.settings.branch(MediaSettings).download
    found = read_sources(
        request.inputs,
        download,
        cache=cache_folder() / "hashes",
        ignored=ignored,
    )
    planned = plan_sources(
        lambda: SourceParts(store).tables(),
        found,
        videos_per_shard=_videos_per_shard(request),
        limit=request.limit,
        exclude=request.exclude | archived_ids(download.archive),
        removed=removed_ids(store),
        retry=() if is_new else chain(_failed(request), postponed_rows(store, postponed_in, request.tries)),
    )
    if download.yt_dlp or planned.has_urls:
        check_options(download)  # imports yt-dlp, which takes a second
    if not planned.found and is_new:
        raise UserError(f"--input {' '.join(request.inputs)}: no video found there")
    return planned, _warnings(planned, ignored)


def _refuse_lost_sources(store: Store, *, has_manifest: bool) -> None:
    """Refuse a DIR without sources that a run has written to: new sources would get the shards of those that are lost.

    `curation.dir_bookkeeping.begin` writes the sources first, so no run leaves such a DIR.

    Raises:
        UserError: names what the DIR holds, and the remedy.
    """
    shards = media_shards(store)
    if not has_manifest and not shards:
        return
    held = f"media of {len(shards)} shards" if shards else MANIFEST
    raise UserError(
        f"--output {store.root}: holds {held} but no {SOURCES_FOLDER}/; put that folder back, or choose an empty folder"
    )


def _videos_per_shard(request: RunRequest) -> int | Literal["auto"]:
    size = request.settings.videos_per_shard
    if size != "auto" and size < 1:
        raise UserError(f"videos_per_shard={size}: must be auto, or 1 or more")
    return size


def _failed(request: RunRequest) -> Iterator[SourceRow]:
    """Yield the sources that `--retry-failed` names: those whose last attempt failed in one of the classes."""
    if request.retry:
        states = SourceStates(request.store)
        yield from (source.row for source in states.of_classes("failed", request.retry))
        states.close()


def _warnings(planned: PlannedSources, ignored: Counter[str]) -> tuple[str, ...]:
    """Return one line for each problem that may come up later."""
    warnings = []
    if planned.has_youtube and javascript_runtime() is None:
        warnings.append("YouTube needs a JavaScript runtime, and there is none on the PATH: install deno 2 (or node)")
    if count := planned.refused.count:
        examples = planned.refused.examples
        shown = ", ".join(examples) + (", …" if count > len(examples) else "")
        were = f"{count} source was" if count == 1 else f"{count} sources were"
        warnings.append(f"{were} removed on request, and not taken again ({REMOVED_NAME}): {shown}")
    if unnamed := ignored.pop(NOT_UTF8, 0):
        warnings.append(
            f"{unnamed} files in folders were left out, because their names are not UTF-8 text: rename them"
        )
    left_out = Counter({suffix: count for suffix, count in ignored.items() if suffix not in SUBTITLE_SUFFIXES})
    if left_out:
        kinds = ", ".join(f"{count} {suffix or '(no suffix)'}" for suffix, count in left_out.most_common(5))
        warnings.append(f"files in folders that are not videos were left out: {kinds}")
    return tuple(warnings)
