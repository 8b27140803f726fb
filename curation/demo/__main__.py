"""`make demo`: curates real pictures and footage with real models, on two processor cores, from packages alone.

python -m curation.demo --output demo
"""

from __future__ import annotations

import argparse
import shlex
import sys
import time
from pathlib import Path

from curation import cli
from curation.demo.demo_film import make_videos
from curation.demo.telling_clips import telling_clips
from curation.demo.writer_model import writer_assignments
from curation.reporting.next_command import relative_to_here

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
    _print_next(output / "shards", time.monotonic() - started)
    return 0


def _print_step(step: int, text: str) -> None:
    print(f"\n== {step}/{_STEPS}  {text}", flush=True)


def _print_next(shards: Path, seconds: float) -> None:
    """Print how long it took, and commands that work in the shell that started the demo."""
    curate = relative_to_here(Path(sys.executable).with_name("curate"))
    print(f"\nDone in {seconds / 60:.1f} minutes. Look at every clip, claim and piece of evidence in the browser:")
    print(f"\n  {shlex.join([curate, 'view', str(shards)])}\n")
    print("It prints the address to open, http://127.0.0.1:8765/ unless that port is taken. Or in the terminal:")
    print(f"  {shlex.join([curate, 'inspect', str(shards), '--level', 'long'])}    clips of one level")
    print(f"  {shlex.join([curate, 'status', str(shards)])}    sources, levels, costs")
    print(f"  {shlex.join([curate, 'run', 'demo', '--input', 'YOUR_VIDEOS', '--output', 'out'])}    your own videos")


if __name__ == "__main__":
    sys.exit(main())
