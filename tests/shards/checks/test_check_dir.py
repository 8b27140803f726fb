import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support.shard_factory import CAPTION_SET, LAYER, add_shard, build_dir, encode_root

from shards import writer
from shards.checks.check_dir import check
from shards.index import rebuild_index
from shards.manifest import StageMark, write_stage
from shards.reader import read_artifact, read_table
from shards.schema import CAPTIONS, CLIPS, LEDGER, SOURCES, TEXT
from shards.storage.store import Store
from shards.storage.tar import TarWriter, members, read_span

MEDIA = "media/0000000.parquet"
ROOTS = "media/0000000.tar"
STILLS = "keyframes/0000000.tar"
LEDGER_NAME = "ledger/0000000.parquet"
CAPTIONS_NAME = f"captions/{CAPTION_SET}/0000000.parquet"
TEXT_NAME = f"text/{LAYER}/0000000.parquet"
SCHEMAS = {MEDIA: CLIPS, LEDGER_NAME: LEDGER, CAPTIONS_NAME: CAPTIONS, TEXT_NAME: TEXT, "sources.parquet": SOURCES}


Change = Callable[[list[Any]], object]
"""Changes rows, or members of a tar, in place."""


@pytest.fixture(scope="module")
def valid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(build_dir(tmp_path_factory.mktemp("valid") / "dir", shards=2).root)


@pytest.fixture
def store(valid: Path, tmp_path: Path) -> Store:
    return Store(shutil.copytree(valid, tmp_path / "dir"))


def _found(store: Store, **options: Any) -> set[tuple[str, str]]:
    return {(problem.where, problem.what) for problem in check(store, **options)}


def _reported(store: Store, where: str, words: str, **options: Any) -> None:
    found = _found(store, **options)
    assert any(place == where and words in what for place, what in found), found


def _other(value: Any) -> Any:
    """Another value of the same type."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1
    if isinstance(value, str):
        return "written" if value == "failed" else "failed"
    if isinstance(value, list):
        return value[:-1]
    if isinstance(value, dict):
        return {**value, next(iter(value)): "other"}
    return None


def _rewrite(store: Store, name: str, change: Change) -> None:
    """Write a table anew with changed rows and its old footer, as damage or a careless tool would."""
    table = read_table(store, name)
    rows = table.to_pylist()
    change(rows)
    changed = pa.Table.from_pylist(rows, schema=table.schema)
    pq.write_table(changed, store.path(name))


def _recommit(store: Store, tmp_path: Path, name: str, change: Change) -> None:
    """Commit a table with changed rows as if a stage had made it so: its digest is right."""
    artifact = read_artifact(store, name)
    rows = read_table(store, name).to_pylist()
    change(rows)
    table = pa.Table.from_pylist(rows, schema=SCHEMAS[name])
    if name == MEDIA:
        digest = writer.media_digest(table, artifact.files)
        writer._commit(store, tmp_path, name, table, writer.replace(artifact, digest=digest))
    else:
        writer.commit_table(store, tmp_path, name, table, artifact)


def _set(column: str, value: Any, *, of: int = 0) -> Change:
    def change(rows: list[Any]) -> None:
        rows[of][column] = value

    return change


def test_a_dir_that_curate_made_has_no_problem(store: Store) -> None:
    assert check(store) == []


def test_a_dir_in_an_object_store_has_no_problem(store: Store, tmp_path: Path) -> None:
    remote = Store(f"memory://{tmp_path.name}")
    for path in Path(store.root).rglob("*"):
        if path.is_file():
            remote.commit_bytes(path.read_bytes(), str(path.relative_to(store.root)))
    assert check(remote) == []


def test_progress_is_told_shard_by_shard(store: Store) -> None:
    calls = []
    check(store, decode=False, progress=lambda done, total: calls.append((done, total)))
    assert calls == [(1, 2), (2, 2)]


@pytest.mark.parametrize(
    ("name", "column"),
    [(name, column) for name, schema in SCHEMAS.items() for column in schema.names],
)
def test_any_changed_value_of_any_table_is_reported(store: Store, name: str, column: str) -> None:
    def change(rows: list[Any]) -> None:
        for row in rows:
            if row[column] is not None:
                row[column] = _other(row[column])
                return
        rows[0][column] = {"words": [], "confidence": 0.5}.get(column, 1.0 if column in _NUMBERS else "changed")

    _rewrite(store, name, change)
    _reported(store, name, "digest differs", decode=False)


_NUMBERS = {"start", "end", "seconds", "elapsed"}


@pytest.mark.parametrize(
    ("column", "value", "row", "where", "words"),
    [
        ("key", "what", 2, MEDIA, "the key is not that of"),
        ("root_key", "what", 2, MEDIA, "is no root of this shard"),
        ("parent_key", "what", 2, MEDIA, "is no clip of its tree"),
        ("parent_key", None, 2, MEDIA, "its own root exactly if"),
        ("video_id", "0" * 16, 2, MEDIA, "video_id"),
        ("source", "elsewhere", 0, ROOTS, "source"),
        ("source", "elsewhere", 2, LEDGER_NAME, "the media has"),
        ("level", "huge", 2, MEDIA, "is none of short"),
        ("level", "long", 2, MEDIA, "inside a parent of level"),
        ("shard", 1, 0, MEDIA, "has shard 1"),
        ("start", -1.0, 2, MEDIA, "spans"),
        ("start", 1.0, 1, MEDIA, "the key is not that of"),
        ("start", 1.0, 1, MEDIA, "its children leave or share"),
        ("end", 20.0, 1, MEDIA, "leave or share"),
        ("end", 99.0, 4, MEDIA, "is not inside its parent"),
        ("offset", 3.0, 2, MEDIA, "offset"),
        ("offset", -1.0, 0, MEDIA, "is outside"),
        ("width", 65, 0, ROOTS, "width"),
        ("height", 0, 0, MEDIA, "frames of 64x0"),
        ("num_frames", 100, 0, ROOTS, "the table says 100"),
        ("fps", 16.0, 0, ROOTS, "the table says 16"),
        ("language", "de", 2, MEDIA, "language"),
        ("subtitle", "other", 0, TEXT_NAME, "subtitle"),
        ("subtitle_origin", "manual", 2, MEDIA, "subtitle_origin"),
        ("words", [], 2, MEDIA, "words are kept for roots"),
        ("words", [{"start": 3.0, "end": 2.0, "text": "x"}], 0, MEDIA, "before its start"),
        ("speech_seconds", -1.0, 0, MEDIA, "speech_seconds"),
        ("motion", 2.0, 0, MEDIA, "motion"),
        ("byte_offset", 1024, 0, ROOTS, "its bytes are"),
        ("byte_size", 10**9, 0, ROOTS, "not all there"),
    ],
)
def test_a_wrong_value_in_the_clips_is_reported(
    store: Store, tmp_path: Path, column: str, value: Any, row: int, where: str, words: str
) -> None:
    _recommit(store, tmp_path, MEDIA, _set(column, value, of=row))
    _reported(store, where, words)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda rows: rows.append(dict(rows[1])), "has 2 rows"),
        (lambda rows: rows.pop(2), "leave or share"),
        (lambda rows: rows.reverse(), "comes before its parent"),
        (lambda rows: rows.append(rows.pop(1)), "is apart"),
        (
            lambda rows: rows.__delitem__(slice(2, 4)) or rows.insert(2, rows[1] | {"parent_key": rows[1]["key"]}),
            "single",
        ),
    ],
    ids=["twice", "missing child", "reversed", "apart", "single child"],
)
def test_a_broken_tree_is_reported(store: Store, tmp_path: Path, change: Change, words: str) -> None:
    _recommit(store, tmp_path, MEDIA, change)
    _reported(store, MEDIA, words, decode=False)


def test_roots_of_one_video_that_overlap_are_reported(store: Store, tmp_path: Path) -> None:
    def change(rows: list[Any]) -> None:
        later = next(row for row in rows[1:] if row["parent_key"] is None)
        later["start"] -= 2

    _recommit(store, tmp_path, MEDIA, change)
    _reported(store, MEDIA, "overlaps the root", decode=False)


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("key", "what", "is no clip of this shard's media"),
        ("key", "what", "has no row of text"),
        ("start", 1.0, "start"),
        ("end", 1.0, "end"),
        ("root_key", "what", "root_key"),
        ("parent_key", "what", "parent_key"),
        ("level", "short", "level"),
        ("num_frames", 1, "num_frames"),
        ("rewrite_status", "perhaps", "rewrite_status"),
        ("split", "test", "split"),
        ("keep", False, "filter_reason"),
        ("filter_reason", "dull", "filter_reason"),
        ("grounding_score", 1.5, "grounding_score"),
        ("rewrite_status", "fallback", "grounding_score"),
        ("rewrite_status", "abstained", "although the model abstained"),
        ("frame_captions", [{"time": 999.0, "text": "x"}], "is outside the clip"),
    ],
)
def test_a_wrong_value_in_the_texts_is_reported(
    store: Store, tmp_path: Path, column: str, value: Any, words: str
) -> None:
    _recommit(store, tmp_path, TEXT_NAME, _set(column, value))
    _reported(store, TEXT_NAME, words, decode=False)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_set("root_key", "what"), "is no root"),
        (_set("time", 77.0), "has no keyframe"),
        (_set("time", 77.0), "keyframes have no row"),
        (_set("confidence", 2.0), "confidence"),
        (lambda rows: rows.append(rows[0]), "2 captions"),
    ],
    ids=["root", "time", "missing", "confidence", "twice"],
)
def test_wrong_captions_are_reported(store: Store, tmp_path: Path, change: Change, words: str) -> None:
    _recommit(store, tmp_path, CAPTIONS_NAME, change)
    _reported(store, CAPTIONS_NAME, words, decode=False)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_set("source", "elsewhere"), "is not in the ledger"),
        (_set("source", "elsewhere"), "not so in sources.parquet"),
        (_set("attempt", 2), "is not in the ledger"),
        (_set("clips", 1), "the ledger counts 1 clips"),
        (_set("state", "gone"), "is none of written"),
        (_set("state", "failed"), "does not belong to state failed"),
        (_set("class", "network"), "does not belong to state written"),
        (_set("clips", 3, of=-1), "state failed with 3 clips"),
        (lambda rows: rows.pop(), "is not in the ledger"),
        (lambda rows: rows.append(rows[0]), "not so in sources.parquet"),
    ],
)
def test_a_wrong_ledger_is_reported(store: Store, tmp_path: Path, change: Change, words: str) -> None:
    _recommit(store, tmp_path, LEDGER_NAME, change)
    _reported(store, LEDGER_NAME, words, decode=False)


@pytest.mark.parametrize("name", [MEDIA, LEDGER_NAME, CAPTIONS_NAME, TEXT_NAME, "sources.parquet", "index.parquet"])
@pytest.mark.parametrize("damage", ["cut short", "overwritten"])
def test_a_damaged_table_is_reported(store: Store, name: str, damage: Callable[[Path], object]) -> None:
    data = store.read_bytes(name)
    store.commit_bytes(data[: len(data) // 2] if damage == "cut short" else b"what" * 100, name)
    _reported(store, name, "not a readable Parquet file", decode=False)


@pytest.mark.parametrize("name", [ROOTS, STILLS])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.6, 0.8])
def test_a_flipped_bit_anywhere_in_a_tar_is_reported(store: Store, name: str, share: float) -> None:
    data = bytearray(store.read_bytes(name))
    data[int(share * len(data)) + 20] ^= 1
    store.commit_bytes(bytes(data), name)
    _reported(store, name, "SHA-256 differs", decode=False)


@pytest.mark.parametrize("name", [ROOTS, STILLS])
def test_a_tar_that_is_gone_or_cut_short_is_reported(store: Store, name: str) -> None:
    data = store.read_bytes(name)
    store.commit_bytes(data[:5000], name)
    _reported(store, name, "has 5000 bytes, was committed with")
    _reported(store, name, "cut short")
    store.delete(name)
    _reported(store, name, "is missing")


@pytest.mark.parametrize(
    "name",
    [
        LEDGER_NAME,
        "sources.parquet",
        "index.parquet",
        "manifest.json",
        "media/_stage.json",
        f"text/{LAYER}/_stage.json",
    ],
)
def test_a_file_that_is_gone_is_reported(store: Store, name: str) -> None:
    store.delete(name)
    _reported(store, name, "is missing", decode=False)


@pytest.mark.parametrize(
    "name",
    ["media/notes.txt", "media/1.parquet", "keyframes/0000000.zip", "text/0000000.parquet", f"text/{LAYER}/a.parquet"],
)
def test_a_file_that_does_not_belong_is_reported(store: Store, name: str) -> None:
    store.commit_bytes(b"what", name)
    _reported(store, name, "does not belong here", decode=False)


def test_what_an_interrupted_run_left_is_no_problem(store: Store) -> None:
    for name in ("media/0000002.tar", "keyframes/0000002.tar", "ledger/0000002.parquet", "media/.tmp-1-x"):
        store.commit_bytes(b"half", name)
    assert check(store) == []


def test_texts_without_their_media_are_reported(store: Store) -> None:
    store.delete(MEDIA)
    rebuild_index(store)
    _reported(store, TEXT_NAME, "no committed media", decode=False)
    _reported(store, CAPTIONS_NAME, "no committed media", decode=False)


def test_captions_made_from_other_media_are_reported(store: Store, tmp_path: Path) -> None:
    _recommit(store, tmp_path, MEDIA, _set("motion", 0.2))
    _reported(store, CAPTIONS_NAME, "was made from another media", decode=False)
    _reported(store, TEXT_NAME, "was made from another media", decode=False)


def test_texts_made_from_other_captions_are_reported(store: Store, tmp_path: Path) -> None:
    _recommit(store, tmp_path, CAPTIONS_NAME, _set("caption", "another"))
    _reported(store, TEXT_NAME, "was made from another captions", decode=False)


def test_a_folder_of_two_hashes_is_reported(store: Store) -> None:
    write_stage(store, f"text/{LAYER}", StageMark("rewrite", "another"))
    _reported(store, TEXT_NAME, "made with other settings", decode=False)


def test_a_key_in_two_shards_is_reported(store: Store, tmp_path: Path) -> None:
    def change(rows: list[Any]) -> None:
        other = read_table(store, "media/0000001.parquet").to_pylist()[0]
        rows[0]["key"] = other["key"]

    _recommit(store, tmp_path, MEDIA, change)
    _reported(store, MEDIA, "is in another shard, too", decode=False)
    _reported(store, "media/0000001.parquet", "is in another shard, too", decode=False)


def test_an_index_of_other_media_is_reported(store: Store, tmp_path: Path) -> None:
    add_shard(store, tmp_path, 1, videos=1)
    _reported(store, "index.parquet", "does not agree with the media of shard 1", decode=False)


def _retar(store: Store, name: str, tmp_path: Path, change: Change) -> None:
    """Write a tar anew with other members and make its shard's record agree with it."""
    found = [(member.name, read_span(store, name, member.offset, member.size)) for member in members(store, name)]
    change(found)
    with TarWriter(tmp_path / "new.tar") as tar:
        spans = {member: tar.add(member, data) for member, data in found}
    artifact = read_artifact(store, MEDIA)
    rows = read_table(store, MEDIA).to_pylist()
    for row in rows if name == ROOTS else []:
        span = spans.get(f"{row['root_key']}.mp4")
        if span is not None:
            row.update(byte_offset=span.offset, byte_size=span.size)
    store.commit(tar.path, name)
    table = pa.Table.from_pylist(rows, schema=CLIPS)
    files = {**artifact.files, name: tar.fact}
    record = writer.replace(artifact, files=files, digest=writer.media_digest(table, files))
    writer._commit(store, tmp_path, MEDIA, table, record)


def _video(data: bytes) -> Change:
    def change(found: list[Any]) -> None:
        found[0] = (found[0][0], data)

    return change


def _facts(**changed: Any) -> Change:
    def change(found: list[Any]) -> None:
        found[1] = (found[1][0], json.dumps({**json.loads(found[1][1]), **changed}).encode())

    return change


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_video(b"not a video" * 50), "don't decode"),
        (_video(encode_root(40)), "40 frames decode"),
        (_video(encode_root(194, 66, 48)), "is 66x48"),
        (_video(encode_root(194)[:9000]), "decode"),
        (_facts(start=99.0), "start"),
        (_facts(key="what"), "key"),
        (_facts(num_frames=1), "num_frames"),
        (lambda found: found.__setitem__(1, (found[1][0], b"{")), "unreadable"),
        (lambda found: found.pop(1), "has the members ['mp4']"),
        (lambda found: found.append(found.pop(1)), "not contiguous"),
        (lambda found: found.append(("0000000000000000_000000000_000001000.mp4", b"x")), "bytes without a row"),
    ],
    ids=["noise", "frames", "size", "cut", "fact", "key", "count", "json", "no json", "apart", "stray"],
)
def test_roots_that_are_not_what_their_rows_say_are_reported(
    store: Store, tmp_path: Path, change: Change, words: str
) -> None:
    _retar(store, ROOTS, tmp_path, change)
    _reported(store, ROOTS, words)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda found: found.append(("what.jpg", b"x")), "is not named"),
        (lambda found: found.append(found[0]), "is there twice"),
        (lambda found: found.__setitem__(0, (found[0][0], b"not a picture")), "does not decode"),
        (lambda found: found.append((found[0][0].partition(".")[0] + ".999000.jpg", found[0][1])), "is outside it"),
        (lambda found: found.append(("0" * 16 + "_000000000_000001000.5.jpg", found[0][1])), "no root of this shard"),
        (lambda found: found.clear(), "has no keyframe"),
    ],
    ids=["name", "twice", "noise", "time", "stray", "none"],
)
def test_keyframes_that_are_not_what_they_should_be_are_reported(
    store: Store, tmp_path: Path, change: Change, words: str
) -> None:
    _retar(store, STILLS, tmp_path, change)
    _reported(store, STILLS, words)


def test_of_a_file_with_many_problems_the_first_are_listed_and_the_rest_counted(store: Store, tmp_path: Path) -> None:
    def change(rows: list[Any]) -> None:
        for row in rows:
            row.update(shard=9, motion=2.0, speech_seconds=-1.0)

    _recommit(store, tmp_path, MEDIA, change)
    found = [problem.what for problem in check(store, decode=False) if problem.where == MEDIA]
    assert len(found) <= 22
    assert any(what.startswith("and ") and "more like these" in what for what in found)


@pytest.mark.parametrize("name", [*SCHEMAS, "index.parquet"])
def test_a_table_with_other_columns_is_reported(store: Store, name: str) -> None:
    metadata = pq.read_schema(store.path(name)).metadata
    pq.write_table(pa.table({"a": [1]}).replace_schema_metadata(metadata), store.path(name))
    _reported(store, name, "columns are not those of the schema", decode=False)
