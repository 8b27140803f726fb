"""Expansion of `--input` arguments into sources."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest
from support.read_sources import read_all
from support.source_files import write

from curation.sources.inputs import NOT_A_FILE, NOT_UTF8, Source
from runtime.errors import UserError


def names(sources: list[Source]) -> list[str]:
    """Return the file name of each source."""
    return [Path(source.source).name for source in sources]


def test_a_directory_gives_its_videos_by_name_with_all_below_it(tmp_path: Path) -> None:
    for name in ("b.mp4", "a.MKV", "deep/er/c.webm", "notes.txt", "x.srt", ".hidden/d.mp4", ".e.mp4"):
        write(tmp_path / name, name)
    ignored: Counter[str] = Counter()
    assert names(read_all([str(tmp_path)], ignored=ignored)) == ["a.MKV", "b.mp4", "c.webm"]
    assert ignored == {".txt": 1, ".srt": 1, ".mp4": 1}


def test_a_named_file_may_have_any_name(tmp_path: Path) -> None:
    found = read_all([str(write(tmp_path / "film.dat"))])
    assert found[0].source == str(tmp_path / "film.dat")
    assert not found[0].is_url


def test_a_glob_without_suffix_takes_videos_only_and_one_with_suffix_takes_all(tmp_path: Path) -> None:
    for name in ("a1.mp4", "a2.dat", "b.mp4"):
        write(tmp_path / name, name)
    assert names(read_all([str(tmp_path / "a*")])) == ["a1.mp4"]
    assert names(read_all([str(tmp_path / "*.dat")])) == ["a2.dat"]


def test_a_file_whose_name_looks_like_a_glob_is_taken_literally(tmp_path: Path) -> None:
    assert names(read_all([str(write(tmp_path / "a[1].mp4"))])) == ["a[1].mp4"]


@pytest.mark.parametrize("value", ["nowhere.mp4", "nothing*.mp4", "file:///etc/passwd", "ftp://example.org/x.mp4"])
def test_an_input_that_is_missing_or_not_allowed_is_named(
    value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"^--input " + value.replace("*", r"\*")):
        read_all([value])


def test_a_path_that_no_file_system_takes_is_named() -> None:
    with pytest.raises(UserError, match=r"^--input /x{300}: can't be read"):
        read_all(["/" + "x" * 300])


@pytest.mark.parametrize("pattern", ["", "*", "*.mp4", "**/*.mp4"])
def test_what_can_not_be_a_source_is_left_out_of_a_folder_and_counted(tmp_path: Path, pattern: str) -> None:
    write(tmp_path / "family 👨‍👩‍👧.mp4")
    (tmp_path / os.fsdecode(b"\xff.mp4")).write_text("x")
    (tmp_path / "gone.mp4").symlink_to("nowhere.mp4")
    os.mkfifo(tmp_path / "pipe.mp4")
    ignored: Counter[str] = Counter()
    assert names(read_all([str(tmp_path / pattern)], ignored=ignored)) == ["family 👨‍👩‍👧.mp4"]
    assert ignored == {NOT_UTF8: 1, NOT_A_FILE: 2}


def test_a_file_that_is_named_itself_must_have_a_name_in_utf8(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"\xff.mp4")
    path.write_text("x")
    with pytest.raises(UserError, match="rename the file"):
        read_all([str(path)])


@pytest.mark.parametrize("value", ["~nobody-of-this-name/a.mp4", "http://x.org/a\x1b[2J", "http://x.org/\udcff"])
def test_odd_names_and_urls_are_refused_in_one_line(value: str) -> None:
    with pytest.raises(UserError, match=r"no such file|is not a URL"):
        read_all([value])


def test_other_schemes_pass_when_allowed() -> None:
    assert read_all(["ftp://example.org/x.mp4"], allow_schemes=["ftp"])[0].is_url


@pytest.mark.parametrize("url", ["http://", "http:///x.mp4", "http://a b/", "http://host:port/", "http://[::1/x"])
def test_a_malformed_url_is_refused(url: str) -> None:
    with pytest.raises(UserError, match="is not a URL"):
        read_all([url])


def test_a_url_with_a_password_is_refused_without_repeating_it() -> None:
    with pytest.raises(UserError) as error:
        read_all(["https://me:hunter2@example.org/x.mp4"])
    assert "hunter2" not in str(error.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_can_not_be_read_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp4")
    path.chmod(0)
    with pytest.raises(UserError, match=r"a\.mp4"):
        read_all([str(path)])
