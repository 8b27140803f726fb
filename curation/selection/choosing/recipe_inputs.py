"""The tables that a recipe reads: which shards they have in common, their digests, and whether they fit each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

import pyarrow as pa

from curation.selection.choosing.recipe import Recipe
from shards.artifact import Artifact
from shards.errors import ShardError
from shards.keys import shard_name
from shards.reader import artifacts, read_artifact, read_table, shards_in
from shards.schema import SELECTION
from shards.selections.clip_columns import ClipColumns, NeededColumns
from shards.selections.findings import FINDING_KINDS, Findings
from shards.selections.marked_texts import selection_of
from shards.selections.selection import FOLDER, MARKS, Selection, recipe_of
from shards.selections.selection_state import PresentDigests
from shards.storage.store import Store


@dataclass(frozen=True)
class RecipeInputs:
    """The tables of a DIR that a recipe begins with."""

    store: Store
    recipe: Recipe
    base: Selection | None
    """The selection to begin with; None: the layer marks its clips itself (schema version 1)."""
    shards: tuple[int, ...]
    """Shards that the choice is made of: those with texts and marks."""
    unmarked: tuple[int, ...]
    """Shards with texts that the selection to begin with doesn't have yet."""
    duplicates: Findings | None
    contamination: tuple[Findings, ...]

    @classmethod
    def open(cls, store: Store, recipe: Recipe) -> RecipeInputs:
        """Open the tables that a recipe names; no row is read.

        Raises:
            ShardError: one isn't there, or no shard has both texts and marks.
        """
        base = selection_of(store, recipe.layer, recipe.base)
        texts = shards_in(store.list(f"text/{recipe.layer}"))
        marked = [shard for shard in texts if base is None or shard in base.shards]
        if not marked:
            raise ShardError(f"{store.root}: no shard of the text layer {recipe.layer!r} has clips to choose from yet")
        return cls(
            store=store,
            recipe=recipe,
            base=base,
            shards=tuple(marked),
            unmarked=tuple(sorted(set(texts) - set(marked))),
            duplicates=None if recipe.dedup is None else Findings.open(store, "duplicates", recipe.dedup),
            contamination=tuple(Findings.open(store, "contamination", name) for name in recipe.clean_of),
        )

    @property
    def text_folder(self) -> str:
        """Folder of the text layer."""
        return f"text/{self.recipe.layer}"

    def marks(self) -> Iterator[pa.Table]:
        """Yield the marks to begin with of each shard (`shards.schema.SELECTION`)."""
        if self.base is not None:
            yield from self.base.rows_of(self.shards)
            return
        for shard in self.shards:
            table = read_table(self.store, f"{self.text_folder}/{shard_name(shard)}.parquet", ["key", "shard", *MARKS])
            yield table.cast(SELECTION)

    def digests(self, columns: ClipColumns, needed: NeededColumns) -> dict[str, str]:
        """Return the digest of each table that the choice depends on, by name.

        Raises:
            ShardError: a table is missing, was made from others than the present ones, or for another layer; the
                message has the remedy.
        """
        texts = self._read(self.text_folder)
        media = self._read("media")
        present = {name: one.digest for name, one in (media | texts).items()}
        self._check(texts, present, f"curate run PIPELINE --output {self.store.root} --stages rewrite,select")
        used = dict(texts) | (media if needed.media else {})
        for name in needed.sets:
            scores = self._read(columns.score_sets[name].folder)
            self._check(scores, present, f"curate run PIPELINE --output {self.store.root} --stages score")
            used |= scores
        whole = self._whole_tables(present)
        return {name: one.digest for name, one in used.items()} | whole

    def _read(self, folder: str) -> dict[str, Artifact]:
        """Return the records of a folder's tables by name, one for each shard.

        Raises:
            ShardError: a shard has none.
        """
        found = artifacts(self.store, folder, self.shards)
        if lacking := sorted(set(self.shards) - set(found)):
            raise ShardError(
                f"{self.store.root}: {folder} lacks {len(lacking)} of {len(self.shards)} shards (such as "
                f"{shard_name(lacking[0])}); bring it up to date with `curate run PIPELINE --output {self.store.root}`"
            )
        return {f"{folder}/{shard_name(shard)}.parquet": artifact for shard, artifact in found.items()}

    def _check(self, made: Mapping[str, Artifact], present: Mapping[str, str], remedy: str) -> None:
        for name, artifact in made.items():
            self._check_inputs(name, artifact.inputs, present, remedy)

    def _check_inputs(self, name: str, inputs: Mapping[str, str], present: Mapping[str, str], remedy: str) -> None:
        """Refuse a table that was made from other tables than the present ones, or from another text layer."""
        layers = {parts[1] for one in inputs if (parts := PurePosixPath(one).parts)[0] == "text"}
        if layers and self.recipe.layer not in layers:
            there = ", ".join(sorted(layers))
            raise ShardError(f"{name}: was made from the text layer {there!r}, not {self.recipe.layer!r}; {remedy}")
        for made_from, digest in inputs.items():
            if present.get(made_from, digest) != digest:
                raise ShardError(f"{name}: was made from another {made_from} than the present one; {remedy}")

    def _whole_tables(self, present: Mapping[str, str]) -> dict[str, str]:
        """Return the digests of the tables over all shards, after checking that they fit."""
        found: dict[str, str] = {}
        if self.base is not None:
            record = read_artifact(self.store, self.base.file)
            again = f"curate select {self.store.root} --name {self.base.name}"
            remedy = self.base.remedy if recipe_of(self.store, self.base.name) is None else again
            whole = [name for name in record.inputs if name.partition("/")[0] in (FOLDER, *FINDING_KINDS)]
            now = {name: digest or "gone" for name, digest in PresentDigests(self.store).of(whole).items()}
            self._check_inputs(self.base.file, record.inputs, {**present, **now}, remedy)
            found[self.base.file] = record.digest
        for one in (*([] if self.duplicates is None else [self.duplicates]), *self.contamination):
            command = "dedup" if one.kind == "duplicates" else "clean-of"
            remedy = f"make it again with `curate {command} {self.store.root} --name {one.name} …`"
            self._check_inputs(one.file, one.inputs, present, remedy)
            if unseen := sorted(set(self.shards) - one.shards):
                raise ShardError(f"{one.file}: has not looked at {len(unseen)} of {len(self.shards)} shards; {remedy}")
            found[one.file] = one.digest
        return found
