"""Sources named on the command line (`--input`): URLs and names of files."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from support.hostile_rows import Row, outcome_of
from support.read_sources import read_all


def _given(text: str) -> Callable[[Path], str]:
    return lambda folder: outcome_of(lambda: [source.canonical for source in read_all([text])])


def _file(name: str | bytes, given: str | None = None) -> Callable[[Path], str]:
    """Make a file of this name; name it, or its folder, or the pattern `given`."""

    def act(folder: Path) -> str:
        path = folder / os.fsdecode(name)
        path.write_bytes(b"video")
        chosen = str(path if given is None else folder / given)
        return outcome_of(lambda: f"{len(_read([chosen]))} sources")

    return act


def _read(inputs: Sequence[str]) -> Sequence[object]:
    sources = read_all(inputs)
    for source in sources:
        source.source.encode()  # can be stored
    return sources


def _linked_folders(folder: Path) -> str:
    """A folder that contains a link to itself."""
    (folder / "again").symlink_to(folder)
    (folder / "a.mp4").write_bytes(b"video")
    return outcome_of(lambda: f"{len(_read([str(folder)]))} sources")


def _deep_folders(folder: Path) -> str:
    at = folder
    for _ in range(150):
        at = at / "d"
    at.mkdir(parents=True)
    (at / "a.mp4").write_bytes(b"video")
    return outcome_of(lambda: f"{len(_read([str(folder)]))} sources")


def _pipe(folder: Path) -> str:
    os.mkfifo(folder / "a.mp4")
    return outcome_of(lambda: f"{len(_read([str(folder / 'a.mp4')]))} sources")


ROWS = [
    Row("file URL", _given("file:///etc/passwd"), r"refused: .*give the path"),
    Row("file URL in capitals", _given("FILE:///etc/passwd"), r"refused: .*give the path"),
    Row("ftp URL", _given("ftp://x.org/a.mp4"), r"refused: .*not allowed"),
    Row("data URL", _given("data:text/plain,hello"), r"refused: "),
    Row("javascript URL", _given("javascript:alert(1)"), r"refused: "),
    Row("ffmpeg's concat protocol", _given("concat:/etc/passwd|/etc/hosts"), r"refused: "),
    Row("ffmpeg's subfile protocol", _given("subfile,,start,0,end,9,,:/etc/passwd"), r"refused: "),
    Row("ffmpeg's pipe", _given("pipe:0"), r"refused: "),
    Row("yt-dlp's search", _given("ytsearch10:cats"), r"refused: "),
    Row("a scheme with spaces", _given("ht tp://x.org/"), r"refused: "),
    Row("no host", _given("http:///a.mp4"), r"refused: .*no host"),
    Row("an IPv6 address that is not closed", _given("http://[::1/a.mp4"), r"refused: .*not a URL"),
    Row("an IPv6 address with a zone", _given("http://[fe80::1%25eth0]/a.mp4"), r"read: |refused: "),
    Row("port 99999", _given("http://x.org:99999/"), r"refused: .*not a URL"),
    Row("a port of letters", _given("http://x.org:port/"), r"refused: .*not a URL"),
    Row("a password", _given("https://me:hunter2@x.org/"), r"refused: (?!.*hunter2).*no password"),
    Row("a password and a port of letters", _given("https://me:hunter2@x.org:port/"), r"refused: (?!.*hunter2)"),
    Row("a NUL", _given("http://x.org/\0"), r"refused: "),
    Row("a line feed", _given("http://x.org/a\nHost: y.org"), r"refused: .*control character"),
    Row("an escape", _given("http://x.org/\x1b]0;title\x07"), r"refused: .*control character"),
    Row("half a character", _given("http://x.org/\ud800"), r"refused: "),
    Row("a URL of a megabyte", _given("http://x.org/" + "a" * 1_000_000), r"read: |refused: "),
    Row("a host of a megabyte", _given("http://" + "a." * 500_000), r"read: |refused: "),
    Row("100,000 percent signs", _given("http://x.org/" + "%" * 100_000), r"read: "),
    Row("a query of 100,000 fields", _given("http://x.org/?" + "a=b&" * 100_000), r"read: "),
    Row("YouTube and 100,000 fields", _given("https://www.youtube.com/watch?" + "a=b&" * 100_000), r"read: "),
    Row("100,000 slashes", _given("http://x.org" + "/" * 100_000), r"read: "),
    Row("a host in another script", _given("http://xn--80ak6aa92e.com/а.mp4"), r"read: "),
    Row("full-width letters", _given("http://ｅｘａｍｐｌｅ．ｃｏｍ/"), r"read: |refused: "),
    Row("a host that normalises to a slash", _given("http://x.org\uff0fa/"), r"refused: "),
    Row("a path that is not there", _given("/no/such/file.mp4"), r"refused: .*no such file"),
    Row("a path of 5,000 letters", _given("/" + "a" * 5000), r"refused: "),
    Row("a home of nobody", _given("~nobody-at-all/x.mp4"), r"refused: "),
    Row("an empty text", _given(""), r"refused: "),
    Row("a dash", _given("-"), r"refused: "),
    Row("a pattern of 2,000 stars", _given("/tmp/" + "*" * 2000 + ".nothing"), r"refused: "),
    Row("a class that is not closed", _given("/tmp/[a-.nothing"), r"refused: "),
    Row("a device", _given("/dev/zero"), r"refused: .*(not a file|no such)"),
    Row("a pipe", _pipe, r"refused: .*(not a file|no such)"),
    Row("a file name that is not UTF-8", _file(b"a\xff.mp4"), r"refused: .*not UTF-8"),
    Row("a file name that is not UTF-8, in a folder", _file(b"a\xff.mp4", "."), r"read: 0 |refused: "),
    Row("a file name with a line feed", _file("a\nb.mp4"), r"read: 1 "),
    Row("a file name with an escape", _file("a\x1b[2J.mp4"), r"read: 1 "),
    Row("a file name that begins like an option", _file("-i.mp4"), r"read: 1 "),
    Row("a file name like a URL's", _file("http:x.mp4"), r"read: 1 "),
    Row("a file name of a pattern", _file("[a].mp4"), r"read: 1 "),
    Row("a file name of 255 bytes", _file("a" * 251 + ".mp4"), r"read: 1 "),
    Row("a folder that contains itself", _linked_folders, r"read: 1 "),
    Row("a folder 150 deep", _deep_folders, r"read: 1 "),
]
