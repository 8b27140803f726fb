"""A shard does not wait for its last downloads for ever: they stay pending, and move to another shard of the run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.broken_videos import path_of
from support.curate_runs import CHEAP, config_in, curate
from support.dir_contents import latest_states
from support.media_shards import MEDIA_SETTINGS, curate_shard, ledger, source_row

from curation.late_sources import late_sources, with_late_round
from curation.media.download.downloaded_video import DownloadedVideo
from curation.media.in_flight import kept_download
from runtime.ray_runner.run_record import RunReport
from runtime.stoppable_threads import stoppable_sleep
from shards.checks.check_dir import check
from shards.reader import read_table
from shards.storage.store import Store

pytestmark = pytest.mark.slow

SLOW = "https://example.org/slow.mp4"


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """URLs that were downloaded; the first download of `SLOW` does not end before it is stopped."""
    urls: list[str] = []

    def download(url: str, settings: object, scratch: Path, refusals: object) -> DownloadedVideo:
        urls.append(url)
        if urls.count(SLOW) == 1 and url == SLOW:
            stoppable_sleep(600)
        path = scratch / "video.mp4"
        path.write_bytes(path_of("good").read_bytes())
        return DownloadedVideo(path)

    monkeypatch.setattr(kept_download, "download", download)
    return urls


def with_patience(**values: Any) -> Any:
    """Return settings with other limits to waiting."""
    return MEDIA_SETTINGS.model_copy(update={"late_after": 0.2, "late_share": 0.5, **values})


def test_a_shard_is_committed_without_its_late_video_which_stays_pending(tmp_path: Path, asked: list[str]) -> None:
    rows = [source_row(SLOW), source_row(path_of("good"))]
    store, result = curate_shard(tmp_path, rows, with_patience())
    states = {source: (row["state"], row["class"]) for source, row in ledger(store).items()}
    assert states == {SLOW: ("pending", "late"), rows[1].source: ("written", None)}
    assert result.counts["pending:late"] == 1
    assert [p for p in check(store) if "0000000" in p.where] == []
    assert [path for path in (tmp_path / "scratch").rglob("*") if path.is_file()] == []


def test_the_late_videos_of_a_run_are_made_at_its_end(tmp_path: Path, asked: list[str]) -> None:
    (tmp_path / "list.txt").write_text(f"{SLOW}\n{path_of('good')}\n")
    arguments: list[str | Path] = ["run", CHEAP, "--config", config_in(tmp_path), "--input", tmp_path / "list.txt"]
    arguments += ["--output", tmp_path / "out", "--address", "local", "--stages", "media"]
    ended = curate(*arguments, "--set", "media.late_after=0.2", "--set", "media.late_share=0.5")
    assert ended.status == 0, ended.err
    assert "late downloads: 1; they are tried again in new shards" in ended.err
    store = Store(tmp_path / "out")
    assert latest_states(store) == {"written": 2}
    assert {name: read_table(store, f"ledger/{name}").num_rows for name in store.list("ledger") if "0" in name} == {
        "0000000.parquet": 2,
        "0000001.parquet": 1,
    }
    assert asked == [SLOW, SLOW]
    assert curate("check", tmp_path / "out").status == 0
    assert not (tmp_path / "out" / ".scratch").exists()
    assert "up to date" in curate(*arguments).err


def test_a_run_with_a_late_round_counts_its_late_sources_once() -> None:
    first = RunReport(
        {"media": 1}, {"media": {"videos": 4.0, "written": 2.0, "pending": 2.0, "pending:late": 1.0}}, 5.0
    )
    second = RunReport({"media": 1}, {"media": {"videos": 1.0, "written": 1.0}}, 1.0)
    whole = with_late_round(first, second)
    assert (late_sources(first), late_sources(whole)) == (1, 0)
    assert whole.counts["media"] == {"videos": 5.0, "written": 3.0, "pending": 1.0}
    assert (whole.done, whole.elapsed) == ({"media": 2}, 6.0)
    assert late_sources(RunReport(counts=first.counts, interrupted=True)) == 0
