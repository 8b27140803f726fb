"""The similarity matrix of texts and videos, computed in blocks of texts and never held whole.

Shapes: M texts, N videos, D embedding, U distinct texts, V distinct videos, m texts of a block.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

import torch

DUAL_SOFTMAX_SCALE: Final = 100.0
"""Factor of the similarity inside the softmax of CLIP-ViP's dual softmax."""
BLOCK_BYTES: Final = 64 << 20
"""Default size of a block."""

Blocks = Callable[[], Iterator[tuple[torch.Tensor, torch.Tensor]]]
"""One pass over the similarity: texts of a block [m] and their similarity to all videos [m, N]; equal in every pass."""


def rows_a_block(videos: int, block_bytes: int) -> int:
    """Return the number of texts whose float64 similarity to all videos takes about `block_bytes`."""
    return max(1, block_bytes // (8 * max(1, videos)))


def products(text_MD: torch.Tensor, video_ND: torch.Tensor, block_bytes: int) -> Blocks:
    """Return blocks of cosines in float64; every distinct text and every distinct video is multiplied once."""
    texts_UD, text_of_M = torch.unique(text_MD.double(), dim=0, return_inverse=True)
    videos_VD, video_of_N = torch.unique(video_ND.double(), dim=0, return_inverse=True)
    by_text_M = text_of_M.argsort(stable=True)
    sorted_M = text_of_M[by_text_M]
    rows = rows_a_block(len(video_ND), block_bytes)

    def blocks() -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        for first in range(0, len(texts_UD), rows):
            cosine_uV = texts_UD[first : first + rows] @ videos_VD.T
            bounds = torch.tensor([first, first + len(cosine_uV)], device=sorted_M.device)
            low, high = torch.searchsorted(sorted_M, bounds).tolist()
            for at in range(low, high, rows):
                asked = slice(at, min(at + rows, high))
                yield by_text_M[asked], cosine_uV[sorted_M[asked] - first][:, video_of_N]

    return blocks


def dual_softmaxed(blocks: Blocks, videos: int, device: torch.device) -> Blocks:
    """Return S·softmax(100·S) over texts, in float64, because differences of 1 in S would underflow float32."""
    total_N = torch.full((videos,), -torch.inf, dtype=torch.float64, device=device)
    for _, block_mN in blocks():
        total_N = torch.logaddexp(total_N, (DUAL_SOFTMAX_SCALE * block_mN.double()).logsumexp(0))

    def weighted() -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        for texts, block_mN in blocks():
            similarity_mN = block_mN.double()
            yield texts, similarity_mN * (DUAL_SOFTMAX_SCALE * similarity_mN - total_N).exp()

    return weighted
