"""Initial weights: tags, folders, random weights; and names that are refused, each in one line."""

import json
import math
import pickle
from pathlib import Path

import huggingface_hub.constants
import open_clip
import pytest
import torch
from open_clip import pretrained
from open_clip.transformer import QuickGELU
from safetensors.torch import save_file
from support.tiny_clip import TEXT, VISION, tiny_clip
from torch import nn

from runtime.errors import UserError
from runtime.settings import build
from training.models.vidla.initial_weights import build_model
from training.models.vidla.model_settings import ModelSettings
from training.models.vidla.vidla_folder import save

SMALL = {"embed_dim": 24, "vision_cfg": VISION, "text_cfg": TEXT}


def write_clip(folder: Path, quick_gelu: bool = False) -> Path:
    """Write a folder in the format of open_clip's own export."""
    folder.mkdir()
    config = {
        "model_cfg": {**SMALL, "quick_gelu": quick_gelu},
        "preprocess_cfg": {"mean": [0.5] * 3, "std": [0.25] * 3},
    }
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    save_file(tiny_clip(quick_gelu=quick_gelu).state_dict(), folder / "open_clip_model.safetensors")
    return folder


@pytest.fixture
def small_architecture(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Register with open_clip an architecture "small" with tags of either activation and files with their weights."""
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "small", SMALL)
    pictures = {"mean": (0.1, 0.2, 0.3), "std": (0.4, 0.5, 0.6)}
    entries = {}
    for tag, quick in (("quick", True), ("plain", False)):
        file = tmp_path / f"{tag}.safetensors"
        save_file(tiny_clip(quick_gelu=quick).state_dict(), file)
        entries[tag] = {"file": str(file), "quick_gelu": quick, **pictures}
    monkeypatch.setitem(pretrained._PRETRAINED, "small", entries)
    return tmp_path


def uri(folder: Path) -> str:
    return f"path://{folder}"


def activation(model: nn.Module) -> type[nn.Module]:
    return type(model.video.layers[0].mlp.gelu)


def test_weights_of_a_folder_arrive_in_both_towers(tmp_path: Path) -> None:
    folder = write_clip(tmp_path / "clip")
    model = build_model(ModelSettings(init=uri(folder), frames=6))
    clip = tiny_clip()
    tokens = model.tokenizer(["a dog runs", "a cat"])
    torch.testing.assert_close(model.encode_text(tokens), clip.encode_text(tokens, normalize=True))
    assert torch.equal(model.video.conv1.weight, clip.visual.conv1.weight)
    assert model.mean == (0.5, 0.5, 0.5)
    assert model.std == (0.25, 0.25, 0.25)
    assert (model.image_size, model.video.frames, model.embed_dim) == (32, 6, 24)


def test_a_folder_of_old_layout_loads_too(tmp_path: Path) -> None:
    """open_clip's plain CLIP keeps the text tower's parameters at the top."""
    folder = write_clip(tmp_path / "clip")
    state = tiny_clip().state_dict()
    save_file(
        {name.removeprefix("text."): value for name, value in state.items()}, folder / "open_clip_model.safetensors"
    )
    model = build_model(ModelSettings(init=uri(folder)))
    assert torch.equal(model.text.token_embedding.weight, state["text.token_embedding.weight"])


@pytest.mark.parametrize("architecture", ["small", "small-quickgelu"])
@pytest.mark.parametrize(("tag", "expected"), [("quick", QuickGELU), ("plain", nn.GELU)])
def test_quickgelu_follows_the_tag(
    small_architecture: Path, architecture: str, tag: str, expected: type[nn.Module]
) -> None:
    model = build_model(ModelSettings(init=tag, architecture=architecture, frames=6))
    assert activation(model) is expected
    assert type(model.text.transformer.resblocks[0].mlp.gelu) is expected
    assert model.architecture["quick_gelu"] is (expected is QuickGELU)
    assert model.mean == (0.1, 0.2, 0.3)


def test_architecture_and_tag_in_one_word(small_architecture: Path) -> None:
    model = build_model(ModelSettings(init="small:quick", frames=6))
    assert activation(model) is QuickGELU


def test_an_architecture_whose_quickgelu_contradicts_the_tag_is_refused(
    small_architecture: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "small", {**SMALL, "quick_gelu": True})
    with pytest.raises(UserError, match="QuickGELU but 'plain' was trained without"):
        build_model(ModelSettings(init="small:plain"))


def test_an_unknown_tag_names_those_of_the_architecture() -> None:
    with pytest.raises(UserError, match=r"no weights 'opneai' of ViT-B-32 \(there are: openai, .*laion2b_s34b_b79k"):
        build_model(ModelSettings(init="opneai"))


@pytest.mark.parametrize("init", ["ViT-B-23:openai", "random:ViT-B-23"])
def test_an_unknown_architecture_names_the_nearest(init: str) -> None:
    with pytest.raises(UserError, match=r"'ViT-B-23': unknown to open_clip \(did you mean 'ViT-B-32'\?\)"):
        build_model(ModelSettings(init=init))


def test_a_tag_that_cannot_be_fetched_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "small", SMALL)
    entry = {"hf_hub": "no-such-org/nothing/", "mean": (0.5,) * 3, "std": (0.5,) * 3}
    monkeypatch.setitem(pretrained._PRETRAINED, "small", {"far": entry})
    with pytest.raises(
        UserError, match=r"model 'small:far': the model hub can't be reached .*path:///folder"
    ) as caught:
        build_model(ModelSettings(init="small:far"))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "named"),
    [("RN50", "ModifiedResNet"), ("coca_ViT-B-32", "CoCa")],
)
def test_models_without_a_suitable_tower_are_refused_by_name(name: str, named: str) -> None:
    with pytest.raises(UserError, match=named):
        build_model(ModelSettings(init=f"random:{name}"))


def test_tiny_is_small_and_complete() -> None:
    model = build_model(ModelSettings(init="random:tiny"))
    assert model.image_size == 64
    assert sum(p.numel() for p in model.parameters()) < 10e6
    texts = {"subtitle": model.tokenizer(["a", "b"]), "caption": model.tokenizer(["c", "d"])}
    video_BD, texts_BD = model(torch.randn(2, 12, 3, 64, 64), texts)
    assert texts["caption"].shape == (2, 32)
    assert texts["caption"].dtype == torch.int64
    for embeddings in (video_BD, texts_BD["subtitle"], texts_BD["caption"]):
        torch.testing.assert_close(embeddings.norm(dim=-1), torch.ones(2))


def test_an_architecture_of_ones_own_is_read_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "own.json"
    file.write_text(json.dumps(SMALL))
    assert build_model(ModelSettings(init=f"random:{file}")).embed_dim == 24


@pytest.mark.parametrize("text", ["{", "[]", '{"embed_dim": 3}'])
def test_a_file_that_is_no_architecture_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "own.json"
    file.write_text(text)
    with pytest.raises(UserError, match=r"own\.json"):
        build_model(ModelSettings(init=f"random:{file}"))


def test_the_temperature_is_that_of_the_weights_unless_another_is_asked_for(tmp_path: Path) -> None:
    folder = write_clip(tmp_path / "clip")
    clip = tiny_clip()
    nn.init.constant_(clip.logit_scale, math.log(50))
    save_file(clip.state_dict(), folder / "open_clip_model.safetensors")
    kept = build_model(ModelSettings(init=uri(folder)))
    asked = build_model(ModelSettings(init=uri(folder), temperature=0.05))
    assert kept.logit_scale.exp().item() == pytest.approx(50)
    assert asked.logit_scale.exp().item() == pytest.approx(20)


def test_random_weights_start_at_a_temperature_of_0_07() -> None:
    assert build_model(ModelSettings(init="random:tiny")).logit_scale.exp().item() == pytest.approx(1 / 0.07)


def test_a_folder_with_neither_kind_of_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"neither an export .* nor open_clip weights"):
        build_model(ModelSettings(init=uri(tmp_path)))


def test_weights_cut_short_are_refused(tmp_path: Path) -> None:
    folder = write_clip(tmp_path / "clip")
    file = folder / "open_clip_model.safetensors"
    file.write_bytes(file.read_bytes()[:5000])
    with pytest.raises(UserError, match="weights can't be read"):
        build_model(ModelSettings(init=uri(folder)))


def test_weights_of_another_shape_are_refused(tmp_path: Path) -> None:
    folder = write_clip(tmp_path / "clip")
    config = {"model_cfg": {**SMALL, "vision_cfg": {**VISION, "width": 64}}}
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match="weights can't be read"):
        build_model(ModelSettings(init=uri(folder)))


def test_an_export_starts_with_its_weights_and_takes_more_frames(tmp_path: Path) -> None:
    first = build_model(ModelSettings(init="random:tiny", frames=12, temporal={"levels": 2}))
    nn.init.normal_(first.video.temporal_embedding)
    save(first, tmp_path / "export")
    second = build_model(ModelSettings(init=uri(tmp_path / "export"), frames=32))
    assert second.video.temporal_embedding.shape[0] == 32
    assert torch.equal(second.video.temporal_embedding[-1], first.video.temporal_embedding[-1])
    assert second.architecture["temporal"]["levels"] == 2
    assert second.architecture["frames"] == 32


def test_an_export_takes_fewer_frames_than_its_levels_were_made_for(tmp_path: Path) -> None:
    save(build_model(ModelSettings(init="random:tiny", temporal={"levels": 2})), tmp_path / "export")
    assert build_model(ModelSettings(init=uri(tmp_path / "export"), frames=2)).video.frames == 2


def test_an_export_with_other_temporal_settings_than_asked_for_is_refused(tmp_path: Path) -> None:
    save(build_model(ModelSettings(init="random:tiny")), tmp_path / "export")
    with pytest.raises(UserError, match=r"temporal settings differ .* levels 3, 2"):
        build_model(ModelSettings(init=uri(tmp_path / "export"), temporal={"levels": 2}))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"frames": 4}, r"model: temporal.levels=3 with temporal.scale=2.*frames=4"),
        ({"frames": 0}, r"model.frames=0"),
        ({"temperature": 0.001}, r"temperature=0.001"),
        ({"temporal": {"levls": 3}}, r"model.temporal.levls: no such setting \(did you mean 'levels'\?\)"),
    ],
)
def test_settings_that_cannot_be_are_refused_in_one_line(values: dict, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        build(ModelSettings, values, "model")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("switch", "meant"), [(True, "layers"), (False, "none")])
def test_checkpointing_as_the_switch_that_it_was_keeps_its_meaning(switch: bool, meant: str) -> None:
    assert ModelSettings.model_validate({"checkpointing": switch}).checkpointing == meant


def test_checkpointing_reaches_both_towers_and_is_not_part_of_the_content() -> None:
    settings = ModelSettings(init="random:tiny", checkpointing="layers")
    model = build_model(settings)
    assert model.video.checkpointing == "layers"
    assert model.text.transformer.grad_checkpointing
    assert "checkpointing" not in settings.content()


def test_the_tokenizer_goes_to_other_processes() -> None:
    tokenizer = build_model(ModelSettings(init="random:tiny")).tokenizer
    copied = pickle.loads(pickle.dumps(tokenizer))
    assert torch.equal(copied(["a dog"]), tokenizer(["a dog"]))


def test_texts_beyond_the_context_are_cut() -> None:
    tokens = build_model(ModelSettings(init="random:tiny")).tokenizer(["word " * 100])
    assert tokens.shape == (1, 32)
    assert tokens[0, -1] == 49407
