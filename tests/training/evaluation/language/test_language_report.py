"""The language report: collapsed seeds, means, the JSON file and the printed table."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from runtime.errors import UserError
from training.evaluation.language.language_report import (
    FORMAT,
    EvaluatedModel,
    LanguageReport,
    ModelSize,
    SeedResult,
    TaskReport,
    TaskSources,
    collapse,
    read_report,
    show_report,
)
from training.evaluation.language.tasks.task_examples import AnswerSpan, Choice, Labelled, Question, Split
from training.evaluation.published_scores import LANGUAGE


def result(seed: int, accuracy: float, *flags: str) -> SeedResult:
    return SeedResult("qqp", seed, "k", {"accuracy": accuracy, "f1": 80.0}, 63.2, 100, 0.7, 0.3, 9.0, flags)


def report(*results: SeedResult) -> LanguageReport:
    task = TaskReport("qqp", "QQP", "accuracy", {"lr": 1e-4}, TaskSources({}, ["a note"]), results)
    return LanguageReport(EvaluatedModel("student", "r", ModelSize(layers=2)), {"qqp": task})


@pytest.mark.parametrize(("accuracy", "flagged"), [(59.0, True), (65.2, True), (65.3, False)])
def test_a_score_within_the_margin_of_a_constant_answer_is_a_collapse(accuracy: float, flagged: bool) -> None:
    assert bool(collapse({"accuracy": accuracy}, "accuracy", 63.2, 2.0, 0.7, 0.3)) is flagged


@pytest.mark.parametrize("last", [0.7, 0.9, float("nan")])
def test_a_training_loss_that_did_not_fall_is_a_collapse(last: float) -> None:
    assert "the training loss did not fall" in collapse({"accuracy": 90.0}, "accuracy", 50.0, 2.0, 0.7, last)[0]


def test_means_are_computed_with_and_without_collapsed_seeds() -> None:
    task = report(result(0, 86.0), result(1, 88.0), result(2, 59.0, "collapsed")).tasks["qqp"]
    assert task.all.mean == pytest.approx(233 / 3)
    assert (task.sound.seeds, task.sound.mean, task.sound.std) == (2, 87.0, pytest.approx(2**0.5))


def test_a_written_report_is_read_back_the_same(tmp_path: Path) -> None:
    before = report(result(0, 86.0), result(1, 59.0, "why"))
    before.write(tmp_path / "report.json", {})
    assert read_report(tmp_path / "report.json") == before


def test_the_identity_of_examples_is_that_of_earlier_versions() -> None:
    answers = (AnswerSpan("a dog", 0), AnswerSpan("dog", 2))
    questions = (Question("k", "a dog ran", "who ran?", answers, "a dog ran"), Question("k2", "c", "q", (), "c"))
    assert Split(questions, ("f",)).identity == "00f93187aae4074b"
    others = (Labelled("k", "a", "b", 1, "g", ("t",)), Choice("k", "a", ("b", "c"), 0, "g"))
    assert Split(others, ("f",)).identity == "7b55e4f6013d4baf"


def test_an_empty_output_file_holds_no_report(tmp_path: Path) -> None:
    (tmp_path / "report.json").touch()
    assert read_report(tmp_path / "report.json") is None


@pytest.mark.parametrize(
    "values",
    [
        {"format": FORMAT, "model": {}, "tasks": {}},
        {"format": FORMAT, "model": {"name": "m", "revision": "r"}, "tasks": []},
        {"format": FORMAT, "model": [], "tasks": {}},
    ],
)
def test_an_output_file_with_other_contents_is_no_report(values: object, tmp_path: Path) -> None:
    (tmp_path / "report.json").write_text(json.dumps(values))
    with pytest.raises(UserError, match="holds something else than a language report"):
        read_report(tmp_path / "report.json")


def test_an_earlier_result_without_its_main_score_is_no_report(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    report(result(0, 86.0)).write(path, {})
    values = json.loads(path.read_text())
    del values["tasks"]["qqp"]["results"][0]["scores"]["accuracy"]
    path.write_text(json.dumps(values))
    with pytest.raises(UserError, match="holds something else than a language report"):
        read_report(path)


def test_the_table_has_published_rows_both_means_and_the_collapsed_seed() -> None:
    text = io.StringIO()
    show_report(report(result(0, 86.0), result(1, 88.0), result(2, 59.0, "too low")), Console(file=text, width=100))
    row = next(line for line in text.getvalue().splitlines() if line.strip().startswith("QQP "))
    assert " ".join(row.split()) == "QQP accuracy 86.2 83.2 89.5 77.7 ± 16.2 87.0 ± 1.4 63.2 3 (1)"
    assert "QQP: seed 2 COLLAPSED: too low" in text.getvalue()
    assert "QQP: a note" in text.getvalue()


def test_only_verified_scores_are_shown_and_a_note_names_the_tasks_without_any() -> None:
    assert {name for row in LANGUAGE for name in row.scores} == {"sst2", "qnli", "qqp", "mnli"}
    swag = TaskReport(
        "swag",
        "SWAG",
        "accuracy",
        {},
        TaskSources({}, []),
        (SeedResult("swag", 0, "k", {"accuracy": 40.0}, 25.0, 1, 1, 0.5, 1.0),),
    )
    text = io.StringIO()
    show_report(LanguageReport(EvaluatedModel("m", "r"), {"swag": swag}), Console(file=text, width=100))
    assert "no verified published score is known for SWAG" in text.getvalue()
