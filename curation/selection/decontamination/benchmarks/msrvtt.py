"""MSR-VTT: the lists of JSFusion's split (CSV), and `MSRVTT_data.json` with addresses, spans and captions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from curation.selection.decontamination.benchmark_items import BenchmarkItem, BenchmarkReader
from curation.sources.url_identity import url_id
from runtime.annotation_files import field, read_csv, read_json


def read(path: Path) -> Iterator[BenchmarkItem]:
    """Yield the items of a file."""
    if path.suffix.lower() == ".csv":
        for row in read_csv(path, ["video_id"]):
            sentence = row.get("sentence")
            yield BenchmarkItem(row["video_id"], texts=(sentence,) if sentence else ())
        return
    data = read_json(path)
    captions: dict[str, list[str]] = defaultdict(list)
    for number, row in enumerate(field(path, data, "sentences", list, "the file")):
        video, text = (field(path, row, name, str, f"sentence {number}") for name in ("video_id", "caption"))
        captions[video].append(text)
    for number, row in enumerate(field(path, data, "videos", list, "the file")):
        video = field(path, row, "video_id", str, f"video {number}")
        yield BenchmarkItem(video, _sites(row), _span(row), tuple(captions.get(video, ())))


def _sites(row: Mapping[str, Any]) -> tuple[str, ...]:
    url = row.get("url")
    return (url_id(url),) if isinstance(url, str) and "://" in url else ()


def _span(row: Mapping[str, Any]) -> tuple[float, float] | None:
    start, end = row.get("start time"), row.get("end time")
    return (float(start), float(end)) if isinstance(start, int | float) and isinstance(end, int | float) else None


READER: Final = BenchmarkReader("msrvtt", "MSRVTT_JSFUSION_test.csv, MSRVTT_data.json", read)
