"""Whole models of open_clip's kinds, from a folder to a VidLA and back: embeddings, tokenizer, temperature and bias."""

from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path

import pytest
import torch
from support.open_clip_models import KINDS, folder_of_kind, open_clip_model
from support.tiny_bert import tiny_tokenizer
from torch.nn import functional as F
from transformers import BertConfig

from runtime.errors import UserError
from training.models.vidla import vidla_folder
from training.models.vidla.initial_weights import build_model
from training.models.vidla.model_settings import ModelSettings
from training.models.vidla.two_tower import VidLA

TEXTS = ["A red ball, on the table!", "a dog"]


def started(folder: Path, **changes: object) -> VidLA:
    temporal = {"levels": 0, "cls_self_bias": "log_frames"}
    values = {"init": f"path://{folder}", "frames": 3, "temporal": temporal, **changes}
    return build_model(ModelSettings.model_validate(values)).eval()


@pytest.mark.parametrize("kind", KINDS)
def test_pictures_and_texts_have_open_clips_embeddings(kind: str, tmp_path: Path) -> None:
    clip, model = open_clip_model(kind), started(folder_of_kind(tmp_path / kind, kind))
    pictures, tokens = torch.randn(2, 3, 32, 32), model.tokenizer(TEXTS)
    found = model.encode_video(pictures[:, None].repeat(1, 3, 1, 1, 1))
    torch.testing.assert_close(found, clip.encode_image(pictures, normalize=True), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(model.encode_text(tokens), clip.encode_text(tokens, normalize=True))


@pytest.mark.parametrize("kind", KINDS)
def test_temperature_and_bias_are_those_of_the_weights(kind: str, tmp_path: Path) -> None:
    clip, model = open_clip_model(kind), started(folder_of_kind(tmp_path / kind, kind))
    assert torch.equal(model.logit_scale, clip.logit_scale)
    if clip.logit_bias is None:
        assert model.logit_bias is None
    else:
        assert model.logit_bias is not None and torch.equal(model.logit_bias, clip.logit_bias)


@pytest.mark.parametrize("kind", KINDS)
def test_an_export_needs_nothing_but_its_folder(kind: str, tmp_path: Path) -> None:
    model = started(folder_of_kind(tmp_path / kind, kind))
    vidla_folder.save(model, tmp_path / "export")
    shutil.rmtree(tmp_path / kind)
    again = vidla_folder.load(tmp_path / "export")
    video = torch.randn(1, 3, 3, 32, 32)
    assert torch.equal(again.encode_video(video), model.encode_video(video))
    assert torch.equal(again.tokenizer(TEXTS), pickle.loads(pickle.dumps(again.tokenizer))(TEXTS))
    assert torch.equal(again.encode_text(again.tokenizer(TEXTS)), model.encode_text(again.tokenizer(TEXTS)))
    assert again.architecture == model.architecture
    vidla_folder.save(again, tmp_path / "export")


def test_a_tokenizer_cleans_and_counts_texts_as_its_model_says(tmp_path: Path) -> None:
    model = started(folder_of_kind(tmp_path / "siglip2", "siglip2"))
    assert torch.equal(model.tokenizer(["A Dog!"]), model.tokenizer(["a dog"]))
    assert model.tokenizer.count("A Dog!") == 4
    assert model.tokenizer(TEXTS).shape == (2, 12)


def test_a_tokenizer_that_is_not_beside_the_weights_is_taken_from_a_folder_by_name(tmp_path: Path) -> None:
    words = tiny_tokenizer(tmp_path / "words")
    config = {**KINDS["siglip2"], "text_cfg": {**KINDS["siglip2"]["text_cfg"], "hf_tokenizer_name": str(words)}}
    file = tmp_path / "own.json"
    file.write_text(json.dumps(config))
    model = build_model(ModelSettings(init=f"random:{file}", frames=6))
    assert model.tokenizer.count("a dog") == 4
    assert model.logit_bias is not None and model.logit_bias.item() == -10


def test_a_text_tower_of_hugging_face_comes_with_its_tokenizer(tmp_path: Path) -> None:
    words = tiny_tokenizer(tmp_path / "bert")
    BertConfig(
        vocab_size=300, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32
    ).save_pretrained(words)
    text = {"hf_model_name": str(words), "hf_tokenizer_name": str(words), "hf_proj_type": "mlp", "context_length": 12}
    file = tmp_path / "own.json"
    file.write_text(json.dumps({**KINDS["pe"], "text_cfg": {**text, "hf_pooler_type": "mean_pooler"}}))
    model = build_model(ModelSettings(init=f"random:{file}", frames=6))
    assert model.encode_text(model.tokenizer(TEXTS)).shape == (2, 24)
    with pytest.raises(UserError, match="text tower HFTextEncoder has positions of another kind"):
        model.lengthen_context(248)


def test_a_tokenizer_that_cannot_be_had_is_refused_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    folder = folder_of_kind(tmp_path / "siglip2", "siglip2")
    (folder / "tokenizer_config.json").unlink()
    with pytest.raises(UserError, match=r"tokenizer no-such-org/tokenizer.*can't be reached") as caught:
        started(folder)
    assert "\n" not in str(caught.value)


def test_padding_after_a_text_is_part_of_a_siglip_text(tmp_path: Path) -> None:
    """SigLIP's text tower pools its last token and masks nothing, so its texts are not trimmed."""
    model = started(folder_of_kind(tmp_path / "siglip2", "siglip2"))
    one, both = model.encode_text(model.tokenizer(TEXTS[1:])), model.encode_text(model.tokenizer(TEXTS))
    torch.testing.assert_close(one[0], both[1])
    assert F.cosine_similarity(one, model.encode_text(model.tokenizer(TEXTS[:1]))).item() < 1
