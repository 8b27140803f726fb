"""The reports of `curate select` and `curate status`: the effect of each condition, and the state of the selections."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from curation.selection.choosing.choice import Amount
from curation.selection.choosing.make_selection import MadeSelection
from runtime.terminal import on_one_line
from shards.selections.selection_state import SelectionState

_HOURS = "hours: the first figure is of root clips (without a parent), the second of clips of the level short"


def print_choice(console: Console, made: MadeSelection) -> None:
    """Print what each condition of a recipe took away, alone and in order, and what is left."""
    recipe, choice = made.recipe, made.choice
    table = Table(title=f"selection {recipe.name} of layer {recipe.layer}", title_justify="left")
    table.add_column("condition", no_wrap=True)
    for name in ("alone", "in order", "left"):
        table.add_column(f"{name}\nclips", justify="right", no_wrap=True)
        table.add_column("\nhours", justify="right", no_wrap=True)
    table.add_row("all clips", "", "", "", "", *_amount(choice.before))
    base = recipe.base or recipe.layer
    out = _less(choice.before, choice.base)
    table.add_row(Text(on_one_line(f"from {base}")), *_amount(out), *_amount(out), *_amount(choice.base))
    for step in choice.steps:
        table.add_row(step.name, *_amount(step.alone), *_amount(step.in_order), *_amount(step.left))
    console.print(table)
    for step in choice.steps:
        console.print(on_one_line(f"{step.name}: {step.condition}"), markup=False)
    console.print(_HOURS)
    counts = made.counts
    held_out = f"{counts['kept'] - counts['kept_val']:,} for training, {counts['kept_val']:,} held out"
    console.print(f"selections/{recipe.name}.parquet keeps {counts['kept']:,} of {counts['clips']:,} clips: {held_out}")
    if made.unmarked:
        console.print(f"{len(made.unmarked)} shards are left out: the selection {base} doesn't have them yet")
    if not counts["kept"]:
        console.print("it is empty: nothing can be trained on it or exported from it")


def print_selections(console: Console, states: Sequence[SelectionState]) -> None:
    """Print every selection: its clips, who made it, and whether it is up to date."""
    table = Table(title="selections", title_justify="left")
    table.add_column("name")
    table.add_column("layer")
    table.add_column("kept", justify="right")
    table.add_column("of", justify="right")
    table.add_column("made by")
    table.add_column("state", overflow="fold")
    for state in states:
        figures = (str(int(state.counts[name])) if name in state.counts else "?" for name in ("kept", "clips"))
        by = "recipe" if state.has_recipe else "run"
        table.add_row(state.name, state.layer or "?", *figures, by, Text(on_one_line(state_line(state))))
    console.print(table)


def state_line(state: SelectionState) -> str:
    """Return the state of a selection in a few words, with the command that brings it up to date."""
    if state.out_of_date is None:
        return "up to date"
    remedy = f"curate select DIR --name {state.name}" if state.has_recipe else "curate run … --stages select"
    return f"out of date: {state.out_of_date}; {remedy}"


def _less(one: Amount, other: Amount) -> Amount:
    seconds = one.root_seconds - other.root_seconds, one.short_seconds - other.short_seconds
    return Amount(one.clips - other.clips, *seconds)


def _amount(amount: Amount) -> tuple[str, str]:
    return f"{amount.clips:,}", f"{amount.root_seconds / 3600:,.2f} {amount.short_seconds / 3600:,.2f}"
