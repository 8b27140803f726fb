"""A step on clips of several lengths: gradients, operations and facts are those of the clips one by one."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from pydantic import ValidationError
from support.ranks import on_ranks
from support.tiny_clip import TEXT, VISION

from training.data.clip_batch import ClipBatch
from training.data.clip_tasks import ClipTask, MediaRef, RootTask
from training.data.data_settings import DataSettings
from training.data.order.frame_buckets import FrameBuckets
from training.engine.engine_settings import ComputeSettings
from training.engine.parallel.distributed import Ranks
from training.models.vidla.model_settings import LossSettings, TemporalSettings
from training.models.vidla.tower_batches import clips_of
from training.models.vidla.two_tower import CLIP_MEAN, CLIP_STD, VidLA, build
from training.vidla.bucket_facts import length_facts, recorded_buckets
from training.vidla.contrastive_task import VidlaTask
from training.vidla.vidla_settings import VidlaSettings

LENGTHS = (2, 2, 2, 5, 5, 9)
LOSS = LossSettings(terms={"caption": "caption"})


def model() -> VidLA:
    torch.manual_seed(0)
    return build(
        {
            "embed_dim": 24, "vision_cfg": dict(VISION), "text_cfg": {**TEXT, "vocab_size": 50}, "quick_gelu": False,
            "temporal": TemporalSettings(levels=3, tokens_per_level=1).model_dump(), "frames": 9,
            "mean": CLIP_MEAN, "std": CLIP_STD,
        }
    )  # fmt: skip


def batch(*rows: int) -> ClipBatch:
    """Return some of six clips of different videos, of lengths 2 to 9; the second is not decoded."""
    clips = [ClipTask(f"{n}", 0.0, 3.0 * t, 0.0, 3.0 * t, {}, frames=t) for n, t in enumerate(LENGTHS)]
    empty = ClipBatch.empty([RootTask(f"{n}", f"{n}", MediaRef("x"), (clip,)) for n, clip in enumerate(clips)], 1, 32)
    draw = torch.Generator().manual_seed(3)
    pixels = torch.randint(0, 256, empty.frames_FSSC.shape, generator=draw, dtype=torch.uint8)
    tokens_BL = torch.randint(1, 50, (len(clips), 12), generator=draw)
    decoded_B = torch.tensor([1, 0, 1, 1, 1, 1]).bool()
    empty.frames_FSSC.copy_(pixels)
    empty.weight_B.copy_(decoded_B)
    empty.tokens["caption"], empty.present["caption"] = tokens_BL, decoded_B
    return ClipBatch.cat([empty.rows(slice(row, row + 1)) for row in rows or range(len(clips))])


def stepped(ranks: Ranks, micro_batch: int | None) -> dict[str, torch.Tensor]:
    """Return gradients and losses of one step on this rank's share: every second clip of two ranks."""
    rows = range(len(LENGTHS))[ranks.rank :: ranks.world_size]
    task = VidlaTask(model(), LOSS, ComputeSettings(device="cpu", micro_batch=micro_batch), ranks)
    report = task.step(batch(*rows))
    gradients = {name: p.grad for name, p in task.module.named_parameters() if p.grad is not None}
    return gradients | {f"loss/{name}": torch.tensor(value) for name, value in report.losses.items()}


def same(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    assert found.keys() == expected.keys()
    for name, value in found.items():
        torch.testing.assert_close(value, expected[name], rtol=1e-3, atol=2e-5, msg=name)


def test_clips_of_several_lengths_are_embedded_as_each_alone() -> None:
    task = VidlaTask(model(), LOSS, ComputeSettings(device="cpu"), Ranks())
    together, _ = task._embed(task._embeddings._plain, batch())
    device = torch.device("cpu")
    alone = [task.module.encode_video(clips_of(batch(row), task.module, device)) for row in range(len(LENGTHS))]
    torch.testing.assert_close(together, torch.cat(alone), rtol=1e-4, atol=1e-5)


def test_micro_batches_of_one_length_give_the_gradients_of_the_whole_batch() -> None:
    assert [len(piece) for piece in batch().split_frames(9)] == [3, 1, 1, 1]
    same(stepped(Ranks(), 1), stepped(Ranks(), None))


@pytest.mark.slow
def test_two_ranks_with_clips_of_several_lengths_give_the_gradients_of_one(tmp_path: Path) -> None:
    expected = stepped(Ranks(), None)
    for found in on_ranks(2, stepped, tmp_path, None):
        same(found, expected)


def test_the_operations_of_a_step_are_those_of_each_decoded_clip() -> None:
    task = VidlaTask(model(), LOSS, ComputeSettings(device="cpu"), Ranks())
    assert task.flops(batch()) == pytest.approx(sum(task.flops(batch(row)) for row in range(len(LENGTHS))))


def test_clips_and_seconds_of_each_length_are_reported() -> None:
    task = VidlaTask(model(), LOSS, ComputeSettings(device="cpu"), Ranks(), buckets=(2, 5, 9))
    facts = task.step(batch()).facts
    assert facts["frames"] == pytest.approx((2 + 2 + 5 + 5 + 9) / 5)
    assert {name: value for name, value in facts.items() if name.startswith("bucket_")} == {
        "bucket_2/clips": 2, "bucket_2/seconds": 12, "bucket_5/clips": 2, "bucket_5/seconds": 30,
        "bucket_9/clips": 1, "bucket_9/seconds": 27,
    }  # fmt: skip


def test_a_model_keeps_the_lengths_that_it_was_trained_with() -> None:
    data = DataSettings(frames_per_second=0.5, frame_buckets=(8, 16))
    assert recorded_buckets(length_facts(data)) == FrameBuckets(0.5, (8, 16))
    assert length_facts(DataSettings()) == {} and recorded_buckets({}) is None


def test_the_model_has_as_many_positions_as_the_longest_clips_unless_they_are_set() -> None:
    data = {"frames_per_second": 1.0, "frame_buckets": [8, 24]}
    assert VidlaSettings.model_validate({"data": data}).model.frames == 24
    assert VidlaSettings.model_validate({"data": data, "model": {"frames": 12}}).model.frames == 12
    assert VidlaSettings().model.frames == 12


def test_lengths_of_which_none_has_all_levels_are_refused() -> None:
    with pytest.raises(ValidationError, match=r"frame_buckets=\[2, 4\].*levels=3"):
        VidlaSettings.model_validate({"data": {"frames_per_second": 1.0, "frame_buckets": [2, 4]}})
