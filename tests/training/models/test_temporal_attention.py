"""Attention by structure against the paper's masks over all pairs of tokens, in value and gradient."""

import pytest
import torch
from pydantic import ValidationError
from support.dense_attention import dense_tower, global_mask, local_mask
from support.tiny_clip import gradients, stirred_tower, tiny_visual
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from runtime.errors import UserError
from training.models.vidla.model_settings import TemporalSettings
from training.models.vidla.temporal_attention import AttentionGroup, attention_flops, groups, summary_mask
from training.models.vidla.video_tower import VideoLayer, VideoTower

CASES = {
    "the paper's defaults": ({}, 12),
    "frames that no scale divides": ({}, 7),
    "patches blind to [CLS]": ({"patch_sees_cls": False}, 6),
    "[MST] see higher levels": ({"mst_sees": "higher"}, 6),
    "a bias of [CLS] on itself": ({"cls_self_bias": "log_frames"}, 5),
    "a number as that bias": ({"cls_self_bias": -1.5, "mst_sees": "higher", "patch_sees_cls": False}, 5),
    "no [MST]": ({"levels": 0}, 4),
    "no [MST], patches blind to [CLS]": ({"levels": 0, "patch_sees_cls": False}, 4),
    "no spatially local attention": ({"spatially_local": False}, 6),
    "no hierarchy": ({"levels": 2, "scale": 1}, 3),
    "one token a level, scale 3": ({"levels": 2, "tokens_per_level": 1, "scale": 3}, 8),
    "one level": ({"levels": 1}, 2),
    "one frame": ({"levels": 0}, 1),
}


@pytest.mark.parametrize(("options", "frames"), CASES.values(), ids=CASES.keys())
def test_tower_equals_the_dense_masks_in_value_and_gradient(options: dict, frames: int) -> None:
    tower = stirred_tower(TemporalSettings(**options), frames).double()
    video = torch.randn(2, frames, 3, 32, 32, dtype=torch.float64)
    ours, theirs = tower(video), dense_tower(tower, video)
    torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-10)
    ours_gradients, their_gradients = gradients(tower, ours), gradients(tower, theirs)
    assert ours_gradients.keys() == their_gradients.keys() == dict(tower.named_parameters()).keys()
    for name, gradient in ours_gradients.items():
        torch.testing.assert_close(gradient, their_gradients[name], rtol=1e-7, atol=1e-9, msg=name)


def test_masks_are_those_of_the_papers_figure_3() -> None:
    """N=4, T=4, U=2, V=1, r=2: token 0 is [CLS], 1 and 2 the [MST], then four patches a frame."""
    mask = global_mask(TemporalSettings(levels=2, tokens_per_level=1, scale=2), frames=4, patches=4)
    rows = ["".join(".x"[int(seen)] for seen in row) for row in mask]
    assert rows[0] == "xxx" + "xxxx" * 4
    assert rows[1] == ".x." + "xxxx" * 4
    assert rows[2] == ".xx" + "xxxx....xxxx...."
    for frame in range(4):
        own = "xxx" + "".join("xxxx" if other == frame else "...." for other in range(4))
        assert rows[3 + 4 * frame : 7 + 4 * frame] == [own] * 4
    assert "".join(".x"[int(seen)] for seen in local_mask(4, 4)[1]) == ".x...x...x...x.."


def test_toy_of_figure_3_equals_its_masks() -> None:
    tower = stirred_tower(TemporalSettings(levels=2, tokens_per_level=1, scale=2), 4).double()
    video = torch.randn(1, 4, 3, 32, 32, dtype=torch.float64)
    torch.testing.assert_close(tower(video), dense_tower(tower, video), rtol=1e-9, atol=1e-10)


def test_groups_name_each_levels_keys() -> None:
    found = list(groups(TemporalSettings(levels=2, tokens_per_level=3, scale=2)))
    assert found == [
        AttentionGroup(slice(0, 1), slice(0, 7), 1),
        AttentionGroup(slice(1, 4), slice(1, 4), 1),
        AttentionGroup(slice(4, 7), slice(1, 7), 2),
    ]


@pytest.mark.parametrize(("levels", "scale", "frames"), [(3, 2, 4), (1, 2, 1), (2, 4, 4), (16, 2, 64)])
def test_levels_beyond_the_frames_are_refused(levels: int, scale: int, frames: int) -> None:
    with pytest.raises(UserError, match=rf"temporal.levels={levels} with temporal.scale={scale}.*frames={frames}"):
        TemporalSettings(levels=levels, scale=scale).check_frames(frames)


@pytest.mark.parametrize(
    ("frames", "strides"),
    [(1, (1, 1, 1)), (2, (1, 1, 1)), (3, (1, 2, 2)), (4, (1, 2, 2)), (5, (1, 2, 4)), (12, (1, 2, 4)), (64, (1, 2, 4))],
)
def test_every_length_has_strides_that_leave_each_level_two_frames(frames: int, strides: tuple[int, ...]) -> None:
    settings = TemporalSettings(levels=3, scale=2)
    assert tuple(settings.fitting_stride(2**level, frames) for level in range(3)) == strides


@pytest.mark.parametrize("frames", [1, 2, 3, 4, 7])
def test_clips_too_short_for_the_levels_equal_dense_attention_with_flatter_strides(frames: int) -> None:
    tower = stirred_tower(TemporalSettings(levels=3, tokens_per_level=1, scale=2), 12).double()
    tower.resize(frames)
    video = torch.randn(1, frames, 3, 32, 32, dtype=torch.float64)
    torch.testing.assert_close(tower(video), dense_tower(tower, video), rtol=1e-9, atol=1e-10)


def test_the_highest_level_may_see_just_two_frames() -> None:
    TemporalSettings(levels=3, scale=2).check_frames(5)


def test_negative_levels_are_refused() -> None:
    with pytest.raises(ValidationError, match="levels"):
        TemporalSettings(levels=-1)


@pytest.mark.parametrize("own_tokens", [0, 1, 3])
def test_the_levels_follow_the_own_tokens_of_any_number(own_tokens: int) -> None:
    settings, patches_BTND = TemporalSettings(levels=2, tokens_per_level=1, scale=2), torch.zeros(1, 3, 2, 4)
    mask_STK = summary_mask(settings, patches_BTND, own_tokens).unflatten(1, (3, -1))
    assert mask_STK.shape == (own_tokens + 2, 3, own_tokens + 2 + 2)
    seen = mask_STK == 0
    assert seen[:own_tokens, 0].all() and seen[:own_tokens, :, -2:].all()
    lower, higher = seen[own_tokens], seen[own_tokens + 1]
    assert not lower[:, :own_tokens].any() and not higher[:, :own_tokens].any()
    assert lower[0, own_tokens : own_tokens + 2].tolist() == [True, False]
    assert higher[0, own_tokens : own_tokens + 2].tolist() == [True, True]
    assert lower[:, -1].tolist() == [True, True, True] and higher[:, -1].tolist() == [True, False, True]


@pytest.mark.parametrize("options", [{}, {"patch_sees_cls": False, "spatially_local": False}, {"levels": 0}])
def test_counted_flops_are_those_that_a_layer_spends(options: dict) -> None:
    settings, frames = TemporalSettings(**options), 6
    tower = stirred_tower(settings, frames)
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH), torch.no_grad():
        tower(torch.randn(1, frames, 3, 32, 32))
    assert counter.get_total_flops() == tower.flops(frames)


@pytest.mark.parametrize("options", [{}, {"patch_sees_cls": False, "spatially_local": False}, {"levels": 0}])
def test_flops_of_a_step_are_those_of_forward_and_of_the_backward_that_happens(options: dict) -> None:
    settings, frames = TemporalSettings(**options), 6
    tower = stirred_tower(settings, frames)
    tower.checkpointing = "none"
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        tower(torch.randn(1, frames, 3, 32, 32)).sum().backward()
    assert counter.get_total_flops() == tower.step_flops(frames)
    assert tower.step_flops(frames) < 3 * tower.flops(frames)


def test_cost_is_linear_in_frames_within_three_percent() -> None:
    settings = TemporalSettings()

    def layer(frames: int) -> float:
        tokens = settings.summary_tokens + frames * 196
        projections = 2 * 768 * 768 * (12 * tokens + 4 * frames * 196)
        return projections + attention_flops(settings, frames, 196, 768)

    assert layer(64) / layer(4) == pytest.approx(16, rel=0.03)


def test_attention_over_time_adds_nothing_at_the_start_yet_learns() -> None:
    tower = VideoTower.from_clip(tiny_visual(), TemporalSettings(), 12)
    layer = tower.layers[0]
    assert isinstance(layer, VideoLayer)
    assert layer.temporal is not None
    patches = torch.randn(1, 12, 4, 32)
    added = layer.temporal(patches)
    assert torch.equal(added, torch.zeros_like(added))
    (added * torch.randn_like(added)).sum().backward()
    assert layer.temporal.out_proj.weight.grad is not None
    assert layer.temporal.out_proj.weight.grad.abs().sum() > 0
    assert layer.temporal.out_proj.bias.grad.abs().sum() > 0
