"""A model's decision between words, such as *yes* and *no*, read from the log-probabilities of its first token. Pure.

Nothing is generated but one token, so a decision costs little more than reading the prompt; and it is a number, where
the words of a small model are only its likelier half.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from curation.engines.engine_interface import Answer, Request

TOP_TOKENS: Final = 20
"""Tokens whose log-probabilities are asked for: as many as vLLM and OpenAI's API give by default."""
LEAST_MASS: Final = 0.05
"""Least probability of all options together; a model that would rather say something else has not decided."""
_AROUND: Final = " \t\r\n\"'`*.,:;!?()[]▁Ġ"


@dataclass(frozen=True)
class TokenProbability:
    """One of the likeliest first tokens of an answer."""

    text: str
    log_probability: float


def decide(options: Sequence[str], tokens: Iterable[TokenProbability]) -> tuple[float, ...] | None:
    """Return the probability of each option, adding up to 1; None if the model would say something else.

    A token counts for the option that it spells, or for the only one that it begins, whatever its case.

    Args:
        options: words with different beginnings.
        tokens: the likeliest first tokens.
    """
    mass = [0.0] * len(options)
    for token in tokens:
        meant = [index for index, option in enumerate(options) if _begins(token.text, option)]
        probability = math.exp(min(token.log_probability, 0.0))
        if len(meant) == 1 and math.isfinite(probability):
            mass[meant[0]] += probability
    total = sum(mass)
    return tuple(part / total for part in mass) if total >= LEAST_MASS else None


def decision(request: Request, tokens: Sequence[TokenProbability], prompt_tokens: int, output_tokens: int) -> Answer:
    """Return the answer to a request with options; its error is ``undecided: …`` if the model would say other words."""
    probabilities = decide(request.options, tokens)
    error = None
    if probabilities is None:
        likeliest = max(tokens, key=lambda token: token.log_probability, default=None)
        said = "nothing" if likeliest is None else repr(likeliest.text[:20])
        error = f"undecided: the answer would begin with {said}"
    return Answer(request.key, "", error, prompt_tokens, output_tokens, probabilities or ())


def _begins(token: str, option: str) -> bool:
    bare = token.strip(_AROUND).casefold()
    return bool(bare) and option.casefold().startswith(bare)
