"""Scores against figures worked out by hand, collapse, settings of recipes, and what the report says."""

import io
import json
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError
from rich.console import Console

from runtime.errors import UserError
from runtime.settings import build
from training.evaluation.language.language_metrics import (
    choice_scores,
    constant_score,
    diagnostic_scores,
    pair_scores,
    squad_scores,
)
from training.evaluation.language.language_report import (
    FORMAT,
    Architecture,
    EvaluatedModel,
    LanguageReport,
    SeedResult,
    TaskReport,
    TaskSources,
    collapse,
    read_report,
    show_report,
)
from training.evaluation.language.language_settings import LanguageSettings
from training.evaluation.language.tasks.task_examples import AnswerSpan, Choice, Labelled, Question, Split
from training.evaluation.published_scores import LANGUAGE


def logits(*predicted: int, classes: int) -> torch.Tensor:
    return torch.nn.functional.one_hot(torch.tensor(predicted), classes).float()


def asked(key: str, *answers: str) -> Question:
    return Question(key, "context", "question", tuple(AnswerSpan(text, 0) for text in answers), "context")


def result(seed: int, accuracy: float, *flags: str) -> SeedResult:
    return SeedResult("qqp", seed, "k", {"accuracy": accuracy, "f1": 80.0}, 63.2, 100, 0.7, 0.3, 9.0, flags)


def report(*results: SeedResult) -> LanguageReport:
    task = TaskReport("qqp", "QQP", "accuracy", {"lr": 1e-4}, TaskSources({}, ["a note"]), results)
    return LanguageReport(EvaluatedModel("student", "r", Architecture(layers=2)), {"qqp": task})


def test_accuracy_is_the_share_of_right_choices() -> None:
    assert choice_scores(logits(0, 1, 2, 0, classes=3), torch.tensor([0, 1, 1, 2])) == {"accuracy": 50.0}


def test_f1_of_pairs_is_that_of_duplicates() -> None:
    found = pair_scores(logits(1, 1, 1, 0, classes=2), torch.tensor([1, 0, 0, 1]))
    # precision 1/3, recall 1/2
    assert found == pytest.approx({"accuracy": 25.0, "f1": 100 * 2 * (1 / 3) * (1 / 2) / (1 / 3 + 1 / 2)})


def test_diagnostic_correlation_is_matthews_for_two_classes_by_its_formula() -> None:
    examples = [Labelled(str(n), "p", "h", label, "p", ("Logic",)) for n, label in enumerate((0, 0, 0, 2, 2, 2))]
    overall, categories = diagnostic_scores(logits(0, 0, 2, 2, 2, 0, classes=3), examples)
    # of class 2: TP 2, TN 2, FP 1, FN 1
    assert overall["mcc"] == pytest.approx(100 * (2 * 2 - 1 * 1) / (3 * 3 * 3 * 3) ** 0.5)
    assert categories["Logic"] == pytest.approx({**overall, "examples": 6.0})


def test_a_constant_diagnostic_answer_has_no_correlation() -> None:
    examples = [Labelled(str(n), "p", "h", n % 3, "p") for n in range(6)]
    assert diagnostic_scores(logits(0, 0, 0, 0, 0, 0, classes=3), examples)[0]["mcc"] == 0.0


def test_squad_ignores_case_articles_and_punctuation_and_shares_words_in_f1() -> None:
    questions = [asked("a", "The red ball", "red"), asked("b", "two men")]
    assert squad_scores(questions, {"a": "Red ball!", "b": "men walking"}) == {"exact": 50.0, "f1": 75.0}


def test_squad2_counts_silence_right_where_there_is_no_answer() -> None:
    found = squad_scores([asked("a", "red"), asked("b"), asked("c")], {"a": "red", "b": "", "c": "blue"})
    assert found["exact"] == pytest.approx(200 / 3)
    assert (found["answerable_exact"], found["unanswerable_f1"]) == (100.0, 50.0)


def test_a_constant_answer_earns_the_share_of_the_most_frequent_label() -> None:
    assert constant_score([0, 1, 1, 1]) == 75.0


@pytest.mark.parametrize(("accuracy", "flagged"), [(59.0, True), (65.2, True), (65.3, False)])
def test_a_score_within_the_margin_of_a_constant_answer_is_a_collapse(accuracy: float, flagged: bool) -> None:
    assert bool(collapse({"accuracy": accuracy}, "accuracy", 63.2, 2.0, 0.7, 0.3)) is flagged


@pytest.mark.parametrize("last", [0.7, 0.9, float("nan")])
def test_a_training_loss_that_did_not_fall_is_a_collapse(last: float) -> None:
    assert "the training loss did not fall" in collapse({"accuracy": 90.0}, "accuracy", 50.0, 2.0, 0.7, last)[0]


def test_means_stand_with_and_without_collapsed_seeds() -> None:
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


def test_only_verified_figures_are_published_and_what_is_unknown_is_said() -> None:
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


def test_recipes_are_the_released_ones_and_changes_of_one_task_win() -> None:
    changed = LanguageSettings.model_validate({"every": {"lr": 5e-5}, "recipes": {"qqp": {"lr": 2e-5}}})
    assert (changed.recipe("qqp").lr, changed.recipe("mnli").lr) == (2e-5, 5e-5)
    released = LanguageSettings()
    assert (released.recipe("sst2").lr, released.recipe("sst2").max_length, released.recipe("sst2").warmup) == (
        1e-4,
        126,
        0.1,
    )
    squad = released.recipe("squad1")
    assert (squad.lr, squad.batch_size, squad.epochs, squad.max_length, squad.stride) == (3e-5, 12, 2, 384, 128)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"tasks": ["sst3"]}, "evaluate.tasks.0='sst3'"),
        ({"tasks": ["sst2", "sst2"]}, "tasks=sst2,sst2: each may be named once"),
        ({"seeds": [1, 1]}, "seeds=1,1: each may be named once"),
        (
            {"tasks": ["squad1"], "every": {"max_length": 128}},
            "stride=128 of squad1 is more than windows of max_length=128 hold",
        ),
        ({"compute": {"micro_batch": 5}}, "compute.micro_batch=5 does not divide batch_size=32 of sst2"),
        ({"recipes": {"diagnostics": {"lr": 1e-5}}}, "set recipes.mnli"),
    ],
)
def test_settings_that_contradict_are_told_in_one_line(values: dict[str, object], said: str) -> None:
    with pytest.raises(UserError, match=r"^evaluate") as told:
        build(LanguageSettings, values, "evaluate")
    assert said in str(told.value)
    assert "\n" not in str(told.value)


def test_negative_seeds_are_refused() -> None:
    with pytest.raises(ValidationError):
        LanguageSettings.model_validate({"seeds": [-1]})
