from itertools import pairwise

import numpy as np
import pytest

from bench.learns_data import (
    ALL_KINDS,
    KINDS,
    SHAPES,
    SIZE,
    SPRITE,
    THINGS,
    TWINS,
    Scene,
    Thing,
    clips_of,
    course,
    draw_root,
    draw_things,
    gallery,
    held_out,
    held_out_pairs,
    order_clip,
    render,
    tokenize,
    vocabulary,
)


def bag(does: str) -> list[tuple[float, ...]]:
    way = course(does, np.random.default_rng(5))
    return sorted(zip(way.column_T.tolist(), way.row_T.tolist(), way.light_T.tolist(), strict=True))


def roots(count: int) -> list[tuple[Scene, ...]]:
    rng = np.random.default_rng(0)
    return [draw_root(THINGS, rng) for _ in range(count)]


@pytest.mark.parametrize("does", TWINS)
def test_twins_are_the_same_frames_in_another_order(does: str) -> None:
    assert bag(does) == bag(TWINS[does])
    first, second = (course(name, np.random.default_rng(5)) for name in (does, TWINS[does]))
    assert any((getattr(first, name) != getattr(second, name)).any() for name in ("column_T", "row_T", "light_T"))


def test_an_order_clip_shows_the_first_scene_first() -> None:
    red, blue = (Scene("rest", Thing(colour, "ring"), "rests at the top") for colour in ("red", "blue"))
    for first, second, channels in ((red, blue, (0, 2)), (blue, red, (2, 0))):
        clip = order_clip(first, second, 0, 50, np.random.default_rng(0))
        means_TC = clip.frames_TSSC.mean((1, 2))
        assert means_TC.argmax(1).tolist() == [channels[0]] * 6 + [channels[1]] * 6
        assert clip.caption == f"{first.thing} then {second.thing}"
        assert clip.twin == f"{second.thing} then {first.thing}"


def test_every_kind_of_time_has_captions_with_twins_and_the_control_has_none() -> None:
    assert {kind for kind in KINDS if all(does in TWINS for does in KINDS[kind])} == {"direction", "speed", "scale"}
    assert not any(does in TWINS for does in KINDS["rest"])


def test_a_blink_falls_on_frames_that_higher_levels_do_not_see() -> None:
    for seed in range(20):
        light_T = course("blinks", np.random.default_rng(seed)).light_T
        assert (light_T[::2] < 1).all()
        assert (light_T[1::2] == 1).sum() == 3


def test_training_roots_hold_one_scene_of_each_kind_and_nothing_held_out() -> None:
    forbidden = {frozenset(pair) for pair in held_out_pairs()}
    for root in roots(500):
        assert {scene.kind for scene in root} == set(KINDS)
        assert all(scene.thing not in held_out(scene.kind) for scene in root)
        assert not any(frozenset((a.thing, b.thing)) in forbidden for a, b in pairwise(root))


def test_everything_that_is_not_held_out_occurs_in_training() -> None:
    seen = {(scene.kind, scene.thing, scene.does) for root in roots(4000) for scene in root}
    assert len(seen) == 4 * 12 * 4


def test_five_things_are_enough_for_a_root() -> None:
    rng = np.random.default_rng(6)
    for _ in range(200):
        things = draw_things(5, rng)
        assert len(set(things)) == 5
        assert {scene.thing for scene in draw_root(things, rng)} <= set(things)


def test_held_out_things_need_both_colour_and_shape_and_each_alone_is_trained() -> None:
    for kind in KINDS:
        things = set(held_out(kind))
        rest = set(THINGS) - things
        assert len(things) == 4
        assert {thing.colour for thing in things} <= {thing.colour for thing in rest}
        assert {thing.shape for thing in things} <= {thing.shape for thing in rest}
        assert all(any(o != t and o.colour == t.colour for o in things) for t in things)
        assert all(any(o != t and o.shape == t.shape for o in things) for t in things)


def test_every_thing_is_held_out_beside_one_other() -> None:
    assert sorted(map(str, sum(held_out_pairs(), ()))) == sorted(map(str, THINGS))


@pytest.mark.parametrize("kind", ALL_KINDS)
def test_a_gallery_has_16_captions_each_with_its_twin(kind: str) -> None:
    clips = gallery(kind, np.random.default_rng(1))
    captions = {clip.caption for clip in clips}
    assert len(captions) == len(clips) == 16
    assert all(clip.twin is None if kind == "rest" else clip.twin in captions for clip in clips)


def test_no_caption_of_a_gallery_occurs_in_training() -> None:
    rng = np.random.default_rng(2)
    trained = {clip.caption for root in roots(500) for clip in clips_of(root, 5, rng)}
    assert not any(clip.caption in trained for kind in ALL_KINDS for clip in gallery(kind, rng))


def test_clips_of_a_root_are_different_and_lie_in_it() -> None:
    clips = clips_of(roots(1)[0], 5, np.random.default_rng(3))
    assert sorted(clip.end - clip.start for clip in clips) == [1, 1, 1, 1, 2]
    assert {clip.kind for clip in clips} == set(ALL_KINDS)
    assert all(0 <= clip.start < clip.end <= 4 for clip in clips)
    assert all(clip.frames_TSSC.shape == (12, SIZE, SIZE, 3) for clip in clips)


def test_the_same_generator_gives_the_same_clips() -> None:
    first, second = (clips_of(roots(1)[0], 3, np.random.default_rng(4)) for _ in range(2))
    assert [clip.caption for clip in first] == [clip.caption for clip in second]
    assert all((a.frames_TSSC == b.frames_TSSC).all() for a, b in zip(first, second, strict=True))


def test_a_thing_that_moves_left_starts_on_the_right() -> None:
    frames = render(Scene("direction", Thing("yellow", "square"), "moves left"), 40, np.random.default_rng(0))
    assert (frames[0, :, SIZE - SPRITE :] == 230).any() and not (frames[0, :, : SIZE - SPRITE] == 230).any()
    assert (frames[-1, :, :SPRITE] == 230).any() and not (frames[-1, :, SPRITE:] == 230).any()


def test_shapes_look_different() -> None:
    rng = [np.random.default_rng(0) for _ in SHAPES]
    frames = [render(Scene("scale", Thing("red", s), "fades"), 40, r)[0] for s, r in zip(SHAPES, rng, strict=True)]
    assert all((a != b).any() for n, a in enumerate(frames) for b in frames[:n])


def test_the_end_token_is_the_highest_and_follows_the_words() -> None:
    tokens = tokenize(["red ring then blue cross", "red ring blinks"], 8)
    assert tokens.argmax(1).tolist() == [5, 3]
    assert tokens.max() == len(vocabulary()) + 1
    assert tokens[1, 4:].tolist() == [0, 0, 0, 0]
