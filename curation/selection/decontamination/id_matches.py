"""Matches by id: sources that are videos of a benchmark by their site's id or by the name of their file. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from curation.selection.decontamination.benchmark_items import BenchmarkItem, BenchmarkReader
from curation.selection.decontamination.known_names import KnownSource
from curation.selection.decontamination.match import Match


def id_matches(
    reader: BenchmarkReader, items: Sequence[BenchmarkItem], sources: Iterable[KnownSource]
) -> Iterator[Match]:
    """Yield the matches. The whole video counts, also if the benchmark uses a span of it."""
    by_site: dict[str, list[str]] = {}
    by_name: dict[str, str] = {}
    for item in items:
        for site in item.sites:
            by_site.setdefault(site, []).append(item.id)
            by_name.setdefault(site.partition(":")[2], item.id)
        by_name[item.id] = item.id
    for source in sources:
        found = {id_: f"same video: {site}" for site in sorted(source.sites) for id_ in by_site.get(site, ())}
        if reader.hint is None or reader.hint in source.source.lower():
            for name in sorted(source.names & by_name.keys()):
                found.setdefault(by_name[name], f"file named {name}")
        for id_, reason in found.items():
            yield Match(source.clips, id_, "id", None, reason)
