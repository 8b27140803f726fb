"""English words folded to one form: ``dogs`` and ``dog``, ``running``, ``ran`` and ``run``.

Written by hand because the rules must be short enough to be checked by reading; stemmers that fold more (Porter's)
would make different words equal.
"""

from __future__ import annotations

import re
from functools import lru_cache


def _pairs(text: str) -> dict[str, str]:
    return dict(pair.split(":") for pair in text.split())


_IRREGULAR = _pairs(
    """
    men:man women:woman children:child people:person feet:foot teeth:tooth mice:mouse geese:goose oxen:ox
    knives:knife leaves:leaf shelves:shelf loaves:loaf wolves:wolf calves:calf wives:wife lives:life halves:half
    sat:sit stood:stand held:hold ran:run wore:wear worn:wear made:make took:take taken:take gave:give given:give
    ate:eat eaten:eat drank:drink drove:drive driven:drive rode:ride ridden:ride wrote:write written:write
    flew:fly flown:fly threw:throw thrown:throw caught:catch brought:bring bought:buy built:build broke:break
    broken:break fell:fall fallen:fall grew:grow grown:grow kept:keep lying:lie
    met:meet said:say sang:sing swam:swim spoke:speak spoken:speak swung:swing told:tell thought:think
    woke:wake slept:sleep shone:shine hung:hang dug:dig drew:draw drawn:draw blew:blow blown:blow
    """
)


@lru_cache(maxsize=65536)
def fold(token: str) -> str:
    """Fold case, possessive, plural, ``-ing`` and ``-ed`` of one English word; other words keep all but their case."""
    word = token.casefold().split("'")[0]
    if not word.isascii() or not word.isalpha():
        return word
    word = _IRREGULAR.get(word, word)
    return _without_e(_IRREGULAR.get(_unsuffixed(word), _unsuffixed(word)))


def _unsuffixed(word: str) -> str:
    if len(word) > 4 and word.endswith(("ies", "ied")):
        return word[:-3] + "y"
    if word.endswith(("ches", "shes", "sses", "xes", "zes", "oes")) and len(word) > 4:
        return word[:-2]
    if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return word[:-1]
    for suffix in ("ing", "ed"):
        stem = word.removesuffix(suffix)
        if stem != word and len(stem) >= 3 and re.search("[aeiouy]", stem) and not word.endswith("eed"):
            return stem[:-1] if stem[-1] == stem[-2] and stem[-1] not in "lsz" else stem
    return word


def _without_e(word: str) -> str:
    if len(word) > 3 and word.endswith("ie"):
        return word[:-2] + "y"
    return word[:-1] if len(word) > 3 and word.endswith("e") else word
