"""Towers that are sharded over two ranks (FSDP2): losses, weights, scores and checkpoints are those of one rank."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from support.ranks import on_ranks
from support.vidla_batches import CLIPS, LOSS, batch, model
from torch.distributed.tensor import DTensor

from runtime.errors import UserError
from training.engine.checkpoints.checkpoint import CheckpointSaver, restore, save_model
from training.engine.checkpoints.run_folder import CheckpointRecord, RunIdentity, checkpoint_folder, read_record
from training.engine.engine_settings import ComputeSettings, OptimSettings, ParallelSettings
from training.engine.optimizer import build_optimizer
from training.engine.parallel.clip_gradients import clip_gradients
from training.engine.parallel.distributed import Ranks
from training.models.vidla.two_tower import VidLA
from training.models.vidla.vidla_folder import load
from training.vidla.contrastive_task import VidlaTask
from training.vidla.vidla_settings import VidlaSettings, check_parallel

pytestmark = pytest.mark.slow

FSDP = ParallelSettings(kind="fsdp")


def steps(task: VidlaTask, optimizer: torch.optim.Optimizer, ranks: Ranks, count: int) -> list[torch.Tensor]:
    """Take steps on this rank's share of one batch; return each loss and norm of the gradients."""
    share = CLIPS // ranks.world_size
    seen = []
    for _ in range(count):
        report = task.step(batch(slice(ranks.rank * share, (ranks.rank + 1) * share)))
        norm = clip_gradients(task.module.parameters(), 0.5)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        task.after_step()
        seen.append(torch.tensor([report.losses["total"], norm]))
    return seen


def opened(ranks: Ranks, kind: ParallelSettings, micro_batch: int | None = None) -> tuple[VidlaTask, Any]:
    compute = ComputeSettings(device="cpu", micro_batch=micro_batch)
    task = VidlaTask(model(), LOSS, compute, ranks, lambda tower: scored(tower, ranks), parallel=kind)
    return task, build_optimizer(task.module, OptimSettings(lr=1e-2, lr_end=1e-3), task.is_new)


def scored(tower: VidLA, ranks: Ranks) -> dict[str, float]:
    """Run the towers once on rank 0 and twice on rank 1, as held-out clips may come."""
    draw = torch.Generator().manual_seed(5)
    video, tokens = torch.randn(1, 4, 3, 32, 32, generator=draw), torch.randint(1, 50, (1, 12), generator=draw)
    for _ in range(1 + ranks.rank):
        cosine = tower.encode_video(video) @ tower.encode_text(tokens).T
    return {"t2v_r1": float(cosine)}


def record(task: VidlaTask) -> CheckpointRecord:
    return CheckpointRecord(2, RunIdentity(CLIPS, "batch", task.architecture), {})


def sharded(ranks: Ranks, run: str) -> dict[str, Any]:
    """Train, save, score and resume with sharded towers."""
    task, optimizer = opened(ranks, FSDP)
    found: dict[str, Any] = {"first": steps(task, optimizer, ranks, 2)}
    found["parts"] = steps(*opened(ranks, FSDP, micro_batch=1), ranks, 2)
    found["sharded"] = sum(isinstance(p, DTensor) for p in task.module.parameters())
    found["held"] = sum((p.to_local() if isinstance(p, DTensor) else p).numel() for p in task.module.parameters())
    with CheckpointSaver(Path(run), ranks, keep=1) as saver:
        saver.save(task, optimizer, record(task))
        found["score"] = task.evaluate()["t2v_r1"]
        found["flops"] = task.flops(batch(slice(0, 4 + 2 * ranks.rank)))
        save_model(Path(run) / "best", task, ranks, {"scores": {}})
        found["next"] = steps(task, optimizer, ranks, 2)
    again, optimizer = opened(ranks, FSDP)
    folder = checkpoint_folder(Path(run), 2)
    restore(folder, read_record(folder), again, optimizer, ranks)
    found["resumed"] = steps(again, optimizer, ranks, 2)
    return found


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, Any]]]:
    folder = tmp_path_factory.mktemp("sharded")
    return folder, on_ranks(2, sharded, folder, str(folder / "run"))


Results = tuple[Path, list[dict[str, Any]]]


def close(found: list[torch.Tensor], expected: list[torch.Tensor]) -> None:
    torch.testing.assert_close(torch.stack(found), torch.stack(expected), rtol=2e-4, atol=2e-4)


def test_sharded_towers_give_the_losses_and_norms_of_one_rank_whole_or_in_parts(results: Results) -> None:
    expected = steps(*opened(Ranks(), ParallelSettings()), Ranks(), 2)
    for found in results[1]:
        close(found["first"], expected)
        close(found["parts"], expected)


def test_each_rank_holds_about_half_of_the_weights(results: Results) -> None:
    whole = [parameter.numel() for parameter in model().parameters()]
    assert all(found["sharded"] == len(whole) - 1 for found in results[1]), "all but the temperature"
    assert all(0.4 < found["held"] / sum(whole) < 0.6 for found in results[1])


def test_scores_may_take_more_passes_on_one_rank(results: Results) -> None:
    weights = load(results[0] / "run" / "best").eval()
    with torch.inference_mode():
        expected = scored(weights, Ranks())["t2v_r1"]
    assert [found["score"] for found in results[1]] == pytest.approx([expected] * 2, abs=1e-5)


def test_a_sharded_run_resumes_bit_for_bit_at_the_same_number_of_ranks(results: Results) -> None:
    for found in results[1]:
        assert torch.equal(torch.stack(found["resumed"]), torch.stack(found["next"]))


def test_a_sharded_run_goes_on_in_one_process_that_holds_the_whole_model(results: Results) -> None:
    folder, found = results
    task, optimizer = opened(Ranks(), ParallelSettings())
    checkpoint = checkpoint_folder(folder / "run", 2)
    restore(checkpoint, read_record(checkpoint), task, optimizer, Ranks())
    close(steps(task, optimizer, Ranks(), 2), found[0]["next"])


def test_a_sharded_checkpoint_opens_as_a_model(results: Results) -> None:
    run = results[0] / "run"
    best, checkpoint = load(run / "best").state_dict(), load(checkpoint_folder(run, 2)).state_dict()
    assert all(torch.equal(value, checkpoint[name]) for name, value in best.items())


def test_sharded_towers_are_refused_for_clips_of_different_lengths() -> None:
    settings = VidlaSettings.model_validate({"parallel": {"kind": "fsdp"}, "data": {"frames_per_second": 1.0}})
    with pytest.raises(UserError, match=r"parallel\.kind=fsdp: .* data\.frames_per_second"):
        check_parallel(settings)
