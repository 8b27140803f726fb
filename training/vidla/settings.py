"""All settings of ``train-vidla``: one tree, each branch beside the code that reads it."""

from __future__ import annotations

from runtime.config import Settings
from training.data.plan import DataSettings
from training.engine.compute import ComputeSettings
from training.engine.loop import LoopSettings
from training.engine.optim import OptimSettings
from training.evaluation.held_out import EvaluationSettings
from training.vidla.head import HeadSettings
from training.vidla.init import ModelSettings
from training.vidla.loss import LossSettings


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
