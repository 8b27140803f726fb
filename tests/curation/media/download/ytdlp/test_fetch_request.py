"""Requests and outcomes travel between the downloader and its child process as JSON files."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from curation.media.download.download_errors import Failure
from curation.media.download.ytdlp.fetch_request import FetchedTrack, FetchOutcome, FetchRequest, ListedVideo

REQUEST = FetchRequest(
    url="https://example.org/x",
    folder="/scratch",
    height=480,
    languages=["en"],
    format="b",
    options={"proxy": "http://u:secret@p:1"},
    socket_timeout=20.0,
    stall_seconds=60.0,
    min_bytes_per_second=1000.0,
    max_bytes=10,
    max_duration=60.0,
    max_page_bytes=10,
    page_cpu_seconds=1.0,
    allowed_networks=[],
    allowed_schemes=[],
    ffmpeg="ffmpeg",
    patient=True,
)


def test_a_request_is_read_once_and_its_file_is_deleted(tmp_path: Path) -> None:
    path = tmp_path / "request.json"
    path.write_text(json.dumps(asdict(REQUEST)))
    assert FetchRequest.take(path) == REQUEST
    assert not path.exists()


@pytest.mark.parametrize(
    "outcome",
    [
        FetchOutcome(
            "/x.mp4",
            (FetchedTrack("/x.vtt", None, "auto", "vtt"),),
            {"title": "é"},
            warnings=("a warning",),
            requests=3,
        ),
        FetchOutcome(listed=(ListedVideo("https://example.org/v", "é"),)),
        FetchOutcome(failure=Failure("rate_limited", "slow down", transient=True, retry_after=7.0)),
        FetchOutcome(too_long="more than 10 bytes"),
        FetchOutcome(machine="no space left"),
    ],
    ids=["video", "playlist", "failure", "too long", "machine"],
)
def test_an_outcome_is_read_as_it_was_written(tmp_path: Path, outcome: FetchOutcome) -> None:
    outcome.write(tmp_path / "outcome.json")
    assert FetchOutcome.read(tmp_path / "outcome.json") == outcome
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["outcome.json"]
