"""Measure the driver's costs, and print them as a Markdown table.

    python -m bench.scale                                    # 10^3 and 10^4 sources
    python -m bench.scale --sources 100000                   # some minutes
    python -m bench.scale --sources 1000000 --last begin     # the plan alone
    python -m bench.scale --sources 1000000 --runner local   # stages in this process: no Ray, half an hour
    python -m bench.scale --report                           # only print what the file holds

A measurement is a line of the file; what is there already, of the same state of the code, is not measured again.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

from bench.scale.records import PHASES, append, of_code, read, table

SIZES = (1_000, 10_000)
MEASUREMENTS = Path(__file__).with_name("measurements.jsonl")


def main() -> int:
    """Measure each size in a process of its own, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sources", type=int, nargs="+", default=list(SIZES))
    parser.add_argument("--code", default="now", help="name of the state of the code, in the file")
    parser.add_argument("--file", type=Path, default=MEASUREMENTS, help="JSON lines of measurements")
    parser.add_argument("--runner", choices=("ray", "local"), default="ray")
    parser.add_argument("--last", choices=PHASES, default=PHASES[-1], help="phase after which to stop")
    parser.add_argument("--report", action="store_true", help="measure nothing")
    parser.add_argument("--dir", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.dir:
        _measure_here(arguments)
        return 0
    for sources in () if arguments.report else arguments.sources:
        found = of_code(read(arguments.file), arguments.code)
        if any((phase, sources) not in found for phase in PHASES[: PHASES.index(arguments.last) + 1]):
            _measure_apart(arguments, sources)
    print(table(read(arguments.file), arguments.code))
    return 0


def _measure_apart(arguments: argparse.Namespace, sources: int) -> None:
    """Measure one size in a new process and a new folder."""
    with tempfile.TemporaryDirectory(prefix="bench-scale-") as folder:
        options = {"sources": sources, "code": arguments.code, "file": arguments.file, "runner": arguments.runner}
        options |= {"last": arguments.last, "dir": Path(folder, "dir")}
        command = [sys.executable, "-m", "bench.scale", *(f"--{name}={value}" for name, value in options.items())]
        path = os.pathsep.join(filter(None, [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]))
        subprocess.run(command, check=True, env=os.environ | {"PYTHONPATH": path})


def _measure_here(arguments: argparse.Namespace) -> None:
    from bench.scale.phases import PhaseClock, load_libraries, measure

    (sources,) = arguments.sources
    load_libraries(arguments.dir.parent / "warm")
    clock = PhaseClock(arguments.code, sources, arguments.runner, partial(append, arguments.file), arguments.last)
    measure(clock, arguments.dir)


if __name__ == "__main__":
    sys.exit(main())
