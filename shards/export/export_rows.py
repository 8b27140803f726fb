"""A row of an export, in ``.json`` and in tables: a clip's texts, marks, scores, facts of its video, and a few more."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final, NotRequired, TypedDict

import pyarrow as pa

from shards.export.export_scores import ClipScores
from shards.schema import CLIPS, SELECTION, TEXT, VIDEOS
from shards.selections.selection import MARKS
from shards.stored_rows import MarkedText, StoredVideo

_node = pa.struct(
    [
        ("key", pa.string()),
        ("parent_key", pa.string()),
        ("level", pa.string()),
        ("start", pa.float64()),
        ("end", pa.float64()),
        ("offset", pa.float64()),  # seconds from the sample's first frame
        ("text", pa.string()),
    ]
)

MARKED_TEXT: Final = pa.schema([*TEXT, *(SELECTION.field(mark) for mark in MARKS)])
"""The columns of a text layer and of the marks of its clips."""

EXPORT: Final = pa.schema(
    [
        *MARKED_TEXT,
        *(field for field in VIDEOS if field.name != "root_key"),
        *(CLIPS.field(name) for name in ("speech_seconds", "motion")),
        pa.field("text", pa.string()),  # content of .txt
        pa.field("text_column", pa.string()),  # the column it was taken from; null without a text
        pa.field("root_first_frame", pa.int32()),  # number, in the root, of the sample's first frame
        pa.field("tree", pa.list_(_node)),  # all exported clips of a root; null if the sample is one clip
    ]
)
"""Columns of an exported sample; `offset` and `num_frames` are those of the sample's own video.

A DIR with score sets has one more, ``scores`` (`shards.export.export_scores`).
"""


def export_schema(scores: pa.Field | None) -> pa.Schema:
    """Return the columns of an exported sample, with those of the scores if there are any."""
    return EXPORT if scores is None else EXPORT.append(scores)


class TreeNode(TypedDict):
    """One clip in the tree of an exported root."""

    key: str
    parent_key: str | None
    level: str
    start: float
    end: float
    offset: float
    text: str | None


class Measures(TypedDict):
    """The measures of a clip that are not in its text layer."""

    speech_seconds: float
    motion: float | None
    scores: NotRequired[ClipScores]


class ExportRow(MarkedText, StoredVideo, Measures):
    """A row of `export_schema`."""

    text: str | None
    text_column: str | None
    root_first_frame: int
    tree: list[TreeNode] | None


def export_row(row: MarkedText, video: StoredVideo, measures: Measures, text_column: str) -> ExportRow:
    """Return the row of one clip with the text that is exported.

    Args:
        row: of the text layer, with its marks.
        video: what is known of its video.
        measures: its scores.
        text_column: the column of the text. If it is empty the sample has none: speech or an unverified caption in its
            place would say what the column promises not to.
    """
    columns: Mapping[str, Any] = row  # a TypedDict is read by literal names only
    text = columns[text_column] or None
    own_column = text_column if text else None
    return ExportRow(**row, **video, **measures, text=text, text_column=own_column, root_first_frame=0, tree=None)


def missing_text_reason(row: ExportRow, text_column: str) -> str:
    """Return the reason why a sample has no text: the state of the rewrite, or that the column is empty."""
    if text_column == "grounded_text" and row["rewrite_status"] != "ok":
        return row["rewrite_status"]
    return f"no {text_column}"


def sample_facts(row: ExportRow) -> dict[str, Any]:
    """Return a row as it is written to json: what the manifest carried along is an object."""
    carried = row["carried"]
    return {**row, "carried": None if carried is None else json.loads(carried)}


def tree_of(rows: Iterable[ExportRow]) -> list[TreeNode]:
    """Return the clips of one root as the nodes of its tree, in their order."""
    return [
        TreeNode(
            key=row["key"],
            parent_key=row["parent_key"],
            level=row["level"],
            start=row["start"],
            end=row["end"],
            offset=row["offset"],
            text=row["text"],
        )
        for row in rows
    ]
