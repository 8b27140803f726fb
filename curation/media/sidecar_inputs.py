"""Subtitle files beside local videos, as inputs of a shard's media: a changed one makes the shard out of date.

Keys depend on the video's bytes alone, so changed subtitles give the same video other clips. They are made in the same
shard, in the place of the old ones: a new attempt in a new shard would count the video twice.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from curation.media.download.local_videos import is_url, sidecar_digests
from curation.media.media_settings import MediaSettings
from curation.sources.file_hashes import hash_files
from curation.sources.source_rows import SourceKey, SourceRow
from shards.artifact import Artifact

_NAME: Final = "subtitles of "


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
    rows: Sequence[SourceRow], media: Mapping[int, Artifact], settings: MediaSettings, cache: Path
) -> SidecarChanges:
    """Compare the subtitle files beside all local videos with those that the committed media were made from.

    The subtitles of a video that is gone count as unchanged.

    Args:
        rows: all sources of the DIR.
        media: the committed media.
        settings: of the media stage.
        cache: database of hashes of files, see `hash_files`.
    """
    by_shard: defaultdict[int, list[SourceRow]] = defaultdict(list)
    latest: dict[SourceKey, int] = {}
    for row in rows:
        by_shard[row.shard].append(row)
        latest[row.key] = max(row.attempt, latest.get(row.key, 0))
    digests = _digests(_local_sources(row for row in rows if row.shard in media), settings)
    inputs: dict[int, Mapping[str, str]] = {}
    remade, left = [], []
    for shard, artifact in media.items():
        inputs[shard] = artifact.inputs
        gone = {
            name: digest for name, digest in artifact.inputs.items() if not Path(name.removeprefix(_NAME)).is_file()
        }
        now = gone | _named(_local_sources(by_shard[shard]), digests)
        if now == dict(artifact.inputs):
            continue
        if all(row.attempt == latest[row.key] for row in by_shard[shard]) and _all_there(by_shard[shard], cache):
            inputs[shard] = now
            remade.append(shard)
        else:
            left.append(shard)
    return SidecarChanges(inputs, tuple(remade), tuple(left))


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
