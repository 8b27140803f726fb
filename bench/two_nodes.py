"""Two nodes against one: videos a second of the media stage, each node one core.

    python -m bench.two_nodes                 # three alternating rounds: about five minutes on a free machine
    python -m bench.two_nodes --rounds 1

Each node is a raylet of its own with one logical CPU and a folder of its own, held to one core with all of its
processes; encoders have one thread. A round is one run on one node and one on two. The rate is counted from the start
of the first shard to the last commit, so the start of Ray and of the workers is left out. Target: at least 1.8 times.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from bench.media import make_video
from runtime.processes import ffmpeg_binary, run
from shards.keys import shard_name
from shards.reader import media_shards, read_table
from shards.storage.store import Store

_BIN: Final = Path(sys.executable).parent
_START_SECONDS: Final = 240.0
_STARTS: Final = 4
"""A node that waits too long for its own agent gives up; it is started again."""


@dataclass(frozen=True)
class Rate:
    """One run."""

    nodes: int
    videos: int
    seconds: float
    """From the start of the first shard to the last commit."""
    load: float
    """Load of the machine over the last minute, before the run."""

    @property
    def a_second(self) -> float:
        """Videos a second."""
        return self.videos / self.seconds


def make_videos(folder: Path, videos: int, seconds: float) -> None:
    """Write videos of 480p whose pictures all move; their bytes differ."""
    long = make_video(folder.parent, seconds, 30)
    small = folder.parent / "small.mp4"
    _ffmpeg("-i", long, "-vf", "scale=-2:480", "-c:v", "libx264", "-preset", "veryfast", "-an", small)
    for number in range(videos):
        _ffmpeg("-i", small, "-c", "copy", "-metadata", f"title=video {number}", folder / f"{number:03d}.mp4")


def _ffmpeg(*arguments: str | Path) -> None:
    run([ffmpeg_binary(), "-v", "error", "-nostdin", "-y", *arguments], timeout=900)


@contextlib.contextmanager
def cluster(nodes: int, folder: Path) -> Iterator[tuple[str, Mapping[str, str]]]:
    """Run a head node and `nodes` - 1 others; yield the address and the environment of commands that join."""
    (folder / "token").write_text("0123456789abcdef" * 4)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    environment |= {
        "PATH": f"{_BIN}{os.pathsep}{os.environ['PATH']}", "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(folder / "token"), "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
        "RAY_USAGE_STATS_ENABLED": "0",
    }  # fmt: skip
    cores = sorted(os.sched_getaffinity(0))
    with contextlib.ExitStack() as stack:
        address = f"127.0.0.1:{_free_port()}"
        head = ["--head", f"--port={address.rpartition(':')[2]}", "--include-dashboard=false"]
        stack.enter_context(_node(head, folder / "0", environment, cores[0]))
        for number in range(1, nodes):
            stack.enter_context(_node([f"--address={address}"], folder / str(number), environment, cores[number]))
        yield address, environment


@contextlib.contextmanager
def _node(arguments: Sequence[str], folder: Path, environment: Mapping[str, str], core: int) -> Iterator[None]:
    """Run a node of one logical CPU on one core; start it again if it gives up; end all of its processes."""
    for attempt in range(_STARTS):
        place = folder.with_name(f"{folder.name}-{attempt}")
        place.mkdir()
        process = _start(arguments, place, environment, core)
        try:
            if _is_up(process, place / "said"):
                yield
                return
        finally:
            _end(process)
    raise SystemExit(f"no Ray node came up in {_STARTS} attempts: {(place / 'said').read_text()[-2000:]}")


def _start(arguments: Sequence[str], place: Path, environment: Mapping[str, str], core: int) -> subprocess.Popen[bytes]:
    command = [str(_BIN / "ray"), "start", "--block", "--num-cpus=1", "--node-ip-address=127.0.0.1"]
    command += ["--object-store-memory=200000000", *arguments]
    command += [f"--temp-dir={place}"] if "--head" in arguments else []
    for agent in ("dashboard-agent-listen-port", "metrics-export-port"):  # two nodes of one machine need their own
        command.append(f"--{agent}={_free_port()}")
    with (place / "said").open("wb") as said:
        return subprocess.Popen(
            ["taskset", "--cpu-list", str(core), *command],
            stdin=subprocess.DEVNULL, stdout=said, stderr=said, env=dict(environment), process_group=0,
        )  # fmt: skip


def _is_up(process: subprocess.Popen[bytes], said: Path) -> bool:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        if b"Ray runtime started" in said.read_bytes():
            return True
        time.sleep(0.2)
    return False


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a node and everything below it, and nothing else."""
    with contextlib.suppress(psutil.NoSuchProcess):
        tree = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGTERM)
        for each in psutil.wait_procs(tree, timeout=10)[1]:
            with contextlib.suppress(psutil.NoSuchProcess):
                each.kill()
    process.kill()
    process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def measure(nodes: int, videos: Path) -> Rate:
    """Curate the videos on a new cluster, one shard a video, one media worker a node."""
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="cg-", dir="/tmp") as name, cluster(nodes, Path(name)) as (address, joins):
        output = Path(name) / "out"
        command = [sys.executable, "-m", "curation.cli", "run", "demo", "--input", str(videos), "--output", str(output)]
        command += ["--stages", "media", "--address", address, "--quiet"]
        settings = ("videos_per_shard=1", "media.video.transcribe.asr=null", "media.video.encode.threads=1")
        pool = (f"resources.media.{key}={value}" for key, value in {"cpus": 1, "min": nodes, "max": nodes}.items())
        for setting in (*settings, *pool):
            command += ["--set", setting]
        done = subprocess.run(command, capture_output=True, text=True, env=dict(joins), check=False)
        assert done.returncode == 0, done.stderr
        return _rate(Store(output), nodes, load)


def _rate(store: Store, nodes: int, load: float) -> Rate:
    """Return the rate by the times of the commits, and by what the ledger says the first shards took."""
    ends = {
        shard: Path(store.path(f"media/{shard_name(shard)}.parquet")).stat().st_mtime for shard in media_shards(store)
    }
    took = {
        shard: sum(read_table(store, f"ledger/{shard_name(shard)}.parquet")["elapsed"].to_pylist()) for shard in ends
    }
    seconds = max(ends.values()) - min(ends[shard] - took[shard] for shard in ends)
    return Rate(nodes, len(ends), seconds, load)


def main() -> None:
    """Measure in alternation, and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--videos", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=150.0, help="length of a video")
    arguments = parser.parse_args()
    if shutil.which("taskset") is None or len(os.sched_getaffinity(0)) < 2:
        raise SystemExit("needs taskset (util-linux) and two cores")
    print("| round | one node: videos/s | load | two nodes: videos/s | load | ratio |\n|---|---|---|---|---|---|")
    ratios = []
    with tempfile.TemporaryDirectory(prefix="bench-two-nodes-") as name:
        videos = Path(name) / "videos"
        videos.mkdir()
        make_videos(videos, arguments.videos, arguments.seconds)
        for number in range(arguments.rounds):
            one, two = measure(1, videos), measure(2, videos)
            ratios.append(two.a_second / one.a_second)
            cells = f"{one.a_second:.3f} | {one.load:.1f} | {two.a_second:.3f} | {two.load:.1f} | {ratios[-1]:.2f}"
            print(f"| {number + 1} | {cells} |", flush=True)
    print(f"\nmedian {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}); target: at least 1.8")


if __name__ == "__main__":
    main()
