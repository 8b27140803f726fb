"""Layer-wise rates, layer by layer, for the towers of open_clip, timm and Hugging Face."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from support.open_clip_models import KINDS, folder_of_kind

from training.engine.engine_settings import OptimSettings
from training.engine.layer_decay import LayerDepths
from training.engine.optimizer import build_optimizer
from training.models.vidla.initial_weights import build_model
from training.models.vidla.model_settings import ModelSettings
from training.models.vidla.two_tower import VidLA
from training.models.vidla.video_tower import is_new


def rates_of(model: VidLA, **settings: float) -> dict[str, float]:
    """Return the rate of each parameter, by name."""
    optimizer = build_optimizer(model, OptimSettings.model_validate(settings), is_new)
    return {name: group["lr"] for group in optimizer.param_groups for name in group["param_names"]}


@pytest.mark.parametrize("kind", [*KINDS, "clip"])
def test_each_layer_learns_at_its_power_of_the_decay(kind: str, tmp_path: Path) -> None:
    init = "random:tiny" if kind == "clip" else f"path://{folder_of_kind(tmp_path / kind, kind)}"
    model = build_model(ModelSettings(init=init))
    rates = rates_of(model, lr=1.0, lr_end=0, lr_new=3.0, layer_decay=0.5)
    layers = len(model.video.layers)
    blocks = "video.transformer.resblocks" if kind == "clip" else "video.trunk.blocks"
    for name, rate in rates.items():
        if is_new(name):
            assert rate == 3.0, name
        elif name.startswith(f"{blocks}."):
            assert rate == 0.5 ** (layers - int(name.split(".")[3])), name
        elif name.startswith("video."):
            stem = ("conv1", "_embedding", "ln_pre", "patch_embed", "pos_embed", "cls_token", "norm_pre")
            assert rate == (0.5 ** (layers + 1) if any(part in name for part in stem) else 1.0), name
    assert rates["logit_scale"] == rates["text.ln_final.weight"] == 1.0
    texts = len(model.text.transformer.resblocks)  # type: ignore[union-attr, arg-type]
    assert rates["text.token_embedding.weight"] == 0.5 ** (texts + 1)
    assert rates["text.transformer.resblocks.0.attn.in_proj_weight"] == 0.5**texts


def test_without_decay_all_learn_at_one_rate_in_the_groups_of_before() -> None:
    model = build_model(ModelSettings(init="random:tiny"))
    groups = build_optimizer(model, OptimSettings(lr=1.0, lr_end=0), is_new).param_groups
    assert [(group["lr"], group["weight_decay"]) for group in groups] == [(1, 0), (1, 0.02), (1, 0), (1, 0.02)]


def test_the_layers_of_a_tower_are_its_longest_list() -> None:
    names = [f"text.bert.encoder.layer.{n}.output.weight" for n in range(12)]
    depths = LayerDepths([*names, "text.bert.embeddings.word.weight", "text.proj.0.weight"])
    assert depths.above(names[0]) == 12 and depths.above(names[11]) == 1
    assert depths.above("text.bert.embeddings.word.weight") == 13
    assert depths.above("text.proj.0.weight") == depths.above("logit_scale") == 0


def test_a_step_moves_a_lower_layer_less() -> None:
    module = torch.nn.ModuleDict({"tower": torch.nn.ModuleList(torch.nn.Linear(1, 1) for _ in range(3))})
    before = [layer.weight.detach().clone() for layer in module["tower"]]  # type: ignore[union-attr]
    optimizer = build_optimizer(module, OptimSettings(lr=0.1, lr_end=0, layer_decay=0.5, weight_decay=0))
    sum(layer(torch.ones(1, 1)).sum() for layer in module["tower"]).backward()  # type: ignore[union-attr]
    optimizer.step()
    moved = [float((layer.weight - old).abs()) for layer, old in zip(module["tower"], before, strict=True)]  # type: ignore[arg-type]
    assert moved == pytest.approx([0.0125, 0.025, 0.05], rel=1e-4)
