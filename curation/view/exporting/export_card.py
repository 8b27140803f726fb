"""The ``README.md`` of an exported dataset: the card of its layer, with a head that names the files of each split.

The card's figures are those of the layer and its selection in the DIR; a section at the end says what the export took.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from curation.view.card.card_facts import CardFacts, card_facts
from curation.view.card.facts.made_with import NamedModels
from curation.view.card.output.hub_head import DataConfig, DataSplit
from curation.view.card.output.markdown_card import card_markdown, fenced
from shards.card_files import README, is_own
from shards.export.export_samples import Format
from shards.export.export_selection import ExportSelection
from shards.export.formats.hf_dataset import data_files
from shards.export.public_rows import public_name
from shards.removal.tombstones import removed_ids
from shards.removal.traces import ID_LENGTH
from shards.selections.marked_texts import find_selection
from shards.storage.store import Store

_FILES: Final[Mapping[Format, Mapping[str, str]]] = {"webdataset": {"train": "*.tar"}}
"""Files by split, of formats that keep all splits together; each sample names its own in the column ``split``."""
_UNITS: Final = {"clip": "one a clip", "root": "one a root clip, with its tree"}
_COLUMNS: Final = """\
| column | |
|---|---|
| `video`, `image` | the sample's video and its still; `offset` seconds of lead-in come before the clip's start |
| `text`, `text_column` | its text, and the column that this is from; null where there is none |
| `claims` | statements of the grounded text with verdict, judge and evidence |
| `split` | as the selection gives it |
| `scores` | scores by set and column, if the clips have some |
| `video_title`, `video_license`, `video_url`, … | as the site of the source states them |
| `carried` | other columns of the list of sources, as a JSON object |
"""


@dataclass(frozen=True)
class ExportCard:
    """The card of one export; its figures are computed before the export begins."""

    facts: CardFacts
    clips: ExportSelection
    format: Format

    @classmethod
    def compute(cls, store: Store, clips: ExportSelection, format: Format) -> ExportCard:
        """Compute the figures of the layer that is exported.

        Raises:
            ShardError: no such selection, or a damaged table.
            UserError: a value of a table can't be read.
        """
        facts = card_facts(store, clips.layer, find_selection(store, clips.layer, clips.selection))
        return cls(_public(facts, removed_ids(store)) if clips.public else facts, clips, format)

    def write(self, target: Store, samples: int, title: str | None = None) -> None:
        """Write the card into the folder of a finished export, unless a README of the user's own is there.

        Args:
            target: the folder.
            samples: number of samples in it.
            title: name of the dataset; None: that of the folder.

        Raises:
            OSError: it can't be written.
        """
        if is_own(target, README):
            target.commit_bytes(self._text(target, samples, title).encode("utf-8", "replace"), README)

    def _text(self, target: Store, samples: int, title: str | None) -> str:
        files = data_files(target) if self.format == "hf" else _FILES.get(self.format, {})
        splits = [DataSplit(name, path) for name, path in files.items()]
        configs = [DataConfig("default", splits, is_default=True)] if splits else []
        title = title or target.root.rstrip("/").rpartition("/")[2]
        return f"{card_markdown(self.facts, configs, title, has_report=False)}\n{self._section(samples)}"

    def _section(self, samples: int) -> str:
        clips = self.clips
        lines = [
            "## This export",
            f"{samples} samples, {_UNITS[clips.unit]}, in the format `{self.format}`; text: `{clips.text_column}`.",
            "Clips without that text are left out." if clips.null_text == "skip" else "",
            "Clips that filters drop are among them." if not clips.keep_only else "",
            f"Only clips that fulfil this condition:\n\n{fenced(clips.where)}" if clips.where else "",
            _COLUMNS,
        ]
        return "\n\n".join(line for line in lines if line)


def _public(facts: CardFacts, removed: Collection[str]) -> CardFacts:
    """Return facts whose models name no folder of this machine, and whose sample shows no removed video."""
    made = facts.made_with
    models = tuple(replace(model, uri=public_name(model.uri)) for model in made.models)
    named = tuple(replace(each, **_public_names(each)) for each in made.named)
    sample = tuple(clip for clip in facts.sample if clip.key[:ID_LENGTH] not in removed)
    return replace(facts, made_with=replace(made, models=models, named=named), sample=sample)


def _public_names(models: NamedModels) -> dict[str, Any]:
    names = {"asr": models.asr, "captioner": models.captioner, "rewriter": models.rewriter}
    return {role: None if name is None else public_name(name) for role, name in names.items()}
