"""Fine-tuning: seeds, micro-batches, and answers that are not trained on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from support.language_tasks import question_about, tiny_bert

from training.engine.engine_settings import ComputeSettings
from training.evaluation.language.finetuning_recipe import FineTuningRecipe
from training.evaluation.language.task_finetuning import TrainingCourse, finetune
from training.evaluation.language.tasks.task_examples import MISPLACED, AnswerSpan, Labelled, Question
from training.evaluation.language.tasks.task_registry import LANGUAGE_TASKS

pytestmark = pytest.mark.slow


def labelled(count: int = 8) -> list[Labelled]:
    return [Labelled(str(n), f"the {('blue', 'red')[n % 2]} dog {n}", None, n % 2, str(n)) for n in range(count)]


def tuned(bert: Path, seed: int = 0, count: int = 20, **compute: Any) -> TrainingCourse:
    recipe = FineTuningRecipe(lr=3e-3, batch_size=8, epochs=2, max_length=16)
    found = finetune(
        bert,
        LANGUAGE_TASKS["sst2"],
        labelled(count),
        recipe,
        seed=seed,
        compute=ComputeSettings(**compute),
        device=torch.device("cpu"),
    )
    return found.course


def test_a_seed_repeats_itself_and_another_differs(bert: Path) -> None:
    first, again, other = tuned(bert, 0), tuned(bert, 0), tuned(bert, 1)
    assert (first.first_loss, first.last_loss) == (again.first_loss, again.last_loss)
    assert first.first_loss != other.first_loss


@pytest.mark.parametrize("count", [20, 21])
def test_micro_batches_train_as_the_whole_batch_does(count: int, tmp_path: Path) -> None:
    calm = tiny_bert(tmp_path / "bert", dropout=0.0)
    whole, pieces = tuned(calm, count=count), tuned(calm, count=count, micro_batch=4)
    assert pieces.steps == whole.steps == 6
    assert pieces.first_loss == pytest.approx(whole.first_loss, rel=1e-4)
    assert pieces.last_loss == pytest.approx(whole.last_loss, rel=1e-4)


def test_misplaced_answers_are_not_trained_on(bert: Path) -> None:
    wrong = Question("q", "the ball is red.", "what?", (AnswerSpan("blue", MISPLACED),), "c")
    right = question_about("r", "the ball is red.", "red")
    trained = finetune(
        bert,
        LANGUAGE_TASKS["squad1"],
        [wrong, right],
        FineTuningRecipe(batch_size=1, epochs=1, max_length=32, stride=8),
        seed=0,
        compute=ComputeSettings(),
        device=torch.device("cpu"),
    )
    assert trained.course.steps == 1
