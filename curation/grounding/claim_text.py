"""The text that the supported claims of a clip make: in order of time, each statement once, within a limit. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from curation.grounding.claims import Verdict
from curation.grounding.evidence import Evidence, is_seen, span_of
from curation.prompts.same_statement import covers
from curation.prompts.wording import cut_to, in_sentences


@dataclass(frozen=True)
class TextLimit:
    """Limit on the length of a text."""

    tokens: int
    count: Callable[[str], int]
    """Return the number of tokens of a text."""

    def admits(self, text: str) -> bool:
        """Return True for a text within the limit."""
        return self.count(text) <= self.tokens


@dataclass(frozen=True)
class ClaimText:
    """A text, and what was left out of it."""

    text: str
    repeated: int = 0
    """Claims that another one covers."""
    over_limit: int = 0
    """Claims for which there was no room, or that were cut."""


@dataclass(frozen=True)
class _Statement:
    text: str
    spans: tuple[tuple[float, float], ...]
    """Seconds that its evidence covers."""

    @property
    def start(self) -> float:
        return min((start for start, _ in self.spans), default=0.0)

    @property
    def seconds(self) -> float:
        """Length of all spans together."""
        total, end = 0.0, float("-inf")
        for first, last in sorted(self.spans):
            total += max(0.0, last - max(first, end))
            end = max(end, last)
        return total


def claims_as_text(claims: Iterable[Verdict], evidence: Sequence[Evidence], limit: TextLimit | None) -> ClaimText:
    """Join claims to one text.

    A claim whose words another one has, too, is left out. If not all fit the limit, those whose evidence covers most of
    the clip are kept; a single claim that is too long is cut at a sentence or clause.

    Args:
        claims: at least one.
        evidence: all evidence of the clip.
        limit: None for none.
    """
    still = _seconds_of_a_still(evidence)
    given = [_Statement(claim.text, _spans(claim.evidence, still)) for claim in claims]
    distinct = sorted(_distinct(given), key=lambda each: each.start)
    kept = distinct if limit is None else _fitting(distinct, limit)
    repeated = len(given) - len(distinct)
    if kept or limit is None:
        return ClaimText(_joined(kept), repeated, len(distinct) - len(kept))
    foremost = max(distinct, key=lambda each: each.seconds)
    return ClaimText(_cut(foremost.text, limit), repeated, len(distinct))


def _distinct(statements: Iterable[_Statement]) -> list[_Statement]:
    """Merge each statement with the one that covers it, which gets the spans of both."""
    distinct: list[_Statement] = []
    for each in statements:
        for place, other in enumerate(distinct):
            if covers(other.text, each.text) or covers(each.text, other.text):
                longer = other if covers(other.text, each.text) else each
                distinct[place] = replace(longer, spans=(*other.spans, *each.spans))
                break
        else:
            distinct.append(each)
    return distinct


def _fitting(statements: Sequence[_Statement], limit: TextLimit) -> list[_Statement]:
    """Return the statements that cover most and fit together, in their order."""
    kept: list[_Statement] = []
    for each in sorted(statements, key=lambda each: -each.seconds):
        more = [other for other in statements if other in kept or other is each]
        if limit.admits(_joined(more)):
            kept = more
    return kept


def _joined(statements: Iterable[_Statement]) -> str:
    return in_sentences(each.text for each in statements)


def _cut(text: str, limit: TextLimit) -> str:
    """Return the longest start of a text, cut at a sentence or clause, that fits the limit; a word may be too long."""
    fits, too_long = 0, len(text)
    while too_long - fits > 1:
        middle = (fits + too_long) // 2
        fits, too_long = (middle, too_long) if limit.admits(in_sentences([cut_to(text, middle)])) else (fits, middle)
    return in_sentences([cut_to(text, fits)]) if fits else ""


def _spans(ids: Iterable[str], still: float) -> tuple[tuple[float, float], ...]:
    """Return the spans of the cited items that are seen; what one still shows stands for the seconds around it."""
    spans = [span_of(id_) for id_ in ids if is_seen(id_)]
    return tuple((start - still / 2, end + still / 2) if start == end else (start, end) for start, end in spans)


def _seconds_of_a_still(evidence: Sequence[Evidence]) -> float:
    """Return the seconds of the clip for each of its keyframes; 1 without any."""
    times = [time for item in evidence for time in item.span]
    stills = sum(item.kind == "frame" for item in evidence)
    return (max(times) - min(times)) / stills if stills and max(times) > min(times) else 1.0
