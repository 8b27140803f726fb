"""`curate export` for the terminal; `shards.export` writes the samples, `curation.delivery` uploads them."""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

from rich.console import Console

from curation.delivery.hub_upload import upload
from curation.reporting.next_command import print_command
from curation.stages.writable_output import check_can_write
from curation.view.exporting.export_card import ExportCard
from curation.view.exporting.look_command import look_command
from curation.view.inspect_clips import pick_layer
from runtime.errors import UserError
from runtime.models.hub_push import HubTarget, check_token
from runtime.progress_bar import progress_bar
from runtime.terminal import SafeConsole
from shards.export.export_counts import ExportCounts
from shards.export.export_samples import export
from shards.export.export_selection import TEXT_WORDS, ExportSelection
from shards.storage.store import Store


def show_export(arguments: argparse.Namespace) -> int:
    """Export a DIR, and upload the export if that was asked for; return 0.

    Raises:
        UserError: no such layer, an output that can't be written, or an upload that the hub refuses.
        MachineError: the hub can't be reached.
    """
    target = Store(arguments.output)
    check_can_write(target)
    if arguments.video is not None and arguments.format not in ("hf", "lance"):
        raise UserError(f"--video {arguments.video}: is for --format hf and lance; leave it out")
    hub = _hub_target(arguments, target)
    store = Store(arguments.dir)
    clips = _clips(arguments, pick_layer(store, arguments.layer))
    if hub is not None:
        check_token(hub)
    card = ExportCard.compute(store, clips, arguments.format) if arguments.format == "hf" or hub is not None else None
    counts = ExportCounts()
    with progress_bar("exporting") as progress:
        how = {"format": arguments.format, "output": arguments.output, "video": arguments.video or "bytes"}
        written = export(store, clips, **how, progress=progress, counts=counts, reuse=hub is not None)
    if card is not None:
        card.write(target, written, None if hub is None else hub.repository)
    console = _console()
    console.print(f"{written} samples of layer {clips.layer} written to {arguments.output}")
    for line in _left_out(counts, clips, written):
        console.print(line)
    if hub is not None:
        if not written:
            raise UserError(f"{hub.flag}: nothing was uploaded, as no clip was exported; look at --where and --select")
        console.print(f"uploaded to {upload(Path(target.root), hub)}")
    look = look_command(arguments.output, arguments.format) if target.is_local else None
    if look is not None:
        print_command(console, *look)
    return 0


def _clips(arguments: argparse.Namespace, layer: str) -> ExportSelection:
    return ExportSelection(
        layer,
        unit=arguments.unit,
        where=arguments.where,
        keep_only=not arguments.all,
        text=arguments.text,
        null_text=arguments.null_text,
        selection=arguments.selection,
        public=arguments.push is not None,
    )


def _hub_target(arguments: argparse.Namespace, output: Store) -> HubTarget | None:
    """Return the repository to upload to; None if nothing is to be uploaded.

    Raises:
        UserError: a flag that makes no sense with an upload, or without one.
    """
    if arguments.push is None:
        for flag in ("private", "revision"):
            if getattr(arguments, flag):
                raise UserError(f"--{flag}: only for an upload; name the repository with --push hub:ORG/NAME")
        return None
    target = HubTarget.parse(arguments.push, "dataset", private=arguments.private, revision=arguments.revision)
    if arguments.format == "jsonl":
        raise UserError(f"{target.flag}: --format jsonl refers to bytes of this DIR; choose hf or webdataset")
    if arguments.all:
        raise UserError(f"{target.flag}: --all would publish clips that the selection drops; leave one of them out")
    if not output.is_local:
        raise UserError(f"{target.flag}: --output {output.root} is no local folder; the hub's client uploads from one")
    return target


def _left_out(counts: ExportCounts, clips: ExportSelection, written: int) -> list[str]:
    """Return a line for each thing that samples lack, or that no sample was made of."""
    column = clips.text_column
    textless = written - counts.without_text.total() == 0 and bool(counts.without_text or counts.skipped)
    others = ", ".join(word for word, own in TEXT_WORDS.items() if own != column)
    lines = [
        _by_reason(counts.without_text, f"without {column}"),
        _by_reason(counts.skipped, f"left out, without {column}"),
        _by_reason(counts.failed, "left out, without a readable video"),
        f"none of these clips has {column}; choose another text with --text ({others})" if textless else "",
        f"{counts.removed} left out: their videos were removed on request" if counts.removed else "",
        f"{counts.shards_without_stills} shards have no readable stills" if counts.shards_without_stills else "",
    ]
    if counts.shards_without_marks:
        shards = f"{counts.shards_without_marks} shards left out"
        lines.append(f"{shards}: no selection marks their clips yet; run `curate run` to its end")
    return [line for line in lines if line]


def _by_reason(counts: Counter[str], what: str) -> str:
    reasons = ", ".join(f"{reason} {count}" for reason, count in counts.most_common())
    return f"{counts.total()} {what} ({reasons})" if counts else ""


def _console() -> Console:
    """Return a console that prints lines unchanged: file names may contain rich's markup."""
    return SafeConsole(highlight=False, markup=False, soft_wrap=True)
