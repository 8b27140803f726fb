"""The loop on a toy model: resume, signals, damaged checkpoints, and runs that are refused."""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError
from support.full_disk import files_up_to
from support.toy_training import ToyBatches, toy_run
from support.waiting import until
from torch.distributed.checkpoint.planner import SavePlan, SavePlanner
from torch.distributed.checkpoint.storage import WriteResult
from torch.futures import Future

from runtime.errors import MachineError, UserError
from runtime.file_lock import exclusive_lock
from shards.storage.files import file_sha256
from training.engine.checkpoints.checkpoint import restore
from training.engine.checkpoints.run_folder import LOCK, read_record
from training.engine.checkpoints.shard_writer import ShardWriter
from training.engine.engine_settings import LoopSettings, OptimSettings
from training.engine.optimizer import build_optimizer
from training.engine.parallel.distributed import Ranks
from training.engine.random_state import random_state
from training.engine.training_loop import STOPPED, train
from training.engine.training_task import NonFiniteLoss

SHARD = "state/shard-00001-model-00001-of-00001.safetensors"


def steps_of(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "checkpoints").iterdir())


def stop_at(batches: ToyBatches, at: int) -> ToyBatches:
    def kill(step: int) -> None:
        if step == at:
            os.kill(os.getpid(), signal.SIGTERM)

    batches.on_step = kill
    return batches


def test_a_stopped_run_resumes_with_the_same_losses_bit_for_bit(tmp_path: Path) -> None:
    whole = toy_run(tmp_path / "whole")
    train(whole)
    first = toy_run(tmp_path / "run", stop_at(ToyBatches(), 4))
    assert train(first) == STOPPED
    second = toy_run(tmp_path / "run")
    assert train(second, "auto") == 0
    assert first.task.losses + second.task.losses == whole.task.losses
    assert torch.equal(second.task.module[0].weight, whole.task.module[0].weight)


def test_a_resume_from_a_named_checkpoint_repeats_the_steps_after_it(tmp_path: Path) -> None:
    whole = toy_run(tmp_path, keep=10)
    train(whole)
    again = toy_run(tmp_path)
    train(again, str(tmp_path / "checkpoints" / "step-00000006"))
    assert again.task.losses == whole.task.losses[6:]


def test_every_step_is_logged_once_though_some_were_done_twice(tmp_path: Path) -> None:
    train(toy_run(tmp_path, keep=10))
    train(toy_run(tmp_path), str(tmp_path / "checkpoints" / "step-00000006"))
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows if row["kind"] == "train"] == list(range(1, 11))


def test_only_the_last_checkpoints_stay_and_the_best_is_kept_beside_them(tmp_path: Path) -> None:
    train(toy_run(tmp_path, keep=2, evaluate_every=3))
    assert steps_of(tmp_path) == ["step-00000008", "step-00000010"]
    assert json.loads((tmp_path / "best" / "score.json").read_text())["best_by"] == "score"


def test_the_last_step_is_saved_whatever_the_interval(tmp_path: Path) -> None:
    train(toy_run(tmp_path, save_every=1000, steps=3))
    assert steps_of(tmp_path) == ["step-00000003"]


def test_a_folder_that_holds_a_run_is_not_overwritten(tmp_path: Path) -> None:
    train(toy_run(tmp_path))
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(UserError, match="--resume auto"):
        train(toy_run(tmp_path, seed=7))
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_resume_auto_begins_at_the_beginning_where_there_is_no_checkpoint(tmp_path: Path) -> None:
    run = toy_run(tmp_path)
    assert train(run, "auto") == 0
    assert len(run.task.losses) == 10


def test_a_finished_run_has_nothing_left_to_do(tmp_path: Path) -> None:
    train(toy_run(tmp_path))
    again = toy_run(tmp_path)
    assert train(again, "auto") == 0
    assert again.task.losses == []


@pytest.mark.parametrize("name", ["config.json", SHARD])
def test_a_named_checkpoint_that_is_cut_short_is_refused(tmp_path: Path, name: str) -> None:
    train(toy_run(tmp_path))
    cut = tmp_path / "checkpoints" / "step-00000010"
    (cut / name).write_bytes((cut / name).read_bytes()[:-7])
    with pytest.raises(UserError, match=f"{name} is missing or cut short"):
        train(toy_run(tmp_path), str(cut))


def test_a_checkpoint_with_a_flipped_byte_is_refused(tmp_path: Path) -> None:
    train(toy_run(tmp_path))
    bad = tmp_path / "checkpoints" / "step-00000010" / SHARD
    data = bytearray(bad.read_bytes())
    data[len(data) // 2] ^= 1
    bad.write_bytes(data)
    with pytest.raises(UserError, match="is damaged"):
        train(toy_run(tmp_path, steps=12), str(bad.parents[1]))


def test_resume_auto_goes_back_to_the_newest_whole_checkpoint(tmp_path: Path) -> None:
    whole = toy_run(tmp_path, keep=10)
    train(whole)
    (tmp_path / "checkpoints" / "step-00000010" / SHARD).unlink()
    again = toy_run(tmp_path)
    train(again, "auto")
    assert again.task.losses == whole.task.losses[8:]


def test_a_half_written_checkpoint_is_not_seen(tmp_path: Path) -> None:
    train(toy_run(tmp_path))
    (tmp_path / "checkpoints" / "step-00000099.partial").mkdir()
    again = toy_run(tmp_path)
    assert train(again, "auto") == 0
    assert again.task.losses == []


def test_another_architecture_is_refused_with_the_differences(tmp_path: Path) -> None:
    train(toy_run(tmp_path))
    with pytest.raises(UserError, match="another architecture: width was 3, is 4"):
        train(toy_run(tmp_path, width=4), "auto")


def test_another_global_batch_is_refused_with_the_reason(tmp_path: Path) -> None:
    train(toy_run(tmp_path))
    with pytest.raises(UserError, match="--batch-size 16: the run was begun with 8"):
        train(toy_run(tmp_path, batch_size=16), "auto")


def test_other_data_is_refused_with_the_reason(tmp_path: Path) -> None:
    train(toy_run(tmp_path))
    with pytest.raises(UserError, match="data is not the one the run was begun with"):
        train(toy_run(tmp_path, ToyBatches("other")), "auto")


@pytest.mark.parametrize(("begun", "now"), [("bf16", "fp32"), ("fp32", "bf16")])
def test_another_precision_is_refused_with_the_setting_that_continues(tmp_path: Path, begun: str, now: str) -> None:
    run = toy_run(tmp_path)
    run.task.arithmetic = begun
    train(run)
    again = toy_run(tmp_path)
    again.task.arithmetic = now
    with pytest.raises(UserError, match=f"precision={now}: .* in {begun}; .*--set compute.precision={begun}"):
        train(again, "auto")


def test_a_checkpoint_that_does_not_say_its_precision_is_continued(tmp_path: Path) -> None:
    train(toy_run(tmp_path, steps=4))
    for path in (tmp_path / "checkpoints").glob("step-*/checkpoint.json"):
        record = json.loads(path.read_text())
        del record["identity"]["precision"]
        path.write_text(json.dumps(record))
    again = toy_run(tmp_path)
    assert train(again, "auto") == 0
    assert len(again.task.losses) == 6


def test_a_folder_without_checkpoint_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no checkpoint\.json"):
        train(toy_run(tmp_path / "run"), str(tmp_path))


def test_a_loss_that_is_not_finite_stops_with_the_keys_where_none_is_allowed(tmp_path: Path) -> None:
    with pytest.raises(NonFiniteLoss, match="5-0 5-1"):
        train(toy_run(tmp_path, ToyBatches(poison=[5]), max_not_finite=0))
    assert steps_of(tmp_path)[-1] == "step-00000004"


def test_a_step_that_is_not_finite_is_left_out_counted_and_its_keys_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = toy_run(tmp_path, ToyBatches(poison=[5]), log_every=2)
    assert train(run) == 0
    assert len(run.task.losses) == 9
    assert all(bool(parameter.isfinite().all()) for parameter in run.task.module.parameters())
    assert "step 6 is left out: loss is not finite (total nan); rows of the batch: 5-0 5-1" in caplog.text
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    counted = {row["step"]: row.get("steps_not_finite", 0) for row in rows if row["kind"] == "train"}
    assert counted == {2: 0, 4: 0, 6: 1, 8: 1, 10: 1}
    assert next(row for row in rows if row["step"] == 6)["loss/total"] == pytest.approx(run.task.losses[4])


def test_a_run_goes_past_a_batch_that_stopped_it_and_ends_as_one_that_never_stopped(tmp_path: Path) -> None:
    undisturbed = toy_run(tmp_path / "undisturbed", ToyBatches(poison=[5]))
    assert train(undisturbed) == 0
    with pytest.raises(NonFiniteLoss):
        train(toy_run(tmp_path / "run", ToyBatches(poison=[5]), max_not_finite=0))
    again = toy_run(tmp_path / "run", ToyBatches(poison=[5]))
    assert train(again, "auto") == 0
    for mine, other in zip(again.task.module.parameters(), undisturbed.task.module.parameters(), strict=True):
        torch.testing.assert_close(mine, other, rtol=0, atol=0)


def test_too_many_steps_that_are_not_finite_stop_the_run(tmp_path: Path) -> None:
    with pytest.raises(NonFiniteLoss, match="7-0 7-1"):
        train(toy_run(tmp_path, ToyBatches(poison=range(5, 9)), max_not_finite=2))


def test_a_run_whose_data_is_mostly_unusable_stops_and_says_why(tmp_path: Path) -> None:
    with pytest.raises((UserError, MachineError), match="undecodable"):
        train(toy_run(tmp_path, ToyBatches(skipped=7), steps=200))


def test_a_run_has_one_length() -> None:
    with pytest.raises(ValidationError, match="steps and epochs are both set"):
        LoopSettings(steps=3, epochs=2)


@pytest.mark.parametrize(
    ("given", "steps"), [({}, 12), ({"epochs": 0.5}, 2), ({"samples": 40_960}, 10), ({"steps": 7}, 7)]
)
def test_the_length_is_given_in_steps_epochs_or_samples(given: dict[str, float], steps: int) -> None:
    assert LoopSettings(**given).total_steps(steps_per_epoch=4) == steps


def test_going_back_to_an_older_checkpoint_leaves_the_later_ones_behind(tmp_path: Path) -> None:
    train(toy_run(tmp_path, keep=10))
    again = toy_run(tmp_path, keep=10, steps=7)
    train(again, str(tmp_path / "checkpoints" / "step-00000006"))
    assert steps_of(tmp_path) == ["step-00000002", "step-00000004", "step-00000006", "step-00000007"]


def test_no_step_is_taken_with_a_gradient_that_is_not_finite(tmp_path: Path) -> None:
    run = toy_run(tmp_path, max_not_finite=0)
    run.task.module[0].weight.register_hook(lambda gradient: gradient * torch.nan if run.task.losses[3:] else gradient)
    with pytest.raises(NonFiniteLoss, match="gradient norm nan"):
        train(run)
    assert bool(run.task.module[0].weight.isfinite().all())
    assert steps_of(tmp_path)[-1] == "step-00000004"


def test_settings_of_the_optimizer_that_were_changed_hold_after_a_resume(tmp_path: Path) -> None:
    train(toy_run(tmp_path / "run"))
    shutil.copytree(tmp_path / "run", tmp_path / "copy")
    unchanged, changed = toy_run(tmp_path / "copy", steps=12), toy_run(tmp_path / "run", steps=12)
    changed.optim = OptimSettings(lr=0.05, lr_end=0.01, betas=(0.5, 0.6))
    train(unchanged, "auto")
    train(changed, "auto")
    assert changed.task.losses[0] == unchanged.task.losses[0]
    assert not torch.equal(changed.task.module[0].weight, unchanged.task.module[0].weight)


def test_moments_belong_to_parameters_whatever_group_these_are_in(tmp_path: Path) -> None:
    train(toy_run(tmp_path))
    again = toy_run(tmp_path)
    optimizer = build_optimizer(again.task.module, OptimSettings(decay_exempt=False))
    folder = tmp_path / "checkpoints" / "step-00000010"
    restore(folder, read_record(folder), again.task, optimizer, Ranks())
    assert len(optimizer.param_groups) == 1
    assert [tuple(state["exp_avg"].shape) for state in optimizer.state.values()] == [(1, 3), (1,)]
    assert all(float(state["step"]) == 10 for state in optimizer.state.values())


def as_format_1(folder: Path) -> None:
    """Rewrite a checkpoint of a toy run as version 0.1 wrote it: the state of the optimizer in one file."""
    record, run = read_record(folder), toy_run(folder.parents[1])
    optimizer = build_optimizer(run.task.module, run.optim)
    restore(folder, record, run.task, optimizer, Ranks())
    states = {"optimizer": optimizer.state_dict(), "random": [random_state()]}
    shutil.rmtree(folder)
    folder.mkdir()
    run.task.save(folder)
    torch.save(states, folder / "train_state.pt")
    files = {path.name: (path.stat().st_size, file_sha256(path)) for path in folder.iterdir()}
    (folder / "checkpoint.json").write_text(json.dumps(asdict(record) | {"files": files, "format": 1}))


def test_a_checkpoint_of_the_older_format_is_resumed_bit_for_bit(tmp_path: Path) -> None:
    whole = toy_run(tmp_path / "whole")
    train(whole)
    train(toy_run(tmp_path / "run", stop_at(ToyBatches(), 4)))
    as_format_1(tmp_path / "run" / "checkpoints" / "step-00000005")
    again = toy_run(tmp_path / "run")
    assert train(again, "auto") == 0
    assert again.task.losses == whole.task.losses[5:]


def test_other_parameters_that_decay_are_refused_of_the_older_format(tmp_path: Path) -> None:
    train(toy_run(tmp_path, steps=2))
    as_format_1(tmp_path / "checkpoints" / "step-00000002")
    again = toy_run(tmp_path)
    again.optim = OptimSettings(lr=0.05, lr_end=0.01, decay_exempt=False)
    with pytest.raises(UserError, match=r"optim\.decay_exempt"):
        train(again, "auto")


def test_a_checkpoint_is_what_the_run_was_when_it_was_saved_though_training_went_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each file waits until the run has taken further steps."""
    run = toy_run(tmp_path, save_every=4, steps=8)
    written = ShardWriter.write_data

    def late(self: ShardWriter, plan: SavePlan, planner: SavePlanner) -> Future[list[WriteResult]]:
        until(lambda: len(run.task.losses) >= 7, "training goes on")
        return written(self, plan, planner)

    monkeypatch.setattr(ShardWriter, "write_data", late)
    assert train(run) == 0
    again = toy_run(tmp_path, steps=8)
    train(again, str(tmp_path / "checkpoints" / "step-00000004"))
    assert again.task.losses[:4] == run.task.losses[4:]


def test_a_run_begun_from_another_runs_checkpoint_has_no_best_yet(tmp_path: Path) -> None:
    train(toy_run(tmp_path / "first"))
    second = toy_run(tmp_path / "second", steps=12)
    train(second, str(tmp_path / "first" / "checkpoints" / "step-00000010"))
    assert (tmp_path / "second" / "best" / "score.json").exists()


def test_a_file_in_the_place_of_a_checkpoint_is_refused(tmp_path: Path) -> None:
    train(toy_run(tmp_path))
    with pytest.raises(UserError, match=r"settings\.yaml: there is no such folder"):
        train(toy_run(tmp_path), str(tmp_path / "settings.yaml"))


def cut_all(folder: Path) -> dict[str, int]:
    for state in folder.rglob("*.safetensors"):
        state.write_bytes(state.read_bytes()[:-7])
    return {str(path): path.stat().st_size for path in (folder / "checkpoints").rglob("*")}


@pytest.mark.parametrize(
    ("resume", "message"), [("auto", "not one of its 2 checkpoints is whole"), ("never", "holds a run")]
)
def test_a_run_whose_checkpoints_are_all_cut_short_is_not_begun_anew_over_them(
    tmp_path: Path, resume: str, message: str
) -> None:
    train(toy_run(tmp_path))
    before = cut_all(tmp_path)
    with pytest.raises(UserError, match=message):
        train(toy_run(tmp_path), resume)
    assert before == {str(path): path.stat().st_size for path in (tmp_path / "checkpoints").rglob("*")}


def test_checkpoints_of_another_format_are_refused_and_stay(tmp_path: Path) -> None:
    train(toy_run(tmp_path))
    newest = tmp_path / "checkpoints" / "step-00000010" / "checkpoint.json"
    newest.write_text(newest.read_text().replace('"format": 2', '"format": 3'))
    with pytest.raises(UserError, match="checkpoint format 3, this version reads 2"):
        train(toy_run(tmp_path, steps=12), "auto")
    assert steps_of(tmp_path) == ["step-00000008", "step-00000010"]


def test_a_checkpoint_of_another_run_does_not_displace_those_of_the_folder(tmp_path: Path) -> None:
    train(toy_run(tmp_path / "one"))
    train(toy_run(tmp_path / "other", steps=4))
    with pytest.raises(UserError, match="has checkpoints of its own"):
        train(toy_run(tmp_path / "one", steps=12), str(tmp_path / "other" / "checkpoints" / "step-00000002"))
    assert steps_of(tmp_path / "one") == ["step-00000008", "step-00000010"]


def test_a_copy_that_a_user_made_of_a_checkpoint_is_left_alone(tmp_path: Path) -> None:
    train(toy_run(tmp_path))
    copy = tmp_path / "checkpoints" / "step-00000008-good"
    shutil.copytree(tmp_path / "checkpoints" / "step-00000008", copy)
    assert train(toy_run(tmp_path, steps=14), "auto") == 0
    assert steps_of(tmp_path) == ["step-00000008-good", "step-00000012", "step-00000014"]


@pytest.mark.parametrize(("too_large", "limit"), [(1 << 20, 1 << 19), (10, 4000)], ids=["model", "optimizer"])
def test_a_full_disk_ends_the_run_in_one_line_and_leaves_the_last_checkpoint_whole(
    tmp_path: Path, too_large: int, limit: int
) -> None:
    train(toy_run(tmp_path, steps=4))
    run = toy_run(tmp_path, evaluate_every=0)
    run.task.save = lambda folder, weights: (folder / "config.json").write_bytes(bytes(too_large))
    with files_up_to(limit), pytest.raises(MachineError, match="step-00000006: can't be written"):
        train(run, "auto")
    assert steps_of(tmp_path) == ["step-00000002", "step-00000004"]
    assert train(toy_run(tmp_path), "auto") == 0


def test_two_runs_do_not_write_into_one_folder(tmp_path: Path) -> None:
    with exclusive_lock(tmp_path / LOCK, "taken"), pytest.raises(UserError, match="another run is writing there"):
        train(toy_run(tmp_path))
    assert train(toy_run(tmp_path)) == 0


def val_steps(folder: Path) -> list[int]:
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [row["step"] for row in rows if row["kind"] == "val"]


def test_a_signal_does_not_wait_for_scores_and_they_are_made_when_the_run_is_resumed(tmp_path: Path) -> None:
    first = toy_run(tmp_path, stop_at(ToyBatches(), 3), evaluate_every=4)
    assert train(first) == STOPPED
    assert first.task.evaluated == 0
    assert train(toy_run(tmp_path, evaluate_every=4), "auto") == 0
    assert val_steps(tmp_path) == [4, 8, 10]


def test_scores_that_fail_cost_no_training(tmp_path: Path) -> None:
    run = toy_run(tmp_path, evaluate_every=4, save_every=4)

    def fail() -> dict[str, float]:
        raise MachineError("GPU lost")

    run.task.evaluate = fail
    with pytest.raises(MachineError, match="GPU lost"):
        train(run)
    assert steps_of(tmp_path) == ["step-00000004"]


def test_a_run_stopped_at_its_last_step_makes_its_scores_afterwards(tmp_path: Path) -> None:
    assert train(toy_run(tmp_path, stop_at(ToyBatches(), 9))) == STOPPED
    again = toy_run(tmp_path)
    assert train(again, "auto") == 0
    assert (again.task.losses, val_steps(tmp_path)) == ([], [10])
    assert (tmp_path / "best" / "score.json").exists()


def test_a_score_that_is_not_finite_is_never_the_best(tmp_path: Path) -> None:
    run = toy_run(tmp_path, evaluate_every=2)
    found = iter([math.nan, 1.0, math.nan, 3.0, 2.0])
    run.task.evaluate = lambda: {"score": next(found)}
    train(run)
    assert json.loads((tmp_path / "best" / "score.json").read_text())["step"] == 8


def test_random_draws_of_scoring_do_not_change_training(tmp_path: Path) -> None:
    plain = toy_run(tmp_path / "plain", evaluate_every=0)
    train(plain)
    scored = toy_run(tmp_path / "scored", evaluate_every=1)
    scored.task.evaluate = lambda: {"score": float(torch.rand(()))}
    train(scored)
    assert scored.task.losses == plain.task.losses
