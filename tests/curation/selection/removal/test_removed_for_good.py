"""A removed video does not come back: by file, by URL, as a span, or behind another URL. A whole run, in real files."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from support.curate_runs import TAGGER, Finished, curate, end_of, finished, run_arguments, start_curate, wait_until
from support.dir_contents import latest_states, snapshot
from support.fake_llm import FakeLLM
from support.model_replies import careful
from support.removals import files_with

from curation.media.download.downloaded_video import DownloadedVideo, VideoMetadata
from curation.media.download.removed_videos import refuse_removed
from curation.sources.inputs import Source
from curation.sources.ledger import SourceFiltered
from curation.sources.table.planned_sources import Refused, plan_sources
from shards.checks.check_dir import check
from shards.keys import video_id
from shards.removal.unfinished import UNFINISHED
from shards.sources.source_parts import SourceParts
from shards.storage.files import file_sha256
from shards.storage.store import Store
from shards.storage.tar import members, read_span

SPOKEN = b"speaks of the red ball"
"""Words of the removed video, and of no other."""


def _remove(root: Path, name: Path) -> None:
    ended = curate("remove", root, "--urls", str(name), "--reason", "the speaker asked for it")
    assert ended.status == 0, ended


@pytest.fixture(scope="module")
def removed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Finished, Path]:
    """A finished run, and a copy of its DIR without `talk.mp4`; neither is to be changed."""
    whole = finished()
    root = whole.copy(tmp_path_factory.mktemp("removed"))
    _remove(root, whole.inputs / "talk.mp4")
    return whole, root


def test_no_byte_of_it_is_left(removed: tuple[Finished, Path]) -> None:
    whole, root = removed
    talk = file_sha256(whole.inputs / "talk.mp4")[:16]
    tar = "media/0000000.tar"
    pieces = [
        read_span(whole.store, tar, member.offset + member.size // 2, 64)
        for member in members(whole.store, tar)
        if member.name.startswith(talk) and member.name.endswith(".mp4")
    ]
    needles = (*pieces, SPOKEN, b"talk.mp4", b"talk_again.mp4", f"{talk}_".encode())
    assert len(files_with(whole.dir, *needles)) > 8
    assert files_with(root, *needles) == []


def test_the_check_passes_and_every_source_is_counted(removed: tuple[Finished, Path]) -> None:
    whole, root = removed
    assert check(Store(root), decode=False) == []
    before, after = latest_states(whole.store), latest_states(Store(root))
    assert before.total() == after.total()
    assert after["written"] == before["written"] - 1
    status = curate("status", root)
    assert "removed_on_request" in status.out


def test_the_same_run_makes_nothing_anew_and_says_why_it_is_left_out(
    removed: tuple[Finished, Path], tmp_path: Path
) -> None:
    whole, _ = removed
    root = whole.copy(tmp_path)
    _remove(root, whole.inputs / "talk.mp4")
    before = snapshot(root)
    (tmp_path / "renamed.mp4").write_bytes((whole.inputs / "talk.mp4").read_bytes())
    spans = tmp_path / "spans.csv"
    spans.write_text(f"url,start,end\n{whole.inputs / 'talk.mp4'},5,40\n")
    inputs = [whole.inputs, tmp_path / "renamed.mp4", spans]
    arguments = [*run_arguments(TAGGER, whole.config, inputs, root), "--exclude", whole.excluded]
    ended = curate(*arguments, "--address", "local")
    assert ended.status == 0
    assert "4 sources were removed on request, and not taken again (removed.parquet)" in ended.err
    assert "nothing to do" in ended.err
    assert snapshot(root) == before


def test_after_a_sigkill_the_next_run_finishes_it(tmp_path: Path) -> None:
    whole = finished()
    root = whole.copy(tmp_path)
    log = tmp_path / "said"
    process = start_curate("remove", root, "--urls", whole.inputs / "talk.mp4", "--reason", "asked", log=log)
    wait_until(lambda: (root / UNFINISHED).exists(), process, log)
    os.kill(process.pid, signal.SIGKILL)
    end_of(process)
    plan = curate("plan", *run_arguments(TAGGER, whole.config, whole.inputs, root)[1:])
    assert "a removal was interrupted" in plan.out
    with FakeLLM(careful) as llm:
        ended = curate(*run_arguments(TAGGER, whole.config, whole.inputs, root, llm), "--address", "local")
    assert ended.status == 0
    assert "a removal that was interrupted is now finished" in ended.err
    assert files_with(root, SPOKEN) == []
    assert check(Store(root), decode=False) == []
    assert len(llm.requests) == 0


def test_sources_with_removed_ids_are_not_added_and_are_named() -> None:
    gone = video_id("youtube:dQw4w9WgXcQ")
    found = [
        Source("https://youtu.be/dQw4w9WgXcQ", gone, is_url=True),
        Source("https://www.youtube.com/shorts/dQw4w9WgXcQ", gone, 1.0, 2.0, is_url=True),
        Source("https://example.org/a", video_id("https://example.org/a"), is_url=True),
    ]
    planned = plan_sources(tuple, found, videos_per_shard=1, removed={gone})
    assert [row.source for row in planned.rows] == ["https://example.org/a"]
    shorts = "https://www.youtube.com/shorts/dQw4w9WgXcQ"
    assert planned.refused == Refused(2, ("https://youtu.be/dQw4w9WgXcQ", shorts))
    assert planned.new == 1


def test_a_download_that_leads_to_a_removed_video_is_filtered(tmp_path: Path) -> None:
    page = VideoMetadata(webpage_url="https://www.youtube.com/watch?v=dQw4w9WgXcQ")
    video = DownloadedVideo(tmp_path / "video.mp4", (), page)
    with pytest.raises(SourceFiltered, match="was removed on request") as refused:
        refuse_removed(video, {video_id("youtube:dQw4w9WgXcQ")})
    assert refused.value.class_ == "removed_on_request"
    refuse_removed(video, {video_id("youtube:another")})
    refuse_removed(DownloadedVideo(tmp_path / "video.mp4"), {video_id("youtube:dQw4w9WgXcQ")})


def test_a_source_that_was_not_tried_yet_needs_no_work_any_more(tmp_path: Path) -> None:
    whole = finished()
    root = whole.copy(tmp_path)
    _remove(root, whole.inputs / "zero_bytes.mp4")
    rows = SourceParts(Store(root)).table().to_pylist()
    gone = [row for row in rows if row["verdict"] == "removed_on_request"]
    assert [(row["source"].partition(":")[0], row["carried"]) for row in gone] == [("removed", None)]
