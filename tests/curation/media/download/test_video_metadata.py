"""What a site states about a video is kept as plain values of the expected types, and without secrets."""

from typing import Any

import pytest

from curation.media.download.downloaded_video import VideoMetadata
from curation.media.download.downloader import _clean_metadata
from curation.media.download.ytdlp.fetch_process import _metadata


def _kept(**info: Any) -> VideoMetadata:
    return _clean_metadata(_metadata(info))


def test_title_licence_date_uploader_page_and_length_are_kept() -> None:
    assert _kept(
        title="A ball",
        license="CC BY",
        upload_date="20200229",
        uploader="Ann",
        uploader_url="https://e.org/@ann",
        webpage_url="https://e.org/watch?v=1",
        extractor="e",
        id=1,
        duration=31,
        language="en",
        tags=["toys", 7, "x" * 1000],
        categories=("Fun",),
        view_count=12.0,
        age_limit=0,
    ) == VideoMetadata(
        title="A ball",
        license="CC BY",
        upload_date="20200229",
        uploader="Ann",
        uploader_url="https://e.org/@ann",
        webpage_url="https://e.org/watch?v=1",
        extractor="e",
        id="1",
        duration=31.0,
        language="en",
        tags=("toys", "x" * 200),
        categories=("Fun",),
        view_count=12,
        age_limit=0,
    )


def test_a_channel_is_the_uploader_where_none_is_named() -> None:
    kept = _kept(channel="Ann", channel_url="https://me:hunter2@e.org/c?token=hunter2")
    assert (kept.uploader, kept.uploader_url) == ("Ann", "https://e.org/c")


def test_a_page_is_stored_without_user_password_and_tokens() -> None:
    page = "https://me:hunter2@e.org/a.mp4?id=7&X-Amz-Signature=hunter2&access_token=hunter2"
    assert _kept(webpage_url=page).webpage_url == "https://e.org/a.mp4?id=7"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e300, {"a": 1}, [[1]], "x", None, 1 << 80])
def test_a_number_or_a_list_of_another_type_is_left_out(value: Any) -> None:
    kept = _kept(view_count=value, age_limit=value, tags=value, categories=value)
    assert (kept.view_count, kept.age_limit, kept.tags, kept.categories) == (None, None, (), ())


@pytest.mark.parametrize("value", [{"a": 1}, ["x"], True, None])
def test_a_text_of_another_type_is_left_out(value: Any) -> None:
    kept = _kept(title=value, license=value, webpage_url=value)
    assert (kept.title, kept.license, kept.webpage_url) == (None, None, None)


def test_a_flood_of_tags_is_bounded() -> None:
    assert len(_kept(tags=[str(number) for number in range(100_000)]).tags) == 100
