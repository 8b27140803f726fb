"""The student as a model: its heads, and saving and loading a folder."""

import json
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from support.students import blocks, shape, teacher_in, tokenizer_in

from runtime.errors import UserError
from training.models.vidlankd.bert_model import encoder_flops, hidden_states, prediction_flops
from training.models.vidlankd.student_model import Distillation, Student, load_student, save_student
from training.models.vidlankd.text_batch import TextBatch
from training.models.vidlankd.text_tokenizer import TextTokenizer


def student(tokenizer: TextTokenizer, distillation: Distillation | None = None) -> Student:
    torch.manual_seed(0)
    return Student(shape(), tokenizer, distillation).eval()


def outputs(model: Student, tokenizer: TextTokenizer) -> dict[str, torch.Tensor]:
    return outputs_of(model, blocks(tokenizer, [1, 2, 3], short=1))


def outputs_of(model: Student, batch: TextBatch) -> dict[str, torch.Tensor]:
    with torch.no_grad():
        return model(batch.masked_BL, batch.valid_BL, torch.tensor([1, 14]))


def test_only_heads_that_are_asked_for_exist(tmp_path: Path) -> None:
    tokenizer = tokenizer_in(tmp_path)
    model = student(tokenizer, Distillation(("crd",), 48, 10))
    assert set(model.heads) == {"crd"}
    assert set(outputs(model, tokenizer)) == {"crd", "mlm"}
    assert student(tokenizer).queue is None


def test_heads_lead_to_the_width_that_is_compared(tmp_path: Path) -> None:
    tokenizer = tokenizer_in(tmp_path)
    names = ("nst", "crd", "contrastive_in_batch", "l2", "fitnet")
    found = outputs(student(tokenizer, Distillation(names, 48, 10)), tokenizer)
    widths = {name: value.shape[-1] for name, value in found.items()}
    to_teacher = dict.fromkeys(names[1:], 48)
    assert widths == {"nst": 32, **to_teacher, "mlm": tokenizer.vocab_size}


def test_a_head_is_linear_gelu_layer_norm_linear(tmp_path: Path) -> None:
    tokenizer = tokenizer_in(tmp_path)
    model, batch = student(tokenizer, Distillation(("crd",), 48, 10)), blocks(tokenizer, [1, 2, 3])
    first, norm, last = (model.heads["crd"].get_submodule(place) for place in "023")
    torch.nn.init.normal_(norm.weight)
    with torch.no_grad():
        hidden_BLH = hidden_states(model.text, batch.masked_BL, batch.valid_BL)
        inner_BLH = F.layer_norm(F.gelu(hidden_BLH @ first.weight.T + first.bias), (32,), norm.weight, norm.bias)
        expected = inner_BLH @ last.weight.T + last.bias
    torch.testing.assert_close(outputs_of(model, batch)["crd"], expected)


def test_the_vocabulary_is_predicted_at_chosen_positions_only(tmp_path: Path) -> None:
    tokenizer = tokenizer_in(tmp_path)
    model, batch = student(tokenizer), blocks(tokenizer, [1, 2, 3])
    with torch.no_grad():
        everywhere = model.text(batch.masked_BL, attention_mask=batch.valid_BL).logits
        found = model.predict(batch.masked_BL, batch.valid_BL, torch.tensor([1, 14]))
    torch.testing.assert_close(found, torch.stack([everywhere[0, 1], everywhere[1, 2]]))


def test_a_folder_gives_back_heads_queue_and_tokenizer(tmp_path: Path) -> None:
    tokenizer = tokenizer_in(tmp_path)
    model = student(tokenizer, Distillation(("nst", "crd"), 48, 10))
    model.queue.push(torch.randn(7, 48))
    save_student(model, tokenizer, tmp_path / "student")
    loaded, of_folder = load_student(tmp_path / "student")
    assert of_folder.identity == tokenizer.identity
    assert loaded.architecture == model.architecture
    before, after = model.state_dict(), loaded.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    for name, value in outputs(model, tokenizer).items():
        assert torch.equal(value, outputs(loaded, tokenizer)[name])


def test_another_kind_of_folder_is_refused(tmp_path: Path) -> None:
    tokenizer = tokenizer_in(tmp_path)
    with pytest.raises(UserError, match="holds a vidlankd-teacher model"):
        load_student(teacher_in(tmp_path / "teacher", tokenizer))


def test_cut_weights_are_refused(tmp_path: Path) -> None:
    tokenizer = tokenizer_in(tmp_path)
    save_student(student(tokenizer), tokenizer, tmp_path / "student")
    weights = tmp_path / "student" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(UserError, match="can't be read"):
        load_student(tmp_path / "student")


def test_weights_of_another_architecture_are_refused_with_the_differences(tmp_path: Path) -> None:
    tokenizer = tokenizer_in(tmp_path)
    save_student(student(tokenizer), tokenizer, tmp_path / "student")
    config = tmp_path / "student" / "config.json"
    values = json.loads(config.read_text())
    values["architecture"]["shape"]["hidden"] = 64
    config.write_text(json.dumps(values))
    with pytest.raises(UserError, match=r"32, .*64"):
        load_student(tmp_path / "student")


@pytest.mark.parametrize(
    "damage",
    [
        lambda made: made.pop("tokenizer"),
        lambda made: made.update(distillation=5),
        lambda made: made["shape"].update(hidden=-1),
        lambda made: made["distillation"].update(heads=["mse"]),
        lambda made: made["distillation"].update(queue=-8),
        lambda made: made["distillation"].update(teacher_width="wide"),
    ],
)
def test_a_config_that_is_damaged_is_refused_in_one_line(tmp_path: Path, damage: dict[str, object]) -> None:
    tokenizer = tokenizer_in(tmp_path)
    save_student(student(tokenizer, Distillation(("crd",), 48, 10)), tokenizer, tmp_path / "student")
    config = tmp_path / "student" / "config.json"
    values = json.loads(config.read_text())
    damage(values["architecture"])
    config.write_text(json.dumps(values))
    with pytest.raises(UserError, match="its architecture can't be read") as raised:
        load_student(tmp_path / "student")
    assert "\n" not in str(raised.value)


def test_the_formula_counts_what_pytorch_counts(tmp_path: Path) -> None:
    from torch.utils.flop_counter import FlopCounterMode

    tokenizer = tokenizer_in(tmp_path)
    model, batch = student(tokenizer), blocks(tokenizer, [1, 2, 3])
    model.text.config._attn_implementation = "eager"  # the counter does not see into the fused kernel of processors
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model.predict(batch.masked_BL, batch.valid_BL, torch.arange(5))
    expected = encoder_flops(model.text.config, 3, 12) + prediction_flops(model.text.config, 5)
    assert counter.get_total_flops() == expected
