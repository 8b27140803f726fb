"""The YAML head of a dataset card, as the hub reads it: licence, languages, size, tasks, and which files to open."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from curation.view.card.card_facts import CardFacts
from runtime.terminal import on_one_line

if TYPE_CHECKING:
    from huggingface_hub import DatasetCardData

_LANGUAGE: Final = re.compile(r"[a-z]{2,3}")
_SIZES: Final = (
    (1_000, "n<1K"),
    (10_000, "1K<n<10K"),
    (100_000, "10K<n<100K"),
    (1_000_000, "100K<n<1M"),
    (10_000_000, "1M<n<10M"),
    (100_000_000, "10M<n<100M"),
    (1_000_000_000, "100M<n<1B"),
)
"""The hub's size categories: all numbers below the first."""
_CC: Final = re.compile(r"(?:cc|creative commons)[ -](by(?:-nc)?(?:-nd|-sa)?)[ -](\d\.\d)", re.IGNORECASE)
_YOUTUBE_CC: Final = "creative commons attribution license (reuse allowed)"
_UNKNOWN, _OTHER = "unknown", "other"


@dataclass(frozen=True)
class DataSplit:
    """A split of a configuration, and the files that hold it."""

    name: str
    """Letters, digits and underscores."""
    path: str
    """Path or glob, relative to the card."""


@dataclass(frozen=True)
class DataConfig:
    """One set of tables that the hub's loader opens by name."""

    name: str
    splits: Sequence[DataSplit]
    is_default: bool = False


def hub_head(facts: CardFacts, configs: Sequence[DataConfig], title: str) -> DatasetCardData:
    """Return the head of a card.

    Args:
        facts: of the card.
        configs: what the loader is to open; the files must be beside the card.
        title: name for people.
    """
    from huggingface_hub import DatasetCardData

    languages = sorted(each.name for each in facts.languages if each.name and _LANGUAGE.fullmatch(each.name))
    has_texts = any(level.with_grounded or level.with_caption for level in facts.levels)
    licence = hub_licence([share.name for share in facts.licences])
    return DatasetCardData(
        pretty_name=on_one_line(title),
        license=licence,
        license_name="stated-per-video" if licence == _OTHER else None,
        language=languages or None,
        task_categories=["video-text-to-text", "text-to-video"] if has_texts else None,
        size_categories=[_size(facts.totals.clips)],
        tags=["video", "video-text", "clipgrove", *(["grounded-captions"] if facts.verdicts else [])],
        configs=[_config(config) for config in configs] or None,
    )


def hub_licence(names: Sequence[str | None]) -> str:
    """Return the hub's identifier of the licence of all clips: ``unknown`` without any, ``other`` for several."""
    stated = {_identifier(name) for name in names if name is not None}
    if not stated:
        return _UNKNOWN
    return stated.pop() if len(stated) == 1 and None not in names else _OTHER


def _identifier(name: str) -> str:
    if name.lower() == _YOUTUBE_CC:
        return "cc-by-3.0"  # the version that YouTube names
    if (match := _CC.fullmatch(name.strip())) is not None:
        return f"cc-{match[1].lower()}-{match[2]}"
    return "cc0-1.0" if re.fullmatch(r"cc0([ -]1\.0)?", name.strip(), re.IGNORECASE) else _OTHER


def _size(clips: int) -> str:
    return next((name for limit, name in _SIZES if clips < limit), "n>1B")


def _config(config: DataConfig) -> dict[str, object]:
    files = [{"split": split.name, "path": split.path} for split in config.splits]
    return {"config_name": config.name, "data_files": files, **({"default": True} if config.is_default else {})}
