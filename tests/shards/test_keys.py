"""Keys of clips: video, times, and the number of the source where several cover the same time."""

import pytest

from shards.keys import ClipKey, clip_key, split_of

VIDEO = "0123456789abcdef"


@pytest.mark.parametrize(("overlap", "end"), [(1, ""), (2, "_2"), (10, "_10")])
def test_a_key_names_video_times_and_number(overlap: int, end: str) -> None:
    key = clip_key(VIDEO, 3.0, 7.0005, overlap)
    assert key == f"{VIDEO}_000003000_000007000{end}"
    assert "." not in key
    assert ClipKey.parse(key) == ClipKey(VIDEO, 3000, 7000, overlap)


@pytest.mark.parametrize("end", ["_", "_0", "_1", "_02", "_x", "_2_2"])
def test_other_endings_are_no_key(end: str) -> None:
    with pytest.raises(ValueError, match="is not a clip key"):
        ClipKey.parse(f"{VIDEO}_000003000_000007000{end}")


def test_all_clips_of_a_video_are_in_one_split_whatever_their_source() -> None:
    keys = [clip_key(VIDEO, start, start + 4, overlap) for start in range(9) for overlap in (1, 2)]
    assert len({split_of(ClipKey.parse(key).video_id, 50) for key in keys}) == 1
