"""Lines of one part of a corpus (`training.corpus.corpus_parts`): read, decode, clean and select.

Control characters become spaces. Empty lines and WikiText's headings are left out and counted. Overlong lines are
split. Runs in the workers of `training.corpus.tokenizer_pool`.
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
from training.corpus.corpus_parts import CorpusPart
from training.corpus.format_detection import DAMAGED_PARQUET, raise_damaged
from training.corpus.token_files import InputRecord
from training.corpus.tokenize_settings import ReadingSettings

MAX_LINE: Final = 1 << 20
"""Characters of the longest line; longer ones are split between words, so that memory stays bounded."""

_ROWS: Final = 1024
_NUL_SHARE: Final = 0.02  # Russian in UTF-16 has 7 % NUL bytes, from its spaces; text has none
_FEW_NUL: Final = 3  # the last part may be a line of garbage
_BOM: Final = b"\xef\xbb\xbf"
_CONTROL_TO_SPACE: Final = bytes(32 if (c < 32 and c not in b"\t\n\r") or c == 127 else c for c in range(256))
"""Table that turns control characters into spaces, byte by byte, so that offsets in messages stay correct."""


def read_lines(part: CorpusPart, settings: ReadingSettings, counts: Counter[str]) -> Iterator[list[str]]:
    """Yield the lines of a part that are kept, in lists.

    Args:
        part: the part to read.
        settings: encoding and filters.
        counts: incremented by `bytes` and `lines` read, lines left out (`empty`, `headings`, `short`), and WikiText
            lines with `<unk>` (`unk`).

    Raises:
        UserError: bytes are not text in the encoding, or a Parquet file is damaged; names the file and the position.
        ShardError: a shard's table can't be read.
    """
    for data, position in _raw_texts(part):
        counts["bytes"] += len(data)
        if part.source.kind in ("text", "gzip"):
            text = _decode(data, settings.encoding, part.source.path, int(position))
        else:
            text = _decode_column(data, part.source, position)
        yield _select(text.removesuffix("\n").split("\n"), part.source.wikitext, settings.min_words, counts)


def _raw_texts(part: CorpusPart) -> Iterator[tuple[bytes, str]]:
    """Yield the bytes of texts, each with its position for messages: a byte offset in files, or a row or shard."""
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
        dataset = Dataset(source.path, source.layer, source.selection)
        table = dataset.texts(part.begin, [source.column, "split", "keep"])
        trained = pc.and_(pc.equal(pc.cast(table["split"], pa.string()), "train"), table["keep"])
        for text in pc.cast(table.filter(trained)[source.column], pa.large_binary()).to_pylist():
            yield text or b"", f"shard {part.begin}"


def _parquet_texts(part: CorpusPart) -> Iterator[tuple[bytes, str]]:
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
        raise_damaged(error, part.source.path, f"damaged Parquet from row {row} on")


def _decode_column(data: bytes, source: InputRecord, position: str) -> str:
    """Decode a text of shards or Parquet, whose formats require UTF-8."""
    try:
        return data.translate(_CONTROL_TO_SPACE).decode()
    except UnicodeDecodeError as error:
        option = "--shards" if source.kind == "shards" else "--corpus"
        raise UserError(
            f"{option} {source.path}: {position}, byte {error.start} (0x{data[error.start]:02x}) is not utf-8, which "
            f"column {source.column!r} must be; write the column again from the text"
        ) from None


def _decode(data: bytes, encoding: str, path: str, begin: int) -> str:
    """Decode a piece of a file that begins at byte `begin`."""
    _check_nul(data, path, begin)
    if begin == 0 and data.startswith(_BOM):
        data = b"   " + data[len(_BOM) :]
    try:
        return data.translate(_CONTROL_TO_SPACE).decode(encoding)
    except UnicodeDecodeError as error:
        raise UserError(
            f"--corpus {path}: byte {begin + error.start} (0x{data[error.start]:02x}) is not {encoding}; name the "
            "encoding it has, such as --encoding latin-1, or convert the file"
        ) from None


def _check_nul(data: bytes, path: str, begin: int) -> None:
    """Refuse UTF-16 without a byte order mark.

    ASCII and Cyrillic in UTF-16 are valid UTF-8 too, and each letter would be read as a word.
    """
    nul = data.count(0)
    if nul <= max(_FEW_NUL, _NUL_SHARE * len(data)):
        return
    odd = data[1 - begin % 2 :: 2].count(0)
    name = "UTF-16LE" if 2 * odd >= nul else "UTF-16BE"
    raise UserError(
        f"--corpus {path}: from byte {begin + data.index(0)} on {nul / len(data):.0%} are NUL, so it looks like {name};"
        f" convert it first (iconv -f {name} -t UTF-8)"
    )


def _select(lines: Sequence[str], wikitext: bool, min_words: int, counts: Counter[str]) -> list[str]:
    """Return the lines that are kept, overlong ones split, and count those left out."""
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
    return [piece for line in kept for piece in ([line] if len(line) <= MAX_LINE else _split_line(line))]


def _split_line(line: str) -> Iterator[str]:
    """Yield pieces of a line of at most `MAX_LINE` characters, cut between words if there are any."""
    begin = 0
    while begin < len(line):
        end = min(begin + MAX_LINE, len(line))
        if end < len(line) and (space := line.rfind(" ", begin + 1, end)) > 0:
            end = space
        yield line[begin:end]
        begin = end
