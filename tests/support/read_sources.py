"""All sources that `--input` arguments name, in a list."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from curation.sources.inputs import Source, read_inputs


def read_all(inputs: Sequence[str], **options: Any) -> list[Source]:
    """Return the sources; the first invalid one raises."""
    return list(read_inputs(inputs, **options))
