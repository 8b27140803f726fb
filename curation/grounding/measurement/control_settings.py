"""Settings of the measurement of judges during a run."""

from __future__ import annotations

from pydantic import Field

from curation.grounding.parsing.claim_parser import ENGLISH_PARSER
from runtime.settings import Settings


class ControlSettings(Settings):
    """Injected errors and shuffled clips, judged on a share of the shards while a run makes them."""

    share: float = Field(default=0.0, ge=0, le=1)
    """Share of the shards on whose claims the judges are measured, each claim about six times; 0: none."""
    first_shards: int = Field(default=8, ge=1)
    """Measured shards that the latest as many are compared with: the first of the layer."""
    max_drift: float = Field(default=0.1, gt=0, le=1)
    """Change of the share of accepted claims, true or false, from which the run warns."""
    parser: str = ENGLISH_PARSER
    """URI of the spaCy model that parses claims."""
