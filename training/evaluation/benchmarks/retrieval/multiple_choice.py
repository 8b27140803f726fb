"""MSR-VTT multiple choice (Yu et al. 2018): for each test video five sentences, one of which is its own.

Published as lines of JSON (`clip_name`, `options`, `answer`; ClipBERT's file) or as a list (`video`, `caption`,
`answer`; Singularity's and VindLU's file).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from runtime.annotation_files import VideoFiles, find_file, read_json, read_list, without_suffix
from runtime.errors import UserError
from training.data.clip_tasks import MediaRef
from training.evaluation.benchmarks.retrieval.retrieval_set import RetrievalSet, VideoItem

NAME: Final = "msrvtt"
FILES: Final = ("msrvtt_mc_test.jsonl", "msrvtt_mc_test.json")
PUBLISHED: Final = 2990
"""Number of questions in the published file."""


@dataclass(frozen=True)
class MultipleChoice:
    """Questions: each is a video, some sentences, and the index of its own sentence."""

    pairs: RetrievalSet
    """The videos, one a question, with all of its sentences."""
    answers: tuple[int, ...]
    """Index of the right sentence among those of the question."""
    left_out: Mapping[str, int]
    """Number of rows that are no question, by reason."""


def read(annotations: Path, videos: Path) -> MultipleChoice:
    """Read the questions.

    Args:
        annotations: the published file, or its folder.
        videos: folder of the video files.

    Raises:
        UserError: the file is missing, or holds no question.
    """
    names = [annotations.name, *FILES] if annotations.is_file() else FILES
    path = find_file(annotations, names, "videos, sentences and answers")
    files = VideoFiles(videos)
    left_out: Counter[str] = Counter()
    items: list[VideoItem] = []
    answers: list[int] = []
    texts: list[str] = []
    owner: list[int] = []
    for row in _rows(path):
        question = _question(row)
        if isinstance(question, str):
            left_out[question] += 1
            continue
        video, sentences, answer = question
        found = files.find(video)
        texts += sentences
        owner += [len(items)] * len(sentences)
        answers.append(answer)
        items.append(VideoItem(without_suffix(video), None if found is None else MediaRef(str(found))))
    if not items:
        raise UserError(f"{path}: holds no question; rows need clip_name, options, answer (or video, caption, answer)")
    pairs = RetrievalSet(NAME, "multiple choice", tuple(items), tuple(texts), tuple(owner))
    return MultipleChoice(pairs, tuple(answers), dict(left_out))


def _rows(path: Path) -> list[Any]:
    if path.suffix != ".jsonl":
        rows = read_json(path)
        return rows if isinstance(rows, list) else []
    return [_line(line) for line in read_list(path)]


def _line(line: str) -> Any:
    try:
        return json.loads(line)
    except ValueError:
        return None


def _question(row: Any) -> tuple[str, list[str], int] | str:
    """Return video, sentences and answer of a row, or why it is no question."""
    if not isinstance(row, Mapping):
        return "not an object"
    video = row.get("clip_name", row.get("video"))
    sentences, answer = row.get("options", row.get("caption")), row.get("answer")
    if not isinstance(video, str) or not video:
        return "no video"
    if not isinstance(sentences, list) or len(sentences) < 2 or not all(isinstance(s, str) and s for s in sentences):
        return "no sentences"
    if not isinstance(answer, int) or not 0 <= answer < len(sentences):
        return "no answer"
    return video, sentences, answer
