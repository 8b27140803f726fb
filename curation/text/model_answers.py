"""Reads what models answer: summaries, claims, second opinions. Garbage gives nothing, and never raises.

The shapes asked for (JSON schemas) stand beside what reads them, because an engine may not have kept to them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from curation.grounding.verifier import Claim
from curation.prompts.wording import tidy, unquoted

_MAX_CITED = 4
_PREAMBLE = re.compile(
    r"(?:(?:sure|certainly|of course|okay|here(?:'s|’s| is| are))\b[^:\n]{0,160}:|(?:summary|answer)\s*:)\s*",
    re.IGNORECASE,
)

OPINION_SCHEMA: Final[Mapping[str, Any]] = {
    "type": "object",
    "properties": {"supported": {"type": "boolean"}},
    "required": ["supported"],
    "additionalProperties": False,
}
"""JSON schema of the answer to the second-opinion prompt."""


@dataclass(frozen=True)
class Proposal:
    """A model's answer to the grounded prompt, as parsed."""

    abstain: bool
    """It said that nothing can be seen; its claims count for nothing then."""
    claims: tuple[Claim, ...]


def clean_summary(text: str) -> str:
    """The summary out of a model's answer: its first line, without ``Sure! Here is …:`` and quotation marks."""
    rest = text.strip()
    while match := _PREAMBLE.match(rest):
        rest = rest[match.end() :]
    return unquoted(tidy(next((line for line in rest.splitlines() if line.strip()), "")))


def parse_proposal(text: str, max_claims: int, claim_chars: int) -> Proposal | None:
    """Read a model's answer to the grounded prompt; None where it holds no such JSON object.

    What is malformed inside it is left out; limits on number and length are kept whatever the model did.
    """
    values = _json_object(text)
    if values is None:
        return None
    listed = values.get("claims")
    claims = [_claim(item, claim_chars) for item in listed] if isinstance(listed, list) else []
    if values.get("abstain") is not True and not isinstance(listed, list):
        return None
    return Proposal(values.get("abstain") is True, tuple(claim for claim in claims if claim)[:max_claims])


def grounded_schema(max_claims: int, claim_chars: int) -> dict[str, Any]:
    """JSON schema of the answer to the grounded prompt; one for all clips, so that an engine compiles it once."""
    claim = {
        "type": "object",
        "properties": {
            "text": {"type": "string", "maxLength": claim_chars},
            "evidence": {
                "type": "array",
                "items": {"type": "string", "pattern": "^[FW][0-9]{1,3}$"},
                "minItems": 1,
                "maxItems": _MAX_CITED,
            },
        },
        "required": ["text", "evidence"],
        "additionalProperties": False,
    }
    return {
        "type": "object",
        "properties": {
            "abstain": {"type": "boolean"},
            "claims": {"type": "array", "items": claim, "maxItems": max_claims},
        },
        "required": ["abstain", "claims"],
        "additionalProperties": False,
    }


def agrees(text: str) -> bool:
    """Whether a second opinion says yes; anything that can't be read says no."""
    values = _json_object(text)
    return values is not None and values.get("supported") is True


def _claim(item: Any, max_chars: int) -> Claim | None:
    if not isinstance(item, dict) or not isinstance(item.get("text"), str):
        return None
    cited = item.get("evidence")
    names = [name for name in cited if isinstance(name, str)] if isinstance(cited, list) else []
    return Claim(tidy(item["text"], max_chars), tuple(names[:_MAX_CITED]))


def _json_object(text: str) -> dict[str, Any] | None:
    """The first JSON object in `text` (models put fences and words around it)."""
    start = text.find("{")
    if start < 0:
        return None
    try:
        values, _ = json.JSONDecoder(strict=False).raw_decode(text, start)  # grammars let raw tabs through
    except (ValueError, RecursionError):
        return None
    return values if isinstance(values, dict) else None
