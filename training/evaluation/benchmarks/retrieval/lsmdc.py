"""LSMDC 2016 (Rohrbach et al. 2017): clips of films, one sentence each; 1000 of the test clips are the retrieval test.

The tables have no header; their columns, separated by tabs, are the clip, four times and the sentence.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from runtime.annotation_files import VideoFiles, find_file, read_list
from runtime.errors import UserError
from training.evaluation.benchmarks.retrieval.retrieval_set import RetrievalBenchmark, RetrievalSet, assemble

NAME: Final = "lsmdc"

_TABLES: Final = {
    "test": "LSMDC16_challenge_1000_publictect.csv",
    "val": "LSMDC16_annos_val.csv",
    "train": "LSMDC16_annos_training.csv",
}
SPLITS: Final = tuple(_TABLES)
_FILES: Final = {split: ((name,),) for split, name in _TABLES.items()}
_COLUMNS: Final = 6


def read(annotations: Path, videos: VideoFiles, split: str = "test") -> RetrievalSet:
    """Read a split; a clip with several sentences has them all as queries.

    Args:
        annotations: folder of the published tables, or the table of the split.
        videos: files, by clip such as `1004_Juno_00.00.32.022-00.00.33.825`, nested or not.
        split: one of `SPLITS`.

    Raises:
        UserError: the table is missing, or no line of it has six columns and a sentence.
    """
    names = [annotations.name] if annotations.is_file() else []
    path = find_file(annotations, [*names, *_FILES[split][0]], "clips and sentences")
    captions: dict[str, list[str]] = {}
    lines = read_list(path)
    bad = 0
    for line in lines:
        columns = line.split("\t")
        sentence = " ".join(columns[-1].split())
        if len(columns) == _COLUMNS and columns[0].strip() and sentence:
            captions.setdefault(columns[0].strip(), []).append(sentence)
        else:
            bad += 1
    if not captions:
        raise UserError(
            f"{path}: no line has {_COLUMNS} columns separated by tabs, the last a sentence; the first line is "
            f"{lines[0][:60]!r}"
        )
    notes = [f"{bad} of {len(lines)} lines of {path.name} have no clip, no sentence or other columns"] if bad else []
    return assemble(NAME, split, captions, videos, notes=notes)


BENCHMARK: Final = RetrievalBenchmark(name=NAME, splits=SPLITS, files=_FILES, size=(1000, 1000), read=read)
