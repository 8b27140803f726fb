"""Batches as model input: crops applied to a batch as torchvision applies them to one clip."""

from __future__ import annotations

import pytest
import torch
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional

from training.data.clip_tasks import Crop
from training.data.decoding.crop_sampling import crop_window
from training.data.decoding.model_input import to_model_input

MEAN, STD = (0.48, 0.45, 0.40), (0.26, 0.26, 0.27)


def reference(video_TSSC: torch.Tensor, left: int, top: int, side: int, flip: bool, size: int) -> torch.Tensor:
    video_TCHW = video_TSSC.permute(0, 3, 1, 2).float() / 255
    video_TCHW = functional.resized_crop(
        video_TCHW, top, left, side, side, [size, size], InterpolationMode.BILINEAR, antialias=True
    )
    video_TCHW = functional.horizontal_flip(video_TCHW) if flip else video_TCHW
    return functional.normalize(video_TCHW, list(MEAN), list(STD))


@pytest.mark.parametrize("size", [24, 40, 64])
def test_a_batch_of_different_crops_equals_torchvision_clip_by_clip(size: int) -> None:
    torch.manual_seed(0)
    video_BTSSC = torch.randint(0, 256, (4, 2, 40, 40, 3), dtype=torch.uint8)
    places = [(0, 0, 40, False), (0, 0, 40, True), (3, 5, 32, False), (8, 1, 32, True)]
    crop_B4 = torch.tensor([[left / 40, top / 40, side / 40, flip] for left, top, side, flip in places])
    found = to_model_input(video_BTSSC, crop_B4, size, MEAN, STD)
    for clip, place in enumerate(places):
        torch.testing.assert_close(found[clip], reference(video_BTSSC[clip], *place, size), atol=1e-4, rtol=1e-4)


def test_a_batch_processed_in_parts_gives_the_same_result(monkeypatch: pytest.MonkeyPatch) -> None:
    video_BTSSC = torch.randint(0, 256, (5, 2, 16, 16, 3), dtype=torch.uint8)
    crop_B4 = torch.tensor([[0.1, 0.2, 0.8, 0.0]] * 5)
    whole = to_model_input(video_BTSSC, crop_B4, 12, MEAN, STD)
    monkeypatch.setattr("training.data.decoding.model_input._CHUNK_BYTES", 2 * 2 * 16 * 16 * 12)
    torch.testing.assert_close(to_model_input(video_BTSSC, crop_B4, 12, MEAN, STD), whole)


def test_autocast_does_not_change_the_result() -> None:
    video_BTSSC = torch.randint(0, 256, (1, 1, 32, 32, 3), dtype=torch.uint8)
    crop_B4 = torch.tensor([[0.0, 0.0, 1.0, 0.0]])
    plain = to_model_input(video_BTSSC, crop_B4, 24, MEAN, STD)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(to_model_input(video_BTSSC, crop_B4, 24, MEAN, STD), plain, atol=0, rtol=0)


def test_the_result_has_the_given_dtype() -> None:
    video_BTSSC = torch.zeros((1, 1, 32, 32, 3), dtype=torch.uint8)
    crop_B4 = torch.tensor([[0.0, 0.0, 1.0, 0.0]])
    assert to_model_input(video_BTSSC, crop_B4, 24, MEAN, STD, torch.bfloat16).dtype == torch.bfloat16


def test_a_mirrored_crop_shows_the_left_edge_on_the_right() -> None:
    video_BTSSC = torch.zeros((1, 1, 8, 8, 3), dtype=torch.uint8)
    video_BTSSC[:, :, :, 0] = 255
    _, _, row = crop_window(Crop(1.0, 0.5, 0.5, True), 8, 8)
    found = to_model_input(video_BTSSC, torch.tensor([row]), 8, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    assert found[0, 0, :, :, -1].eq(1).all() and found[0, 0, :, :, :-1].eq(0).all()
