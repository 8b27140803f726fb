"""`curate select`: makes a selection from flags, a file or its own recipe, and shows what each condition took away."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from typing import Any, Final

from rich.console import Console

from curation.reporting.next_command import layer_arguments, print_next
from curation.selection.choosing.make_selection import MadeSelection, make_selection
from curation.selection.choosing.recipe import Recipe, build_recipe, read_recipe, stored_recipe
from curation.stages.dir_names import checked_name
from curation.view.inspect_clips import check_there, pick_layer
from curation.view.selecting.selection_report import print_choice, print_selections
from runtime.errors import UserError
from runtime.run_lock import locked_dir
from runtime.terminal import SafeConsole
from shards.errors import ShardError
from shards.manifest import MANIFEST, read_manifest
from shards.reader import text_layers
from shards.selections.selection import selections
from shards.selections.selection_state import PresentDigests, selection_state, selection_states
from shards.storage.store import Store

_CONDITIONS: Final = (
    "base",
    "licence",
    "clean_of",
    "where",
    "dedup",
    "balance",
    "top",
    "sample",
    "seed",
    "val_percent",
)
"""Names of the flags that make up a recipe."""


def show_select(arguments: argparse.Namespace, console: Console | None = None) -> int:
    """Carry out `curate select`; return 0.

    Raises:
        UserError: the flags contradict each other, or one is wrong.
        ShardError: a table or a column isn't there, or is out of date.
    """
    console = console or SafeConsole(highlight=False, markup=False, soft_wrap=True)
    store = Store(arguments.dir)
    check_there(store)
    if read_manifest(store) is None:
        raise ShardError(f"{store.root}: no {MANIFEST}; this is no folder that `curate run` wrote")
    if arguments.print_recipe is not None:
        console.out(_stored(store, arguments.print_recipe).to_yaml(), end="", highlight=False)
        return 0
    given = [name for name in _CONDITIONS if getattr(arguments, name) is not None]
    if arguments.name is None and arguments.recipe is None and not arguments.refresh:
        if given:
            raise UserError(f"--{_flag(given[0])}: needs --name, the name of the selection to write")
        print_selections(console, selection_states(store))
        return 0
    made: list[MadeSelection] = []
    with locked_dir(store, "DIR"):
        for selection in _made(store, arguments, given):
            print_choice(console, selection)
            made.append(selection)
    if made and made[-1].counts["kept"]:
        recipe = made[-1].recipe
        chosen = ["--select", str(recipe.name), "--where", "keep", *layer_arguments(store, str(recipe.layer))]
        print_next(console, "inspect", store.root, *chosen)
    if not made:
        console.print("nothing to do: every selection that has a recipe is up to date")
    return 0


def _made(store: Store, arguments: argparse.Namespace, given: Sequence[str]) -> Iterator[MadeSelection]:
    """Make the selections that the flags ask for, and yield each."""
    if arguments.refresh:
        if given or arguments.recipe is not None:
            raise UserError("--refresh: makes selections by their own recipes; leave out the conditions")
        for recipe in _by_base(store, arguments.name):
            if selection_state(store, str(recipe.name), PresentDigests(store)).out_of_date is not None:
                yield make_selection(store, str(recipe.name), recipe)
        return
    recipe = _recipe(store, arguments, given)
    yield make_selection(store, str(recipe.name), recipe)


def _recipe(store: Store, arguments: argparse.Namespace, given: Sequence[str]) -> Recipe:
    """Return the recipe of the flags, of a file, or of the selection that is there already."""
    if arguments.recipe is not None and given:
        raise UserError(f"--recipe and --{_flag(given[0])}: the file has the conditions; change them there")
    if arguments.recipe is None and not given:
        return _stored(store, arguments.name)
    values = _values(arguments, given) if arguments.recipe is None else read_recipe(arguments.recipe)
    name = arguments.name or values.get("name")
    if not isinstance(name, str):
        raise UserError("--name: must be set; name the selection to write")
    _check_free(store, checked_name("--name", name))
    layer = pick_layer(store, arguments.layer or values.get("layer"))
    recipe = build_recipe({**values, "layer": layer, "name": name}, str(arguments.recipe or ""))
    _check_base(store, recipe)
    return recipe


def _check_base(store: Store, recipe: Recipe) -> None:
    """Refuse a selection that would begin with itself, directly or through others."""
    base, seen = recipe.base, set[str]()
    while base is not None and base not in seen:
        if base == recipe.name:
            raise UserError(f"--from {recipe.base}: begins with {recipe.name} itself; name another one")
        seen.add(base)
        before = stored_recipe(store, base)
        base = None if before is None else before.base


def _check_free(store: Store, name: str) -> None:
    """Refuse the name of a selection that runs make."""
    made_by_run = name in selections(store) and stored_recipe(store, name) is None
    if made_by_run or name in text_layers(store):
        raise UserError(f"--name {name}: is the name of a selection that `curate run` makes; choose another name")


def _by_base(store: Store, name: str | None) -> list[Recipe]:
    """Return the stored recipes (of one selection, or of all) so that each comes after the one it begins with."""
    names = selections(store) if name is None else [name]
    found = {one: recipe for one in names if (recipe := stored_recipe(store, one)) is not None}
    if name is not None and not found:
        _stored(store, name)

    def depth(one: str | None) -> int:
        return 0 if one not in found else 1 + depth(found[one].base)

    return [found[one] for one in sorted(found, key=depth)]


def _stored(store: Store, name: str) -> Recipe:
    """Return the recipe of a selection.

    Raises:
        UserError: there is no such selection, or a run made it.
    """
    recipe = stored_recipe(store, checked_name("--name", name))
    if recipe is not None:
        return recipe
    if name in selections(store):
        raise UserError(f"{name}: was made by `curate run`, and has no recipe; change its filters there")
    raise UserError(f"--name {name}: no such selection yet; add conditions to make it, such as --where")


def _values(arguments: argparse.Namespace, given: Sequence[str]) -> dict[str, Any]:
    """Return the flags as settings of a recipe."""
    values: dict[str, Any] = {name: getattr(arguments, name) for name in given}
    for name in ("licence", "clean_of"):
        if name in values:
            values[name] = [part.strip() for text in values[name] for part in text.split(",") if part.strip()]
            if not values[name]:
                raise UserError(f"--{_flag(name)}: names nothing")
    parsers = {"balance": _balance, "top": _top, "sample": _sample}
    return values | {name: parse(values[name]) for name, parse in parsers.items() if name in values}


def _balance(text: str) -> dict[str, Any]:
    by, _, most = text.rpartition(":")
    return {"by": by, "most": _number(most, f"--balance {text}", "COLUMN:N")}


def _top(text: str) -> dict[str, Any]:
    number, _, by = text.partition(":")
    column, _, order = by.rpartition(":")
    if order.strip() in ("largest", "smallest"):
        return {"number": _number(number, f"--top {text}", "N:COLUMN"), "by": column, "order": order.strip()}
    return {"number": _number(number, f"--top {text}", "N:COLUMN"), "by": by}


def _sample(text: str) -> dict[str, Any]:
    size, _, unit = text.partition(":")
    values: dict[str, Any] = {"unit": unit} if unit else {}
    if size.isdecimal():
        return values | {"number": int(size)}
    try:
        return values | {"share": float(size)}
    except ValueError:
        raise UserError(f"--sample {text}: give a number of clips, or a share such as 0.1") from None


def _number(text: str, option: str, form: str) -> int:
    if not text.strip().isdecimal():
        raise UserError(f"{option}: write it as {form}, with a whole number for N")
    return int(text)


def _flag(name: str) -> str:
    return {"base": "from"}.get(name, name).replace("_", "-")
