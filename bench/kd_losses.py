"""Time and memory of the distillation losses against the loops and broadcasts that they replace.

    python -m bench.kd_losses                # L = 128, H = 768; about 5 minutes on 2 cores, 4 GiB
    python -m bench.kd_losses --small        # L = 32, H = 128; seconds
    python -m bench.kd_losses --device cuda

Each way runs forward and backward in a process of its own on the same states; memory is the peak that it adds to them,
with gradients (see `bench.memory`). Neuron selectivity transfer with the polynomial kernel is compared with the
released loop over samples, and with the form that broadcasts a whole batch to [B, H, H, L]. Contrastive distillation is
compared with a loop over positions, each against the whole queue. The Gaussian kernel has no other form and is shown
alone.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace

import torch
import torch.nn.functional as F

from bench.memory import in_use, peak
from training.models.vidlankd.losses import crd, crd_normaliser, nst

TEMPERATURE = 0.07
LONG_S = 2.0
REPEATS = 5
MAPPED = {"MALLOC_MMAP_THRESHOLD_": str(2**16)}
"""As in `bench.memory`, low enough for blocks of two rows too."""
LEAST_MIB = 1 / 16
"""Smallest amount of memory that is reported: smaller blocks can't be measured."""


@dataclass(frozen=True)
class Size:
    """Sizes of one measurement."""

    rows: int = 32
    length: int = 128
    width: int = 768
    queue: int = 16384


@dataclass(frozen=True)
class Measured:
    """Result of one way at one size."""

    mib: float
    seconds: float
    loss: float


@dataclass(frozen=True)
class States:
    """Inputs of the losses."""

    student_BLH: torch.Tensor
    teacher_BLH: torch.Tensor
    queue_MH: torch.Tensor
    normaliser: torch.Tensor

    @property
    def valid_BL(self) -> torch.Tensor:
        """Return a mask without padding, which the released loops do not support."""
        return torch.ones(self.student_BLH.shape[:2], dtype=torch.bool, device=self.student_BLH.device)


def grams(states: States) -> torch.Tensor:
    """Compute NST with our token Grams."""
    return nst(states.student_BLH, states.teacher_BLH, states.valid_BL, kernel="released")


def gaussian(states: States) -> torch.Tensor:
    """Compute NST with our form of the paper's kernel."""
    return nst(states.student_BLH, states.teacher_BLH, states.valid_BL)


def broadcast(states: States) -> torch.Tensor:
    """Compute NST over all pairs of neurons of all rows at once; this forms [B, H, H, L] twice."""
    student_BHL, teacher_BHL = _patterns(states.student_BLH), _patterns(states.teacher_BLH)
    own = _polynomial(student_BHL, student_BHL).mean((1, 2))
    cross = _polynomial(student_BHL, teacher_BHL).mean((1, 2))
    return (own - 2 * cross).sum() / states.student_BLH.shape[1]


def released_loop(states: States) -> torch.Tensor:
    """Compute NST one sample at a time, as released."""
    total = states.student_BLH.new_zeros(())
    student_BHL, teacher_BHL = _patterns(states.student_BLH), _patterns(states.teacher_BLH)
    for student_HL, teacher_HL in zip(student_BHL, teacher_BHL, strict=True):
        one, other = student_HL[None], teacher_HL[None]
        total = total + _polynomial(one, one).mean() - 2 * _polynomial(one, other).mean()
    return total / states.student_BLH.shape[1]


def chunked_crd(states: States) -> torch.Tensor:
    """Compute CRD with our form: hundreds of positions at once, gradients computed along the way."""
    return crd(states.student_BLH, states.teacher_BLH, states.valid_BL, states.queue_MH, states.normaliser, TEMPERATURE)


def crd_loop(states: States) -> torch.Tensor:
    """Compute CRD by its formula, one position at a time."""
    total = states.student_BLH.new_zeros(())
    shift = states.normaliser.log()
    student_PH, teacher_PH = (F.normalize(x.flatten(0, 1), dim=1) for x in (states.student_BLH, states.teacher_BLH))
    for student_H, teacher_H in zip(student_PH, teacher_PH, strict=True):
        own = student_H @ teacher_H / TEMPERATURE - shift
        others_M = states.queue_MH @ student_H / TEMPERATURE - shift
        total = total + F.softplus(-own) + F.softplus(others_M).sum()
    return total / len(student_PH)


WAYS: dict[str, Callable[[States], torch.Tensor]] = {
    "token Grams": grams,
    "released loop": released_loop,
    "broadcast": broadcast,
    "gaussian": gaussian,
    "crd": chunked_crd,
    "crd by position": crd_loop,
}


def measure(way: str, size: Size, device: torch.device) -> Measured:
    """Run forward and backward in this process; return the first run's peak memory and the shortest of several runs."""
    _once(way, _states(Size(2, 8, 16, 32), device))  # load everything that is loaded at first use
    states = _states(size, device)
    before = in_use(device)
    seconds, loss = _once(way, states)
    mib = max(LEAST_MIB, (peak(device) - before) / 2**20)
    for _ in range(REPEATS if seconds < LONG_S else 0):
        seconds = min(seconds, _once(way, states)[0])
    return Measured(mib, seconds, loss)


def measure_apart(way: str, size: Size, device: str) -> Measured:
    """Do the same in a process of its own."""
    command = [sys.executable, "-m", "bench.kd_losses", "--way", way, "--device", device]
    command += ["--size", json.dumps(asdict(size))]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=os.environ | MAPPED)
    return Measured(**json.loads(done.stdout))


def report(size: Size, device: str) -> str:
    """Return all comparisons as Markdown, with machine and date."""
    few = replace(size, rows=2)
    runs = [("token Grams", size), ("released loop", size), ("token Grams", few), ("broadcast", few)]
    runs += [("gaussian", size), ("crd", size), ("crd by position", size)]
    found = {(way, at.rows): measure_apart(way, at, device) for way, at in runs}
    name = torch.cuda.get_device_name() if device.startswith("cuda") else f"{os.cpu_count()} cores"
    lines = [
        f"{time.strftime('%Y-%m-%d')}, {platform.machine()}, {name}, torch {torch.__version__}; L = {size.length}, "
        f"H = {size.width}, queue {size.queue}, float32, forward and backward.",
        "",
        "| way | B | MiB added | seconds | loss |",
        "|---|---|---|---|---|",
    ]
    for (way, rows), m in found.items():
        lines.append(f"| {way} | {rows} | {m.mib:.1f} | {m.seconds:.4f} | {m.loss:.6f} |")
    lines += ["", *_ratios(found, size.rows, few.rows)]
    return "\n".join(lines)


def _ratios(found: dict[tuple[str, int], Measured], rows: int, few: int) -> list[str]:
    grams, loop = found["token Grams", rows], found["released loop", rows]
    least, whole = found["token Grams", few], found["broadcast", few]
    ours, by_position = found["crd", rows], found["crd by position", rows]
    return [
        f"- NST, B = {rows}: {loop.seconds / grams.seconds:.0f} times faster than the released loop (target: 50), "
        f"{loop.mib / grams.mib:.1f} times less memory (6).",
        f"- NST, B = {few}: {whole.mib / least.mib:.0f} times less memory than the broadcast form (50), "
        f"{whole.seconds / least.seconds:.0f} times faster.",
        f"- CRD, B = {rows}: {by_position.seconds / ours.seconds:.1f} times faster than by position (10), "
        f"{by_position.mib / ours.mib:.1f} times less memory.",
    ]


def _once(way: str, states: States) -> tuple[float, float]:
    """Return seconds and loss; the gradient is discarded."""
    began = time.perf_counter()
    loss = WAYS[way](states)
    loss.backward()
    value = loss.item()  # on a GPU waits for the loss; the gradient below waits for the rest
    assert states.student_BLH.grad is not None
    states.student_BLH.grad.flatten()[0].item()
    states.student_BLH.grad = None
    return time.perf_counter() - began, value


def _states(size: Size, device: torch.device) -> States:
    """Return states of unit length, like those of heads and teacher; equal in all processes."""
    draw = torch.Generator().manual_seed(0)

    def drawn(*shape: int) -> torch.Tensor:
        return F.normalize(torch.randn(*shape, generator=draw), dim=-1).to(device)

    student, teacher = (drawn(size.rows, size.length, size.width) for _ in range(2))
    queue, everywhere = drawn(size.queue, size.width), torch.ones(size.rows, size.length, dtype=torch.bool)
    part = slice(0, 1)
    z = crd_normaliser(student[part], teacher[part], everywhere[part].to(device), queue, TEMPERATURE, chunk=32)
    return States(student.requires_grad_(), teacher, queue, z)


def _patterns(states_BLH: torch.Tensor) -> torch.Tensor:
    return F.normalize(states_BLH.mT, dim=2)


def _polynomial(one_BHL: torch.Tensor, other_BHL: torch.Tensor) -> torch.Tensor:
    return (one_BHL[:, None] * other_BHL[:, :, None]).sum(3).pow(2)


def main() -> None:
    """Measure all ways, or one of them in this process."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--small", action="store_true", help="L = 32, H = 128, a queue of 1,024")
    parser.add_argument("--way", choices=WAYS, help="measure only this way, in this process, and print JSON")
    parser.add_argument("--size", help="size for --way, as JSON")
    arguments = parser.parse_args()
    if arguments.way:
        size = Size(**json.loads(arguments.size or "{}"))
        print(json.dumps(asdict(measure(arguments.way, size, torch.device(arguments.device)))))
        return
    print(report(Size(length=32, width=128, queue=1024) if arguments.small else Size(), arguments.device))


if __name__ == "__main__":
    main()
