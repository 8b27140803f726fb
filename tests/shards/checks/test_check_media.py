import json
from pathlib import Path
from typing import Any

import pytest
from support.damaged_dirs import (
    ROOTS,
    STILLS,
    Change,
    assert_reported,
    rewrite_tar,
)
from support.shard_factory import encode_root

from shards.storage.store import Store


@pytest.mark.parametrize("name", [ROOTS, STILLS])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.6, 0.8])
def test_a_flipped_bit_anywhere_in_a_tar_is_reported(store: Store, name: str, share: float) -> None:
    data = bytearray(store.read_bytes(name))
    data[int(share * len(data)) + 20] ^= 1
    store.commit_bytes(bytes(data), name)
    assert_reported(store, name, "SHA-256 differs", decode=False)


@pytest.mark.parametrize("name", [ROOTS, STILLS])
def test_a_tar_that_is_gone_or_cut_short_is_reported(store: Store, name: str) -> None:
    data = store.read_bytes(name)
    store.commit_bytes(data[:5000], name)
    assert_reported(store, name, "has 5000 bytes, was committed with")
    assert_reported(store, name, "cut short")
    store.delete(name)
    assert_reported(store, name, "is missing")


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
def test_roots_that_differ_from_their_rows_are_reported(
    store: Store, tmp_path: Path, change: Change, words: str
) -> None:
    rewrite_tar(store, ROOTS, tmp_path, change)
    assert_reported(store, ROOTS, words)


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
def test_wrong_keyframes_are_reported(store: Store, tmp_path: Path, change: Change, words: str) -> None:
    rewrite_tar(store, STILLS, tmp_path, change)
    assert_reported(store, STILLS, words)
