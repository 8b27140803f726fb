"""A training run on the workers of Ray Train: the same loop, restarted from its checkpoints when a worker or node dies.

    driver                                            each worker
    run_on_ray(run, …) ── TorchTrainer ──▶ _on_worker ──▶ run(resume)    # what the command runs without Ray

Ray connects the workers and sets the variables that `init_ranks` reads. After a failure it starts them again, as many
as there is room for between the least and the most that were asked for, and the run goes on from its newest checkpoint.
Errors that a restart would meet again (a user's mistake, losses that are not finite) end the run. Imports Ray only when
a run starts.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, redirect_stderr, redirect_stdout
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import torch.distributed as dist

from runtime.errors import MachineError, UserError, one_line
from runtime.file_lock import exclusive_lock
from runtime.log import get_logger, logged_to
from runtime.ray_runner.cluster import ClusterSettings, connected
from runtime.retry_limits import RAY_START_SECONDS, TRAIN_RESTARTS, WORKER_END_SECONDS
from shards.errors import ShardError
from shards.storage.files import write_file
from training.engine.checkpoints.checkpoint import drop_after
from training.engine.checkpoints.run_folder import LOCK, checkpoint_step, checkpoint_to_resume, checkpoints
from training.engine.training_task import NonFiniteLoss

RunFrom = Callable[[str], int]
"""Runs on one rank, given ``never``, ``auto`` or the folder of a checkpoint; returns the exit status."""

_ENDED: Final = ".ended-on-ray.json"
"""Why a run must not be restarted; in its folder, which all machines share."""
_SCRATCH: Final = ".ray-train"
"""Folder of Ray Train's own notes about a run."""

_PRINTED: Final = "ray.log"
"""File in the run's folder with the output of rank 0, which the driver prints too."""
_ENVIRONMENT: Final = {
    "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": str(RAY_START_SECONDS.count),
    "RAY_TRAIN_ENABLE_PRINT_PATCH": "0",
}
_POLL_SECONDS: Final = 0.5

_log = get_logger(__name__)


@dataclass(frozen=True)
class RayRun:
    """One run, as every worker gets it."""

    run: RunFrom
    output: Path
    resume: str
    rows: int
    """The number of ranks must divide it."""
    folder: Path = field(default_factory=Path.cwd)
    """Folder that relative paths of the settings are below."""


@dataclass(frozen=True)
class _Ended:
    """An error that a restart would meet again."""

    mistake: bool
    """The user can mend it."""
    message: str


def run_on_ray(run: RayRun, cluster: ClusterSettings, workers: tuple[int, int] | None, on_gpus: bool) -> int:
    """Run on the workers of a Ray cluster, through any number of failures; return the exit status.

    Args:
        run: what each worker does; `output` is a folder that all machines share.
        cluster: the cluster to join, or to start in this process.
        workers: the least and the most ranks; None: one for each GPU, or one.
        on_gpus: give each worker a GPU, if the cluster has any.

    Raises:
        UserError: the cluster can't be joined or lacks the room, or the run ended with a mistake of the user.
        MachineError: workers died too often, or the run ended with another error.
    """
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    note = run.output / _ENDED
    note.unlink(missing_ok=True)
    run = _from_here(run)
    try:
        with connected(cluster), _followed(run.output / _PRINTED):
            status = _fit(run, workers, on_gpus)
    finally:
        shutil.rmtree(run.output / _SCRATCH, ignore_errors=True)
    if not note.exists():
        return status
    ended = _Ended(**json.loads(note.read_text(encoding="utf-8")))
    note.unlink()
    raise (UserError if ended.mistake else MachineError)(ended.message)


def usable_ranks(workers: int, rows: int) -> int:
    """Return the largest number of ranks, up to `workers`, that divides a batch of `rows`."""
    return max(count for count in range(1, workers + 1) if rows % count == 0)


def _from_here(run: RayRun) -> RayRun:
    """Return the run with ``auto`` in place of a checkpoint of its own folder; later ones are removed, as ever."""
    if run.resume in ("never", "auto") or not checkpoints(run.output):
        return run
    folder = checkpoint_to_resume(run.output, run.resume)
    assert folder is not None, "a folder was named"
    drop_after(run.output, checkpoint_step(folder))
    return replace(run, resume="auto")


def _fit(run: RayRun, workers: tuple[int, int] | None, on_gpus: bool) -> int:
    import ray
    from ray.exceptions import RayError
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchTrainer
    from ray.train.v2.api.exceptions import TrainingFailedError

    there = ray.cluster_resources()
    gpus = int(there.get("GPU", 0)) if on_gpus else 0
    least, most = workers or (max(1, gpus), max(1, gpus))
    room = gpus or int(there.get("CPU", 0))
    if least > room:
        kind = "GPUs" if gpus else "CPUs"
        raise UserError(f"--workers {least}: the cluster has {room} {kind}; lower it, or add machines")
    trainer = TorchTrainer(
        _on_worker,
        train_loop_config=asdict(run) | {"run": run.run},
        scaling_config=ScalingConfig(num_workers=least if least == most else (least, most), use_gpu=gpus > 0),
        run_config=RunConfig(
            name=uuid4().hex,
            storage_path=str((run.output / _SCRATCH).absolute()),
            failure_config=FailureConfig(max_failures=TRAIN_RESTARTS.count),
        ),
    )
    try:
        return int(trainer.fit().return_value or 0)
    except (TrainingFailedError, RayError) as failure:
        errors = getattr(failure, "worker_failures", {}).values()
        text = one_line(next(iter(errors), failure), keep="last")
        raise MachineError(f"the workers of the run failed too often; the last: {text}") from None


def _on_worker(config: dict[str, Any]) -> int:
    """Run on one worker of Ray Train; return the exit status."""
    run = RayRun(**config)
    os.chdir(run.folder)
    note = run.output / _ENDED
    if note.exists() or not _is_rank(run.rows):
        return 0
    is_main = os.environ["RANK"] == "0"
    if is_main:
        run.output.mkdir(parents=True, exist_ok=True)
        with exclusive_lock(run.output / LOCK, f"--output {run.output}: is held", WORKER_END_SECONDS.seconds):
            pass
    try:
        with _printed_to(run.output / _PRINTED) if is_main else nullcontext():
            return run.run("auto" if checkpoints(run.output) else run.resume)
    except (UserError, ShardError, NonFiniteLoss) as error:
        ended = _Ended(not isinstance(error, NonFiniteLoss), str(error))
        write_file(note, json.dumps(asdict(ended)).encode())
        raise


def _is_rank(rows: int) -> bool:
    """Return True if this worker is a rank of the run; False if it is left over, as the batch can't be divided so.

    The others then form a process group without it.
    """
    rank, world_size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    usable = usable_ranks(world_size, rows)
    if usable == world_size:
        return True
    port = [_free_port() if rank == 0 else 0]
    dist.broadcast_object_list(port, src=0)
    dist.destroy_process_group()
    if rank == 0:
        _log.warning("%d of %d workers take part: the batch can be divided among so many", usable, world_size)
    os.environ |= {"WORLD_SIZE": str(usable), "MASTER_PORT": str(port[0])}
    return rank < usable


@contextmanager
def _printed_to(path: Path) -> Iterator[None]:
    """Append to a file what this process prints and logs."""
    with (
        path.open("a", buffering=1, encoding="utf-8") as printed,
        redirect_stdout(printed),
        redirect_stderr(printed),
        logged_to(printed),
    ):
        yield


@contextmanager
def _followed(path: Path) -> Iterator[None]:
    """Print what is appended to a file, until the block ends."""
    start, ended = path.stat().st_size if path.exists() else 0, threading.Event()

    def follow() -> None:
        at, last = start, False
        while not last:
            last = ended.wait(_POLL_SECONDS)
            if path.exists():
                with path.open(encoding="utf-8", errors="replace") as printed:
                    printed.seek(at)
                    print(printed.read(), end="", flush=True)
                    at = printed.tell()

    follower = threading.Thread(target=follow, daemon=True)
    follower.start()
    try:
        yield
    finally:
        ended.set()
        follower.join()


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("", 0))
        return int(free.getsockname()[1])
