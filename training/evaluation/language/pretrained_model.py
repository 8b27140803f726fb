"""The model to evaluate: a folder of transformers, checked before any data is read, then opened with a new head.

    check_model(folder, recipe)
    model, tokenizer = with_head(folder, task, recipe)

A truncated, damaged or incomplete folder is refused in one line; Python code in it is never run.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import torch

from runtime.errors import MachineError, UserError, is_machine_fault, one_line
from training.evaluation.language.finetuning_recipe import FineTuningRecipe
from training.evaluation.language.language_report import ModelSize
from training.evaluation.language.tasks.language_task import LanguageTask

_VOCABULARIES: Final = {"tokenizer.json", "vocab.txt"}
_WEIGHTS: Final = ("model*.safetensors", "pytorch_model*.bin")


def describe(folder: Path) -> ModelSize:
    """Return the architecture of a model: type, layers, width and vocabulary, as far as its configuration states them.

    Raises:
        UserError: the folder holds no model of transformers.
    """
    config = _config(folder)
    return ModelSize(
        type=getattr(config, "model_type", None),
        layers=getattr(config, "num_hidden_layers", None),
        width=getattr(config, "hidden_size", None),
        vocabulary=getattr(config, "vocab_size", None),
    )


def check_model(folder: Path, recipe: FineTuningRecipe) -> None:
    """Check that a folder holds a model and a fast tokenizer of transformers that fit each other and the recipe.

    Only the headers of the weights are read, which is enough to detect a truncated file.

    Raises:
        UserError: the folder does not.
    """
    config = _config(folder)
    _check_vocabulary(folder, _tokenizer(folder), config)
    _check_files(folder)
    positions = getattr(config, "max_position_embeddings", None)
    if positions and recipe.max_length > positions:
        raise UserError(
            f"max_length={recipe.max_length}: the model {folder} has {positions} positions; set "
            f"every.max_length={positions}" + (" and a smaller stride" if recipe.stride else "")
        )


def with_head(folder: Path, task: LanguageTask, recipe: FineTuningRecipe) -> tuple[Any, Any]:
    """Return a model with a new head for a task's kind, in fp32, and its tokenizer.

    Raises:
        UserError: the folder can't be used, or its weights lack a part of the model.
    """
    from transformers import (
        AutoModelForMultipleChoice,
        AutoModelForQuestionAnswering,
        AutoModelForSequenceClassification,
    )

    check_model(folder, recipe)
    head = {
        "label": AutoModelForSequenceClassification,
        "choice": AutoModelForMultipleChoice,
        "span": AutoModelForQuestionAnswering,
    }[task.kind]
    classes = {"num_labels": len(task.labels)} if task.kind == "label" else {}
    with _opening(folder):
        model, loading = head.from_pretrained(
            folder,
            output_loading_info=True,
            ignore_mismatched_sizes=True,
            dtype=torch.float32,
            trust_remote_code=False,
            **classes,
        )
    _check_whole(folder, model, loading)
    return model, _tokenizer(folder)


def _config(folder: Path) -> Any:
    from transformers import AutoConfig

    with _opening(folder):
        return AutoConfig.from_pretrained(folder, trust_remote_code=False)


def _tokenizer(folder: Path) -> Any:
    """Return the tokenizer of a folder's own files; without any, transformers would invent one with no words."""
    from transformers import AutoTokenizer

    with _opening(folder):
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    named = _VOCABULARIES | set(getattr(tokenizer, "vocab_files_names", {}).values())
    if not any((folder / name).is_file() for name in named):
        raise UserError(
            f"model {folder}: holds no tokenizer ({' or '.join(sorted(_VOCABULARIES))}); copy the files of the one "
            "that it was trained with into the folder"
        )
    return tokenizer


@contextmanager
def _opening(folder: Path) -> Iterator[None]:
    """Convert the exceptions of transformers about a foreign, damaged or incomplete folder to one line."""
    try:
        yield
    except Exception as error:  # many types: of safetensors, pickle, dataclasses, bare ones of tokenizers
        said = one_line(error, named=True)
        if is_machine_fault(error) or isinstance(error, torch.OutOfMemoryError):
            raise MachineError(f"model {folder}: {said}") from error
        if "trust_remote_code" in str(error):
            raise UserError(
                f"model {folder}: asks to run its own Python code, which is never done; use a model of an "
                "architecture that transformers has"
            ) from error
        raise UserError(
            f"model {folder}: not a whole model folder of transformers ({said}); fetch or copy it again; of a student, "
            "`train-vidlankd export` writes one"
        ) from error


def _check_vocabulary(folder: Path, tokenizer: Any, config: Any) -> None:
    if not getattr(tokenizer, "is_fast", False):
        raise UserError(f"model {folder}: its tokenizer has no fast form, which is needed for the positions of answers")
    known, rows = len(tokenizer), getattr(config, "vocab_size", None)
    if not isinstance(rows, int):
        raise UserError(f"model {folder}: not a language model (its config.json has no vocab_size)")
    if known > rows or 2 * known < rows or known <= len(set(tokenizer.all_special_ids)):
        raise UserError(
            f"model {folder}: the tokenizer has {known} tokens, the model {rows}; they do not fit each other"
        )


def _check_files(folder: Path) -> None:
    """Check that there are weights, and that those in safetensors are as long as their headers say."""
    from safetensors import safe_open

    files = [path for pattern in _WEIGHTS for path in sorted(folder.glob(pattern))]
    if not files:
        raise UserError(f"model {folder}: holds no weights ({' or '.join(_WEIGHTS)})")
    for path in files:
        if path.suffix == ".safetensors":
            with _opening(folder), safe_open(path, framework="pt"):
                pass


def _check_whole(folder: Path, model: Any, loading: dict[str, Any]) -> None:
    """Refuse weights that lack more than the head and the pooler: transformers fills the rest with random numbers."""
    body = f"{model.base_model_prefix}."
    mismatched = [entry[0] for entry in loading.get("mismatched_keys", ())]
    lacking = [
        name for name in [*loading["missing_keys"], *mismatched] if name.startswith(body) and ".pooler." not in name
    ]
    if lacking:
        raise UserError(
            f"model {folder}: its weights lack {len(lacking)} tensors of the model ({sorted(lacking)[0]}, …); export "
            "it again"
        )
