"""One fine-tuning: a BERT folder gets a new head, is trained by transformers' `Trainer`, and returns logits.

    tuned = finetune(model, task, examples, recipe, seed=0, compute=compute, device=device)
    logits = tuned.logits(split.examples)

The `Trainer` writes nothing, reports nowhere and uses one device: otherwise it would multiply the batch by the number
of GPUs of the machine.

Shapes: L tokens, K classes or choices.
"""

from __future__ import annotations

import contextlib
import math
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from runtime.errors import UserError
from runtime.progress_bar import Advance
from training.engine.engine_settings import ComputeSettings
from training.engine.precision import choose_precision
from training.evaluation.language.finetuning_recipe import FineTuningRecipe
from training.evaluation.language.pretrained_model import with_head
from training.evaluation.language.task_inputs import (
    ChoiceInputs,
    LabelledInputs,
    ListDataset,
    Window,
    WindowInputs,
    trainable,
    windows,
)
from training.evaluation.language.tasks.language_task import LanguageTask
from training.evaluation.language.tasks.task_examples import Example, Question

_EVAL_ROWS: Final = 4
"""Evaluation batch in training batches: it can be larger, because nothing is kept for a backward pass."""
_READINGS: Final = 20
"""Readings of the training loss over a run."""


@dataclass(frozen=True)
class TrainingCourse:
    """Steps, losses and duration of a fine-tuning."""

    steps: int
    first_loss: float
    """Mean of the first twentieth of the steps."""
    last_loss: float
    """Mean of the last twentieth."""
    seconds: float


@dataclass(frozen=True)
class FineTunedModel:
    """A fine-tuned model, ready to be scored."""

    course: TrainingCourse
    trainer: Any
    """The `Trainer`, which holds model and tokenizer."""
    task: LanguageTask
    recipe: FineTuningRecipe

    def logits(self, examples: Sequence[Example]) -> NDArray[np.floating]:
        """Return logits [N, K] of labelled texts or choices."""
        logits_NK: NDArray[np.floating] = self.trainer.predict(ListDataset(examples)).predictions
        return logits_NK

    def spans(
        self, questions: Sequence[Question]
    ) -> tuple[list[Window], list[tuple[NDArray[np.floating], NDArray[np.floating]]]]:
        """Return the windows of the questions, and start and end logits [L] of each."""
        cut = windows(questions, self.trainer.processing_class, self.recipe)
        starts, ends = self.trainer.predict(ListDataset(cut)).predictions[:2]
        return cut, list(zip(starts, ends, strict=True))


def finetune(
    folder: Path,
    task: LanguageTask,
    examples: Sequence[Example],
    recipe: FineTuningRecipe,
    *,
    seed: int,
    compute: ComputeSettings,
    device: torch.device,
    advance: Advance = lambda done, total: None,
) -> FineTunedModel:
    """Put a new head on a model and train the whole model.

    Args:
        folder: a model in transformers' format, with its tokenizer.
        task: the task, whose kind determines the head.
        examples: training examples.
        recipe: lengths and rates.
        seed: seed of the head, the order of the examples and dropout.
        compute: precision, micro-batch and the like.
        device: the CPU or the first GPU.
        advance: called after each step with the number of steps done and of all steps.

    Raises:
        UserError: the folder holds no such model, or texts of `max_length` are too long for it.
    """
    from transformers import set_seed

    if compute.threads:
        torch.set_num_threads(compute.threads)
    with _quiet(), tempfile.TemporaryDirectory() as scratch:
        set_seed(seed)
        model, tokenizer = with_head(folder, task, recipe)
        items, collate = _items(task, examples, tokenizer, recipe)
        rows = min(compute.micro_batch or recipe.batch_size, recipe.batch_size)
        arguments = _arguments(recipe, len(items), rows, seed, compute, device)
        arguments |= {"output_dir": scratch, "label_names": _label_names(task)}
        trainer = _trainer(model, tokenizer, items, collate, arguments, advance)
        began = time.monotonic()
        steps = int(trainer.train().global_step)
        return FineTunedModel(_course(trainer, steps, time.monotonic() - began), trainer, task, recipe)


def _items(
    task: LanguageTask, examples: Sequence[Example], tokenizer: Any, recipe: FineTuningRecipe
) -> tuple[ListDataset, Any]:
    if task.kind == "span":
        questions = [example for example in trainable(examples) if isinstance(example, Question)]
        if not questions:
            raise UserError(f"{task.title}: no answer of the training examples is at its answer_start")
        return ListDataset(windows(questions, tokenizer, recipe)), WindowInputs(tokenizer)
    inputs = LabelledInputs if task.kind == "label" else ChoiceInputs
    return ListDataset(examples), inputs(tokenizer, recipe.max_length)


def _arguments(
    recipe: FineTuningRecipe, examples: int, rows: int, seed: int, compute: ComputeSettings, device: torch.device
) -> dict[str, Any]:
    """Return the arguments of transformers' `TrainingArguments` for a recipe; `rows` is the micro-batch."""
    steps = math.ceil(math.ceil(examples / recipe.batch_size) * recipe.epochs)
    return {
        "per_device_train_batch_size": rows,
        "gradient_accumulation_steps": recipe.batch_size // rows,
        "per_device_eval_batch_size": _EVAL_ROWS * rows,
        "learning_rate": recipe.lr,
        "num_train_epochs": recipe.epochs,
        "lr_scheduler_type": "linear",
        "warmup_steps": math.ceil(recipe.warmup * steps),
        "weight_decay": recipe.weight_decay,
        "max_grad_norm": 1.0,
        "seed": seed,
        "data_seed": seed,
        "use_cpu": device.type == "cpu",
        "bf16": choose_precision(compute.precision, device).dtype == torch.bfloat16,
        "torch_compile": compute.compile,
        "logging_steps": max(1, steps // _READINGS),
        "logging_nan_inf_filter": False,
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
        "remove_unused_columns": False,
        "dataloader_pin_memory": device.type == "cuda",
    }


def _label_names(task: LanguageTask) -> list[str]:
    return ["start_positions", "end_positions"] if task.kind == "span" else ["labels"]


def _trainer(
    model: Any, tokenizer: Any, items: ListDataset, collate: Any, arguments: dict[str, Any], advance: Advance
) -> Any:
    """Return the `Trainer` of a model."""
    from transformers import PrinterCallback, TrainingArguments

    built = TrainingArguments(**arguments)
    built._n_gpu = min(1, built.n_gpu)  # no public setting disables DataParallel
    model.accepts_loss_kwargs = False  # BERT's loss is a mean; `WeightedTrainer` weights the micro-batches instead
    trainer = _trainer_class()(
        model=model,
        args=built,
        train_dataset=items,
        data_collator=collate,
        processing_class=tokenizer,
        callbacks=[_progress(advance)],
    )
    trainer.remove_callback(PrinterCallback)
    return trainer


def _trainer_class() -> Any:
    from transformers import Trainer

    class WeightedTrainer(Trainer):
        """A `Trainer` that weights each micro-batch by its rows: the plain mean is wrong if one is short."""

        loss_is_scaled_for_ga = True  # the weights of a step's micro-batches add up to 1

        def get_batch_samples(self, epoch_iterator: Any, num_batches: int, device: torch.device) -> tuple[Any, Any]:
            batches, _ = super().get_batch_samples(epoch_iterator, num_batches, device)
            return batches, sum(_rows(batch) for batch in batches)

        def compute_loss(
            self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
        ) -> Any:
            share = _rows(inputs) / num_items_in_batch if num_items_in_batch else 1.0
            loss, outputs = super().compute_loss(model, inputs, return_outputs=True)
            return (share * loss, outputs) if return_outputs else share * loss

    return WeightedTrainer


def _rows(batch: Any) -> int:
    return len(batch["input_ids"])


def _progress(advance: Advance) -> Any:
    from transformers import TrainerCallback

    class Progress(TrainerCallback):
        """Advances the progress bar after every step."""

        def on_step_end(self, args: Any, state: Any, control: Any, **more: Any) -> None:
            advance(state.global_step, state.max_steps)

    return Progress()


def _course(trainer: Any, steps: int, seconds: float) -> TrainingCourse:
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    assert losses, "the Trainer logs at least once"
    return TrainingCourse(steps, float(losses[0]), float(losses[-1]), round(seconds, 2))


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence transformers: it warns of every new head, and its progress bars would break ours."""
    from transformers.utils import logging

    before, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(before)
        if bars:
            logging.enable_progress_bar()
