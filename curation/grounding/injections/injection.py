"""The interface of an injection kind: from the parse of a true claim to altered texts that should be false.

A kind is one file of this folder, which ends with an `InjectionKind`, and one line of
`curation.grounding.injections.injection_registry`. Kinds only propose; `curation.grounding.injections.control_claims`
checks that a proposal differs from the claim and is not what the evidence says.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from curation.grounding.parsing.claim_parser import Parse

if TYPE_CHECKING:
    from curation.grounding.injections.donors import Donors


@dataclass(frozen=True)
class AlteredText:
    """A claim with one error in it."""

    text: str
    introduced: tuple[str, ...] = ()
    """Words (lemmas, in lower case) that the error brings in: none of them may occur in the evidence."""


@dataclass(frozen=True)
class InjectionKind:
    """One kind of error, as registered."""

    name: str
    """Name in tables and counts."""
    alter: Callable[[Parse, Donors, random.Random], Iterator[AlteredText]]
    """Yield altered texts, the best first; none if the text has nothing to alter. Called with the parse of the claim,
    words from claims of other videos, and a source of chance."""
