"""Write the tables of docs/scale.md from the committed measurements.

    python -m bench.scale.page                                # write them
    python -m bench.scale.page --print --prices prices.yaml   # print them at other prices

The page's prose is written by hand; what is between two marks ``<!-- made: NAME -->`` and ``<!-- end -->`` is written
here.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Final

from bench.scale.__main__ import MEASUREMENTS
from bench.scale.assumptions import RECIPES, Assumption, Recipe, assumptions
from bench.scale.fit import driver_costs, measured_assumptions
from bench.scale.model import SITE, DriverCosts, Prediction, predict, sensitivity
from bench.scale.records import read, table
from curation.reporting.run_costs import RunPrices, read_prices

PAGE: Final = Path(__file__).parents[2] / "docs" / "scale.md"
CODE: Final = "now"
BEFORE: Final = "before"
_LEAST_FITTED: Final = 100_000
"""Sources that a phase must have been measured with to be shown at larger sizes."""
_SHOWN: Final = 12
"""Assumptions in the table of sensitivity."""
Values = Mapping[str, float]


def values_of(recipe: Recipe, prices: RunPrices | None = None) -> Values:
    """Return the value of each assumption of a recipe, at its own prices or at others."""
    values = {name: one.value for name, one in assumptions(recipe, measured_assumptions()).items()}
    if prices is None:
        return values
    own = {"a CPU-hour": prices.cpu_hour, "a GPU-hour": prices.gpu_hour, "a gigabyte-month": prices.gigabyte_month}
    return values | own


def prediction_table(driver: DriverCosts, values: Mapping[Recipe, Values]) -> str:
    """Return what 20 million videos take, a column a recipe and place of the videos."""
    cases = [(recipe, site) for recipe in RECIPES for site in (False, True)]
    found = {case: predict(values[case[0]], driver, from_site=case[1]) for case in cases}
    heads = [f"`{recipe}`, {'from one site' if site else 'from storage'}" for recipe, site in cases]
    rows: list[tuple[str, Callable[[Prediction], str]]] = [
        ("**hours in all**", lambda one: f"**{one.total_hours:,.0f}**"),
        ("decided by", lambda one: one.bottleneck),
        ("hours of cores", lambda one: _number(one.hours["cores"])),
        ("hours of GPUs", lambda one: _number(one.hours["GPUs"])),
        ("hours of network", lambda one: _number(one.hours["network"])),
        ("hours of the runner", lambda one: _number(one.hours["runner"])),
        (f"hours of {SITE}", lambda one: _number(one.hours[SITE]) if SITE in one.hours else ""),
        ("hours of the driver alone", lambda one: _number(one.driver_hours)),
        *((f"CPU-hours: {stage}", _stage("cpu_hours", stage)) for stage in ("media", "scores")),
        *((f"GPU-hours: {stage}", _stage("gpu_hours", stage)) for stage in ("captions", "texts", "judges")),
        ("stored, TB", lambda one: _number(sum(one.gigabytes.values()) / 1000)),
        ("requests to the store, millions", lambda one: _number(one.requests / 1e6)),
        ("**money for what is worked, thousand USD**", lambda one: f"**{sum(one.money.values()) / 1000:,.0f}**"),
        ("money if all nodes are held to the end, thousand USD", lambda one: f"{one.held_money / 1000:,.0f}"),
    ]
    lines = [f"| | {' | '.join(heads)} |", f"|---|{'---|' * len(cases)}"]
    lines += [f"| {name} | {' | '.join(cell(found[case]) for case in cases)} |" for name, cell in rows]
    return "\n".join(lines)


def _stage(field: str, stage: str) -> Callable[[Prediction], str]:
    return lambda one: _number(getattr(one, field)[stage])


def storage_table(driver: DriverCosts, values: Values) -> str:
    """Return the bytes by folder and the money by kind."""
    one = predict(values, driver, from_site=False)
    lines = ["| stored | TB | | paid for | thousand USD |", "|---|---|---|---|---|"]
    for (folder, gigabytes), (kind, amount) in zip(one.gigabytes.items(), one.money.items(), strict=True):
        lines.append(f"| {folder} | {_number(gigabytes / 1000)} | | {kind} | {_number(amount / 1000)} |")
    return "\n".join(lines)


def sensitivity_table(driver: DriverCosts, values: Values) -> str:
    """Return how much half and twice of an assumption change, for videos from storage."""
    rows = sensitivity(values, driver, from_site=False)
    lines = ["| assumption | hours at half, at twice | thousand USD at half, at twice |", "|---|---|---|"]
    lines += [
        f"| {name} | {hours[0]:,.0f}, {hours[1]:,.0f} | {money[0] / 1000:,.0f}, {money[1] / 1000:,.0f} |"
        for name, hours, money in rows[:_SHOWN]
    ]
    return "\n".join(lines)


def assumption_table() -> str:
    """Return all assumptions; those of a recipe with its name."""
    common = {name: one for name, one in assumptions("vidla", measured_assumptions()).items() if not _of_recipe(name)}
    lines = ["| assumption | value | origin | source |", "|---|---|---|---|"]
    lines += [_assumption_row(one, "") for one in common.values()]
    for recipe in RECIPES:
        own = assumptions(recipe, measured_assumptions())
        lines += [_assumption_row(one, f" (`{recipe}`)") for name, one in own.items() if _of_recipe(name)]
    return "\n".join(lines)


def _of_recipe(name: str) -> bool:
    one, other = (assumptions(recipe, {}) for recipe in RECIPES)
    return name in one and one[name] != other[name]


def _assumption_row(one: Assumption, recipe: str) -> str:
    unit = f" {one.unit}" if one.unit else ""
    return f"| {one.name}{recipe} | {_number(one.value)}{unit} | {one.origin} | {one.source} |"


def driver_table(driver: DriverCosts, sources: Iterable[float] = (1e5, 1e6, 20e6)) -> str:
    """Return the driver's seconds and memory at larger sizes, by the fitted laws."""
    sizes = list(sources)
    heads = " | ".join(f"{size / 1e6:g} M: CPU-s | MiB" for size in sizes)
    lines = [f"| phase | growth of CPU-s | {heads} |", f"|---|---|{'---|---|' * len(sizes)}"]
    for phase, law in {**driver.alone_seconds, **driver.after_seconds}.items():
        if law.at < _LEAST_FITTED:
            continue
        cells = " | ".join(f"{_number(law.of(size))} | {_number(driver.memory_mib[phase].of(size))}" for size in sizes)
        lines.append(f"| {phase} | n^{law.exponent:.2f} | {cells} |")
    return "\n".join(lines)


def _number(value: float) -> str:
    """Return a number with three digits that count."""
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.2g}" if abs(value) < 1 else f"{value:.3g}"


def blocks(prices: RunPrices | None = None) -> dict[str, str]:
    """Return the content of each block of the page by name."""
    driver, records = driver_costs(CODE), read(MEASUREMENTS)
    values = {recipe: values_of(recipe, prices) for recipe in RECIPES}
    return {
        "prediction": prediction_table(driver, values),
        "storage and money": storage_table(driver, values["grounded"]),
        "sensitivity": sensitivity_table(driver, values["grounded"]),
        "measured": table(records, CODE),
        "measured before": table(records, BEFORE),
        "fitted": driver_table(driver),
        "assumptions": assumption_table(),
    }


def filled(text: str, made: Mapping[str, str]) -> str:
    """Return a page with its blocks replaced.

    Raises:
        KeyError: the page has a block of another name.
    """
    pattern = re.compile(r"(<!-- made: (.+?) -->\n).*?(<!-- end -->)", re.DOTALL)
    return pattern.sub(lambda match: f"{match[1]}\n{made[match[2]]}\n\n{match[3]}", text)


def main() -> None:
    """Write or print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--print", action="store_true", help="print the tables, write nothing")
    parser.add_argument("--prices", type=Path, help="YAML file as of `curate status --prices`; printed only")
    arguments = parser.parse_args()
    made = blocks(read_prices(arguments.prices) if arguments.prices else None)
    if arguments.print or arguments.prices:
        print("\n\n".join(f"## {name}\n\n{text}" for name, text in made.items()))
    else:
        PAGE.write_text(filled(PAGE.read_text(encoding="utf-8"), made), encoding="utf-8")


if __name__ == "__main__":
    main()
