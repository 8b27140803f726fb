"""The kinds of model folders that VidLanKD writes; nothing here imports torch."""

from __future__ import annotations

from typing import Final

from training.engine.checkpoints.model_config import ModelFormat

_TOKENIZER_FILES: Final = ("tokenizer.json", "tokenizer_config.json")

STUDENT_FORMAT: Final = ModelFormat("vidlankd-student", version=1, beside=_TOKENIZER_FILES)
TEACHER_FORMAT: Final = ModelFormat("vidlankd-teacher", version=1, beside=_TOKENIZER_FILES)
