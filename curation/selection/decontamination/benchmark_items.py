"""A video of a benchmark as decontamination looks for it, and the reader of a benchmark's annotation files."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from runtime.errors import UserError


@dataclass(frozen=True)
class BenchmarkItem:
    """One video, or span of a video, of a benchmark."""

    id: str
    """Id in the benchmark's own files."""
    sites: tuple[str, ...] = ()
    """Canonical ids of the video at its site: ``youtube:dQw4w9WgXcQ``."""
    span: tuple[float, float] | None = None
    """Seconds of the site's video that are used; None: all of it, or unknown."""
    texts: tuple[str, ...] = ()
    """Its captions."""

    def joined(self, other: BenchmarkItem) -> BenchmarkItem:
        """Return what both files say of the item."""
        return replace(
            self,
            sites=tuple(dict.fromkeys(self.sites + other.sites)),
            span=self.span or other.span,
            texts=tuple(dict.fromkeys(self.texts + other.texts)),
        )


@dataclass(frozen=True)
class BenchmarkReader:
    """The reader of one benchmark, as registered."""

    name: str
    """Value of ``--benchmark``."""
    files: str
    """Names of its published annotation files, for messages and help."""
    read: Callable[[Path], Iterable[BenchmarkItem]]
    """Yield the items of one file; raises `UserError` for a file of another form."""
    hint: str | None = None
    """A text that the path of a file must contain for its name to count, where ids are bare numbers; None: any path."""


def read_items(reader: BenchmarkReader, paths: Sequence[Path]) -> list[BenchmarkItem]:
    """Return the items of some annotation files, each id once.

    A list (``.csv``, ``.txt``) chooses: if there is one, items of other files that are on no list are left out.

    Raises:
        UserError: a file is missing, or is no annotation file of this benchmark.
    """
    items: dict[str, BenchmarkItem] = {}
    listed: set[str] = set()
    for path in paths:
        if not path.is_file():
            raise UserError(f"--annotations {path}: no such file; {reader.name} has {reader.files}")
        own = list(_read(reader, path))
        for item in own:
            items[item.id] = items[item.id].joined(item) if item.id in items else item
        if path.suffix.lower() in (".csv", ".txt"):
            listed.update(item.id for item in own)
    return [item for item in items.values() if not listed or item.id in listed]


def _read(reader: BenchmarkReader, path: Path) -> Iterator[BenchmarkItem]:
    """Yield the items of one file.

    Raises:
        UserError: it is of another form, or holds no item.
    """
    count = 0
    try:
        for item in reader.read(path):
            count += 1
            yield item
    except UserError as error:
        raise UserError(f"{error}; {reader.name} is read from {reader.files}") from None
    if not count:
        raise UserError(f"--annotations {path}: holds no video; {reader.name} is read from {reader.files}")
