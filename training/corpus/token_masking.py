"""Selection of the tokens that a masked language model predicts, and their replacement in its input. Pure.

A row's mask depends only on the row's own seed, not on other rows, the batch or the rank.
`training.corpus.block_batches` and `training.vidlankd.teacher.clip_text_batches` make the seeds: from the epoch for
masks that change each epoch, from the number of the copy for static ones.

Shapes: B rows, L tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from training.corpus.corpus_settings import MaskSettings
from training.models.vidlankd.text_batch import IGNORED, TextBatch
from training.models.vidlankd.text_tokenizer import TextTokenizer

_MASKED, _REPLACED = 0.8, 0.9  # below the first: [MASK]; below the second: a random token; otherwise kept (BERT, 3.1)

MASK_RULES: Final = 2
"""Version of the rules below, part of the identity of what they decide. 2: [UNK] is never a label."""

Ids = NDArray[np.int64]


def mask_tokens(
    ids_BL: Ids, special_BL: NDArray[np.bool_], seeds: Sequence[int], tokenizer: TextTokenizer, settings: MaskSettings
) -> tuple[Ids, Ids]:
    """Choose tokens to predict: 80 % become [MASK], 10 % a random token, 10 % stay (BERT, section 3.1).

    Args:
        ids_BL: tokens.
        special_BL: true for tokens that must not be chosen.
        seeds: one for each row, 0 to 2⁶⁴ - 1.
        tokenizer: the tokenizer of the ids; random tokens are any of its entries but the specials.
        settings: its `probability`; if no token of a row is chosen, the one with the lowest draw is.

    Returns:
        The tokens a model sees, and the label of each position: the token to predict, or `IGNORED`.
    """
    chance_3BL = _uniform(seeds, ids_BL.shape[1])
    chance_BL = np.where(special_BL, 1.0, chance_3BL[0])
    least_B1 = chance_BL.min(axis=1, keepdims=True, initial=1.0)
    chosen_BL = ((chance_BL < settings.probability) | (chance_BL == least_B1)) & ~special_BL
    entries = tokenizer.ordinary
    random_BL = entries[(chance_3BL[2] * len(entries)).astype(np.int64)]
    hidden_BL = np.where(
        chance_3BL[1] < _MASKED, tokenizer.mask, np.where(chance_3BL[1] < _REPLACED, random_BL, ids_BL)
    )
    return np.where(chosen_BL, hidden_BL, ids_BL), np.where(chosen_BL, ids_BL, IGNORED)


def text_batch(
    ids_BL: Ids,
    *,
    tokenizer: TextTokenizer,
    seeds: Sequence[int],
    settings: MaskSettings,
    numbers: Sequence[int],
    copies: Sequence[int],
    keys: Sequence[str],
) -> TextBatch:
    """Make a batch and draw its masks; [UNK] is never a label.

    Args:
        ids_BL: tokens, including [CLS], [SEP] and padding.
        tokenizer: the tokenizer of the ids.
        seeds: seeds of the rows' masks.
        settings: see `mask_tokens`.
        numbers: numbers of the rows in their corpus.
        copies: number of each row's static mask; 0 if masks are not static.
        keys: a name for each row, for messages.
    """
    valid_BL = ids_BL != tokenizer.pad
    special_BL = ~valid_BL | (ids_BL == tokenizer.cls) | (ids_BL == tokenizer.sep)
    fixed_BL = special_BL | (ids_BL == tokenizer.unknown)  # an unknown word can't be predicted: its spelling is lost
    masked_BL, labels_BL = mask_tokens(ids_BL, fixed_BL, seeds, tokenizer, settings)
    return TextBatch(
        ids_BL=torch.from_numpy(ids_BL),
        masked_BL=torch.from_numpy(masked_BL),
        labels_BL=torch.from_numpy(labels_BL),
        valid_BL=torch.from_numpy(valid_BL),
        special_BL=torch.from_numpy(special_BL),
        number_B=torch.tensor(list(numbers), dtype=torch.int64),
        copy_B=torch.tensor(list(copies), dtype=torch.int64),
        keys=list(keys),
    )


def _uniform(seeds: Sequence[int], length: int) -> NDArray[np.float64]:
    """Draw numbers in [0, 1), [3, B, L], each row from its seed alone (Philox is keyed: starting it is cheap)."""
    drawn_B3L = np.empty((len(seeds), 3, length))
    for row, seed in enumerate(seeds):
        np.random.Generator(np.random.Philox(key=seed)).random(out=drawn_B3L[row])
    return drawn_B3L.transpose(1, 0, 2)
