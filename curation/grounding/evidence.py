"""The evidence for one clip: its frame captions and its words by time, numbered so that a model can cite them.

Built from the media table and the captions table; shown to the LLM by `curation.text.rewriter`, checked by
`curation.grounding.verifier`, stored with each claim. An id says where the evidence lies, in seconds of the video:
``frame@12.0`` is the caption of that keyframe, ``words@3.2-5.8`` the words spoken in that span. In prompts each item
has a short label (``F1``, ``W1``): labels are cheap to generate and one JSON schema serves all clips.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from curation.captions.frame_captions import FrameCaption
from curation.media.speech.transcript import Word, joined
from curation.prompts.wording import tidy

Kind = Literal["frame", "words"]


@dataclass(frozen=True)
class Evidence:
    """One item that a claim may rest on."""

    id: str
    """``frame@<seconds>`` or ``words@<start>-<end>``: stored with the claim."""
    label: str
    """``F<n>`` or ``W<n>``: what the model sees and cites."""
    kind: Kind
    text: str

    @property
    def line(self) -> str:
        """How the item stands in a prompt."""
        where = self.id.partition("@")[2]
        return f"{self.label} ({'seen' if self.kind == 'frame' else 'said'} at {where} s): {self.text}"


def gather(frames: Iterable[FrameCaption], words: Sequence[Word], span_seconds: float = 5.0) -> tuple[Evidence, ...]:
    """Number the evidence of a clip: frame captions in time order, then words in spans of about `span_seconds`.

    Captions and spans without text are left out; ids are unique.
    """
    seen: dict[str, str] = {}
    for frame in sorted(frames, key=lambda frame: frame.time):
        _append(seen, f"frame@{seconds(frame.time)}", tidy(frame.text))
    said: dict[str, str] = {}
    for span in _spans(words, span_seconds):
        _append(said, f"words@{seconds(span[0].start)}-{seconds(span[-1].end)}", tidy(joined(span)))
    return (
        *(Evidence(id_, f"F{n}", "frame", text) for n, (id_, text) in enumerate(seen.items(), start=1)),
        *(Evidence(id_, f"W{n}", "words", text) for n, (id_, text) in enumerate(said.items(), start=1)),
    )


def by_reference(evidence: Iterable[Evidence]) -> Mapping[str, Evidence]:
    """Evidence by everything a model may cite it by: label and id, case folded."""
    return {name.casefold(): item for item in evidence for name in (item.label, item.id)}


def fit(evidence: Sequence[Evidence], max_chars: int) -> tuple[Evidence, ...]:
    """As much evidence as fits `max_chars` in a prompt: words go first, then captions, from the middle outward."""
    kept = list(evidence)
    excess = sum(len(item.line) + 1 for item in kept) - max_chars
    kinds: tuple[Kind, ...] = ("words", "frame")
    for kind in kinds:
        while excess > 0 and (indices := [index for index, item in enumerate(kept) if item.kind == kind]):
            excess -= len(kept.pop(indices[len(indices) // 2]).line) + 1
    return tuple(kept)


def seconds(value: float) -> str:
    """Seconds to the millisecond, with one decimal at least: ``12.0``, ``3.25``."""
    whole, _, rest = f"{value:.3f}".partition(".")
    return f"{whole}.{rest.rstrip('0') or '0'}"


def _append(items: dict[str, str], id_: str, text: str) -> None:
    if text:
        items[id_] = f"{items[id_]} {text}" if id_ in items else text


def _spans(words: Sequence[Word], span_seconds: float) -> Iterable[list[Word]]:
    """Consecutive words in groups that last `span_seconds` at most (a single word may last longer)."""
    span: list[Word] = []
    for word in words:
        if span and word.end - span[0].start > span_seconds:
            yield span
            span = []
        span.append(word)
    if span:
        yield span
