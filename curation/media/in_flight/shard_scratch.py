"""The folder of an unfinished shard in scratch, which outlives the worker and the run.

    SCRATCH/media/<content hash>/<shard>/
        parts/<source>/        one finished source (`curation.media.in_flight.finished_part`)
        downloads/<video>/     one finished download whose sources are not finished (`…in_flight.kept_download`)
        work/                  what is being downloaded or encoded; removed when the worker ends its work

A part or a download appears by one rename, so whatever has its name is complete. The worker removes the folder once the
shard is committed; the command removes the folders of shards that are committed or were made with other settings.
"""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from curation.media.in_flight.finished_part import FinishedPart, read_part
from curation.media.in_flight.recorded_folder import finish_folder
from curation.media.in_flight.shard_sources import SourceInShard
from curation.media.in_flight.shared_parts import SharedParts, SharedPlace
from shards.keys import shard_name

IN_FLIGHT_FOLDER: Final = "media"
"""Name of the folder of all unfinished shards in scratch."""


@dataclass(frozen=True)
class ShardScratch:
    """The folder of one unfinished shard."""

    folder: Path
    shared: SharedParts | None = None
    """Where other nodes leave and find finished parts."""

    @classmethod
    def of(cls, scratch: Path, content_hash: str, shard: int, place: SharedPlace | None = None) -> ShardScratch:
        """Return the folder of a shard that is made with the settings of `content_hash`."""
        shared = None if place is None else place.parts(content_hash, shard)
        return cls(scratch / IN_FLIGHT_FOLDER / content_hash / shard_name(shard), shared)

    def part(self, source: SourceInShard) -> FinishedPart | None:
        """Return the finished part of a source; None if it is still to be made."""
        folder = self._part(source)
        part = read_part(folder, source.made_from)
        if part is None and self.shared is not None:
            self.shared.take(folder)
            part = read_part(folder, source.made_from)
        return part

    def keep(self, source: SourceInShard, work: Path, part: FinishedPart) -> None:
        """Keep a part that was made in the folder `work`, unless another attempt might end better; `work` is gone then.

        Raises:
            OSError: disk full, or no permission.
        """
        if part.is_lasting:
            finish_folder(work, self._part(source), part, source.made_from)
            if self.shared is not None:
                self.shared.put(self._part(source))
        else:
            shutil.rmtree(work, ignore_errors=True)

    def _part(self, source: SourceInShard) -> Path:
        return self.folder / "parts" / source.name

    def download(self, source: SourceInShard) -> Path:
        """Return the folder for the finished download of a source's video."""
        return self.folder / "downloads" / source.row.video_id

    @contextmanager
    def work(self) -> Iterator[Path]:
        """Create the empty folder for work (a killed worker may have left files there), and remove it at the end."""
        folder = self.folder / "work"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def remove(self) -> None:
        """Remove the folder with all that it keeps."""
        shutil.rmtree(self.folder, ignore_errors=True)
        if self.shared is not None:
            self.shared.remove()


def remove_shards_but(scratch: Path, content_hash: str, unfinished: Collection[int]) -> None:
    """Remove the folders of all shards but the unfinished ones, and all that was made with other settings.

    No worker may be at work.

    Args:
        scratch: folder of the run for work in progress.
        content_hash: content hash of the media folder.
        unfinished: shards whose parts the next run can use.
    """
    kept = {shard_name(shard) for shard in unfinished}
    for made_with in _folders(scratch / IN_FLIGHT_FOLDER):
        for shard in _folders(made_with):
            if made_with.name != content_hash or shard.name not in kept:
                shutil.rmtree(shard)
            elif (shard / "work").exists():
                shutil.rmtree(shard / "work")
            _remove_empty(shard)
        _remove_empty(made_with)
    _remove_empty(scratch / IN_FLIGHT_FOLDER)


def _folders(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.is_dir()] if folder.is_dir() else []


def _remove_empty(folder: Path) -> None:
    with suppress(OSError):  # it is in use, or gone
        folder.rmdir()
