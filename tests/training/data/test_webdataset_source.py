"""The sources over webdataset tars and plain files: every sample once; wrong settings are refused by name."""

from __future__ import annotations

import gzip
import io
import math
import os
import tarfile
from collections.abc import Mapping
from pathlib import Path

import pytest
import webdataset
from support.shard_factory import encode_root

from runtime.errors import UserError
from shards.errors import ShardError
from training.data.data_settings import DataSettings
from training.data.decoding.clip_decoder import decode_clips
from training.data.sources.file_source import FileItem, FileSource
from training.data.sources.tar_patterns import expand_tars
from training.data.sources.webdataset_source import WebdatasetSource


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLIPGROVE_CACHE", str(tmp_path / "cachefolder"))


def write_tar(path: Path, samples: range) -> None:
    """Write tars with webdataset's own writer, as other tools do."""
    with webdataset.TarWriter(str(path)) as sink:
        for number in samples:
            fields = {"video_id": f"video{number // 2}", "title": f"title {number}", "start": 1.5, "views": 3}
            sample = {"__key__": f"{number:05d}", "mp4": encode_root(16), "txt": f"text {number}", "json": fields}
            sink.write(sample if number % 3 else {k: v for k, v in sample.items() if k != "txt"})


@pytest.fixture
def tars(tmp_path: Path) -> Path:
    folder = tmp_path / "tars"
    folder.mkdir()
    for tar in range(3):
        write_tar(folder / f"{tar:03d}.tar", range(tar * 6, tar * 6 + 6))
    return folder


def source(*patterns: object, terms: object = None, **changes: object) -> WebdatasetSource:
    values = {"shards": tuple(map(str, patterns)), "source": "webdataset", "clips_per_root": 1, "window_shards": 2}
    settings = DataSettings.model_validate(values | changes)
    return WebdatasetSource(settings, terms or {"caption": ["txt", "title"]}, seed=1)  # type: ignore[arg-type]


def test_braces_globs_and_folders_name_the_same_tars(tars: Path) -> None:
    expected = [str(tars / f"{n:03d}.tar") for n in range(3)]
    for pattern in ("{000..002}.tar", "{000,001,002}.tar", "*.tar", "00?.tar", ""):
        assert sorted(expand_tars(f"{tars}/{pattern}")) == expected


def test_every_sample_comes_once_with_its_text_and_its_video(tars: Path) -> None:
    data = source(tars)
    tasks = list(data.epoch(0))
    assert len(tasks) == data.num_roots == 18
    for task in tasks:
        number = int(task.key[-5:])
        (clip,) = task.clips
        assert clip.texts == {"caption": f"text {number}" if number % 3 else f"title {number}"}
        assert (clip.start, clip.end, clip.video_start) == (0.0, math.inf, 1.5)
        assert task.video_id == f"video{number // 2}"
    bytes_ = Path(tasks[0].media.url).read_bytes()[tasks[0].media.offset :][: tasks[0].media.size]
    assert bytes_ == encode_root(16)
    assert decode_clips(bytes_, [(0.0, math.inf)], 4)[0].shape[0] == 4


def test_order_and_resuming_are_those_of_our_own_shards(tars: Path) -> None:
    data = source(tars)
    whole = list(data.epoch(0))
    assert whole == list(source(tars).epoch(0))
    assert whole != list(data.epoch(1))
    assert list(data.epoch(0, skip=7, only=lambda n: n % 2 == 0)) == whole[8::2]


def test_identity_depends_on_the_samples_and_not_on_their_folder(tars: Path, tmp_path: Path) -> None:
    plain = source(tars).identity
    tars.rename(tmp_path / "moved")
    assert source(tmp_path / "moved").identity == plain
    write_tar(tmp_path / "moved" / "002.tar", range(12, 17))
    assert source(tmp_path / "moved").identity != plain


def test_a_tar_cut_short_is_named(tars: Path) -> None:
    path = tars / "001.tar"
    whole = path.stat().st_size
    for size in (whole // 2, 100):
        os.truncate(path, size)
        with pytest.raises(ShardError, match=r"001\.tar: .*cut short"):
            source(tars)


def test_a_compressed_tar_is_refused_with_the_reason(tars: Path) -> None:
    path = tars / "001.tar"
    path.write_bytes(gzip.compress(path.read_bytes()))
    with pytest.raises(ShardError, match=r"001\.tar: .*a plain tar is needed"):
        source(tars)


def test_a_text_that_no_sample_has_is_refused_with_the_existing_ones(tars: Path) -> None:
    with pytest.raises(UserError, match=r"loss.terms.caption=\['titel'\]: no sample has such a text.*'title'"):
        source(tars, terms={"caption": "titel"})


def test_no_tars_and_tars_without_videos_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no tar of that name"):
        source(tmp_path / "*.tar")
    with pytest.raises(UserError, match="no such tar"):
        source(tmp_path / "none.tar")
    with tarfile.open(tmp_path / "pictures.tar", "w") as tar:
        info = tarfile.TarInfo("a.jpg")
        info.size = 3
        tar.addfile(info, io.BytesIO(b"jpg"))
    with pytest.raises(UserError, match="no sample with a video"):
        source(tmp_path / "pictures.tar")


UNREADABLE = {
    "cut short": b'{"title": "a',
    "empty": b"",
    "not UTF-8": b'{"title": "caf\xe9"}',
    "nested without end": b"[" * 200_000,
    "digits without end": b'{"views": ' + b"9" * 5000 + b"}",
}


def pack_files(path: Path, files: Mapping[str, bytes]) -> Path:
    with tarfile.open(path, "w") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


@pytest.mark.parametrize("data", UNREADABLE.values(), ids=UNREADABLE.keys())
def test_a_sample_whose_json_can_not_be_read_is_left_out_and_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, data: bytes
) -> None:
    good = {"000.mp4": b"x", "000.txt": b"a lion", "000.json": b'{"title": "t"}'}
    tar = pack_files(tmp_path / "a.tar", good | {"001.mp4": b"x", "001.txt": b"a boat", "001.json": data})
    for _ in range(2):  # the second time from the index
        with caplog.at_level("WARNING"):
            assert captions(tar) == {"000": "a lion"}
        assert "left out 1 samples whose json can't be read" in caplog.text
        caplog.clear()


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e400", "-1e400", f"{10**400}"])
def test_a_time_that_no_number_can_hold_is_no_time(tmp_path: Path, number: str) -> None:
    text = f'{{"title": "t", "start": {number}, "end": {number}}}'.encode()
    tar = pack_files(tmp_path / "a.tar", {"000.mp4": b"x", "000.json": text})
    (task,) = source(tar, terms={"caption": "title"}).epoch(0)
    assert (task.clips[0].video_start, task.clips[0].video_end) == (0.0, math.inf)


def test_a_name_that_is_not_utf8_is_a_sample_like_others(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w", format=tarfile.GNU_FORMAT, encoding="latin-1") as tar:
        for name in ("caf\xe9.mp4", "caf\xe9.txt", "000.mp4", "000.txt"):
            info = tarfile.TarInfo(name)
            info.size = 4
            tar.addfile(info, io.BytesIO(b"text"))
    assert captions(tmp_path / "a.tar") == {"caf\\udce9": "text", "000": "text"}


def test_a_json_that_is_no_object_leaves_the_other_texts(tmp_path: Path) -> None:
    tar = pack_files(tmp_path / "a.tar", {"000.mp4": b"x", "000.txt": b"a lion", "000.json": b"[1, 2]"})
    assert captions(tar) == {"000": "a lion"}


def test_tars_written_by_webdataset_are_read(shared_fixtures: Path) -> None:
    with pytest.raises(UserError, match="no sample with a video"):
        source(shared_fixtures / "wds" / "tendata.tar")


# --- tars packed in other ways ---


def pack(path: Path, *names: str) -> Path:
    """Pack a tar: each file holds its own name."""
    with tarfile.open(path, "w") as tar:
        for name in names:
            data = name.encode()
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def captions(*tars: Path) -> dict[str, str | None]:
    """Return the caption of each sample by its key within the tar."""
    chosen = source(*tars, terms={"caption": "txt"})
    return {task.key.partition("/")[2]: task.clips[0].texts["caption"] for task in chosen.epoch(0)}


def test_what_macos_adds_to_a_tar_is_passed_over(shared_fixtures: Path) -> None:
    faults = shared_fixtures / "faults/23-appledouble-splits-sample"
    assert captions(faults / "mac.tar") == {"000": "a lion", "001": "a boat"}


def test_members_of_a_sample_may_be_apart(shared_fixtures: Path) -> None:
    faults = shared_fixtures / "faults/23-appledouble-splits-sample"
    assert captions(faults / "by_type.tar") == {"000": "a lion", "001": "a boat", "002": "a car"}


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["talk 1.2.mp4", "talk 1.2.txt"], {"talk 1.2": "talk 1.2.txt"}),
        (["a.v1.mp4", "a.v2.mp4", "a.v1.txt", "a.v2.txt"], {"a.v1": "a.v1.txt", "a.v2": "a.v2.txt"}),
        (["000.mp4", "000.seg.png", "000.txt"], {"000": "000.txt"}),
        (["a/._0.mp4", "a/0.mp4", "a/._0.txt", "a/0.txt", "__MACOSX/a/0.txt", ".DS_Store"], {"a/0": "a/0.txt"}),
        (["./b.c/000.MP4", "./b.c/000.TXT"], {"b.c/000": "./b.c/000.TXT"}),
        (["e\u0301.mp4", "\u00e9.txt"], {"\u00e9": "\u00e9.txt"}),
        (["000.txt", "001.txt", "000.mp4", "001.mp4"], {"000": "000.txt", "001": "001.txt"}),
    ],
)  # fmt: skip
def test_samples_are_gathered_by_name(tmp_path: Path, names: list[str], expected: dict[str, str]) -> None:
    assert captions(pack(tmp_path / "a.tar", *names)) == expected


def test_a_hard_link_is_the_file_that_it_links_to(tmp_path: Path) -> None:
    tar = pack(tmp_path / "a.tar", "000.mp4", "000.txt", "001.mp4")
    with tarfile.open(tar, "a") as more:
        link = tarfile.TarInfo("001.txt")
        link.type, link.linkname = tarfile.LNKTYPE, "000.txt"
        more.addfile(link)
    assert captions(tar) == {"000": "000.txt", "001": "000.txt"}


def test_a_name_that_is_there_twice_is_refused_with_the_tar_and_the_member(tmp_path: Path) -> None:
    tar = pack(tmp_path / "a.tar", "000.mp4", "000.txt", "001.mp4", "000.mp4")
    with pytest.raises(ShardError, match=r"a\.tar: 000\.mp4 is there twice"):
        source(tar, terms={"caption": "txt"})


def test_what_is_left_out_is_logged_by_reason(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    tar = pack(tmp_path / "a.tar", "000.mp4", "000.txt", "._000.txt", "001.jpg", "001.txt", "000.left.mp4")
    with caplog.at_level("WARNING"):
        captions(tar)
        captions(tar)  # from the index
    expected = "left out 1 hidden files, 1 further videos of a sample, 1 samples without a video"
    assert [expected in record.getMessage() for record in caplog.records] == [True, True]


# --- plain files ---


def items(count: int = 6) -> list[FileItem]:
    return [FileItem(Path(f"/videos/{n}.mp4"), f"v{n}", [f"a{n}", f"b{n}"]) for n in range(count)]


def test_each_file_is_visited_once_per_epoch_with_one_of_its_captions() -> None:
    data = FileSource(items(), ["caption", "subtitle"], seed=0)
    drawn = [list(data.epoch(epoch)) for epoch in range(8)]
    assert all(sorted(task.key for task in tasks) == [f"v{n}" for n in range(6)] for tasks in drawn)
    texts = {task.clips[0].texts["caption"] for tasks in drawn for task in tasks if task.key == "v3"}
    assert texts == {"a3", "b3"}
    assert all(len(set(task.clips[0].texts.values())) == 1 for tasks in drawn for task in tasks)
    assert list(data.epoch(2, skip=4)) == drawn[2][4:]


def test_a_file_has_the_given_span_and_crop() -> None:
    item = FileItem(Path("/v.mp4"), "v", ["t"], start=2.0, end=9.0)
    (task,) = FileSource([item], ["caption"], seed=0).epoch(0)
    (clip,) = task.clips
    assert (clip.start, clip.end, clip.crop.scale) == (2.0, 9.0, 1.0)


def test_no_files_and_a_file_without_caption_are_refused() -> None:
    with pytest.raises(UserError, match="no video to train on"):
        FileSource([], ["caption"], seed=0)
    with pytest.raises(UserError, match="video 'v' has no caption"):
        FileSource([FileItem(Path("v"), "v", [])], ["caption"], seed=0)


def test_patterns_with_dots_name_the_right_folder(tars: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = tars.parent / "work"
    (elsewhere / "tars").mkdir(parents=True)
    monkeypatch.chdir(elsewhere)
    assert len(expand_tars("../tars/*.tar")) == 3
    monkeypatch.chdir(tars)
    assert len(expand_tars("./*.tar")) == 3
