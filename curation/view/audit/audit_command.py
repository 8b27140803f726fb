"""`curate audit`: draws clips for people to label, stores their labels beside DIR, and shows what these say.

In ``audit/<layer>/`` of the DIR, ``--sample N`` writes ``sample.parquet``, ``page.html`` and ``labels.csv``;
``--labels FILE`` writes ``labels.parquet``; ``--report`` writes ``report.json``, ``report.parquet`` and ``report.svg``.
"""

from __future__ import annotations

import argparse
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import pyarrow as pa
from rich.console import Console

from curation.grounding.audit.audit_figures import figures
from curation.grounding.audit.audit_records import SAMPLE, AuditClip, Label, sample_table
from curation.grounding.audit.clip_evidence import read_sample
from curation.grounding.audit.clip_strata import plan_strata
from curation.grounding.audit.label_files import has_labels, read_label_rows
from curation.grounding.audit.label_page import render
from curation.grounding.audit.label_pictures import pictures_of
from curation.grounding.audit.label_rows import ANONYMOUS, CheckedRows, check_rows, form, merge
from curation.grounding.audit.label_store import (
    SAMPLE_TABLE,
    WHERE,
    audit_file,
    commit_audit_table,
    is_outdated,
    judges_of,
    store_labels,
    stored_labels,
    stored_sample,
)
from curation.reporting.next_command import layer_arguments, print_next
from curation.stages.writable_output import check_can_write
from curation.view.audit.audit_population import Population, abstentions
from curation.view.audit.audit_report import AuditReport, print_report, report_json, report_table
from curation.view.inspect_clips import pick_layer
from runtime.errors import UserError
from runtime.progress_bar import progress_bar
from runtime.terminal import SafeConsole
from shards.reader import read_note
from shards.storage.store import Store

_LARGEST_SAMPLE: Final = 2000
"""Clips whose pictures a page can hold."""


def show_audit(arguments: argparse.Namespace, console: Console | None = None) -> int:
    """Run what the arguments ask for, in the order sample, labels, report; return 0.

    Raises:
        UserError: nothing to do, no such layer, no sample yet, or a file without a usable label.
    """
    console = console or SafeConsole(highlight=False)
    if arguments.sample is None and arguments.labels is None and not arguments.report:
        raise UserError("audit: name what to do: --sample N, --labels FILE, --report, --injected or --fit SHARE")
    if arguments.where is not None and arguments.sample is None:
        raise UserError("--where: says which clips --sample draws from; name --sample N, too")
    store = Store(arguments.dir)
    layer = pick_layer(store, arguments.layer)
    check_can_write(store)
    audit = Audit(store, layer, console)
    if arguments.sample is not None:
        audit.draw(arguments.sample, arguments.seed, arguments.where)
    if arguments.labels is not None:
        audit.take(arguments.labels, arguments.labeller)
    if arguments.report:
        audit.report()
    if arguments.labels is not None and not arguments.report:
        print_next(console, "audit", store.root, "--report", *layer_arguments(store, layer))
    else:
        print_next(console, "view", store.root, *layer_arguments(store, layer))
    return 0


class Audit:
    """The audit of one text layer, in ``audit/<layer>/`` of its DIR."""

    def __init__(self, store: Store, layer: str, console: Console) -> None:
        self._store = store
        self._layer = layer
        self._console = console

    def draw(self, size: int, seed: int, where: str | None = None) -> None:
        """Draw a sample and write its table, the page and the form; the same arguments give the same sample.

        Args:
            size: clips to draw.
            seed: another number draws other clips.
            where: condition in SQL on the clips to draw from; None: all clips of the layer.

        Raises:
            UserError: no clips, a condition that can't work, too many clips for a page, or labels of others are stored.
        """
        if size > _LARGEST_SAMPLE:
            raise UserError(f"--sample {size}: a page holds {_LARGEST_SAMPLE} at most, and people label fewer")
        population = Population(self._store, self._layer, where)
        cells = population.cells()
        if not cells:
            raise UserError(f"--sample: layer {self._layer} has no clips{'' if where is None else f' where {where}'}")
        strata = plan_strata(cells, size)
        sample = read_sample(self._store, self._layer, population.draw(strata, seed))
        self._refuse_to_lose_labels(sample.clips)
        self._refuse_to_lose_form()
        counts: Counter[str] = Counter()
        with progress_bar("pictures") as progress:
            pictures = pictures_of(self._store, sample.clips, counts, progress)
        page = render(self._layer, sample.clips, pictures).encode()
        self._store.commit_bytes(page, self._name("page.html"))
        self._store.commit_bytes(form(sample.clips).encode("utf-8-sig"), self._name("labels.csv"))
        notes = {} if where is None else {WHERE: where}
        self._commit(SAMPLE_TABLE, sample_table(sample.clips), SAMPLE, sample.inputs, {"seed": seed}, notes)
        claims = sum(len(clip.claims) for clip in sample.clips)
        drawn = sum(stratum.drawn > 0 for stratum in strata)
        total = sum(stratum.clips for stratum in strata)
        of_layer = f"layer {self._layer}" + ("" if where is None else f" where {where}")
        self._say(f"{len(sample.clips)} of {total} clips of {of_layer}, {claims} claims, {drawn} strata")
        for reason, clips in sorted(counts.items()):
            self._say(f"{clips} clips {reason.replace('_', ' ')}")
        self._say(f"label them in a browser ({len(page) / 2**20:.1f} MiB): {self._store.path(self._name('page.html'))}")
        self._say(f"or in a spreadsheet: {self._store.path(self._name('labels.csv'))}")
        self._say("or with the videos, by the next command; `curate audit DIR --report` shows what the labels say")

    def take(self, file: Path, labeller: str | None) -> None:
        """Add the labels of a file to those that are stored.

        Raises:
            UserError: the file can't be read, or no row of it is a label of the sample.
        """
        clips = self._sample()
        checked = check_rows(read_label_rows(file), clips, labeller or ANONYMOUS)
        self._say_refused(file, checked)
        if not checked.labels:
            raise UserError(
                f"--labels {file}: no row of it is a label of the sample ({_refusals(checked)}); "
                f"fill in {self._store.path(self._name('labels.csv'))} or the page beside it"
            )
        labels, replaced = merge(self._labels(), checked.labels)
        store_labels(self._store, self._layer, labels)
        names = ", ".join(sorted({label.labeller for label in checked.labels}))
        again = f", {replaced} of them in place of earlier ones" if replaced else ""
        self._say(f"{len(checked.labels)} labels of {names} stored{again}; {len(labels)} labels in all")
        if labeller is None and ANONYMOUS in names:
            self._say(f"rows without a labeller are stored as {ANONYMOUS!r}; --labeller NAME names one")

    def report(self) -> None:
        """Show the figures and write them as ``report.json``, ``report.parquet`` and ``report.svg``.

        Raises:
            UserError: there is no sample or no label yet.
        """
        clips, labels = self._sample(), self._labels()
        if not labels:
            raise UserError(
                f"--report: no labels of layer {self._layer} yet; label {self._store.path(self._name('page.html'))} "
                "and store the labels with --labels FILE"
            )
        found = figures(clips, labels, judges_of(self._store, self._layer))
        where = read_note(self._store, self._name(SAMPLE_TABLE), WHERE)
        silent = tuple(abstentions(self._store, self._layer, where))
        report = AuditReport(self._layer, found, silent, is_outdated(self._store, self._layer), where)
        recorder = SafeConsole(highlight=False, record=True, width=110, file=io.StringIO())
        print_report(report, recorder)
        print_report(report, self._console)
        self._store.commit_bytes(report_json(report).encode(), self._name("report.json"))
        picture = recorder.export_svg(title=f"audit of {self._layer}")
        self._store.commit_bytes(picture.encode(), self._name("report.svg"))
        table = report_table(report)
        self._commit("report.parquet", table, table.schema, {}, {})

    def _refuse_to_lose_labels(self, clips: Sequence[AuditClip]) -> None:
        targets = {(clip.key, number, claim.text) for clip in clips for number, claim in enumerate(clip.claims, 1)}
        lost = sum(label.claim > 0 and label.target not in targets for label in self._labels())
        if lost:
            raise UserError(
                f"--sample: {lost} labels of {self._store.path(self._name('labels.parquet'))} are of other claims than "
                "this sample has; move the folder away to begin a new audit, or use the size and --seed of the first"
            )

    def _refuse_to_lose_form(self) -> None:
        """Refuse to write an empty form over one that somebody has begun to fill in."""
        name = self._name("labels.csv")
        if self._store.exists(name) and has_labels(self._store.read_bytes(name)):
            raise UserError(
                f"--sample: {self._store.path(name)} has labels in it; store them with --labels and move the file away"
            )

    def _sample(self) -> list[AuditClip]:
        clips = stored_sample(self._store, self._layer)
        if clips is None:
            raise UserError(
                f"audit: no sample of layer {self._layer} yet; "
                f"draw one with curate audit {self._store.root} --sample 200"
            )
        return clips

    def _labels(self) -> list[Label]:
        return stored_labels(self._store, self._layer)

    def _commit(
        self,
        name: str,
        table: pa.Table,
        schema: pa.Schema,
        inputs: Mapping[str, str],
        counts: Mapping[str, float],
        notes: Mapping[str, str] | None = None,
    ) -> None:
        commit_audit_table(self._store, self._layer, name, table, schema, inputs, counts, notes)

    def _name(self, file: str) -> str:
        return audit_file(self._layer, file)

    def _say_refused(self, file: Path, checked: CheckedRows) -> None:
        if checked.refused or checked.repeated:
            self._say(f"{file}: {_refusals(checked)}")

    def _say(self, text: str) -> None:
        self._console.print(text, markup=False, soft_wrap=True)


def _refusals(checked: CheckedRows) -> str:
    parts = [f"{rows} rows refused as {reason}" for reason, rows in checked.refused.most_common()]
    if checked.repeated:
        parts.append(f"{checked.repeated} labels replaced by later rows")
    if checked.empty:
        parts.append(f"{checked.empty} rows without a label")
    return ", ".join(parts) or "it has no rows"
