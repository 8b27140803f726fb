"""One step of VidLA as a task: gradients of the global batch, however it is split over ranks and micro-batches."""

from __future__ import annotations

import logging
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from support.ranks import on_ranks
from support.tiny_clip import TEXT
from support.vidla_batches import CLIPS, FRAMES, LOSS, batch, model

from training.engine.engine_settings import ComputeSettings
from training.engine.parallel.distributed import Ranks
from training.engine.training_task import NonFiniteLoss
from training.vidla.contrastive_task import FlopCount, VidlaTask


def stepped(ranks: Ranks, micro_batch: int | None, kind: str = "infonce") -> dict[str, torch.Tensor]:
    """Return gradients and losses of one step on this rank's share."""
    share, trained = CLIPS // ranks.world_size, model()
    if kind == "siglip":
        trained.add_logit_bias()
    loss = LOSS.model_copy(update={"kind": kind})
    task = VidlaTask(trained, loss, ComputeSettings(device="cpu", micro_batch=micro_batch), ranks)
    report = task.step(batch(slice(ranks.rank * share, (ranks.rank + 1) * share)))
    gradients = {name: parameter.grad for name, parameter in task.module.named_parameters()}
    return gradients | {f"loss/{name}": torch.tensor(value) for name, value in report.losses.items()}


def both_ways(ranks: Ranks) -> dict[str, dict[str, torch.Tensor]]:
    return {
        "whole": stepped(ranks, None),
        "in parts": stepped(ranks, 1),
        "siglip": stepped(ranks, 1, "siglip"),
    }


def same(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    assert found.keys() == expected.keys()
    for name, value in found.items():
        torch.testing.assert_close(
            value, expected[name], rtol=1e-3, atol=2e-5, msg=lambda text, name=name: f"{name}: {text}"
        )


@pytest.mark.parametrize("rows", [1, 3, 8, 100])
def test_micro_batches_give_the_gradients_of_the_whole_batch(rows: int) -> None:
    same(stepped(Ranks(), rows), stepped(Ranks(), None))


@pytest.mark.slow
def test_two_ranks_whole_or_in_parts_give_the_gradients_of_one(tmp_path: Path) -> None:
    expected, siglip = stepped(Ranks(), None), stepped(Ranks(), None, "siglip")
    assert siglip["logit_bias"].abs() > 0
    for found in on_ranks(2, both_ways, tmp_path):
        same(found["siglip"], siglip)
        same(found["whole"], expected)
        same(found["in parts"], expected)


def test_every_parameter_gets_a_gradient() -> None:
    gradients = stepped(Ranks(), None)
    assert not [name for name, gradient in gradients.items() if gradient is None]


def test_rows_that_were_not_decoded_change_nothing() -> None:
    task, other = (VidlaTask(model(), LOSS, ComputeSettings(device="cpu"), Ranks()) for _ in range(2))
    black = batch()
    black.video_BTSSC[3] = 0
    black.tokens["caption"][3] = 7
    assert task.step(batch()).losses == pytest.approx(other.step(black).losses, rel=1e-6)


def test_a_loss_that_is_not_finite_names_the_clips() -> None:
    task = VidlaTask(model(), LOSS, ComputeSettings(device="cpu"), Ranks())
    with torch.no_grad():
        task.module.video.proj.fill_(math.nan)
    with pytest.raises(NonFiniteLoss, match="clip-0 clip-1"):
        task.step(batch())
    assert all(parameter.grad is None for parameter in task.module.parameters())


def test_a_step_counts_decoded_clips_and_present_texts_without_their_padding() -> None:
    task = VidlaTask(model(), LOSS, ComputeSettings(device="cpu"), Ranks())
    count = FlopCount(task.module)
    rows = batch()
    for tokens_BL in rows.tokens.values():
        tokens_BL[:, 5:] = 0
    tokens = 12 * count._of_text(12) * 5 / 12  # five subtitles and seven captions of five tokens
    assert task.flops(rows) == pytest.approx(7 * task.module.video.step_flops(FRAMES) + 3 * tokens)


def test_the_temperature_stays_within_its_bound() -> None:
    task = VidlaTask(model(), LOSS.model_copy(update={"max_logit_scale": 20.0}), ComputeSettings(device="cpu"), Ranks())
    with torch.no_grad():
        task.module.logit_scale.fill_(10)
    task.after_step()
    assert task.module.logit_scale.exp().item() == pytest.approx(20)


def test_micro_batches_drop_the_same_in_both_passes() -> None:
    task = VidlaTask(model(), LOSS, ComputeSettings(device="cpu", micro_batch=3), Ranks())
    task.module.text.token_embedding = torch.nn.Sequential(task.module.text.token_embedding, torch.nn.Dropout(0.5))
    seen = []
    task.module.text.register_forward_hook(lambda module, inputs, output: seen.append(output.detach()))
    task.step(batch())
    first, second = seen[: len(seen) // 2], seen[len(seen) // 2 :]
    assert all(torch.equal(before, after) for before, after in zip(first, second, strict=True))
    assert not torch.equal(first[0], task.module.text(batch().tokens["subtitle"][:3]))


def shares_present(ranks: Ranks) -> dict[str, float]:
    share = CLIPS // ranks.world_size
    task = VidlaTask(model(), LOSS, ComputeSettings(device="cpu"), ranks)
    return dict(task.step(batch(slice(ranks.rank * share, (ranks.rank + 1) * share))).facts)


def test_the_share_of_present_texts_is_that_of_the_global_batch(tmp_path: Path) -> None:
    expected = shares_present(Ranks())
    assert expected["present_subtitle"] == 5 / 8
    for found in on_ranks(2, shares_present, tmp_path):
        assert found == pytest.approx(expected)


def test_flops_of_the_text_tower_are_those_of_its_formula() -> None:
    length, width = TEXT["context_length"], TEXT["width"]
    layer = 2 * length * width * 12 * width + 4 * length**2 * width
    counted = FlopCount(model())._of_text(length)
    assert counted == TEXT["layers"] * layer + 2 * width * 24


def test_a_step_tells_the_videos_of_the_batch_and_the_negatives_of_a_row() -> None:
    """Seven decoded clips of five videos; in the captions, videos 1 and 6 have two clips each."""
    facts = VidlaTask(model(), LOSS, ComputeSettings(device="cpu"), Ranks()).step(batch()).facts
    subtitles = 5 * 4 / 12  # rows 0, 2, 4, 5, 7, each of another video
    captions = (7 * 6 - 4) / 12
    assert facts["videos"] == 5
    assert facts["negatives"] == pytest.approx(subtitles + captions)


def test_few_negatives_are_warned_of_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    task = VidlaTask(model(), LOSS, ComputeSettings(device="cpu"), Ranks())
    one_video = replace(batch(), video_id_B=torch.full((CLIPS,), 7))
    for _ in range(2):
        assert task.step(one_video).facts["negatives"] == 0
    assert caplog.text.count("0 negatives on average, in a batch of 7 clips of 1 videos") == 1


def losses_after_a_step_without_a_value(ranks: Ranks) -> dict[str, float]:
    """Losses of a step that follows one whose loss is not a number."""
    share = CLIPS // ranks.world_size
    rows = batch(slice(ranks.rank * share, (ranks.rank + 1) * share))
    task = VidlaTask(model(), LOSS, ComputeSettings(device="cpu"), ranks)
    kept = task.module.video.proj.detach().clone()
    with torch.no_grad():
        task.module.video.proj.fill_(math.nan)
    with pytest.raises(NonFiniteLoss):
        task.step(rows)
    with torch.no_grad():
        task.module.video.proj.copy_(kept)
    return dict(task.step(rows).losses)


@pytest.mark.slow
def test_ranks_go_on_together_after_a_loss_that_is_not_finite(tmp_path: Path) -> None:
    expected = VidlaTask(model(), LOSS, ComputeSettings(device="cpu"), Ranks()).step(batch()).losses
    for found in on_ranks(2, losses_after_a_step_without_a_value, tmp_path):
        assert found == pytest.approx(expected, rel=1e-4)


def test_texts_that_are_cut_are_counted_and_many_are_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    long = {term: torch.tensor([1, 0, 1, 1, 0, 0, 0, 0]).bool() for term in LOSS.terms or ()}
    task = VidlaTask(model(), LOSS, ComputeSettings(device="cpu"), Ranks())
    for _ in range(2):
        assert task.step(replace(batch(), too_long=long)).facts["long_texts"] == pytest.approx(4 / 12)
    assert caplog.text.count("33% of the texts have more than the 12 tokens of the text tower") == 1


def test_two_videos_with_one_caption_are_told_apart_only_where_that_is_asked_for() -> None:
    twins = {term: torch.tensor([0, 1, 2, 3, 0, 5, 6, 7]) for term in LOSS.terms or ()}
    rows = replace(batch(), text_id=twins)
    masked, kept = (
        VidlaTask(model(), LOSS.model_copy(update={"same_text": way}), ComputeSettings(device="cpu"), Ranks()).step(
            rows
        )
        for way in ("mask", "keep")
    )
    assert masked.losses["total"] < kept.losses["total"]
    assert masked.facts["negatives"] < kept.facts["negatives"]
