"""The interfaces of the models that curation calls, independent of the engine that answers.

Answers are matched to requests by key, never by position. An engine never raises for a single request: the error is in
`Answer.error`. It raises `runtime.errors.MachineError` when it is dead for good.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol


@dataclass(frozen=True)
class ImageRef:
    """Reference to an encoded image: a span of a file in the store. Bytes are read where the engine runs."""

    url: str
    """Path or fsspec URL of the file (a tar of keyframes)."""
    offset: int
    size: int
    """Bytes."""


@dataclass(frozen=True)
class FramesRef:
    """Reference to frames of a stored video. They are decoded where the engine runs."""

    file: ImageRef
    """The mp4: a span of a file in the store."""
    times: tuple[float, ...]
    """Seconds from the video's first frame, increasing."""
    labels: tuple[str, ...]
    """Text that is shown before each frame; one for each of `times`."""
    as_video: bool = False
    """Hand the frames to the model as one video, without labels: for vLLM and models with video input."""

    @property
    def per_second(self) -> float:
        """Frames a second, for evenly spaced frames."""
        return (len(self.times) - 1) / (self.times[-1] - self.times[0]) if len(self.times) > 1 else 1.0


@dataclass(frozen=True)
class Exchange:
    """A worked example: an earlier question of the same chat, with its right answer."""

    user: str
    answer: str


@dataclass(frozen=True)
class Request:
    """One prompt; `images` come before the text of the user message."""

    key: str
    system: str
    user: str
    images: tuple[ImageRef, ...] = ()
    frames: FramesRef | None = None
    """Frames of a video; they come before the text, too."""
    schema: Mapping[str, Any] | None = None
    """JSON schema that the answer must follow (structured output); None for plain text."""
    max_tokens: int = 128
    temperature: float = 0.0
    examples: tuple[Exchange, ...] = ()
    """Worked examples, between the system message and the user's. Requests that share them share their cost."""
    options: tuple[str, ...] = ()
    """Words between which the model decides, such as *yes* and *no*: the answer is their probabilities, without text.
    They begin with different letters; no `schema` goes with them."""


@dataclass(frozen=True)
class Answer:
    """The answer to one request."""

    key: str
    text: str = ""
    error: str | None = None
    """One line if the answer is not usable: ``timeout``, ``refused: …``, ``undecided: …`` (between the options), or
    ``length`` (cut, with a schema)."""
    prompt_tokens: int = 0
    output_tokens: int = 0
    probabilities: tuple[float, ...] = ()
    """Of the request's options, in their order; they add up to 1."""
    ended_at_limit: bool = False
    """The text ends at the request's `max_tokens`, not where the model would have ended it."""
    vector: tuple[float, ...] = ()
    """The vector of the request, of length 1, if the model is a pooling model: then there is no text."""

    @property
    def is_cut(self) -> bool:
        """True if the text breaks off at the limit of tokens."""
        return self.ended_at_limit or self.error == "length"

    @property
    def is_usable(self) -> bool:
        """True if the text is an answer, even if it breaks off."""
        return self.error in (None, "length")


@dataclass(frozen=True)
class RecognizedSpeech:
    """The words of one window of sound; times in seconds from the window's start."""

    words: tuple[tuple[float, float, str], ...] = ()
    """Start, end and text of each word."""
    language: str | None = None
    language_probability: float = 0.0
    voiced_seconds: float = 0.0
    """Length of the parts that hold speech."""
    lost_seconds: float = 0.0
    """Length of the parts whose words were dropped, because the recogniser fell into a loop there."""


@dataclass(frozen=True)
class CaptionResult:
    """The result of captioning one keyframe."""

    caption: str | None
    """None if the captioner failed or was not sure enough."""
    confidence: float | None = None
    error: str | None = None
    """One line if the captioner failed."""
    tokens: int = 0
    """Tokens generated for the caption."""
    prompt_tokens: int = 0
    """Tokens of the request, pictures included."""
    is_cut: bool = False
    """The model was cut at its limit of tokens; the caption is what was whole."""


@dataclass(frozen=True)
class DetectedObject:
    """One object in a picture."""

    name: str
    score: float
    """0 to 1."""
    share: float
    """Share of the picture that its box covers, 0 to 1."""


@dataclass(frozen=True)
class Detection:
    """The objects in one picture."""

    objects: tuple[DetectedObject, ...] = ()
    error: str | None = None
    """One line if the picture can't be used."""


class ObjectEngine(Protocol):
    """Finds objects in pictures."""

    def detect(self, images: Mapping[str, ImageRef]) -> dict[str, Detection]:
        """Find the objects in each image; the result has exactly the same keys.

        Raises:
            MachineError: the machine failed.
        """


class TextEngine(Protocol):
    """A language model, with or without vision: vLLM in process, or an OpenAI-compatible endpoint."""

    async def generate(self, requests: Sequence[Request]) -> dict[str, Answer]:
        """Answer every request; the result has exactly the requests' keys.

        Raises:
            MachineError: the engine is dead.
        """


class Captioner(Protocol):
    """Captions keyframes."""

    async def caption(self, images: Mapping[str, ImageRef]) -> dict[str, CaptionResult]:
        """Caption every image; the result has exactly the same keys.

        Raises:
            MachineError: the engine behind the captioner is dead.
        """


@dataclass(frozen=True)
class TokenUsage:
    """Tokens spent on a batch of answers, and their errors."""

    prompt_tokens: int = 0
    output_tokens: int = 0
    errors: Mapping[str, int] = field(default_factory=dict)
    """Number of answers with an error, by the text before its first colon."""

    @classmethod
    def of(cls, answers: Iterable[Answer]) -> TokenUsage:
        """Add up the tokens and errors of `answers`."""
        answers = tuple(answers)
        return cls(
            prompt_tokens=sum(answer.prompt_tokens for answer in answers),
            output_tokens=sum(answer.output_tokens for answer in answers),
            errors=Counter(answer.error.partition(":")[0] for answer in answers if answer.error),
        )

    def __add__(self, other: TokenUsage) -> TokenUsage:
        return TokenUsage(
            self.prompt_tokens + other.prompt_tokens,
            self.output_tokens + other.output_tokens,
            Counter(self.errors) + Counter(other.errors),
        )


def refuse_shared_keys(requests: Sequence[Request]) -> None:
    """Refuse requests that could not be told apart by their keys.

    Raises:
        ValueError: two requests have the same key.
    """
    if len({request.key for request in requests}) < len(requests):
        raise ValueError("two requests have the same key")
