"""Folders that hold no usable model are refused in one line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file
from support.language_tasks import evaluate_to_report, fast_settings, tiny_bert
from support.tiny_bert import SPECIALS
from transformers import BertTokenizer

from runtime.errors import UserError
from training.evaluation.language.finetuning_recipe import FineTuningRecipe
from training.evaluation.language.pretrained_model import with_head
from training.evaluation.language.tasks.task_registry import LANGUAGE_TASKS


def test_texts_longer_than_the_models_positions_are_refused_before_any_data_is_read(bert: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"max_length=200: the model .* has 128 positions; set every.max_length=128"):
        evaluate_to_report(bert, fast_settings(tmp_path, "sst2", every={"max_length": 200}), tmp_path / "report.json")


def test_a_folder_without_a_model_is_refused_with_the_command_that_makes_one(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"kind": "vidlankd-student"}))
    with pytest.raises(UserError, match="`train-vidlankd export` writes one"):
        evaluate_to_report(tmp_path, fast_settings(tmp_path, "sst2"), tmp_path / "report.json")


def test_a_model_without_tokenizer_files_is_refused_not_read_as_unknown_words(tmp_path: Path) -> None:
    bare = tiny_bert(tmp_path / "bert")
    (bare / "tokenizer.json").unlink()
    with pytest.raises(UserError, match=r"holds no tokenizer \(tokenizer\.json or vocab\.txt\)"):
        evaluate_to_report(bare, fast_settings(tmp_path, "sst2"), tmp_path / "report.json")


def test_a_tokenizer_of_specials_only_is_refused(tmp_path: Path) -> None:
    poor = tiny_bert(tmp_path / "bert")
    BertTokenizer(vocab={name: number for number, name in enumerate(SPECIALS)}).save_pretrained(poor)
    with pytest.raises(UserError, match=r"the tokenizer has 5 tokens, the model \d+; they do not fit each other"):
        evaluate_to_report(poor, fast_settings(tmp_path, "sst2"), tmp_path / "report.json")


def test_a_model_with_code_of_its_own_is_refused_and_nothing_is_asked(tmp_path: Path) -> None:
    foreign = tiny_bert(tmp_path / "bert")
    own = {"model_type": "own", "auto_map": {"AutoConfig": "own.OwnConfig"}}
    (foreign / "config.json").write_text(json.dumps(own))
    (foreign / "own.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    with pytest.raises(UserError, match="asks to run its own Python code, which is never done"):
        evaluate_to_report(foreign, fast_settings(tmp_path, "sst2"), tmp_path / "report.json")
    assert not (tmp_path / "ran").exists()


def cut_weights(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])


def break_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").write_text("{}")


def break_config(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "hidden_size": "wide"}))


def drop_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()


@pytest.mark.parametrize("damage", [cut_weights, break_tokenizer, break_config, drop_weights])
def test_a_damaged_model_is_reported_in_one_line_before_data_is_read(
    damage: Callable[[Path], None], tmp_path: Path
) -> None:
    broken = tiny_bert(tmp_path / "bert")
    damage(broken)
    with pytest.raises(UserError, match=r"^model .*(not a whole model folder|holds no weights)") as told:
        evaluate_to_report(broken, fast_settings(tmp_path, "sst2"), tmp_path / "report.json")
    assert "\n" not in str(told.value)


def test_weights_that_are_not_a_pickle_are_reported_in_one_line(tmp_path: Path) -> None:
    broken = tiny_bert(tmp_path / "bert")
    drop_weights(broken)
    (broken / "pytorch_model.bin").write_bytes(b"garbage" * 100)
    with pytest.raises(UserError, match=r"^model .*not a whole model folder of transformers \(UnpicklingError"):
        with_head(broken, LANGUAGE_TASKS["sst2"], FineTuningRecipe(max_length=16))


def test_weights_that_lack_a_layer_are_refused_not_filled_with_noise(tmp_path: Path) -> None:
    cut = tiny_bert(tmp_path / "bert")
    weights = load_file(cut / "model.safetensors")
    kept = {name: value for name, value in weights.items() if "layer.1." not in name}
    save_file(kept, cut / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UserError, match="its weights lack 16 tensors of the model"):
        with_head(cut, LANGUAGE_TASKS["sst2"], FineTuningRecipe(max_length=16))
