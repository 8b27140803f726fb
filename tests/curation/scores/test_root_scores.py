"""One decode for all scores of a root: who sees which frames, and what becomes of a scorer that fails."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from support.scored_videos import FPS, clip_row, flat, named, scores_of, video_of

from curation.scores.root_frames import Frame, FrameTimeline, UndecodableRoot, root_frames
from curation.scores.root_scores import NamedScorer, complete
from curation.scores.scorer import Sampling, ScoreColumn, ScoredClip, Scorer, ShardRows, Value, VectorColumn
from runtime.errors import MachineError

CLIPS = [clip_row(0, 4), clip_row(0, 2, parent="clip_0_4"), clip_row(2, 4, parent="clip_0_4")]


class Watching(Scorer[float]):
    """Gives each clip the times of its frames."""

    def __init__(self, sampling: Sampling | None) -> None:
        self.sampling = sampling
        self.pairs: list[tuple[float | None, float]] = []

    def measure(self, frames: Sequence[Frame], before: Frame | None) -> Sequence[float]:
        self.pairs += [
            (one and one.time, frame.time) for one, frame in zip([before, *frames[:-1]], frames, strict=True)
        ]
        return [frame.time for frame in frames]

    def score(self, clip: ScoredClip[float]) -> Mapping[str, Value]:
        return {"seen": [time for time, _ in clip.measures]}


class Giving(Scorer[float]):
    """Gives a value to every clip, or raises it."""

    def __init__(self, value: Value) -> None:
        self._value = value

    def score(self, clip: ScoredClip[float]) -> Mapping[str, Value]:
        if isinstance(self._value, Exception):
            raise self._value
        return {"given": self._value}


def watching(sampling: Sampling | None) -> NamedScorer:
    return NamedScorer("watching", [ScoreColumn("seen", "times")], Watching(sampling))


def giving(value: Value) -> NamedScorer:
    return NamedScorer("giving", [ScoreColumn("given", "a value")], Giving(value))


@pytest.fixture(scope="module")
def data() -> bytes:
    """Four seconds of video; frame n has a brightness of 7n."""
    return video_of([flat(7 * number) for number in range(4 * FPS)])


def test_a_clip_gets_the_frames_that_are_shown_in_it(data: bytes) -> None:
    rows = scores_of(watching(Sampling(2)), data, CLIPS)
    assert [row["seen"] for row in rows] == [
        [0, 0.5, 1, 1.5, 2, 2.5, 3, 3.5],
        [0, 0.5, 1, 1.5],
        [2, 2.5, 3, 3.5],
    ]


def test_a_clip_between_two_sampled_frames_gets_the_one_that_is_still_shown(data: bytes) -> None:
    (row,) = scores_of(watching(Sampling(1)), data, [clip_row(1.25, 1.75)])
    assert row["seen"] == [1]


@pytest.mark.parametrize("rate", [0.5, 1, 3, 8, 60])
def test_what_a_scorer_sees_does_not_depend_on_the_others(data: bytes, rate: float) -> None:
    def lumas(samplings: Mapping[str, Sampling]) -> list[float]:
        seen = root_frames(data, samplings)
        return [float(part.frames[at].luma.mean()) for part in seen for at in part.wanted["a"]]

    alone = lumas({"a": Sampling(rate)})
    assert alone == lumas({"a": Sampling(rate), "b": Sampling(8), "c": Sampling(1, and_after=2)})
    assert len(alone) == {0.5: 2, 1: 4, 3: 12, 8: 32, 60: 32}[rate]


def test_the_right_frames_are_decoded(data: bytes) -> None:
    for part in root_frames(data, {"a": Sampling(3)}):
        for frame in part.frames:
            assert frame.luma.mean() == pytest.approx(7 * round(frame.time * FPS), abs=3)


def test_keyframes_alone_are_taken_up_to_one_frame_a_second() -> None:
    timeline = FrameTimeline([number / 8 for number in range(24)], [0, 5, 13, 21])
    assert timeline.sampled(Sampling(1)) == [0, 5, 13]
    assert timeline.sampled(Sampling(1, and_after=2)) == [0, 2, 5, 7, 13, 15]
    assert timeline.sampled(Sampling(2)) == [0, 4, 8, 12, 16, 20]
    assert FrameTimeline([], []).sampled(Sampling(1)) == []


def test_the_frame_before_is_handed_over_from_one_part_to_the_next() -> None:
    long = video_of([flat(50, 64, 48)] * 120)
    scorer = watching(Sampling(8))
    scores_of(scorer, long, [clip_row(0, 15)])
    pairs = scorer.scorer.pairs  # type: ignore[attr-defined]
    assert len(pairs) == 120 and pairs[0] == (None, 0)
    assert all(after - before == pytest.approx(1 / FPS) for before, after in pairs[1:])


@pytest.mark.parametrize("value", [RuntimeError("broken"), KeyError("bug"), float("nan"), float("inf")])
def test_a_scorer_that_raises_or_gives_no_number_gives_nulls_and_a_count_and_leaves_the_others_alone(
    data: bytes, value: Value
) -> None:
    counts: Counter[str] = Counter()
    rows = scores_of([giving(value), named("brightness")], data, CLIPS, counts=counts)
    assert [row["given"] for row in rows] == [None] * 3
    assert all(row["brightness"] > 0 for row in rows)
    assert counts == {"failed:giving": 3}


def test_a_scorer_that_fails_on_a_frame_gives_nulls_for_that_root(data: bytes) -> None:
    class Failing(Watching):
        def measure(self, frames: Sequence[Frame], before: Frame | None) -> Sequence[float]:
            raise ValueError("no such picture")

    counts: Counter[str] = Counter()
    failing = NamedScorer("failing", [ScoreColumn("seen", "times")], Failing(Sampling(1)))
    rows = scores_of([failing, named("brightness")], data, CLIPS, counts=counts)
    assert [row["seen"] for row in rows] == [None] * 3 and rows[0]["brightness"] is not None
    assert counts == {"failed:failing": 3}


def test_a_null_with_a_reason_is_no_failure() -> None:
    counts: Counter[str] = Counter()
    assert scores_of(giving(None), b"", CLIPS, counts=counts) == [{"given": None}] * 3
    assert counts.total() == 0


def test_a_fault_of_the_machine_ends_the_run() -> None:
    with pytest.raises(MachineError):
        scores_of(giving(MachineError("GPU lost")), b"", CLIPS)


@pytest.mark.parametrize("damaged", [b"", b"not a video at all", b"\0" * 4096])
def test_a_root_that_does_not_decode_has_null_picture_scores_and_one_count(damaged: bytes) -> None:
    counts: Counter[str] = Counter()
    rows = scores_of([named("brightness"), giving(1.0)], damaged, CLIPS, counts=counts)
    assert rows == [{"brightness": None, "given": 1.0}] * 3
    assert counts == {"failed:decode": 3}


def test_a_root_that_is_cut_short_is_scored_by_what_decodes(data: bytes) -> None:
    (row,) = scores_of(named("brightness"), data[: len(data) * 3 // 4], [clip_row(0, 4)])
    assert row["brightness"] is not None


def test_no_video_is_read_if_no_score_looks_at_frames() -> None:
    def unread() -> bytes:
        raise AssertionError

    assert scores_of(giving(2.0), b"", CLIPS) == [{"given": 2.0}] * 3
    with pytest.raises(UndecodableRoot):
        list(root_frames(b"", {"a": Sampling(1)}))


@pytest.mark.parametrize(("vector", "kept"), [(np.ones(3), True), (np.array([1, np.nan, 1]), False), (None, False)])
def test_a_vector_with_nan_becomes_none(vector: Any, kept: bool) -> None:
    scorer = NamedScorer("giving", [VectorColumn("given", "a vector", "path:///m")], Giving(vector))
    counts: Counter[str] = Counter()
    (row,) = scores_of(scorer, b"", [clip_row()], counts=counts)
    assert (row["given"] is not None) == kept
    assert counts["failed:giving"] == (vector is not None and not kept)


def test_a_scorer_may_compare_all_clips_of_a_shard() -> None:
    class Ranking(Giving):
        def complete(self, rows: Sequence[Mapping[str, Value]], shard: ShardRows) -> Sequence[Mapping[str, Value]]:
            return [{"given": float(place)} for place, _ in enumerate(rows)]

    ranking = NamedScorer("giving", [ScoreColumn("given", "a rank")], Ranking(1.0))
    rows = [{"given": 5.0, "other": 1.0}, {"given": 4.0, "other": 1.0}]
    assert complete(ranking, rows, ShardRows([], {}), Counter()) == [{"given": 0.0}, {"given": 1.0}]


def test_a_scorer_that_fails_on_a_shard_gives_nulls() -> None:
    class Raising(Giving):
        def complete(self, rows: Sequence[Mapping[str, Value]], shard: ShardRows) -> Sequence[Mapping[str, Value]]:
            raise ZeroDivisionError

    counts: Counter[str] = Counter()
    raising = NamedScorer("giving", [ScoreColumn("given", "a rank")], Raising(1.0))
    assert complete(raising, [{"given": 5.0}], ShardRows([], {}), counts) == [{"given": None}]
    assert counts == {"failed:giving": 1}
