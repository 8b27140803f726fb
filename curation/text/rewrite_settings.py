"""Settings of the rewrite stage: its engine, prompts and limits, and the judges of its claims."""

from __future__ import annotations

from typing import Any

from pydantic import Field, model_validator

from curation.grounding.judge_registry import GroundSettings
from curation.grounding.measurement.control_settings import ControlSettings
from curation.prompts import prompt_templates
from curation.prompts.prompt_templates import Prompt
from runtime.settings import Runtime, Settings
from shards.schema import LEVELS, Level


class RewriteSettings(Settings):
    """Summaries and grounded text: engine, prompts, limits, and strictness."""

    engine: Runtime[str | None] = None
    """Language model, by its name under `engines`; null: no summaries, and the captions are the grounded text."""
    summary_prompt: str = "summary"
    """Prompt of both summaries: the name of a built-in prompt, or the path of your own file."""
    summary_words: int = Field(default=25, ge=1)
    """Most words of a summary; longer answers end at a sentence, or at a clause or word with a `…`."""
    summary_tokens: int = Field(default=80, ge=1)
    """Most tokens the model may spend on a summary."""
    summary_coverage: float = Field(default=0.75, ge=0, le=1)
    """Share of a sentence's words that the source of a summary must hold, and all numbers and names; 0: no check.

    A summary ends before the first sentence that fails."""
    summarize_levels: tuple[Level, ...] = LEVELS
    """Levels whose texts are summarised; at the other levels the summary is the text itself."""
    summarize_over_words: int = Field(default=0, ge=0)
    """Texts of at most this many words are their own summary; 0: all are summarised, as in the paper."""
    grounded: bool = True
    """Ask for a grounded rewrite; false: the frame captions take its place (`fallback`)."""
    grounded_prompt: str = "grounded_rewrite"
    """Prompt of the grounded rewrite."""
    grounded_tokens: int = Field(default=400, ge=1)
    """Most tokens of the grounded rewrite; must have room for `max_claims` claims in JSON."""
    max_claims: int = Field(default=5, ge=1)
    """Most claims a clip."""
    claim_chars: int = Field(default=160, ge=20)
    """Most characters a claim."""
    text_tokens: int = Field(default=77, ge=0)
    """Most tokens of `grounded_text`, as CLIP's text tower counts them; 0: no limit.

    If not all claims fit, those that cover most of the clip are kept."""
    span_seconds: float = Field(default=5.0, gt=0)
    """Words are shown and cited in spans of about this length."""
    input_chars: int = Field(default=6000, ge=200)
    """Most characters of data in a prompt; longer texts lose their middle."""
    ground: GroundSettings = GroundSettings()
    """Judges of claims."""
    controls: Runtime[ControlSettings] = ControlSettings()
    """Measurement of the judges during the run, on claims that are made false on purpose."""

    @model_validator(mode="after")
    def _within_limit(self) -> RewriteSettings:
        if self.summarize_over_words > self.summary_words:
            raise ValueError(
                f"summarize_over_words={self.summarize_over_words} is above summary_words={self.summary_words}: "
                "texts between the two would be summaries that are too long"
            )
        return self

    def prompts(self) -> dict[str, Prompt]:
        """Return the prompts that these settings use, by purpose: ``summary``, ``grounded``, and those of judges.

        Raises:
            UserError: a prompt can't be read, or uses a field that can't be filled in.
        """
        used = {"summary": prompt_templates.load(self.summary_prompt, ("text", "max_words"))}
        if self.grounded:
            used["grounded"] = prompt_templates.load(self.grounded_prompt, ("evidence", "max_claims"))
            used |= self.ground.prompts()
        return used

    def content(self) -> dict[str, Any]:
        """Return `Settings.content` with the hashes of the prompts in place of their names."""
        own = {name: value for name, value in super().content().items() if not name.endswith("_prompt")}
        return own | {"prompts": {name: prompt.hash for name, prompt in self.prompts().items()}}
