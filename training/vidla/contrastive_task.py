"""VidLA as a training task: frames and tokens in, gradients of the two-tower contrastive loss out.

The loss couples all clips of the global batch. Where a rank's share does not fit through the towers at once
(`micro_batch`), embeddings are computed without gradients first, the loss is taken over all of them, and each
micro-batch is run again to carry the loss's gradients into the towers (Gao et al. 2021, "Scaling Deep Contrastive
Learning ClipBatch Size under Memory Limited Setup").
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from training.data.clip_batch import ClipBatch
from training.engine.device import to_device
from training.engine.distributed import Ranks, mean_over, sum_over
from training.engine.engine_settings import ComputeSettings
from training.engine.precision import choose_precision, evaluation_mode
from training.engine.random_state import random_state, replay_random_state
from training.engine.sync_gradients import average_gradients, synced_if, wrap_ddp
from training.engine.training_task import NonFiniteLoss, StepReport
from training.models.vidla.contrastive_loss import clamp_logit_scale_, contrastive_loss
from training.models.vidla.model_settings import LossSettings
from training.models.vidla.tower_batches import Towers, clips_of
from training.models.vidla.two_tower import VidLA
from training.models.vidla.video_tower import is_new
from training.models.vidla.vidla_folder import load_weights, save

Embeddings = tuple[torch.Tensor, dict[str, torch.Tensor]]


class VidlaTask:
    """Implements `training.engine.training_task.TrainingTask`."""

    best_by = "t2v_r1"
    unit = "clips"

    def __init__(
        self,
        model: VidLA,
        loss: LossSettings,
        compute: ComputeSettings,
        ranks: Ranks,
        evaluate: Callable[[VidLA], Mapping[str, float]] | None = None,
    ) -> None:
        """Put the model on this rank's device and join it with the other ranks'.

        Args:
            model: as `training.models.vidla.initial_weights.build_model` makes it; the same weights on every rank.
            loss: its settings.
            compute: precision, micro-batches, compilation.
            ranks: who takes part.
            evaluate: scores on held-out data.
        """
        self.module: VidLA = model.to(ranks.device).train()
        self._loss = loss
        self._ranks = ranks
        self._micro_batch = compute.micro_batch
        self._precision = choose_precision(compute.precision, ranks.device)
        self._evaluate = evaluate
        if compute.compile:
            self.module.video.compile()
        self._towers = wrap_ddp(Towers(self.module), ranks)
        self._flops = FlopCount(self.module)

    @property
    def architecture(self) -> Mapping[str, Any]:
        """Plain values that rebuild the model."""
        return self.module.architecture

    def is_new(self, parameter: str) -> bool:
        """Whether CLIP has no such parameter."""
        return is_new(parameter)

    def step(self, batch: ClipBatch) -> StepReport:
        """Forward and backward of the global batch; see `training.engine.training_task.TrainingTask.step`."""
        parts = list(batch.split(self._micro_batch or len(batch)))
        losses = self._step_whole(batch) if len(parts) == 1 else self._step_in_parts(parts, batch)
        average_gradients(self.module.logit_scale, self._ranks)
        return StepReport({**losses, "total": sum(losses.values())}, self._facts(batch))

    def after_step(self) -> None:
        """Bound the temperature."""
        clamp_logit_scale_(self.module.logit_scale, self._loss.max_logit_scale)

    def flops(self, batch: ClipBatch) -> float:
        """Three times the forward pass of both towers, for this rank's batch."""
        return 3 * self._flops.forward(batch)

    def evaluate(self) -> Mapping[str, float]:
        """Retrieval on the held-out split; empty where there is none."""
        if self._evaluate is None:
            return {}
        with evaluation_mode(self.module, self._precision, self._ranks.device):
            return self._evaluate(self.module)

    def save(self, folder: Path) -> None:
        """Write what `training.vidla.load` opens."""
        save(self.module, folder)

    def restore(self, folder: Path) -> None:
        """Read it back."""
        load_weights(self.module, folder)

    def header(self) -> str:
        """One line for the run's header."""
        parameters = sum(parameter.numel() for parameter in self.module.parameters())
        new = sum(p.numel() for name, p in self.module.named_parameters() if is_new(name))
        return f"{parameters / 1e6:.1f} M parameters ({new / 1e6:.1f} M of them new), {self._precision}"

    def _embed(self, towers: nn.Module, batch: ClipBatch) -> Embeddings:
        """Unit-length float32 embeddings of a batch's clips and texts."""
        device = self._ranks.device
        video_BTCHW = clips_of(batch, self.module, device)
        tokens = {term: to_device(tokens_BL, device) for term, tokens_BL in batch.tokens.items()}
        with self._precision.autocast(device):
            video_BD, texts = towers(video_BTCHW, tokens)
        return video_BD.float(), {term: text_BD.float() for term, text_BD in texts.items()}

    def _step_whole(self, batch: ClipBatch) -> dict[str, float]:
        shares = self._shares(self._embed(self._towers, batch), batch)
        losses = self._finite(shares, batch)
        self._differentiate(shares)
        return losses

    def _step_in_parts(self, parts: Sequence[ClipBatch], batch: ClipBatch) -> dict[str, float]:
        drawn, found = [], []
        with torch.no_grad():
            for part in parts:
                drawn.append(random_state())
                found.append(self._embed(self.module, part))
        video_BD, texts = _concatenate(found)
        for leaf in (video_BD, *texts.values()):
            leaf.requires_grad_()
        shares = self._shares((video_BD, texts), batch)
        losses = self._finite(shares, batch)
        self._differentiate(shares)
        begin = 0
        for part, state in zip(parts, drawn, strict=True):
            rows = slice(begin, begin + len(part))
            begin = rows.stop
            # A text tower may have dropout: both passes drop the same.
            with synced_if(self._towers, last=begin == len(batch)), replay_random_state(state):
                video_PD, part_texts = self._embed(self._towers, part)
                outputs = [video_PD, *(part_texts[term] for term in texts)]
                leaves = [video_BD, *texts.values()]
                torch.autograd.backward(outputs, [_gradient(leaf, rows) for leaf in leaves])
        return losses

    def _shares(self, embeddings: Embeddings, batch: ClipBatch) -> dict[str, torch.Tensor]:
        """Each term's share of this rank: over the ranks they add up to the loss of the global batch."""
        device = self._ranks.device
        video_BD, texts = embeddings
        return contrastive_loss(
            video_BD,
            texts,
            {term: to_device(present_B, device) for term, present_B in batch.present.items()},
            self.module.logit_scale.exp(),
            to_device(batch.video_id_B, device),
            to_device(batch.span_B2, device),
            self._loss,
            self._ranks,
        )

    def _finite(self, shares: Mapping[str, torch.Tensor], batch: ClipBatch) -> dict[str, float]:
        """The terms over the global batch, or `NonFiniteLoss`."""
        summed = sum_over(torch.stack([share.detach() for share in shares.values()]), self._ranks)
        losses = dict(zip(shares, summed.tolist(), strict=True))
        if not bool(torch.isfinite(summed).all()):
            raise NonFiniteLoss(losses, batch.keys)
        return losses

    def _differentiate(self, shares: Mapping[str, torch.Tensor]) -> None:
        """Gradients are averaged over the ranks afterwards, hence the factor."""
        (torch.stack(list(shares.values())).sum() * self._ranks.world_size).backward()

    def _facts(self, batch: ClipBatch) -> dict[str, float]:
        rows = torch.stack([present_B.float().mean() for present_B in batch.present.values()])
        shares = mean_over(to_device(rows, self._ranks.device), self._ranks).tolist()
        present = {f"present_{term}": share for term, share in zip(batch.present, shares, strict=True)}
        return {"temperature": float(1 / self.module.logit_scale.detach().exp()), **present}


class FlopCount:
    """Floating point operations of the forward pass, counted once by running each tower on one sample."""

    def __init__(self, model: VidLA) -> None:
        self._model = model
        self._text: dict[int, float] = {}

    def forward(self, batch: ClipBatch) -> float:
        """Of all of a batch's clips and texts."""
        video = self._model.video.flops(batch.video_BTSSC.shape[1])
        text = sum(self._of_text(tokens_BL.shape[1]) for tokens_BL in batch.tokens.values())
        return len(batch) * (video + text)

    def _of_text(self, length: int) -> float:
        if length not in self._text:
            counter = FlopCounterMode(display=False)
            device = self._model.logit_scale.device
            with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), counter:  # the counter misses a processor's own kernel
                self._model.encode_text(torch.zeros(1, length, dtype=torch.int64, device=device))
            self._text[length] = float(counter.get_total_flops())
        return self._text[length]


def _concatenate(parts: Sequence[Embeddings]) -> Embeddings:
    texts = {term: torch.cat([part[1][term] for part in parts]) for term in parts[0][1]}
    return torch.cat([part[0] for part in parts]), texts


def _gradient(leaf: torch.Tensor, rows: slice) -> torch.Tensor:
    """What the loss wants of these rows; nothing where no pair of the term was present."""
    return torch.zeros_like(leaf[rows]) if leaf.grad is None else leaf.grad[rows]
