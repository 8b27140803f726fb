"""Settings of frame captions: the captioner, its prompt and its limits."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from curation.captions.frames.image_tagger import TaggerSettings
from curation.prompts import prompt_templates
from runtime.settings import Runtime, Settings


class FrameSettings(Settings):
    """Captioner of the keyframes, its prompt and its limits."""

    engine: Runtime[str | None] = None
    """Vision-language model, by its name under `engines`; null: the embedded tagger."""
    tagger: TaggerSettings = TaggerSettings()
    """The embedded tagger; used if `engine` is null."""
    prompt: str = "caption"
    """Prompt of the vision-language model: the name of a built-in prompt, or the path of your own file."""
    max_tokens: int = Field(default=96, ge=1)
    """Most tokens of a caption."""
    max_chars: int = Field(default=500, ge=1)
    """Most characters of a caption; longer ones are cut after a sentence, else at a clause or word with a `…`."""

    def content(self) -> dict[str, Any]:
        """Return the settings that decide the captions: only those of the captioner in use."""
        if self.engine is None:
            return {"tagger": self.tagger.content(), "max_chars": self.max_chars}
        prompt = prompt_templates.load(self.prompt)
        return {"prompt": prompt.hash, "max_tokens": self.max_tokens, "max_chars": self.max_chars}

    def prompt_ref(self) -> str | None:
        """Return ``name@version`` of the prompt; None for the tagger, which has no prompt."""
        return None if self.engine is None else prompt_templates.load(self.prompt).ref
