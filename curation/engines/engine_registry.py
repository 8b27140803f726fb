"""Which engine answers: the one place that turns settings into a `TextEngine`."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from curation.engines.engine_interface import TextEngine
from curation.engines.openai_endpoint import EndpointEngine, EndpointSettings
from curation.engines.vllm_engine import VllmEngine
from curation.engines.vllm_settings import VllmSettings

EngineSettings = Annotated[VllmSettings | EndpointSettings, Field(discriminator="kind")]
"""Settings of a language model; ``kind`` says which engine."""


def engine_for(settings: VllmSettings | EndpointSettings) -> TextEngine:
    """Build the engine, and wait until it is ready.

    Raises:
        UserError: vLLM is missing, the model can't be had or served, the key is not set.
        MachineError: the engine did not start.
    """
    return EndpointEngine(settings) if isinstance(settings, EndpointSettings) else VllmEngine(settings)
