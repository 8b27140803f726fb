"""Time and memory of `curate card` beside pandas, which reads the whole layer to count the same words and hours.

    python -m bench.card                             # 10,000 and 100,000 clips, three rounds of each
    python -m bench.card --clips 1000000 --rounds 1

The DIR is that of `bench.view`: texts of about the bytes of a real layer, a selection, two scores, no videos. Both are
processes of their own that take turns; seconds are those of the processor, memory is the largest resident set.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.view import write_dir

_PANDAS: Final = """
import sys
import pandas
from runtime.text.word_units import count_words
texts = pandas.read_parquet(f"{sys.argv[1]}/text/bench")
marks = pandas.read_parquet(f"{sys.argv[1]}/selections/bench.parquet").drop(columns="shard")
clips = texts.merge(marks, on="key", how="left")
clips["seconds"] = clips["end"] - clips["start"]
for column in ("subtitle", "caption", "caption_summary", "grounded_text"):
    clips[f"{column}_words"] = clips[column].map(count_words, na_action="ignore")
kept = clips[clips["keep"].astype(bool)]
columns = ["seconds", *(name for name in clips if name.endswith("_words"))]
print(kept.groupby("level", observed=True)[columns].describe())
print(kept.groupby("language")["seconds"].sum(), clips.groupby(["level", "rewrite_status"], observed=True).size())
print(clips["claims"].explode().map(lambda claim: claim["verdict"], na_action="ignore").value_counts())
"""


@dataclass(frozen=True)
class Cost:
    """One run of a command."""

    cpu_seconds: float
    mebibytes: float


def run(command: Sequence[str]) -> Cost:
    """Run a command and return its cost.

    Raises:
        RuntimeError: it fails.
    """
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{command[:4]} ended with {process.returncode}")
    return Cost(usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def compare(clips: int, rounds: int) -> None:
    """Write a DIR, run both in turns, and print their costs."""
    with tempfile.TemporaryDirectory(prefix="bench-card-") as folder:
        root = Path(folder) / "dir"
        root.mkdir()
        write_dir(root, clips, max(clips // 1000, 1))
        card = [sys.executable, "-m", "curation.cli", "card", str(root), "--output", str(Path(folder) / "card")]
        pandas = [sys.executable, "-c", _PANDAS, str(root)]
        costs = [(run(card), run(pandas)) for _ in range(rounds)]
    print(f"{clips:,} clips")
    for name, own in zip(("curate card", "pandas"), zip(*costs, strict=True), strict=True):
        seconds, memory = [cost.cpu_seconds for cost in own], [cost.mebibytes for cost in own]
        print(f"  {name:<12} {_spread(seconds)} CPU-s, {_spread(memory)} MiB")
    print(f"  ratio of CPU-seconds {_spread([one.cpu_seconds / other.cpu_seconds for one, other in costs], 2)}", end="")
    print(f", of memory {_spread([one.mebibytes / other.mebibytes for one, other in costs], 2)}", flush=True)


def _spread(values: Sequence[float], digits: int = 1) -> str:
    return f"{statistics.median(values):,.{digits}f} ({min(values):,.{digits}f} to {max(values):,.{digits}f})"


def main() -> None:
    """Compare at each number of clips."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    print(f"{platform.machine()}, {os.cpu_count()} cores; median (least to most) of {arguments.rounds} rounds")
    for clips in arguments.clips:
        compare(clips, arguments.rounds)


if __name__ == "__main__":
    main()
