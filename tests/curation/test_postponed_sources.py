"""A host that refuses everything postpones its sources: nothing is lost, and the next run tries them again."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest
from support.curate_runs import CHEAP, config_in, curate
from support.video_server import make_videos, video_server

from curation.sources.postponed_sources import has_postponed, is_untried
from curation.sources.source_states import SourceStates
from shards.sources.source_parts import SourceParts
from shards.storage.store import Store


def _states(dir_: Path) -> Counter[tuple[str, str | None]]:
    return Counter((source.state, source.class_) for source in list(SourceStates(Store(dir_)).all()))


@pytest.mark.parametrize(
    ("counts", "postponed", "untried"),
    [
        ({"pending": 3}, True, True),
        ({"pending": 1, "filtered": 2, "filtered:duplicate": 1, "filtered:excluded": 1}, True, True),
        ({"pending": 1, "filtered": 1, "filtered:too_short": 1}, True, False),
        ({"pending": 1, "failed": 1}, True, False),
        ({"pending": 1, "written": 1}, True, False),
        ({"written": 1}, False, False),
        ({}, False, False),
    ],
)
def test_a_shard_is_untried_if_all_its_work_was_postponed(
    counts: dict[str, float], postponed: bool, untried: bool
) -> None:
    assert (has_postponed(counts), is_untried(counts)) == (postponed, untried)


@pytest.mark.slow
def test_a_wall_of_one_host_leaves_its_sources_pending_and_the_next_run_takes_them_up(tmp_path: Path) -> None:
    output = tmp_path / "out"
    with video_server(make_videos(tmp_path / "videos")) as site:
        port = site.host.rpartition(":")[2]
        urls = [site.url(f"wall/{number}.mp4") for number in range(3)]
        urls.insert(2, f"http://localhost:{port}/plain.mp4")  # another host: shards are (0, 1), (plain, 2), (3, 4)
        urls += [site.url("wall/3.mp4"), site.url("wall/4.mp4")]
        (tmp_path / "list.txt").write_text("\n".join(urls))
        settings = {
            "media.download.allow_private_addresses": "true",
            "media.download.postpone_after": "1",
            "media.download.backoff": "0",
            "media.downloads_ahead": "1",
            "media.video.min_seconds": "1",
            "videos_per_shard": "2",
        }
        arguments: list[str | Path] = ["run", CHEAP, "--config", config_in(tmp_path), "--output", output]
        arguments += ["--input", tmp_path / "list.txt", "--address", "local", "--stages", "media"]
        arguments += [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]

        site.walled = True
        ended = curate(*arguments)
        assert ended.status == 3, ended.err
        assert "postponed: 4 sources were not tried, because their hosts refused others (127.0.0.1 4)" in ended.err
        assert re.search(
            r"sites: localhost \d+ requests, [^;]+; 127\.0\.0\.1 \d requests?, [^;]+, 1 refused", ended.err
        )
        assert _states(output) == {("failed", "bot_check"): 1, ("written", None): 1, ("pending", "postponed"): 4}
        assert {path for path in site.paths() if "/wall/" in path} == {"/wall/0.mp4"}
        assert "postponed" in curate("status", output).out
        assert curate("check", output).status == 0

        ended = curate(*arguments, "--retry-failed")
        assert ended.status == 3, ended.err
        assert _states(output) == {("failed", "bot_check"): 1, ("written", None): 1, ("pending", "postponed"): 4}
        attempts = SourceParts(Store(output)).table().num_rows

        site.walled = False
        ended = curate(*arguments, "--retry-failed")
        assert ended.status == 0, ended.err
        assert _states(output) == {("written", None): 6}
        rows = SourceParts(Store(output)).table().to_pylist()
        assert len(rows) <= attempts + 2
        assert len({row["source"] for row in rows}) == 6
        assert curate("check", output).status == 0
        assert curate(*arguments).err.startswith("nothing to do: ")
