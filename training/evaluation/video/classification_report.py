"""The report of a classification: written as JSON, and printed as a table with the published scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from training.evaluation.published_scores import PublishedRow
from training.evaluation.score_files import write_json
from training.evaluation.video.classification import ClassificationOptions


@dataclass(frozen=True)
class ClassificationReport:
    """Scores of a model on a labelled set in percent, and the options they were computed with."""

    benchmark: str
    split: str
    way: str
    """``zero-shot`` or ``finetuned``."""
    checkpoint: str
    head: str | None
    """Folder of the head; None: zero-shot."""
    frame_mean: bool
    """True if each frame was embedded alone and the embeddings averaged."""
    look: ClassificationOptions
    """Sampling, frames, views and batches."""
    classes: int
    """Number of classes."""
    top1: float
    top5: float
    mean_class: float
    """Top-1 of each class, averaged over classes."""
    top1_at_least: float
    """Top-1 with each video that could not be scored counted as wrong."""
    videos: int
    """Number of videos scored."""
    failures: Mapping[str, int]
    """Number of videos that could not be scored, by reason."""
    complete: bool
    """True if every video of the split was scored."""
    paper: tuple[PublishedRow, ...]
    """Published scores of the same benchmark, split and way."""
    weights: str
    """SHA-256 of the model's weights."""
    precision: str

    def write(self, path: Path) -> None:
        """Write the report as JSON.

        Raises:
            UserError: the file can't be written.
        """
        paper = [{"model": row.model, "top1": row.scores["top1"]} for row in self.paper]
        write_json(path, asdict(self) | {"paper": paper})

    def show(self, console: Console) -> None:
        """Print a table, our scores first, and one line for each reason why they are not comparable."""
        look = self.look
        views = f"{look.views.temporal}x{look.views.spatial} views"
        table = Table(
            title=f"{self.benchmark} {self.split}, {self.way}: {look.frames} frames, {look.sampling}, {views}"
        )
        for column in ("", "top-1", "top-5", "mean class"):
            table.add_column(column, justify="right" if column else "left")
        table.add_row("this checkpoint", *(f"{share:.1f}" for share in (self.top1, self.top5, self.mean_class)))
        for row in self.paper:
            table.add_row(f"{row.model} (published)", f"{row.scores['top1']:.1f}", "", "")
        console.print(table)
        if self.failures:
            reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(self.failures.items()))
            console.print(
                f"incomplete: {self.videos} videos scored, not scored: {reasons}; not comparable with published "
                f"numbers (top-1 with each of them counted as wrong: {self.top1_at_least:.1f})"
            )
        elif not self.complete:
            console.print("only a part of the videos (--limit): not comparable with published numbers")
