"""All settings of ``train-vidla``: one tree, each branch beside the code that reads it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from runtime.config import Runtime, Settings
from training.data.plan import DataSettings
from training.engine.loop import LoopSettings
from training.engine.optim import OptimSettings
from training.evaluation.held_out import EvaluationSettings
from training.vidla.head import HeadSettings
from training.vidla.init import ModelSettings
from training.vidla.loss import LossSettings


class ComputeSettings(Settings):
    """Where and how the arithmetic runs."""

    device: Runtime[str | None] = None
    """``cpu``, ``cuda``; None: a GPU where there is one."""
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    """Arithmetic of the towers; auto: bf16 autocast on a GPU that has it, else fp32. Weights stay fp32."""
    compile: Runtime[bool] = False
    """Compile the video tower with torch.compile; the first steps are slow then."""
    micro_batch: Runtime[int | None] = Field(default=None, ge=1)
    """Clips a rank takes through the towers at once; None: all of its share. The loss is that of the whole batch
    either way: embeddings are computed first, and once more with gradients (at a third more arithmetic)."""
    threads: Runtime[int | None] = Field(default=None, ge=1)
    """Threads of one process on a CPU; None: torch's choice."""


class VidlaSettings(Settings):
    """The whole of a run."""

    model: ModelSettings = ModelSettings()
    data: DataSettings = DataSettings()
    loss: LossSettings = LossSettings()
    optim: OptimSettings = OptimSettings()
    loop: LoopSettings = LoopSettings()
    compute: ComputeSettings = ComputeSettings()
    evaluation: EvaluationSettings = EvaluationSettings()
    head: HeadSettings = HeadSettings()
    """Of `train-vidla finetune` on classes; nothing else reads it."""
