"""Settings of every training run, whatever it trains: the optimizer, the loop, and where the arithmetic runs.

Nothing here imports torch, so a command can show or refuse settings at once.
"""

from __future__ import annotations

import re
from typing import Literal

from pydantic import Field, field_validator, model_validator

from runtime.settings import Runtime, Settings


def check_device(name: str | None) -> str | None:
    """Return the name of a device after checking its form; whether this machine has it, is known to torch alone.

    Raises:
        ValueError: another name.
    """
    if name is not None and not re.fullmatch(r"cpu|cuda(:\d+)?", name):
        raise ValueError("must be cpu, cuda or cuda:N")
    return name


class ComputeSettings(Settings):
    """The device and the precision of the arithmetic."""

    device: Runtime[str | None] = None
    """``cpu`` or ``cuda``; None: a GPU if there is one."""
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    """Arithmetic of the towers; auto: bf16 autocast on a GPU that supports it, otherwise fp32. Weights stay fp32."""
    compile: Runtime[bool] = False
    """Compile with torch.compile (for VidLA each layer of both towers); the first steps are slow then."""
    profile: Runtime[int] = Field(default=0, ge=0)
    """Steps to trace with torch.profiler, from the run's sixth step on; traces go to `profile/` in the run's folder."""
    micro_batch: Runtime[int | None] = Field(default=None, ge=1)
    """Rows that a rank takes through the towers at once; None: its whole share of the batch. Loss and gradients are
    those of the whole batch either way. If the loss couples all rows (contrastive losses), embeddings are computed
    twice: once without gradients for the loss, once more with gradients. Where clips differ in length, the rows of a
    micro-batch have one length, and as many frames in all as this number of the longest has."""
    threads: Runtime[int | None] = Field(default=None, ge=1)
    """Threads of one process on a CPU; None: torch's choice."""

    @field_validator("device")
    @classmethod
    def _known_device(cls, name: str | None) -> str | None:
        return check_device(name)


class ParallelSettings(Settings):
    """The way in which several ranks share the work."""

    kind: Runtime[Literal["ddp", "fsdp"]] = "ddp"
    """`ddp`: each rank holds the whole model. `fsdp`: weights, gradients and moments are sharded over the ranks, block
    by block (FSDP2): for towers beyond ViT-L. Losses are the same but for rounding, and a resumed run may change from
    one to the other."""


class TrackingSettings(Settings):
    """A service that shows a run's metrics, beside `metrics.jsonl` and TensorBoard's files in its folder."""

    service: Runtime[Literal["wandb"] | None] = None
    """`wandb`: Weights & Biases, whose package must be installed; its key is that of `wandb login` or of the variable
    WANDB_API_KEY."""
    project: Runtime[str] = Field(default="clipgrove", min_length=1)
    """Project at the service."""
    name: Runtime[str | None] = None
    """Name of the run there; None: that of its folder. A resumed run continues its own."""
    mode: Runtime[Literal["online", "offline"]] = "online"
    """`offline`: kept in the run's folder, for `wandb sync`."""


class OptimSettings(Settings):
    """AdamW with the paper's numbers (VidLA, supplement: pretraining)."""

    lr: float = Field(default=2e-5, gt=0)
    """Highest learning rate, reached after the warm-up."""
    lr_end: float = Field(default=4e-8, ge=0)
    """Learning rate at the last step."""
    schedule: Literal["cosine", "linear"] = "cosine"
    """How the rate falls from `lr` to `lr_end` after the warm-up."""
    lr_new: float | None = Field(default=None, gt=0)
    """Highest learning rate of parameters that CLIP does not have ([MST], attention over time, a head); None: `lr`. It
    falls by the same factor as `lr`."""
    layer_decay: float = Field(default=1.0, gt=0, le=1)
    """Factor of the learning rate from each layer of a tower to the one below it; 1: all learn at the same rate.
    Parameters that the initial weights do not have keep `lr_new`."""
    ema_decay: float | None = Field(default=None, gt=0, lt=1)
    """Share of the averaged weights that is kept in each step (0.9999 for long runs); None: no averages. A run ends
    with a model of the averages in the folder `average`."""
    score_average: bool = True
    """Score the averages, and keep them as the best model, where there are some; false: the weights themselves."""
    warmup: int | float = Field(default=0, ge=0)
    """Steps in which the learning rate rises linearly to `lr`; below 1: that share of all steps."""
    weight_decay: float = Field(default=0.02, ge=0)
    """Decoupled weight decay."""
    decay_exempt: bool = True
    """Exempt gains, biases, embeddings and the logit scale from decay, as CLIP does; false: everything decays."""
    betas: tuple[float, float] = (0.9, 0.999)
    """Decay of the running means of the gradient and of its square."""
    eps: float = Field(default=1e-8, gt=0)
    """Added to the denominator."""
    clip_norm: float | None = Field(default=10.0, gt=0)
    """Highest norm of all gradients together; None: gradients are not clipped."""

    @model_validator(mode="after")
    def _consistent(self) -> OptimSettings:
        if self.lr_end > self.lr:
            raise ValueError(
                f"lr_end={self.lr_end:g} is above lr={self.lr:g}: the rate falls; lower lr_end or raise lr"
            )
        if self.warmup > 1 and self.warmup != int(self.warmup):
            raise ValueError(f"warmup={self.warmup:g}: must be a whole number of steps, or a share of them below 1")
        if not all(0 <= beta < 1 for beta in self.betas):
            raise ValueError(f"betas={self.betas}: both must be at least 0 and below 1")
        return self


class LoopSettings(Settings):
    """The length of the training, and the steps between logs, scores and checkpoints."""

    steps: int | None = Field(default=None, ge=1)
    """Optimizer steps; None: as many as `epochs` or `samples` say."""
    epochs: float | None = Field(default=None, gt=0)
    """Passes over the data: of `train-vidla`, each with as many training clips as the data has clips."""
    samples: int | None = Field(default=None, ge=1)
    """Rows (clips, blocks of text) to train on."""
    batch_size: int = Field(default=4096, ge=1)
    """Rows (clips, blocks of text) in a step, over all ranks (VidLA's paper: 4096)."""
    seed: int = Field(default=0, ge=0, lt=2**63)
    """Seed of the data's order, of the draws of clips and crops, and of new parameters."""
    log_every: Runtime[int] = Field(default=10, ge=1)
    """Steps between log lines."""
    evaluate_every: Runtime[int] = Field(default=1000, ge=0)
    """Steps between scores on held-out data; 0: only at the end."""
    save_every: Runtime[int] = Field(default=1000, ge=1)
    """Steps between checkpoints."""
    keep: Runtime[int] = Field(default=2, ge=1)
    """How many of the last checkpoints to keep; the best one is kept beside them."""
    max_skipped: Runtime[float] = Field(default=0.5, gt=0, le=1)
    """Share of recent clips that may be unusable before the run stops."""
    max_not_finite: Runtime[int] = Field(default=10, ge=0)
    """Steps with a loss or gradient that is infinite or not a number, among the last 1000, that are left out before the
    run stops; 0: the first one stops it. Such a step changes no weights, and the keys of its rows are logged."""

    @model_validator(mode="after")
    def _one_length(self) -> LoopSettings:
        given = [name for name in ("steps", "epochs", "samples") if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)} are both set; a run has one length, leave one")
        return self

    def total_steps(self, steps_per_epoch: int) -> int:
        """Return the steps of the whole run; three epochs, as in the paper, if no length is set."""
        if self.steps is not None:
            return self.steps
        if self.samples is not None:
            return max(1, self.samples // self.batch_size)
        return max(1, round((self.epochs or 3.0) * steps_per_epoch))
