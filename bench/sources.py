"""Time and memory of planning a list of URLs, by its length: `curate plan` without the other stages' plans.

    python -m bench.sources [--urls 10000 100000 1000000] [--kind youtube|files]

Each length is planned in a process of its own, from a list of one URL a line to the plan of an empty DIR: read,
checked, identified, compared, placed in shards. CPU time is that of the process and its threads; memory is its peak.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from curation.sources.inputs import read_inputs
from curation.sources.table.planned_sources import plan_sources

_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def main() -> int:
    """Measure each length apart, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--urls", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--kind", choices=("youtube", "files"), default="youtube")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.here:
        print(_measure(arguments.urls[0], arguments.kind))
        return 0
    print(f"| URLs ({arguments.kind}) | CPU s | wall s | peak MiB | shards |")
    print("|---|---|---|---|---|")
    for count in arguments.urls:
        command = [sys.executable, "-m", "bench.sources", "--here", "--urls", str(count), "--kind", arguments.kind]
        print(subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip(), flush=True)
    return 0


def _measure(count: int, kind: str) -> str:
    """Plan a list of `count` URLs, and return a row of the table."""
    with tempfile.TemporaryDirectory() as folder:
        listed = Path(folder, "urls.txt")
        with listed.open("w") as file:
            file.writelines(_url(number, kind) for number in range(count))
        cpu, began = time.process_time(), time.monotonic()
        planned = plan_sources(tuple, read_inputs([str(listed)]), videos_per_shard="auto")
        cpu, wall = time.process_time() - cpu, time.monotonic() - began
    assert planned.new == count
    planned.close()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return f"| {count} | {cpu:.1f} | {wall:.1f} | {peak:.0f} | {len(planned.shards)} |"


def _url(number: int, kind: str) -> str:
    if kind == "files":
        return f"https://media{number % 97}.example.org/videos/{number:09d}-clip.mp4\n"
    letters = (_ALPHABET[number * 7919 // 64**place % 64] for place in range(11))
    return f"https://www.youtube.com/watch?v={''.join(letters)}\n"


if __name__ == "__main__":
    sys.exit(main())
