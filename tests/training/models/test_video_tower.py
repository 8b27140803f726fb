"""The video tower against open_clip's own image tower; other lengths, bf16 and compilation."""

import open_clip
import pytest
import torch
from open_clip.modified_resnet import ModifiedResNet
from support.dense_attention import in_order
from support.tiny_clip import gradients, stirred_tower, tiny_visual
from torch import nn

from bench.layer_memory import saved_bytes
from runtime.errors import UserError
from training.models.vidla.model_settings import Checkpointing, TemporalSettings
from training.models.vidla.video_tower import VideoTower, interpolate, is_new

PLAIN = TemporalSettings(levels=0)


def clip_of(pictures_BCHW: torch.Tensor, frames: int) -> torch.Tensor:
    """Return clips of equal frames."""
    return pictures_BCHW[:, None].repeat(1, frames, 1, 1, 1)


@pytest.mark.parametrize("act_layer", [nn.GELU, open_clip.transformer.QuickGELU])
def test_one_frame_without_mst_equals_open_clip(act_layer: type[nn.Module]) -> None:
    visual = tiny_visual(act_layer=act_layer)
    pictures = torch.randn(3, 3, 32, 32)
    tower = VideoTower.from_clip(visual, PLAIN, 1)
    torch.testing.assert_close(tower(pictures[:, None]), visual(pictures), rtol=1e-5, atol=1e-5)


def test_twelve_equal_frames_with_the_bias_equal_open_clip() -> None:
    visual = tiny_visual()
    pictures = torch.randn(3, 3, 32, 32)
    tower = VideoTower.from_clip(visual, TemporalSettings(levels=0, cls_self_bias="log_frames"), 12)
    torch.testing.assert_close(tower(clip_of(pictures, 12)), visual(pictures), rtol=1e-5, atol=1e-5)


def test_a_real_architecture_of_open_clip_is_equalled_too() -> None:
    """Return ViT-B-32 with fewer layers: width 768, 12 heads, 49 patches."""
    config = open_clip.get_model_config("ViT-B-32")
    torch.manual_seed(0)
    visual = open_clip.model._build_vision_tower(512, {**config["vision_cfg"], "layers": 2}, quick_gelu=True)
    pictures = torch.randn(2, 3, 224, 224)
    with torch.no_grad():
        expected = visual(pictures)
        one = VideoTower.from_clip(visual, PLAIN, 1)(pictures[:, None])
        equal = TemporalSettings(levels=0, cls_self_bias="log_frames")
        twelve = VideoTower.from_clip(visual, equal, 12)(clip_of(pictures, 12))
    torch.testing.assert_close(one, expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(twelve, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "changes",
    [
        {"ls_init_value": 0.3},
        {"no_ln_pre": True},
        {"pool_type": "avg"},
        {"pool_type": "avg", "final_ln_after_pool": True},
        {"qk_norm": True, "scale_attn_inner": True, "scale_attn": True, "scale_fc": True},
    ],
)
def test_variants_of_the_image_tower_are_equalled_by_one_frame_and_by_equal_frames(changes: dict[str, object]) -> None:
    visual = tiny_visual(**changes)
    pictures = torch.randn(2, 3, 32, 32)
    one = VideoTower.from_clip(visual, PLAIN, 1)(pictures[:, None])
    equal = TemporalSettings(levels=0, cls_self_bias="log_frames")
    five = VideoTower.from_clip(visual, equal, 5)(clip_of(pictures, 5))
    torch.testing.assert_close(one, visual(pictures), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(five, visual(pictures), rtol=1e-5, atol=1e-5)


def test_the_image_tower_stays_as_it_is() -> None:
    visual = tiny_visual()
    before = {name: value.clone() for name, value in visual.state_dict().items()}
    tower = VideoTower.from_clip(visual, TemporalSettings(), 12)
    with torch.no_grad():
        for parameter in tower.parameters():
            parameter.add_(1.0)
    assert all(torch.equal(value, before[name]) for name, value in visual.state_dict().items())


def test_clip_weights_load_under_their_own_names() -> None:
    tower = VideoTower.from_clip(tiny_visual(), TemporalSettings(), 12)
    found = tower.load_state_dict(tiny_visual(seed=1).state_dict(), strict=False)
    assert not found.unexpected_keys
    assert all(is_new(name) for name in found.missing_keys)


def test_new_parameters_are_those_that_clip_lacks() -> None:
    visual = tiny_visual()
    tower = VideoTower.from_clip(visual, TemporalSettings(), 12)
    new = {name for name, _ in tower.named_parameters() if is_new(name)}
    assert new == dict(tower.named_parameters()).keys() - dict(visual.named_parameters()).keys()
    assert is_new("video.mst_embedding")
    assert not is_new("text.positional_embedding")


def test_spatially_local_attention_starts_as_a_copy_of_the_layers_own() -> None:
    tower = VideoTower.from_clip(tiny_visual(), TemporalSettings(), 12)
    for layer in tower.layers:
        assert layer.temporal is not None
        assert torch.equal(in_order(layer.temporal.qkv.weight, layer.attn.num_heads), layer.attn.in_proj_weight)
        assert torch.equal(layer.temporal.ln.weight, layer.ln_1.weight)
        assert layer.temporal.heads == layer.attn.num_heads


def test_without_temporal_embeddings_the_order_of_frames_is_invisible_and_with_them_not() -> None:
    tower = stirred_tower(TemporalSettings(levels=0), 6)
    video = torch.randn(1, 6, 3, 32, 32)
    assert not torch.allclose(tower(video), tower(video.flip(1)), atol=1e-4)
    nn.init.zeros_(tower.temporal_embedding)
    torch.testing.assert_close(tower(video), tower(video.flip(1)))


def test_other_numbers_of_frames_interpolate_with_ends_aligned() -> None:
    embedding = torch.tensor([[0.0], [1.0], [4.0]])
    assert interpolate(embedding, 5).squeeze(1).tolist() == [0.0, 0.5, 1.0, 2.5, 4.0]
    assert interpolate(embedding, 3) is embedding


def test_a_tower_for_twelve_frames_takes_thirty_two() -> None:
    tower = stirred_tower(TemporalSettings(), 12)
    video = torch.randn(1, 32, 3, 32, 32)
    before = tower(video)
    tower.resize(32)
    assert tower.frames == 32
    torch.testing.assert_close(tower(video), before)


def test_a_tower_is_not_built_for_fewer_frames_than_its_levels_need() -> None:
    with pytest.raises(UserError, match="frames=4"):
        VideoTower.from_clip(tiny_visual(), TemporalSettings(), 4)


@pytest.mark.parametrize("frames", [1, 2, 3, 4, 8, 12, 32])
def test_a_tower_for_twelve_frames_equals_open_clip_at_every_length(frames: int) -> None:
    visual = tiny_visual()
    pictures = torch.randn(2, 3, 32, 32)
    tower = VideoTower.from_clip(visual, TemporalSettings(levels=0, cls_self_bias="log_frames"), 12)
    torch.testing.assert_close(tower(clip_of(pictures, frames)), visual(pictures), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"pool_type": "none"}, "pool_type='none'"),
        ({"attentional_pool": True, "attn_pooler_heads": 2}, "attentional pooling"),
        ({"patch_dropout": 0.5}, "patch_dropout"),
        ({"scaled_cosine_attn": True}, "scaled_cosine_attn"),
        ({"scale_heads": True}, "scale_heads"),
        ({"image_size": (32, 48)}, "32x48"),
    ],
)
def test_unsuitable_vision_transformers_are_refused_by_name(changes: dict, named: str) -> None:
    with pytest.raises(UserError, match=named):
        VideoTower.from_clip(tiny_visual(**changes), PLAIN, 1)


def test_other_towers_are_refused_by_name() -> None:
    with pytest.raises(UserError, match="ModifiedResNet"):
        VideoTower.from_clip(ModifiedResNet((1, 1, 1, 1), 24, 8, image_size=64, width=8), PLAIN, 1)


@pytest.mark.parametrize("what", ["selective", "layers"])
def test_checkpointing_changes_neither_values_nor_gradients(what: Checkpointing) -> None:
    tower = stirred_tower(TemporalSettings(), 6)
    video = torch.randn(2, 6, 3, 32, 32)
    tower.checkpointing = "none"
    plain = tower(video)
    expected = gradients(tower, plain)
    tower.checkpointing = what
    output = tower(video)
    assert torch.equal(output, plain)
    for name, gradient in gradients(tower, output).items():
        torch.testing.assert_close(gradient, expected[name], msg=name)


def test_checkpointing_keeps_less() -> None:
    kept = {what: saved_bytes(TemporalSettings(), what) for what in ("none", "selective", "layers")}
    assert kept["selective"] < 0.6 * kept["none"]
    assert kept["layers"] < 0.4 * kept["selective"]


def test_a_layer_keeps_at_most_24_bytes_of_each_channel_of_a_token_under_autocast() -> None:
    assert saved_bytes(TemporalSettings(), "selective") <= 24


def test_the_last_layer_of_a_tower_that_pools_cls_computes_no_other_token() -> None:
    tower = stirred_tower(TemporalSettings(), 6)
    seen = []
    tower.layers[-1].mlp.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0].shape))
    tower(torch.randn(2, 6, 3, 32, 32))
    assert seen == [(2, 1, 32)]


def test_tokens_are_bfloat16_in_all_layers_under_autocast_and_weights_stay() -> None:
    tower = VideoTower.from_clip(tiny_visual(ls_init_value=0.3), TemporalSettings(), 6)
    seen = set()
    for layer in tower.layers:
        layer.register_forward_hook(lambda module, inputs, output: seen.update(x.dtype for x in (*inputs[:2], *output)))
    with torch.autocast("cpu", torch.bfloat16):
        tower(torch.randn(2, 6, 3, 32, 32))
    assert seen == {torch.bfloat16}
    assert all(parameter.dtype == torch.float32 for parameter in tower.parameters())


@pytest.mark.slow
def test_compiled_as_one_graph_it_is_the_same() -> None:
    tower = stirred_tower(TemporalSettings(levels=2, cls_self_bias="log_frames"), 3, layers=1)
    video = torch.randn(2, 3, 3, 32, 32)
    expected = tower(video)
    wanted = gradients(tower, expected)
    output = torch.compile(tower, backend="aot_eager", fullgraph=True)(video)
    torch.testing.assert_close(output, expected)
    for name, gradient in gradients(tower, output).items():
        torch.testing.assert_close(gradient, wanted[name], rtol=1e-4, atol=1e-5, msg=name)


def test_autocast_to_bfloat16_stays_near() -> None:
    tower = VideoTower.from_clip(tiny_visual(), TemporalSettings(cls_self_bias="log_frames"), 12)
    video = torch.randn(2, 12, 3, 32, 32)
    with torch.autocast("cpu", torch.bfloat16):
        output = tower(video)
    output.float().sum().backward()
    assert output.dtype == torch.bfloat16
    assert torch.cosine_similarity(output.float(), tower(video), dim=-1).min() > 0.999
    assert all(p.grad is not None and p.grad.isfinite().all() for p in tower.parameters())


def test_mst_start_small_and_time_at_zero() -> None:
    tower = VideoTower.from_clip(tiny_visual(), TemporalSettings(levels=3, tokens_per_level=64), 12)
    assert tower.mst_embedding.shape == (192, 32)
    assert tower.mst_embedding.std().item() == pytest.approx(0.02, rel=0.05)
    assert not tower.temporal_embedding.any()


def test_equal_frames_without_the_bias_come_near_clip_but_do_not_equal_it() -> None:
    """[CLS] sees twelve copies of every patch and itself once."""
    visual = tiny_visual()
    pictures = torch.randn(3, 3, 32, 32)
    tower = VideoTower.from_clip(visual, PLAIN, 12)
    cosine = torch.cosine_similarity(tower(clip_of(pictures, 12)), visual(pictures), dim=-1)
    assert cosine.min() > 0.8
    assert cosine.max() < 1 - 1e-4
