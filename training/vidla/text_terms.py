"""The texts of the contrastive loss that a run uses if the user names none: those that the layer holds.

A layer with grounded text is trained on that; one without, such as that of the paper's pipeline, on the paper's two
terms. Nothing here imports torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from runtime.errors import UserError
from training.data.data_settings import DataSettings
from training.data.sources.selection_counts import kept_line
from training.data.sources.shard_tables import TEXT_COLUMNS, column_shares, open_shards
from training.vidla.vidla_settings import VidlaSettings

Terms = Mapping[str, str | Sequence[str]]
"""Text column, or columns in order of preference, by term of the loss."""

GROUNDED: Final[Terms] = {"grounded": ("grounded_text", "caption_summary")}
"""Terms of a layer with grounded text; a clip without it has the summary of its captions."""
_PAPER: Final[Terms] = {"subtitle": ("subtitle_summary", "subtitle"), "caption": ("caption_summary", "caption")}
"""Terms of the paper; the raw texts where a layer has no summaries at all."""
_TARS: Final[Terms] = {"caption": "txt"}
"""Terms of tars that other tools wrote."""


def with_terms(settings: VidlaSettings) -> VidlaSettings:
    """Return the settings with the terms of the loss that follow from the data, unless they are set.

    Raises:
        UserError: the data can't be opened as the settings say, or has no texts at all.
        ShardError: a DIR can't be read.
    """
    if settings.loss.terms is not None:
        return settings
    terms = _TARS if settings.data.source == "webdataset" else terms_of(text_shares(settings.data))
    if not terms:
        data = settings.data
        counts = kept_line(open_shards(data.shards, data.layers, data.selection).shards)
        raise UserError(
            f"--shards {' '.join(data.shards)}: no clip to train on has a text in {', '.join(TEXT_COLUMNS)}{counts}; "
            "run `curate` with the stage rewrite, or name another layer with --layer, or other clips with --select"
        )
    plain = {term: columns if isinstance(columns, str) else list(columns) for term, columns in terms.items()}
    return settings.model_copy(update={"loss": settings.loss.model_copy(update={"terms": plain})})


def text_shares(data: DataSettings) -> dict[str, float]:
    """Return the share of the clips to train on that have a text, by text column, from a few shards.

    Raises:
        UserError: as `training.data.sources.shard_tables.open_shards`.
        ShardError: likewise.
    """
    opened = open_shards(data.shards, data.layers, data.selection)
    return column_shares(opened.shards, "train", data.only_kept)


def terms_of(shares: Mapping[str, float]) -> Terms:
    """Return the terms for a layer whose columns have texts for these shares of its clips; empty if it has none."""
    if shares["grounded_text"] > 0:
        return GROUNDED
    chosen = {term: next((name for name in names if shares[name] > 0), None) for term, names in _PAPER.items()}
    return {term: name for term, name in chosen.items() if name is not None}


def texts_line(settings: VidlaSettings) -> str:
    """Return one line for the log's header: the columns of each term, with the share of clips that have text there."""
    shares = text_shares(settings.data) if settings.data.source == "shards" else {}

    def shown(column: str) -> str:
        return f"{column} ({shares[column]:.0%} of clips)" if shares else column

    terms = settings.loss.columns_by_term.items()
    return "; ".join(f"{term}: {', otherwise '.join(map(shown, columns))}" for term, columns in terms)
