"""All settings of ``train-vidla``, as one tree. Nothing here imports torch."""

from __future__ import annotations

from runtime.errors import UserError
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


def check_negatives(settings: VidlaSettings) -> None:
    """Refuse a batch in which no row of the contrastive loss can have a negative: it would learn nothing.

    Raises:
        UserError: the batch is one clip, or the clips of one root that `same_video=mask` leaves out.
    """
    batch, clips = settings.loop.batch_size, settings.data.clips_per_root
    if batch < 2:
        raise UserError(f"--batch-size {batch}: a clip has no negatives in it, so the loss is always 0; raise it")
    if batch <= clips and settings.loss.same_video == "mask":
        raise UserError(
            f"--batch-size {batch}: holds the data.clips_per_root={clips} clips of one root, which "
            "loss.same_video=mask leaves out of each other's negatives, so the loss is always 0; "
            f"raise it to {2 * clips} or more"
        )
