"""Subtitle files beside local videos, as inputs of a shard's media: a changed one makes the shard out of date.

Keys depend on the video's bytes alone, so changed subtitles give the same video other clips. They are made in the same
shard, in the place of the old ones: a new attempt in a new shard would count the video twice.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

from curation.media.download.local_videos import is_url, sidecar_digests
from curation.media.media_settings import MediaSettings
from curation.sources.file_hashes import hash_files
from curation.sources.source_rows import SourceRow
from curation.sources.table.planned_sources import PlannedSources
from shards.artifact import Artifact

_NAME: Final = "subtitles of "
_BATCH: Final = 4096


def sidecar_inputs(rows: Iterable[SourceRow], settings: MediaSettings) -> dict[str, str]:
    """Return the digest of the subtitle files of each local video of a shard, by a name for the artifact's record."""
    sources = _local_sources(rows)
    return _named(sources, _digests(sources, settings))


def input_name(source: str) -> str:
    """Return the name of the input that records the subtitle files beside a local video."""
    return f"{_NAME}{source}"


def subtitled_video(name: str) -> str | None:
    """Return the path of the video whose subtitle files an input names; None if it names no subtitle files."""
    return name.removeprefix(_NAME) if name.startswith(_NAME) else None


def _local_sources(rows: Iterable[SourceRow]) -> list[str]:
    return [row.source for row in rows if row.planned_state is None and not is_url(row.source)]


def _digests(sources: Iterable[str], settings: MediaSettings) -> dict[str, str]:
    return {} if settings.video.transcribe.subtitles == "never" else sidecar_digests(sources)


def _named(sources: Iterable[str], digests: Mapping[str, str]) -> dict[str, str]:
    return {input_name(source): digests[source] for source in sources if source in digests}


@dataclass(frozen=True)
class SidecarChanges:
    """The inputs that media should have now, and what is left as it is."""

    inputs: Mapping[int, Mapping[str, str]]
    """For each committed shard. They differ from those in its record if the shard is to be made again."""
    remade: tuple[int, ...]
    """Shards whose subtitle files have changed."""
    left: tuple[int, ...]
    """Shards whose subtitle files have changed too, but which can't be made again without losing another source."""

    @property
    def warnings(self) -> tuple[str, ...]:
        """One line for people for each of the two kinds."""
        lines = []
        if self.remade:
            lines.append(f"subtitle files beside videos have changed: {_shards(self.remade)} made again")
        if self.left:
            lines.append(
                f"subtitle files beside videos have changed, but {_shards(self.left)} not made again: other videos "
                "there are URLs, are gone, or were tried again in another shard; curate these into another --output"
            )
        return tuple(lines)


def sidecar_changes(
    sources: PlannedSources, media: Mapping[int, Artifact], settings: MediaSettings, cache: Path
) -> SidecarChanges:
    """Compare the subtitle files beside all local videos with those that the committed media were made from.

    The subtitles of a video that is gone count as unchanged.

    Args:
        sources: those of the DIR and of the run.
        media: the committed media.
        settings: of the media stage.
        cache: database of hashes of files, see `hash_files`.
    """
    now = _inputs_now(sources, media, settings)
    changed = [shard for shard, artifact in media.items() if now.get(shard, {}) != dict(artifact.inputs)]
    by_shard: defaultdict[int, list[SourceRow]] = defaultdict(list)
    for row in sources.known_in(changed) if changed else ():
        by_shard[row.shard].append(row)
    tried_again = sources.shards_tried_again() if changed else set()
    left = [shard for shard in changed if shard in tried_again or not _all_there(by_shard[shard], cache)]
    inputs = now | {shard: media[shard].inputs for shard in left}
    return SidecarChanges(inputs, tuple(shard for shard in changed if shard not in left), tuple(left))


def _inputs_now(
    sources: PlannedSources, media: Mapping[int, Artifact], settings: MediaSettings
) -> dict[int, Mapping[str, str]]:
    """Return the inputs of each committed shard with subtitle files; those of videos that are gone as they were."""
    inputs: defaultdict[int, dict[str, str]] = defaultdict(dict)
    for shard, artifact in media.items():
        gone = {name: was for name, was in artifact.inputs.items() if not Path(name.removeprefix(_NAME)).is_file()}
        if gone:
            inputs[shard] |= gone
    local = sources.local_in(media)
    while batch := list(islice(local, _BATCH)):
        digests = _digests((source for _, source in batch), settings)
        for shard, source in batch:
            inputs[shard] |= _named([source], digests)
    return dict(inputs)


def _all_there(rows: Iterable[SourceRow], cache: Path) -> bool:
    """Return True if every video of a shard is a local file with the bytes that its clips were made from."""
    working = [row for row in rows if row.planned_state is None]
    if any(is_url(row.source) for row in working):
        return False
    try:
        hashes = hash_files([Path(row.source) for row in working], cache)
    except OSError:
        return False
    return all(digest.startswith(row.video_id) for row, digest in zip(working, hashes, strict=True))


def _shards(shards: Sequence[int]) -> str:
    return f"shard {shards[0]} is" if len(shards) == 1 else f"{len(shards)} shards are"
