"""What is exported is a plain BERT: transformers opens it, gets the same states, and goes on training it."""

from pathlib import Path

import pytest
import torch
from support.students import blocks, shape, teacher_in, tokenizer_in
from transformers import (
    AutoModel,
    AutoModelForMaskedLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    Trainer,
    TrainingArguments,
)

from runtime.errors import UserError
from training.models.vidlankd.student_model import Distillation, Student, load_student, save_student
from training.models.vidlankd.teacher_model import load_teacher
from training.vidlankd.bert_export import export


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A student's folder, a teacher's, and the student's export."""
    folder = tmp_path_factory.mktemp("export")
    tokenizer = tokenizer_in(folder)
    torch.manual_seed(0)
    save_student(Student(shape(), tokenizer, Distillation(("nst", "crd"), 24, 8)), tokenizer, folder / "student")
    teacher_in(folder / "teacher", tokenizer)
    export(folder / "student", folder / "bert")
    return folder


def test_auto_classes_open_it_and_get_the_same_hidden_states_and_predictions(home: Path) -> None:
    student, tokenizer = load_student(home / "student")
    batch = blocks(tokenizer, [1, 2, 3], short=1)
    inputs = {"input_ids": batch.masked_BL, "attention_mask": batch.valid_BL}
    with torch.no_grad():
        expected = student.text.bert(**inputs).last_hidden_state
        assert torch.equal(AutoModel.from_pretrained(home / "bert", add_pooling_layer=False)(**inputs)[0], expected)
        logits = AutoModelForMaskedLM.from_pretrained(home / "bert")(**inputs).logits
    assert torch.equal(logits, student.text(**inputs).logits)


def test_heads_and_queue_stay_behind(home: Path) -> None:
    names = AutoModelForMaskedLM.from_pretrained(home / "bert").state_dict()
    assert not [name for name in names if name.startswith(("heads", "queue", "steps"))]


def test_its_tokenizer_is_the_corpuss(home: Path) -> None:
    _, tokenizer = load_student(home / "student")
    opened = AutoTokenizer.from_pretrained(home / "bert")
    text = "The red ball is moving; unseenword!"
    assert opened(text)["input_ids"] == [tokenizer.cls, *tokenizer.encode([text])[0], tokenizer.sep]
    assert opened.mask_token_id == tokenizer.mask
    assert len(opened("red " * 100, truncation=True)["input_ids"]) == shape().positions


def test_a_teachers_language_model_is_exported_too(home: Path) -> None:
    export(home / "teacher", home / "bert-of-teacher")
    teacher, tokenizer = load_teacher(home / "teacher")
    batch = blocks(tokenizer, [1, 2])
    with torch.no_grad():
        expected = teacher.text(batch.masked_BL, attention_mask=batch.valid_BL).logits
        found = AutoModelForMaskedLM.from_pretrained(home / "bert-of-teacher")(
            batch.masked_BL, attention_mask=batch.valid_BL
        ).logits
    assert torch.equal(found, expected)


def test_the_best_checkpoint_of_a_run_folder_is_exported(home: Path, tmp_path: Path) -> None:
    student, tokenizer = load_student(home / "student")
    save_student(student, tokenizer, tmp_path / "run" / "best")
    export(tmp_path / "run", tmp_path / "bert")
    assert AutoModelForMaskedLM.from_pretrained(tmp_path / "bert").config.hidden_size == 32


def test_trainer_fine_tunes_it(home: Path, tmp_path: Path) -> None:
    """Whether a sentence speaks of a ball, learned in some steps by transformers' own training loop."""
    tokenizer = AutoTokenizer.from_pretrained(home / "bert")
    colours, things = ["red", "green", "blue", "yellow", "black", "white"], ["ball", "box", "cup", "car"]
    sentences = [(f"the {colour} {thing} is small", int(thing == "ball")) for colour in colours for thing in things]
    rows = [{**tokenizer(text, padding="max_length", max_length=10), "labels": label} for text, label in sentences]
    model = AutoModelForSequenceClassification.from_pretrained(home / "bert", num_labels=2)
    arguments = TrainingArguments(
        str(tmp_path),
        max_steps=80,
        per_device_train_batch_size=12,
        learning_rate=3e-3,
        lr_scheduler_type="constant",
        use_cpu=True,
        report_to=[],
        save_strategy="no",
        logging_steps=1,
        disable_tqdm=True,
        seed=0,
    )
    trainer = Trainer(model=model, args=arguments, train_dataset=rows)
    trainer.train()
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    assert sum(losses[-8:]) < 0.5 * sum(losses[:8])


def test_an_output_that_is_not_empty_is_left_alone(home: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(UserError, match="a folder that is not empty"):
        export(home / "student", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_folder_without_a_model_is_refused(home: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no student and no teacher"):
        export(home, tmp_path / "bert")
    assert not (tmp_path / "bert").exists()


@pytest.mark.parametrize("output", ["file/bert", "file", "x" * 300])
def test_an_output_that_can_not_be_made_is_refused_before_the_model_is_read(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, output: str
) -> None:
    (tmp_path / "file").write_text("mine")
    monkeypatch.delattr("training.models.vidlankd.student_model.load_student")
    with pytest.raises(UserError, match=r"--output .*(can't be made|not empty)"):
        export(home / "student", tmp_path / output)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_the_empty_folder_that_one_works_in_can_be_the_output(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "bert"
    place.mkdir()
    monkeypatch.chdir(place)
    export(home / "student", Path())
    assert {path.name for path in Path().iterdir()} == {path.name for path in (home / "bert").iterdir()}
    assert [path.name for path in tmp_path.iterdir()] == ["bert"]
