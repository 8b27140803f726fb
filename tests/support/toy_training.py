"""A model of one layer with random batches, for tests of the loop and its checkpoints."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from training.engine.checkpoints.model_config import ModelFormat
from training.engine.checkpoints.model_folder import save_model
from training.engine.engine_settings import LoopSettings, OptimSettings
from training.engine.parallel.distributed import Ranks
from training.engine.training_loop import TrainingRun
from training.engine.training_task import NonFiniteLoss, StepReport


@dataclass
class ToyBatch:
    inputs: torch.Tensor
    keys: list[str]
    skips: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def usable(self) -> int:
        return len(self) - self.skips.total()


class ToyBatches:
    """Batch number n is a pure function of n; `poison` are the steps whose batch holds NaN."""

    steps_per_epoch = 4

    def __init__(self, identity: str = "toy", poison: Container[int] = (), skipped: int = 0) -> None:
        self.identity = identity
        self.poison = poison
        self.skipped = skipped
        self.on_step: Any = lambda step: None

    def start(self, step: int) -> Iterator[ToyBatch]:
        while True:
            self.on_step(step)
            inputs = torch.randn(8, 3, generator=torch.Generator().manual_seed(step))
            if step in self.poison:
                inputs[0] = torch.nan
            skips = Counter({"undecodable": self.skipped}) if self.skipped else Counter()
            yield ToyBatch(inputs, [f"{step}-{row}" for row in range(8)], skips)
            step += 1


class ToyTask:
    """Learns to add three numbers, with dropout, so that the random state matters."""

    best_by = "score"
    unit = "rows"

    def __init__(self, width: int = 3) -> None:
        torch.manual_seed(1)
        self.module = nn.Sequential(nn.Linear(width, 1), nn.Dropout(0.5))
        self.width = width
        self.losses: list[float] = []
        self.evaluated = 0
        self.arithmetic = "fp32"

    @property
    def stored(self) -> nn.Module:
        return self.module

    @property
    def architecture(self) -> Mapping[str, Any]:
        return {"width": self.width, "act": {"name": "none"}}

    @property
    def precision(self) -> str:
        return self.arithmetic

    def is_new(self, parameter: str) -> bool:
        return False

    def step(self, batch: ToyBatch) -> StepReport:
        loss = (self.module(batch.inputs).squeeze(1) - batch.inputs.sum(1)).square().mean()
        value = loss.item()
        if not math.isfinite(value):
            raise NonFiniteLoss({"total": value}, batch.keys)
        loss.backward()
        self.losses.append(value)
        return StepReport({"total": value}, {"temperature": 0.07})

    def after_step(self) -> None:
        pass

    def flops(self, batch: ToyBatch) -> float:
        return 6.0 * len(batch)

    def evaluate(self) -> Mapping[str, float]:
        self.evaluated += 1
        return {"score": -float(self.module[0].weight.detach().sub(1).square().sum())}

    def save(self, folder: Path, weights: Mapping[str, torch.Tensor] | None = None) -> None:
        save_model(self.module, folder, ModelFormat("toy", 1), self.architecture, weights=weights)

    def restore(self, folder: Path) -> None:
        pass


def toy_run(folder: Path, batches: ToyBatches | None = None, width: int = 3, **loop: Any) -> TrainingRun:
    settings = LoopSettings(**({"steps": 10, "batch_size": 8, "save_every": 2, "log_every": 1} | loop))
    optim = OptimSettings(lr=0.05, lr_end=0.01)
    values = settings.model_dump(mode="json")
    return TrainingRun(ToyTask(width), batches or ToyBatches(), optim, settings, Ranks(), folder, values)
