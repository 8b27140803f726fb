"""Keyframes: about one every ten seconds, one for each smallest clip, near its middle."""

from dataclasses import dataclass
from pathlib import Path

from curation.media.clips.keyframe_choice import choose_keyframes
from curation.media.picture.encoded_video import CandidateStill


@dataclass(frozen=True)
class Node:
    start: float
    end: float
    children: tuple["Node", ...] = ()


def _grid(end: float, step: float = 2.0) -> list[CandidateStill]:
    return [CandidateStill(i * step, Path(f"{i}.jpg")) for i in range(int(end / step))]


def _times(root: Node, stills: list[CandidateStill], per_second: float = 0.1) -> list[float]:
    return [still.time for still in choose_keyframes(root, stills, per_second)]


def test_each_smallest_clip_has_the_still_nearest_to_its_middle() -> None:
    root = Node(0, 30, (Node(0, 12), Node(12, 20), Node(20, 30)))
    assert _times(root, _grid(40)) == [6, 16, 24]


def test_long_clips_without_children_have_one_every_ten_seconds() -> None:
    assert _times(Node(0, 60), _grid(60)) == [4, 14, 24, 34, 44, 54]


def test_levels_between_do_not_count() -> None:
    root = Node(0, 40, (Node(0, 20, (Node(0, 10), Node(10, 20))), Node(20, 40)))
    assert _times(root, _grid(40)) == [4, 14, 24, 34]


def test_stills_come_from_inside_the_clip() -> None:
    assert _times(Node(9.0, 10.5), _grid(40, 5.0)) == [10.0]


def test_a_clip_between_two_stills_takes_the_nearer_one() -> None:
    assert _times(Node(10.5, 11.7), _grid(40, 5.0)) == [10.0]


def test_no_still_is_taken_twice() -> None:
    assert _times(Node(0, 2, (Node(0, 1), Node(1, 2))), _grid(2, 2.0)) == [0]


def test_without_stills_there_are_no_keyframes() -> None:
    assert _times(Node(0, 60), []) == []
