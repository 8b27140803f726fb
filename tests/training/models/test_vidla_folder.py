"""A model written to a folder and read back: the same embeddings, or a refusal with the reason."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from runtime.errors import UserError
from training.engine.checkpoints import model_folder
from training.models.vidla import vidla_folder
from training.models.vidla.initial_weights import build_model
from training.models.vidla.model_settings import ModelSettings
from training.models.vidla.two_tower import VidLA


@pytest.fixture(scope="module")
def model() -> VidLA:
    torch.manual_seed(0)
    built = build_model(ModelSettings(init="random:tiny", temporal={"cls_self_bias": "log_frames"}))
    with torch.no_grad():
        for parameter in built.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.02)
    return built.eval()


@pytest.fixture
def folder(model: VidLA, tmp_path: Path) -> Path:
    vidla_folder.save(model, tmp_path / "export", {"step": 7})
    return tmp_path / "export"


def test_a_model_read_back_gives_the_same_embeddings(model: VidLA, folder: Path) -> None:
    video, texts = torch.randn(2, 12, 3, 64, 64), ["a dog jumps over a log", "a log rolls"]
    again = vidla_folder.load(folder)
    assert torch.equal(again.encode_video(video), model.encode_video(video))
    assert torch.equal(again.encode_text(again.tokenizer(texts)), model.encode_text(model.tokenizer(texts)))
    assert again.logit_scale.item() == model.logit_scale.item()
    assert again.architecture == model.architecture
    assert (again.mean, again.std, again.image_size) == (model.mean, model.std, model.image_size)


def test_three_lines_are_enough(folder: Path) -> None:
    from training.models.vidla.vidla_folder import load

    model = load(str(folder))
    embeddings = model.encode_text(model.tokenizer(["a dog jumps over a log"]))

    assert embeddings.shape == (1, 128)
    assert not model.training


def test_a_uri_is_taken_too(folder: Path) -> None:
    assert isinstance(vidla_folder.load(f"path://{folder}"), VidLA)


def test_the_configuration_beside_the_weights_is_plain_json(folder: Path, model: VidLA) -> None:
    config = vidla_folder.read_config(folder)
    assert config["extra"] == {"step": 7}
    assert config["architecture"] == model.architecture
    assert sorted(p.name for p in folder.iterdir()) == ["config.json", "model.safetensors"]


def test_an_older_export_is_replaced_and_nothing_is_left_beside(model: VidLA, folder: Path) -> None:
    vidla_folder.save(model, folder, {"step": 8})
    assert vidla_folder.read_config(folder)["extra"] == {"step": 8}
    assert [p.name for p in folder.parent.iterdir()] == ["export"]


def test_an_export_that_fails_leaves_the_older_one(model: VidLA, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(model_folder, "save_file", full)
    with pytest.raises(OSError, match="No space"):
        vidla_folder.save(model, folder, {"step": 8})
    assert vidla_folder.read_config(folder)["extra"] == {"step": 7}
    vidla_folder.load(folder)


def test_other_peoples_files_are_not_replaced(model: VidLA, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match=r"it holds something else \(notes\.txt\)"):
        vidla_folder.save(model, tmp_path)
    assert (tmp_path / "notes.txt").read_text() == "mine"


def change(folder: Path, **changes: object) -> None:
    file = folder / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def test_another_format_version_is_refused(folder: Path) -> None:
    change(folder, version=2)
    with pytest.raises(UserError, match="format version 2, this program reads 1"):
        vidla_folder.load(folder)


def test_weights_of_another_architecture_are_refused_with_the_differences(folder: Path, model: VidLA) -> None:
    architecture = model.architecture
    architecture["temporal"]["tokens_per_level"] = 2
    architecture["vision_cfg"]["layers"] = 2
    change(folder, architecture=architecture)
    with pytest.raises(UserError, match=r"mst_embedding 12x128, 6x128.*resblocks\.2\..* absent; and \d+ more"):
        vidla_folder.load(folder)


def test_a_missing_tensor_is_named(folder: Path) -> None:
    state = load_file(folder / "model.safetensors")
    del state["video.temporal_embedding"]
    save_file(state, folder / "model.safetensors")
    with pytest.raises(UserError, match=r"video\.temporal_embedding absent, 12x128"):
        vidla_folder.load(folder)


def test_weights_cut_short_are_refused_in_one_line(folder: Path) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(UserError, match=r"model\.safetensors can't be read") as caught:
        vidla_folder.load(folder)
    assert "\n" not in str(caught.value)


def test_a_folder_without_an_export_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"holds no \S+ model"):
        vidla_folder.load(tmp_path)
    with pytest.raises(UserError, match=r"holds no \S+ model"):
        vidla_folder.load(tmp_path / "absent")


def test_differences_are_named_at_any_depth() -> None:
    first = {"frames": 12, "temporal": {"levels": 3, "scale": 2}, "old": 1}
    second = {"frames": 32, "temporal": {"levels": 3, "scale": 3}}
    assert model_folder.differences(first, second) == ["frames 12, 32", "old 1, absent", "temporal.scale 2, 3"]
    assert model_folder.differences(first, first) == []


def test_preprocess_takes_the_centre_square_of_clips_of_any_size(model: VidLA) -> None:
    grey = np.full((12, 40, 90, 3), 128, np.uint8)
    grey[:, :, :25] = 0  # left of the square
    grey[:, :, 65:] = 255
    tall = np.full((12, 130, 70, 3), 128, np.uint8)
    one, several = model.preprocess(grey), model.preprocess([grey, tall])
    assert one.shape == (1, 12, 3, 64, 64) and several.shape == (2, 12, 3, 64, 64)
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (model.mean, model.std))
    torch.testing.assert_close(several, ((128 / 255 - mean) / std).expand_as(several), rtol=0, atol=1e-5)
    assert model.encode_video(several).shape == (2, model.embed_dim)
    assert model.frames == 12


def test_frames_that_are_no_pictures_are_refused(model: VidLA) -> None:
    with pytest.raises(ValueError, match=r"float32 \(12, 8, 8, 3\): give uint8 frames"):
        model.preprocess(np.zeros((12, 8, 8, 3), np.float32))  # type: ignore[arg-type]
