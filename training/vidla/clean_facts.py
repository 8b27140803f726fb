"""The record of a trained model that says which benchmarks its training data was cleaned of.

`train-vidla` keeps it in ``config.json``; `eval-vidla` prints a line from it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, Literal

from runtime.errors import UserError
from training.data.data_settings import DataSettings
from training.data.sources.clean_of import clean_of
from training.engine.checkpoints.model_config import local_folder
from training.models.vidla.vidla_folder import is_export, read_config

CLEAN_OF: Final = "clean_of"


def clean_facts(init: str, data: DataSettings) -> dict[str, Any]:
    """Return the record of a run: benchmarks that its data, and those of the model it starts from, were cleaned of.

    Args:
        init: weights that the run starts from; what CLIP was trained on is not looked at.
        data: of the run.

    Returns:
        Empty if it is unknown.
    """
    cleaned = clean_of(data)
    if cleaned is None:
        return {}
    if "://" in init and is_export(folder := local_folder(init)):
        before = _recorded(folder)
        if before is None:
            return {}
        cleaned &= before
    return {CLEAN_OF: sorted(cleaned)}


def is_clean_of(checkpoint: str, benchmark: str) -> Literal["yes", "no", "unknown"]:
    """Return whether a model was trained on data that was cleaned of a benchmark, by the record in its folder."""
    folder = Path(checkpoint)
    recorded = _recorded(folder) if folder.is_dir() and is_export(folder) else None
    if recorded is None:
        return "unknown"
    return "yes" if benchmark in recorded else "no"


def clean_line(checkpoint: str, benchmark: str) -> str:
    """Return the line that `eval-vidla` prints."""
    return f"trained on a selection clean of {benchmark}: {is_clean_of(checkpoint, benchmark)}"


def _recorded(folder: Path) -> frozenset[str] | None:
    try:
        names = read_config(folder)["extra"].get(CLEAN_OF)
    except (UserError, KeyError, AttributeError):
        return None
    return frozenset(names) if isinstance(names, list) else None
