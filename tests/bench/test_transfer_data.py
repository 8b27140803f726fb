from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from bench.transfer_data import (
    DIRECTIONS,
    LOOKS,
    MASK,
    SCENE_ROWS,
    SENTENCE,
    WIDTH,
    Scene,
    World,
    caption,
    corpus,
    draw_scene,
    features,
    make_world,
    questions,
    sightings,
    vocabulary,
)
from bench.transfer_shards import NAME, SCENE_SECONDS, write_videos
from training.vidlankd.teacher.clip_text_batches import open_source
from training.vidlankd.teacher.feature_choice import open_features
from training.vidlankd.vidlankd_settings import ClipTextSettings

ALL_LOOKS = {word for words in LOOKS.values() for word in words}


@pytest.fixture
def world() -> World:
    return make_world(0)


def captions_of(world: World, leak: float = 0.0, count: int = 2000) -> list[tuple[Scene, str]]:
    rng = np.random.default_rng(3)
    scenes = [draw_scene(world, rng) for _ in range(count)]
    return [(scene, caption(scene, rng, leak)) for scene in scenes]


def test_every_combination_of_looks_is_named_by_one_noun(world: World) -> None:
    assert len({thing.noun for thing in world.things}) == len(world.things) == 64
    assert len({tuple(thing.look(name) for name in LOOKS) for thing in world.things}) == 64


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("name", LOOKS)
def test_each_look_is_about_as_frequent_among_held_out_nouns(seed: int, name: str) -> None:
    world = make_world(seed)
    assert len(world.held_out) in (21, 22)
    assert set(Counter(thing.look(name) for thing in world.held_out).values()) <= {5, 6}


def test_another_seed_names_other_things(world: World) -> None:
    assert [thing.noun for thing in world.things] != [thing.noun for thing in make_world(1).things]


def test_captions_state_no_look(world: World) -> None:
    assert not any(ALL_LOOKS & set(text.split()) for _, text in captions_of(world))


def test_with_a_leak_captions_state_colours_of_stated_nouns_only(world: World) -> None:
    leaked = [(scene.thing, text) for scene, text in captions_of(world, leak=0.3) if ALL_LOOKS & set(text.split())]
    assert 0.15 < len(leaked) / 2000 < 0.25
    assert all(not thing.held_out and thing.colour in text.split() for thing, text in leaked)


def test_the_corpus_states_the_looks_of_stated_nouns_only_and_mentions_all_nouns(world: World) -> None:
    sentences = [set(text.split()) for text in corpus(world, 5000, np.random.default_rng(0))]
    stated = set().union(*(words for words in sentences if words & ALL_LOOKS))
    assert stated >= {thing.noun for thing in world.stated}
    assert not stated & {thing.noun for thing in world.held_out}
    assert set().union(*sentences) >= {thing.noun for thing in world.things}


def test_what_the_corpus_states_is_true(world: World) -> None:
    looks = {thing.noun: {thing.look(name) for name in LOOKS} for thing in world.things}
    for text in corpus(world, 2000, np.random.default_rng(0), state_all=True):
        words = set(text.split())
        noun = (words & looks.keys()).pop()
        assert words & ALL_LOOKS <= looks[noun]


def test_a_corpus_that_states_all_includes_looks_of_held_out_nouns_too(world: World) -> None:
    sentences = [set(text.split()) for text in corpus(world, 5000, np.random.default_rng(0), state_all=True)]
    stated = set().union(*(words for words in sentences if words & ALL_LOOKS))
    assert stated >= {thing.noun for thing in world.things}


def test_all_sentences_are_of_one_length_and_in_the_vocabulary(world: World) -> None:
    known = set(vocabulary())
    texts = [*corpus(world, 1000, np.random.default_rng(0)), *(text for _, text in captions_of(world, count=500))]
    for text in texts:
        assert len(f"{text} .".split()) == SENTENCE
        assert set(f"{text} .".split()) <= known


def test_a_question_leaves_the_look_out(world: World) -> None:
    asked = questions(world.held_out)
    assert len(asked) == len(world.held_out) * 2 * len(LOOKS)
    for question in asked:
        words = set(question.text.split())
        assert MASK in words and question.thing.noun in words and not words & ALL_LOOKS
        assert question.answer in LOOKS[question.property_]


def test_a_linear_probe_reads_nouns_in_plain_sentences(world: World) -> None:
    thing = world.held_out[0]
    texts = sightings(thing)
    assert len(set(texts)) == len(texts)
    assert all(thing.noun in text.split() and not ALL_LOOKS & set(text.split()) for text in texts)


def test_features_of_unseen_things_reveal_their_looks(world: World) -> None:
    rng = np.random.default_rng(1)
    rows_ND, things = [], []
    for _ in range(1200):
        scene = draw_scene(world, rng)
        rows_ND.append(features(world, scene, rng).astype(np.float64).mean(0))
        things.append(scene.thing)
    seen = np.array([not thing.held_out for thing in things])
    for name, words in LOOKS.items():
        target_NC = np.array([[word == thing.look(name) for word in words] for thing in things], dtype=np.float64)
        weight_DC = np.linalg.lstsq(np.array(rows_ND)[seen], target_NC[seen], rcond=None)[0]
        right = (np.array(rows_ND)[~seen] @ weight_DC).argmax(1) == target_NC[~seen].argmax(1)
        assert right.mean() > 0.9, name


def test_feature_rows_are_of_unit_length_and_change_over_time(world: World) -> None:
    rows_TD = features(world, draw_scene(world, np.random.default_rng(0)), np.random.default_rng(1), noise=0.0)
    assert rows_TD.shape == (SCENE_ROWS, WIDTH) and rows_TD.dtype == np.float16
    assert np.linalg.norm(rows_TD.astype(np.float64), axis=1) == pytest.approx(1, abs=1e-2)
    assert not np.array_equal(rows_TD[0], rows_TD[-1])


def test_one_thing_that_moves_differently_looks_different(world: World) -> None:
    first = world.things[0]
    others = [t for t in world.things if (t.colour, t.shape) == (first.colour, first.shape)]
    assert {thing.direction for thing in others} == set(DIRECTIONS)
    made = [features(world, Scene(t, "hops", "inside"), np.random.default_rng(5), 0.0) for t in others]
    assert not any(np.allclose(made[0], other, atol=0.05) for other in made[1:])


def test_videos_are_a_dir_that_the_teacher_reads(world: World, tmp_path: Path) -> None:
    write_videos(world, tmp_path / "videos", 12, seed=0)
    settings = ClipTextSettings(shards=(str(tmp_path / "videos"),), features=NAME, text=("caption",))
    source, store = open_source(settings, 0), open_features(settings)
    assert store.width == WIDTH
    for task in source.epoch(0):
        clip = task.clips[0]
        sentences = (clip.texts["text"] or "").count(".")
        assert clip.end - clip.start == SCENE_SECONDS * sentences
        found = store.read(task.folder, task.shard, task.key, clip.start, clip.end, 100)
        assert found is not None and found.shape == (SCENE_ROWS * sentences, WIDTH)
