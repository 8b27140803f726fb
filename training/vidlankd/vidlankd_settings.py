"""Settings of ``train-vidlankd teacher`` and ``student``: one tree each; each branch is defined beside its code.

Optimizer and length of a run are those of VidLanKD and not the engine's own defaults. `TEACHER`, `STUDENT` and
`TEXT_ALONE` hold them; whatever the user sets takes precedence. Loss weights:
`training.models.vidlankd.objectives.student_loss_weights` and `TeacherLossSettings`. Nothing here imports torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import Field, model_validator

from runtime.errors import UserError
from runtime.settings import Runtime, Settings
from training.corpus.corpus_settings import MaskSettings, TextSettings
from training.data.data_settings import RootSettings
from training.engine.engine_settings import ComputeSettings, LoopSettings, OptimSettings, TrackingSettings
from training.models.vidlankd.kd_model_settings import StudentModelSettings, TeacherModelSettings
from training.models.vidlankd.objectives.student_loss_weights import StudentLossSettings

_LENGTHS: Final = ("steps", "epochs", "samples")
"""Settings of `loop` that give the length of a run; one of them is set."""


@dataclass(frozen=True)
class RecipeDefaults:
    """Values that a recipe sets in the place of the engine's own defaults."""

    optim: OptimSettings
    loop: LoopSettings
    loss: StudentLossSettings | None = None

    def below(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Return the values as plain settings, without the length of the run if the user sets one.

        Args:
            asked: the settings that the user sets.
        """
        values = {name: branch.model_dump(exclude_unset=True) for name, branch in self._branches().items()}
        if any(asked.get("loop", {}).get(name) is not None for name in _LENGTHS):
            values["loop"] = {name: value for name, value in values["loop"].items() if name not in _LENGTHS}
        return values

    def _branches(self) -> dict[str, Settings]:
        return {"optim": self.optim, "loop": self.loop, **({"loss": self.loss} if self.loss else {})}


_ADAMW: Final = OptimSettings(schedule="linear", lr_end=0.0, eps=1e-6, weight_decay=0.01, clip_norm=1.0)

TEACHER: Final = RecipeDefaults(_ADAMW.model_copy(update={"lr": 5e-5}), LoopSettings(epochs=20.0, batch_size=64))
"""Numbers of the released scripts (12 layers). Their flag says 200 epochs; their README uses the checkpoint of epoch
19."""

STUDENT: Final = RecipeDefaults(
    _ADAMW.model_copy(update={"lr": 2e-4, "warmup": 0.01}), LoopSettings(steps=500_000, batch_size=256)
)
"""Numbers of the released scripts for 12 layers on English Wikipedia (a warm-up of 5,000 steps is 1 % of them). Their
text-only baseline runs for 220,000 steps; here it runs for as many as the student."""

TEXT_ALONE: Final = replace(STUDENT, loss=StudentLossSettings(nst=0.0, crd=0.0))
"""Defaults of a student without a teacher: masked language modelling only."""

Window = Literal["clip", "first"]
"""Part of a root that is a training clip: each clip that is drawn, or the beginning."""

Overflow = Literal["window", "first"]
"""Part of an overlong text that is used: a random part, or the beginning."""


class ClipTextSettings(RootSettings):
    """Clips that the teacher is trained on: their features, texts and masks."""

    clips_per_root: int = Field(default=1, ge=1)
    """Number of clips of a root in an epoch."""
    features: str | None = None
    """Name of the feature set that `train-vidlankd features` wrote; unset: the only one there is."""
    text: tuple[str, ...] = Field(default=("grounded_text", "caption"), min_length=1)
    """Text columns in order of preference; the first one that is not empty is a clip's text."""
    window: Window = "clip"
    """Part of a root: `clip`, a random clip of its tree; `first`, always its beginning, as in the release: the texts of
    its shortest clips are joined until they fill a block."""
    overflow: Overflow = "window"
    """Part used of a text longer than a block: `window`, a random contiguous part; `first`, its beginning. With
    `window=first` it is always the beginning."""
    masking: MaskSettings = MaskSettings()
    """Selection of the tokens to predict, drawn in each epoch."""
    held_out: Runtime[int] = Field(default=1000, ge=0)
    """Largest number of roots of the split `val` that are scored while training; 0: none."""

    @model_validator(mode="after")
    def _agree(self) -> ClipTextSettings:
        if self.window == "first" and self.clips_per_root != 1:
            raise ValueError(
                f"window=first takes the beginning of a root, but clips_per_root={self.clips_per_root}; "
                "set clips_per_root=1"
            )
        if self.masking.static_copies is not None:
            raise ValueError(
                f"masking.static_copies={self.masking.static_copies}: clips get new masks in each epoch; leave it out"
            )
        return self


class TeacherLossSettings(Settings):
    """Loss weights of the teacher, and its contrastive loss; the defaults are the paper's."""

    contrastive: float = Field(default=1.0, ge=0)
    """Weight of the contrastive loss between texts and clips. With 0 the video tower is neither trained nor run."""
    mlm: float = Field(default=1.0, ge=0)
    """Weight of masked language modelling."""
    kind: Literal["hinge", "all_hinge", "info_nce"] = "hinge"
    """Form of the contrastive loss: `hinge` uses one negative clip; `all_hinge`, a hinge against every other clip of
    the global batch; `info_nce`, cross entropy among all of them."""
    level: Literal["token", "sentence"] = "token"
    """Vectors compared with a clip: each token's (`token`), or their mean (`sentence`)."""
    margin: float = Field(default=1.0, gt=0)
    """Margin of the hinge."""
    temperature: float = Field(default=0.07, gt=0)
    """Temperature of `info_nce`."""

    @model_validator(mode="after")
    def _has_an_objective(self) -> TeacherLossSettings:
        if not self.contrastive and not self.mlm:
            raise ValueError("contrastive=0 and mlm=0: nothing would be trained; give one of them a weight above 0")
        return self


class StatesSettings(Settings):
    """Teacher of a student, and how its states are computed or cached."""

    teacher: str | None = None
    """Folder or model URI of a trained teacher; unset: the student learns from text alone."""
    input: Literal["masked", "unmasked"] = "masked"
    """Input of the teacher: the student's masked input (as in the released code), or the unmasked text."""
    cache: Runtime[Path | None] = None
    """Folder of a cache of the teacher's states, about 2 bytes per token and unit of its width. Needs
    data.masking.static_copies, or input=unmasked. Unset: states are computed in each step."""


def check_states(states: StatesSettings, static_copies: int | None) -> None:
    """Refuse a cache of states that could hold none.

    Args:
        states: teacher, input and cache.
        static_copies: see `MaskSettings`.

    Raises:
        ValueError: names the settings and the remedy.
    """
    if states.cache is None:
        return
    if states.teacher is None:
        raise ValueError(f"teacher.cache={states.cache}: nothing to cache without teacher.teacher; set both")
    if states.input == "masked" and static_copies is None:
        raise ValueError(
            f"teacher.cache={states.cache}: with data.masking.static_copies=None and teacher.input=masked no input "
            "repeats; set data.masking.static_copies=4, or teacher.input=unmasked, or leave the cache out"
        )


class TeacherSettings(Settings):
    """Settings of a teacher's run."""

    model: TeacherModelSettings = TeacherModelSettings()
    data: ClipTextSettings = ClipTextSettings()
    loss: TeacherLossSettings = TeacherLossSettings()
    optim: OptimSettings = OptimSettings()
    loop: LoopSettings = LoopSettings()
    compute: ComputeSettings = ComputeSettings()
    tracking: TrackingSettings = TrackingSettings()

    @model_validator(mode="after")
    def _has_negatives(self) -> TeacherSettings:
        if self.loss.contrastive and self.loop.batch_size < 2:
            raise ValueError(
                "loop.batch_size=1: the contrastive loss needs other clips of the batch; set --batch-size to 2 or "
                "more, or set loss.contrastive=0"
            )
        return self


class StudentSettings(Settings):
    """Settings of a student's run."""

    model: StudentModelSettings = StudentModelSettings()
    data: TextSettings = TextSettings()
    teacher: StatesSettings = StatesSettings()
    loss: StudentLossSettings = StudentLossSettings()
    optim: OptimSettings = OptimSettings()
    loop: LoopSettings = LoopSettings()
    compute: ComputeSettings = ComputeSettings()
    tracking: TrackingSettings = TrackingSettings()

    @model_validator(mode="after")
    def _has_states_to_cache(self) -> StudentSettings:
        check_states(self.teacher, self.data.masking.static_copies)
        return self


def check_positions(settings: StudentSettings, length: int) -> None:
    """Refuse a student with fewer positions than the blocks of its corpus have tokens.

    Args:
        settings: of the student.
        length: tokens of a block, specials included.

    Raises:
        UserError: names the setting and the remedy.
    """
    positions = settings.model.shape.positions
    if length > positions:
        raise UserError(
            f"model.shape.positions={positions}: blocks of the corpus have {length} tokens; raise it, or tokenize with "
            "shorter blocks"
        )
