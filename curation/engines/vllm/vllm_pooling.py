"""The answer of a pooling model in vLLM: the vector of a prompt with its pictures (Qwen3-VL-Embedding and its kin)."""

from __future__ import annotations

import math
from typing import Any

from curation.engines.engine_interface import Answer


async def vector_answer(engine: Any, key: str, prompt: Any, request_id: str) -> Answer:
    """Return the vector of a prompt, of length 1.

    Args:
        engine: vLLM's asynchronous engine, started with the runner `pooling`.
        key: of the request.
        prompt: in the engine's own form.
        request_id: not used before in this engine.
    """
    from vllm.pooling_params import PoolingParams

    outputs = [output async for output in engine.encode(prompt, PoolingParams(task="embed"), request_id)]
    values = tuple(map(float, outputs[-1].outputs.data.float().tolist()))
    length, tokens = math.hypot(*values), len(outputs[-1].prompt_token_ids)
    if not (math.isfinite(length) and length):
        return Answer(key, error="refused: its vector is not finite or has no direction", prompt_tokens=tokens)
    return Answer(key, prompt_tokens=tokens, vector=tuple(value / length for value in values))
