"""What a text corpus is made of: files (text, WikiText, gzip, Parquet) or a column of curated shards, cut into parts.

An input is looked at once (`look_at_files`, `look_at_shards`), which says everything that can be known to be wrong with
it; then it is cut into parts of a few megabytes, at the ends of lines where there are any. Workers read the lines of
each on their own (`training.corpus.corpus_lines`), and `training.corpus.tokenize_corpus` turns them into tokens.
"""

from __future__ import annotations

import gzip
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final, Literal

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import Field, field_validator

from runtime.errors import UserError, is_machine_fault, nearest
from runtime.settings import Settings, content_hash
from shards.dataset import Dataset
from shards.keys import shard_name
from shards.schema import TEXT
from training.corpus.corpus_format import (
    DAMAGED_GZIP,
    DAMAGED_PARQUET,
    HEAD,
    check_parquet,
    kind_of,
    raise_damaged,
)
from training.corpus.token_files import InputRecord

_SEARCH: Final = 1 << 20  # bytes after a part's size in which an end of line is looked for
_WIKITEXT: Final = re.compile(r"wiki-?text|wiki\.\w+\.(tokens|raw)", re.IGNORECASE)


class ReadingSettings(Settings):
    """How text is read."""

    format: Literal["auto", "text", "wikitext", "parquet"] = "auto"
    """`wikitext` leaves headings (` = Title = `) out; `auto` does so where the name says WikiText. Gzip and Parquet are
    known by their first bytes."""
    encoding: str = "utf-8"
    """Of text files; a superset of ASCII."""
    column: str | None = None
    """Text column: of Parquet files (default `text`), of shards (default `grounded_text`)."""
    layer: str | None = None
    """Text layer of shards. Without: the only one there is."""
    min_words: int = Field(default=0, ge=0)
    """Leave out lines of fewer words."""

    @field_validator("encoding")
    @classmethod
    def _reads_ascii(cls, name: str) -> str:
        ascii_bytes = bytes(range(128))
        try:
            fits = ascii_bytes.decode(name) == ascii_bytes.decode("ascii")
        except (LookupError, UnicodeError):
            fits = False
        if not fits:
            raise ValueError(f"no encoding that holds ASCII; name another, or convert (iconv -f {name} -t UTF-8)")
        return name


@dataclass(frozen=True)
class Part:
    """A piece of an input, to be read by one worker."""

    source: InputRecord
    begin: int
    """First byte, row group or shard."""
    end: int
    """One past the last."""
    weight: int
    """Bytes of the input that it stands for."""
    data: bytes | None = None
    """What was unpacked; of gzip only."""


def look_at_files(paths: Sequence[str | Path], settings: ReadingSettings) -> tuple[InputRecord, ...]:
    """Open each file for a moment and say what it is.

    Raises:
        UserError: no such file, a folder, one that can't be read or is named twice, a format that is not read here, or
            no such column.
    """
    _check_once("--corpus", [os.path.realpath(path) for path in paths])
    return tuple(_look_at_file(Path(path), settings) for path in paths)


def look_at_shards(roots: Sequence[str], settings: ReadingSettings) -> tuple[InputRecord, ...]:
    """Open DIRs that `curate run` wrote and choose the text layer.

    Raises:
        UserError: no such column, a DIR that is named twice, or the text layer is not clear.
        ShardError: a DIR that can't be read.
    """
    if not roots:
        return ()
    from training.data.sources.shard_tables import open_shards  # imports torch, which workers don't need

    column = settings.column or "grounded_text"
    columns = [field.name for field in TEXT if pa.types.is_string(field.type)]
    if column not in columns:
        raise UserError(f"--column {column}: shards have no text column of that name{nearest(column, columns)}")
    _check_once("--shards", roots)
    open_shards(roots, {settings.layer: 1.0} if settings.layer else None)
    return tuple(_look_at_dir(root, settings.layer or _only_layer(root), column) for root in roots)


def parts_of(source: InputRecord, part_bytes: int) -> Iterator[Part]:
    """Cut an input into parts of about `part_bytes`; the same parts each time.

    Raises:
        UserError: a gzip or Parquet file that is cut or damaged.
    """
    cutters = {"text": _text_parts, "gzip": _gzip_parts, "parquet": _parquet_parts, "shards": _shard_parts}
    return cutters[source.kind](source, part_bytes)


def _check_once(flag: str, names: Sequence[str]) -> None:
    """Text that is read twice would lie in what is trained on and in what is held out."""
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise UserError(f"{flag} {twice[0]}: is named twice; leave one out")


def _look_at_file(path: Path, settings: ReadingSettings) -> InputRecord:
    try:
        with path.open("rb") as file:
            head = file.read(HEAD)
        found = path.stat()
    except FileNotFoundError:
        raise UserError(f"--corpus {path}: there is no such file (patterns are for the shell: no quotes)") from None
    except IsADirectoryError:
        raise UserError(f"--corpus {path}: is a folder; name its files, or a DIR of shards with --shards") from None
    except PermissionError:
        raise UserError(f"--corpus {path}: can't be read; change its permissions") from None
    except OSError as error:  # below a file, a name too long, links in a circle
        if is_machine_fault(error):
            raise
        raise UserError(f"--corpus {path}: can't be opened ({error.strerror}); name a file") from None
    kind = kind_of(path, head, settings.format)
    column = None
    if kind == "parquet":
        column = settings.column or "text"
        check_parquet(path, column)
    return InputRecord(
        path=str(path.absolute()),
        kind=kind,
        size=found.st_size,
        mark=str(found.st_mtime_ns),
        wikitext=settings.format == "wikitext"
        or (settings.format == "auto" and bool(_WIKITEXT.search("/".join(path.absolute().parts[-2:])))),
        column=column,
    )


def _only_layer(root: str) -> str:
    from shards.reader import text_layers
    from shards.storage.store import Store

    return next(iter(text_layers(Store(root))))


def _look_at_dir(root: str, layer: str, column: str) -> InputRecord:
    dataset = Dataset(root, layer)
    entries = dataset.store.list(f"text/{layer}")
    tables = {number: entries[f"{shard_name(number)}.parquet"] for number in dataset.shards}
    return InputRecord(
        path=dataset.store.root,
        kind="shards",
        size=sum(table.size for table in tables.values()),
        mark=content_hash([[number, table.size, table.token] for number, table in tables.items()]),
        wikitext=False,
        column=column,
        layer=layer,
    )


def _text_parts(source: InputRecord, part_bytes: int) -> Iterator[Part]:
    with Path(source.path).open("rb") as file:
        begin = 0
        while begin < source.size:
            wanted = begin + part_bytes
            end = source.size if wanted >= source.size else _line_end(file, wanted, source.size)
            yield Part(source, begin, end, end - begin)
            begin = end


def _line_end(file: BinaryIO, position: int, size: int) -> int:
    """The first place after `position` to cut at: an end of line, else between words, else between characters."""
    file.seek(position)
    window = file.read(_SEARCH)
    if position + len(window) >= size and b"\n" not in window:
        return size
    return position + _cut(window, window.find(b"\n"))


def _cut(window: bytes, newline: int) -> int:
    """Bytes of `window` before the cut: after `newline`, or after the last space, or before a whole character."""
    if newline >= 0:
        return newline + 1
    if (space := window.rfind(b" ")) >= 0:
        return space + 1
    end = len(window) - 1
    while end > 1 and window[end] & 0xC0 == 0x80:  # UTF-8: not within a character
        end -= 1
    return end


def _gzip_parts(source: InputRecord, part_bytes: int) -> Iterator[Part]:
    begin, kept, packed = 0, b"", 0
    with Path(source.path).open("rb") as file, gzip.open(file) as unpacked:
        while True:
            try:
                read = unpacked.read(part_bytes)
            except DAMAGED_GZIP as error:
                raise_damaged(error, source.path, "cut or damaged gzip")
            data = kept + read
            if not data:
                return
            end = _cut(data, data.rfind(b"\n")) if read else len(data)
            yield Part(source, begin, begin + end, file.tell() - packed, data[:end])
            begin, kept, packed = begin + end, data[end:], file.tell()


def _parquet_parts(source: InputRecord, part_bytes: int) -> Iterator[Part]:
    try:
        with pq.ParquetFile(source.path) as file:
            sizes = [_column_bytes(file.metadata.row_group(n), source.column) for n in range(file.num_row_groups)]
    except DAMAGED_PARQUET as error:
        raise_damaged(error, source.path, "no whole Parquet file")
    begin, held = 0, 0
    for number, size in enumerate(sizes):
        held += size
        if held >= part_bytes or number == len(sizes) - 1:
            yield Part(source, begin, number + 1, source.size * held // max(sum(sizes), 1))
            begin, held = number + 1, 0


def _column_bytes(group: Any, column: str | None) -> int:
    """Unpacked size of a column in a row group."""
    chunks = (group.column(number) for number in range(group.num_columns))
    return sum(int(chunk.total_uncompressed_size) for chunk in chunks if chunk.path_in_schema == column)


def _shard_parts(source: InputRecord, _: int) -> Iterator[Part]:
    assert source.layer is not None
    shards = Dataset(source.path, source.layer).shards
    for shard in shards:
        yield Part(source, shard, shard + 1, source.size // len(shards))
