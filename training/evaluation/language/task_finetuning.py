"""One fine-tuning: a BERT folder with a new head, trained by transformers' `Trainer`, then asked for its logits.

    tuned = finetune(model, task, examples, recipe, seed=0, compute=compute, device=device)
    logits = tuned.logits(split.examples)

The `Trainer` writes nothing, reports to nobody and uses one device: on a machine with several GPUs it would else
multiply the batch by their number.

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
from training.evaluation.language.language_settings import Recipe
from training.evaluation.language.pretrained_model import with_head
from training.evaluation.language.task_inputs import (
    ChoiceInputs,
    LabelledInputs,
    Listed,
    Window,
    WindowInputs,
    trainable,
    windows,
)
from training.evaluation.language.tasks.task_examples import Example, Question
from training.evaluation.language.tasks.task_registry import Task

_EVAL_ROWS: Final = 4  # an evaluation batch, in training batches: nothing is kept for a backward pass
_READINGS: Final = 20  # of the training loss, over a run


@dataclass(frozen=True)
class Training:
    """How a fine-tuning went."""

    steps: int
    first_loss: float
    """Mean of the first twentieth of the steps."""
    last_loss: float
    """Mean of the last twentieth."""
    seconds: float


@dataclass(frozen=True)
class Tuned:
    """A fine-tuned model, ready to be scored."""

    training: Training
    trainer: Any
    task: Task
    recipe: Recipe

    def logits(self, examples: Sequence[Example]) -> NDArray[np.floating]:
        """Logits [N, K] of labelled texts or choices."""
        found: NDArray[np.floating] = self.trainer.predict(Listed(examples)).predictions
        return found

    def spans(
        self, questions: Sequence[Question]
    ) -> tuple[list[Window], list[tuple[NDArray[np.floating], NDArray[np.floating]]]]:
        """Windows of the questions, and start and end logits [L] of each."""
        found = windows(questions, self.trainer.processing_class, self.recipe)
        starts, ends = self.trainer.predict(Listed(found)).predictions[:2]
        return found, list(zip(starts, ends, strict=True))


def finetune(
    folder: Path,
    task: Task,
    examples: Sequence[Example],
    recipe: Recipe,
    *,
    seed: int,
    compute: ComputeSettings,
    device: torch.device,
    advance: Advance = lambda done, total: None,
) -> Tuned:
    """Put a new head on a model and train all of it.

    Args:
        folder: a model in transformers' format, with its tokenizer.
        task: its kind decides the head.
        examples: what to train on.
        recipe: lengths and rates.
        seed: of the head, the order and dropout.
        compute: precision, micro-batch and the like.
        device: where to train; the processor or the first GPU.
        advance: called after each step with the steps done and all steps.

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
        trainer = _trainer(model, tokenizer, items, collate, recipe, seed, compute, device, Path(scratch), advance)
        began = time.monotonic()
        steps = int(trainer.train().global_step)
        return Tuned(_training(trainer, steps, time.monotonic() - began), trainer, task, recipe)


def _items(task: Task, examples: Sequence[Example], tokenizer: Any, recipe: Recipe) -> tuple[Listed, Any]:
    if task.kind == "span":
        questions = [example for example in trainable(examples) if isinstance(example, Question)]
        if not questions:
            raise UserError(f"{task.title}: no answer of the training examples stands at its answer_start")
        return Listed(windows(questions, tokenizer, recipe)), WindowInputs(tokenizer)
    inputs = LabelledInputs if task.kind == "label" else ChoiceInputs
    return Listed(examples), inputs(tokenizer, recipe.max_length)


def _trainer(
    model: Any,
    tokenizer: Any,
    items: Listed,
    collate: Any,
    recipe: Recipe,
    seed: int,
    compute: ComputeSettings,
    device: torch.device,
    scratch: Path,
    advance: Advance,
) -> Any:
    from transformers import PrinterCallback, TrainingArguments

    rows = min(compute.micro_batch or recipe.batch_size, recipe.batch_size)
    steps = math.ceil(math.ceil(len(items) / recipe.batch_size) * recipe.epochs)
    arguments = TrainingArguments(
        output_dir=str(scratch),
        per_device_train_batch_size=rows,
        gradient_accumulation_steps=recipe.batch_size // rows,
        per_device_eval_batch_size=_EVAL_ROWS * rows,
        learning_rate=recipe.lr,
        num_train_epochs=recipe.epochs,
        lr_scheduler_type="linear",
        warmup_steps=math.ceil(recipe.warmup * steps),
        weight_decay=recipe.weight_decay,
        max_grad_norm=1.0,
        seed=seed,
        data_seed=seed,
        use_cpu=device.type == "cpu",
        bf16=choose_precision(compute.precision, device).dtype == torch.bfloat16,
        torch_compile=compute.compile,
        logging_steps=max(1, steps // _READINGS),
        logging_nan_inf_filter=False,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        remove_unused_columns=False,
        dataloader_pin_memory=device.type == "cuda",
        label_names=["start_positions", "end_positions"] if isinstance(collate, WindowInputs) else ["labels"],
    )
    arguments._n_gpu = min(1, arguments.n_gpu)  # no public setting keeps DataParallel off
    model.accepts_loss_kwargs = False  # BERT's loss is a mean; what a micro-batch counts is ours to say
    trainer = _trainer_class()(
        model=model,
        args=arguments,
        train_dataset=items,
        data_collator=collate,
        processing_class=tokenizer,
        callbacks=[_progress(advance)],
    )
    trainer.remove_callback(PrinterCallback)
    return trainer


def _trainer_class() -> Any:
    from transformers import Trainer

    class ByRows(Trainer):
        """Weighs each micro-batch by its rows: the Trainer's mean of their means is another loss where one is short."""

        loss_is_scaled_for_ga = True  # the weights of a step's micro-batches have the sum 1

        def get_batch_samples(self, epoch_iterator: Any, num_batches: int, device: torch.device) -> tuple[Any, Any]:
            batches, _ = super().get_batch_samples(epoch_iterator, num_batches, device)
            return batches, sum(_rows(batch) for batch in batches)

        def compute_loss(
            self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
        ) -> Any:
            share = _rows(inputs) / num_items_in_batch if num_items_in_batch else 1.0
            loss, outputs = super().compute_loss(model, inputs, return_outputs=True)
            return (share * loss, outputs) if return_outputs else share * loss

    return ByRows


def _rows(batch: Any) -> int:
    return len(batch["input_ids"])


def _progress(advance: Advance) -> Any:
    from transformers import TrainerCallback

    class Progress(TrainerCallback):
        """Tells the bar of every step."""

        def on_step_end(self, args: Any, state: Any, control: Any, **more: Any) -> None:
            advance(state.global_step, state.max_steps)

    return Progress()


def _training(trainer: Any, steps: int, seconds: float) -> Training:
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    assert losses, "the Trainer logs at least once"
    return Training(steps, float(losses[0]), float(losses[-1]), round(seconds, 2))


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence transformers: it tells of every new head as of a fault, and its bars would break ours."""
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
