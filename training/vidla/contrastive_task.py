"""VidLA as a training task: frames and tokens in, gradients of the two-tower contrastive loss out.

The loss couples all clips of the global batch, so embeddings come first, the loss over all of them second, and the
towers' gradients last (`training.engine.global_step`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from runtime.log import get_logger
from training.data.clip_batch import ClipBatch
from training.engine.distributed import Ranks, gather_plain, mean_over, sum_over, to_device
from training.engine.engine_settings import ComputeSettings
from training.engine.global_step import GlobalStep, TwoPassEmbeddings
from training.engine.precision import choose_precision, evaluation_mode
from training.engine.sync_gradients import wrap_ddp
from training.engine.training_task import StepReport
from training.models.vidla.contrastive_loss import clamp_logit_scale_, contrastive_loss, count_negatives
from training.models.vidla.model_settings import LossSettings
from training.models.vidla.tower_batches import Towers, clips_of
from training.models.vidla.two_tower import VidLA
from training.models.vidla.video_tower import is_new
from training.models.vidla.vidla_folder import load_weights, save

_FEW_NEGATIVES: Final = 2
"""Mean negatives of a row below which the log warns, however small the batch is."""

_MANY_CUT: Final = 0.05
"""Share of texts that are cut above which the log warns."""

_log = get_logger(__name__)


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
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        """Put the model on this rank's device and connect it with those of the other ranks.

        Args:
            model: as `training.models.vidla.initial_weights.build_model` makes it; the same weights on every rank.
            loss: terms, negatives and the bound of the temperature.
            compute: precision, micro-batches, compilation.
            ranks: the processes that take part.
            evaluate: returns scores on held-out data.
            facts: plain JSON to keep with the saved model, about what it was trained on.
        """
        self.module: VidLA = model.to(ranks.device).train()
        self._loss = loss
        self._ranks = ranks
        self._micro_batch = compute.micro_batch
        self._precision = choose_precision(compute.precision, ranks.device)
        self._evaluate = evaluate
        self._extra = dict(facts or {})
        if compute.compile:
            self.module.video.compile()
        towers = Towers(self.module)
        self._embeddings = TwoPassEmbeddings(towers, wrap_ddp(towers, ranks), self._embed)
        weights = dict.fromkeys(loss.columns_by_term, 1.0)
        outside = (self.module.logit_scale,)
        self._global_step = GlobalStep(self.module, ranks, weights, embeddings=self._embeddings, outside=outside)
        self._flops = FlopCount(self.module)
        self._warned = self._warned_cut = False

    @property
    def architecture(self) -> Mapping[str, Any]:
        """Plain values that rebuild the model."""
        return self.module.architecture

    @property
    def precision(self) -> str:
        """Return the arithmetic, as the setting names it."""
        return self._precision.name

    def is_new(self, parameter: str) -> bool:
        """Return True if CLIP has no such parameter."""
        return is_new(parameter)

    def step(self, batch: ClipBatch) -> StepReport:
        """Run forward and backward of the global batch; see `training.engine.training_task.TrainingTask.step`."""
        leaves = self._embeddings.forward(list(batch.split(self._micro_batch or len(batch))))
        report = self._global_step.run([batch], lambda whole: self._shares(leaves, whole), {}, batch.keys)
        return replace(report, facts=self._facts(batch))

    def after_step(self) -> None:
        """Bound the temperature."""
        clamp_logit_scale_(self.module.logit_scale, self._loss.max_logit_scale)

    def flops(self, batch: ClipBatch) -> float:
        """Return the operations of a step on this rank's batch that its loss depends on; see `FlopCount`."""
        return self._flops.step(batch)

    def evaluate(self) -> Mapping[str, float]:
        """Score retrieval on the held-out split; empty if nothing is held out."""
        if self._evaluate is None:
            return {}
        with evaluation_mode(self.module, self._precision, self._ranks.device):
            return self._evaluate(self.module)

    def save(self, folder: Path) -> None:
        """Write a folder that `training.vidla.load` opens."""
        save(self.module, folder, self._extra)

    def restore(self, folder: Path) -> None:
        """Read the weights that `save` wrote."""
        load_weights(self.module, folder)

    def header(self) -> str:
        """Return one line about the model for the log's header."""
        parameters = sum(parameter.numel() for parameter in self.module.parameters())
        new = sum(p.numel() for name, p in self.module.named_parameters() if is_new(name))
        return f"{parameters / 1e6:.1f} M parameters ({new / 1e6:.1f} M of them new), {self._precision}"

    def _embed(self, towers: nn.Module, batch: ClipBatch) -> tuple[torch.Tensor, ...]:
        """Return unit-length float32 embeddings [B, D]: of the clips, then of each term's texts."""
        device = self._ranks.device
        video_BTCHW = clips_of(batch, self.module, device)
        tokens = {term: to_device(tokens_BL, device) for term, tokens_BL in batch.tokens.items()}
        with self._precision.autocast(device):
            video_BD, texts = towers(video_BTCHW, tokens)
        return video_BD.float(), *(texts[term].float() for term in batch.tokens)

    def _shares(self, leaves: tuple[torch.Tensor, ...], batch: ClipBatch) -> dict[str, torch.Tensor]:
        """Return this rank's share of each term; over the ranks they add up to the loss of the global batch."""
        device = self._ranks.device
        video_BD, *texts = leaves
        return contrastive_loss(
            video_BD,
            dict(zip(batch.tokens, texts, strict=True)),
            {term: to_device(present_B, device) for term, present_B in batch.present.items()},
            self.module.logit_scale.exp(),
            to_device(batch.video_id_B, device),
            to_device(batch.span_B2, device),
            self._loss,
            self._ranks,
            self._text_id(batch),
        )

    def _text_id(self, batch: ClipBatch) -> dict[str, torch.Tensor] | None:
        device = self._ranks.device
        return {term: to_device(numbers_B, device) for term, numbers_B in batch.text_id.items()} or None

    def _facts(self, batch: ClipBatch) -> dict[str, float]:
        """Return the temperature, the share of present texts, distinct videos, and negatives of a row."""
        device = self._ranks.device
        rows = torch.stack([present_B.float().mean() for present_B in batch.present.values()])
        shares = mean_over(to_device(rows, device), self._ranks).tolist()
        present = {f"present_{term}": share for term, share in zip(batch.present, shares, strict=True)}
        temperature = float(1 / self.module.logit_scale.detach().exp())
        return {"temperature": temperature, **present, **self._diversity(batch), **self._lengths(batch)}

    def _lengths(self, batch: ClipBatch) -> dict[str, float]:
        """Return the share of texts longer than the text tower takes; warn once if many are cut."""
        if not batch.too_long:
            return {}
        counts = [sum(int((rows_B & batch.present[term]).sum()) for term, rows_B in batch.too_long.items())]
        counts.append(sum(int(present_B.sum()) for present_B in batch.present.values()))
        long, texts = sum_over(torch.tensor(counts, device=self._ranks.device), self._ranks).tolist()
        share = long / max(1, texts)
        if self._ranks.is_main and share > _MANY_CUT and self._loss.long_texts == "cut" and not self._warned_cut:
            self._warned_cut = True
            _log.warning(
                "%.0f%% of the texts have more than the %d tokens of the text tower, and are cut there; "
                "--set loss.long_texts=sentences takes other sentences of them in each epoch",
                100 * share,
                self.module.tokenizer.context,
            )
        return {"long_texts": share}

    def _diversity(self, batch: ClipBatch) -> dict[str, float]:
        """Return the number of videos in the global batch and the negatives of a row; warn once if these are few."""
        device = self._ranks.device
        video_id_B = to_device(batch.video_id_B, device)
        present = {term: to_device(present_B, device) for term, present_B in batch.present.items()}
        used_G = gather_plain(to_device(batch.weight_B, device), self._ranks) > 0
        videos = len(gather_plain(video_id_B, self._ranks)[used_G].unique())
        span_B2 = to_device(batch.span_B2, device)
        negatives = float(count_negatives(present, video_id_B, span_B2, self._loss, self._ranks, self._text_id(batch)))
        others = int(used_G.sum()) - 1
        if self._ranks.is_main and not self._warned and others > 0 and negatives < max(_FEW_NEGATIVES, others / 2):
            self._warned = True
            _log.warning(
                "a clip has %.3g negatives on average, in a batch of %d clips of %d videos: a contrastive loss learns "
                "little from so few; raise --batch-size, set data.clips_per_root=1, or add videos",
                negatives,
                others + 1,
                videos,
            )
        return {"videos": float(videos), "negatives": negatives}


class FlopCount:
    """Floating point operations of a step that its loss depends on: of decoded clips, and of texts without padding.

    Those of a padded text are counted once, by running the tower on a sample, and taken as linear in its tokens.
    """

    def __init__(self, model: VidLA) -> None:
        self._model = model
        self._text: dict[int, float] = {}
        self._padding = int(model.tokenizer([""])[0, -1])

    def step(self, batch: ClipBatch) -> float:
        """Return the operations of forward and backward of a batch."""
        video = batch.usable * self._model.video.step_flops(batch.video_BTSSC.shape[1])
        present = (tokens_BL[batch.present[term]] for term, tokens_BL in batch.tokens.items())
        return video + 3 * sum(self._of_texts(tokens_PL) for tokens_PL in present)

    def _of_texts(self, tokens_PL: torch.Tensor) -> float:
        """Return the operations of the forward pass of some texts: the share of them that is no padding."""
        length = tokens_PL.shape[1]
        at_L = torch.arange(1, length + 1)
        tokens = int(((tokens_PL != self._padding) * at_L).amax(dim=1).sum()) if len(tokens_PL) else 0
        return self._of_text(length) * tokens / length

    def _of_text(self, length: int) -> float:
        if length not in self._text:
            counter = FlopCounterMode(display=False)
            device = self._model.logit_scale.device
            with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), counter:  # the counter misses a CPU's fused kernel
                self._model.encode_text(torch.zeros(1, length, dtype=torch.int64, device=device))
            self._text[length] = float(counter.get_total_flops())
        return self._text[length]
