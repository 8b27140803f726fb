"""Draws the plots of a card: histograms over one axis, and shares with their intervals."""

from __future__ import annotations

from typing import Final

from markupsafe import Markup

from curation.view.card.plots.svg_theme import INK, LEVEL_COLOURS, LINE, MARK, SOFT, figure, svg
from curation.view.card.sections.section import HistogramPlot, HistogramSeries, IntervalPlot, count, number, percent

_LINES: Final = ("-", "--", ":")
"""Styles of line by which series differ without colour."""
_LONGEST: Final = 28


def drawn(plot: HistogramPlot | IntervalPlot, place: int) -> Markup:
    """Return a plot as SVG; `place` is its number in the page."""
    return _histograms(plot, place) if isinstance(plot, HistogramPlot) else _intervals(plot, place)


def described(plot: HistogramPlot | IntervalPlot) -> str:
    """Return in words what a plot shows."""
    if isinstance(plot, IntervalPlot):
        return "; ".join(
            f"{row.name}: {percent(row.value, 1)} ({percent(row.low, 1)} to {percent(row.high, 1)})"
            for row in plot.rows
        )
    return "; ".join(_of_series(series, plot.unit) for series in plot.series)


def _of_series(series: HistogramSeries, unit: str) -> str:
    counts, edges = series.histogram.counts, series.histogram.edges
    most = max(range(len(counts)), key=counts.__getitem__)
    between = f"{number(edges[most])} to {number(edges[most + 1])}"
    return f"{series.name}: {count(sum(counts))} clips, most of them ({count(counts[most])}) with {between} {unit}"


def _histograms(plot: HistogramPlot, place: int) -> Markup:
    from matplotlib.ticker import MaxNLocator, StrMethodFormatter

    with figure(2.5) as (made, axes):
        for style, series in zip(_LINES * len(plot.series), plot.series, strict=False):
            colour = LEVEL_COLOURS.get(series.name, MARK)
            counts, edges = series.histogram.counts, series.histogram.edges
            axes.stairs(counts, edges, fill=True, color=colour, alpha=0.25)
            paper = "" if series.mark is None else f" (Table 1: {series.mark:g})"
            axes.stairs(counts, edges, color=colour, linewidth=1.6, linestyle=style, label=f"{series.name}{paper}")
            if series.mark is not None:
                axes.axvline(series.mark, color=colour, linewidth=1.2, linestyle=style)
        axes.set_xlabel(_short(plot.unit, 60))
        axes.set_ylabel("clips")
        axes.yaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        axes.xaxis.set_major_locator(
            MaxNLocator(nbins=7, integer=all(each.histogram.width >= 1 for each in plot.series))
        )
        axes.grid(axis="y", color=LINE, linewidth=0.6)
        axes.set_axisbelow(True)
        if len(plot.series) > 1 or any(series.mark is not None for series in plot.series):
            made.legend(loc="outside upper center", ncols=3, handlelength=1.5, columnspacing=1.0)
        return svg(made, place, plot.title, described(plot))


def _intervals(plot: IntervalPlot, place: int) -> Markup:
    from matplotlib.ticker import PercentFormatter

    rows = list(reversed(plot.rows))
    with figure(0.9 + 0.32 * len(rows)) as (made, axes):
        for height, row in enumerate(rows):
            axes.plot([row.low, row.high], [height, height], color=MARK, linewidth=2.4, solid_capstyle="butt")
            axes.plot([row.value], [height], "o", color=INK, markersize=5)
        axes.set_yticks(range(len(rows)), [_short(row.name, _LONGEST) for row in rows], color=SOFT)
        axes.set_ylim(-0.6, len(rows) - 0.4)
        axes.set_xlim(-0.02, 1.02)
        axes.xaxis.set_major_formatter(PercentFormatter(1.0))
        axes.grid(axis="x", color=LINE, linewidth=0.6)
        axes.set_axisbelow(True)
        return svg(made, place, plot.title, described(plot))


def _short(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "…"
