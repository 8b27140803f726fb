"""Trains the claim encoder (`curation.grounding.claim_encoder`) on labelled pairs and prints how it separates them.

    python -m bench.train_encoder --output curation/grounding/weights/claim_encoder.safetensors
    python -m bench.train_encoder --pairs FILE --epochs 1 --output /tmp/tiny.safetensors
    python -m bench.train_encoder --start trained --injected 0.5 --epochs 2 --rate 2e-4 --output FILE  # go on

Low-rank changes (LoRA, arXiv 2106.09685) of a packaged sentence encoder and a new head are trained: some megabytes.
The pairs are split by picture (`bench.encoder_data.split`): 1,400 train, 400 choose thresholds, and the rest is scored
once, at the end, with ``--held``.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus
from torch.nn.utils import parametrize

from bench.claim_pairs import DEVELOPMENT, ClaimPair, read_pairs
from bench.encoder_data import Example, Parts, examples, split
from bench.injected_examples import InjectedExamples
from curation.grounding.claim_encoder import (
    LOW_RANK,
    MINILM,
    TRAINED_ON,
    adapter_file,
    base_model,
    evidence_mark,
    read_changes,
)
from runtime.models.model_uri import resolve

_WHOLE: Final = ("pooler.dense", "classifier")
"""Layers that are trained whole."""


class LowRank(nn.Module):
    """A change of a weight matrix of low rank; zero at the start."""

    def __init__(self, weight_OI: Tensor, rank: int) -> None:
        super().__init__()
        outputs, inputs = weight_OI.shape
        self.a_RI = nn.Parameter(torch.randn(rank, inputs) / inputs**0.5)
        self.b_OR = nn.Parameter(torch.zeros(outputs, rank))

    def forward(self, weight_OI: Tensor) -> Tensor:
        """Return the changed matrix."""
        return weight_OI + self.b_OR @ self.a_RI


def prepared(folder: str, rank: int) -> Any:
    """Return the encoder with a head of one output, in which only the head and low-rank changes can be trained."""
    model = base_model(folder, labels=1)
    for parameter in model.parameters():
        parameter.requires_grad = False
    for name, layer in list(model.named_modules()):
        if not isinstance(layer, nn.Linear):
            continue
        if name.endswith(_WHOLE):
            layer.requires_grad_(True)
        elif name.rpartition(".")[2] in LOW_RANK:
            parametrize.register_parametrization(layer, "weight", LowRank(layer.weight, rank))
    return model


def resume(model: Any, tensors: Mapping[str, Tensor]) -> None:
    """Set what was trained before, in the form that `changes` returns; ranks must be the same."""
    layers = dict(model.named_modules())
    with torch.no_grad():
        for name, value in tensors.items():
            layer, _, part = name.rpartition(".")
            if part in ("low_rank_a", "low_rank_b"):
                change = layers[layer].parametrizations.weight[0]
                (change.a_RI if part == "low_rank_a" else change.b_OR).copy_(value)
            else:
                getattr(layers[layer], part).copy_(value)


def changes(model: Any) -> dict[str, Tensor]:
    """Return what was trained, in the form that `curation.grounding.claim_encoder` reads."""
    tensors: dict[str, Tensor] = {}
    for name, layer in model.named_modules():
        if parametrize.is_parametrized(layer, "weight"):
            change = layer.parametrizations.weight[0]
            tensors |= {f"{name}.low_rank_a": change.a_RI, f"{name}.low_rank_b": change.b_OR}
        elif name.endswith(_WHOLE):
            tensors |= {f"{name}.{part}": value for part, value in layer.named_parameters()}
    return {name: value.detach().to(torch.float16).contiguous() for name, value in tensors.items()}


class Trainer:
    """Trains on true and false claims: each by itself, and the true one of each pair above the false one."""

    def __init__(self, model: Any, tokenizer: Any, *, rate: float, steps: int) -> None:
        self._model = model
        self._tokenizer = tokenizer
        trained = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
        head = [p for name, p in trained if "parametrizations" not in name]
        low_rank = [p for name, p in trained if "parametrizations" in name]
        self._parameters = [*head, *low_rank]
        groups = [{"params": low_rank, "lr": rate}, {"params": head, "lr": rate}]
        self._optimizer = torch.optim.AdamW(groups, weight_decay=0.01)
        warmup = max(1, steps // 10)
        self._schedule = torch.optim.lr_scheduler.LambdaLR(
            self._optimizer, lambda step: min(1.0, (step + 1) / warmup) * max(0.02, 1 - step / steps)
        )

    def logits(self, pairs: Sequence[tuple[str, str]]) -> Tensor:
        """Return one logit for each pair of evidence and claim."""
        inputs = self._tokenizer(
            [evidence for evidence, _ in pairs], [claim for _, claim in pairs],
            padding=True, truncation=True, max_length=160, return_tensors="pt",
        )  # fmt: skip
        with torch.autocast("cpu", torch.bfloat16):
            return self._model(**inputs).logits[:, 0].float()

    def step(self, true: Sequence[tuple[str, str]], false: Sequence[tuple[str, str]]) -> float:
        """Train on one batch and return its loss."""
        self._model.train()
        true_N, false_N = self.logits([*true, *false]).split(len(true))
        loss = softplus(-true_N).mean() + softplus(false_N).mean() + softplus(false_N - true_N).mean()
        self._optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self._parameters, 1.0)
        self._optimizer.step()
        self._schedule.step()
        return float(loss.detach())

    @torch.inference_mode()
    def scored(self, pairs: Sequence[ClaimPair]) -> tuple[list[float], list[float]]:
        """Return the logits of the true and of the false claims."""
        self._model.eval()
        both: tuple[list[float], list[float]] = [], []
        for start in range(0, len(pairs), 64):
            some = pairs[start : start + 64]
            both[0].extend(self.logits([(pair.evidence, pair.supported) for pair in some]).tolist())
            both[1].extend(self.logits([(pair.evidence, pair.unsupported) for pair in some]).tolist())
        return both


def figures(pairs: Sequence[ClaimPair], true: Sequence[float], false: Sequence[float]) -> str:
    """Return AUC, and accepted claims at the thresholds that accept 5 and 10 % of the false ones."""
    wins = sum((t > f) + 0.5 * (t == f) for t in true for f in false) / (len(true) * len(false))
    parts = [f"AUC {wins:.4f}"]
    for share in (0.05, 0.1):
        threshold = sorted(false, reverse=True)[int(share * len(false))]
        accepted = sum(score > threshold for score in true) / len(true)
        swaps = [f > threshold for f, pair in zip(false, pairs, strict=True) if pair.kind.startswith("swap")]
        swapped = f", swaps {100 * sum(swaps) / len(swaps):.0f} %" if swaps else ""
        score = torch.tensor(threshold).sigmoid()
        parts.append(f"{100 * accepted:.1f} % of the true at {100 * share:.0f} % of the false{swapped} (> {score:.3f})")
    return "; ".join(parts)


def _mixed(
    pairs: Sequence[ClaimPair], rng: random.Random, injected: InjectedExamples | None, arguments: argparse.Namespace
) -> Iterator[Example]:
    """Yield one example for each pair: with an injected error for a share of them."""
    for pair, example in examples(pairs, rng, partial=arguments.partial):
        drawn = injected.draw(pair, rng) if injected and rng.random() < arguments.injected else None
        yield drawn or example


def train(parts: Parts, arguments: argparse.Namespace) -> dict[str, Tensor]:
    """Train, print figures after each epoch, and return the changes."""
    from transformers import AutoTokenizer

    torch.manual_seed(arguments.seed)
    rng = random.Random(arguments.seed)
    folder = resolve(arguments.model).path
    injected = InjectedExamples(parts.train, arguments.seed) if arguments.injected else None
    steps = max(1, arguments.epochs * (len(parts.train) // arguments.batch))
    model = prepared(folder, arguments.rank)
    if arguments.start:
        resume(model, read_changes(adapter_file(arguments.start)))
    trainer = Trainer(model, AutoTokenizer.from_pretrained(folder), rate=arguments.rate, steps=steps)
    began = time.monotonic()
    for epoch in range(1, arguments.epochs + 1):
        made = list(_mixed(parts.train, rng, injected, arguments))
        losses = [
            trainer.step([each.true for each in some], [each.false for each in some])
            for start in range(0, len(made) - arguments.batch + 1, arguments.batch)
            if (some := made[start : start + arguments.batch])
        ]
        line = f"epoch {epoch}: loss {sum(losses) / max(1, len(losses)):.3f}, {time.monotonic() - began:.0f} s"
        print(
            f"{line}; choose: {figures(parts.choose, *trainer.scored(parts.choose))}" if parts.choose else line,
            flush=True,
        )
    if arguments.held:
        print(f"held: {figures(parts.held, *trainer.scored(parts.held))}")
    return changes(model)


def main() -> int:
    """Read the command line, train and write the weights."""
    from safetensors.torch import save_file

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=Path, default=DEVELOPMENT)
    parser.add_argument("--model", default=MINILM, help="model URI of an encoder")
    parser.add_argument("--output", type=Path, required=True, help="safetensors file to write")
    parser.add_argument(
        "--injected", type=float, default=0.0, metavar="SHARE", help="share of examples with an injected error"
    )
    parser.add_argument("--start", metavar="FILE", help="go on from these weights: `trained`, or a file")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rank", type=int, default=16)
    parser.add_argument("--rate", type=float, default=6e-4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--whole-only",
        dest="partial",
        action="store_false",
        help="no claims about parts (no spaCy)",
    )
    parser.add_argument("--held", action="store_true", help="score the pairs that no choice was made on")
    arguments = parser.parse_args()
    parts = split(read_pairs(arguments.pairs))
    tensors = train(parts, arguments)
    marks = sorted({evidence_mark(pair.evidence) for pair in [*parts.train, *parts.choose]})
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, arguments.output, {TRAINED_ON: " ".join(marks)})
    print(f"{arguments.output}: {arguments.output.stat().st_size / 1e6:.1f} MB", file=sys.stderr)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
