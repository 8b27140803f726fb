"""Run the experiment, or report what has been run.

    python -m bench.learns --results FILE.jsonl            # 5 seeds of 13 variants: about 45 minutes of one core
    python -m bench.learns --results FILE.jsonl --small    # one seed of few steps, which teach nothing

A run goes on where it was stopped: each trained variant is a line of the file. Seeds and sizes come from
`bench.learns.training`, the order from `bench.learns.rule`: what is finished is paired.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from itertools import product
from pathlib import Path

import torch

from bench.learns.rule import TURNS
from bench.learns.training import Budget, Outcome, Seed, finetune


def main() -> int:
    """Run or report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=Path("learns.jsonl"), help="JSON Lines of finished runs")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--minutes", type=float, default=600.0, help="start no further variant after so long")
    parser.add_argument("--small", action="store_true", help="one seed, few steps")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    seeds = arguments.seeds[:1] if arguments.small else arguments.seeds
    budget = replace(Budget(), still_steps=10, steps=10, tests=8) if arguments.small else Budget()
    until = time.monotonic() + 60 * arguments.minutes
    for outcome in run(arguments.results, seeds, budget, until):
        print(f"seed {outcome.seed}, {outcome.variant}: {outcome.seconds:.0f} s, loss {outcome.loss:.2f}", flush=True)
    return 0


def run(results: Path, seeds: list[int], budget: Budget, until: float) -> Iterator[Outcome]:
    """Train what the file does not hold yet, append it, and yield it; stop when `time.monotonic` passes `until`."""
    done = {(outcome.seed, outcome.variant) for outcome in read(results)}
    for turn, number in product(TURNS, seeds):
        missing = [name for name in turn if (number, name) not in done]
        seed = Seed.prepare(number, budget) if missing else None
        for name in missing:
            if time.monotonic() > until:
                return
            assert seed is not None, "prepared if anything is missing"
            outcome = finetune(name, seed, budget)
            with results.open("a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(outcome)) + "\n")
            yield outcome


def read(results: Path) -> list[Outcome]:
    """Return the finished runs of a file; none if there is no file."""
    lines = results.read_text(encoding="utf-8").splitlines() if results.exists() else []
    return [Outcome(**json.loads(line)) for line in lines]


if __name__ == "__main__":
    sys.exit(main())
