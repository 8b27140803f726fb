"""The same `curate run` into a store that speaks S3, on loopback, against a folder of this machine.

    python -m bench.object_store --rounds 5                  # a Markdown table: seconds and their ratio
    python -m bench.object_store --videos FOLDER --rounds 5  # your own videos instead of generated ones

Real stages without models: `media` (probe, one decode, encode, keyframes) and `score` (decodes the stored roots again,
which a DIR in a store reads back by ranges). Runs alternate, each in a process of its own, without Ray. CPU time is
that of the run and its children. The server (moto, in Python) is a process of its own, whose CPU time is stated by
itself; it shares the machine's cores, so it is part of the elapsed time.
"""

from __future__ import annotations

import argparse
import os
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from runtime.processes import ffmpeg_binary
from shards.storage.store import Store

_BUCKET: Final = "bench"
_SETTINGS: Final = (
    "media.video.transcribe.asr=null",
    "score.scores=[brightness,motion,frame_hashes]",
    "videos_per_shard=4",
)
_STAGES: Final = "media,score"
_VIDEOS: Final = 8
_SECONDS: Final = 60
_PICTURE: Final = "testsrc2=s=1280x720:r=30:d={seconds},noise=alls=3:allf=t:all_seed={seed}"


@dataclass(frozen=True)
class Cost:
    """One run: elapsed seconds, and CPU-seconds of its processes."""

    elapsed: float
    cpu: float


def main() -> int:
    """Run into both places in turn, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", type=Path, help="folder of videos (default: generated ones of a minute, in 720p)")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, _server(Path(name) / "log") as server:
        folder = Path(name)
        videos = arguments.videos or _generated(folder / "in")
        disk, store = [], []
        for number in range(arguments.rounds):
            places = [(disk, str(folder / f"out-{number}")), (store, f"s3://{_BUCKET}/out-{number}")]
            for costs, output in places if number % 2 else reversed(places):
                costs.append(_run(videos, output, folder))
                print(f"{output}: {costs[-1]}", file=sys.stderr, flush=True)
            _compare(*(Store(output) for _, output in places))
        print(_report(disk, store, sum(server.cpu_times()[:2]) / arguments.rounds))
    return 0


def _run(videos: Path, output: str, folder: Path) -> Cost:
    command = [sys.executable, "-m", "curation.cli", "run", "demo", "--input", str(videos), "--output", output]
    command += ["--stages", _STAGES, "--address", "local", "--quiet"]
    command += [word for setting in _SETTINGS for word in ("--set", setting)]
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    with (folder / "said").open("wb") as said:
        subprocess.run(command, stdin=subprocess.DEVNULL, stdout=said, stderr=said, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Cost(time.perf_counter() - began, cpu)


def _compare(disk: Store, store: Store) -> None:
    """Check that both runs made the same files.

    Raises:
        ValueError: names the folder that differs.
    """
    for name in ("media", "keyframes", "ledger"):
        one, other = ({file: info.size for file, info in made.list(name).items()} for made in (disk, store))
        if one.keys() != other.keys() or not one:
            raise ValueError(f"{name}: {sorted(one)} on disk, {sorted(other)} in the store")


def _report(disk: Sequence[Cost], store: Sequence[Cost], server: float) -> str:
    lines = ["| | disk | S3 | ratio, median (range) |", "|---|---|---|---|"]
    for name in ("elapsed", "cpu"):
        one, other = ([float(getattr(cost, name)) for cost in costs] for costs in (disk, store))
        ratios = sorted(there / here for here, there in zip(one, other, strict=True))
        spread = f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
        lines.append(f"| {name}, s | {statistics.median(one):.1f} | {statistics.median(other):.1f} | {spread} |")
    load = os.getloadavg()[0]
    return "\n".join([*lines, "", f"Server: {server:.1f} CPU-s a run. Load at the end: {load:.0f}."])


def _generated(folder: Path) -> Path:
    """Make videos of moving pictures with a tone; no two are alike."""
    folder.mkdir()
    for seed in range(_VIDEOS):
        picture = ["-f", "lavfi", "-i", _PICTURE.format(seconds=_SECONDS, seed=seed)]
        sound = ["-f", "lavfi", "-i", f"sine=f={200 + 50 * seed}:d={_SECONDS}"]
        codecs = ["-c:v", "libx264", "-preset", "ultrafast", "-c:a", "aac"]
        command = [ffmpeg_binary(), "-v", "error", *picture, *sound, *codecs, str(folder / f"{seed}.mp4")]
        subprocess.run(command, stdin=subprocess.DEVNULL, check=True)
    return folder


@contextmanager
def _server(log: Path) -> Iterator[psutil.Process]:
    """Serve an empty bucket on loopback, and let this process and its children find it."""
    import boto3

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    os.environ |= {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": "bench",
        "AWS_SECRET_ACCESS_KEY": "bench",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    command = [sys.executable, "-m", "moto.server", "--host", "127.0.0.1", "--port", str(port)]
    with log.open("wb") as said:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=said, stderr=said)
    try:
        for _ in range(300):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        boto3.client("s3").create_bucket(Bucket=_BUCKET)
        yield psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait()


if __name__ == "__main__":
    sys.exit(main())
