"""Finished parts at a place that all nodes reach, so that another node can take over a shard without making them again.

    PLACE/clipgrove-<hash of the DIR>/<content hash>/<shard>/<source>.tar

A part is one tar with the files of its folder in scratch, written by one commit. The place is a help and no more: if it
can't be reached, a line in the log says so and the part is made again.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from runtime.errors import one_line
from runtime.log import get_logger
from runtime.settings import content_hash as short_hash
from shards.errors import ShardError
from shards.keys import shard_name
from shards.storage.files import new_folder
from shards.storage.store import Store
from shards.storage.tar import TarWriter, members, read_span

_log = get_logger(__name__)


@dataclass(frozen=True)
class SharedPlace:
    """The folder of one DIR at the shared place."""

    root: str
    """Path or URL of the place."""
    dir_root: str
    """Path or URL of the DIR."""

    @cached_property
    def store(self) -> Store:
        """The place."""
        return Store(f"{self.root.rstrip('/')}/clipgrove-{short_hash(self.dir_root)}")

    def parts(self, content_hash: str, shard: int) -> SharedParts:
        """Return the parts of a shard that is made with the settings of `content_hash`."""
        return SharedParts(self.store, f"{content_hash}/{shard_name(shard)}")

    def remove_shards_but(self, content_hash: str, unfinished: Collection[int]) -> None:
        """Remove the parts of all shards but the unfinished ones, and all that was made with other settings."""
        kept = {shard_name(shard) for shard in unfinished}
        for made_with in self.store.folders():
            for shard in self.store.folders(made_with):
                if made_with != content_hash or shard not in kept:
                    self.store.delete_folder(f"{made_with}/{shard}")
            if not (made_with == content_hash and kept):
                self.store.delete_folder(made_with)


class SharedParts:
    """The parts of one shard at the shared place."""

    def __init__(self, store: Store, folder: str) -> None:
        self._store = store
        self._folder = folder

    def put(self, part: Path) -> None:
        """Copy a finished part of this node's scratch to the place."""
        tar = part.with_name(f"{part.name}.tar")
        try:
            with TarWriter(tar) as writer:
                for path in sorted(path for path in part.rglob("*") if path.is_file()):
                    writer.add(path.relative_to(part).as_posix(), path)
            self._store.commit(tar, self._name(part.name))
        except OSError as error:
            _log.warning("media.shared_scratch: %s was not copied (%s)", part.name, one_line(error))
        finally:
            tar.unlink(missing_ok=True)

    def take(self, part: Path) -> None:
        """Copy a part from the place into this node's scratch, if it is there."""
        name = self._name(part.name)
        if f"{part.name}.tar" not in self._names:
            return
        try:
            with new_folder(part) as folder:
                for member in members(self._store, name):
                    path = folder / member.name
                    if ".." in path.parts or not path.is_relative_to(folder):
                        raise ShardError(f"{name}: {member.name} is outside of the part")
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(read_span(self._store, name, member.offset, member.size))
        except (OSError, ShardError) as error:
            _log.warning("media.shared_scratch: %s was not taken (%s)", part.name, one_line(error))

    def remove(self) -> None:
        """Remove the parts of the shard."""
        try:
            self._store.delete_folder(self._folder)
        except OSError as error:
            _log.warning("media.shared_scratch: %s was not removed (%s)", self._folder, one_line(error))

    @cached_property
    def _names(self) -> frozenset[str]:
        try:
            return frozenset(self._store.list(self._folder))
        except OSError as error:
            _log.warning("media.shared_scratch: can't be listed (%s)", one_line(error))
            return frozenset()

    def _name(self, part: str) -> str:
        return f"{self._folder}/{part}.tar"
