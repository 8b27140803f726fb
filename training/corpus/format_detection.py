"""Detection of a corpus file's format by its first bytes: text, gzip of text, or Parquet.

Files that would be read as text but are something else (archives, UTF-16, JSON, tables without a text column) are
refused here, before any work; the message says how to convert them.
"""

from __future__ import annotations

import gzip
import re
import zlib
from pathlib import Path
from typing import Final, NoReturn

import pyarrow as pa
import pyarrow.parquet as pq

from runtime.errors import UserError, is_machine_fault, nearest, one_line

DAMAGED_PARQUET: Final = (pa.ArrowException, OSError, UnicodeDecodeError)
"""Errors of the Parquet library for a damaged file; pass them to `raise_damaged`."""
DAMAGED_GZIP: Final = (EOFError, gzip.BadGzipFile, zlib.error)
"""Errors of the gzip library for a damaged file; pass them to `raise_damaged`."""

HEAD_BYTES: Final = 512
"""Number of bytes at the beginning of a file that its format is detected from."""

_COMPRESSED: Final = {b"\xfd7zXZ": "xz", b"BZh": "bzip2", b"\x28\xb5\x2f\xfd": "zstd", b"PK\x03\x04": "zip"}
_UTF16: Final = (b"\xff\xfe", b"\xfe\xff")
_TAR_OFFSET, _TAR_MAGIC = 257, b"ustar"
_JSON: Final = re.compile(rb'(\xef\xbb\xbf)?\s*\[?\s*\{\s*"[^"\n]*"\s*:')


def detect_format(path: Path, head: bytes, format: str) -> str:
    """Return `parquet`, `gzip` or `text`.

    Args:
        path: the file; if it is gzip, its beginning is decompressed.
        head: its first `HEAD_BYTES` bytes.
        format: the format that the user names, or `auto`.

    Raises:
        UserError: the file is in none of these formats, not in `format`, or is damaged gzip.
    """
    if head.startswith(b"PAR1"):
        return "parquet"
    if format == "parquet":
        raise UserError(f"--corpus {path}: --format parquet, but this is no Parquet file; leave --format out")
    for magic, name in _COMPRESSED.items():
        if head.startswith(magic):
            raise UserError(f"--corpus {path}: is compressed with {name}; decompress it first (gzip is read directly)")
    is_gzip = head.startswith(b"\x1f\x8b")
    _check_text(path, _first_unpacked_bytes(path) if is_gzip else head, format)
    return "gzip" if is_gzip else "text"


def check_parquet(path: Path, column: str) -> None:
    """Check that a Parquet file has a text column of that name.

    Raises:
        UserError: it has none, or is damaged.
    """
    try:
        types = {field.name: field.type for field in pq.read_schema(path)}
    except DAMAGED_PARQUET as error:
        raise_damaged(error, str(path), "incomplete or damaged Parquet file")
    texts = [name for name, kind in types.items() if pa.types.is_string(kind) or pa.types.is_large_string(kind)]
    if column in texts:
        return
    if column in types:
        raise UserError(f"--corpus {path}: column {column!r} holds {types[column]}, not text; write it as strings")
    if not texts:
        raise UserError(f"--corpus {path}: none of its columns ({', '.join(types)}) holds text; name another file")
    raise UserError(f"--corpus {path}: no text column {column!r}{nearest(column, texts)}; set --column")


def raise_damaged(error: Exception, path: str, problem: str) -> NoReturn:
    """Turn a library's error about a damaged file into one line.

    Raises:
        UserError: says what is wrong with the file (`problem`).
        Exception: `error` itself, if the machine is at fault.
    """
    if is_machine_fault(error):
        raise error
    raise UserError(f"--corpus {path}: {problem} ({one_line(error)}); fetch it again") from None


def _first_unpacked_bytes(path: Path) -> bytes:
    """Decompress the beginning of a gzip file."""
    try:
        with gzip.open(path) as file:
            return file.read(HEAD_BYTES)
    except DAMAGED_GZIP as error:
        raise_damaged(error, str(path), "truncated or damaged gzip")


def _check_text(path: Path, begin: bytes, format: str) -> None:
    """Refuse a file whose first bytes are not those of plain text."""
    if begin.startswith(_UTF16):
        raise UserError(f"--corpus {path}: looks like UTF-16; convert it first (iconv -f UTF-16 -t UTF-8)")
    if begin.startswith(_TAR_MAGIC, _TAR_OFFSET):
        raise UserError(f"--corpus {path}: is a tar archive; unpack it first and name its files")
    if format == "auto" and _JSON.match(begin):
        raise UserError(
            f"--corpus {path}: looks like JSON, whose keys and escapes would be read as text; write its texts as "
            "Parquet or plain text, or read the file unchanged with --format text"
        )
