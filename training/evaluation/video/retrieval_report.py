"""The report of a retrieval evaluation: scores computed from embeddings, notes for the reader, JSON, and tables.

A video without an embedding is never dropped from one side only: either it is left out together with its texts, or it
stays and all its queries are misses. In both cases the scores are marked as incomplete, and as not comparable.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal

import torch
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from runtime.errors import UserError
from training.evaluation.benchmarks.retrieval.retrieval_registry import RETRIEVAL_BENCHMARKS
from training.evaluation.benchmarks.retrieval.retrieval_set import RetrievalSet
from training.evaluation.published_scores import RETRIEVAL, Direction, PublishedRow
from training.evaluation.score_files import write_json
from training.evaluation.video.embeddings import Embeddings
from training.evaluation.video.retrieval_scores import (
    Ranking,
    RetrievalScores,
    length_thirds,
    rank_embeddings,
    rank_groups,
    summarize_ranking,
)

Missing = Literal["drop", "miss"]
"""Treatment of videos without an embedding. `drop`: leave them out together with their texts; `miss`: keep them and
count their queries as misses."""

DIRECTIONS: Final[tuple[Direction, Direction]] = ("t2v", "v2t")
_THIRDS = ("short", "middle", "long")
_SHOWN_IDS = 5

_SEVERAL_TEXTS = (
    "video to text ranks the best of a video's own texts among all texts (as collaborative-experts does); `by video` "
    "ranks videos by the nearest of their texts (as CLIP4Clip's code does): R@5 and R@10 are higher there; the paper "
    "does not say which one it uses"
)


@dataclass(frozen=True)
class LengthThird:
    """Scores of one third of the videos by length, each ranked among all videos (the paper's figure 4)."""

    name: str
    shortest: float
    """Seconds."""
    longest: float
    """Seconds."""
    t2v: RetrievalScores
    v2t: RetrievalScores


@dataclass(frozen=True)
class RetrievalResult:
    """Scores of both directions, with or without dual softmax."""

    dual_softmax: bool
    t2v: RetrievalScores
    v2t: RetrievalScores
    """Best of a video's own texts, ranked among all texts."""
    v2t_by_video: RetrievalScores | None
    """The same, ranked among videos by the nearest of their texts; None if each video has one text."""
    thirds: tuple[LengthThird, ...]


@dataclass(frozen=True)
class RetrievalReport:
    """Scores of a model on one split of a benchmark, and the conditions to compare them by."""

    benchmark: str
    split: str
    videos: int
    """Number of videos in the split."""
    texts: int
    """Number of texts in the split."""
    absent: Mapping[str, str]
    """Reason by id of each video without an embedding."""
    missing: Missing
    """Treatment of these videos."""
    truncated_texts: int
    """Number of texts that were cut to the model's context length."""
    complete: bool
    """True if every video and text was used."""
    comparable: bool
    """True if these are the videos and texts of the published test split, all of them."""
    notes: tuple[str, ...]
    results: tuple[RetrievalResult, ...]

    def write(self, path: Path, settings: Mapping[str, Any]) -> None:
        """Write the report and the `settings` as JSON.

        Raises:
            UserError: the file can't be written.
        """
        write_json(path, {**asdict(self), "settings": settings})


def evaluate_retrieval(
    benchmark: RetrievalSet,
    embeddings: Embeddings,
    seconds: Sequence[float | None],
    *,
    dual_softmax: Sequence[bool] = (False, True),
    missing: Missing = "drop",
) -> RetrievalReport:
    """Compute the scores of a benchmark from its embeddings.

    Args:
        benchmark: videos, texts, owners.
        embeddings: their embeddings.
        seconds: length of each video; without thirds by length if one of those scored is None.
        dual_softmax: scores to compute: with dual softmax, without, or both.
        missing: treatment of videos without an embedding.

    Raises:
        UserError: no video has an embedding.
    """
    if not bool(embeddings.present_N.any()):
        reasons = _counts(embeddings)
        raise UserError(f"{benchmark.name}: none of {len(benchmark.items)} videos could be used ({reasons})")
    results = tuple(_result(benchmark, embeddings, seconds, dual, missing) for dual in dual_softmax)
    as_published = _published_size(benchmark) == (len(benchmark.items), len(benchmark.texts))
    return RetrievalReport(
        benchmark=benchmark.name,
        split=benchmark.split,
        videos=len(benchmark.items),
        texts=len(benchmark.texts),
        absent={benchmark.items[number].id: reason for number, reason in sorted(embeddings.absent.items())},
        missing=missing,
        truncated_texts=embeddings.truncated,
        complete=not embeddings.absent,
        comparable=not embeddings.absent and as_published,
        notes=tuple(_notes(benchmark, embeddings, missing)),
        results=results,
    )


def show_retrieval(report: RetrievalReport, model: str, console: Console) -> None:
    """Print the scores beside the published ones (DSL: with dual softmax), then the thirds, then the notes."""
    console.print(
        f"{report.benchmark} {report.split}: {report.videos} videos, {report.texts} texts; {model}", markup=False
    )
    for direction, title in zip(DIRECTIONS, ("text to video", "video to text"), strict=True):
        table = _table(title)
        for row in RETRIEVAL.get(report.benchmark, {}).get(direction, ()):
            table.add_row(*_published_cells(row))
        table.add_section()
        for result in report.results:
            table.add_row(*_cells("this model", result.dual_softmax, getattr(result, direction)), style="bold")
            if direction == "v2t" and result.v2t_by_video is not None:
                table.add_row(*_cells("this model, by video", result.dual_softmax, result.v2t_by_video), style="bold")
        console.print(table)
    if any(result.thirds for result in report.results):
        console.print(_thirds_table(report))
    for note in report.notes:
        console.print(f"note: {note}", markup=False, highlight=False, soft_wrap=True)


def _result(
    benchmark: RetrievalSet, embeddings: Embeddings, seconds: Sequence[float | None], dual: bool, missing: Missing
) -> RetrievalResult:
    present_N = embeddings.present_N
    owner_M = torch.tensor(benchmark.owner, dtype=torch.int64)
    among_M = torch.where(present_N[owner_M], present_N.cumsum(0)[owner_M] - 1, -1)
    kept_M = among_M >= 0 if missing == "drop" else torch.ones_like(among_M, dtype=torch.bool)
    rows = embeddings.video_ND[present_N], embeddings.text_MD[kept_M], among_M[kept_M]
    t2v, v2t = rank_embeddings(*rows, dual_softmax=dual)
    several = len(set(benchmark.owner)) < len(benchmark.owner)
    by_video = rank_groups(*rows, owner_M[kept_M], dual_softmax=dual) if several else None
    lost_texts = 0 if missing == "drop" else int((among_M < 0).sum())
    lost_videos = 0 if missing == "drop" else len(set(owner_M[among_M < 0].tolist()))
    return RetrievalResult(
        dual,
        summarize_ranking(t2v, missed=lost_texts, worst=len(present_N)),
        summarize_ranking(v2t, missed=lost_videos, worst=len(owner_M)),
        summarize_ranking(by_video, missed=lost_videos, worst=len(present_N)) if by_video else None,
        _thirds(
            t2v, v2t, among_M[kept_M], [s for s, present in zip(seconds, present_N.tolist(), strict=True) if present]
        ),
    )


def _thirds(
    t2v: Ranking, v2t: Ranking, owner_M: torch.Tensor, seconds: Sequence[float | None]
) -> tuple[LengthThird, ...]:
    """Return scores by length of the videos with an embedding; `()` if a length is unknown or videos are too few."""
    known = [length for length in seconds if length is not None]
    if len(known) < len(seconds) or len(known) < len(_THIRDS):
        return ()
    thirds = []
    for name, videos in zip(_THIRDS, length_thirds(known), strict=True):
        chosen = torch.tensor(videos)
        asked, shown = t2v.take(torch.isin(owner_M[t2v.query_Q], chosen)), v2t.take(torch.isin(v2t.query_Q, chosen))
        if not len(asked):
            return ()
        lengths = [known[video] for video in videos]
        thirds.append(LengthThird(name, min(lengths), max(lengths), summarize_ranking(asked), summarize_ranking(shown)))
    return tuple(thirds)


def _published_size(benchmark: RetrievalSet) -> tuple[int, int] | None:
    """Return the number of videos and texts of this split if it is a published test split, otherwise None."""
    known = RETRIEVAL_BENCHMARKS.get(benchmark.name)
    return known.size if known is not None and benchmark.split == known.splits[0] else None


def _notes(benchmark: RetrievalSet, embeddings: Embeddings, missing: Missing) -> list[str]:
    notes = list(benchmark.notes)
    known, size = RETRIEVAL_BENCHMARKS.get(benchmark.name), _published_size(benchmark)
    if embeddings.absent:
        notes.append(_absent_note(benchmark, embeddings, missing))
    if known is not None and size is None:
        notes.append(f"split {benchmark.split}: the paper's scores are of the split {known.splits[0]}: not comparable")
    if len(set(benchmark.owner)) < len(benchmark.owner):
        notes.append(_SEVERAL_TEXTS)
    if size is not None and size != (len(benchmark.items), len(benchmark.texts)):
        notes.append(
            f"{len(benchmark.items)} videos and {len(benchmark.texts)} texts; the published split has {size[0]} and "
            f"{size[1]}: not comparable"
        )
    distinct = len(set(benchmark.texts))
    if distinct < len(benchmark.texts):
        published = size is not None and known is not None and known.distinct_texts == distinct
        notes.append(
            f"{distinct} of {len(benchmark.texts)} texts are distinct{' (as published)' if published else ''}: only a "
            "text's own video counts as right, and equal texts share their ranks evenly"
        )
    if embeddings.truncated:
        notes.append(
            f"{embeddings.truncated} of {len(benchmark.texts)} texts are longer than the model's context and were cut"
        )
    if known is not None and known.caveat:
        notes.append(known.caveat)
    return notes


def _absent_note(benchmark: RetrievalSet, embeddings: Embeddings, missing: Missing) -> str:
    texts = sum(owner in embeddings.absent for owner in benchmark.owner)
    ids = [benchmark.items[number].id for number in sorted(embeddings.absent)]
    shown = " ".join(ids[:_SHOWN_IDS]) + (" …" if len(ids) > _SHOWN_IDS else "")
    done = "left out together with" if missing == "drop" else "counted as misses, as are"
    return (
        f"INCOMPLETE: {len(ids)} of {len(benchmark.items)} videos could not be used ({_counts(embeddings)}: {shown}); "
        f"they are {done} their {texts} texts; not comparable with published scores"
    )


def _counts(embeddings: Embeddings) -> str:
    """Return the number of videos without an embedding by reason, the most frequent first."""
    return ", ".join(f"{count} {reason}" for reason, count in Counter(embeddings.absent.values()).most_common())


def _table(title: str) -> Table:
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column(title, no_wrap=True)
    for name in ("DSL", "R@1", "R@5", "R@10", "mean", "MdR", "MnR"):
        table.add_column(name, justify="right")
    return table


def _cells(name: str, dual: bool, scores: RetrievalScores) -> list[str]:
    recalls = [f"{value:.1f}" for value in (scores.r1, scores.r5, scores.r10, scores.mean_recall)]
    return [name, "yes" if dual else "", *recalls, f"{scores.median_rank:.1f}", f"{scores.mean_rank:.1f}"]


def _published_cells(row: PublishedRow) -> list[str]:
    recalls = [row.scores.get(name) for name in ("r1", "r5", "r10")]
    stated = [recall for recall in recalls if recall is not None]
    mean = sum(stated) / len(recalls) if len(stated) == len(recalls) else None
    values = (*recalls, mean, row.scores.get("median_rank"), row.scores.get("mean_rank"))
    name = f"paper: {row.model} {row.protocol}"
    return [name, "yes" if row.dual_softmax else "", *("–" if value is None else f"{value:.1f}" for value in values)]


def _thirds_table(report: RetrievalReport) -> Table:
    table = _table("by length, ranked among all")
    for result in report.results:
        for third in result.thirds:
            seconds = f"{third.shortest:.1f} to {third.longest:.1f} s"
            for direction in DIRECTIONS:
                name = f"{direction.upper()} {third.name}, {seconds}"
                table.add_row(*_cells(name, result.dual_softmax, getattr(third, direction)))
    return table
