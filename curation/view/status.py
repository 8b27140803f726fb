"""`curate status`: shows the state of every source, figures of the clips beside the paper's Table 1, scores, costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from curation.reporting.next_command import layer_arguments, layers_with_clips, print_next
from curation.reporting.prediction import outcome, read_prediction
from curation.reporting.run_costs import read_prices, run_costs
from curation.reporting.spoken_numbers import length
from curation.sources.source_states import SourceStates, equation
from curation.view.cost_report import print_costs, print_sizes
from curation.view.inspect_clips import check_there
from curation.view.live_status import print_running, print_shards, running_owner
from curation.view.paper_table import PAPER_TABLE_1, words_sql
from curation.view.prediction_report import print_comparison
from curation.view.score_figures import print_scores
from curation.view.selecting.selection_report import print_selections
from curation.view.sql_tables import connect, damage_reported, files, select
from runtime.terminal import SafeConsole, on_one_line
from shards.reader import text_layers
from shards.schema import LEVELS, REWRITE_STATUSES, STATES, Level
from shards.scores.score_set import score_sets
from shards.selections.marked_sql import marked_clips
from shards.selections.marked_texts import find_selection
from shards.selections.selection import STAGE
from shards.selections.selection_state import selection_states
from shards.storage.store import Store


@dataclass(frozen=True)
class LevelFigures:
    """Figures of the clips of one level; a mean is None if no clip has a value."""

    level: Level
    clips: int
    kept: int
    seconds: float | None
    subtitle_words: float | None
    subtitle_summary_words: float | None
    caption_words: float | None
    caption_summary_words: float | None
    grounded_words: float | None
    score: float | None
    """Mean share of claims that were supported, 0 to 1."""


@dataclass(frozen=True)
class StatusCount:
    """Clips of one level with one rewrite status."""

    level: Level
    rewrite_status: str
    clips: int


_MEANS: Final = {
    "seconds": "seconds",
    "subtitle_words": "words of speech",
    "subtitle_summary_words": "  of their summary",
    "caption_words": "words of captions",
    "caption_summary_words": "  of their summary",
    "grounded_words": "words of grounded text",
}
"""Labels of the means in `LevelFigures`."""


_LEVELS_QUERY: Final = f"""
select level, count(*) as clips, count(*) filter (keep) as kept, avg("end" - start) as seconds,
       avg({words_sql("subtitle")}) as subtitle_words,
       avg({words_sql("subtitle_summary")}) as subtitle_summary_words,
       avg({words_sql("caption")}) as caption_words,
       avg({words_sql("caption_summary")}) as caption_summary_words,
       avg({words_sql("grounded_text")}) as grounded_words,
       avg(grounding_score) as score
from clips group by level
"""  # noqa: S608  the names of columns are those of this file
_STATUS_QUERY: Final = "select level, rewrite_status, count(*) as clips from clips group by all"
_REASONS_QUERY: Final = "select filter_reason, count(*) as clips from clips where not keep group by 1 order by 2 desc"


_UNMARKED_QUERY: Final = "select count(*) as clips from clips where keep is null"


_HOURS_QUERY: Final = """
with shown as (select key, parent_key, root_key, keep, "end" - start as seconds from clips),
     kept as (select key, parent_key, root_key, seconds from shown where keep)
select (select coalesce(sum(seconds), 0) from shown where parent_key is null) / 3600 as all_hours,
       (select coalesce(sum(seconds), 0) from kept
         where parent_key is null
            or (parent_key not in (select key from kept) and root_key not in (select key from kept))) / 3600
         as kept_hours
"""
"""Time that several levels share counts once."""


def show_status(root: str, console: Console | None = None, *, prices: Path | None = None, quick: bool = False) -> int:
    """Print a run that is at work, sources by state, the figures of each text layer, scores, bytes and costs; return 0.

    Args:
        root: the DIR.
        console: None: the terminal.
        prices: a YAML file with prices; None: no money is shown.
        quick: print only what listings tell: the run, and the shards that are made.

    Raises:
        UserError: there is no such folder, or the prices can't be read.
    """
    console = console or SafeConsole(highlight=False)
    priced = None if prices is None else read_prices(prices)
    store = Store(root)
    check_there(store)
    owner = running_owner(store)
    if owner is not None:
        print_running(console, store, owner)
    if owner is not None or quick:
        print_shards(console, store)
    if quick:
        return 0
    _print_sources(console, SourceStates(store))
    for layer in text_layers(store):
        paths = files(store, f"text/{layer}")
        if paths:
            _print_layer(console, store, layer, paths)
    if states := selection_states(store):
        print_selections(console, states)
    for name in score_sets(store):
        print_scores(console, store, name)
    stored = print_sizes(console, store, priced)
    print_costs(console, run_costs(store), priced)
    if (prediction := read_prediction(store)) is not None:
        print_comparison(console, prediction, outcome(store, prediction, stored), priced)
    if layers := layers_with_clips(store):
        print_next(console, "view", store.root, *layer_arguments(store, layers[0]))
    return 0


def _print_sources(console: Console, states: SourceStates) -> None:
    counts = states.counts()
    table = Table(title="sources", title_justify="left")
    table.add_column("state")
    table.add_column("class")
    table.add_column("sources", justify="right")
    table.add_column("example", overflow="fold")
    for state in STATES:
        found = [count for count in counts if count.state == state]
        if state == "written" or not found:
            total = str(sum(count.sources for count in found))
            table.add_row(state, "", total, "", style="green" if state == "written" else "dim")
            continue
        for count in found:
            (example,) = states.some(count, 1)
            name = example.row.source
            said = f"{name}: {example.message}" if example.message else name
            table.add_row(state, count.class_ or "", str(count.sources), Text(on_one_line(said)))
    console.print(table)
    hours = sum(count.seconds for count in counts if count.state == "written") / 3600
    console.print(f"{equation(counts)}; {length(hours)} of video written", soft_wrap=True)
    for message in states.lost_ledgers():
        console.print(f"warning: {message}", soft_wrap=True)
    states.close()


def _print_layer(console: Console, store: Store, layer: str, paths: list[str]) -> None:
    connection = connect(store)
    with damage_reported(store, f"text/{layer}"):
        marked_clips(connection, paths, find_selection(store, layer)).create_view("clips")
    figures = [LevelFigures(**row) for row in select(connection, _LEVELS_QUERY)]
    by_level = {level.level: level for level in figures}
    table = Table(title=f"\nlayer {layer}: means per clip (the paper's Table 1 in brackets)", title_justify="left")
    table.add_column("")
    for level in LEVELS:
        table.add_column(level, justify="right")
    for name in ("clips", "kept"):
        table.add_row(name, *(str(getattr(by_level[level], name) if level in by_level else 0) for level in LEVELS))
    for name, label in _MEANS.items():
        table.add_row(label, *(_beside_paper(by_level.get(level), level, name) for level in LEVELS))
    console.print(table)
    ((all_hours, kept_hours),) = (row.values() for row in select(connection, _HOURS_QUERY))
    console.print(f"video: {length(all_hours)} in clips, {length(kept_hours)} kept; shared time counts once")
    _print_rewrites(console, [StatusCount(**row) for row in select(connection, _STATUS_QUERY)], by_level)
    dropped = select(connection, _REASONS_QUERY)
    if dropped:
        console.print("dropped by filters: " + ", ".join(f"{row['filter_reason']} {row['clips']}" for row in dropped))
    ((unmarked,),) = (row.values() for row in select(connection, _UNMARKED_QUERY))
    if unmarked:
        remedy = f"curate run PIPELINE --output {store.root} --layer {layer} --stages {STAGE}"
        console.print(f"{unmarked} clips are in no selection yet: {remedy}", markup=False, soft_wrap=True)


def _print_rewrites(console: Console, statuses: Sequence[StatusCount], by_level: Mapping[Level, LevelFigures]) -> None:
    table = Table(title="rewrite_status", title_justify="left")
    table.add_column("level")
    for status in REWRITE_STATUSES:
        table.add_column(status, justify="right")
    table.add_column("claims supported", justify="right")
    for level in LEVELS:
        counts = {row.rewrite_status: row.clips for row in statuses if row.level == level}
        score = by_level[level].score if level in by_level else None
        supported = "-" if score is None else f"{score:.0%}"
        table.add_row(level, *(str(counts.get(status, 0)) for status in REWRITE_STATUSES), supported)
    console.print(table)


def _beside_paper(figures: LevelFigures | None, level: Level, name: str) -> str:
    """Return a mean with the paper's in brackets, if the paper states one."""
    value: float | None = getattr(figures, name, None)
    paper: float | None = getattr(PAPER_TABLE_1[level], name, None)
    ours = "-" if value is None else f"{value:.1f}"
    return ours if paper is None else f"{ours} ({paper:g})"
