"""Tars to train on: damaged, lying, and packed in ways that no tool of ours packs."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path

from support.hostile_rows import Row, outcome_of

from training.data.data_settings import DataSettings
from training.data.sources.webdataset_source import WebdatasetSource

GOOD: Mapping[str, bytes] = {"000.mp4": b"x", "000.txt": b"a lion", "000.json": b'{"title": "t"}'}
ONE = r"read: 1 samples"
REFUSED = r"(refused|damaged): "
ANY = r"(read|refused|damaged): "


def _read(folder: Path) -> str:
    """Read all samples of the tars in a folder."""
    os.environ["CLIPGROVE_CACHE"] = str(folder / "cachefolder")

    def call() -> str:
        values = {"shards": (str(folder / "*.tar"),), "source": "webdataset", "clips_per_root": 1, "window_shards": 2}
        source = WebdatasetSource(DataSettings.model_validate(values), {"caption": ["txt", "title"]}, seed=1)
        tasks = list(source.epoch(0))
        texts = [clip.texts["caption"] for task in tasks for clip in task.clips]
        return f"{len(tasks)} samples, {texts[:3]!r:.200}"

    return outcome_of(call)


def packed(files: Mapping[str, bytes], **options: int) -> bytes:
    """Return a tar of these files."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", **options) as tar:  # type: ignore[call-overload]
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def _tar(data: Callable[[], bytes]) -> Callable[[Path], str]:
    def act(folder: Path) -> str:
        (folder / "a.tar").write_bytes(data())
        return _read(folder)

    return act


def _with(**files: bytes) -> Callable[[Path], str]:
    """Read the good sample and another one, ``001``, whose files have these suffixes."""
    return _tar(lambda: packed(GOOD | {f"001.{suffix}": data for suffix, data in files.items()}))


def _json(data: bytes) -> Callable[[Path], str]:
    return _with(mp4=b"x", txt=b"a boat", json=data)


def _header(change: Callable[[bytearray], None]) -> Callable[[Path], str]:
    """Read a tar whose first header is changed, its checksum made right."""

    def data() -> bytes:
        whole = bytearray(packed(GOOD))
        change(whole)
        whole[148:156] = b" " * 8
        whole[148:156] = b"%06o\0 " % sum(whole[:512])
        return bytes(whole)

    return _tar(data)


def _put(at: int, data: bytes) -> Callable[[bytearray], None]:
    def change(whole: bytearray) -> None:
        whole[at : at + len(data)] = data

    return change


def _linked(kind: bytes, target: str) -> Callable[[Path], str]:
    def data() -> bytes:
        buffer = io.BytesIO(packed(GOOD))
        with tarfile.open(fileobj=buffer, mode="a") as tar:
            for name in ("001.mp4", "001.txt"):
                info = tarfile.TarInfo(name)
                info.type, info.linkname = kind, target
                tar.addfile(info)
        return buffer.getvalue()

    return _tar(data)


def _pipe(folder: Path) -> str:
    os.mkfifo(folder / "a.tar")
    return _read(folder)


def _folder(folder: Path) -> str:
    (folder / "a.tar").mkdir()
    return _read(folder)


def _loop(folder: Path) -> str:
    (folder / "a.tar").symlink_to("a.tar")
    return _read(folder)


ROWS = [
    Row("a tar of nothing", _tar(lambda: b""), REFUSED),
    Row("a tar of one byte", _tar(lambda: b"\0"), REFUSED),
    Row("a tar of zeros", _tar(lambda: bytes(1 << 20)), REFUSED),
    Row("a tar of 0xff", _tar(lambda: b"\xff" * (1 << 20)), REFUSED),
    Row("a tar that is text", _tar(lambda: b"000.mp4\n" * 1000), REFUSED),
    Row("a tar in gzip", _tar(lambda: gzip.compress(packed(GOOD))), r"damaged: .*a plain tar is needed"),
    Row("a tar cut in its first header", _tar(lambda: packed(GOOD)[:100]), REFUSED),
    Row("a tar cut in a file", _tar(lambda: packed({"000.txt": b"a", "000.mp4": bytes(9999)})[:3000]), REFUSED),
    Row("a tar without its end", _tar(lambda: packed(GOOD)[:3072]), ANY),
    Row("a tar without a video", _tar(lambda: packed({"a.jpg": b"jpg", "a.txt": b"t"})), r"refused: .*no sample"),
    Row("a file of 8 GB in a tar of 10 kB", _header(_put(124, b"77777777777\0")), REFUSED),
    Row("a file of 2^63 bytes", _header(_put(124, b"\x80\0\0\0\x7f" + b"\xff" * 7)), REFUSED),
    Row("a file of a size below zero", _header(_put(124, b"\xff" * 12)), REFUSED),
    Row("a file whose size is letters", _header(_put(124, b"lots of it\0\0")), REFUSED),
    Row("a header with a wrong checksum", _tar(lambda: packed(GOOD)[:148] + b"0" * 8 + packed(GOOD)[156:]), REFUSED),
    Row("a file of an unknown type", _header(_put(156, b"Q")), ANY),
    Row("a file with a name of zeros", _header(_put(0, bytes(100))), ANY),
    Row("a file that is there twice", _tar(lambda: packed(GOOD)[:3072] + packed(GOOD)), r"damaged: .*there twice"),
    Row("a name of 60,000 letters", _tar(lambda: packed(GOOD | {"a" * 60_000 + ".mp4": b"x"})), ANY),
    Row("a name that climbs", _tar(lambda: packed({"../../000.mp4": b"x", "../../000.txt": b"t"})), ANY),
    Row("a name from the root", _tar(lambda: packed({"/etc/000.mp4": b"x", "/etc/000.txt": b"t"})), ANY),
    Row("a name with an escape", _tar(lambda: packed({"a\x1b[2J.mp4": b"x", "a\x1b[2J.txt": b"t"})), ONE),
    Row("a name with a line feed", _tar(lambda: packed({"a\nb.mp4": b"x", "a\nb.txt": b"t"})), ONE),
    Row("hidden files of macOS", _tar(lambda: packed(GOOD | {"._000.mp4": b"x", "__MACOSX/000.txt": b"t"})), ONE),
    Row("a sample without a text", _with(mp4=b"x"), r"read: 2 samples"),
    Row("a sample of two videos", _with(mp4=b"x", webm=b"x", txt=b"t"), ANY),
    Row("json cut short", _json(b'{"title": "a'), ONE),
    Row("json of nothing", _json(b""), ONE),
    Row("json that is not UTF-8", _json(b'{"title": "caf\xe9"}'), ONE),
    Row("json nested 200,000 deep", _json(b"[" * 200_000), ONE),
    Row("json with an integer of 5,000 digits", _json(b'{"views": ' + b"9" * 5000 + b"}"), ONE),
    Row("json that is a list", _json(b"[1, 2]"), r"read: 2 samples"),
    Row("json that begins at NaN", _json(b'{"start": NaN, "end": NaN}'), r"read: 2 samples"),
    Row("json that ends at 1e400", _json(b'{"start": -1e400, "end": 1e400}'), r"read: 2 samples"),
    Row("json with half a character", _json(b'{"title": "a \\ud83d"}'), r"read: 2 samples"),
    Row("json with an object for a title", _json(b'{"title": {"a": {}}}'), r"read: 2 samples"),
    Row("json of 100,000 keys", _json(b"{" + b",".join(b'"k%d":1' % i for i in range(100_000)) + b"}"), ANY),
    Row("a text that is not UTF-8", _with(mp4=b"x", txt=b"caf\xe9"), ANY),
    Row("a text of a megabyte", _with(mp4=b"x", txt=b"lion " * 200_000), ANY),
    Row("a text of zeros", _with(mp4=b"x", txt=bytes(1000)), ANY),
    Row("hard links to nothing", _linked(tarfile.LNKTYPE, "none.mp4"), ANY),
    Row("hard links to themselves", _linked(tarfile.LNKTYPE, "001.mp4"), ANY),
    Row("symbolic links to a secret", _linked(tarfile.SYMTYPE, "/etc/passwd"), r"(read|refused|damaged): (?!.*root:)"),
    Row("devices", _linked(tarfile.CHRTYPE, ""), ANY),
    Row("20,000 samples", _tar(lambda: packed({f"{i:05}.mp4": b"x" for i in range(20_000)})), ANY, seconds=10),
    Row("a tar that is a pipe", _pipe, REFUSED),
    Row("a tar that is a folder", _folder, REFUSED),
    Row("a tar that is a link to itself", _loop, REFUSED),
]
