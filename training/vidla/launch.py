"""The place of a run of ``train-vidla``: in this process (one rank of torchrun, if it is), or on a Ray cluster."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from training.vidla.vidla_settings import VidlaSettings


def add_launch_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that choose a Ray cluster and the number of its workers."""
    parser.add_argument(
        "--address", metavar="RAY", help="train on the workers of a running Ray cluster (`auto`, or host:port)"
    )
    parser.add_argument(
        "--workers",
        metavar="N|MIN:MAX",
        help="ranks on Ray (default: one for each GPU of the cluster); MIN:MAX: after a failure as many as there is "
        "room for. Without --address a Ray is started on this machine",
    )


def launch(run: Callable[[str], int], settings: VidlaSettings, arguments: argparse.Namespace) -> int:
    """Run `run(resume)` here, or on each worker of Ray; return the exit status.

    Raises:
        UserError: the arguments are malformed, or the cluster can't be joined.
    """
    if arguments.address is None and arguments.workers is None:
        return run(arguments.resume)
    workers = workers_of(arguments.workers)
    from runtime.ray_runner.cluster import ClusterSettings, check_address
    from training.engine.parallel.ray_workers import RayRun, run_on_ray

    cluster = ClusterSettings(address=arguments.address)
    check_address(cluster)
    rows = settings.loop.batch_size // settings.data.clips_per_root
    output = Path(arguments.output).absolute()
    return run_on_ray(
        RayRun(run, output, arguments.resume, rows), cluster, workers, on_gpus=settings.compute.device != "cpu"
    )


def workers_of(asked: str | None) -> tuple[int, int] | None:
    """Return the least and the most workers; None: as many as there are GPUs.

    Raises:
        UserError: neither a number nor two with a colon between them.
    """
    if asked is None:
        return None
    from runtime.errors import UserError

    if not re.fullmatch(r"[1-9]\d*(:[1-9]\d*)?", asked):
        raise UserError(f"--workers {asked}: give a number of ranks, or the least and the most, as in 2:8")
    least, _, most = asked.partition(":")
    if most and int(most) < int(least):
        raise UserError(f"--workers {asked}: the least comes first, as in {most}:{least}")
    return int(least), int(most or least)
