"""The state of a removal while it is carried out, which the functions for each kind of file share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from shards.removal.unfinished import Removal
from shards.storage.store import Store


@dataclass
class RemovalWork:
    """A removal under way."""

    store: Store
    removal: Removal
    scratch: Path
    """An existing folder on a local disk, on the file system of a local DIR."""
    digests: dict[str, str] = field(default_factory=dict)
    """Present digest of each table that was looked at, by name."""
    forgotten: set[str] = field(default_factory=set)
    """Names of inputs that name the file of a removed video."""

    def inputs(self, recorded: Mapping[str, str]) -> dict[str, str]:
        """Return the inputs of a table as they have to be recorded now.

        An input that was up to date gets its present digest, so that nothing is made again. One that was out of date
        stays as it is.
        """
        return {
            name: self.digests[name] if digest == self.removal.digests.get(name) and name in self.digests else digest
            for name, digest in recorded.items()
            if name not in self.forgotten
        }
