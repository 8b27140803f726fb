"""The pairs of a clip and a text that contrastive losses take as negatives: who they are, and how many.

Every row of the global batch is a clip with at most one text for each term of the loss. Pairs of one video and pairs
with equal texts are no negatives, as the settings say. Nothing here depends on the values of a batch: shapes are fixed,
and no number is fetched from the device.

Shapes: B rows of this rank, G rows of the global batch, c rows of a chunk.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from training.engine.parallel.distributed import Ranks, gather_plain, sum_over
from training.models.vidla.model_settings import LossSettings


@dataclass(frozen=True)
class TermRows:
    """The rows of the global batch, as one term of the loss sees them."""

    present_G: torch.Tensor
    """bool: True for rows with a text of this term."""
    video_id_G: torch.Tensor
    span_G2: torch.Tensor
    """Start and end of each clip in its video, seconds."""
    text_id_G: torch.Tensor | None
    """Rows with equal numbers have the same text. None: pairs with equal texts are negatives."""
    settings: LossSettings

    def left_out(self, own_c: torch.Tensor) -> torch.Tensor:
        """Return the pairs of the rows `own_c` that are neither negatives nor the row's own pair, bool [c, G].

        They are those of one video or text, and all pairs of a row or column without text. The mask is symmetric: it
        is the same from clips to texts and from texts to clips.
        """
        out_cG = ~(self.present_G[own_c, None] & self.present_G)
        if self.settings.same_video != "keep":
            out_cG |= self._same_video(own_c)
        if self.text_id_G is not None:
            out_cG |= self.text_id_G[own_c, None] == self.text_id_G
        return out_cG.scatter_(1, own_c[:, None], value=False)

    def _same_video(self, own_c: torch.Tensor) -> torch.Tensor:
        """Return the pairs of one video, and if only `overlap` counts, those that also overlap in time."""
        same_cG = self.video_id_G[own_c, None] == self.video_id_G
        if self.settings.same_video == "overlap":
            start_G, end_G = self.span_G2.unbind(1)
            same_cG &= (start_G[own_c, None] < end_G) & (start_G < end_G[own_c, None])
        return same_cG


def rows_by_term(
    present: Mapping[str, torch.Tensor],
    video_id_B: torch.Tensor,
    span_B2: torch.Tensor,
    settings: LossSettings,
    ranks: Ranks,
    text_id: Mapping[str, torch.Tensor] | None,
) -> dict[str, TermRows]:
    """Return the rows of the global batch by term, from those of this rank; collective.

    Args:
        present: bool [B] by term: True for rows with that text (and a video).
        video_id_B: int64; rows with equal numbers are of one video, across ranks too.
        span_B2: start and end of each clip in its video, seconds.
        settings: which pairs are negatives.
        ranks: the processes that hold the other rows.
        text_id: int64 [B] by term; rows with equal numbers have the same text. None: no texts are equal.
    """
    terms = sorted(present)
    presence = gather_plain(torch.stack([present[term] for term in terms], dim=1), ranks).unbind(1)
    video_id_G, span_G2 = gather_plain(video_id_B, ranks), gather_plain(span_B2, ranks)
    texts = {} if text_id is None or settings.same_text == "keep" else text_id
    equal = {term: gather_plain(numbers_B, ranks) for term, numbers_B in sorted(texts.items())}
    return {
        term: TermRows(present_G, video_id_G, span_G2, equal.get(term), settings)
        for term, present_G in zip(terms, presence, strict=True)
    }


def own_rows(rows: int, ranks: Ranks, device: torch.device) -> torch.Tensor:
    """Return the positions of this rank's rows in the global batch, int64 [B]."""
    return torch.arange(ranks.rank * rows, (ranks.rank + 1) * rows, device=device)


def count_negatives(
    present: Mapping[str, torch.Tensor],
    video_id_B: torch.Tensor,
    span_B2: torch.Tensor,
    settings: LossSettings,
    ranks: Ranks,
    text_id: Mapping[str, torch.Tensor] | None = None,
) -> torch.Tensor:
    """Return the mean number of negatives that a row of a contrastive loss is compared with; collective.

    Args are those of `rows_by_term`.

    Returns:
        A scalar on the rows' device, the mean over the present rows of all terms; 0 if there are none.
    """
    by_term = rows_by_term(present, video_id_B, span_B2, settings, ranks, text_id)
    own_B = own_rows(len(video_id_B), ranks, video_id_B.device)
    others = torch.zeros((), dtype=torch.float64, device=video_id_B.device)
    count = torch.zeros_like(others)
    for rows in by_term.values():
        for own_c in own_B.split(settings.chunk):
            compared_c = (~rows.left_out(own_c)).sum(1) - 1  # without the row's own pair
            others += (compared_c * rows.present_G[own_c]).sum()
            count += rows.present_G[own_c].sum()
    negatives, total = sum_over(torch.stack((others, count)), ranks).unbind()
    return negatives / total.clamp(min=1)


def count_distinct(ids_G: torch.Tensor, used_G: torch.Tensor) -> torch.Tensor:
    """Return the number of different non-negative ids among the used rows, as a scalar on their device."""
    sorted_G = ids_G.where(used_G, -1).sort().values
    return (sorted_G.diff() != 0).sum() + 1 - (~used_G).any().long()
