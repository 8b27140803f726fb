"""Matches by id and by caption."""

from __future__ import annotations

import numpy as np
import pytest

from curation.selection.decontamination.benchmark_items import BenchmarkItem
from curation.selection.decontamination.benchmark_registry import BENCHMARKS
from curation.selection.decontamination.caption_matches import CaptionIndex, caption_matches
from curation.selection.decontamination.id_matches import id_matches
from curation.selection.decontamination.known_names import KnownSource, file_names, site_ids

ITEM = BenchmarkItem("eyhzdC936uk_15_27", ("youtube:eyhzdC936uk",), (15, 27))
CAPTION = "a man in a red hat bends over the machine and turns a wheel"


def source(text: str, *sites: str) -> KnownSource:
    return KnownSource(text, np.array([3, 4]), frozenset(sites) | site_ids(text), file_names(text))


def matched(text: str, *sites: str, item: BenchmarkItem = ITEM, benchmark: str = "msvd") -> list[str]:
    return [match.reason for match in id_matches(BENCHMARKS[benchmark], [item], [source(text, *sites)])]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("https://youtu.be/eyhzdC936uk?t=3", "same video: youtube:eyhzdC936uk"),
        ("https://m.youtube.com/watch?v=eyhzdC936uk", "same video: youtube:eyhzdC936uk"),
        ("/data/eyhzdC936uk.webm", "file named eyhzdC936uk"),
        ("/data/eyhzdC936uk_15_27.avi", "file named eyhzdC936uk"),
        ("/data/v_eyhzdC936uk.mp4", "file named eyhzdC936uk"),
        ("/data/A cat on a mat [eyhzdC936uk].mkv", "file named eyhzdC936uk"),
        ("https://example.org/videos/eyhzdC936uk.mp4", "file named eyhzdC936uk"),
    ],
)
def test_the_video_is_known_by_its_address_and_by_its_file(text: str, reason: str) -> None:
    assert matched(text) == [reason]


def test_the_site_that_the_download_stated_counts() -> None:
    assert matched("https://example.org/page", "youtube:eyhzdC936uk") == ["same video: youtube:eyhzdC936uk"]


@pytest.mark.parametrize("text", ["https://youtu.be/abcdefghijk", "/data/eyhzdC936u.mp4", "/data/15_27.mp4"])
def test_other_videos_do_not_match(text: str) -> None:
    assert matched(text) == []


def test_a_bare_number_counts_only_below_a_folder_of_the_benchmark() -> None:
    item = BenchmarkItem("1234")
    assert matched("/data/1234.webm", item=item, benchmark="ssv2") == []
    assert matched("/data/something-something-v2/1234.webm", item=item, benchmark="ssv2") == ["file named 1234"]


def captions(text: str, *, share: float = 0.5) -> list[float | None]:
    index = CaptionIndex.of([BenchmarkItem("one", texts=(CAPTION,))], 8)
    return [match.score for match in caption_matches(index, iter([(7, "caption", text)]), share)]


def test_a_text_that_holds_the_caption_matches_whatever_its_case_and_punctuation() -> None:
    assert captions(f"Video 12: {CAPTION.upper()}, again!") == [1.0]


def test_a_text_that_holds_half_of_the_caption_matches_by_its_share() -> None:
    half = " ".join(CAPTION.split()[:11])
    assert captions(half) == [pytest.approx(4 / 7)]
    assert captions(half, share=0.6) == []


def test_a_text_about_the_same_in_other_words_does_not_match() -> None:
    assert captions("a man with a red hat turns the wheel of a machine as he bends over it") == []


def test_short_captions_are_counted_and_not_looked_for() -> None:
    index = CaptionIndex.of([BenchmarkItem("one", texts=("a man is talking",))], 8)
    assert (index.too_short, index.captions) == (1, [])
