"""Time of `curate run` over a DIR of 1,000 shards that is already complete.

    python -m bench.finished [--shards 1000]
    python -m bench.finished --synthetic 100000     # shards with empty tables, media and texts alone

A real run makes the DIR: one tiny source per shard (text that claims to be a video), all stages. Then the same command
runs five more times in processes of its own, and the median is printed. It must not start Ray.

With ``--synthetic`` the shards are copies of an empty one. Planning over them is measured with the table of records and
without it, which is how every run was before.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

_SETTINGS = (
    "videos_per_shard=1",
    "media.video.transcribe.asr=null",
    "rewrite.engine=null",
    "resources.media.cpus=0.5",
    "resources.caption.cpus=0.5",
    "resources.rewrite={cpus: 0.5}",
)


def main() -> int:
    """Build the DIR, measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shards", type=int, default=1000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--synthetic", type=int)
    parser.add_argument("--again", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.again:
        print(_plan_again(arguments.again))
        return 0
    if arguments.synthetic:
        return _measure_synthetic(arguments.synthetic, arguments.runs)
    with tempfile.TemporaryDirectory() as folder:
        sources, output = Path(folder, "sources"), Path(folder, "out")
        sources.mkdir()
        for number in range(arguments.shards):
            (sources / f"{number:05d}.mp4").write_text(f"no video {number}\n")
        first, _ = _run(sources, output)
        again = [_run(sources, output) for _ in range(arguments.runs)]
    assert all("nothing to do" in text for _, text in again), again[0][1]
    assert not any("starting Ray" in text for _, text in again)
    print(f"| what | {arguments.shards} shards |")
    print("|---|---|")
    print(f"| first run, nothing in the sources (Ray and its start included) | {first:.0f} s |")
    print(f"| run over the finished DIR, median of {arguments.runs} | {statistics.median(t for t, _ in again):.2f} s |")
    return 0


def _measure_synthetic(shards: int, runs: int) -> int:
    """Write a DIR of empty shards, and print what planning over it takes."""
    from bench.scale.copied_shards import write_finished
    from shards.records.known_artifacts import KNOWN_TABLE

    print(f"| plan over {shards} empty shards from | wall s | CPU s | MiB more than before |")
    print("|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder, "dir")
        write_finished(root, shards)
        command = [sys.executable, "-m", "bench.finished", "--again", str(root)]
        for number in range(runs + 1):
            if number == runs:
                (root / KNOWN_TABLE).unlink()
            row = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
            print(f"| {'footers alone' if number == runs else 'the table of records'} | {row} |", flush=True)
    return 0


def _plan_again(root: Path) -> str:
    """Plan over a finished DIR, and return wall and CPU seconds and the memory that it adds to this process."""
    from bench.scale.phases import request_for
    from curation.plan import make_plan

    request = request_for(root, (), "local")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    wall, cpu = time.monotonic(), time.process_time()
    assert make_plan(request).is_done
    wall, cpu = time.monotonic() - wall, time.process_time() - cpu
    more = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    return f"{wall:.1f} | {cpu:.1f} | {more / 1024:.0f}"


def _run(sources: Path, output: Path) -> tuple[float, str]:
    """Return seconds and output of one `curate run`."""
    command = [sys.executable, "-m", "curation.cli", "run", "demo", "--input", str(sources), "--output", str(output)]
    for setting in _SETTINGS:
        command += ["--set", setting]
    began = time.monotonic()
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=3600, check=False)
    assert done.returncode == 0, done.stderr
    return time.monotonic() - began, done.stderr


if __name__ == "__main__":
    sys.exit(main())
