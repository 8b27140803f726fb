"""Runs commands of this project in tests: in this process, in another one, or under torchrun."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any


def here(main: Callable[[Sequence[str]], int], given: Sequence[str]) -> int:
    """Run a command in this process, and restore torch's number of threads."""
    import torch

    threads = torch.get_num_threads()
    try:
        return main(given)
    finally:
        torch.set_num_threads(threads)


def apart(module: str, given: Sequence[str], ranks: int = 1) -> subprocess.Popen[str]:
    """Run a command's module in a process of its own, or in several under torchrun."""
    words = ["-m", module, *given]
    if ranks > 1:
        launcher = ["-m", "torch.distributed.run", "--nproc-per-node", str(ranks)]
        words = [*launcher, "--rdzv-backend", "c10d", "--rdzv-endpoint", "127.0.0.1:0", *words]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    return subprocess.Popen(
        [sys.executable, *words], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def losses(output: Path) -> dict[int, dict[str, float]]:
    """Return the loss terms by step from a training run's log; fail if a step is logged twice."""
    found: dict[int, dict[str, float]] = {}
    for line in (output / "metrics.jsonl").read_text().splitlines():
        row: dict[str, Any] = json.loads(line)
        if row["kind"] == "train":
            assert row["step"] not in found, f"step {row['step']} is logged twice"
            found[row["step"]] = {name: value for name, value in row.items() if name.startswith("loss/")}
    return found
