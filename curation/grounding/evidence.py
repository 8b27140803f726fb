"""The evidence for one clip: its frame captions and its words by time, numbered so that a model can cite them.

Built from the media table and the captions table, shown to the LLM by `curation.text.grounded_rewrite`, checked by the
judges (`curation.grounding.judge`), and stored with each claim. An id holds the time of the item in seconds of the
video: ``frame@12.0`` is the caption of that keyframe, ``words@3.2-5.8`` the words spoken in that span. In prompts each
item has a short label (``F1``, ``W1``): labels are cheap to generate, and one JSON schema serves all clips.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from curation.captions.frame_captions import FrameCaption
from curation.media.speech.transcript import Word, join_words
from curation.prompts.word_units import join_pieces
from curation.prompts.wording import tidy

EvidenceKind = Literal["frame", "words"]


@dataclass(frozen=True)
class Evidence:
    """One item that a claim may cite."""

    id: str
    """``frame@<seconds>`` or ``words@<start>-<end>``; stored with the claim."""
    label: str
    """``F<n>`` or ``W<n>``; shown to the model, which cites it."""
    kind: EvidenceKind
    text: str

    @property
    def line(self) -> str:
        """The item as one line of a prompt."""
        time = self.id.partition("@")[2]
        return f"{self.label} ({'seen' if self.kind == 'frame' else 'said'} at {time} s): {self.text}"


def gather_evidence(
    frames: Iterable[FrameCaption], words: Sequence[Word], span_seconds: float = 5.0
) -> tuple[Evidence, ...]:
    """Number the evidence of a clip: frame captions in time order, then words in spans of about `span_seconds`.

    Captions and spans without text are left out; ids are unique.
    """
    seen: dict[str, str] = {}
    for frame in sorted(frames, key=lambda frame: frame.time):
        _append(seen, f"frame@{format_seconds(frame.time)}", tidy(frame.text))
    said: dict[str, str] = {}
    for span in _word_spans(words, span_seconds):
        id_ = f"words@{format_seconds(span[0].start)}-{format_seconds(span[-1].end)}"
        _append(said, id_, tidy(join_words(span)))
    return (
        *(Evidence(id_, f"F{n}", "frame", text) for n, (id_, text) in enumerate(seen.items(), start=1)),
        *(Evidence(id_, f"W{n}", "words", text) for n, (id_, text) in enumerate(said.items(), start=1)),
    )


def by_reference(evidence: Iterable[Evidence]) -> Mapping[str, Evidence]:
    """Index the evidence by both names that a model may cite, label and id, in lower case."""
    return {name.casefold(): item for item in evidence for name in (item.label, item.id)}


def fit_evidence(evidence: Sequence[Evidence], max_chars: int) -> tuple[Evidence, ...]:
    """Return as much evidence as fits `max_chars` of a prompt: drop words first, then captions, from the middle out."""
    kept = list(evidence)
    excess = sum(len(item.line) + 1 for item in kept) - max_chars
    kinds: tuple[EvidenceKind, ...] = ("words", "frame")
    for kind in kinds:
        while excess > 0 and (indices := [index for index, item in enumerate(kept) if item.kind == kind]):
            excess -= len(kept.pop(indices[len(indices) // 2]).line) + 1
    return tuple(kept)


def in_label_order(evidence: Iterable[Evidence]) -> list[Evidence]:
    """Sort items of one clip as they are numbered: frame captions by time, then words by time."""
    return sorted(evidence, key=lambda item: (item.kind, int(item.label[1:])))


def format_seconds(value: float) -> str:
    """Format seconds to the millisecond, with at least one decimal: ``12.0``, ``3.25``."""
    whole, _, rest = f"{value:.3f}".partition(".")
    return f"{whole}.{rest.rstrip('0') or '0'}"


def _append(items: dict[str, str], id_: str, text: str) -> None:
    if text:
        items[id_] = join_pieces([items[id_], text]) if id_ in items else text


def _word_spans(words: Sequence[Word], span_seconds: float) -> Iterable[list[Word]]:
    """Yield consecutive words in groups of at most `span_seconds` (a single word may last longer)."""
    span: list[Word] = []
    for word in words:
        if span and word.end - span[0].start > span_seconds:
            yield span
            span = []
        span.append(word)
    if span:
        yield span
