"""Settings of events: the model, its prompt, the frames that it sees, and its limits."""

from __future__ import annotations

from typing import Any, Final, Self

from pydantic import Field, model_validator

from curation.prompts import prompt_templates
from curation.prompts.prompt_templates import Prompt
from runtime.settings import Runtime, Settings

EVENT_FIELDS: Final = ("frames", "seconds", "max_events")
"""Fields that the prompt can use."""


class EventSettings(Settings):
    """The model that tells what happens in a clip, its prompt and its limits."""

    engine: Runtime[str | None] = None
    """Vision-language model, by its name under `engines`; null: events are not asked for."""
    prompt: str = "events"
    """Prompt: the name of a built-in prompt, or the path of your own file."""
    seconds_per_frame: float = Field(default=1.5, gt=0)
    """A clip is shown as one frame for about this many seconds, within the two limits below."""
    min_frames: int = Field(default=4, ge=1)
    """Fewest frames of a clip."""
    max_frames: int = Field(default=16, ge=1)
    """Most frames of a clip; the engine's `images_per_prompt` must allow them."""
    as_video: bool = False
    """Show the frames as one video, for models with video input; the engine's `videos_per_prompt` must be 1."""
    max_events: int = Field(default=6, ge=1)
    """Most events of a clip."""
    event_chars: int = Field(default=200, ge=20)
    """Most characters of an event; longer ones are cut after a sentence, else at a clause or word with a `…`."""
    max_tokens: int = Field(default=480, ge=1)
    """Most tokens of an answer; it must have room for `max_events` events in JSON."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.min_frames > self.max_frames:
            raise ValueError(f"min_frames={self.min_frames} is above max_frames={self.max_frames}")
        return self

    def load_prompt(self) -> Prompt:
        """Return the prompt.

        Raises:
            UserError: it can't be read, or uses a field that can't be filled in.
        """
        return prompt_templates.load(self.prompt, EVENT_FIELDS)

    def content(self) -> dict[str, Any]:
        """Return `Settings.content` with the hash of the prompt in place of its name."""
        return super().content() | {"prompt": self.load_prompt().hash}
