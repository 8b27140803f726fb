"""The videos of a yt-dlp download archive are left out."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.curate_runs import CHEAP, config_in, run_arguments

from curation.command_line import command_parser
from curation.media.download.download_archives import archived_ids
from curation.plan import make_plan
from curation.run_request import RunRequest
from curation.sources.url_identity import url_id
from runtime.errors import UserError


def test_an_archive_names_videos_as_sources_are_named(tmp_path: Path) -> None:
    archive = tmp_path / "archive.txt"
    archive.write_text("youtube dQw4w9WgXcQ\n\nvimeo 76979871\n")
    ids = archived_ids(str(archive))
    assert {url_id("https://youtu.be/dQw4w9WgXcQ"), url_id("https://vimeo.com/76979871")} == ids
    assert archived_ids(None) == frozenset()


def test_sources_of_an_archive_are_planned_as_excluded(tmp_path: Path) -> None:
    (tmp_path / "archive.txt").write_text("youtube dQw4w9WgXcQ\n")
    (tmp_path / "urls.txt").write_text("https://youtu.be/dQw4w9WgXcQ\nhttps://youtu.be/aaaaaaaaaaa\n")
    arguments = run_arguments(CHEAP, config_in(tmp_path), tmp_path / "urls.txt", tmp_path / "out")
    arguments += ["--set", f"media.download.archive={tmp_path / 'archive.txt'}"]
    plan = make_plan(RunRequest.of(command_parser().parse_args([str(argument) for argument in arguments])))
    assert [row.planned_state for row in plan.sources.rows] == ["excluded", None]


def test_what_is_no_archive_is_refused_with_its_line(tmp_path: Path) -> None:
    archive = tmp_path / "list.txt"
    archive.write_text("youtube a\nhttps://example.org/a.mp4\n")
    with pytest.raises(UserError, match=r"line 2 is not `extractor id`"):
        archived_ids(str(archive))
    with pytest.raises(UserError, match=r"media\.download\.archive=.*can't be read"):
        archived_ids(str(tmp_path / "none.txt"))
