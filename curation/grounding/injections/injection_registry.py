"""The kinds of injected errors, one line each."""

from __future__ import annotations

from typing import Final

from curation.grounding.injections.colour_injection import COLOUR
from curation.grounding.injections.injection import InjectionKind
from curation.grounding.injections.negation_injection import NEGATION
from curation.grounding.injections.number_injection import NUMBER
from curation.grounding.injections.object_injection import OBJECT
from curation.grounding.injections.order_injection import EVENT_ORDER
from curation.grounding.injections.place_injection import PLACE
from curation.grounding.injections.role_injection import ROLE_SWAP

INJECTION_KINDS: Final[tuple[InjectionKind, ...]] = (
    NUMBER,
    COLOUR,
    OBJECT,
    ROLE_SWAP,
    EVENT_ORDER,
    NEGATION,
    PLACE,
)
"""All kinds, in the order of tables."""
