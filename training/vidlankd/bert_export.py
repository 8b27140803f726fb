"""Export of a trained language model as a plain Hugging Face BERT folder, for `transformers` and tools built on it.

    train-vidlankd export --checkpoint RUN/best --output OUTPUT
    AutoModelForMaskedLM.from_pretrained("OUTPUT"), AutoTokenizer.from_pretrained("OUTPUT")

The heads and the queue of a student, and the video tower of a teacher, are not exported.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from runtime.errors import UserError
from shards.storage.files import empty_or_new_folder
from training.engine.checkpoints.model_config import CONFIG, format_of
from training.engine.checkpoints.run_folder import BEST, newest_checkpoint
from training.models.vidlankd.kd_model_formats import STUDENT_FORMAT, TEACHER_FORMAT

if TYPE_CHECKING:
    from transformers import BertForMaskedLM

    from training.models.vidlankd.text_tokenizer import TextTokenizer

_KINDS: Final = (STUDENT_FORMAT.name, TEACHER_FORMAT.name)


def export(checkpoint: Path, output: Path) -> None:
    """Write the language model of a student or a teacher, and its tokenizer, in the format of `transformers`.

    Args:
        checkpoint: a checkpoint, a run's `best`, or a run's folder (its best checkpoint, or its newest).
        output: a folder that does not exist yet or is empty.

    Raises:
        UserError: `checkpoint` holds neither a student nor a teacher, or `output` is not empty or can't be made.
    """
    folder = _model_folder(checkpoint)
    with _new_output(output) as partial:
        model, tokenizer = _language_model(folder)
        model.save_pretrained(partial)
        tokenizer.save(partial)
        _bound_length(partial / "tokenizer_config.json", model.config.max_position_embeddings)


@contextmanager
def _new_output(output: Path) -> Iterator[Path]:
    """Yield an empty folder that becomes `output`.

    Raises:
        UserError: `output` is not empty or can't be written.
    """
    try:
        if output.exists() and not (output.is_dir() and not any(output.iterdir())):
            raise UserError(f"--output {output}: is a file or a folder that is not empty; name a new folder")
        with empty_or_new_folder(output.resolve()) as partial:
            yield partial
    except OSError as error:
        reason = error.strerror or error
        raise UserError(f"--output {output}: can't be made ({reason}); name a folder that can be written") from None


def _bound_length(config: Path, positions: int) -> None:
    """Make the tokenizer cut texts at the model's number of positions."""
    values = json.loads(config.read_text(encoding="utf-8")) | {"model_max_length": positions}
    config.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")


def _model_folder(checkpoint: Path) -> Path:
    """Return the folder that holds the model."""
    if format_of(checkpoint) in _KINDS:
        return checkpoint
    if format_of(checkpoint / BEST) in _KINDS:
        return checkpoint / BEST
    folder = newest_checkpoint(checkpoint)
    if folder is not None and format_of(folder) in _KINDS:
        return folder
    raise UserError(
        f"export of {checkpoint}: holds no student and no teacher (a folder with {CONFIG} and weights); name a "
        "folder that `train-vidlankd student` or `train-vidlankd teacher` wrote"
    )


def _language_model(folder: Path) -> tuple[BertForMaskedLM, TextTokenizer]:
    from training.models.vidlankd.student_model import load_student
    from training.models.vidlankd.teacher_model import load_teacher

    if format_of(folder) == STUDENT_FORMAT.name:
        student, tokenizer = load_student(folder)
        return student.text, tokenizer
    teacher, tokenizer = load_teacher(folder)
    return teacher.text, tokenizer
