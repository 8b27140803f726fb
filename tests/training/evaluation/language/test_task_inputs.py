"""Inputs of the language tasks: windows of contexts, padded texts and choices."""

from __future__ import annotations

from pathlib import Path

from support.language_tasks import question_about
from transformers import AutoTokenizer

from training.evaluation.language.finetuning_recipe import FineTuningRecipe
from training.evaluation.language.language_settings import LanguageSettings
from training.evaluation.language.task_inputs import ChoiceInputs, LabelledInputs, windows
from training.evaluation.language.tasks.task_examples import AnswerSpan, Choice, Labelled, Question


def test_windows_cover_a_long_context_and_hold_the_answer_at_its_index(bert: Path) -> None:
    context = "the cat and the dog walk. " * 12 + "the ball is yellow. " + "a man cut paper. " * 12
    tokenizer = AutoTokenizer.from_pretrained(bert)
    found = windows([question_about("q", context, "yellow")], tokenizer, FineTuningRecipe(max_length=48, stride=16))
    assert len(found) > 3
    assert all(len(window.inputs["input_ids"]) <= 48 for window in found)
    holding = [window for window in found if window.start]
    assert holding
    for window in holding:
        assert context[window.span_L2[window.start, 0] : window.span_L2[window.end, 1]] == "yellow"


def test_windows_begin_a_stride_apart_as_in_the_released_scripts(bert: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(bert)
    context = " ".join(["red"] * 900)
    found = windows([question_about("q", context, None)], tokenizer, LanguageSettings().recipe("squad1"))
    assert len(found) == 6  # 0, 128, …, 640: with a question of seven tokens a window holds 374
    begins = [int(window.span_L2[window.span_L2[:, 0] >= 0][0, 0]) // len("red ") for window in found]
    assert begins == [0, 128, 256, 384, 512, 640]


def test_windows_do_not_overlap_and_leave_nothing_out_if_the_stride_is_longer(bert: Path) -> None:
    context = " ".join(["red"] * 60)
    found = windows(
        [question_about("q", context, None)],
        AutoTokenizer.from_pretrained(bert),
        FineTuningRecipe(max_length=30, stride=22),
    )
    covered = [tuple(span) for window in found for span in window.span_L2.tolist() if span[0] >= 0]
    assert [begin for begin, _ in covered] == [4 * word for word in range(60)]


def test_a_question_longer_than_a_window_is_cut_and_leaves_room(bert: Path) -> None:
    long = Question("q", "the ball is red.", "why " * 200, (AnswerSpan("red", 12),), "c")
    found = windows([long], AutoTokenizer.from_pretrained(bert), FineTuningRecipe(max_length=40, stride=8))
    assert [window.start > 0 for window in found] == [True]


def test_pairs_and_choices_are_padded_to_the_longest_and_cut_at_the_limit(bert: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(bert)
    pairs = [Labelled("a", "red", "ball " * 50, 0, "a"), Labelled("b", "red", "ball", 1, "b")]
    assert LabelledInputs(tokenizer, 20)(pairs)["input_ids"].shape == (2, 20)
    choices = [Choice("a", "the man", ("walk", "run fast", "fall"), 2, "a")] * 2
    batch = ChoiceInputs(tokenizer, 20)(choices)
    assert batch["input_ids"].shape[:2] == (2, 3)
    assert batch["labels"].tolist() == [2, 2]
