"""The audit of a text layer without removed videos: its page, its form, and what was derived from them.

The tables of the sample and of the labels are rewritten like all others (`removed_rows`), after the files here: they
say whether an audit holds a removed video.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Sequence
from typing import Final

import pyarrow as pa

from curation.grounding.audit.audit_records import SAMPLE, AuditClip
from curation.grounding.audit.label_page import render
from curation.grounding.audit.label_pictures import pictures_of
from curation.selection.removal.removal_work import RemovalWork
from shards.reader import read_table
from shards.removal.traces import ID_LENGTH, rows_of_videos

FOLDER: Final = "audit"
_DERIVED: Final = ("report.json", "report.parquet", "report.svg")
_INJECTED: Final = ("injected.parquet", "injected_claims.parquet")
"""Controls set claims of one video against the pictures of another, so no row of theirs is of one video alone."""


def rewrite_audits(work: RemovalWork) -> list[str]:
    """Take removed videos out of the audits of all layers; may be repeated after an interruption.

    Returns:
        The files that were deleted, because they are made from all clips together.
    """
    deleted = []
    for layer in work.store.folders(FOLDER):
        folder = f"{FOLDER}/{layer}"
        if _holds(work, f"{folder}/{_INJECTED[-1]}"):
            deleted += _delete(work, folder, _INJECTED)
        if _holds(work, f"{folder}/sample.parquet") or _holds(work, f"{folder}/labels.parquet"):
            _rewrite_page(work, folder, layer)
            _rewrite_form(work, f"{folder}/labels.csv")
            deleted += _delete(work, folder, _DERIVED)
    return deleted


def _holds(work: RemovalWork, name: str) -> bool:
    try:
        return bool(rows_of_videos(read_table(work.store, name), work.removal.ids).any())
    except FileNotFoundError:
        return False


def _delete(work: RemovalWork, folder: str, names: Sequence[str]) -> list[str]:
    there = [f"{folder}/{name}" for name in names if work.store.exists(f"{folder}/{name}")]
    for name in there:
        work.store.delete(name)
    return there


def _rewrite_page(work: RemovalWork, folder: str, layer: str) -> None:
    """Make the page again of the clips that are left."""
    page, sample = f"{folder}/page.html", f"{folder}/sample.parquet"
    if not (work.store.exists(page) and work.store.exists(sample)):
        work.store.delete(page)
        return
    table = read_table(work.store, sample, SAMPLE.names)
    left = table.filter(pa.array(~rows_of_videos(table, work.removal.ids)))
    clips = [AuditClip.from_row(row) for row in left.to_pylist()]
    pictures = pictures_of(work.store, clips, Counter(), lambda done, total: None)
    work.store.commit_bytes(render(layer, clips, pictures).encode(), page)


def _rewrite_form(work: RemovalWork, name: str) -> None:
    """Write the form anew without the rows of removed videos; labels that are filled in for other clips stay."""
    try:
        text = work.store.read_bytes(name).decode("utf-8-sig")
    except FileNotFoundError:
        return
    except UnicodeDecodeError:
        work.store.delete(name)
        return
    separator = max(",;\t", key=text.partition("\n")[0].count)
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    written = io.StringIO()
    writer = csv.writer(written, delimiter=separator, lineterminator="\r\n")
    ids = work.removal.ids
    writer.writerows(row for row in rows if not any(value.strip()[:ID_LENGTH] in ids for value in row))
    work.store.commit_bytes(written.getvalue().encode("utf-8-sig"), name)
