"""The generated clips: captions are right, twins share their frames, and nothing held out is trained on."""

from __future__ import annotations

import numpy as np
import pytest

from bench.learns.queries import CONTEXT, CONTROL, FRAMES, QUERIES, TIMED, draw_pair, draw_split, tokenize, vocabulary
from bench.learns.things import COLOURS, SHAPES, SIZE, THINGS, Thing
from bench.learns.training import draw_batch, held_out_pairs

SQUARES = Thing("red", "square"), Thing("blue", "square")


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def coloured(frames_TSSC: np.ndarray, colour: str) -> np.ndarray:
    """Return the frames in which some pixel is far nearer to this colour than to grey: bool [T]."""
    channel = int(np.argmax(COLOURS[colour]))
    others = [number for number in range(3) if number != channel]
    pixels = frames_TSSC.astype(int)
    return (pixels[..., channel] - pixels[..., others].max(-1) > 90).sum((1, 2)) > 20


@pytest.mark.parametrize("query", TIMED)
def test_twins_are_the_same_frames_in_another_order_with_another_caption(query: str) -> None:
    for seed in range(10):
        first, second = draw_pair(query, SQUARES, rng(seed))
        bags = [sorted(frame.tobytes() for frame in clip.frames_TSSC) for clip in (first, second)]
        assert bags[0] == bags[1]
        assert (first.frames_TSSC != second.frames_TSSC).any()
        assert first.caption != second.caption


@pytest.mark.parametrize("distance", [1, 4, 16, 28])
def test_the_first_thing_of_an_order_caption_appears_so_many_frames_before_the_second(distance: int) -> None:
    for seed in range(20):
        for clip in draw_pair(f"order-{distance}", SQUARES, rng(seed)):
            before = clip.caption.split(" before ")
            shown = [longest_run(coloured(clip.frames_TSSC, thing.split()[0])) for thing in before]
            assert shown[1] - shown[0] == distance


def longest_run(seen_T: np.ndarray) -> int:
    """Return where four frames in a row begin; a distractor of the same colour lasts for one frame."""
    starts = [t for t in range(FRAMES - 3) if seen_T[t : t + 4].all()]
    return starts[0] if seen_T[:4].all() or len(starts) == 1 else next(t for t in starts if not seen_T[t - 1])


def test_a_blink_is_dark_for_one_frame_within_the_lit_ones_and_its_twin_is_not() -> None:
    for seed in range(20):
        blinks, shines = draw_pair("blink", (Thing("green", "square"),), rng(seed))
        assert blinks.caption == "green square blinks" and shines.caption == "green square shines"
        cells = [blinks.frames_TSSC[:, y : y + 8, x : x + 8] for y in (0, 8) for x in (0, 8)]
        number = int(np.argmax([coloured(cell, "green").sum() for cell in cells]))
        top, left = 8 * (number // 2), 8 * (number % 2)
        for clip, longest in ((blinks, False), (shines, True)):
            lit = np.flatnonzero(coloured(clip.frames_TSSC[:, top : top + 8, left : left + 8], "green")).tolist()
            assert len(lit) == 7
            assert (lit[-1] - lit[0] == 6) == longest


def test_what_brightens_is_brighter_at_the_end_and_its_twin_at_the_start() -> None:
    brightens, fades = draw_pair("drift", (Thing("red", "square"),), rng(3))
    assert brightens.caption == "red square brightens" and fades.caption == "red square fades"
    rises = [clip.frames_TSSC[16:, ..., 0].mean() - clip.frames_TSSC[:16, ..., 0].mean() for clip in (brightens, fades)]
    assert rises[0] > 2 and rises[1] < -2


def test_the_control_shows_its_thing_on_the_side_that_its_caption_names() -> None:
    for seed in range(10):
        left, right = draw_pair(CONTROL, (Thing("blue", "square"),), rng(seed))
        assert left.caption == "blue square rests left" and right.caption == "blue square rests right"
        half = SIZE // 2
        for clip, near in ((left, slice(0, half)), (right, slice(half, SIZE))):
            far = slice(half, SIZE) if near.start == 0 else slice(0, half)
            blue = clip.frames_TSSC[..., 2].mean((0, 1))
            assert blue[near].mean() > blue[far].mean() + 20


def test_nothing_held_out_is_in_a_training_batch() -> None:
    split = draw_split(rng(1))
    held_out = {caption for query in QUERIES for caption in captions_of(split.held_out[query], query)}
    trained = {clip.caption for seed in range(15) for clip in draw_batch(split, 12, rng(seed))}
    assert not held_out & trained
    tested = {clip.caption for query in QUERIES for pair in held_out_pairs(split, query, 16, rng(2)) for clip in pair}
    assert tested <= held_out


def captions_of(combinations: object, query: str) -> set[str]:
    return {clip.caption for each in combinations for seed in range(4) for clip in draw_pair(query, each, rng(seed))}


def test_held_out_combinations_differ_by_seed_and_leave_each_thing_in_training() -> None:
    splits = [draw_split(rng(seed)) for seed in range(5)]
    assert len({tuple(split.held_out["blink"]) for split in splits}) > 1
    for split in splits:
        assert len(split.held_out["order-1"]) == 9 and len(split.trained["order-1"]) == 27
        assert split.held_out["order-1"] == split.held_out["order-28"]
        assert {thing for pair in split.trained["order-1"] for thing in pair} == set(THINGS)


def test_four_test_pairs_in_a_row_are_of_different_combinations() -> None:
    split = draw_split(rng(1))
    for query in QUERIES:
        pairs = held_out_pairs(split, query, 8, rng(4))
        assert len(pairs) == 8
        for start in (0, 4):
            captions = [clip.caption for pair in pairs[start : start + 4] for clip in pair]
            assert len(set(captions)) == 8


def test_clips_have_32_frames_and_the_same_generator_gives_the_same_ones() -> None:
    for query in QUERIES:
        first, again = (draw_pair(query, SQUARES, rng(7))[0] for _ in range(2))
        assert first.frames_TSSC.shape == (FRAMES, SIZE, SIZE, 3)
        assert (first.frames_TSSC == again.frames_TSSC).all()


def test_every_clip_has_a_distractor_that_its_caption_does_not_name() -> None:
    query, thing = "drift", Thing("red", "square")
    strange = 0
    for seed in range(40):
        frames = draw_pair(query, (thing,), rng(seed))[0].frames_TSSC
        strange += max(coloured(frames, colour).sum() for colour in ("green", "blue")) == 1
    assert strange > 10


def test_the_end_token_is_the_highest_and_follows_the_words() -> None:
    tokens = tokenize(["red ring before blue bars", "red ring blinks"])
    assert tokens.shape == (2, CONTEXT)
    assert tokens.argmax(1).tolist() == [5, 3]
    assert tokens.max() == len(vocabulary()) + 1
    assert set(SHAPES) < set(vocabulary())
