"""The sources of a shard as work: each with the name of its part and all that decides it, grouped by video."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, get_args

from curation.media.download.local_videos import is_url
from curation.sources.ledger import SourceFiltered
from curation.sources.source_rows import SourceRow
from shards.removal.tombstones import REMOVED_CLASS
from shards.schema import FilteredClass

_DUPLICATE: Final = "the same video, or the same span of it, is earlier in the list"


@dataclass(frozen=True)
class SourceInShard:
    """One source of a shard."""

    position: int
    """Its place among the sources of the shard."""
    row: SourceRow
    overlap: int
    """Number of the source in the keys of its clips."""
    subtitles: str | None = None
    """Digest of the subtitle files beside a local video."""

    @property
    def note(self) -> str:
        """Name of the source's notes of attempts: spans of one video have notes of their own."""
        row = self.row
        end = "" if row.end is None else f"_{round(row.end * 1000)}"
        return f"{row.video_id}_{round((row.start or 0) * 1000)}{end}"

    @property
    def name(self) -> str:
        """Name of its folders in scratch."""
        return f"{self.position:04d}_{self.note}"

    @property
    def made_from(self) -> Mapping[str, Any]:
        """All that decides its part, besides the settings."""
        return {"row": asdict(self.row), "overlap": self.overlap, "subtitles": self.subtitles}

    @property
    def video(self) -> str:
        """Name of the download that it needs: URLs of one video share it; a local file has its own subtitle files."""
        return self.row.video_id if is_url(self.row.source) else self.row.source

    @property
    def planned_filter(self) -> SourceFiltered | None:
        """The reason to filter the source before any work; None: it is to be curated."""
        planned = self.row.planned_state
        if planned is None:
            return None
        messages = {
            "duplicate": _DUPLICATE,
            "excluded": "named by --exclude or media.download.archive",
            REMOVED_CLASS: "removed on request",
        }
        for class_ in get_args(FilteredClass):
            if class_ == planned:
                return SourceFiltered(class_, messages.get(class_, class_))
        raise ValueError(f"sources: {planned!r} is not a known value of `verdict`")


def by_video(sources: Iterable[SourceInShard]) -> list[Sequence[SourceInShard]]:
    """Return the sources in groups that share one download, in the order of their first sources."""
    groups: dict[str, list[SourceInShard]] = {}
    for source in sources:
        groups.setdefault(source.video, []).append(source)
    return list(groups.values())
