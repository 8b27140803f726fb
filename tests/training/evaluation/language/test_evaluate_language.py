"""The language evaluation from a model folder to its report, with tiny models."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from filelock import FileLock
from support.language_tasks import (
    FAST,
    evaluate_to_report,
    fast_settings,
    mnli_folder,
    sst2_folder,
    tiny_bert,
    write_squad,
)

from runtime.errors import UserError

pytestmark = pytest.mark.slow


def test_a_learnable_task_is_learned_and_its_report_has_the_score(bert: Path, tmp_path: Path) -> None:
    found = evaluate_to_report(bert, fast_settings(sst2_folder(tmp_path), "sst2"), tmp_path / "report.json")["tasks"][
        "sst2"
    ]
    assert found["all"]["mean"] > 90
    assert found["results"][0]["floor"] == 50
    assert found["results"][0]["collapsed"] == []
    assert found["data"]["splits"]["train"]["examples"] == 64


def test_a_seed_that_learns_nothing_is_flagged_and_left_out_of_the_second_mean(bert: Path, tmp_path: Path) -> None:
    still = fast_settings(sst2_folder(tmp_path), "sst2", every={**FAST, "lr": 1e-12, "epochs": 1})
    found = evaluate_to_report(bert, still, tmp_path / "report.json")["tasks"]["sst2"]
    assert "the score of a constant answer" in found["results"][0]["collapsed"][0]
    assert found["all"]["seeds"] == 1
    assert found["without_collapsed"] == {"seeds": 0, "mean": None, "std": None}


def test_a_second_call_keeps_what_is_done_and_adds_seeds(
    bert: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = sst2_folder(tmp_path, train=16)
    first = evaluate_to_report(bert, fast_settings(data, "sst2"), tmp_path / "report.json")
    capsys.readouterr()
    second = evaluate_to_report(bert, fast_settings(data, "sst2", seeds=[0, 1]), tmp_path / "report.json")
    assert capsys.readouterr().err.splitlines() == ["[1/1] SST-2, seed 1"]
    results = second["tasks"]["sst2"]["results"]
    assert results[0] == first["tasks"]["sst2"]["results"][0]
    assert [result["seed"] for result in results] == [0, 1]
    assert second["tasks"]["sst2"]["all"]["std"] is not None


def test_results_of_another_recipe_or_model_are_never_mixed_in(bert: Path, tmp_path: Path) -> None:
    data, output = sst2_folder(tmp_path, train=16), tmp_path / "report.json"
    evaluate_to_report(bert, fast_settings(data, "sst2"), output)
    with pytest.raises(UserError, match="holds SST-2 of seed 0 with another recipe or other data"):
        evaluate_to_report(bert, fast_settings(data, "sst2", every={**FAST, "lr": 5e-5}), output)
    with pytest.raises(UserError, match="holds scores of another model"):
        evaluate_to_report(tiny_bert(tmp_path / "other", seed=1), fast_settings(data, "sst2"), output)


def test_the_diagnostic_set_is_scored_by_the_same_fine_tuning_as_mnli(
    bert: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = evaluate_to_report(
        bert, fast_settings(mnli_folder(tmp_path), "mnli", "diagnostics"), tmp_path / "report.json"
    )["tasks"]
    assert capsys.readouterr().err.splitlines() == ["[1/1] MNLI, seed 0"]
    assert {"accuracy", "mismatched_accuracy"} == set(found["mnli"]["results"][0]["scores"])
    categories = found["diagnostics"]["results"][0]["categories"]
    assert {name: scores["examples"] for name, scores in categories.items()} == {
        "Logic": 12,
        "Logic: Negation": 12,
        "Logic: Universal": 6,
    }


@pytest.mark.parametrize("task", ["swag", "piqa", "tracie", "squad1"])
def test_published_samples_fine_tune_and_score(task: str, bert: Path, shared_fixtures: Path, tmp_path: Path) -> None:
    share = {task: {"holdout": 0.3}}
    short = fast_settings(
        shared_fixtures / "text",
        task,
        every={**FAST, "epochs": 1, "max_length": 100, **({"stride": 40} if task == "squad1" else {})},
        recipes=share,
        max_train=16,
        max_eval=16,
    )
    found = evaluate_to_report(bert, short, tmp_path / "report.json")["tasks"][task]
    assert set(found["results"][0]["scores"]) == ({"exact", "f1"} if task == "squad1" else {"accuracy"})
    assert any("is divided" in note for note in found["data"]["notes"])


def test_squad2_scores_questions_with_and_without_answers_apart(bert: Path, tmp_path: Path) -> None:
    context = "the red ball is in the box."
    pairs = [
        {"id": "a", "question": "what is red?", "answers": [{"text": "ball", "answer_start": 8}]},
        {"id": "b", "question": "who walks?", "answers": []},
    ]
    for split in ("train", "dev"):
        named = [{**pair, "id": f"{pair['id']}{n}"} for n in range(3) for pair in pairs]
        write_squad(tmp_path / "squad2" / f"{split}-v2.0.json", [(context, named)])
    own = fast_settings(tmp_path, "squad2", every={**FAST, "stride": 4})
    result = evaluate_to_report(bert, own, tmp_path / "report.json")["tasks"]["squad2"]["results"][0]
    assert {"answerable_f1", "unanswerable_exact"} < set(result["scores"])
    assert result["floor"] == 50


def test_two_evaluations_do_not_write_one_report(bert: Path, tmp_path: Path) -> None:
    output = tmp_path / "report.json"
    with FileLock(f"{output}.lock"), pytest.raises(UserError, match="another `train-vidlankd evaluate` is writing"):
        evaluate_to_report(bert, fast_settings(sst2_folder(tmp_path), "sst2"), output)


def test_reports_state_the_precision_that_auto_selects(bert: Path, tmp_path: Path) -> None:
    data, output = sst2_folder(tmp_path, train=8, dev=2), tmp_path / "report.json"
    short = {**FAST, "epochs": 1}
    found = evaluate_to_report(bert, fast_settings(data, "sst2", every=short), output)
    assert found["settings"]["compute"]["precision"] == "fp32"
    same = fast_settings(data, "sst2", every=short, compute={"device": "cpu", "precision": "fp32"})
    assert evaluate_to_report(bert, same, output)["tasks"] == found["tasks"]
    with pytest.raises(UserError, match="holds SST-2 of seed 0 with another recipe"):
        evaluate_to_report(
            bert, fast_settings(data, "sst2", every=short, compute={"device": "cpu", "precision": "bf16"}), output
        )


def test_a_task_that_the_hub_lacks_is_reported_before_the_model_is_opened(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^data=hub: the hub has no labelled copy of TRACIE; set folders\.tracie"):
        evaluate_to_report(tmp_path / "nowhere", fast_settings(Path("hub"), "tracie"), tmp_path / "report.json")


def test_a_foreign_output_file_is_left_alone(bert: Path, tmp_path: Path) -> None:
    (tmp_path / "report.json").write_text('{"other": 1}')
    with pytest.raises(UserError, match="holds something else than a language report"):
        evaluate_to_report(bert, fast_settings(sst2_folder(tmp_path), "sst2"), tmp_path / "report.json")
    assert json.loads((tmp_path / "report.json").read_text()) == {"other": 1}


def test_an_output_that_cannot_be_written_is_refused_before_training(bert: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"--output .*: can't be written"):
        evaluate_to_report(bert, fast_settings(sst2_folder(tmp_path), "sst2"), tmp_path)
