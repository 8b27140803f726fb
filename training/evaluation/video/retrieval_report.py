"""What a retrieval evaluation found: scores from embeddings, the notes a reader needs, JSON, and tables.

A video without an embedding is never dropped from one side only: either it leaves together with its texts, or it
stays and all its queries are misses. In both cases the scores are marked as incomplete, and as not comparable.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from runtime.errors import UserError
from training.evaluation.benchmarks.published_video_scores import (
    PAPER,
    SEVERAL_TEXTS,
    SIZES,
    UNIQUE_TEXTS,
    VATEX_WARNING,
    Direction,
    PaperRow,
)
from training.evaluation.benchmarks.retrieval_set import RetrievalSet
from training.evaluation.score_files import write_json
from training.evaluation.video.embeddings import Embedded
from training.evaluation.video.retrieval_scores import (
    Ranking,
    Scores,
    length_thirds,
    rank_embeddings,
    rank_groups,
    score,
)

Missing = Literal["drop", "miss"]
"""`drop`: videos without an embedding leave with their texts; `miss`: they stay, and what asks for them is a miss."""

DIRECTIONS: tuple[Direction, Direction] = ("t2v", "v2t")
_THIRDS = ("short", "middle", "long")
_SHOWN_IDS = 5


@dataclass(frozen=True)
class Third:
    """Scores of the videos of one third by length, each ranked among all videos (the paper's figure 4)."""

    name: str
    shortest: float
    """Seconds."""
    longest: float
    """Seconds."""
    t2v: Scores
    v2t: Scores


@dataclass(frozen=True)
class Result:
    """Both directions, with or without dual softmax."""

    dual_softmax: bool
    t2v: Scores
    v2t: Scores
    """The best of a video's own texts, ranked among all texts."""
    v2t_by_video: Scores | None
    """The same ranked among videos by the nearest of their texts; None where each has but one."""
    thirds: tuple[Third, ...]


@dataclass(frozen=True)
class Report:
    """All that is written down of one evaluation."""

    benchmark: str
    split: str
    videos: int
    texts: int
    absent: Mapping[str, str]
    """Id of each video without an embedding, with the reason."""
    missing: Missing
    """What was done with those."""
    truncated_texts: int
    complete: bool
    """Whether every video and text took part."""
    comparable: bool
    """Whether these are the videos and texts of a published test split, all of them."""
    notes: tuple[str, ...]
    results: tuple[Result, ...]

    def write(self, path: Path, settings: Mapping[str, Any]) -> None:
        """Write all of it and the `settings` as JSON.

        Raises:
            UserError: the file can't be written.
        """
        write_json(path, {**asdict(self), "settings": settings})


def evaluate(
    benchmark: RetrievalSet,
    embedded: Embedded,
    seconds: Sequence[float | None],
    *,
    dual_softmax: Sequence[bool] = (False, True),
    missing: Missing = "drop",
) -> Report:
    """Score embeddings of a benchmark.

    Args:
        benchmark: videos, texts, owners.
        embedded: their embeddings.
        seconds: length of each video, for thirds; without thirds where one of those scored is not known.
        dual_softmax: which scores.
        missing: what to do with videos that have no embedding.

    Raises:
        UserError: no video has an embedding.
    """
    if not bool(embedded.present_N.any()):
        reasons = Counter(embedded.absent.values())
        said = ", ".join(f"{count} {reason}" for reason, count in reasons.most_common())
        raise UserError(f"{benchmark.name}: none of {len(benchmark.items)} videos could be used ({said})")
    results = tuple(_result(benchmark, embedded, seconds, dual, missing) for dual in dual_softmax)
    size = SIZES.get((benchmark.name, benchmark.split))
    as_published = size == (len(benchmark.items), len(benchmark.texts))
    return Report(
        benchmark=benchmark.name,
        split=benchmark.split,
        videos=len(benchmark.items),
        texts=len(benchmark.texts),
        absent={benchmark.items[number].id: reason for number, reason in sorted(embedded.absent.items())},
        missing=missing,
        truncated_texts=embedded.truncated,
        complete=not embedded.absent,
        comparable=not embedded.absent and as_published,
        notes=tuple(_notes(benchmark, embedded, missing)),
        results=results,
    )


def show(report: Report, model: str, console: Console) -> None:
    """Print the scores beside the paper's (DSL: with dual softmax), then the thirds, then the notes."""
    console.print(
        f"{report.benchmark} {report.split}: {report.videos} videos, {report.texts} texts; {model}", markup=False
    )
    for direction, title in zip(DIRECTIONS, ("text to video", "video to text"), strict=True):
        table = _table(title)
        for row in PAPER.get(report.benchmark, {}).get(direction, ()):
            table.add_row(*_paper_cells(row))
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
    benchmark: RetrievalSet, embedded: Embedded, seconds: Sequence[float | None], dual: bool, missing: Missing
) -> Result:
    present_N = embedded.present_N
    owner_M = torch.tensor(benchmark.owner, dtype=torch.int64)
    among_M = torch.where(present_N[owner_M], present_N.cumsum(0)[owner_M] - 1, -1)
    kept_M = among_M >= 0 if missing == "drop" else torch.ones_like(among_M, dtype=torch.bool)
    rows = embedded.video_ND[present_N], embedded.text_MD[kept_M], among_M[kept_M]
    t2v, v2t = rank_embeddings(*rows, dual_softmax=dual)
    several = len(set(benchmark.owner)) < len(benchmark.owner)
    by_video = rank_groups(*rows, owner_M[kept_M], dual_softmax=dual) if several else None
    lost_texts = 0 if missing == "drop" else int((among_M < 0).sum())
    lost_videos = 0 if missing == "drop" else len(set(owner_M[among_M < 0].tolist()))
    return Result(
        dual,
        score(t2v, missed=lost_texts, worst=len(present_N)),
        score(v2t, missed=lost_videos, worst=len(owner_M)),
        score(by_video, missed=lost_videos, worst=len(present_N)) if by_video else None,
        _thirds(t2v, v2t, among_M[kept_M], [s for s, there in zip(seconds, present_N.tolist(), strict=True) if there]),
    )


def _thirds(t2v: Ranking, v2t: Ranking, owner_M: torch.Tensor, seconds: Sequence[float | None]) -> tuple[Third, ...]:
    """Scores by length, of the videos that have an embedding; none where lengths are not known or videos are few."""
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
        thirds.append(Third(name, min(lengths), max(lengths), score(asked), score(shown)))
    return tuple(thirds)


def _notes(benchmark: RetrievalSet, embedded: Embedded, missing: Missing) -> list[str]:
    notes = list(benchmark.notes)
    key = (benchmark.name, benchmark.split)
    if embedded.absent:
        notes.append(_absent_note(benchmark, embedded, missing))
    usual = next((split for name, split in SIZES if name == benchmark.name), benchmark.split)
    if usual != benchmark.split:
        notes.append(f"split {benchmark.split}: the paper's numbers are of the split {usual}: not comparable")
    if len(set(benchmark.owner)) < len(benchmark.owner):
        notes.append(SEVERAL_TEXTS)
    if key in SIZES and SIZES[key] != (len(benchmark.items), len(benchmark.texts)):
        videos, texts = SIZES[key]
        notes.append(
            f"{len(benchmark.items)} videos and {len(benchmark.texts)} texts, where everybody scores {videos} and "
            f"{texts}: not comparable"
        )
    distinct = len(set(benchmark.texts))
    if distinct < len(benchmark.texts):
        usual = " (as published)" if UNIQUE_TEXTS.get(key) == distinct else ""
        notes.append(
            f"{distinct} of {len(benchmark.texts)} texts are distinct{usual}: only a text's own video counts as right, "
            "and the places of equal texts are shared out evenly"
        )
    if embedded.truncated:
        notes.append(f"{embedded.truncated} of {len(benchmark.texts)} texts are longer than the model's context: cut")
    if benchmark.name == "vatex":
        notes.append(VATEX_WARNING)
    return notes


def _absent_note(benchmark: RetrievalSet, embedded: Embedded, missing: Missing) -> str:
    texts = sum(owner in embedded.absent for owner in benchmark.owner)
    reasons = ", ".join(f"{count} {reason}" for reason, count in Counter(embedded.absent.values()).most_common())
    ids = [benchmark.items[number].id for number in sorted(embedded.absent)]
    shown = " ".join(ids[:_SHOWN_IDS]) + (" …" if len(ids) > _SHOWN_IDS else "")
    done = "left out together with" if missing == "drop" else "counted as misses, as are"
    return (
        f"INCOMPLETE: {len(ids)} of {len(benchmark.items)} videos could not be used ({reasons}: {shown}); they are "
        f"{done} their {texts} texts; not comparable with published scores"
    )


def _table(of: str) -> Table:
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column(of, no_wrap=True)
    for name in ("DSL", "R@1", "R@5", "R@10", "mean", "MdR", "MnR"):
        table.add_column(name, justify="right")
    return table


def _cells(name: str, dual: bool, scores: Scores) -> list[str]:
    recalls = [f"{value:.1f}" for value in (scores.r1, scores.r5, scores.r10, scores.mean_recall)]
    return [name, "yes" if dual else "", *recalls, f"{scores.median_rank:.1f}", f"{scores.mean_rank:.1f}"]


def _paper_cells(row: PaperRow) -> list[str]:
    mean = None if row.r5 is None or row.r10 is None else (row.r1 + row.r5 + row.r10) / 3
    values = (row.r1, row.r5, row.r10, mean, row.median_rank, row.mean_rank)
    name = f"paper: {row.model} {'finetuned' if row.finetuned else 'zero-shot'}"
    return [name, "yes" if row.dual else "", *("–" if value is None else f"{value:.1f}" for value in values)]


def _thirds_table(report: Report) -> Table:
    table = _table("by length, ranked among all")
    for result in report.results:
        for third in result.thirds:
            seconds = f"{third.shortest:.1f} to {third.longest:.1f} s"
            for direction in DIRECTIONS:
                name = f"{direction.upper()} {third.name}, {seconds}"
                table.add_row(*_cells(name, result.dual_softmax, getattr(third, direction)))
    return table
