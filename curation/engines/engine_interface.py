"""What the pipeline asks of a language or vision-language model, whichever engine answers.

Answers are matched to requests by key, never by position. An engine never raises for a single request: its
`Answer.error` says what went wrong. It raises `runtime.errors.MachineError` when it is dead for good.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol


@dataclass(frozen=True)
class ImageRef:
    """Where an image's bytes lie: a span of a file in the store. Bytes are read where the engine runs."""

    url: str
    """Path or fsspec URL of the file (a tar of keyframes)."""
    offset: int
    size: int


@dataclass(frozen=True)
class Request:
    """One prompt. `images` stand before the text of the last user message."""

    key: str
    system: str
    user: str
    images: tuple[ImageRef, ...] = ()
    schema: Mapping[str, Any] | None = None
    """JSON schema that the answer must follow (structured output), or none for plain text."""
    max_tokens: int = 128
    temperature: float = 0.0


@dataclass(frozen=True)
class Answer:
    """What came back for one request."""

    key: str
    text: str = ""
    error: str | None = None
    """One line where no usable answer came: ``timeout``, ``length``, ``refused: …``."""
    prompt_tokens: int = 0
    output_tokens: int = 0


@dataclass(frozen=True)
class Heard:
    """What the speech recogniser heard in one window; times in seconds from the window's start."""

    words: tuple[tuple[float, float, str], ...] = ()
    language: str | None = None
    language_probability: float = 0.0
    voiced_seconds: float = 0.0


@dataclass(frozen=True)
class CaptionResult:
    """What a captioner says of one keyframe."""

    caption: str | None
    confidence: float | None = None
    error: str | None = None
    tokens: int = 0


class TextEngine(Protocol):
    """An LLM or VLM: vLLM in process, or an OpenAI-compatible endpoint."""

    async def generate(self, requests: Sequence[Request]) -> dict[str, Answer]:
        """Answer every request; the result has exactly the requests' keys."""


class Captioner(Protocol):
    """Says what a keyframe shows."""

    async def caption(self, images: Mapping[str, ImageRef]) -> dict[str, CaptionResult]:
        """Caption every image; the result has exactly the same keys."""


@dataclass(frozen=True)
class Usage:
    """Tokens spent on a batch of answers."""

    prompt_tokens: int = 0
    output_tokens: int = 0
    errors: Mapping[str, int] = field(default_factory=dict)
    """Answers with an error, by what stands before its first colon."""

    @classmethod
    def of(cls, answers: Iterable[Answer]) -> Usage:
        """Add up what `answers` cost."""
        answers = tuple(answers)
        return cls(
            prompt_tokens=sum(answer.prompt_tokens for answer in answers),
            output_tokens=sum(answer.output_tokens for answer in answers),
            errors=Counter(answer.error.partition(":")[0] for answer in answers if answer.error),
        )

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.prompt_tokens + other.prompt_tokens,
            self.output_tokens + other.output_tokens,
            Counter(self.errors) + Counter(other.errors),
        )
