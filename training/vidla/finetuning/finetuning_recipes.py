"""Finetuning settings of each benchmark: those that the paper states, and ours for what it leaves open.

`train-vidla finetune --benchmark NAME` starts from these instead of the defaults of pretraining; --config, flags and
--set take precedence. Steps of retrieval are multiples of MSVD's 440, as in the paper's supplement; its row for B/16
is garbled, so 440 as its base too is our reading.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from runtime.errors import UserError, nearest
from runtime.settings import merged
from training.evaluation.video.video_views import ONE_VIEW, Sampling, Views
from training.models.vidla.model_settings import ModelSettings

Kind = Literal["retrieval", "classification"]
Branches = Mapping[str, Mapping[str, Any]]
"""Values by branch of `training.vidla.vidla_settings.VidlaSettings`."""

BASE_STEPS: Final = 440
"""Steps of MSVD; those of the other benchmarks are multiples of it."""
_PAPER_PATCH: Final = 32
_LENGTHS: Final = ("steps", "epochs", "samples")
"""Settings of `loop` that give the length of a run; one of them is set."""


@dataclass(frozen=True)
class BenchmarkRecipe:
    """Settings for finetuning on one benchmark with a tower of one patch size."""

    kind: Kind
    stated: Branches
    """Settings that the paper states."""
    ours: Branches
    """Our choice for settings that it leaves open."""
    sampling: Sampling = "uniform"
    """Sampling of a clip's frames."""
    views: Views = ONE_VIEW
    """Views averaged in the paper's evaluation."""

    def settings(self) -> dict[str, dict[str, Any]]:
        """Return both together, by branch."""
        return merged(self.ours, self.stated)


def _retrieval(steps: float, batch_size: int) -> BenchmarkRecipe:
    """Return the paper's recipe for retrieval: 32 frames, AdamW, center crop; it does not mention mirroring."""
    return BenchmarkRecipe(
        "retrieval",
        stated={
            "model": {"frames": 32},
            "optim": {"lr": 1e-5, "lr_end": 1e-6, "weight_decay": 0.2},
            "loop": {"batch_size": batch_size, "steps": round(steps * BASE_STEPS)},
            "data": {"augment": {"scales": [1.0], "center": True}},
        },
        ours={
            "loss": {"terms": {"caption": "caption"}},
            "data": {"clips_per_root": 1, "augment": {"flip": False}},
        },
    )


@dataclass(frozen=True)
class _Schedule:
    epochs: int
    batch_size: int


def _classification(schedule: _Schedule, sampling: Sampling, views: Views, flip: bool, warmup: int) -> BenchmarkRecipe:
    """Return a recipe for classification: frames, epochs, batch, sampling and views are the paper's, the rest is ours.

    Rates, decay and augmentation are usual ones for CLIP towers on these sets. The new head has ten times the learning
    rate. Classes of Something-Something depend on left and right, so clips are not mirrored there.
    """
    return BenchmarkRecipe(
        "classification",
        stated={
            "model": {"frames": 16},
            "loop": {"batch_size": schedule.batch_size, "epochs": schedule.epochs},
        },
        ours={
            "optim": {"lr": 2e-5, "lr_end": 2e-7, "lr_new": 2e-4, "weight_decay": 0.05, "warmup": warmup},
            "data": {"clips_per_root": 1, "augment": {"scales": [1.0, 0.8], "flip": flip}},
        },
        sampling=sampling,
        views=views,
    )


def _kinetics(epochs: int, batch_size: int) -> BenchmarkRecipe:
    return _classification(_Schedule(epochs, batch_size), "dense", Views(5, 3), flip=True, warmup=1000)


def _ssv2(epochs: int, batch_size: int) -> BenchmarkRecipe:
    return _classification(_Schedule(epochs, batch_size), "uniform", Views(2, 3), flip=False, warmup=500)


RECIPES: Final[dict[str, dict[int, BenchmarkRecipe]]] = {
    "msrvtt": {32: _retrieval(2.5, 128), 16: _retrieval(4.0, 196)},
    "didemo": {32: _retrieval(2.5, 128), 16: _retrieval(1.5, 196)},
    "activitynet": {32: _retrieval(2.0, 128), 16: _retrieval(2.0, 196)},
    "msvd": {32: _retrieval(1.0, 128), 16: _retrieval(1.0, 196)},
    "vatex": {32: _retrieval(6.0, 128), 16: _retrieval(6.0, 196)},
    "kinetics400": {32: _kinetics(100, 512), 16: _kinetics(75, 512)},
    "ssv2": {32: _ssv2(40, 1024), 16: _ssv2(40, 512)},
}
"""Recipes by benchmark, then by patch size of the tower."""


def recipe_of(benchmark: str, patch: int = 32) -> BenchmarkRecipe:
    """Return the recipe of a benchmark: that of the patch size, or of the nearest one that the paper has.

    Raises:
        UserError: no such benchmark.
    """
    if benchmark not in RECIPES:
        raise UserError(f"--benchmark {benchmark}: no recipe for it{nearest(benchmark, RECIPES)}")
    by_patch = RECIPES[benchmark]
    return by_patch[min(by_patch, key=lambda known: abs(known - patch))]


def finetune_settings(benchmark: str, patch: int = 32) -> dict[str, dict[str, Any]]:
    """Return the values that replace defaults of `VidlaSettings` for a benchmark, by branch.

    Args:
        benchmark: a name in `RECIPES`.
        patch: side of a patch, pixels: 32 for B/32, 16 for B/16.

    Raises:
        UserError: no such benchmark.
    """
    return recipe_of(benchmark, patch).settings()


def settings_below(benchmark: str, asked: Branches) -> dict[str, dict[str, Any]]:
    """Return the settings that a finetuning run starts from, before --config and flags.

    Args:
        benchmark: a name in `RECIPES`.
        asked: the settings that the user gives. The tower decides the recipe; a length of the user's own replaces the
            recipe's and bounds the warm-up.

    Raises:
        UserError: no such benchmark.
    """
    model, loop, default = asked.get("model", {}), asked.get("loop", {}), ModelSettings()
    patch = patch_of(model.get("init", default.init), model.get("architecture", default.architecture))
    settings = finetune_settings(benchmark, patch)
    if any(loop.get(name) is not None for name in _LENGTHS):
        settings["loop"] = {name: value for name, value in settings["loop"].items() if name not in _LENGTHS}
    if isinstance(steps := loop.get("steps"), int):
        warmup = min(settings["optim"].get("warmup", 0), max(steps, 0) // 10)
        settings["optim"] = {**settings["optim"], "warmup": warmup}
    return settings


def patch_of(init: str, architecture: str = "ViT-B-32") -> int:
    """Return the side of a patch, pixels, of the tower that `ModelSettings.init` names; 32 if it is not known yet.

    Args:
        init: as in `training.models.vidla.initial_weights`; the configuration of an export's folder is read.
        architecture: architecture of a bare tag.
    """
    if init.startswith("path://"):
        return _patch_of_folder(Path(init.removeprefix("path://")))
    name = init.removeprefix("random:") if init.startswith("random:") else init.rpartition(":")[0] or architecture
    match = re.search(r"-(\d+)(?:-|$)", name)
    return int(match[1]) if match else _PAPER_PATCH


def _patch_of_folder(folder: Path) -> int:
    """Read the patch size from the configuration of an export or of open_clip; loading refuses a damaged one later."""
    for name, branch in (("config.json", "architecture"), ("open_clip_config.json", "model_cfg")):
        try:
            return int(json.loads((folder / name).read_text(encoding="utf-8"))[branch]["vision_cfg"]["patch_size"])
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return _PAPER_PATCH
