"""`curate card`: writes README.md, report.html and croissant.json with figures that are all computed from DIR."""

from __future__ import annotations

import argparse

from rich.console import Console

from curation.reporting.next_command import layer_arguments, print_next
from curation.stages.writable_output import check_can_write
from curation.view.card.card_facts import CardFacts, card_facts
from curation.view.card.facts.clip_sample import sample_pictures
from curation.view.card.output.croissant import croissant_json
from curation.view.card.output.html_report import report_html
from curation.view.card.output.markdown_card import card_markdown
from curation.view.card.output.published_tables import configs_of, published_tables
from curation.view.inspect_clips import pick_layer
from runtime.errors import UserError
from runtime.terminal import SafeConsole
from shards.card_files import CARD_FILES, CROISSANT, README, REPORT, is_own
from shards.selections.marked_texts import find_selection
from shards.storage.store import Store
from shards.storage.url_secrets import without_secrets


def show_card(arguments: argparse.Namespace, console: Console | None = None) -> int:
    """Write the card of a DIR; return 0.

    Raises:
        UserError: no such layer, an output that can't be written, or files there that are not of a card.
        ShardError: no such selection, an interrupted removal, or a damaged table.
    """
    console = console or SafeConsole(highlight=False, markup=False, soft_wrap=True)
    store = Store(arguments.dir)
    layer = pick_layer(store, arguments.layer)
    selection = find_selection(store, layer, arguments.selection)
    output = store if arguments.output is None else Store(arguments.output)
    _check_output(output)
    facts = card_facts(store, layer, selection)
    written = _card(store, facts, arguments.title)
    for name, text in written.items():
        output.commit_bytes(text.encode("utf-8", "replace"), name)
        console.print(without_secrets(output.path(name)))
    if output.root != store.root:
        console.print(f"paths in them are those of {without_secrets(store.root)}: move the files there to publish it")
    named = [] if arguments.selection is None else ["--select", arguments.selection]
    own = [*layer_arguments(store, layer), *named]
    print_next(console, "export", store.root, "--format", "hf", "--output", f"{facts.name}-hf", *own)
    return 0


def _check_output(output: Store) -> None:
    """Refuse an output that can't be written, or in which a file of a card's name is not a card's."""
    check_can_write(output)
    for name in CARD_FILES:
        if not is_own(output, name):
            raise UserError(
                f"{without_secrets(output.path(name))}: was not written by `curate card`; move it away, or name "
                "another folder with --output"
            )


def _card(store: Store, facts: CardFacts, title: str | None) -> dict[str, str]:
    """Return the files of a card by name."""
    tables = published_tables(store, facts)
    pictures = sample_pictures(store, facts.sample)
    return {
        README: card_markdown(facts, configs_of(tables), title),
        REPORT: report_html(facts, pictures, title),
        CROISSANT: croissant_json(store, facts, tables, title),
    }
