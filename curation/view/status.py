"""`curate status`: shows the state of every source, figures of the clips beside the paper's Table 1, and scores."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from curation.sources.source_states import SourceState, source_states
from curation.view.inspect_clips import check_there
from curation.view.score_figures import print_scores
from curation.view.selection_report import print_selections
from curation.view.sql_tables import connect, damage_reported, files, select
from runtime.terminal import SafeConsole, on_one_line
from runtime.text.word_units import SQL_WORD
from shards.reader import text_layers
from shards.schema import LEVELS, REWRITE_STATUSES, STATES, Level
from shards.scores.score_set import score_sets
from shards.selections.marked_sql import marked_clips
from shards.selections.marked_texts import find_selection
from shards.selections.selection import STAGE
from shards.selections.selection_state import selection_states
from shards.storage.store import Store


@dataclass(frozen=True)
class PaperLevel:
    """Means of one level in VidLA's Table 1 (arXiv 2403.14870)."""

    seconds: float
    subtitle_words: float
    subtitle_summary_words: float
    caption_words: float
    caption_summary_words: float


PAPER_TABLE_1: Final[Mapping[Level, PaperLevel]] = {
    "short": PaperLevel(13.2, 31.6, 31.6, 10.9, 10.9),
    "medium": PaperLevel(30.4, 72.1, 19.5, 24.8, 15.2),
    "long": PaperLevel(60.3, 142.1, 22.4, 48.8, 18.8),
}


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


def _mean_words(column: str) -> str:
    return f"avg(len(regexp_extract_all({column}, '{SQL_WORD}')))"


_LEVELS_QUERY: Final = f"""
select level, count(*) as clips, count(*) filter (keep) as kept, avg("end" - start) as seconds,
       {_mean_words("subtitle")} as subtitle_words,
       {_mean_words("subtitle_summary")} as subtitle_summary_words,
       {_mean_words("caption")} as caption_words,
       {_mean_words("caption_summary")} as caption_summary_words,
       {_mean_words("grounded_text")} as grounded_words,
       avg(grounding_score) as score
from clips group by level
"""  # noqa: S608  the names of columns are those of this file
_STATUS_QUERY: Final = "select level, rewrite_status, count(*) as clips from clips group by all"
_REASONS_QUERY: Final = "select filter_reason, count(*) as clips from clips where not keep group by 1 order by 2 desc"


_UNMARKED_QUERY: Final = "select count(*) as clips from clips where keep is null"


def show_status(root: str, console: Console | None = None) -> int:
    """Print the sources by state, the figures of each text layer with its selection, and scores; return 0."""
    console = console or SafeConsole(highlight=False)
    store = Store(root)
    check_there(store)
    _print_sources(console, source_states(store))
    for layer in text_layers(store):
        paths = files(store, f"text/{layer}")
        if paths:
            _print_layer(console, store, layer, paths)
    if states := selection_states(store):
        print_selections(console, states)
    for name in score_sets(store):
        print_scores(console, store, name)
    return 0


def _print_sources(console: Console, sources: Sequence[SourceState]) -> None:
    states = Counter(source.state for source in sources)
    table = Table(title="sources", title_justify="left")
    table.add_column("state")
    table.add_column("class")
    table.add_column("sources", justify="right")
    table.add_column("example", overflow="fold")
    for state in STATES:
        if state == "written" or not states[state]:
            table.add_row(state, "", str(states[state]), "", style="green" if state == "written" else "dim")
            continue
        for class_, count in Counter(source.class_ for source in sources if source.state == state).most_common():
            example = next(source for source in sources if source.state == state and source.class_ == class_)
            name = example.row.source
            table.add_row(
                state,
                class_ or "",
                str(count),
                Text(on_one_line(f"{name}: {example.message}" if example.message else name)),
            )
    console.print(table)
    total = " + ".join(f"{states[state]} {state}" for state in STATES)
    console.print(f"{len(sources)} in = {total}")
    lost = [source.message for source in sources if source.state == "pending" and source.class_ is None]
    for message in filter(None, dict.fromkeys(lost)):
        console.print(f"warning: {message}", soft_wrap=True)


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
