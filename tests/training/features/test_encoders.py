"""Encoders of visual features: rows over time, the paper's join, normalisation, weights, and refused settings."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from open_clip.model import CustomTextCLIP
from safetensors.torch import save_file
from support.tiny_clip import TEXT, VISION
from torchvision.models import get_model

from runtime.errors import UserError
from runtime.settings import build
from training.data.decoding.frame_sampling import Frame
from training.features.encoders.encoder_registry import open_encoder, parse_encoder
from training.features.encoders.encoder_settings import EncoderSettings
from training.features.encoders.frame_preprocessing import normalised
from training.features.encoders.row_encoders import JoinedEncoder, PerChunk, PerFrame, centres
from training.features.encoders.torchvision_encoder import TorchvisionEncoder
from training.features.encoders.torchvision_networks import ImageNetwork
from training.models.vidla import vidla_folder
from training.models.vidla.initial_weights import build_model
from training.models.vidla.model_settings import ModelSettings
from training.models.vidla.two_tower import CLIP_MEAN, CLIP_STD


def settings(encoder: str, **changes: Any) -> EncoderSettings:
    return build(EncoderSettings, {"encoder": encoder, **changes}, "features")


def frames_of(count: int, height: int = 48, width: int = 64, seed: int = 0) -> list[Frame]:
    rng = np.random.default_rng(seed)
    return [rng.integers(0, 255, (height, width, 3), dtype=np.uint8) for _ in range(count)]


class Mean:
    """A network whose features are the mean of each colour."""

    width, short_side = 3, 48

    def __init__(self) -> None:
        self.batches: list[int] = []

    def fit(self, frame: Frame) -> Frame:
        return frame

    def forward(self, pictures: NDArray[np.uint8]) -> torch.Tensor:
        self.batches.append(len(pictures))
        return torch.from_numpy(pictures.astype(np.float32)).flatten(1, -2).mean(1)


def joined(encoder: str = "resnet18+r3d_18@8fps", **changes: Any) -> JoinedEncoder:
    asked = settings(encoder, weights="random", **changes)
    return JoinedEncoder(asked, PerFrame(asked, Mean()), PerChunk(asked, Mean()))


def unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


# Names


def test_the_paper_s_encoder_takes_24_frames_per_second_and_a_name_may_give_another_rate() -> None:
    assert TorchvisionEncoder.parse("resnet152+r2plus1d_18").fps == 24
    name = TorchvisionEncoder.parse("resnet152+r2plus1d_18@8fps")
    assert (name.image, name.video, name.fps) == ("resnet152", "r2plus1d_18", 8)
    assert TorchvisionEncoder.parse("resnet152+r2plus1d_18").at(8) == name.text


def test_a_name_becomes_a_folder() -> None:
    assert TorchvisionEncoder.parse("resnet152+r2plus1d_18@8fps").folder == "resnet152+r2plus1d_18@8fps"
    assert parse_encoder("clip:hf://org/model").folder == "clip-hf-org-model"


@pytest.mark.parametrize(
    ("encoder", "changes", "line"),
    [
        ("resnet125", {}, r"no encoder 'resnet125' \(did you mean 'resnet152'\?\)"),
        ("r3d_18+resnet18", {}, "join one network for pictures with one for clips, in this order"),
        ("resnet18@8fps", {}, "only a network for clips takes a rate in its name; for resnet18 set fps"),
        ("slip:openai", {}, r"no encoder 'slip:openai'; its name is one of clip:ARCHITECTURE:TAG, vidla:FOLDER, NET"),
        ("clip:", {}, "name the weights, as in clip:ViT-B-32:openai"),
        ("resnet18+r3d_18", {"fps": 8.0}, r"set encoder=resnet18\+r3d_18@8fps"),
        ("vidla:random:tiny", {"fps": 8.0}, "set seconds_per_row"),
        ("clip:random:tiny", {"weights": "random"}, "leave weights out"),
        ("resnet18", {"weights": {"r3d_18": "random"}}, "has no such network"),
    ],
)
def test_impossible_settings_are_refused_in_one_line(encoder: str, changes: dict[str, Any], line: str) -> None:
    with pytest.raises(UserError, match=line) as error:
        settings(encoder, **changes)
    assert "\n" not in str(error.value)


# Rows and times


def test_a_frame_encoder_gives_one_row_per_second_at_its_middle() -> None:
    encoder = joined()._image
    assert encoder.frames(5.2) == 5 and encoder.frames(0.2) == 1
    rows = encoder.encode(iter(frames_of(5)), 5.0)
    assert rows.times_N.tolist() == [0.5, 1.5, 2.5, 3.5, 4.5]
    assert np.allclose(rows.features_ND, unit(np.stack([f.reshape(-1, 3).mean(0) for f in frames_of(5)])), atol=1e-5)


def test_a_chunk_encoder_sees_16_frames_without_overlap_and_fills_the_last_with_black() -> None:
    encoder = joined()._video
    frames = frames_of(40)
    rows = encoder.encode(iter(frames), 5.0)
    assert rows.times_N.tolist() == [1.0, 3.0, 4.5], "the centre of the span that each row covers"
    padded = [*frames, *[np.zeros_like(frames[0])] * 8]
    expected = [np.mean(padded[n : n + 16], axis=(0, 1, 2)) for n in (0, 16, 32)]
    assert np.allclose(rows.features_ND, unit(np.array(expected)), atol=1e-5)


def test_the_join_puts_the_clip_shown_at_its_time_beside_each_frame() -> None:
    encoder, frames = joined(), frames_of(40)
    rows = encoder.encode(iter(frames), 5.0)
    image, video = encoder._image, encoder._video
    expected = image.encode(iter(frames[4::8]), 5.0)
    clips = video.encode(iter(frames), 5.0).features_ND
    assert rows.times_N.tolist() == expected.times_N.tolist() == [0.5, 1.5, 2.5, 3.5, 4.5]
    assert np.allclose(rows.features_ND[:, :3], expected.features_ND)
    assert np.allclose(rows.features_ND[:, 3:], clips[[0, 0, 1, 1, 2]])
    assert encoder.width == 6 and encoder.frames(5.0) == 40


def test_both_halves_of_the_join_have_unit_length() -> None:
    features = joined().encode(iter(frames_of(20)), 2.5).features_ND
    assert np.allclose(np.linalg.norm(features[:, :3], axis=1), 1)
    assert np.allclose(np.linalg.norm(features[:, 3:], axis=1), 1)


def test_at_most_one_batch_of_frames_is_in_memory() -> None:
    encoder = joined(batch_size=4)._image
    taken = 0

    def watched() -> Iterator[Frame]:
        nonlocal taken
        for frame in frames_of(10):
            assert taken - 4 * len(encoder.network.batches) <= 4
            taken += 1
            yield frame

    encoder.encode(watched(), 10.0)
    assert encoder.network.batches == [4, 4, 2]


def test_a_vidla_encoder_gives_a_row_for_each_equal_window() -> None:
    encoder = open_encoder(settings("vidla:random:tiny", seconds_per_row=4), "cpu")
    assert encoder.frames_per_row == 12 and encoder.fps == 3
    assert encoder.frames(10.5) == 3 * 12 and encoder.frames(1.0) == 12
    rows = encoder.encode(iter(frames_of(36, 64, 80)), 10.5)
    assert np.allclose(rows.times_N, centres(3, 10.5)) and rows.features_ND.shape == (3, encoder.width)


# Networks


def test_an_image_network_gives_the_input_of_torchvision_s_classifier() -> None:
    frames = frames_of(2, 224, 230)
    network = ImageNetwork("resnet18", "random", torch.device("cpu"))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = get_model("resnet18", weights=None).eval()
    seen = []
    model.fc.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0]))
    pictures = torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2) / 255
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    with torch.inference_mode():
        model((pictures - mean.view(3, 1, 1)) / std.view(3, 1, 1))
        found = network.forward(np.stack(frames))
    assert network.width == 512 and torch.allclose(found, seen[0], atol=1e-4)


def test_a_video_network_is_cut_before_its_classifier() -> None:
    encoder = open_encoder(settings("s3d@8fps", weights="random"), "cpu")
    frames = frames_of(3, encoder.short_side, encoder.short_side + 20)
    rows = encoder.encode(iter(frames), 3 / 8)
    assert rows.features_ND.shape == (1, 1024) and np.isfinite(rows.features_ND).all()


def test_a_joined_encoder_decodes_at_the_larger_size_and_scales_down_for_the_other() -> None:
    encoder = open_encoder(settings("resnet18+r3d_18@8fps", weights="random"), "cpu")
    assert encoder.short_side == 224 and encoder.width == 1024
    assert encoder.encode(iter(frames_of(8, 224, 260)), 1.0).features_ND.shape == (1, 1024)


def test_a_clip_encoder_gives_the_embeddings_of_open_clip(tmp_path: Path) -> None:
    torch.manual_seed(1)
    clip = CustomTextCLIP(24, dict(VISION), dict(TEXT)).eval()
    save_file(clip.state_dict(), tmp_path / "open_clip_model.safetensors")
    described = {"model_cfg": {"embed_dim": 24, "vision_cfg": VISION, "text_cfg": TEXT}}
    (tmp_path / "open_clip_config.json").write_text(json.dumps(described))
    encoder = open_encoder(settings(f"clip:path://{tmp_path}"), "cpu")
    frames = frames_of(3, 32, 32)
    with torch.inference_mode():
        pictures = normalised(np.stack(frames), CLIP_MEAN, CLIP_STD, torch.device("cpu"))
        expected = clip.encode_image(pictures, normalize=True).numpy()
    assert np.allclose(encoder.encode(iter(frames), 3.0).features_ND, expected, atol=1e-5)


def test_a_clip_tower_that_is_a_resnet_encodes_frames_too(tmp_path: Path) -> None:
    vision = {"image_size": 32, "layers": [1, 1, 1, 1], "width": 32}
    config = {"embed_dim": 24, "vision_cfg": vision, "text_cfg": TEXT}
    (tmp_path / "resnet.json").write_text(json.dumps(config))
    encoder = open_encoder(settings(f"clip:random:{tmp_path / 'resnet.json'}"), "cpu")
    assert encoder.encode(iter(frames_of(2, 32, 40)), 2.0).features_ND.shape == (2, 24)


def test_random_weights_are_the_same_each_time() -> None:
    frames = frames_of(1, 64, 64)
    first, second = (open_encoder(settings("clip:random:tiny"), "cpu").encode(iter(frames), 1.0) for _ in range(2))
    assert np.array_equal(first.features_ND, second.features_ND)


# Weights


def test_weights_come_from_a_file_and_their_content_is_in_the_identity(tmp_path: Path) -> None:
    torch.manual_seed(3)
    model = get_model("resnet18", weights=None)
    torch.save(model.state_dict(), tmp_path / "a.pth")
    save_file(model.state_dict(), tmp_path / "a.safetensors")
    frames = frames_of(1, 224, 224)
    found = [
        open_encoder(settings("resnet18", weights=f"path://{tmp_path / name}"), "cpu").encode(iter(frames), 1.0)
        for name in ("a.pth", "a.safetensors")
    ]
    assert np.array_equal(found[0].features_ND, found[1].features_ND)
    asked = settings("resnet18", weights=f"path://{tmp_path}/a.pth")
    before = asked.identity
    assert before != settings("resnet18", weights="random").identity
    model.fc.bias.data += 1
    torch.save(model.state_dict(), tmp_path / "a.pth")
    assert asked.identity != before


def test_the_identity_has_the_settings_that_decide_the_output() -> None:
    assert settings("clip:random:tiny", fps=2.0).identity != settings("clip:random:tiny").identity
    assert settings("clip:random:tiny", batch_size=2).identity == settings("clip:random:tiny").identity


def test_weights_that_can_not_be_fetched_are_refused_with_the_remedy(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    with pytest.raises(
        UserError, match=r"can't be fetched .* set weights.resnet18=path:///folder/resnet18-f37072fd.pth"
    ) as error:
        open_encoder(settings("resnet18"), "cpu")
    assert "\n" not in str(error.value)


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    torch.save({"conv.weight": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(UserError, match=r"weights\.resnet18=.* not weights of resnet18"):
        open_encoder(settings("resnet18", weights=f"path://{tmp_path}/other.pth"), "cpu")


@pytest.mark.parametrize("content", [{0: torch.zeros(1)}, {"state_dict": [1]}, [1]])
def test_a_file_with_other_content_is_refused(tmp_path: Path, content: Any) -> None:
    torch.save(content, tmp_path / "other.pth")
    with pytest.raises(UserError, match=r"weights\.resnet18=.*(can't be read as|not) weights"):
        open_encoder(settings("resnet18", weights=f"path://{tmp_path}/other.pth"), "cpu")


def test_a_file_that_is_not_a_state_dict_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.pth").write_text("hello")
    with pytest.raises(UserError, match="can't be read as weights"):
        open_encoder(settings("resnet18", weights=f"path://{tmp_path}/text.pth"), "cpu")


def test_a_trained_vidla_is_opened_by_its_folder(tmp_path: Path) -> None:
    model = build_model(ModelSettings(init="random:tiny", frames=4, temporal={"levels": 1}))
    vidla_folder.save(model, tmp_path / "best")
    asked = [settings(f"vidla:{tmp_path / 'best'}"), settings(f"vidla:path://{tmp_path / 'best'}")]
    frames = frames_of(4, 64, 64)
    clip = normalised(np.stack(frames), model.mean, model.std, torch.device("cpu"))[None]
    with torch.inference_mode():
        expected = model.eval().encode_video(clip).numpy()
    assert asked[0].identity == asked[1].identity, "the same at every address"
    for encoder in (open_encoder(each, "cpu") for each in asked):
        assert np.allclose(encoder.encode(iter(frames), 4.0).features_ND, expected, atol=1e-5)


def test_a_relative_folder_is_resolved_before_workers_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    vidla_folder.save(build_model(ModelSettings(init="random:tiny")), tmp_path / "a b%20" / "best")
    monkeypatch.chdir(tmp_path)
    located = settings("vidla:a b%20/best").located()
    monkeypatch.chdir("/")
    assert open_encoder(located, "cpu").frames_per_row == 12


def test_a_folder_without_a_vidla_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"holds no \S+ model"):
        open_encoder(settings(f"vidla:{tmp_path}"), "cpu")
    with pytest.raises(UserError, match="there is no such folder"):
        open_encoder(settings("vidla:nowhere/best"), "cpu")
