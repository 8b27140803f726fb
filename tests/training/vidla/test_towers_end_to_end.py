"""SigLIP 2's and PE-Core's kinds of model, built on the spot: train, kill, resume, export, evaluate."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from support.commands import here
from support.open_clip_models import folder_of_kind
from support.ranks import killed_at
from support.shard_factory import build_dir
from support.vidla_runs import arguments, losses
from transformers import AutoModel

from training.vidla import eval_vidla, load, train_vidla

pytestmark = pytest.mark.slow

STEPS = 4
OPTIONS = {
    "siglip2": ("loss.kind=siglip", "optim.ema_decay=0.5"),
    "pe": ("optim.layer_decay=0.7", "model.temporal.cls_self_bias=log_frames"),
}


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("towers") / "shards"
    build_dir(folder, shards=2, videos_per_shard=4, val_percent=40)
    return folder


def train_main(given: Sequence[str]) -> int:
    """Train in a process that knows the tiny towers: importing this module has registered them with timm."""
    return train_vidla.main(given)


def given(kind: str, shards: Path, output: Path, *more: str) -> list[str]:
    """Return the arguments of a short run from a model of `kind`."""
    folder = shards.parent / kind
    if not folder.exists():
        folder_of_kind(folder, kind)
    settings = [word for option in OPTIONS[kind] for word in ("--set", option)]
    return arguments(shards, output, "--init", f"path://{folder}", *settings, *more, steps=STEPS)


@pytest.mark.parametrize("kind", OPTIONS)
def test_a_killed_run_goes_on_exactly_and_its_export_is_evaluated(kind: str, shards: Path, tmp_path: Path) -> None:
    assert here(train_main, given(kind, shards, tmp_path / "whole")) == 0
    killed_at(3, train_main, given(kind, shards, tmp_path / "run"))
    assert here(train_main, given(kind, shards, tmp_path / "run", "--resume", "auto")) == 0
    assert losses(tmp_path / "run") == losses(tmp_path / "whole")
    names = ("best", "average") if kind == "siglip2" else ("best",)
    for name in names:
        whole, resumed = (load(tmp_path / run / name).state_dict() for run in ("whole", "run"))
        assert all(torch.equal(resumed[key], value) for key, value in whole.items())
    log = (tmp_path / "run" / "metrics.jsonl").read_text()
    assert ("logit_bias" in log) == (load(tmp_path / "run" / "best").logit_bias is not None) == (kind == "siglip2")
    scores = tmp_path / "scores.json"
    asked = ["retrieval", "--checkpoint", tmp_path / "run" / "best", "--benchmark", "shards", "--shards", shards]
    assert eval_vidla.main([*map(str, asked), "--device", "cpu", "--output", str(scores)]) == 0
    assert "t2v" in json.dumps(json.loads(scores.read_text()))

    exported = tmp_path / "exported"
    assert train_main(["export", str(tmp_path / "run" / "best"), "--output", str(exported)]) == 0
    model, opened = load(tmp_path / "run" / "best"), AutoModel.from_pretrained(exported).eval()
    video, tokens = torch.randn(2, 6, 3, 32, 32), model.tokenizer(["a red ball", "a dog"])
    found = opened(pixel_values=video, input_ids=tokens)
    with torch.no_grad():
        cosines = model.encode_video(video) @ model.encode_text(tokens).T
    bias = 0.0 if model.logit_bias is None else model.logit_bias
    torch.testing.assert_close(found.logits_per_video, model.logit_scale.exp() * cosines + bias)
