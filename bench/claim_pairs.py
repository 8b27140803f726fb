"""Labelled claims: captions as evidence, each with a claim that it supports and one that it does not.

One JSON line each: ``id`` (optional), ``kind``, ``evidence``, ``supported``, ``unsupported``. The development half of
SugarCrepe++ has this form.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from runtime.errors import UserError

DEVELOPMENT: Final = Path(__file__).parents[2] / "shared" / "fixtures" / "text" / "claims" / "sugarcrepe_pp_dev.jsonl"
"""The development half: 2,452 pairs of claims."""


@dataclass(frozen=True)
class ClaimPair:
    """One piece of evidence with a true and a false claim."""

    id: str
    kind: str
    """How the false claim was made, such as ``swap_att``."""
    evidence: str
    supported: str
    unsupported: str


def read_pairs(path: Path) -> list[ClaimPair]:
    """Read pairs of claims.

    Raises:
        UserError: the file can't be read, or a line is not of the form above; names the line.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"--pairs {path}: can't be read ({type(error).__name__}); name a file of JSON lines") from None
    pairs = [_pair(path, number, line) for number, line in enumerate(lines, start=1) if line.strip()]
    if not pairs:
        raise UserError(f"--pairs {path}: holds no pairs")
    return pairs


def spread(pairs: Sequence[ClaimPair], limit: int | None) -> list[ClaimPair]:
    """Return `limit` of the pairs, evenly spread over them; all without a limit."""
    if limit is None or limit >= len(pairs):
        return list(pairs)
    return [pairs[index * len(pairs) // limit] for index in range(limit)]


def kinds(pairs: Sequence[ClaimPair]) -> list[str]:
    """Return the kinds of the pairs, in order of first appearance."""
    return list(dict.fromkeys(pair.kind for pair in pairs))


def _pair(path: Path, number: int, line: str) -> ClaimPair:
    names = ("kind", "evidence", "supported", "unsupported")
    try:
        values = json.loads(line)
        texts = [values[name] for name in names]
    except (ValueError, KeyError, TypeError, RecursionError):
        texts = [None]
    if not all(isinstance(text, str) and text.strip() for text in texts):
        raise UserError(f"--pairs {path}:{number}: must be a JSON object with texts for {', '.join(names)}")
    return ClaimPair(str(values.get("id", number)), *texts)
