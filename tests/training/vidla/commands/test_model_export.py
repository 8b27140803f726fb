"""`train-vidla export`: folders that transformers and open_clip open, their card, and the upload."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
import yaml
from huggingface_hub import ModelCard
from support.dataset_hub import DatasetHub, hub_of_the_client
from transformers import AutoModel, AutoProcessor

from training.evaluation.video.models.open_model import open_model
from training.models.vidla.initial_weights import build_model
from training.models.vidla.model_settings import ModelSettings
from training.models.vidla.transformers_model import VidLAModel
from training.models.vidla.two_tower import VidLA
from training.models.vidla.vidla_folder import load, save
from training.vidla.train_vidla import main

CPU = torch.device("cpu")
TEXTS = ["a dog runs", "Two People, at the zoo; 3 lions!", "čaj a káva 🚲"]
TOKEN = "hf_secretsecretsecret"


def run_folder(root: Path, temporal: dict[str, object] | None = None) -> Path:
    """Write a model as a run leaves it, with settings and held-out scores."""
    torch.manual_seed(0)
    model = build_model(ModelSettings(init="random:tiny", temporal=temporal or {}))
    with torch.no_grad():
        model.video.temporal_embedding.normal_(std=0.02)
    save(model, root / "best", {"clean_of": ["msrvtt"]})
    (root / "best" / "score.json").write_text(json.dumps({"step": 25, "scores": {"t2v_r1": 33.3333}}))
    settings = {"model": {"init": "hf://org/start@abc"}, "data": {"shards": ["/home/me/private/out"], "layers": None}}
    (root / "settings.yaml").write_text(yaml.safe_dump(settings))
    return root / "best"


@pytest.fixture(scope="module")
def best(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run_folder(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def exported(best: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("export") / "tiny"
    scores = {"benchmark": "msrvtt", "split": "test", "complete": True, "results": [
        {"dual_softmax": False, "t2v": {"r1": 36.6, "r5": 61, "r10": 71, "median_rank": 3},
         "v2t": {"r1": 35, "r5": 60, "r10": 70, "median_rank": 3}}]}  # fmt: skip
    (folder.parent / "msrvtt.json").write_text(json.dumps(scores))
    files = ["--scores", str(folder.parent / "msrvtt.json")]
    assert main(["export", str(best), "--output", str(folder), "--license", "apache-2.0", *files]) == 0
    return folder


def clip() -> torch.Tensor:
    return torch.randn(1, 12, 3, 64, 64, generator=torch.Generator().manual_seed(1))


@torch.inference_mode()
def test_auto_model_gives_the_embeddings_of_the_model(best: Path, exported: Path) -> None:
    ours, theirs = load(best), AutoModel.from_pretrained(exported, trust_remote_code=False).eval()
    assert isinstance(theirs, VidLAModel)
    torch.testing.assert_close(theirs.get_video_features(clip()), ours.encode_video(clip(), normalize=False))
    words = AutoProcessor.from_pretrained(exported)(
        text=TEXTS, padding="max_length", truncation=True, return_tensors="pt"
    )
    expected = ours.encode_text(ours.tokenizer(TEXTS), normalize=False)
    torch.testing.assert_close(theirs.get_text_features(**words), expected)
    both = theirs(pixel_values=clip(), **words)
    cosine = ours.encode_video(clip()) @ ours.encode_text(ours.tokenizer(TEXTS)).T
    torch.testing.assert_close(both.logits_per_video, ours.logit_scale.exp() * cosine)


def test_the_processor_makes_the_input_of_the_model(best: Path, exported: Path) -> None:
    pictures = [np.full((90, 120, 3), 20 * number, np.uint8) for number in range(3)]
    made = AutoProcessor.from_pretrained(exported)(images=pictures, return_tensors="pt").pixel_values
    torch.testing.assert_close(made, load(best).preprocess(np.stack(pictures))[0], atol=0.02, rtol=0)


def test_the_folder_is_still_one_of_our_own(best: Path, exported: Path) -> None:
    model, frames = open_model(str(exported), None, CPU)
    assert isinstance(model, VidLA) and frames == 12
    torch.testing.assert_close(model.state_dict(), load(best).state_dict())


def test_a_model_that_transformers_saved_again_is_the_same(exported: Path, tmp_path: Path) -> None:
    model = AutoModel.from_pretrained(exported)
    model.save_pretrained(tmp_path / "again")
    again = AutoModel.from_pretrained(tmp_path / "again")
    torch.testing.assert_close(again.state_dict(), model.state_dict())


def test_the_card_has_computed_facts_and_no_folder_of_the_machine(exported: Path) -> None:
    card = ModelCard.load(exported / "README.md")
    assert (card.data.license, card.data.base_model, card.data.library_name) == (
        "apache-2.0", "org/start", "transformers",
    )  # fmt: skip
    assert card.data.eval_results is not None
    first = card.data.eval_results[0]
    assert (first.dataset_type, first.metric_type, first.metric_value) == ("msrvtt", "R@1", 36.6)
    assert "| msrvtt | test | text to video | R@1 | 36.6 |" in card.content
    assert "| t2v_r1 | 33.33 |" in card.content and "cleaned of: msrvtt" in card.content
    assert "/home/me" not in card.content and "out" in card.content


@torch.inference_mode()
def test_open_clip_opens_a_model_without_attention_over_time(tmp_path: Path) -> None:
    best = run_folder(tmp_path / "run", {"levels": 0, "spatially_local": False})
    assert main(["export", str(best), "--output", str(tmp_path / "made"), "--format", "open_clip"]) == 0
    clip_model, _ = open_clip.create_model_from_pretrained(f"local-dir:{tmp_path / 'made'}")
    ours, clip_model = load(best), clip_model.eval()
    picture = clip()[:, 0]
    torch.testing.assert_close(clip_model.encode_image(picture), ours.encode_video(picture[:, None], normalize=False))
    tokens = open_clip.get_tokenizer(f"local-dir:{tmp_path / 'made'}")(TEXTS)
    torch.testing.assert_close(clip_model.encode_text(tokens), ours.encode_text(ours.tokenizer(TEXTS), normalize=False))


def test_what_can_not_be_expressed_or_overwritten_is_refused(
    best: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "made")
    assert main(["export", str(best), "--output", out, "--format", "open_clip"]) == 2
    assert "has [MST] tokens and spatially local attention, which open_clip lacks" in capsys.readouterr().err
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "thesis.tex").write_text("mine")
    assert main(["export", str(best), "--output", out]) == 2
    assert "holds something else (thesis.tex)" in capsys.readouterr().err
    assert main(["export", str(best.parent), "--output", str(tmp_path / "new")]) == 2
    assert main(["export", str(best), "--output", str(tmp_path / "new"), "--private"]) == 2
    (tmp_path / "no.json").write_text("{}")
    assert main(["export", str(best), "--output", str(tmp_path / "new"), "--scores", str(tmp_path / "no.json")]) == 2
    assert "is not a file that `eval-vidla" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[DatasetHub]:
    with hub_of_the_client(monkeypatch, tmp_path, TOKEN) as server:
        yield server


def test_a_model_is_uploaded_to_the_hub(
    best: Path, hub: DatasetHub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "made"
    assert main(["export", str(best), "--output", str(folder), "--push", "hub:me/vidla", "--private"]) == 0
    printed = capsys.readouterr()
    assert f"uploaded to {hub.url}/me/vidla" in printed.out and TOKEN not in printed.out + printed.err
    held = hub.repositories["me/vidla"]
    assert held.private and held.branches["main"] == {path.name: path.read_bytes() for path in folder.iterdir()}
    assert b"# me/vidla" in held.branches["main"]["README.md"]


def test_a_refused_token_ends_before_anything_is_written(
    best: Path, hub: DatasetHub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.tokens = set()
    assert main(["export", str(best), "--output", str(tmp_path / "made"), "--push", "hub:me/vidla"]) == 2
    assert "the hub refuses the token" in capsys.readouterr().err
    assert not (tmp_path / "made").exists()
