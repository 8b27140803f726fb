"""Local files as sources."""

from pathlib import Path

import pytest
from support.downloads import quick_settings

from curation.media.download.downloader import download
from curation.media.download.local_videos import open_local
from curation.sources.ledger import SourceFailed


def test_a_file_stays_where_it_is_with_the_subtitles_beside_it(tmp_path: Path) -> None:
    video = tmp_path / "my film.mp4"
    for name in (
        "my film.mp4",
        "my film.vtt",
        "my film.en.srt",
        "my film.pt-BR.auto.json3",
        "my film 2.vtt",
        "a.vtt",
    ):
        (tmp_path / name).write_text("x")
    got = download(str(video), quick_settings(), tmp_path)
    assert got.path == video
    tracks = {(t.path.name, t.language, t.kind, t.format) for t in got.tracks}
    assert tracks == {
        ("my film.vtt", None, "manual", "vtt"),
        ("my film.en.srt", "en", "manual", "srt"),
        ("my film.pt-BR.auto.json3", "pt-BR", "auto", "json3"),
    }
    assert got.metadata.title == "my film"


def test_a_missing_file_fails_as_removed(tmp_path: Path) -> None:
    with pytest.raises(SourceFailed) as error:
        open_local(str(tmp_path / "gone.mp4"))
    assert error.value.class_ == "removed"
