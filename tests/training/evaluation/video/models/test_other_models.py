"""Models of other libraries, scored as our own are: open_clip's image towers and two-tower models of transformers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from support.open_clip_models import open_clip_folder
from support.transformers_models import transformers_folder
from torch.nn import functional as F
from transformers import AutoModel

from runtime.errors import UserError
from training.evaluation.video.embeddings import truncated_texts
from training.evaluation.video.models.open_model import open_model

CPU = torch.device("cpu")


def clips(side: int, frames: int) -> torch.Tensor:
    return torch.randn(2, frames, 3, side, side, generator=torch.Generator().manual_seed(1))


@torch.inference_mode()
def test_an_open_clip_model_embeds_a_clip_as_the_mean_of_its_frames(tmp_path: Path) -> None:
    folder = open_clip_folder(tmp_path / "clip")
    model, frames = open_model(f"open_clip:path://{folder}", None, CPU)
    video_BTCHW = clips(model.image_size, 3)
    each = [model.encode_video(video_BTCHW[:, at : at + 1]) for at in range(3)]
    mean_BD = F.normalize(torch.stack(each).mean(dim=0), dim=-1)
    torch.testing.assert_close(model.encode_video(video_BTCHW), mean_BD)
    assert (frames, model.aggregation, model.embed_dim) == (12, "mean of frames", 24)
    ours, _ = open_model(f"path://{folder}", None, CPU, without_time=True)
    single_BTCHW = video_BTCHW[:, :1]
    torch.testing.assert_close(model.encode_video(single_BTCHW), ours.encode_video(single_BTCHW), atol=1e-5, rtol=0)


def test_a_convolutional_tower_that_can_not_be_a_video_tower_is_scored_all_the_same(tmp_path: Path) -> None:
    config = {
        "embed_dim": 16,
        "vision_cfg": {
            "timm_model_name": "convnext_atto", "timm_model_pretrained": False, "timm_pool": "", "timm_proj": "linear",
            "image_size": 64,
        },
        "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
    }  # fmt: skip
    (tmp_path / "convnext.json").write_text(json.dumps(config))
    model, _ = open_model(f"open_clip:random:{tmp_path / 'convnext.json'}", None, CPU)
    assert model.encode_video(clips(64, 2)).shape == (2, 16)


@torch.inference_mode()
@pytest.mark.parametrize("kind", ["clip", "siglip"])
def test_a_model_of_transformers_gives_its_own_image_and_text_features(tmp_path: Path, kind: str) -> None:
    folder = transformers_folder(tmp_path, kind)
    model, frames = open_model(f"transformers:{folder}", None, CPU)
    own = AutoModel.from_pretrained(folder)
    images_NCHW = clips(model.image_size, 1)[:, 0]
    expected = F.normalize(own.get_image_features(pixel_values=images_NCHW).pooler_output, dim=-1)
    torch.testing.assert_close(model.encode_video(images_NCHW[:, None]), expected)
    tokens = model.tokenizer(["a red car"])
    named = dict(zip(("input_ids", "attention_mask"), tokens.unbind(dim=1), strict=False))
    expected = F.normalize(own.get_text_features(**named).pooler_output, dim=-1)
    torch.testing.assert_close(model.encode_text(tokens), expected)
    assert (frames, model.aggregation, model.embed_dim) == (12, "mean of frames", 16)


@torch.inference_mode()
def test_a_model_that_sees_time_gets_the_whole_clip_in_its_own_number_of_frames(tmp_path: Path) -> None:
    folder = transformers_folder(tmp_path, "xclip")
    model, frames = open_model(f"transformers:path://{folder}", None, CPU)
    assert (frames, model.aggregation) == (4, "video tower")
    video_BTCHW = clips(model.image_size, 4)
    expected = AutoModel.from_pretrained(folder).eval().get_video_features(pixel_values=video_BTCHW).pooler_output
    torch.testing.assert_close(model.encode_video(video_BTCHW, normalize=False), expected)
    with pytest.raises(UserError, match=r"--frames 8: .*takes clips of 4 frames"):
        open_model(f"transformers:{folder}", 8, CPU)


def test_texts_longer_than_the_context_are_counted(tmp_path: Path) -> None:
    model, _ = open_model(f"transformers:{transformers_folder(tmp_path, 'clip')}", None, CPU)
    assert truncated_texts(model, ["a red car", "a red car " * 20]) == 1


def test_what_is_no_two_tower_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"--checkpoint transformers:.*: BertModel does not embed pictures"):
        open_model(f"transformers:{transformers_folder(tmp_path, 'bert')}", None, CPU)
    with pytest.raises(UserError, match=r"--checkpoint transformers:.*nothing: can't be opened"):
        open_model(f"transformers:{tmp_path / 'nothing'}", None, CPU)
    with pytest.raises(UserError, match="unknown to open_clip"):
        open_model("open_clip:ViT-B-33:openai", None, CPU)
