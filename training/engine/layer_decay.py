"""Layer-wise decay of the learning rate (Clark et al. 2020, *ELECTRA*; Bao et al. 2021, *BEiT*).

A parameter with k layers between it and the output of its tower learns at `decay`^k of the rate: a pretrained tower's
first layers change least. The layers of a tower are told by the names of its parameters, as timm does it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

_NUMBERED: Final = re.compile(r"(.+?)\.(\d+)\.")
_STEM: Final = re.compile(r"emb|conv1|cls_token|reg_token|ln_pre|norm_pre|rope")
"""Parts of the names of what precedes the layers: in open_clip, timm, and Hugging Face's text models."""


class LayerDepths:
    """The number of layers above each parameter, by name.

    A tower is what has the first part of the name in common (`video`, `text`). Its layers are the longest numbered list
    in it: of n, the last has 1 above it (projection and last norm), the first n, and embeddings n + 1. A parameter
    outside a tower with layers has none above it.
    """

    def __init__(self, names: Iterable[str]) -> None:
        """Read the names of all parameters."""
        lists: dict[str, int] = {}
        for found in filter(None, map(_NUMBERED.match, names)):
            lists[found[1]] = max(lists.get(found[1], 0), int(found[2]) + 1)
        self._layers: dict[str, tuple[str, int]] = {}
        for prefix, count in lists.items():
            tower = prefix.partition(".")[0]
            if count > self._layers.get(tower, ("", 0))[1]:
                self._layers[tower] = prefix, count

    def above(self, name: str) -> int:
        """Return the number of layers above a parameter."""
        prefix, count = self._layers.get(name.partition(".")[0], ("", 0))
        found = _NUMBERED.match(name)
        if found is not None and found[1] == prefix:
            return count - int(found[2])
        return count + 1 if prefix and _STEM.search(name) else 0
