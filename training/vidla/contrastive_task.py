"""VidLA as a training task: frames and tokens in, gradients of the two-tower contrastive loss out.

The loss couples all clips of the global batch, so embeddings come first, the loss over all of them second, and the
towers' gradients last (`training.engine.global_step`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from runtime.log import get_logger
from training.data.clip_batch import ClipBatch
from training.engine.engine_settings import ComputeSettings, ParallelSettings
from training.engine.global_step import GlobalStep, TwoPassEmbeddings
from training.engine.parallel.distributed import Ranks, gather_plain, mean_over, sum_over, to_device
from training.engine.parallel.fully_sharded import blocks, shard, unsharded
from training.engine.parallel.sync_gradients import wrap_ddp
from training.engine.precision import choose_precision, evaluation_mode
from training.engine.training_task import StepReport
from training.models.vidla.losses.contrastive_loss import clamp_logit_scale_, contrastive_loss
from training.models.vidla.losses.negatives import count_distinct, count_negatives
from training.models.vidla.losses.siglip_loss import siglip_loss
from training.models.vidla.model_settings import LossSettings
from training.models.vidla.text.trimmed_text import trimmed
from training.models.vidla.tower_batches import Towers, clips_of
from training.models.vidla.two_tower import VidLA
from training.models.vidla.video_tower import is_new
from training.models.vidla.vidla_folder import save
from training.vidla.bucket_facts import bucket_facts

_FEW_NEGATIVES: Final = 2
"""Mean negatives of a row below which the log warns, however small the batch is."""

_MANY_CUT: Final = 0.05
"""Share of texts that are cut above which the log warns."""

_CLIPS: Final = "clips"
"""Name of the number of clips in the global batch, which is fetched with a step's facts."""

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
        buckets: Sequence[int] = (),
        parallel: ParallelSettings | None = None,
    ) -> None:
        """Put the model on this rank's device and connect it with those of the other ranks.

        Args:
            model: as `training.models.vidla.initial_weights.build_model` makes it; the same weights on every rank.
            loss: terms, negatives and the bound of the temperature.
            compute: precision, micro-batches, compilation.
            ranks: the processes that take part.
            evaluate: returns scores on held-out data.
            facts: plain JSON to keep with the saved model, about what it was trained on.
            buckets: the numbers of frames that clips may have, if these differ; they are logged apart.
            parallel: how ranks share the towers; None: each holds them in whole.
        """
        self.module: VidLA = model.to(ranks.device).train()
        self._loss = loss
        self._ranks = ranks
        self._micro_batch = compute.micro_batch
        self._precision = choose_precision(compute.precision, ranks.device)
        self._evaluate = evaluate
        self._extra = dict(facts or {})
        self._buckets = tuple(buckets)
        if compute.compile:
            for layer in (*blocks(self.module.video), *blocks(self.module.text)):
                layer.compile()
        self._flops = FlopCount(self.module)
        self._towers = Towers(self.module)
        if parallel is not None and parallel.kind == "fsdp":
            self._flops.count_ahead()
            wrapped = shard(self._towers, ranks, self._precision.dtype)
        else:
            wrapped = wrap_ddp(self._towers, ranks)
        self._embeddings = TwoPassEmbeddings(self._towers, wrapped, self._embed)
        weights = dict.fromkeys(loss.columns_by_term, 1.0)
        self._bias = self.module.logit_bias if loss.kind == "siglip" else None
        assert self._bias is not None or loss.kind != "siglip", "build_model adds the bias"
        outside = (self.module.logit_scale, *(() if self._bias is None else (self._bias,)))
        self._global_step = GlobalStep(self.module, ranks, weights, embeddings=self._embeddings, outside=outside)
        self._warned = self._warned_cut = False

    @property
    def stored(self) -> nn.Module:
        """Return the model whose weights are saved."""
        return self.module

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
        leaves = self._embeddings.forward(self._micro_batches(batch))
        shares, facts_of_rows = partial(self._shares, leaves), self._facts(batch)
        report = self._global_step.run([batch], shares, {}, batch.keys, facts_of_rows)
        facts = dict(report.facts)
        self._warn_once(facts, int(facts.pop(_CLIPS)))
        return replace(report, facts={**facts, **bucket_facts(batch, self._buckets, self._ranks)})

    def after_step(self) -> None:
        """Bound the temperature of InfoNCE."""
        if self._loss.kind == "infonce":
            clamp_logit_scale_(self.module.logit_scale, self._loss.max_logit_scale)

    def flops(self, batch: ClipBatch) -> float:
        """Return the operations of a step on this rank's batch that its loss depends on; see `FlopCount`."""
        return self._flops.step(batch)

    def evaluate(self) -> Mapping[str, float]:
        """Score retrieval on the held-out split; empty if nothing is held out."""
        if self._evaluate is None:
            return {}
        with unsharded(self._towers), evaluation_mode(self.module, self._precision, self._ranks.device):
            return self._evaluate(self.module)

    def save(self, folder: Path, weights: Mapping[str, torch.Tensor] | None = None) -> None:
        """Write a folder that `training.vidla.load` opens."""
        save(self.module, folder, self._extra, weights)

    def restore(self, folder: Path) -> None:
        """Do nothing: all that `save` writes is read with the weights."""

    def header(self) -> str:
        """Return one line about the model for the log's header."""
        parameters = sum(parameter.numel() for parameter in self.module.parameters())
        new = sum(p.numel() for name, p in self.module.named_parameters() if is_new(name))
        return f"{parameters / 1e6:.1f} M parameters ({new / 1e6:.1f} M of them new), {self._precision}"

    def _micro_batches(self, batch: ClipBatch) -> list[ClipBatch]:
        """Split a batch into pieces that take about the same memory: clips of one length, and equal frames in all."""
        if self._micro_batch is None:
            return [batch]
        return list(batch.split_frames(self._micro_batch * self.module.frames))

    def _embed(self, towers: nn.Module, batch: ClipBatch) -> tuple[torch.Tensor, ...]:
        """Return unit-length float32 embeddings [B, D]: of the clips, then of each term's texts."""
        device = self._ranks.device
        videos = [clips_of(clips, self.module, device) for clips in batch.same_length()]
        text = self.module.text
        tokens = {term: to_device(trimmed(text, tokens_BL), device) for term, tokens_BL in batch.tokens.items()}
        with self._precision.autocast(device):
            video_BD, texts = towers(videos, tokens)
        return video_BD.float(), *(texts[term].float() for term in batch.tokens)

    def _shares(self, leaves: tuple[torch.Tensor, ...], batch: ClipBatch) -> dict[str, torch.Tensor]:
        """Return this rank's share of each term; over the ranks they add up to the loss of the global batch."""
        device = self._ranks.device
        video_BD, *texts = leaves
        loss = contrastive_loss if self._bias is None else partial(siglip_loss, logit_bias=self._bias)
        return loss(
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

    def _facts(self, batch: ClipBatch) -> dict[str, torch.Tensor]:
        """Return temperature and bias, the share of present texts, distinct videos, and negatives of a row."""
        device = self._ranks.device
        rows = torch.stack([present_B.float().mean() for present_B in batch.present.values()])
        shares = mean_over(to_device(rows, device), self._ranks).unbind()
        present = {f"present_{term}": share for term, share in zip(batch.present, shares, strict=True)}
        learnt = {"temperature": 1 / self.module.logit_scale.detach().exp()}
        if self._bias is not None:
            learnt["logit_bias"] = self._bias.detach()
        return {**learnt, **present, **self._diversity(batch), **self._lengths(batch)}

    def _lengths(self, batch: ClipBatch) -> dict[str, torch.Tensor]:
        """Return the share of texts longer than the text tower takes."""
        if not batch.too_long:
            return {}
        counts = [sum(int((rows_B & batch.present[term]).sum()) for term, rows_B in batch.too_long.items())]
        counts.append(sum(int(present_B.sum()) for present_B in batch.present.values()))
        long, texts = sum_over(to_device(torch.tensor(counts, dtype=torch.float64), self._ranks.device), self._ranks)
        return {"long_texts": long / texts.clamp(min=1)}

    def _diversity(self, batch: ClipBatch) -> dict[str, torch.Tensor]:
        """Return the numbers of videos and of clips in the global batch, and the negatives of a row."""
        device = self._ranks.device
        video_id_B = to_device(batch.video_id_B, device)
        present = {term: to_device(present_B, device) for term, present_B in batch.present.items()}
        span_B2 = to_device(batch.span_B2, device)
        used_G = gather_plain(to_device(batch.weight_B, device), self._ranks) > 0
        negatives = count_negatives(present, video_id_B, span_B2, self._loss, self._ranks, self._text_id(batch))
        videos = count_distinct(gather_plain(video_id_B, self._ranks), used_G)
        return {"videos": videos, "negatives": negatives, _CLIPS: used_G.sum()}

    def _warn_once(self, facts: Mapping[str, float], clips: int) -> None:
        """Warn of few negatives, and of many texts that are cut; each once in a run."""
        negatives, others = facts["negatives"], clips - 1
        if self._ranks.is_main and not self._warned and others > 0 and negatives < max(_FEW_NEGATIVES, others / 2):
            self._warned = True
            _log.warning(
                "a clip has %.3g negatives on average, in a batch of %d clips of %d videos: a contrastive loss learns "
                "little from so few; raise --batch-size, set data.clips_per_root=1, or add videos",
                negatives,
                clips,
                facts["videos"],
            )
        share = facts.get("long_texts", 0.0)
        if self._ranks.is_main and share > _MANY_CUT and self._loss.long_texts == "cut" and not self._warned_cut:
            self._warned_cut = True
            _log.warning(
                "%.0f%% of the texts have more than the %d tokens of the text tower, and are cut there; "
                "--set loss.long_texts=sentences takes other sentences of them in each epoch",
                100 * share,
                self.module.tokenizer.context,
            )


class FlopCount:
    """Floating point operations of a step that its loss depends on: of decoded clips, and of texts without padding.

    Those of a padded text are counted once, by running the tower on a sample, and taken as linear in its tokens.
    """

    def __init__(self, model: VidLA) -> None:
        self._model = model
        self._text: dict[int, float] = {}
        self._padding = int(model.tokenizer([""])[0, -1])
        self._of_token: float | None = None

    def count_ahead(self) -> None:
        """Count a text of full length now, and take other lengths as linear: once sharded, no rank runs it alone."""
        context = self._model.tokenizer.context
        self._of_token = self._of_text(context) / context

    def step(self, batch: ClipBatch) -> float:
        """Return the operations of forward and backward of a batch."""
        tower = self._model.video
        video = sum(clips.usable * tower.step_flops(int(clips.length_B[0])) for clips in batch.same_length())
        present = (tokens_BL[batch.present[term]] for term, tokens_BL in batch.tokens.items())
        return video + 3 * sum(self._of_texts(tokens_PL) for tokens_PL in present)

    def _of_texts(self, tokens_PL: torch.Tensor) -> float:
        """Return the operations of the forward pass of some texts: the share of them that is no padding."""
        length = tokens_PL.shape[1]
        at_L = torch.arange(1, length + 1)
        tokens = int(((tokens_PL != self._padding) * at_L).amax(dim=1).sum()) if len(tokens_PL) else 0
        return self._of_text(length) * tokens / length

    def _of_text(self, length: int) -> float:
        if self._of_token is not None:
            return self._of_token * length
        if length not in self._text:
            counter = FlopCounterMode(display=False)
            device = self._model.logit_scale.device
            with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), counter:  # the counter misses a CPU's fused kernel
                self._model.encode_text(torch.zeros(1, length, dtype=torch.int64, device=device))
            self._text[length] = float(counter.get_total_flops())
        return self._text[length]
