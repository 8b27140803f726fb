"""The teacher's two towers, and its folder: the same vectors again, or one line that says why not."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from support.tiny_bert import tiny_tokenizer
from support.tiny_teacher import WIDTH, Facts, batch, settings, teacher, tokenizer
from torch.nn import functional as F

from runtime.errors import UserError
from training.engine.checkpoints.model_config import format_of
from training.models.vidlankd.kd_model_settings import TeacherModelSettings
from training.models.vidlankd.teacher_model import (
    NoFeatures,
    build_teacher,
    check_features,
    load_teacher,
    save_teacher,
)
from training.models.vidlankd.text_tokenizer import TextTokenizer


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_teacher(teacher(), tokenizer(), tmp_path / "teacher")
    return tmp_path / "teacher"


def change(folder: Path, **changes: object) -> None:
    file = folder / "config.json"
    config = json.loads(file.read_text())
    config["architecture"] = {**config["architecture"], **changes}
    file.write_text(json.dumps(config))


def vectors(model: torch.nn.Module) -> tuple[torch.Tensor, torch.Tensor]:
    given = batch()
    with torch.no_grad():
        return model.token_vectors(given.text.ids_BL, given.text.valid_BL), model.clip_vectors(
            given.video_BTD, given.frames_BT
        )


def test_token_and_clip_vectors_are_of_unit_length_and_of_one_width() -> None:
    tokens, clips = vectors(teacher().eval())
    torch.testing.assert_close(tokens.norm(dim=-1), torch.ones(tokens.shape[:2]))
    torch.testing.assert_close(clips.norm(dim=-1), torch.ones(len(clips)))
    assert tokens.shape[2] == clips.shape[1] == teacher().hidden == 32


def test_rows_that_are_not_there_make_no_difference_to_a_clip() -> None:
    model, given = teacher().eval(), batch()
    junk = given.video_BTD.masked_fill(~given.frames_BT[..., None], 9.0)
    longer = torch.cat([junk, torch.full((8, 6, WIDTH), 3.0, dtype=torch.float16)], dim=1)
    frames = torch.cat([given.frames_BT, torch.zeros(8, 6, dtype=torch.bool)], dim=1)
    torch.testing.assert_close(
        model.clip_vectors(longer, frames), model.clip_vectors(given.video_BTD, given.frames_BT), rtol=1e-4, atol=1e-5
    )


def test_the_order_of_rows_makes_a_difference() -> None:
    model, given = teacher().eval(), batch()
    row = given.video_BTD[4:5]
    there = torch.ones(1, 5, dtype=torch.bool)
    assert not torch.allclose(model.clip_vectors(row, there), model.clip_vectors(row.flip(1), there))


def test_positions_and_type_are_added_once() -> None:
    video = teacher().video.eval()
    embeddings, seen = video.encoder.embeddings, []
    video.encoder.encoder.layer[0].register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    rows = batch().video_BTD.float()
    video(rows, torch.ones(8, 5, dtype=torch.bool))
    sums = (
        video.projection(rows) + embeddings.position_embeddings.weight[:5] + embeddings.token_type_embeddings.weight[0]
    )
    torch.testing.assert_close(seen[0], embeddings.LayerNorm(sums))


def test_a_frozen_tower_has_nothing_to_train() -> None:
    model = teacher(frozen_video=True)
    assert not any(parameter.requires_grad for parameter in model.video.parameters())
    assert all(parameter.requires_grad for parameter in model.text.parameters())
    given = batch()
    assert not model.clip_vectors(given.video_BTD, given.frames_BT).requires_grad


def test_the_video_tower_may_be_shallower() -> None:
    assert len(teacher(video_layers=1).video.encoder.encoder.layer) == 1
    assert len(teacher().video.encoder.encoder.layer) == 2


def test_a_teacher_read_back_gives_the_same_vectors(folder: Path) -> None:
    model, own = load_teacher(folder)
    assert all(torch.equal(a, b) for a, b in zip(vectors(model), vectors(teacher().eval()), strict=True))
    assert own.identity == tokenizer().identity
    assert model.architecture == teacher().architecture
    assert not model.training
    assert (model.block, model.max_rows) == (16, 24)


def test_a_teachers_folder_is_flat_and_tied_weights_are_written_once(folder: Path) -> None:
    names = {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}
    assert {file.name for file in folder.iterdir()} == names
    assert format_of(folder) == "vidlankd-teacher"
    assert not [name for name in load_file(folder / "model.safetensors") if name.endswith("decoder.weight")]
    model, _ = load_teacher(folder)
    assert model.text.cls.predictions.decoder.weight is model.text.bert.embeddings.word_embeddings.weight


def test_an_older_teacher_is_replaced_and_other_files_are_not(folder: Path, tmp_path: Path) -> None:
    save_teacher(teacher(seed=1), tokenizer(), folder)
    assert not torch.equal(vectors(load_teacher(folder)[0])[0], vectors(teacher().eval())[0])
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match="it holds something else"):
        save_teacher(teacher(), tokenizer(), tmp_path)


def test_another_architecture_is_refused_with_the_differences(folder: Path) -> None:
    change(folder, text={**teacher().architecture["text"], "hidden": 16})
    with pytest.raises(UserError, match=r"weights are of another architecture \(file, model\): .*x32, .*x16"):
        load_teacher(folder)


def test_features_of_another_width_are_another_architecture(folder: Path) -> None:
    change(folder, features={"name": "colours", "encoder": "counts", "width": WIDTH + 1})
    with pytest.raises(UserError, match=r"video\.projection\.0\.weight 16x6, 16x7"):
        load_teacher(folder)


def with_part(name: str, **changes: object) -> dict[str, object]:
    """One part of the architecture, with some values changed; None takes a value out."""
    part = {**teacher().architecture[name], **changes}
    return {name: {key: value for key, value in part.items() if value is not None}}


DAMAGED = {
    "a part that is empty": {"video": {}},
    "no layers": {"text": {"layers": 0}},
    "no part": {"text": None},
    "no identity": with_part("tokenizer", identity=None),
    "a tokenizer that is a name": {"tokenizer": "tiny"},
    "no encoder": with_part("features", encoder=None),
    "a negative width": with_part("features", width=-3),
    "layers in words": with_part("video", layers="two"),
    "a block in words": {"block": "long"},
    "a block without room": {"block": 0},
}


@pytest.mark.parametrize("broken", DAMAGED.values(), ids=DAMAGED)
def test_an_architecture_that_makes_no_sense_is_refused_in_one_line(folder: Path, broken: str) -> None:
    change(folder, **broken)
    with pytest.raises(UserError, match="its architecture can't be read") as caught:
        load_teacher(folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("changed", [{"vocab_size": -1}, {"vocab_size": 189}, {"pad": 3}])
def test_numbers_that_are_not_the_tokenizers_are_refused_in_one_line(folder: Path, changed: str) -> None:
    change(folder, **with_part("tokenizer", **changed))
    with pytest.raises(UserError, match="its tokenizer files belong to another model") as caught:
        load_teacher(folder)
    assert "\n" not in str(caught.value)


def test_weights_cut_short_are_refused_in_one_line(folder: Path) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(UserError, match=r"model\.safetensors can't be read") as caught:
        load_teacher(folder)
    assert "\n" not in str(caught.value)


def test_another_kind_or_version_or_nothing_at_all_is_refused(folder: Path, tmp_path: Path) -> None:
    file = folder / "config.json"
    config = json.loads(file.read_text())
    file.write_text(json.dumps({**config, "version": 2}))
    with pytest.raises(UserError, match="format version 2, this program reads 1"):
        load_teacher(folder)
    file.write_text(json.dumps({**config, "format": "vidla"}))
    with pytest.raises(UserError, match="holds a vidla model, not a vidlankd-teacher"):
        load_teacher(folder)
    with pytest.raises(UserError, match=r"holds no \S+ model"):
        load_teacher(tmp_path / "absent")


def test_another_tokenizer_beside_the_weights_is_refused(folder: Path, tmp_path: Path) -> None:
    shutil.copy(tiny_tokenizer(tmp_path / "other", words=("red",)) / "tokenizer.json", folder)
    with pytest.raises(UserError, match="its tokenizer files belong to another model"):
        load_teacher(folder)


def test_a_missing_tensor_is_named(folder: Path) -> None:
    state = load_file(folder / "model.safetensors")
    del state["video.head.0.bias"]
    save_file(state, folder / "model.safetensors")
    with pytest.raises(UserError, match=r"video\.head\.0\.bias absent, 32"):
        load_teacher(folder)


def test_a_uri_is_taken_too(folder: Path) -> None:
    assert load_teacher(f"path://{folder}")[0].hidden == 32


def test_features_of_another_encoder_or_width_are_refused() -> None:
    check_features(teacher(), Facts(name="another name"))
    with pytest.raises(UserError, match=r"features=colours: not those of the teacher .*encoder counts, sums"):
        check_features(teacher(), Facts(encoder="sums"))
    with pytest.raises(UserError, match=r"width 6, 7"):
        check_features(teacher(), Facts(width=7))


def test_a_teacher_that_saw_no_features_takes_none() -> None:
    blind = build_teacher(settings(), tokenizer(), NoFeatures())
    with pytest.raises(UserError, match=r"features=colours: the teacher was trained with loss\.contrastive=0"):
        check_features(blind, Facts())


def test_the_towers_vectors_come_of_the_first_row_through_a_perceptron() -> None:
    tower, rows = teacher().video.eval(), batch().video_BTD.float()
    there = torch.ones(8, 5, dtype=torch.bool)
    pooled = tower.encoder(inputs_embeds=tower.projection(rows), attention_mask=there).pooler_output
    first, second = (layer for layer in tower.head if isinstance(layer, torch.nn.Linear))
    inner = pooled @ first.weight.T + first.bias
    assert (inner < 0).any()
    expected = F.normalize(inner.clamp(min=0) @ second.weight.T + second.bias, dim=1)
    torch.testing.assert_close(tower(rows, there), expected)


def test_a_block_longer_than_the_positions_is_refused() -> None:
    with pytest.raises(ValueError, match=r"block=40 is longer than shape\.positions=32"):
        settings(block=40)


def test_the_defaults_are_the_papers() -> None:
    paper = TeacherModelSettings()
    assert (paper.shape.layers, paper.shape.hidden, paper.max_rows, paper.projection) == (12, 768, 384, 1024)
    assert (paper.block, paper.frozen_video) == (128, False)


def test_the_tokenizer_decides_the_vocabulary() -> None:
    model = build_teacher(settings(), tokenizer(), Facts())
    assert model.text.config.vocab_size == tokenizer().vocab_size
    assert isinstance(tokenizer(), TextTokenizer)
