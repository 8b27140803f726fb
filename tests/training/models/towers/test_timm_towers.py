"""Video towers of timm's vision transformers against the image towers that they are made from."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from open_clip.timm_model import TimmModel
from support.timm_towers import image_tower
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from runtime.errors import UserError
from training.models.vidla.model_settings import TemporalSettings
from training.models.vidla.video_tower import VideoTower, is_new

KINDS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "SigLIP: no [CLS], attention pooling": ("tiny_siglip", "map", {}),
    "registers, average": ("tiny_siglip", "avg", {"reg_tokens": 2}),
    "registers and [CLS] that the attention pooling reads": (
        "tiny_siglip", "map", {"class_token": True, "reg_tokens": 2, "pool_include_prefix": True},
    ),
    "[CLS] without a position, layer scale": (
        "tiny_siglip", "token", {"class_token": True, "no_embed_class": True, "init_values": 0.1},
    ),
    "norms on queries and keys, and inner norms": (
        "tiny_siglip", "map", {"qk_norm": True, "scale_attn_norm": True, "scale_mlp_norm": True, "qkv_bias": False},
    ),
    "PE: [CLS], rotary positions, attention pooling": ("tiny_pe", "map", {}),
    "PE with a register and norms on queries": ("tiny_pe", "map", {"num_reg_tokens": 1, "qk_norm": True}),
    "EVA02: SwiGLU, inner norms, three projections": ("tiny_eva02", "token", {}),
    "EVA: one projection without biases of keys, average": (
        "tiny_eva02", "avg", {"qkv_fused": True, "swiglu_mlp": False, "init_values": 0.1, "use_rot_pos_emb": False},
    ),
    "rotary positions of each layer, learnt": ("tiny_eva02", "token", {"rope_type": "mixed"}),
    "DINOv3: rotary positions by halves, registers": (
        "tiny_eva02", "avg", {"rope_type": "dinov3", "rope_rotate_half": True, "num_reg_tokens": 2,
                              "use_abs_pos_emb": False, "ref_feat_shape": None},
    ),
    "pictures of any size": ("tiny_pe", "map", {"dynamic_img_size": True}),
}  # fmt: skip
EQUAL = TemporalSettings(levels=0, cls_self_bias="log_frames")
PICTURES = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("frames", [1, 5])
def test_one_frame_and_equal_frames_give_the_image_towers_embedding(kind: str, frames: int) -> None:
    name, pool, changes = KINDS[kind]
    visual = image_tower(name, pool, **changes)
    tower = VideoTower.from_clip(visual, EQUAL, frames).eval()
    found = tower(PICTURES[:, None].repeat(1, frames, 1, 1, 1))
    torch.testing.assert_close(found, visual(PICTURES), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("proj", [None, "linear"])
def test_the_projection_behind_the_pooling_is_kept(proj: str | None) -> None:
    visual = image_tower("tiny_pe", "map", proj)
    tower = VideoTower.from_clip(visual, EQUAL, 1).eval()
    torch.testing.assert_close(tower(PICTURES[:, None]), visual(PICTURES), rtol=1e-5, atol=1e-5)
    assert tower.features(PICTURES[:, None]).shape == (2, tower.width)
    assert sum(weight.numel() for weight in tower.projection) == 32 * 24 + (24 if proj is None else 0)


@pytest.mark.parametrize("name", ["tiny_siglip", "tiny_pe"])
def test_with_all_levels_the_tower_starts_near_the_image_tower(name: str) -> None:
    """[MST] are a fifth of the tokens here, with 4 patches a frame; half a percent with 196."""
    visual = image_tower(name, "map")
    tower = VideoTower.from_clip(visual, TemporalSettings(cls_self_bias="log_frames"), 12).eval()
    found = tower(PICTURES[:, None].repeat(1, 12, 1, 1, 1))
    assert torch.cosine_similarity(found, visual(PICTURES), dim=-1).min() > 0.8


@pytest.mark.parametrize("kind", KINDS)
def test_every_parameter_gets_a_gradient_and_order_is_seen(kind: str) -> None:
    name, pool, changes = KINDS[kind]
    tower = VideoTower.from_clip(image_tower(name, pool, **changes), TemporalSettings(levels=2), 4)
    with torch.no_grad():
        for name, parameter in tower.named_parameters():
            if is_new(name):
                parameter.normal_(std=0.2)
    video = torch.randn(2, 4, 3, 32, 32, generator=torch.Generator().manual_seed(2))
    output = tower(video)
    output.square().sum().backward()
    without = [name for name, weight in tower.named_parameters() if weight.grad is None]
    assert not without
    assert not torch.allclose(output, tower(video.flip(1)), atol=1e-4)


@pytest.mark.parametrize(("name", "pool"), [("tiny_siglip", "map"), ("tiny_pe", "map"), ("tiny_eva02", "token")])
def test_counted_flops_are_those_that_a_step_spends(name: str, pool: str) -> None:
    tower, frames = VideoTower.from_clip(image_tower(name, pool, None), TemporalSettings(), 6), 6
    tower.checkpointing = "none"
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        tower(torch.randn(1, frames, 3, 32, 32)).sum().backward()
    assert counter.get_total_flops() == pytest.approx(tower.step_flops(frames), rel=0.01)


def test_weights_load_under_timms_names() -> None:
    visual = image_tower("tiny_pe", "map")
    tower = VideoTower.from_clip(image_tower("tiny_pe", "map", seed=1), TemporalSettings(), 12)
    found = tower.load_state_dict(visual.state_dict(), strict=False)
    assert not found.unexpected_keys
    assert all(is_new(name) for name in found.missing_keys)


def test_autocast_reaches_the_pooling() -> None:
    tower = VideoTower.from_clip(image_tower("tiny_pe", "map"), TemporalSettings(cls_self_bias="log_frames"), 6)
    video = torch.randn(2, 6, 3, 32, 32)
    with torch.autocast("cpu", torch.bfloat16):
        output = tower(video)
    assert torch.cosine_similarity(output.float(), tower(video), dim=-1).min() > 0.99


@pytest.mark.parametrize(
    ("name", "pool", "changes", "reason"),
    [
        ("tiny_siglip", "max", {}, r"pooling \(max\)"),
        ("tiny_siglip", "avg", {"class_token": True, "pool_include_prefix": True}, "not patches"),
        ("tiny_siglip", "map", {"drop_path_rate": 0.1}, "drop_path"),
        ("tiny_eva02", "token", {"use_post_norm": True}, "EvaBlockPostNorm"),
    ],
)
def test_towers_that_cannot_be_extended_are_refused_with_the_reason(
    name: str, pool: str, changes: dict[str, Any], reason: str
) -> None:
    visual = image_tower(name, pool, **changes)
    with pytest.raises(UserError, match=reason):
        VideoTower.from_clip(visual, EQUAL, 1)


@pytest.mark.parametrize(
    ("name", "pool", "reason"),
    [
        ("test_convnext", "avg", r"TimmModel \(convnext.ConvNeXt\): has no ViT blocks"),
        ("test_vit_relpos", "avg", r"VisionTransformerRelPos\): has no ViT blocks"),
        ("vitamin_small_224", "avg", "patches come from HybridEmbed"),
    ],
)
def test_other_networks_are_refused_by_name_with_a_remedy(name: str, pool: str, reason: str) -> None:
    with pytest.raises(UserError, match=f"{reason}.*; take a ViT of open_clip"):
        VideoTower.from_clip(TimmModel(name, 24, 224, pool=pool), EQUAL, 1)
