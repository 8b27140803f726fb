"""`curate plan --probe`: the cost of a few sources is extrapolated by seconds of video where durations are known."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.broken_videos import ffmpeg

from curation.probe.probe_sample import known_seconds, spread, thinned, whole_over_sample
from curation.sources.source_rows import SourceRow


def row(source: str, start: float | None = None, end: float | None = None) -> SourceRow:
    """Return a source that is to be curated."""
    return SourceRow(source, "0" * 16, start, end, 0, 1, None, None)


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """A video of four seconds."""
    path = tmp_path / "a.mp4"
    ffmpeg("-f", "lavfi", "-i", "color=s=64x64:r=8:d=4", path)
    return path


def test_the_header_of_a_local_file_gives_its_seconds(video: Path) -> None:
    assert known_seconds(row(str(video))) == pytest.approx(4, abs=0.2)


@pytest.mark.parametrize(("start", "end", "seconds"), [(1.0, 3.0, 2), (None, 3.0, 3), (3.0, None, 1), (1.0, 60.0, 3)])
def test_a_span_of_a_file_counts_as_far_as_the_file_goes(
    video: Path, start: float | None, end: float | None, seconds: float
) -> None:
    assert known_seconds(row(str(video), start, end)) == pytest.approx(seconds, abs=0.2)


def test_a_url_has_known_seconds_only_with_an_end() -> None:
    assert known_seconds(row("https://example.org/a")) is None
    assert known_seconds(row("https://example.org/a", 5.0)) is None
    assert known_seconds(row("https://example.org/a", 5.0, 25.0)) == 20


def test_a_file_that_is_not_a_video_has_no_known_seconds(tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("not a video")
    assert known_seconds(row(str(tmp_path / "text.mp4"))) is None
    assert known_seconds(row(str(tmp_path / "missing.mp4"))) is None


def test_the_whole_is_extrapolated_by_seconds_of_video() -> None:
    short, long = row("https://x.org/a", 0.0, 10.0), row("https://x.org/b", 0.0, 90.0)
    assert whole_over_sample([short, long], [short]) == pytest.approx(10)
    assert whole_over_sample([short, long], [long]) == pytest.approx(100 / 90)


def test_a_source_of_unknown_duration_counts_as_the_mean_of_the_known_ones() -> None:
    known, unknown = row("https://x.org/a", 0.0, 30.0), row("https://x.org/b")
    assert whole_over_sample([known, unknown, unknown], [known]) == pytest.approx(3)


def test_the_number_of_sources_decides_if_no_duration_is_known() -> None:
    sources = [row(f"https://x.org/{number}") for number in range(6)]
    assert whole_over_sample(sources, spread(sources, 2)) == pytest.approx(3)


def test_a_sample_is_spread_evenly_over_all_sources() -> None:
    sources = [row(f"https://x.org/{number}") for number in range(9)]
    assert [source.source[-1] for source in spread(sources, 3)] == ["1", "4", "7"]
    assert spread(sources, 20) == sources


def test_a_long_list_is_thinned_evenly_and_counted_whole() -> None:
    sources = [row(f"https://x.org/{number}") for number in range(100)]
    kept, total = thinned(iter(sources), most=30)
    assert total == 100 and 15 <= len(kept) <= 30
    assert kept == sources[:: 100 // len(kept)][: len(kept)]
    assert thinned(iter(sources)) == (sources, 100)
