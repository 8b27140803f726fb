"""A run of ``train-vidla finetune``: a benchmark's videos with texts, or with classes, instead of shards.

Settings: `training.vidla.finetuning.finetuning_recipes`. The loop and all that it needs are those of pretraining.
A new kind of finetuning is one module with a function that prepares the run, and one line in `KINDS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from training.engine.parallel.distributed import Ranks
from training.engine.run_setup import PreparedRun, prepare_ranks, run_loop
from training.models.vidla.initial_weights import build_model
from training.models.vidla.two_tower import VidLA
from training.vidla.finetuning.classification_finetuning import prepare_classification
from training.vidla.finetuning.finetuning_recipes import Kind
from training.vidla.finetuning.finetuning_request import FinetuningRequest
from training.vidla.finetuning.retrieval_finetuning import prepare_retrieval

KINDS: Final[Mapping[Kind, Callable[[FinetuningRequest, VidLA, Ranks], PreparedRun]]] = {
    "retrieval": prepare_retrieval,
    "classification": prepare_classification,
}
"""The function that prepares a run, by kind of benchmark."""


def run_finetuning(request: FinetuningRequest, resume: str) -> int:
    """Finetune as `request` says; return the exit status.

    Args:
        request: benchmark and settings.
        resume: see `training.engine.training_loop.train`.

    Raises:
        UserError: a setting does not fit the benchmark or the model; before the first step.
        NonFiniteLoss: a loss is infinite or not a number.
    """
    ranks = prepare_ranks(request.settings, request.output)
    model = build_model(request.settings.model, request.settings.loss.kind)
    return run_loop(KINDS[request.recipe.kind](request, model, ranks), resume)
