"""The base of every engine's settings: the identity and the name of its model."""

from __future__ import annotations

from typing import Any, Literal, Self

from runtime.models.model_uri import ModelURI, check, revision_of
from runtime.settings import Settings

EngineTask = Literal["answers prompts", "finds objects", "makes vectors"]
"""The work of an engine on a request: a detector finds objects, a pooling model makes a vector."""


class EngineSettings(Settings):
    """Settings of a language model; `kind` names the engine that serves it (`curation.engines.engine_registry`)."""

    kind: str
    """Kind of engine."""
    model: str
    """Model, as the engine names it."""

    @property
    def local_model(self) -> str | None:
        """URI of the model that the engine loads on this machine; None if a server holds the model."""
        return None

    @property
    def server(self) -> str | None:
        """Address of the server that holds the model; None if the engine loads it on this machine."""
        return None

    @property
    def programs(self) -> tuple[str, ...]:
        """Distributions whose versions are recorded with what the engine makes; none if a server makes it."""
        return ()

    @property
    def model_name(self) -> str:
        """Short name of the model; stored in every row."""
        return self.model if self.local_model is None else ModelURI.parse(self.local_model).name

    def identity(self) -> list[Any]:
        """Return the part of a content hash for this engine: its settings, and the revision of a local model.

        Raises:
            UserError: the local model can't be resolved.
        """
        return [self.content(), None if self.local_model is None else revision_of(self.local_model)]

    @property
    def does(self) -> EngineTask:
        """The kind of work that the engine does."""
        return "answers prompts"

    @property
    def pictures_per_prompt(self) -> tuple[int, int] | None:
        """Most images and most videos in one request; None if the server decides."""
        return None

    def on_gpus(self, gpus: float) -> Self:
        """Return these settings as they hold for a worker that reserves `gpus` GPUs."""
        return self

    def check_gpus(self, name: str, gpus: float) -> None:
        """Refuse settings that take more of a GPU than a worker of the engine's pool reserves.

        Args:
            name: name of the engine, and of its pool.
            gpus: GPUs that a worker reserves, the setting ``resources.NAME.gpus``.

        Raises:
            UserError: names both settings and the remedy.
        """

    def check_ready(self, setting: str) -> None:
        """Refuse an engine that can't work, in a few seconds and without loading or fetching anything.

        Args:
            setting: name of these settings (``engines.llm``), for messages.

        Raises:
            UserError: names the setting, its value and the remedy.
        """
        if self.local_model is not None:
            check(self.local_model)
