"""A host that refuses one source after the other is not asked any more; the count is shared by all workers of a run."""

from pathlib import Path

import pytest
from support.downloads import quick_settings
from support.video_server import VideoServer

from curation.media.download.downloader import download
from curation.media.download.politeness.host_refusals import HostRefusals
from curation.sources.ledger import SourceFailed, SourcePostponed


def _refused(refusals: HostRefusals, host: str, times: int) -> None:
    for _ in range(times):
        refusals.check(host)
        refusals.failed(host, "bot_check")


def test_after_the_limit_the_host_is_not_asked_and_other_hosts_are(tmp_path: Path) -> None:
    refusals = HostRefusals(tmp_path / "run", 3)
    _refused(refusals, "a.example", 3)
    with pytest.raises(SourcePostponed, match=r"^a\.example refused 3 sources in a row \(media\.download\."):
        refusals.check("a.example")
    refusals.check("b.example")


def test_the_count_is_shared_by_workers_of_one_run_and_not_with_the_next_run(tmp_path: Path) -> None:
    _refused(HostRefusals(tmp_path / "one", 2), "a.example", 1)
    _refused(HostRefusals(tmp_path / "one", 2), "a.example", 1)
    with pytest.raises(SourcePostponed):
        HostRefusals(tmp_path / "one", 2).check("a.example")
    HostRefusals(tmp_path / "two", 2).check("a.example")


@pytest.mark.parametrize("answer", ["a video", "removed"])
def test_an_answer_ends_the_row(tmp_path: Path, answer: str) -> None:
    refusals = HostRefusals(tmp_path, 2)
    for _ in range(5):
        _refused(refusals, "a.example", 1)
        refusals.answered("a.example") if answer == "a video" else refusals.failed("a.example", "removed")
    refusals.check("a.example")


def test_faults_of_the_network_and_of_single_videos_are_no_refusals_and_do_not_end_the_row(tmp_path: Path) -> None:
    refusals = HostRefusals(tmp_path, 2)
    for class_ in ("network", "private", "geo_blocked", "not_video", "corrupt", "internal") * 2:
        refusals.failed("a.example", class_)
    _refused(refusals, "a.example", 1)
    refusals.failed("a.example", "not_video")
    refusals.failed("a.example", "rate_limited")
    with pytest.raises(SourcePostponed):
        refusals.check("a.example")


def test_as_many_hosts_in_a_row_as_the_limit_postpone_every_host(tmp_path: Path) -> None:
    refusals = HostRefusals(tmp_path, 3)
    for host in ("a.example", "b.example"):
        _refused(refusals, host, 2)
    refusals.check("d.example")
    _refused(refusals, "c.example", 1)
    with pytest.raises(SourcePostponed, match="3 hosts in a row refused every source"):
        refusals.check("d.example")


def test_one_host_that_answers_keeps_all_others_open(tmp_path: Path) -> None:
    refusals = HostRefusals(tmp_path, 2)
    for host in ("a.example", "b.example", "c.example"):
        _refused(refusals, host, 1)
        refusals.answered("good.example")
    refusals.check("d.example")


def test_without_a_limit_nothing_is_postponed_and_nothing_is_written(tmp_path: Path) -> None:
    refusals = HostRefusals(tmp_path / "none", 0)
    _refused(refusals, "a.example", 100)
    assert not (tmp_path / "none").exists()


@pytest.mark.slow
def test_a_wall_of_403s_is_asked_no_more_than_the_limit(site: VideoServer, tmp_path: Path) -> None:
    site.walled = True
    refusals = HostRefusals(tmp_path / "run", 2)
    ends = []
    for number in range(5):
        scratch = tmp_path / f"scratch{number}"
        scratch.mkdir()
        try:
            download(site.url(f"wall/{number}.mp4"), quick_settings(), scratch, refusals)
        except (SourceFailed, SourcePostponed) as end:
            ends.append(type(end))
    assert ends == [SourceFailed] * 2 + [SourcePostponed] * 3
    assert {path for path in site.paths() if "/wall/" in path} == {"/wall/0.mp4", "/wall/1.mp4"}
