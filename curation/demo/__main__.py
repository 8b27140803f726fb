"""`make demo`: the main job on real input with real models, on two processor cores, from packages alone.

python -m curation.demo --output demo
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from curation import cli
from curation.demo.demo_film import gather

_STEPS = 4


def main() -> int:
    """Gather input, curate it, check it, show some captions; the exit status of the first step that failed."""
    parser = argparse.ArgumentParser(prog="python -m curation.demo", description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("demo"), metavar="DIR")
    output: Path = parser.parse_args().output
    started = time.monotonic()
    _say(1, "input: photographs and footage from packages, narrated by a speech synthesiser")
    videos = gather(output / "input")
    shards = str(output / "shards")
    run = ["run", "demo", "--input", *map(str, videos), "--output", shards]
    _say(2, f"curate {' '.join(run)}")
    for number, arguments in ((2, run), (3, ["check", shards]), (4, ["inspect", shards, "--limit", "40"])):
        if number > 2:
            _say(number, f"curate {' '.join(arguments)}")
        status = cli.main(arguments)
        if status:
            return status
    _say_next(shards, time.monotonic() - started)
    return 0


def _say(step: int, text: str) -> None:
    print(f"\n== {step}/{_STEPS}  {text}", flush=True)


def _say_next(shards: str, seconds: float) -> None:
    print(f"\nDone in {seconds / 60:.1f} minutes. Look next at:")
    print(f"  curate inspect {shards} --level long        captions of one level")
    print(f"  curate status {shards}                      sources, levels, rewrite states")
    print("  curate run demo --input YOUR_VIDEOS --output out   your own videos")
    print("  (the commands are in .venv/bin)")


if __name__ == "__main__":
    sys.exit(main())
