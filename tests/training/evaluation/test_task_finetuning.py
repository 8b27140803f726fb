"""Fine-tuning on language tasks: it learns, repeats itself, resumes, and refuses models that don't fit."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from filelock import FileLock
from rich.console import Console
from safetensors.torch import load_file, save_file
from support.language_tasks import mnli_folder, sst2_folder, tiny_bert, write_squad
from support.tiny_bert import SPECIALS
from transformers import AutoTokenizer, BertTokenizer

from runtime.errors import UserError
from training.engine.engine_settings import ComputeSettings
from training.evaluation.language.answer_spans import best_answers
from training.evaluation.language.evaluate_language import evaluate_language
from training.evaluation.language.finetuning_recipe import FineTuningRecipe
from training.evaluation.language.language_settings import LanguageSettings
from training.evaluation.language.task_finetuning import TrainingCourse, finetune
from training.evaluation.language.task_inputs import ChoiceInputs, LabelledInputs, Window, windows
from training.evaluation.language.tasks.task_examples import MISPLACED, AnswerSpan, Choice, Labelled, Question
from training.evaluation.language.tasks.task_registry import LANGUAGE_TASKS

FAST = {"lr": 3e-3, "batch_size": 16, "epochs": 6, "max_length": 32}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_bert(tmp_path_factory.mktemp("model") / "bert")


def settings(data: Path, *tasks: str, **more: Any) -> LanguageSettings:
    values = {"tasks": tasks, "data": str(data), "seeds": [0], "every": FAST, "compute": {"device": "cpu"}, **more}
    return LanguageSettings.model_validate(values)


def evaluated(model: Path, asked: LanguageSettings, output: Path) -> dict[str, Any]:
    with Path("/dev/null").open("w") as nowhere:
        assert evaluate_language(str(model), asked, output, console=Console(file=nowhere)) == 0
    return json.loads(output.read_text())


def labelled(count: int = 8) -> list[Labelled]:
    return [Labelled(str(n), f"the {('blue', 'red')[n % 2]} dog {n}", None, n % 2, str(n)) for n in range(count)]


def tuned(model: Path, seed: int = 0, count: int = 20, **compute: Any) -> TrainingCourse:
    recipe = FineTuningRecipe(lr=3e-3, batch_size=8, epochs=2, max_length=16)
    found = finetune(
        model,
        LANGUAGE_TASKS["sst2"],
        labelled(count),
        recipe,
        seed=seed,
        compute=ComputeSettings(**compute),
        device=torch.device("cpu"),
    )
    return found.course


def asked(key: str, context: str, text: str | None) -> Question:
    answers = () if text is None else (AnswerSpan(text, context.index(text)),)
    return Question(key, context, "what colour is the ball?", answers, context)


def test_a_learnable_task_is_learned_and_its_report_says_by_how_much(model: Path, tmp_path: Path) -> None:
    found = evaluated(model, settings(sst2_folder(tmp_path), "sst2"), tmp_path / "report.json")["tasks"]["sst2"]
    assert found["all"]["mean"] > 90
    assert found["results"][0]["floor"] == 50
    assert found["results"][0]["collapsed"] == []
    assert found["data"]["splits"]["train"]["examples"] == 64


def test_a_seed_repeats_itself_and_another_differs(model: Path) -> None:
    first, again, other = tuned(model, 0), tuned(model, 0), tuned(model, 1)
    assert (first.first_loss, first.last_loss) == (again.first_loss, again.last_loss)
    assert first.first_loss != other.first_loss


@pytest.mark.parametrize("count", [20, 21])
def test_micro_batches_train_as_the_whole_batch_does(count: int, tmp_path: Path) -> None:
    calm = tiny_bert(tmp_path / "bert", dropout=0.0)
    whole, pieces = tuned(calm, count=count), tuned(calm, count=count, micro_batch=4)
    assert pieces.steps == whole.steps == 6
    assert pieces.first_loss == pytest.approx(whole.first_loss, rel=1e-4)
    assert pieces.last_loss == pytest.approx(whole.last_loss, rel=1e-4)


def test_a_seed_that_learns_nothing_is_flagged_and_left_out_of_the_second_mean(model: Path, tmp_path: Path) -> None:
    still = settings(sst2_folder(tmp_path), "sst2", every={**FAST, "lr": 1e-12, "epochs": 1})
    found = evaluated(model, still, tmp_path / "report.json")["tasks"]["sst2"]
    assert "the score of a constant answer" in found["results"][0]["collapsed"][0]
    assert found["all"]["seeds"] == 1
    assert found["without_collapsed"] == {"seeds": 0, "mean": None, "std": None}


def test_a_second_call_keeps_what_is_done_and_adds_seeds(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = sst2_folder(tmp_path, train=16)
    first = evaluated(model, settings(data, "sst2"), tmp_path / "report.json")
    capsys.readouterr()
    second = evaluated(model, settings(data, "sst2", seeds=[0, 1]), tmp_path / "report.json")
    assert capsys.readouterr().err.splitlines() == ["[1/1] SST-2, seed 1"]
    results = second["tasks"]["sst2"]["results"]
    assert results[0] == first["tasks"]["sst2"]["results"][0]
    assert [result["seed"] for result in results] == [0, 1]
    assert second["tasks"]["sst2"]["all"]["std"] is not None


def test_results_of_another_recipe_or_model_are_never_mixed_in(model: Path, tmp_path: Path) -> None:
    data, output = sst2_folder(tmp_path, train=16), tmp_path / "report.json"
    evaluated(model, settings(data, "sst2"), output)
    with pytest.raises(UserError, match="holds SST-2 of seed 0 with another recipe or other data"):
        evaluated(model, settings(data, "sst2", every={**FAST, "lr": 5e-5}), output)
    with pytest.raises(UserError, match="holds scores of another model"):
        evaluated(tiny_bert(tmp_path / "other", seed=1), settings(data, "sst2"), output)


def test_the_diagnostic_set_is_scored_by_the_same_fine_tuning_as_mnli(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = evaluated(model, settings(mnli_folder(tmp_path), "mnli", "diagnostics"), tmp_path / "report.json")["tasks"]
    assert capsys.readouterr().err.splitlines() == ["[1/1] MNLI, seed 0"]
    assert {"accuracy", "mismatched_accuracy"} == set(found["mnli"]["results"][0]["scores"])
    categories = found["diagnostics"]["results"][0]["categories"]
    assert {name: scores["examples"] for name, scores in categories.items()} == {
        "Logic": 12,
        "Logic: Negation": 12,
        "Logic: Universal": 6,
    }


@pytest.mark.parametrize("task", ["swag", "piqa", "tracie", "squad1"])
def test_published_samples_fine_tune_and_score(task: str, model: Path, shared_fixtures: Path, tmp_path: Path) -> None:
    share = {task: {"holdout": 0.3}}
    short = settings(
        shared_fixtures / "text",
        task,
        every={**FAST, "epochs": 1, "max_length": 100, **({"stride": 40} if task == "squad1" else {})},
        recipes=share,
        max_train=16,
        max_eval=16,
    )
    found = evaluated(model, short, tmp_path / "report.json")["tasks"][task]
    assert set(found["results"][0]["scores"]) == ({"exact", "f1"} if task == "squad1" else {"accuracy"})
    assert any("is divided" in note for note in found["data"]["notes"])


def test_squad2_scores_questions_with_and_without_answers_apart(model: Path, tmp_path: Path) -> None:
    context = "the red ball is in the box."
    pairs = [
        {"id": "a", "question": "what is red?", "answers": [{"text": "ball", "answer_start": 8}]},
        {"id": "b", "question": "who walks?", "answers": []},
    ]
    for split in ("train", "dev"):
        named = [{**pair, "id": f"{pair['id']}{n}"} for n in range(3) for pair in pairs]
        write_squad(tmp_path / "squad2" / f"{split}-v2.0.json", [(context, named)])
    own = settings(tmp_path, "squad2", every={**FAST, "stride": 4})
    result = evaluated(model, own, tmp_path / "report.json")["tasks"]["squad2"]["results"][0]
    assert {"answerable_f1", "unanswerable_exact"} < set(result["scores"])
    assert result["floor"] == 50


def test_windows_cover_a_long_context_and_hold_the_answer_where_they_say(model: Path) -> None:
    context = "the cat and the dog walk. " * 12 + "the ball is yellow. " + "a man cut paper. " * 12
    tokenizer = AutoTokenizer.from_pretrained(model)
    found = windows([asked("q", context, "yellow")], tokenizer, FineTuningRecipe(max_length=48, stride=16))
    assert len(found) > 3
    assert all(len(window.inputs["input_ids"]) <= 48 for window in found)
    holding = [window for window in found if window.start]
    assert holding
    for window in holding:
        assert context[window.span_L2[window.start, 0] : window.span_L2[window.end, 1]] == "yellow"


def test_windows_begin_a_stride_apart_as_in_the_released_scripts(model: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(model)
    context = " ".join(["red"] * 900)
    found = windows([asked("q", context, None)], tokenizer, LanguageSettings().recipe("squad1"))
    assert len(found) == 6  # 0, 128, …, 640: with a question of seven tokens a window holds 374
    begins = [int(window.span_L2[window.span_L2[:, 0] >= 0][0, 0]) // len("red ") for window in found]
    assert begins == [0, 128, 256, 384, 512, 640]


def test_windows_share_nothing_and_leave_nothing_out_where_the_stride_is_longer(model: Path) -> None:
    context = " ".join(["red"] * 60)
    found = windows(
        [asked("q", context, None)], AutoTokenizer.from_pretrained(model), FineTuningRecipe(max_length=30, stride=22)
    )
    covered = [tuple(span) for window in found for span in window.span_L2.tolist() if span[0] >= 0]
    assert [begin for begin, _ in covered] == [4 * word for word in range(60)]


def test_logits_at_the_right_place_give_the_right_answer_over_windows(model: Path) -> None:
    context = "the cat and the dog walk. " * 12 + "the ball is yellow. " + "a man cut paper. " * 12
    questions = [asked("q", context, "yellow"), asked("none", "a man cut paper.", None)]
    found = windows(questions, AutoTokenizer.from_pretrained(model), FineTuningRecipe(max_length=48, stride=16))
    logits = []
    for window in found:
        start_L, end_L = np.zeros(60), np.zeros(60)  # longer than the window, as padded logits are
        start_L[window.start], end_L[window.end] = 5.0, 5.0
        start_L[50:], end_L[50:] = 9.0, 9.0
        logits.append((start_L, end_L))
    assert best_answers(questions, found, logits, may_abstain=True) == {"q": "yellow", "none": ""}


def shows_most(found: list[Window], begin: int) -> int:
    """The first window with most context around the token that begins there, as the released scripts count it."""
    rooms = []
    for window in found:
        begins = [span[0] for span in window.span_L2.tolist() if span[0] >= 0]
        place = begins.index(begin) if begin in begins else -1
        rooms.append(min(place, len(begins) - 1 - place) + 0.01 * len(begins) if place >= 0 else -1)
    return rooms.index(max(rooms))


@pytest.mark.parametrize("seed", range(4))
def test_best_spans_are_those_of_a_plain_search(model: Path, seed: int) -> None:
    context = "the red ball and the blue cup and a black box. " * 3
    questions = [asked("q", context, "red")]
    found = windows(questions, AutoTokenizer.from_pretrained(model), FineTuningRecipe(max_length=32, stride=8))
    draw = np.random.default_rng(seed)
    logits = [(draw.normal(size=len(w.span_L2)), draw.normal(size=len(w.span_L2))) for w in found]
    best, text = -np.inf, ""
    for number, (window, (start_L, end_L)) in enumerate(zip(found, logits, strict=True)):
        for i in range(len(start_L)):
            if window.span_L2[i, 0] < 0 or shows_most(found, window.span_L2[i, 0]) != number:
                continue
            for j in range(i, min(i + 5, len(end_L))):
                inside = window.span_L2[i, 0] >= 0 and window.span_L2[j, 0] >= 0
                if inside and start_L[i] + end_L[j] > best:
                    best = start_L[i] + end_L[j]
                    text = context[window.span_L2[i, 0] : window.span_L2[j, 1]]
    answers = best_answers(questions, found, logits, may_abstain=False, n_best=99, longest=5)
    assert answers == {"q": text}


def test_a_question_longer_than_a_window_is_cut_and_leaves_room(model: Path) -> None:
    long = Question("q", "the ball is red.", "why " * 200, (AnswerSpan("red", 12),), "c")
    found = windows([long], AutoTokenizer.from_pretrained(model), FineTuningRecipe(max_length=40, stride=8))
    assert [window.start > 0 for window in found] == [True]


def test_misplaced_answers_are_not_trained_on(model: Path) -> None:
    wrong = Question("q", "the ball is red.", "what?", (AnswerSpan("blue", MISPLACED),), "c")
    right = asked("r", "the ball is red.", "red")
    trained = finetune(
        model,
        LANGUAGE_TASKS["squad1"],
        [wrong, right],
        FineTuningRecipe(batch_size=1, epochs=1, max_length=32, stride=8),
        seed=0,
        compute=ComputeSettings(),
        device=torch.device("cpu"),
    )
    assert trained.course.steps == 1


def test_pairs_and_choices_are_padded_to_the_longest_and_cut_at_the_limit(model: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(model)
    pairs = [Labelled("a", "red", "ball " * 50, 0, "a"), Labelled("b", "red", "ball", 1, "b")]
    assert LabelledInputs(tokenizer, 20)(pairs)["input_ids"].shape == (2, 20)
    choices = [Choice("a", "the man", ("walk", "run fast", "fall"), 2, "a")] * 2
    batch = ChoiceInputs(tokenizer, 20)(choices)
    assert batch["input_ids"].shape[:2] == (2, 3)
    assert batch["labels"].tolist() == [2, 2]


def test_texts_longer_than_the_models_positions_are_refused_before_any_data_is_read(
    model: Path, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=r"max_length=200: the model .* has 128 positions; set every.max_length=128"):
        evaluated(model, settings(tmp_path, "sst2", every={"max_length": 200}), tmp_path / "report.json")


def test_a_folder_that_is_no_model_is_refused_with_the_way_to_one(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"kind": "vidlankd-student"}))
    with pytest.raises(UserError, match="`train-vidlankd export` writes one"):
        evaluated(tmp_path, settings(tmp_path, "sst2"), tmp_path / "report.json")


def test_a_model_without_tokenizer_files_is_refused_not_read_as_unknown_words(tmp_path: Path) -> None:
    bare = tiny_bert(tmp_path / "bert")
    (bare / "tokenizer.json").unlink()
    with pytest.raises(UserError, match=r"holds no tokenizer \(tokenizer\.json or vocab\.txt\)"):
        evaluated(bare, settings(tmp_path, "sst2"), tmp_path / "report.json")


def test_a_tokenizer_of_specials_only_is_refused(tmp_path: Path) -> None:
    poor = tiny_bert(tmp_path / "bert")
    BertTokenizer(vocab={name: number for number, name in enumerate(SPECIALS)}).save_pretrained(poor)
    with pytest.raises(UserError, match=r"the tokenizer has 5 tokens, the model \d+; they do not fit each other"):
        evaluated(poor, settings(tmp_path, "sst2"), tmp_path / "report.json")


def test_a_model_with_code_of_its_own_is_refused_and_nothing_is_asked(tmp_path: Path) -> None:
    foreign = tiny_bert(tmp_path / "bert")
    own = {"model_type": "own", "auto_map": {"AutoConfig": "own.OwnConfig"}}
    (foreign / "config.json").write_text(json.dumps(own))
    (foreign / "own.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    with pytest.raises(UserError, match="asks to run Python code of its own, which is never done"):
        evaluated(foreign, settings(tmp_path, "sst2"), tmp_path / "report.json")
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
def test_a_damaged_model_is_told_in_one_line_before_data_is_read(
    damage: Callable[[Path], None], tmp_path: Path
) -> None:
    broken = tiny_bert(tmp_path / "bert")
    damage(broken)
    with pytest.raises(UserError, match=r"^model .*(not a whole model folder|holds no weights)") as told:
        evaluated(broken, settings(tmp_path, "sst2"), tmp_path / "report.json")
    assert "\n" not in str(told.value)


def test_weights_that_are_no_pickle_are_told_in_one_line(tmp_path: Path) -> None:
    broken = tiny_bert(tmp_path / "bert")
    drop_weights(broken)
    (broken / "pytorch_model.bin").write_bytes(b"garbage" * 100)
    with pytest.raises(UserError, match=r"^model .*not a whole model folder of transformers \(UnpicklingError"):
        tuned(broken)


def test_weights_that_lack_a_layer_are_refused_not_filled_with_noise(tmp_path: Path) -> None:
    cut = tiny_bert(tmp_path / "bert")
    weights = load_file(cut / "model.safetensors")
    kept = {name: value for name, value in weights.items() if "layer.1." not in name}
    save_file(kept, cut / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UserError, match="its weights lack 16 tensors of the model"):
        tuned(cut)


def test_two_evaluations_do_not_write_one_report(model: Path, tmp_path: Path) -> None:
    output = tmp_path / "report.json"
    with FileLock(f"{output}.lock"), pytest.raises(UserError, match="another `train-vidlankd evaluate` is writing"):
        evaluated(model, settings(sst2_folder(tmp_path), "sst2"), output)


def test_results_are_of_the_precision_that_auto_means_here(model: Path, tmp_path: Path) -> None:
    data, output = sst2_folder(tmp_path, train=8, dev=2), tmp_path / "report.json"
    short = {**FAST, "epochs": 1}
    found = evaluated(model, settings(data, "sst2", every=short), output)
    assert found["settings"]["compute"]["precision"] == "fp32"
    same = settings(data, "sst2", every=short, compute={"device": "cpu", "precision": "fp32"})
    assert evaluated(model, same, output)["tasks"] == found["tasks"]
    with pytest.raises(UserError, match="holds SST-2 of seed 0 with another recipe"):
        evaluated(model, settings(data, "sst2", every=short, compute={"device": "cpu", "precision": "bf16"}), output)


def test_a_task_the_hub_lacks_is_told_before_the_model_is_opened(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^data=hub: the hub has no labelled copy of TRACIE; set folders\.tracie"):
        evaluated(tmp_path / "nowhere", settings(Path("hub"), "tracie"), tmp_path / "report.json")


def test_a_foreign_output_file_is_left_alone(model: Path, tmp_path: Path) -> None:
    (tmp_path / "report.json").write_text('{"other": 1}')
    with pytest.raises(UserError, match="holds something else than a language report"):
        evaluated(model, settings(sst2_folder(tmp_path), "sst2"), tmp_path / "report.json")
    assert json.loads((tmp_path / "report.json").read_text()) == {"other": 1}


def test_an_output_that_cannot_be_written_is_found_before_training(model: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"--output .*: can't be written"):
        evaluated(model, settings(sst2_folder(tmp_path), "sst2"), tmp_path)
