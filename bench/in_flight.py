"""Downloads of a list of spans, and the work that is done again after a worker is killed, on a server on loopback.

    python -m bench.in_flight --videos 20 --spans 15 --kills 4

The first table: spans of few videos in one run, and how often the videos were downloaded; the spans are too short to be
kept, so nothing is encoded. The second: runs over whole videos in shards of eight, each killed with SIGKILL while it
encodes, and then one that is not. It counts the encodes and downloads that were begun beyond one a video.
"""

from __future__ import annotations

import argparse
import csv
import functools
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

from curation.media.picture.encode_command import ENCODED
from runtime.processes import ffmpeg_binary, run
from shards.storage.store import Store

_SPAN_SECONDS = 3.2
_INTO_AN_ENCODE = 0.1
"""Seconds after the beginning of an encode."""
_VIDEO = ("-c:v", "libx264", "-preset", "ultrafast", "-g", "16", "-movflags", "+faststart")


class _Site(SimpleHTTPRequestHandler):
    """Serves a folder, and counts the files that it sends whole."""

    sent: ClassVar[Counter[str]] = Counter()

    def do_GET(self) -> None:
        """Send a file, and count it."""
        self.sent[self.path.partition("?")[0]] += 1
        super().do_GET()

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing."""


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description="Count downloads and encodes of media work in flight.")
    parser.add_argument("--videos", type=int, default=20)
    parser.add_argument("--spans", type=int, default=15, help="spans of each video in the first table")
    parser.add_argument("--kills", type=int, default=4, help="runs that are killed in the second table")
    parser.add_argument("--killed-videos", type=int, default=10, help="videos of the second table")
    parser.add_argument("--shard", default="auto", help="videos_per_shard of the first table")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-in-flight-") as name:
        root = Path(name)
        urls = _serve(root / "served", arguments.videos, arguments.spans * _SPAN_SECONDS)
        _ffmpeg_that_counts(root)
        requests = _requests_a_download(root, urls[0])
        _spans(root, urls, arguments.spans, arguments.shard, requests)
        _kills(root, urls[: arguments.killed_videos], arguments.kills, requests)


def _serve(folder: Path, videos: int, seconds: float) -> list[str]:
    folder.mkdir()
    for number in range(videos):
        picture = f"testsrc2=s=160x120:r=8:d={seconds},hue=h={number * 17}"
        args: list[str | Path] = [ffmpeg_binary(), "-v", "error", "-nostdin", "-f", "lavfi", "-i", picture, *_VIDEO]
        run([*args, folder / f"{number}.mp4"], timeout=300)
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Site, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return [f"http://127.0.0.1:{server.server_port}/{number}.mp4" for number in range(videos)]


def _ffmpeg_that_counts(root: Path) -> None:
    (root / "bin").mkdir()
    path = root / "bin" / "ffmpeg"
    path.write_text(
        f'#!/bin/sh\ncase "$*" in *{ENCODED}*) echo encode >> {root}/encodes ;; esac\nexec "{ffmpeg_binary()}" "$@"\n'
    )
    path.chmod(0o755)


def _curate(root: Path, rows: Sequence[tuple[str, float | None, float | None]], name: str, *settings: str) -> list[str]:
    """Return the command that curates the rows into a new DIR."""
    with (root / f"{name}.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("url", "start", "end"), *rows])
    values = ["media.download.allow_private_addresses=true", "media.download.host_interval=0", *settings]
    values += ["media.video.transcribe.asr=null"]
    command = [sys.executable, "-m", "curation.cli", "run", "demo", "--input", f"{root}/{name}.csv"]
    command += ["--output", f"{root}/{name}", "--address", "local", "--stages", "media", "--quiet"]
    return command + [word for value in values for word in ("--set", value)]


def _start(root: Path, command: Sequence[str]) -> subprocess.Popen[bytes]:
    _Site.sent.clear()
    (root / "encodes").write_text("")
    path = f"{root}/bin{os.pathsep}{os.environ['PATH']}"
    return subprocess.Popen(command, env={**os.environ, "PATH": path}, stderr=subprocess.DEVNULL)


def _encodes(root: Path) -> int:
    return len((root / "encodes").read_text().splitlines())


def _requests_a_download(root: Path, url: str) -> int:
    _check(_start(root, _curate(root, [(url, 0.0, _SPAN_SECONDS)], "one")))
    return _Site.sent.total()


def _check(process: subprocess.Popen[bytes]) -> None:
    if process.wait() != 0:
        raise SystemExit(f"a run ended with status {process.returncode}")


def _spans(root: Path, urls: Sequence[str], spans: int, shard: str, requests: int) -> None:
    rows = [(url, i * _SPAN_SECONDS, (i + 1) * _SPAN_SECONDS) for i in range(spans) for url in urls]
    _check(_start(root, _curate(root, rows, "spans", f"videos_per_shard={shard}", "media.video.min_seconds=60")))
    shards = len([name for name in Store(root / "spans").list("media") if name.endswith(".tar")])
    print("| spans | videos | shards | downloads |\n|---|---|---|---|")
    print(f"| {len(rows)} | {len(urls)} | {shards} | {_Site.sent.total() / requests:g} |\n", flush=True)


def _kills(root: Path, urls: Sequence[str], kills: int, requests: int) -> None:
    command = _curate(root, [(url, 0.0, None) for url in urls], "killed", "videos_per_shard=8")
    print("| run | finished before | encodes begun | downloads begun |\n|---|---|---|---|", flush=True)
    encodes, downloads = 0, 0.0
    for number in range(kills + 1):
        before = _finished(root)
        process = _start(root, command)
        target = before + len(urls) // (kills + 1)
        while number < kills and process.poll() is None and not target <= _finished(root) < before + _encodes(root):
            time.sleep(0.02)
        if number < kills:
            time.sleep(_INTO_AN_ENCODE)
            process.kill()
            process.wait()
        else:
            _check(process)
        encodes, downloads = encodes + _encodes(root), downloads + _Site.sent.total() / requests
        how = "killed" if number < kills else "to its end"
        print(f"| {number + 1}, {how} | {before} | {_encodes(root)} | {_Site.sent.total() / requests:g} |", flush=True)
    videos = len(urls)
    print(
        f"\n{videos} videos, {kills} kills: {encodes - videos} encodes and {downloads - videos:g} downloads done again"
    )


def _finished(root: Path) -> int:
    """Return how many videos are in committed shards or have a finished part."""
    committed = [name for name in Store(root / "killed").list("media") if name.endswith(".tar")]
    parts = (root / "killed" / ".scratch").glob("media/*/*/parts/*/record.json")
    return 8 * len(committed) + len(list(parts))


if __name__ == "__main__":
    main()
