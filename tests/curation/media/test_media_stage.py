"""The media stage on whole shards of real files: every source has one row of the ledger, with the right state."""

import asyncio
import errno
import json
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import pytest
from support.broken_videos import CASES, path_of
from support.media_shards import MEDIA_SETTINGS as SETTINGS
from support.media_shards import curate_shard as curate
from support.media_shards import ledger, source_row, write_sources
from support.processes import below, still_running
from support.video_server import make_videos, video_server
from support.waiting import until

from curation.media.download.download_settings import DownloadSettings
from curation.media.download.politeness.file_pacer import FilePacer, pacing_folder
from curation.media.download.politeness.pace_limits import PaceLimits
from curation.media.media_rows import RootFacts, video_row
from curation.media.media_stage import MediaWorker, MediaWorkerSpec
from curation.media.video_to_clips import VideoTools
from runtime.attempts import Attempts
from shards.checks.check_dir import check
from shards.keys import ClipKey
from shards.reader import read_table
from shards.storage.store import Store
from shards.storage.tar import members, read_span

pytestmark = pytest.mark.slow

SUBTITLES = """1
00:00:00,200 --> 00:00:01,700
A bright pattern moves.

2
00:00:02,000 --> 00:00:03,600
It moves again.
"""


def spoken(folder: Path) -> Path:
    """A good video with subtitles beside it."""
    video = folder / "spoken.mp4"
    video.write_bytes(path_of("good").read_bytes())
    video.with_suffix(".en.srt").write_text(SUBTITLES, encoding="utf-8")
    return video


def test_every_odd_and_broken_video_of_one_shard_ends_in_its_state(tmp_path: Path) -> None:
    paths = {name: path_of(name) for name in CASES}
    store, result = curate(tmp_path, [source_row(path) for path in paths.values()])
    outcomes = ledger(store)
    states = {name: (outcomes[str(path)]["state"], outcomes[str(path)]["class"]) for name, path in paths.items()}
    assert states == {name: (case.expected_state, case.expected_class) for name, case in CASES.items()}
    assert result.fatal is None
    assert result.counts["written"] + result.counts["failed"] == len(CASES)
    problems = [p for p in check(store) if p.where.startswith(("media", "keyframes", "ledger"))]
    assert problems == []


def test_a_playlist_does_not_make_another_file_readable(tmp_path: Path) -> None:
    names = ("hls_playlist", "concat_playlist")
    store, _ = curate(tmp_path, [source_row(path_of(name)) for name in names])
    assert {row["class"] for row in ledger(store).values()} == {"not_video"}
    assert read_table(store, "media/0000000.parquet").num_rows == 0


def test_a_root_carries_its_words_facts_and_keyframes(tmp_path: Path) -> None:
    store, _ = curate(tmp_path, [source_row(spoken(tmp_path), carried='{"topic": "patterns"}')])
    (row,) = read_table(store, "media/0000000.parquet").to_pylist()
    assert row["subtitle"] == "A bright pattern moves. It moves again."
    assert (row["subtitle_origin"], row["language"], row["level"]) == ("manual", "en", "short")
    assert [word["text"] for word in row["words"]] == ["A bright pattern moves.", "It moves again."]
    facts = {m.name: m for m in members(store, "media/0000000.tar")}[f"{row['key']}.json"]
    written = json.loads(read_span(store, "media/0000000.tar", facts.offset, facts.size))
    assert written["carried"] == {"topic": "patterns"} and written["shots"] == []
    (video,) = read_table(store, "videos/0000000.parquet").to_pylist()
    assert (video["root_key"], video["video_title"], video["carried"]) == (
        row["key"],
        "spoken",
        '{"topic": "patterns"}',
    )
    stills = [member.name for member in members(store, "keyframes/0000000.tar")]
    assert stills
    assert all(name.startswith(f"{row['key']}.") and name.endswith(".jpg") for name in stills)


def test_a_span_of_a_video_keeps_the_times_of_the_whole(tmp_path: Path) -> None:
    store, _ = curate(tmp_path, [source_row(path_of("good"), start=0.5, end=3.75)])
    (row,) = read_table(store, "media/0000000.parquet").to_pylist()
    assert (row["start"], row["end"], row["num_frames"]) == (0.5, 3.75, 26)
    data = store.read_bytes("media/0000000.tar", row["byte_offset"], row["byte_size"])
    (tmp_path / "root.mp4").write_bytes(data)
    with av.open(str(tmp_path / "root.mp4")) as container:
        assert sum(1 for _ in container.decode(video=0)) == 26


SPANS = {
    "reported": [(0.0, 3.5), (0.5, 4.0)],
    "nested": [(None, None), (0.0, 3.5)],
    "the same times": [(0.0, None), (0.0, 9.0)],
}


@pytest.mark.parametrize("spans", SPANS.values(), ids=SPANS.keys())
def test_spans_of_one_video_that_overlap_are_all_made_with_keys_of_their_own(
    tmp_path: Path, spans: list[tuple[float | None, float | None]]
) -> None:
    rows = [source_row(path_of("good"), start=start, end=end) for start, end in spans]
    store, result = curate(tmp_path, rows)
    assert result.counts["written"] == len(spans)
    clips = read_table(store, "media/0000000.parquet").to_pylist()
    roots = [row for row in clips if row["parent_key"] is None]
    assert [ClipKey.parse(row["key"]).overlap for row in roots] == [1, 2]
    assert len({row["key"] for row in clips}) == len(clips)
    assert {member.name.partition(".")[0] for member in members(store, "media/0000000.tar")} == {
        row["key"] for row in roots
    }
    assert [p for p in check(store, decode=True) if p.where.startswith(("media", "keyframes", "ledger"))] == []


def test_a_later_shard_continues_the_numbers_of_the_earlier_one(tmp_path: Path) -> None:
    first, second = (source_row(path_of("good"), start=start) for start in (0.0, 0.5))
    store, _ = curate(tmp_path, [replace(first, shard=1), second])
    (row,) = read_table(store, "media/0000000.parquet").to_pylist()
    assert ClipKey.parse(row["key"]).overlap == 2


@pytest.mark.parametrize(
    ("values", "class_"),
    [
        ({"start": 1.0, "end": 2.0}, "too_short"),
        ({"start": 50.0}, "too_short"),
        ({"planned_state": "duplicate"}, "duplicate"),
        ({"planned_state": "excluded"}, "excluded"),
    ],
)
def test_an_unwanted_source_is_filtered_by_class(tmp_path: Path, values: dict[str, Any], class_: str) -> None:
    store, _ = curate(tmp_path, [source_row(path_of("good"), **values)])
    (row,) = ledger(store).values()
    assert (row["state"], row["class"]) == ("filtered", class_)


def test_a_video_in_another_language_is_filtered(tmp_path: Path) -> None:
    settings = SETTINGS.model_copy(update={"video": SETTINGS.video.model_copy(update={"languages": ("de",)})})
    store, _ = curate(tmp_path, [source_row(spoken(tmp_path))], settings)
    (row,) = ledger(store).values()
    assert (row["state"], row["class"]) == ("filtered", "language")


def test_a_video_that_ended_its_worker_twice_is_skipped_and_the_others_are_curated(tmp_path: Path) -> None:
    bad, good = source_row(path_of("good")), source_row(path_of("index_at_end"))
    notes = tmp_path / "scratch" / "attempts" / "0000000"
    notes.mkdir(parents=True)
    (notes / f"{bad.video_id}_0").write_bytes(b"..")
    store, result = curate(tmp_path, [bad, good])
    outcomes = ledger(store)
    assert (outcomes[bad.source]["state"], outcomes[bad.source]["class"]) == ("failed", "internal")
    assert outcomes[good.source]["state"] == "written"
    assert result.fatal is None
    assert not notes.exists()


def test_an_attempt_mark_stays_only_if_the_process_dies(tmp_path: Path) -> None:
    attempts = Attempts(tmp_path)
    with attempts.attempt("v"):
        assert attempts.deaths("v") == 1
    assert attempts.deaths("v") == 0
    with pytest.raises(ValueError, match="bad"), attempts.attempt("v"):
        raise ValueError("bad")
    assert attempts.deaths("v") == 0


def test_a_full_disk_stops_the_run_and_records_no_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Store, local: object, name: str) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    store, scratch = Store(tmp_path / "dir"), tmp_path / "scratch"
    scratch.mkdir()
    write_sources(store, scratch, [source_row(path_of("good"))])
    monkeypatch.setattr(Store, "commit", full)
    worker = MediaWorker(MediaWorkerSpec(store.root, str(scratch), SETTINGS, "hash"), VideoTools(SETTINGS.video))
    result = asyncio.run(worker.process(0))
    assert result.fatal is not None
    assert "No space left on device" in result.fatal
    assert store.list("media") == {}
    assert store.list("ledger") == {}
    assert list(scratch.rglob("work")) == []


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_videos(tmp_path_factory.mktemp("served"))


WAITS: dict[str, tuple[str, dict[str, Any], float]] = {
    "in flight": ("stall.mp4", {}, 0.0),
    "before its next attempt": ("status/503", {"retries": 3, "backoff": 600.0, "max_wait": 3000.0}, 0.0),
    "for its turn at the host": ("plain.mp4", {}, 600.0),
}
"""The path of a download that lasts, its settings, and the seconds until the host may be asked."""


@pytest.mark.parametrize(("path", "values", "postponed"), WAITS.values(), ids=WAITS.keys())
def test_a_machine_fault_does_not_wait_for_downloads_and_leaves_them_pending(
    tmp_path: Path,
    served: Path,
    monkeypatch: pytest.MonkeyPatch,
    path: str,
    values: dict[str, Any],
    postponed: float,
) -> None:
    monkeypatch.setenv("CLIPGROVE_CACHE", str(tmp_path / "cache"))
    FilePacer(pacing_folder(), PaceLimits()).hold(postponed)
    with video_server(served) as server:

        def full(*_: object) -> None:
            until(lambda: server.requests or postponed, "the download")
            time.sleep(0.5)
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr("curation.media.in_flight.part_making.make_clips", full)
        download = DownloadSettings(allow_private_addresses=True, host_interval=0.0, **{"retries": 0, **values})
        rows = [source_row(path_of("good")), replace(source_row(Path(path)), source=server.url(path))]
        before = below(os.getpid())
        began = time.monotonic()
        store, result = curate(tmp_path, rows, SETTINGS.model_copy(update={"download": download}))
        assert time.monotonic() - began < 45, "the download alone would last for minutes"
    assert result.fatal is not None and "No space left on device" in result.fatal
    assert still_running(set(below(os.getpid())) - set(before), seconds=1.0) == []
    assert store.list("ledger") == {} and list((tmp_path / "scratch").rglob("work")) == []


def test_the_same_source_gives_the_same_keys_members_and_rows_twice(tmp_path: Path) -> None:
    tables = []
    for number in ("first", "second"):
        folder = tmp_path / number
        folder.mkdir()
        store, _ = curate(folder, [source_row(path_of("good"))])
        tables.append((read_table(store, "media/0000000.parquet"), list(members(store, "media/0000000.tar"))))
    assert tables[0][0].equals(tables[1][0])
    assert tables[0][1] == tables[1][1]


def test_half_a_character_in_captions_and_title_is_left_out(tmp_path: Path, shared_fixtures: Path) -> None:
    video = tmp_path / "emoji.mp4"
    video.write_bytes(path_of("good").read_bytes())
    fault = shared_fixtures / "faults/22-lone-surrogate/emoji.en.json3"
    video.with_suffix(".en.json3").write_bytes(fault.read_bytes())
    carried = json.dumps({"title": "broken \ud83d emoji"})
    store, result = curate(tmp_path, [source_row(video, carried=carried)])
    assert (result.counts["written"], ledger(store)[str(video)]["state"]) == (1, "written")
    assert [problem for problem in check(store) if "0000000" in problem.where] == []


@pytest.mark.parametrize("part", ["file of facts", "row of the table of videos"])
def test_a_video_that_fails_while_it_is_packed_leaves_no_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    videos = [tmp_path / name for name in ("first.mp4", "second.mp4", "third.mp4")]
    for video in videos:
        video.write_bytes(path_of("good").read_bytes())

    def facts(values: dict[str, Any]) -> dict[str, Any]:
        return {**values, "title": "\ud83d"} if values.get("source", "").endswith("second.mp4") else values

    def row(root: RootFacts) -> dict[str, Any]:
        return {**video_row(root), "video_title": 1} if root.source.endswith("second.mp4") else video_row(root)

    if part == "file of facts":
        monkeypatch.setattr("curation.media.shard_builder.sound_value", facts)
    else:
        monkeypatch.setattr("curation.media.shard_builder.video_row", row)
    store, result = curate(tmp_path, [source_row(video) for video in videos])
    assert result.fatal is None
    assert [ledger(store)[str(video)]["class"] for video in videos] == [None, "internal", None]
    roots = {row["root_key"] for row in read_table(store, "media/0000000.parquet").to_pylist()}
    assert {member.name.partition(".")[0] for member in members(store, "media/0000000.tar")} == roots
    assert [problem for problem in check(store, decode=True) if "0000000" in problem.where] == []
