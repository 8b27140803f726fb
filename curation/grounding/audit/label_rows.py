"""Rows of ``labels.csv``: the form to fill in, and the check of each filled-in row against the sample. Pure.

The form has a row for each claim and, before them, one for the clip (claim 0), whose note names what the pictures show
and no claim says. A row that can't be used is counted by its reason and never ends a file.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from curation.grounding.audit.audit_records import AuditClip, Label
from curation.prompts.wording import tidy
from runtime.terminal import visible
from runtime.text.sound_text import sound_text

COLUMNS: Final = ("labeller", "key", "claim", "text", "label", "note")
NEEDED: Final = ("key", "claim", "label")
ANONYMOUS: Final = "anonymous"
_MOST_CHARACTERS: Final = 2000
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
"""Beginnings of cells that spreadsheets take for formulas."""
_NOT_LETTERS: Final = re.compile(r"[^a-z]+")
_CLAIM_NAMES: Final = {
    "supported": "supported",
    "s": "supported",
    "yes": "supported",
    "true": "supported",
    "contradicted": "contradicted",
    "c": "contradicted",
    "no": "contradicted",
    "false": "contradicted",
    "canttell": "cant_tell",
    "cannottell": "cant_tell",
    "t": "cant_tell",
    "unsure": "cant_tell",
}
_CLIP_NAMES: Final = {"complete": "complete", "incomplete": "incomplete"}


@dataclass(frozen=True)
class CheckedRows:
    """The labels of a file, and what was not taken from it."""

    labels: tuple[Label, ...]
    """At most one for each labeller and claim: the last."""
    refused: Counter[str]
    """Rows that can't be used, by reason."""
    empty: int
    """Rows without a label."""
    repeated: int
    """Labels that a later row of the file replaces."""


def form(clips: Iterable[AuditClip]) -> str:
    """Return ``labels.csv`` without labels; texts can't act as formulas in a spreadsheet."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for clip in clips:
        writer.writerow(["", clip.key, 0, "", "", ""])
        writer.writerows(["", clip.key, n, cell(claim.text), "", ""] for n, claim in enumerate(clip.claims, 1))
    return text.getvalue()


def cell(text: str) -> str:
    """Return a text as a cell that no spreadsheet runs: an apostrophe before what may begin a formula."""
    shown = visible(tidy(text))
    return f"'{shown}" if shown.startswith(_FORMULA) else shown


def check_rows(rows: Iterable[Mapping[str, Any] | str], clips: Sequence[AuditClip], labeller: str) -> CheckedRows:
    """Return the labels in the rows of a file.

    Args:
        rows: each by column; or the reason why a row can't be read.
        clips: the sample.
        labeller: name for rows that have none.
    """
    targets = {clip.key: ["", *(claim.text for claim in clip.claims)] for clip in clips}
    labels: dict[tuple[str, str, int], Label] = {}
    refused: Counter[str] = Counter()
    empty = repeated = 0
    for row in rows:
        checked = row if isinstance(row, str) else _check_row(row, targets, labeller)
        if checked is None:
            empty += 1
        elif isinstance(checked, str):
            refused[checked] += 1
        else:
            place = checked.labeller, checked.key, checked.claim
            repeated += place in labels
            labels[place] = checked
    return CheckedRows(tuple(labels.values()), refused, empty, repeated)


def merge(old: Sequence[Label], new: Sequence[Label]) -> tuple[list[Label], int]:
    """Return old and new labels, and how many old ones are replaced: the new label of a person counts."""
    merged = {(label.labeller, *label.target): label for label in old}
    replaced = sum((label.labeller, *label.target) in merged for label in new)
    merged |= {(label.labeller, *label.target): label for label in new}
    return sorted(merged.values(), key=lambda label: (label.labeller, label.key, label.claim)), replaced


def _check_row(row: Mapping[str, Any], targets: Mapping[str, Sequence[str]], labeller: str) -> Label | str | None:
    """Return the label of a row, the reason to refuse it, or None if it is not filled in."""
    stated, note = _text(row, "label"), _unguarded(_text(row, "note"))
    number = _whole(row.get("claim"))
    if not stated and not (note and number == 0):
        return None
    texts = targets.get(_text(row, "key"))
    if texts is None:
        return "unknown_clip"
    if number is None or not 0 <= number < len(texts):
        return "unknown_claim"
    given = _text(row, "text")
    if given and _plain(given) != _plain(texts[number]):
        return "other_text"
    name = _clip_label(stated) if number == 0 else _claim_label(stated)
    if name is None:
        return "unknown_label"
    who = _unguarded(_text(row, "labeller")) or labeller
    return Label(who, _text(row, "key"), number, texts[number], name, note)


def _claim_label(stated: str) -> str | None:
    return "cant_tell" if stated == "?" else _CLAIM_NAMES.get(_NOT_LETTERS.sub("", stated.lower()))


def _clip_label(stated: str) -> str | None:
    """Return the label of a clip as a whole; a note alone says that something is missing."""
    return _CLIP_NAMES.get(stated.lower()) if stated else "incomplete"


def _text(row: Mapping[str, Any], column: str) -> str:
    value = row.get(column)
    is_empty = value is None or (isinstance(value, float) and math.isnan(value))  # an empty column of pandas
    return "" if is_empty else tidy(visible(sound_text(str(value))))[:_MOST_CHARACTERS]


def _plain(text: str) -> str:
    """Return a text as it is compared: a form that went through a page and a spreadsheet is still the same."""
    return _unguarded(tidy(visible(text))[:_MOST_CHARACTERS])


def _unguarded(text: str) -> str:
    """Return the text of a cell that `cell` may have guarded."""
    return text[1:] if text.startswith("'") and text[1:].startswith(_FORMULA) else text


def _whole(value: object) -> int | None:
    """Return a number of a claim; a column with gaps becomes ``3.0`` in pandas and in spreadsheets."""
    try:
        number = float(str(value).strip())
    except ValueError:
        return None
    return int(number) if number.is_integer() else None
