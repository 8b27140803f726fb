"""A request to finetune on a benchmark: its files, the settings, the run's folder. Nothing here imports torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from training.evaluation.benchmarks.classification_registry import read_labelled
from training.evaluation.benchmarks.classification_set import ClassificationSet
from training.evaluation.benchmarks.retrieval_registry import read_retrieval
from training.evaluation.benchmarks.retrieval_set import RetrievalSet
from training.vidla.finetuning_recipes import BenchmarkRecipe, recipe_of
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

    def check(self) -> None:
        """Read the training split, so that missing or wrong files are refused before torch is imported.

        Raises:
            UserError: a file is missing or not as published, or a batch holds no negatives.
        """
        if self.recipe.kind == "retrieval":
            check_negatives(self.settings)
            self.retrieval_set("train")
        else:
            self.labelled_set("train")


def data_line(roots: int, trained: RetrievalSet | ClassificationSet, scored: str | None) -> str:
    """Return one line about the data for the log's header.

    Args:
        roots: number of videos that are trained on.
        trained: the training split.
        scored: the split that is scored while training; None: nothing is.
    """
    scores = f"scored on {trained.name} {scored}" if scored else "no scores while training"
    return f"{roots} videos of {trained.name} {trained.split}; {scores}"
