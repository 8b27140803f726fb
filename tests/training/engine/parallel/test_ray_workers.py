"""A run on the workers of Ray Train: it goes on when one dies, on as many ranks as divide the batch."""

from __future__ import annotations

import os
import sys
from functools import partial
from pathlib import Path

import pytest
import torch
from support.commands import losses
from support.ranks import in_ranks
from support.toy_on_ray import toy_on_rank
from support.toy_training import toy_run

from runtime.errors import UserError
from runtime.ray_runner.cluster import ClusterSettings
from training.engine.parallel.distributed import init_ranks, sum_over
from training.engine.parallel.ray_workers import RayRun, _is_rank, _on_worker, run_on_ray, usable_ranks
from training.engine.training_loop import train


@pytest.mark.ray
@pytest.mark.timeout(900)
def test_a_run_whose_worker_is_killed_goes_on_and_ends_as_one_that_was_not(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))  # for the workers
    train(toy_run(tmp_path / "whole"))
    run = RayRun(partial(toy_on_rank, tmp_path / "run", 5), tmp_path / "run", "never", rows=8)
    assert run_on_ray(run, ClusterSettings(num_cpus=2), (2, 2), on_gpus=False) == 0
    assert (tmp_path / "run" / "killed-5").exists()
    assert (tmp_path / "run" / "ranks-1").read_text() == "2"
    assert losses(tmp_path / "run") == losses(tmp_path / "whole")
    assert "resumed from" in capfd.readouterr().out
    assert not (tmp_path / "run" / ".ray-train").exists()


@pytest.mark.parametrize(("workers", "rows", "ranks"), [(8, 4096, 8), (7, 4096, 4), (3, 2, 2), (5, 7, 1)])
def test_as_many_workers_take_part_as_divide_the_batch(workers: int, rows: int, ranks: int) -> None:
    assert usable_ranks(workers, rows) == ranks


def test_a_mistake_of_the_user_is_noted_and_not_met_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"RANK": "0", "WORLD_SIZE": "1"}.items():
        monkeypatch.setenv(name, value)
    asked = []

    def mistaken(resume: str) -> int:
        asked.append(resume)
        print("begins")
        raise UserError("--layer nothing: there is no such layer")

    worker = {"run": mistaken, "output": tmp_path, "resume": "never", "rows": 8, "folder": Path.cwd()}
    with pytest.raises(UserError, match="no such layer"):
        _on_worker(worker)
    assert _on_worker(worker) == 0
    assert asked == ["never"]
    assert (tmp_path / "ray.log").read_text() == "begins\n"


def in_part(folder: str) -> None:
    """Take part as one of three workers, of which the batch allows two."""
    init_ranks("cpu")
    del os.environ["TORCHELASTIC_USE_AGENT_STORE"]  # of the test; Ray sets none
    if _is_rank(rows=4):
        ranks = init_ranks("cpu")
        (Path(folder) / str(ranks.rank)).write_text(f"{float(sum_over(torch.ones(1), ranks)):g}")


@pytest.mark.slow
def test_workers_that_do_not_divide_the_batch_leave_and_the_others_connect_anew(tmp_path: Path) -> None:
    in_ranks(3, in_part, str(tmp_path))
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"0": "2", "1": "2"}
