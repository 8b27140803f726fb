"""All settings of ``train-vidla``, as one tree. Nothing here imports torch."""

from __future__ import annotations

from runtime.settings import Settings
from training.data.data_settings import DataSettings
from training.engine.engine_settings import ComputeSettings, LoopSettings, OptimSettings
from training.evaluation.video.evaluation_settings import EvaluationSettings
from training.models.vidla.model_settings import HeadSettings, LossSettings, ModelSettings


class VidlaSettings(Settings):
    """Settings of a run."""

    model: ModelSettings = ModelSettings()
    data: DataSettings = DataSettings()
    loss: LossSettings = LossSettings()
    optim: OptimSettings = OptimSettings()
    loop: LoopSettings = LoopSettings()
    compute: ComputeSettings = ComputeSettings()
    evaluation: EvaluationSettings = EvaluationSettings()
    head: HeadSettings = HeadSettings()
    """Classification head; only `train-vidla finetune` on classes reads it."""
