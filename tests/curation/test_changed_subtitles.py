"""Subtitle files beside local videos that change between two runs: their clips are made again, each once."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.curate_runs import CHEAP, Ended, config_in, curate, run_arguments, talks
from support.dir_contents import all_rows, latest_states, snapshot
from support.fake_llm import FakeLLM
from support.model_replies import careful

from curation.media.download.local_videos import open_local, sidecar_digests
from shards.storage.store import Store

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server() -> Iterator[FakeLLM]:
    """A model server."""
    with FakeLLM(careful) as llm:
        yield llm


def run(root: Path, server: FakeLLM, command: str = "run", *extra: str) -> Ended:
    """Run or plan over the talks in `root`."""
    arguments = run_arguments(CHEAP, config_in(root), root / "in", root / "out", server)
    return curate(command, *arguments[1:], "--address", "local", "--set", "videos_per_shard=1", *extra)


@pytest.fixture
def made(tmp_path: Path, server: FakeLLM) -> Path:
    """Two talks in two shards, curated; both have a subtitle file beside them."""
    talks(tmp_path / "in", 6, 6)
    ended = run(tmp_path, server)
    assert ended.status == 0, ended.err
    assert run(tmp_path, server).err.startswith("nothing to do: ")
    return tmp_path


def subtitles_of(root: Path, name: str) -> set[str]:
    """Return the subtitles of all clips of a video in the text layer."""
    return {row["subtitle"] for row in all_rows(Store(root / "out"), f"text/{CHEAP}") if row["source"].endswith(name)}


def changed(path: Path) -> None:
    path.write_text(path.read_text().replace("red ball", "blue cube"))


def renamed(path: Path) -> None:
    path.rename(path.with_name("talk-1.de.srt"))


CHANGES: dict[str, Callable[[Path], object]] = {
    "changed": changed,
    "gone": lambda path: path.unlink(),
    "renamed to another language": renamed,
    "another one appeared": lambda path: shutil.copy(path, path.with_name("talk-1.vtt")),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_change_makes_its_shard_again_and_no_other(
    made: Path, server: FakeLLM, change: Callable[[Path], object]
) -> None:
    before = snapshot(made / "out")
    change(made / "in" / "talk-1.en.srt")
    planned = run(made, server, "plan")
    assert "subtitle files beside videos have changed: shard 1 is made again" in planned.out
    assert run(made, server).status == 0
    after = snapshot(made / "out")
    written = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    assert {name for name in written if "0000000" in name} == set()
    assert {"media/0000001.parquet", f"text/{CHEAP}/0000001.parquet"} <= written
    assert latest_states(Store(made / "out")) == {"written": 2}
    assert curate("check", made / "out").status == 0
    assert run(made, server).err.startswith("nothing to do: ")


def test_the_new_words_take_the_place_of_the_old_ones(made: Path, server: FakeLLM) -> None:
    changed(made / "in" / "talk-1.en.srt")
    assert run(made, server).status == 0
    assert all("blue cube" in text and "red ball" not in text for text in subtitles_of(made, "talk-1.mp4"))
    assert all("red ball" in text for text in subtitles_of(made, "talk-0.mp4"))


def test_subtitles_of_a_video_that_is_gone_count_as_unchanged(made: Path, server: FakeLLM) -> None:
    for path in (made / "in").glob("talk-1.*"):
        path.unlink()
    assert run(made, server).err.startswith("nothing to do: ")


def test_a_shard_that_would_lose_another_source_is_left_and_named(tmp_path: Path, server: FakeLLM) -> None:
    talks(tmp_path / "in", 6, 6)
    arguments = run_arguments(CHEAP, config_in(tmp_path), tmp_path / "in", tmp_path / "out", server)
    assert curate(*arguments, "--address", "local").status == 0
    before = snapshot(tmp_path / "out")
    changed(tmp_path / "in" / "talk-1.en.srt")
    (tmp_path / "in" / "talk-0.mp4").unlink()
    ended = curate(*arguments, "--address", "local")
    assert ended.status == 0 and "shard 0 is not made again: other videos there are" in ended.err
    assert {n: v for n, v in snapshot(tmp_path / "out").items() if not n.startswith("log")} == {
        n: v for n, v in before.items() if not n.startswith("log")
    }


def test_a_digest_is_over_the_tracks_that_a_video_is_opened_with(tmp_path: Path) -> None:
    video = tmp_path / "a.mp4"
    for name in ("a.mp4", "a.srt", "a.en.auto.json3", "ab.srt", "a.txt", "b.mp4"):
        (tmp_path / name).write_bytes(name.encode())
    assert [track.path.name for track in open_local(str(video)).tracks] == ["a.en.auto.json3", "a.srt"]
    before = sidecar_digests([str(video), str(tmp_path / "b.mp4"), str(tmp_path / "none" / "c.mp4")])
    assert list(before) == [str(video)]
    (tmp_path / "ab.srt").write_bytes(b"of another video")
    assert sidecar_digests([str(video)]) == before
    (tmp_path / "a.srt").write_bytes(b"other words")
    assert sidecar_digests([str(video)]) != before
