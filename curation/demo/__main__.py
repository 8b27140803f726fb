"""`make demo`: curates real pictures and footage with real models, on two processor cores, from packages alone.

python -m curation.demo --output demo
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from curation import cli
from curation.demo.demo_film import make_videos
from curation.demo.telling_clips import telling_clips
from curation.demo.writer_model import writer_assignments

_STEPS = 5


def main() -> int:
    """Make the videos, curate them, check the DIR and show the clips; return the first status that is not 0."""
    parser = argparse.ArgumentParser(prog="python -m curation.demo", description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("demo"), metavar="DIR")
    output: Path = parser.parse_args().output
    started = time.monotonic()
    _print_step(1, "input: photographs and footage from packages, narrated by a speech synthesiser")
    videos = make_videos(output / "input")
    shards = str(output / "shards")
    run = ["run", "demo", "--input", *map(str, videos), "--output", shards, *writer_assignments()]
    _print_step(2, f"curate {' '.join(run)}")
    for number, arguments in ((2, run), (3, ["check", shards]), (4, ["inspect", shards, "--limit", "60"])):
        if number > 2:
            _print_step(number, f"curate {' '.join(arguments)}")
        status = cli.main(arguments)
        if status:
            return status
    _print_step(5, "three clips with their claims: the fullest text, and speech that must not come through")
    for key in telling_clips(shards):
        cli.main(["inspect", shards, "--key", key])
    _print_next(shards, time.monotonic() - started)
    return 0


def _print_step(step: int, text: str) -> None:
    print(f"\n== {step}/{_STEPS}  {text}", flush=True)


def _print_next(shards: str, seconds: float) -> None:
    print(f"\nDone in {seconds / 60:.1f} minutes. Next:")
    print(f"  curate inspect {shards} --level long        clips of one level")
    print(f"  curate status {shards}                      sources, levels, rewrite statuses")
    print("  curate run demo --input YOUR_VIDEOS --output out   your own videos")
    print(f"  curate view {shards}                        all clips and claims in the browser")
    print("  (the commands are in .venv/bin)")


if __name__ == "__main__":
    sys.exit(main())
