"""A model's answer to the grounded prompt: its JSON schema, and the claims in it.

An answer that is not in the requested form yields no claims and never raises; limits on number and length are enforced
even if the engine ignored the schema.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

from curation.grounding.claims import Claim
from curation.prompts.model_answers import without_markup
from curation.prompts.model_json import JsonObject, answer_object
from curation.prompts.wording import cut_to, ends_whole, tidy

_MAX_CITED: Final = 4
_MARKS: Final = re.compile(
    r"""\s*[(\[](?:
        (?:[EFTOW]\d{1,3}|(?:event|frame|text|objects|words)@[\d.-]+)(?:\s*(?:,|and|;)\s*[EFTOW]\d{1,3})*   # labels
        |(?:confidence|score|probability)?[:=\s]*(?:[01]?\.\d+|\d{1,3}(?:\.\d+)?\s?%)                     # confidence
        |(?:seen|said|happens)\ at\ [\d.-]+\ s
    )[)\]]""",
    re.VERBOSE,
)
"""Labels, figures of confidence and times of the evidence, which small models copy into their statements."""


@dataclass(frozen=True)
class Proposal:
    """A model's answer to the grounded prompt, as parsed."""

    abstains: bool
    """The model said that nothing can be seen; its claims are ignored."""
    claims: tuple[Claim, ...]


def proposal_schema(max_claims: int, claim_chars: int) -> dict[str, Any]:
    """Return the JSON schema of a proposal; one for all clips, so that an engine compiles it once."""
    claim = {
        "type": "object",
        "properties": {
            "text": {"type": "string", "maxLength": claim_chars},
            "evidence": {
                "type": "array",
                "items": {"type": "string", "pattern": "^[EFTOW][0-9]{1,3}$"},
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


def parse_proposal(text: str, max_claims: int, claim_chars: int, *, is_cut: bool = False) -> Proposal | None:
    """Read a model's answer to the grounded prompt; None if it holds no such JSON object.

    Malformed claims are left out; limits on number and length are enforced. Of an answer that was cut at its limit of
    tokens the whole claims are kept; without one there is no proposal.
    """
    values = answer_object(text, _is_proposal, is_cut=is_cut)
    if values is None:
        return None
    abstains, listed = values.get("abstain") is True, values.get("claims")
    claims = [_claim(item, claim_chars) for item in listed] if isinstance(listed, list) else []
    whole = tuple(claim for claim in claims if claim)[:max_claims]
    return Proposal(abstains, whole) if whole or abstains or not is_cut else None


def _is_proposal(values: JsonObject) -> bool:
    return values.get("abstain") is True or isinstance(values.get("claims"), list)


def _claim(item: object, max_chars: int) -> Claim | None:
    if not isinstance(item, dict) or not isinstance(item.get("text"), str):
        return None
    cited = item.get("evidence")
    names = [name for name in cited if isinstance(name, str)] if isinstance(cited, list) else []
    text = tidy(_MARKS.sub("", without_markup(item["text"])))
    limit = max_chars if ends_whole(text) else max_chars - 1  # a grammar ends a text at its limit, within a word
    return Claim(cut_to(text, limit), tuple(names[:_MAX_CITED]))
