"""All settings of ``train-vidla``, as one tree. Nothing here imports torch."""

from __future__ import annotations

from pydantic import model_validator

from runtime.errors import UserError
from runtime.settings import Settings
from training.data.data_settings import DataSettings
from training.engine.engine_settings import (
    ComputeSettings,
    LoopSettings,
    OptimSettings,
    ParallelSettings,
    TrackingSettings,
)
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
    parallel: ParallelSettings = ParallelSettings()
    tracking: TrackingSettings = TrackingSettings()
    evaluation: EvaluationSettings = EvaluationSettings()
    head: HeadSettings = HeadSettings()
    """Classification head; only `train-vidla finetune` on classes reads it."""

    @model_validator(mode="after")
    def _positions_of_the_longest(self) -> VidlaSettings:
        """Give the model as many temporal positions as the longest clips have frames, unless `model.frames` is set."""
        if self.data.frames_per_second is None:
            return self
        longest = self.data.frame_buckets[-1]
        try:
            self.model.temporal.check_frames(longest)
        except UserError as error:
            raise ValueError(f"data.frame_buckets={list(self.data.frame_buckets)}: {error}") from None
        if "frames" in self.model.model_fields_set:
            return self
        return self.model_copy(update={"model": self.model.model_copy(update={"frames": longest})})


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


def check_parallel(settings: VidlaSettings) -> None:
    """Refuse sharded towers where the ranks may run them unequally often: they would wait for each other for ever.

    Raises:
        UserError: the clips have different numbers of frames.
    """
    if settings.parallel.kind == "fsdp" and settings.data.frames_per_second is not None:
        raise UserError(
            "parallel.kind=fsdp: needs the same number of passes on every rank, and with data.frames_per_second these "
            "follow the clips; leave that out, or take parallel.kind=ddp"
        )
