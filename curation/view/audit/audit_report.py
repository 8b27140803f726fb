"""The report of an audit, for the terminal and as JSON and Parquet."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass
from typing import Any, Final

import pyarrow as pa
from rich.console import Console
from rich.table import Table
from rich.text import Text

from curation.grounding.audit.audit_figures import (
    ALL,
    AS_WRITTEN,
    CASCADE,
    KEPT,
    AuditFigures,
    JudgeFigures,
    StepFigures,
)
from curation.grounding.audit.proportions import Agreement, Interval, Proportion
from curation.view.audit.audit_population import Abstention
from runtime.terminal import on_one_line

_PLOT_WIDTH: Final = 25
_SCALE: Final = f"0 %{'50 %':^{_PLOT_WIDTH - 8}}100 %"
_RANGE: Final = "95 %"
_WIDE: Final = 100
"""Columns of a terminal from which intervals are drawn, too."""
_RESEMBLANCE: Final = 1.25
"""Ratio of the widths of intervals by video and by claim from which the report says so."""
_REPORT: Final = pa.schema(
    [
        ("section", pa.string()),  # step, judge, people, omission, abstention
        ("group", pa.string()),
        ("name", pa.string()),
        ("figure", pa.string()),
        ("value", pa.float64()),
        ("low", pa.float64()),
        ("high", pa.float64()),
        ("low_by_video", pa.float64()),
        ("high_by_video", pa.float64()),
        ("seen", pa.int64()),
        ("effective", pa.float64()),
    ]
)


@dataclass(frozen=True)
class AuditReport:
    """The result of an audit of a layer."""

    layer: str
    figures: AuditFigures
    abstentions: tuple[Abstention, ...]
    is_changed: bool
    """True if the layer was made anew since the sample was drawn; the figures are about the old one."""
    where: str | None = None
    """Condition on the clips that the sample was drawn from; None: all clips of the layer."""


def print_report(report: AuditReport, console: Console) -> None:
    """Print the tables of a report."""
    figures = report.figures
    condition = f" where {report.where}" if report.where else ""
    _say(
        console,
        f"audit of layer {report.layer}{condition}: {figures.labelled_clips} of {figures.clips} clips labelled, "
        f"{figures.labelled_claims} claims, by {', '.join(figures.labellers) or 'nobody'}",
    )
    for warning in _warnings(report):
        console.print(Text(f"warning: {on_one_line(warning)}", "yellow"), soft_wrap=True)
    if figures.labelled_claims:
        steps = [(step.step, step) for step in figures.steps if step.group == ALL]
        title = "claims that are true, before and after each judge (95 % Wilson intervals)"
        console.print(_steps_table(title, steps, console.width >= _WIDE))
        _print_resemblance(console, report)
        groups = _told_apart({step.group for step in figures.steps})
        own = [step for step in figures.steps if step.group in groups and step.step in (AS_WRITTEN, KEPT)]
        named = [(f"{step.group}, {step.step}", step) for step in own]
        if named:
            console.print(_steps_table("by level, language and status", named, console.width >= _WIDE))
        console.print(_judges_table([judge for judge in figures.judges if judge.group == ALL]))
        by_group = [judge for judge in figures.judges if judge.group in groups and judge.judge == CASCADE]
        if by_group:
            console.print(
                _judges_table(
                    by_group, title="the cascade and people: true / false claims by level, language and status"
                )
            )
    _print_people(console, figures)
    _print_clips(console, report)


def report_json(report: AuditReport) -> str:
    """Return the report as JSON."""
    return json.dumps(asdict(report), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def report_table(report: AuditReport) -> pa.Table:
    """Return the report as a table: one row for each figure."""
    return pa.Table.from_pylist([dict.fromkeys(_REPORT.names) | row for row in _rows(report)], schema=_REPORT)


def _warnings(report: AuditReport) -> Iterator[str]:
    figures = report.figures
    if report.is_changed:
        yield "the layer was made anew after the sample was drawn; the figures of claims are about the earlier one"
    if figures.stale_labels:
        yield f"{figures.stale_labels} stored labels are of claims that are not in the sample"
    if figures.labelled_claims and figures.uncovered > 0:
        yield f"no labelled clip speaks for {figures.uncovered:.0%} of the layer's clips; label more of the page"


def _steps_table(title: str, steps: list[tuple[str, StepFigures]], is_drawn: bool) -> Table:
    table = _table(title, ("", "claims", "true", _RANGE, "can't tell", "true left"))
    if is_drawn:
        table.add_column(_SCALE, no_wrap=True)
    for name, step in steps:
        table.add_row(
            Text(on_one_line(name)),
            str(step.labelled),
            *_share(step.precision),
            _percent(step.cant_tell),
            _percent(step.true_left),
            *([_plot(step.precision)] if is_drawn else []),
        )
    return table


def _judges_table(
    judges: list[JudgeFigures], title: str = "judges and people on the claims that each decided"
) -> Table:
    columns = ("", "kept", "dropped", "unjudged", "agree", "Cohen's κ", _RANGE)
    table = _table(title, columns)
    for judge in judges:
        table.add_row(
            Text(on_one_line(judge.judge if judge.group == ALL else judge.group)),
            f"{judge.true_accepted} / {judge.false_accepted}",
            f"{judge.true_rejected} / {judge.false_rejected}",
            str(judge.unjudged),
            *_agreement(judge.agreement),
        )
    return table


def _print_resemblance(console: Console, report: AuditReport) -> None:
    kept = next(step for step in report.figures.steps if step.group == ALL and step.step == KEPT).precision
    if kept is None:
        return
    wider = (kept.by_video.high - kept.by_video.low) / max(kept.interval.high - kept.interval.low, 1e-9)
    if wider >= _RESEMBLANCE:
        _say(
            console,
            f"Claims of one video may resemble each other: if videos count as drawn and not claims, "
            f"{_range(kept.by_video)} of the kept claims are true (an interval {wider:.1f} times as wide).",
        )


def _print_people(console: Console, figures: AuditFigures) -> None:
    if not figures.people:
        return
    table = _table("people who labelled the same claims", ("", "claims", "agree", "Cohen's κ", _RANGE))
    for pair in figures.people:
        seen = "0" if pair.agreement is None else str(pair.agreement.seen)
        table.add_row(Text(on_one_line(f"{pair.one}, {pair.other}")), seen, *_agreement(pair.agreement))
    console.print(table)


def _print_clips(console: Console, report: AuditReport) -> None:
    omissions = {each.group: each.incomplete for each in report.figures.omissions}
    columns = ("", "clips of the layer", "without text", "labelled", "something is missing", _RANGE)
    table = _table("clips of which nothing is said, and whose claims leave something out", columns)
    for group in report.abstentions:
        missing = omissions.get(group.group)
        abstained = f"{group.without_text} ({group.without_text / max(group.clips, 1):.0%})"
        seen = "-" if missing is None else str(missing.seen)
        table.add_row(Text(on_one_line(group.group)), str(group.clips), abstained, seen, *_share(missing))
    console.print(table)


def _table(title: str, columns: tuple[str, ...]) -> Table:
    table = Table(title=f"\n{title}", title_justify="left")
    for number, name in enumerate(columns):
        table.add_column(name, justify="right" if number else "left", no_wrap=number == 0 or name == _RANGE)
    return table


def _told_apart(groups: Collection[str]) -> set[str]:
    """Return the groups of each kind (level, language, status) of which there are several."""
    kinds = Counter(group.split(" ")[0] for group in groups)
    return {group for group in groups if kinds[group.split(" ")[0]] > 1}


def _say(console: Console, text: str) -> None:
    console.print(on_one_line(text), markup=False, soft_wrap=True)


def _share(share: Proportion | None) -> tuple[str, str]:
    return ("-", "") if share is None else (f"{share.value:.1%}", _range(share.interval))


def _percent(share: Proportion | None) -> str:
    return "-" if share is None else f"{share.value:.0%}"


def _range(interval: Interval) -> str:
    return f"{interval.low:.0%} to {interval.high:.0%}"


def _agreement(agreement: Agreement | None) -> tuple[str, str, str]:
    if agreement is None:
        return "-", "-", ""
    kappa = "-" if agreement.kappa is None else f"{agreement.kappa:.2f}"
    interval = agreement.interval
    return f"{agreement.agreed:.0%}", kappa, "" if interval is None else f"{interval.low:.2f} to {interval.high:.2f}"


def _plot(share: Proportion | None) -> Text:
    """Return a share and its interval on a line from 0 to 100 %."""
    if share is None:
        return Text("")
    low, value, high = (
        round(part * (_PLOT_WIDTH - 1)) for part in (share.interval.low, share.value, share.interval.high)
    )
    line = ["·" if place % 8 else "┊" for place in range(_PLOT_WIDTH)]
    line[low : high + 1] = "━" * (high + 1 - low)
    line[value] = "●"
    text = Text("".join(line), "dim")
    text.stylize("not dim cyan", low, high + 1)
    text.stylize("not dim bold", value, value + 1)
    return text


def _rows(report: AuditReport) -> Iterator[dict[str, Any]]:
    """Yield the figures, each with its section, group and name."""
    for step in report.figures.steps:
        place = {"section": "step", "group": step.group, "name": step.step}
        for figure in ("precision", "cant_tell", "true_left"):
            yield place | {"figure": figure} | _columns(getattr(step, figure))
    for judge in report.figures.judges:
        place = {"section": "judge", "group": judge.group, "name": judge.judge}
        for figure in ("true_accepted", "false_accepted", "true_rejected", "false_rejected", "unjudged"):
            yield place | {"figure": figure, "value": float(getattr(judge, figure))}
        yield from (place | row for row in _agreement_rows(judge.agreement))
    for pair in report.figures.people:
        place = {"section": "people", "group": ALL, "name": f"{pair.one}, {pair.other}"}
        yield from (place | row for row in _agreement_rows(pair.agreement))
    for omission in report.figures.omissions:
        place = {"section": "omission", "group": omission.group, "name": ALL}
        yield place | {"figure": "incomplete"} | _columns(omission.incomplete)
    for group in report.abstentions:
        share = group.without_text / max(group.clips, 1)
        place = {"section": "abstention", "group": group.group, "name": ALL}
        yield place | {"figure": "without_text", "value": share, "seen": group.clips}


def _columns(share: Proportion | None) -> dict[str, Any]:
    if share is None:
        return {}
    return {
        "value": share.value,
        "low": share.interval.low,
        "high": share.interval.high,
        "low_by_video": share.by_video.low,
        "high_by_video": share.by_video.high,
        "seen": share.seen,
        "effective": share.effective,
    }


def _agreement_rows(agreement: Agreement | None) -> Iterator[dict[str, Any]]:
    if agreement is None:
        return
    yield {"figure": "agreed", "value": agreement.agreed, "seen": agreement.seen}
    if agreement.kappa is not None:
        interval = {} if agreement.interval is None else asdict(agreement.interval)
        yield {"figure": "kappa", "value": agreement.kappa, "seen": agreement.seen} | interval
