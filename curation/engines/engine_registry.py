"""The kinds of engine: one line each in `ENGINE_KINDS`.

To add a kind, write one file with its settings class (a subclass of `EngineSettings` with ``kind: Literal["name"] =
"name"``) and its `TextEngine` (or `ObjectEngine`), and add the pair here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final, Union

from pydantic import Field

from curation.engines.endpoint.openai_endpoint import EndpointEngine, EndpointSettings
from curation.engines.engine_interface import ObjectEngine, TextEngine
from curation.engines.engine_settings import EngineSettings
from curation.engines.models.object_detector import DetectorSettings, ObjectDetector
from curation.engines.vllm.vllm_engine import VllmEngine
from curation.engines.vllm.vllm_settings import VllmSettings


@dataclass(frozen=True)
class EngineKind:
    """A kind of engine: its settings, and how it is started from them."""

    settings: type[EngineSettings]
    start: Callable[[Any], TextEngine | ObjectEngine]
    """Start the engine and wait until it is ready."""


ENGINE_KINDS: Final = (
    EngineKind(VllmSettings, VllmEngine),
    EngineKind(EndpointSettings, EndpointEngine),
    EngineKind(DetectorSettings, ObjectDetector),
)

if TYPE_CHECKING:
    AnyEngineSettings = EngineSettings
else:
    AnyEngineSettings = Annotated[Union[tuple(kind.settings for kind in ENGINE_KINDS)], Field(discriminator="kind")]  # noqa: UP007
"""Settings of any registered kind of engine; pydantic chooses the class by the field `kind`."""


def engine_for(settings: EngineSettings) -> TextEngine | ObjectEngine:
    """Start the engine that the settings name, and wait until it is ready.

    Raises:
        UserError: vLLM is not installed, the model can't be fetched or served, or the key variable is not set.
        MachineError: the engine did not start.
    """
    (kind,) = (kind for kind in ENGINE_KINDS if type(settings) is kind.settings)
    return kind.start(settings)
