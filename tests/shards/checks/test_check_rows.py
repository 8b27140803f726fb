from pathlib import Path
from typing import Any

import pytest
from support.damaged_dirs import (
    CAPTIONS_NAME,
    LEDGER_NAME,
    MEDIA,
    ROOTS,
    TEXT_NAME,
    Change,
    assert_reported,
    recommit_table,
    setting,
)

from shards.storage.store import Store


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
    recommit_table(store, tmp_path, MEDIA, setting(column, value, of=row))
    assert_reported(store, where, words)


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
    recommit_table(store, tmp_path, MEDIA, change)
    assert_reported(store, MEDIA, words, decode=False)


def test_a_clip_with_another_number_than_its_root_is_reported(store: Store, tmp_path: Path) -> None:
    def change(rows: list[Any]) -> None:
        rows[1]["key"] += "_2"

    recommit_table(store, tmp_path, MEDIA, change)
    assert_reported(store, MEDIA, "the key is not that of its video", decode=False)


def test_roots_of_one_video_that_overlap_are_reported(store: Store, tmp_path: Path) -> None:
    def change(rows: list[Any]) -> None:
        later = next(row for row in rows[1:] if row["parent_key"] is None)
        later["start"] -= 2

    recommit_table(store, tmp_path, MEDIA, change)
    assert_reported(store, MEDIA, "overlaps the root", decode=False)


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
        ("grounding_score", 1.5, "grounding_score"),
        ("rewrite_status", "fallback", "grounding_score"),
        ("rewrite_status", "abstained", "although the model abstained"),
        ("frame_captions", [{"time": 999.0, "text": "x"}], "is outside the clip"),
    ],
)
def test_a_wrong_value_in_the_texts_is_reported(
    store: Store, tmp_path: Path, column: str, value: Any, words: str
) -> None:
    recommit_table(store, tmp_path, TEXT_NAME, setting(column, value))
    assert_reported(store, TEXT_NAME, words, decode=False)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (setting("root_key", "what"), "is no root"),
        (setting("start", 1.0), "has no keyframe"),
        (setting("start", 1.0), "keyframes have no row"),
        (setting("end", 1000.0), "is outside it"),
        (setting("end", 0.0), "is outside it"),
        (setting("kind", "rumour"), "kind 'rumour'"),
        (setting("confidence", 2.0), "confidence"),
        (setting("share", -0.1), "share"),
        (lambda rows: rows.append(rows[0]), "2 captions"),
    ],
    ids=["root", "time", "missing", "late", "backwards", "kind", "confidence", "share", "twice"],
)
def test_wrong_captions_are_reported(store: Store, tmp_path: Path, change: Change, words: str) -> None:
    recommit_table(store, tmp_path, CAPTIONS_NAME, change)
    assert_reported(store, CAPTIONS_NAME, words, decode=False)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (setting("source", "elsewhere"), "is not in the ledger"),
        (setting("source", "elsewhere"), "not so in the table of sources"),
        (setting("attempt", 2), "is not in the ledger"),
        (setting("clips", 1), "the ledger counts 1 clips"),
        (setting("state", "gone"), "is none of written"),
        (setting("state", "failed"), "does not belong to state failed"),
        (setting("class", "network"), "does not belong to state written"),
        (setting("clips", 3, of=-1), "state failed with 3 clips"),
        (lambda rows: rows.pop(), "is not in the ledger"),
        (lambda rows: rows.append(rows[0]), "not so in the table of sources"),
    ],
)
def test_a_wrong_ledger_is_reported(store: Store, tmp_path: Path, change: Change, words: str) -> None:
    recommit_table(store, tmp_path, LEDGER_NAME, change)
    assert_reported(store, LEDGER_NAME, words, decode=False)
