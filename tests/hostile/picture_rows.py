"""Pictures: stills of other people's shards, and those that are sent to a captioner."""

from __future__ import annotations

import io
import random
import struct
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path

from PIL import Image
from support.hostile_rows import Row, outcome_of
from support.small_videos import png, png_chunk

from curation.engines.request_images import FORMATS
from shards.media.pictures import opened_picture

NO = r"no picture: "
ANY = r"(read|no picture): "


def _decoded(data: Callable[[], bytes]) -> Callable[[Path], str]:
    def act(folder: Path) -> str:
        encoded = data()

        def call() -> str:
            with opened_picture(encoded, FORMATS) as picture:
                return str(picture.convert("RGB").size)

        return outcome_of(call)

    return act


def _saved(kind: str, size: tuple[int, int] = (64, 48)) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, "red").save(file, kind)
    return file.getvalue()


def _jpeg_of(width: int, height: int) -> bytes:
    """A JPEG whose header is said to have other sides."""
    data = bytearray(_saved("JPEG"))
    at = data.index(b"\xff\xc0") + 5
    data[at : at + 4] = struct.pack(">HH", height, width)
    return bytes(data)


def _half(kind: str) -> bytes:
    return _saved(kind)[: len(_saved(kind)) // 2]


def _noisy(kind: str) -> bytes:
    data = bytearray(_saved(kind))
    rng = random.Random(kind)
    for _ in range(30):
        data[rng.randrange(20, len(data))] = rng.randrange(256)
    return bytes(data)


def _with_text(size: int) -> bytes:
    """A PNG with a compressed text of `size` bytes in front of its pixels."""
    whole = png(8, 8)
    text = png_chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(size), 9))
    at = whole.index(b"IDAT") - 4
    return whole[:at] + text + whole[at:]


ROWS = [
    Row("nothing", _decoded(bytes), NO),
    Row("text", _decoded(lambda: b"hello" * 100), NO),
    Row("a web page", _decoded(lambda: b"<html>" * 100), NO),
    Row("an SVG", _decoded(lambda: b'<svg xmlns="http://www.w3.org/2000/svg"/>'), NO),
    Row("a TIFF", _decoded(lambda: _saved("TIFF")), NO),
    Row("a BMP", _decoded(lambda: _saved("BMP")), NO),
    Row("a GIF", _decoded(lambda: _saved("GIF")), NO),
    Row("an EPS, which Pillow would hand to Ghostscript", _decoded(lambda: _saved("EPS")), NO),
    Row("a PNG of 144 million pixels", _decoded(lambda: png(12_000, 12_000)), r"no picture: .*pixels"),
    Row("a PNG of 900 million pixels", _decoded(lambda: png(30_000, 30_000, 1)), NO),
    Row("a JPEG of 4 billion pixels", _decoded(lambda: _jpeg_of(65_500, 65_500)), NO),
    Row("a JPEG of 0 x 0 pixels", _decoded(lambda: _jpeg_of(0, 0)), NO),
    Row("a JPEG of 8,000 x 8,000 pixels that are missing", _decoded(lambda: _jpeg_of(8000, 8000)), ANY, megabytes=500),
    Row("a PNG of one line", _decoded(lambda: png(1_000_000, 1)), r"read: ", megabytes=200),
    Row("a PNG with a text of 300 MB", _decoded(lambda: _with_text(300 << 20)), ANY, seconds=10, megabytes=450),
    Row("a PNG with a checksum that is wrong", _decoded(lambda: png(8, 8)[:-6] + b"\0" * 6), ANY),
    Row("a PNG without pixels", _decoded(lambda: png(8, 8).replace(b"IDAT", b"teXt")), NO),
    *(Row(f"half a {kind}", _decoded(partial(_half, kind)), NO) for kind in FORMATS),
    *(Row(f"a {kind} with noise", _decoded(partial(_noisy, kind)), ANY) for kind in FORMATS),
]
