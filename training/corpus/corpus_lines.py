"""The lines of one part of a corpus (`training.corpus.corpus_files`): read, decoded, cleaned, and chosen among.

Control characters become spaces, empty lines and WikiText's headings are left out and counted, lines without end are
split. Runs in the workers of `training.corpus.tokenize_corpus`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from runtime.errors import UserError
from shards.dataset import Dataset
from training.corpus.corpus_files import Part, ReadingSettings
from training.corpus.corpus_format import DAMAGED_PARQUET, raise_damaged
from training.corpus.token_files import InputRecord

MAX_LINE: Final = 1 << 20
"""Characters; longer lines are split between words, so that memory stays bounded."""

_ROWS: Final = 1024
_NUL_SHARE: Final = 0.02  # Russian in UTF-16 has 7 %, of its spaces; text has none
_FEW_NUL: Final = 3  # a last part may be a line of rubbish
_BOM: Final = b"\xef\xbb\xbf"
_BLANKED: Final = bytes(32 if (c < 32 and c not in b"\t\n\r") or c == 127 else c for c in range(256))
"""Control characters become spaces; byte by byte, so that offsets in messages stay true."""


def read_lines(part: Part, settings: ReadingSettings, counts: Counter[str]) -> Iterator[list[str]]:
    """The lines of a part that are kept, in lists.

    Args:
        part: what to read.
        settings: how.
        counts: gains `bytes` and `lines` that were read, lines left out (`empty`, `headings`, `short`), and WikiText's
            lines with `<unk>` (`unk`).

    Raises:
        UserError: bytes that are not text in the encoding, or a damaged Parquet file; names the file and the place.
        ShardError: a shard's table can't be read.
    """
    for data, where in _raw_texts(part):
        counts["bytes"] += len(data)
        if part.source.kind in ("text", "gzip"):
            text = _decoded(data, settings.encoding, part.source.path, int(where))
        else:
            text = _decoded_column(data, part.source, where)
        yield _kept(text.removesuffix("\n").split("\n"), part.source.wikitext, settings.min_words, counts)


def _raw_texts(part: Part) -> Iterator[tuple[bytes, str]]:
    """Bytes of texts, and where the first of them lies, for messages: of files a byte offset, else a row or shard."""
    source = part.source
    if part.data is not None:
        yield part.data, str(part.begin)
    elif source.kind == "text":
        with Path(source.path).open("rb") as file:
            file.seek(part.begin)
            yield file.read(part.end - part.begin), str(part.begin)
    elif source.kind == "parquet":
        yield from _parquet_texts(part)
    else:
        assert source.layer is not None and source.column is not None
        table = Dataset(source.path, source.layer).texts(part.begin, [source.column, "split", "keep"])
        trained = pc.and_(pc.equal(pc.cast(table["split"], pa.string()), "train"), table["keep"])
        for text in pc.cast(table.filter(trained)[source.column], pa.large_binary()).to_pylist():
            yield text or b"", f"shard {part.begin}"


def _parquet_texts(part: Part) -> Iterator[tuple[bytes, str]]:
    row = 0
    try:
        with pq.ParquetFile(part.source.path) as file:
            row = sum(file.metadata.row_group(n).num_rows for n in range(part.begin))
            groups = range(part.begin, part.end)
            for batch in file.iter_batches(_ROWS, row_groups=list(groups), columns=[part.source.column]):
                for text in pc.cast(batch.column(0), pa.large_binary()).to_pylist():
                    yield text or b"", f"row {row}"
                    row += 1
    except DAMAGED_PARQUET as error:
        raise_damaged(error, part.source.path, f"from row {row} on: damaged Parquet")


def _decoded_column(data: bytes, source: InputRecord, where: str) -> str:
    """A text of shards or Parquet, which is UTF-8 as their format says."""
    try:
        return data.translate(_BLANKED).decode()
    except UnicodeDecodeError as error:
        option = "--shards" if source.kind == "shards" else "--corpus"
        raise UserError(
            f"{option} {source.path}: {where}, byte {error.start} (0x{data[error.start]:02x}) is not utf-8, which "
            f"column {source.column!r} has to hold; write it anew from the text"
        ) from None


def _decoded(data: bytes, encoding: str, path: str, begin: int) -> str:
    """A piece of a file that begins at byte `begin`."""
    _check_nul(data, path, begin)
    if begin == 0 and data.startswith(_BOM):
        data = b"   " + data[len(_BOM) :]
    try:
        return data.translate(_BLANKED).decode(encoding)
    except UnicodeDecodeError as error:
        raise UserError(
            f"--corpus {path}: byte {begin + error.start} (0x{data[error.start]:02x}) is not {encoding}; name the "
            "encoding it has, such as --encoding latin-1, or convert the file"
        ) from None


def _check_nul(data: bytes, path: str, begin: int) -> None:
    """Refuse UTF-16 without its mark, which is UTF-8 too wherever it holds ASCII or Cyrillic: each letter a word."""
    nul = data.count(0)
    if nul <= max(_FEW_NUL, _NUL_SHARE * len(data)):
        return
    odd = data[1 - begin % 2 :: 2].count(0)
    name = "UTF-16LE" if 2 * odd >= nul else "UTF-16BE"
    raise UserError(
        f"--corpus {path}: from byte {begin + data.index(0)} on {nul / len(data):.0%} are NUL, so it looks like {name};"
        f" convert it first (iconv -f {name} -t UTF-8)"
    )


def _kept(lines: Sequence[str], wikitext: bool, min_words: int, counts: Counter[str]) -> list[str]:
    counts["lines"] += len(lines)
    kept = [line for line in map(str.strip, lines) if line]
    counts["empty"] += len(lines) - len(kept)
    if wikitext:
        bodies = [line for line in kept if not (line.startswith("= ") and line.endswith(" ="))]
        counts["headings"] += len(kept) - len(bodies)
        counts["unk"] += sum("<unk>" in line for line in bodies)
        kept = bodies
    if min_words:
        long = [line for line in kept if len(line.split(None, min_words)) >= min_words]
        counts["short"] += len(kept) - len(long)
        kept = long
    return [piece for line in kept for piece in ([line] if len(line) <= MAX_LINE else _bounded(line))]


def _bounded(line: str) -> Iterator[str]:
    """A line in pieces of at most `MAX_LINE` characters, cut between words where there are any."""
    begin = 0
    while begin < len(line):
        end = min(begin + MAX_LINE, len(line))
        if end < len(line) and (space := line.rfind(" ", begin + 1, end)) > 0:
            end = space
        yield line[begin:end]
        begin = end
