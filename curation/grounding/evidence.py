"""The evidence for one clip: what is seen and what is said, by time, numbered so that a model can cite it.

Built from the media table and the caption set, shown to the LLM by `curation.text.grounded_rewrite`, checked by the
judges (`curation.grounding.judge`), and stored with each claim. An id holds the time of the item in seconds of the
video: ``frame@12.0`` is the caption of that keyframe, ``words@3.2-5.8`` the words spoken in that span. In prompts each
item has a short label (``E1``, ``F1``, ``W1``): labels are cheap to generate, and one JSON schema serves all clips.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from curation.captions.frame_captions import FrameCaption
from curation.captions.observation import Observation, without_repeats
from curation.grounding.pixels.clip_pictures import ClipPictures
from curation.media.speech.transcript import Word, join_words
from curation.prompts.wording import tidy
from runtime.text.word_units import join_pieces

EvidenceKind = Literal["event", "frame", "text", "object", "words"]

_LABELS: Final[Mapping[EvidenceKind, str]] = {"event": "E", "frame": "F", "text": "T", "object": "O", "words": "W"}
_DROPPED_FIRST: Final[tuple[EvidenceKind, ...]] = ("words", "object", "text", "frame", "event")
_NAMES: Final[Mapping[EvidenceKind, str]] = {"object": "objects"}
_SHOWN: Final[Mapping[EvidenceKind, str]] = {
    "event": "happens",
    "frame": "seen",
    "text": "seen",
    "object": "seen",
    "words": "said",
}
_QUOTES: Final = '"\u201c\u201d\u201e\u00ab\u00bb\u300c\u300e'
_SOME_TEXT: Final = "the picture shows a text"


SPAN_SECONDS: Final = 5.0
"""Default length of the spans of words that claims cite."""


@dataclass(frozen=True)
class Evidence:
    """One item that a claim may cite."""

    id: str
    """``event@<start>-<end>``, ``frame@<seconds>``, ``text@…``, ``objects@…`` or ``words@<start>-<end>``; stored with
    the claim."""
    label: str
    """``E<n>``, ``F<n>``, ``T<n>``, ``O<n>`` or ``W<n>``; shown to the model, which cites it."""
    kind: EvidenceKind
    text: str
    pictures: ClipPictures | None = field(default=None, compare=False, repr=False)
    """Pictures of the clip, for judges that look at them; None if no judge does."""

    @property
    def line(self) -> str:
        """The item as one line of a prompt."""
        time = self.id.partition("@")[2]
        return f"{self.label} ({_SHOWN[self.kind]} at {time} s): {self.text}"

    @property
    def is_seen(self) -> bool:
        """True for what the pictures show; False for spoken words."""
        return is_seen(self.id)

    @property
    def span(self) -> tuple[float, float]:
        """Start and end in seconds of the video; equal for what one still shows."""
        return span_of(self.id)


def gather_evidence(
    frames: Iterable[FrameCaption],
    words: Sequence[Word],
    span_seconds: float = SPAN_SECONDS,
    observations: Iterable[Observation] = (),
    pictures: ClipPictures | None = None,
) -> tuple[Evidence, ...]:
    """Number the evidence of a clip: kind by kind, each in time order; words in spans of about `span_seconds`.

    Items without text are left out, and items of one kind and time are one item; ids are unique. Each knows the
    `pictures` of the clip.
    """
    items: dict[EvidenceKind, dict[str, str]] = {kind: {} for kind in _LABELS}
    for frame in sorted(frames, key=lambda frame: frame.time):
        _append(items["frame"], f"frame@{format_seconds(frame.time)}", tidy(frame.text))
    for each in without_repeats(observations):
        name = f"{_NAMES.get(each.kind, each.kind)}@{_format_span(each.start, each.end)}"
        _append(items[each.kind], name, _statement(each))
    for span in _word_spans(words, span_seconds):
        id_ = f"words@{format_seconds(span[0].start)}-{format_seconds(span[-1].end)}"
        _append(items["words"], id_, tidy(join_words(span)))
    return _numbered(items, pictures)


def stored_evidence(items: Iterable[tuple[str, str]], pictures: ClipPictures | None = None) -> tuple[Evidence, ...]:
    """Return evidence of one clip from its ids and texts, numbered anew; ids of unknown kinds are left out."""
    by_kind: dict[EvidenceKind, dict[str, str]] = {kind: {} for kind in _LABELS}
    kinds = {_NAMES.get(kind, kind): kind for kind in _LABELS}
    for id_, text in items:
        kind = kinds.get(id_.partition("@")[0])
        if kind is not None:
            by_kind[kind][id_] = text
    return _numbered(by_kind, pictures)


def _numbered(items: Mapping[EvidenceKind, Mapping[str, str]], pictures: ClipPictures | None) -> tuple[Evidence, ...]:
    return tuple(
        Evidence(id_, f"{_LABELS[kind]}{number}", kind, text, pictures)
        for kind, of_kind in items.items()
        for number, (id_, text) in enumerate(of_kind.items(), start=1)
    )


def is_seen(id_: str) -> bool:
    """Return True for the id of what the pictures show; False for that of spoken words."""
    return not id_.startswith("words@")


def span_of(id_: str) -> tuple[float, float]:
    """Return the start and end that an id names, in seconds of the video."""
    start, _, end = id_.partition("@")[2].partition("-")
    return float(start), float(end or start)


def by_reference(evidence: Iterable[Evidence]) -> Mapping[str, Evidence]:
    """Index the evidence by both names that a model may cite, label and id, in lower case."""
    return {name.casefold(): item for item in evidence for name in (item.label, item.id)}


def fit_evidence(evidence: Sequence[Evidence], max_chars: int) -> tuple[Evidence, ...]:
    """Return as much evidence as fits `max_chars` of a prompt: words are dropped first, events last.

    Of each kind the items in the middle are dropped first.
    """
    kept = list(evidence)
    excess = sum(len(item.line) + 1 for item in kept) - max_chars
    for kind in _DROPPED_FIRST:
        while excess > 0 and (indices := [index for index, item in enumerate(kept) if item.kind == kind]):
            excess -= len(kept.pop(indices[len(indices) // 2]).line) + 1
    return tuple(kept)


def in_label_order(evidence: Iterable[Evidence]) -> list[Evidence]:
    """Sort items of one clip as they are numbered: kind by kind, each by time."""
    order = list(_LABELS)
    return sorted(evidence, key=lambda item: (order.index(item.kind), int(item.label[1:])))


def seen_texts(claim: str, evidence: Iterable[Evidence]) -> list[str]:
    """Return what the pictures show, as a judge of a claim may read it.

    What a text in the picture says is not what happens: only a claim that quotes is shown the words.
    """
    quotes = any(mark in claim for mark in _QUOTES)
    return [
        _SOME_TEXT if item.kind == "text" and not quotes else item.text
        for item in in_label_order(evidence)
        if item.is_seen
    ]


def _statement(observation: Observation) -> str:
    """Return an observation as a statement about the pictures: what a text says is not what happens."""
    text = tidy(observation.text or "")
    return f"the picture shows the text \u201c{text}\u201d" if text and observation.kind == "text" else text


def _format_span(start: float, end: float) -> str:
    return format_seconds(start) if start == end else f"{format_seconds(start)}-{format_seconds(end)}"


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
