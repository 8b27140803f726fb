"""A request to finetune on a benchmark: its files, the settings, the run's folder. Nothing here imports torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from runtime.errors import UserError
from training.data.order.epoch_order import seed_of
from training.evaluation.benchmarks.classification.classification_registry import labelled_splits, read_labelled
from training.evaluation.benchmarks.classification.classification_set import ClassificationSet
from training.evaluation.benchmarks.retrieval.retrieval_registry import read_retrieval, retrieval_splits
from training.evaluation.benchmarks.retrieval.retrieval_set import RetrievalSet
from training.vidla.finetuning.finetuning_recipes import BenchmarkRecipe, recipe_of
from training.vidla.vidla_settings import VidlaSettings, check_negatives


@dataclass(frozen=True)
class FinetuningRequest:
    """A benchmark to finetune on, and the settings for it."""

    settings: VidlaSettings
    """All settings, the benchmark's recipe among them."""
    benchmark: str
    annotations: Path
    """The benchmark's own files."""
    videos: Path
    """Folder of the video files."""
    output: Path
    """Folder of the run."""
    _retrieval_sets: dict[str, RetrievalSet] = field(default_factory=dict, repr=False, compare=False)
    _labelled_sets: dict[str, ClassificationSet] = field(default_factory=dict, repr=False, compare=False)

    @property
    def recipe(self) -> BenchmarkRecipe:
        """The benchmark's recipe."""
        return recipe_of(self.benchmark)

    def retrieval_set(self, split: str) -> RetrievalSet:
        """Read the videos and texts of a split, once.

        Raises:
            UserError: no such split, or a file is not as published.
        """
        if split not in self._retrieval_sets:
            files = self.annotations, self.videos
            self._retrieval_sets[split] = read_retrieval(self.benchmark, *files, split)
        return self._retrieval_sets[split]

    def labelled_set(self, split: str) -> ClassificationSet:
        """Read the videos and classes of a split, once.

        Raises:
            UserError: no such split, or a file is not as published.
        """
        if split not in self._labelled_sets:
            files = self.annotations, self.videos
            self._labelled_sets[split] = read_labelled(self.benchmark, *files, split)
        return self._labelled_sets[split]

    def selection_split(self) -> str | None:
        """Return the split that the best checkpoint is chosen on; None: a part of the training split.

        It is never the split of the published scores, unless `evaluation.select_on` asks for it.
        """
        retrieval = self.recipe.kind == "retrieval"
        published, *others = retrieval_splits(self.benchmark) if retrieval else labelled_splits(self.benchmark)
        if self.settings.evaluation.select_on == "test":
            return published
        return "val" if "val" in others else None

    def check(self) -> None:
        """Read the training split, so that missing or wrong files are refused before torch is imported.

        Raises:
            UserError: a file is missing or not as published, or a batch holds no negatives.
        """
        if self.recipe.kind == "retrieval":
            check_negatives(self.settings)
            self.retrieval_set("train")
        elif self.settings.parallel.kind == "fsdp":
            raise UserError(
                f"parallel.kind=fsdp: --benchmark {self.benchmark} trains a head on a whole tower; take ddp"
            )
        else:
            self.labelled_set("train")


def held_out_of_train(ids: Sequence[str], most: int) -> frozenset[int]:
    """Return the indices of the videos that are held out of training to choose the best checkpoint on.

    Args:
        ids: of the training videos; a video is held out by the hash of its id alone.
        most: largest number of them.

    Returns:
        A twentieth of the videos, but one at least and not all; none if there is only one video.
    """
    count = min(most, max(1, len(ids) // 20), len(ids) - 1)
    by_hash = sorted(range(len(ids)), key=lambda index: seed_of("held out of train", ids[index]))
    return frozenset(by_hash[: max(0, count)])


def data_line(roots: int, trained: RetrievalSet | ClassificationSet, scored: str | None) -> str:
    """Return one line about the data for the log's header.

    Args:
        roots: number of videos that are trained on.
        trained: the training split.
        scored: the videos that are scored while training; None: none are.
    """
    scores = f"scored on {scored}" if scored else "no scores while training"
    return f"{roots} videos of {trained.name} {trained.split}; {scores}"
