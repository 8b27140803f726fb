"""The losses of a finished run in one line, for the demos."""

from __future__ import annotations

import json
from pathlib import Path

from training.engine.checkpoints.run_folder import METRICS


def show_losses(output: Path) -> None:
    """Print the first and the last total loss of a run, from its own metrics.

    Args:
        output: the run's folder.
    """
    rows = [json.loads(line) for line in (output / METRICS).read_text(encoding="utf-8").splitlines()]
    totals = [(row["step"], row["loss/total"]) for row in rows if "loss/total" in row]
    (first, begin), (last, end) = totals[0], totals[-1]
    print(f"loss {begin:.3f} up to step {first}, {end:.3f} up to step {last}")
