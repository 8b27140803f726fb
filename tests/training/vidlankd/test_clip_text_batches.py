"""Batches for the teacher: which clips with which features and texts, and what is said of those that lack them."""

from __future__ import annotations

import math
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from support.feature_sets import WIDTH, write_features
from support.shard_factory import build_dir
from support.tiny_teacher import tokenizer

from runtime.errors import UserError
from runtime.settings import build
from training.data.clip_tasks import ClipTask, RootTask
from training.engine.parallel.distributed import Ranks
from training.models.vidlankd.text_batch import IGNORED, ClipTextBatch
from training.vidlankd.teacher.clip_text_batches import (
    ClipTextBatches,
    HeldOutClips,
    build_collator,
    describe_texts,
    open_source,
)
from training.vidlankd.teacher.clip_text_collator import TERM, ClipTextCollator, stack_features
from training.vidlankd.teacher.feature_choice import open_features
from training.vidlankd.vidlankd_settings import ClipTextSettings

BLOCK, ROWS = 16, 20


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two shards of three videos each: ten roots less those that are held out."""
    root = tmp_path_factory.mktemp("clip-text") / "dir"
    build_dir(root, videos_per_shard=3, val_percent=30)
    write_features(root)
    return root


def settings(shards: Path, **changes: object) -> ClipTextSettings:
    return build(ClipTextSettings, {"shards": [str(shards)], **changes}, "data")


def collator(given: ClipTextSettings, block: int = BLOCK, rows: int = ROWS) -> ClipTextCollator:
    return build_collator(given, open_features(given), tokenizer(), block, rows, pin=False)


def batches(given: ClipTextSettings, size: int = 4, seed: int = 0, ranks: Ranks | None = None) -> ClipTextBatches:
    source = open_source(given, seed)
    return ClipTextBatches(source, collator(given), size, given.clips_per_root, ranks or Ranks())


def task_of(text: str | None, key: str = "clip", seed: int = 0, spans: int = 1) -> RootTask:
    clips = tuple(ClipTask(f"{key}-{n}", 5.0 * n, 5.0 * n + 5, 0.0, 5.0, {"text": text}) for n in range(spans))
    return RootTask(key, "video", None, clips, "nowhere", 0, seed)


class Counting:
    """A store that has ten rows of everything but of one root, and notes what it was asked for."""

    width, identity = WIDTH, "counting"

    def __init__(self) -> None:
        self.asked: list[tuple[object, ...]] = []

    def read(self, *asked: object) -> np.ndarray | None:
        self.asked.append(asked)
        if asked[2] == "endless":
            return np.full((2, WIDTH), np.inf, np.float16)
        return None if asked[2] == "none" else np.ones((min(10, asked[5]), WIDTH), np.float16)


SEEING = Counting()


def made(
    *tasks: RootTask,
    window: str = "clip",
    overflow: str = "window",
    block: int = BLOCK,
    store: Counting | None = SEEING,
) -> ClipTextBatch:
    masking = ClipTextSettings().masking
    return ClipTextCollator(store, tokenizer(), masking, window, overflow, block, ROWS)(tasks)


def words(batch: ClipTextBatch, row: int) -> list[int]:
    """Tokens of a row without specials."""
    return batch.text.ids_BL[row][~batch.text.special_BL[row]].tolist()


def equal(first: ClipTextBatch, second: ClipTextBatch) -> None:
    assert first.keys == second.keys
    for name in ("ids_BL", "masked_BL", "labels_BL", "valid_BL"):
        assert torch.equal(getattr(first.text, name), getattr(second.text, name)), name
    for name in ("video_BTD", "frames_BT", "weight_B", "video_id_B"):
        assert torch.equal(getattr(first, name), getattr(second, name)), name


def test_a_row_holds_a_clips_text_and_the_features_of_its_span(shards: Path) -> None:
    given = settings(shards, overflow="first", only_kept=False)
    batch = next(batches(given).start(0))
    tasks = {clip.key: clip for task in open_source(given, 0).epoch(0) for clip in task.clips}
    for row, key in enumerate(batch.keys):
        clip = tasks[key]
        assert words(batch, row) == tokenizer().encode([clip.texts["text"]])[0][: BLOCK - 2]
        seconds = batch.video_BTD[row, batch.frames_BT[row], 0].float()
        assert len(seconds) == min(ROWS, math.ceil(clip.end - 0.5) - math.ceil(clip.start - 0.5))
        assert clip.start <= seconds.min() and seconds.max() < clip.end
    assert batch.weight_B.tolist() == [1, 1, 1, 1]


def test_grounded_text_is_preferred_and_captions_are_taken_by_configuration(shards: Path) -> None:
    grounded = next(batches(settings(shards, overflow="first")).start(0))
    caption = next(batches(settings(shards, overflow="first", text=["caption"])).start(0))
    assert tokenizer().tokens(words(grounded, 0))[:3] == ["a", "g", "##r"]
    assert words(grounded, 0) != words(caption, 0)


def test_the_share_of_each_text_column_is_that_of_the_clips(shards: Path) -> None:
    source = open_source(settings(shards, text=["subtitle", "caption"]), 0)
    alone = open_source(settings(shards, text=["subtitle"]), 0)
    shares = source.text_shares(TERM)
    assert list(shares) == ["subtitle", "caption"]
    assert sum(shares.values()) == pytest.approx(1)
    assert alone.text_shares(TERM) == {"subtitle": 1.0}


@pytest.mark.parametrize(("share", "warns"), [(0.0, True), (0.3, True), (0.8, False), (1.0, False)])
def test_a_list_of_text_columns_that_falls_through_is_said(
    shards: Path, share: float, warns: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    source = open_source(settings(shards), 0)
    monkeypatch.setattr(source, "text_shares", lambda term: {"grounded_text": share, "caption": 1 - share})
    with caplog.at_level("WARNING"):
        assert describe_texts(source) == f"grounded_text {share:.0%}, caption {1 - share:.0%}"
    assert ("read as caption" in caplog.text) == warns


def test_random_clips_are_of_different_levels(shards: Path) -> None:
    given = settings(shards)
    lengths = {
        round(clip.end - clip.start)
        for epoch in range(4)
        for task in open_source(given, 0).epoch(epoch)
        for clip in task.clips
    }
    assert len(lengths) >= 3


def test_the_released_window_is_always_the_beginning_of_the_root(shards: Path) -> None:
    given = settings(shards, window="first", text=["caption"])
    for seed, step in ((0, 0), (1, 3)):
        batch = next(batches(given, seed=seed).start(step))
        begins = [float(batch.video_BTD[row, 0, 0]) for row in range(4) if batch.weight_B[row]]
        assert begins and set(begins) == {0.5}


def test_the_released_window_adds_up_clips_until_a_block_is_full() -> None:
    batch = made(task_of("one two three four", spans=3), window="first", overflow="first", block=8)
    assert len(batch) == 1
    assert words(batch, 0) == tokenizer().encode(["one two three four one two three four"])[0][:6]


def test_the_released_window_ends_with_the_clip_that_fills_a_block() -> None:
    store = Counting()
    made(task_of("one two three four", spans=5), window="first", block=8, store=store)
    assert store.asked == [("nowhere", 0, "clip", 0.0, 10.0, ROWS)]


def test_the_released_window_uses_the_beginning_of_a_text_for_any_overflow() -> None:
    text = "red green blue yellow black white round square ball box cup car"
    whole = tokenizer().encode([text])[0]
    rows = [words(made(task_of(text, seed=seed), window="first", overflow="window", block=8), 0) for seed in range(8)]
    assert rows == [whole[:6]] * 8


def test_the_released_window_refuses_several_clips_of_a_root(shards: Path) -> None:
    with pytest.raises(UserError, match="set clips_per_root=1"):
        settings(shards, window="first", clips_per_root=2)


def test_of_a_text_that_is_too_long_a_random_part_is_taken_without_gaps() -> None:
    text = " ".join(["red green blue yellow black white round square ball box cup car cat dog"] * 3)
    whole = tokenizer().encode([text])[0]
    begins = set()
    for seed in range(30):
        part = words(made(task_of(text, seed=seed)), 0)
        assert len(part) == BLOCK - 2
        found = [at for at in range(len(whole)) if whole[at : at + len(part)] == part]
        assert found
        begins.add(found[0])
    assert len(begins) > 5
    assert words(made(task_of(text), overflow="first"), 0) == whole[: BLOCK - 2]
    assert words(made(task_of(text, seed=7)), 0) == words(made(task_of("red"), task_of(text, seed=7)), 1)


def test_missing_texts_and_features_keep_their_place_and_are_counted() -> None:
    endless, none = task_of("red ball", key="endless"), task_of("red ball", key="none")
    batch = made(task_of("red ball"), none, task_of(None, key="mute"), task_of("  ", key="blank"), endless)
    assert batch.weight_B.tolist() == [1, 0, 0, 0, 0]
    assert batch.skips == {"no_features": 1, "no_text": 2, "bad_features": 1}
    assert batch.examples["no_features"] == "none-0: its root has no features"
    assert (len(batch), batch.usable) == (5, 1)
    assert batch.frames_BT[:, 0].all() and not batch.video_BTD[1:].any()


def test_a_text_without_any_word_is_no_text() -> None:
    batch = made(task_of("red ball"), task_of("\u200b\u200d", key="invisible"))
    assert words(batch, 1) == []
    assert batch.weight_B.tolist() == [1, 0]
    assert batch.skips == {"no_text": 1}


def test_without_a_feature_store_every_clip_with_text_has_weight_1() -> None:
    batch = made(task_of("red ball", key="none"), task_of("red", key="endless"), task_of(None, key="mute"), store=None)
    assert batch.weight_B.tolist() == [1, 1, 0]
    assert batch.skips == {"no_text": 1}
    assert batch.video_BTD.shape == (3, 8, 1)
    seeing = made(task_of("red ball", key="none"), task_of("red", key="endless"), task_of(None, key="mute"))
    assert torch.equal(batch.text.masked_BL, seeing.text.masked_BL)


def test_without_features_words_are_still_learnt_and_without_text_nothing_is() -> None:
    batch = made(task_of("red ball", key="none"), task_of(None, key="mute"))
    assert (batch.text.labels_BL[0] != IGNORED).any()
    assert (batch.text.labels_BL[1] == IGNORED).all()
    assert batch.text.valid_BL[1].sum() == 2


def test_features_are_read_by_the_span_in_the_root_and_only_for_clips_with_text() -> None:
    store = Counting()
    ClipTextCollator(store, tokenizer(), ClipTextSettings().masking, "clip", "first", BLOCK, 7)(
        [task_of("red ball", key="r", spans=2), task_of(None)]
    )
    assert sorted(store.asked) == [("nowhere", 0, "r", 0.0, 5.0, 7), ("nowhere", 0, "r", 5.0, 10.0, 7)]


def test_roots_without_features_are_counted_and_do_not_stop_the_run(tmp_path: Path) -> None:
    build_dir(tmp_path / "dir", videos_per_shard=3, val_percent=0)
    seen: list[str] = []
    write_features(tmp_path / "dir", has=lambda key: not seen.append(key) and len(seen) % 3 != 0)
    given = settings(tmp_path / "dir", only_kept=False)
    found = list(islice(batches(given, size=5).start(0), 2))
    assert sum(batch.skips["no_features"] for batch in found) == 3
    assert sum(batch.usable for batch in found) == 7


def test_roots_that_curation_filtered_are_no_fault(shards: Path) -> None:
    found = list(islice(batches(settings(shards), size=2).start(0), 4))
    assert 0 < sum(batch.usable for batch in found) < 8
    assert not any(batch.skips for batch in found)


def test_the_last_batch_of_an_epoch_is_filled_up_with_rows_of_weight_0(shards: Path) -> None:
    given = settings(shards)
    roots = open_source(given, 0).num_roots
    one = batches(given, size=roots - 1)
    assert one.steps_per_epoch == 2
    last = list(islice(one.start(0), 2))[1]
    assert last.weight_B.tolist() == [1] + [0] * (roots - 2)
    assert not last.skips
    assert (last.text.labels_BL[1:] == IGNORED).all()


def test_starting_at_any_step_gives_the_same_batches(shards: Path) -> None:
    given = settings(shards)
    undisturbed = list(islice(batches(given).start(0), 6))
    for step in (1, 3, 4):
        for found, expected in zip(islice(batches(given).start(step), 2), undisturbed[step:], strict=False):
            equal(found, expected)


def test_each_epoch_draws_other_clips_masks_and_pairs(shards: Path) -> None:
    one = batches(settings(shards))
    first, again = (next(one.start(step)) for step in (0, one.steps_per_epoch))
    assert first.keys != again.keys


def test_two_ranks_split_the_batch_of_one_in_order(shards: Path) -> None:
    given = settings(shards)
    whole = next(batches(given).start(1))
    halves = [next(batches(given, ranks=Ranks(rank, 2)).start(1)) for rank in range(2)]
    assert [key for half in halves for key in half.keys] == whole.keys
    width = min(half.text.ids_BL.shape[1] for half in halves)
    assert torch.equal(torch.cat([half.text.ids_BL[:, :width] for half in halves]), whole.text.ids_BL[:, :width])


def test_the_identity_changes_with_the_data_and_its_settings(shards: Path) -> None:
    def identity(seed: int = 0, **changes: object) -> str:
        return batches(settings(shards, **changes), seed=seed).identity

    others = [
        identity(seed=1),
        identity(text=["caption"]),
        identity(overflow="first"),
        identity(masking={"probability": 0.3}),
        identity(window="first"),
    ]
    assert len({identity(), *others}) == 1 + len(others)
    assert identity(held_out=3) == identity()


def test_held_out_clips_are_those_of_the_split_and_the_same_each_time(shards: Path) -> None:
    given = settings(shards)
    held = HeldOutClips.of(given, collator(given), 2, Ranks())
    assert held is not None and len(held) == open_source(given, 0, "val").num_roots
    first, again = list(held), list(held)
    assert sum(map(len, first)) == len(held)
    for found, expected in zip(first, again, strict=True):
        equal(found, expected)
    trained = {key for task in open_source(given, 0).epoch(0) for key in [task.key]}
    assert not trained & {task.key for task in open_source(given, 0, "val").epoch(0)}


def test_ranks_take_turns_with_held_out_batches(shards: Path) -> None:
    given = settings(shards)
    whole = [batch.keys for batch in HeldOutClips.of(given, collator(given), 1, Ranks())]
    halves = [[batch.keys for batch in HeldOutClips.of(given, collator(given), 1, Ranks(rank, 2))] for rank in range(2)]
    assert [halves[0], halves[1]] == [whole[::2], whole[1::2]]


def test_nothing_held_out_is_no_error(tmp_path: Path) -> None:
    build_dir(tmp_path / "dir", shards=1, val_percent=0)
    write_features(tmp_path / "dir")
    given = settings(tmp_path / "dir")
    assert HeldOutClips.of(given, collator(given), 2, Ranks()) is None
    assert HeldOutClips.of(settings(tmp_path / "dir", held_out=0), collator(given), 2, Ranks()) is None


def test_the_only_feature_set_need_not_be_named_but_one_of_several_must(tmp_path: Path) -> None:
    build_dir(tmp_path / "dir", shards=1)
    with pytest.raises(UserError, match="no features yet; run train-vidlankd features"):
        open_features(settings(tmp_path / "dir"))
    write_features(tmp_path / "dir")
    assert open_features(settings(tmp_path / "dir")).name == "seconds"
    write_features(tmp_path / "dir", name="others")
    with pytest.raises(UserError, match=r"several feature sets \(others, seconds\); name one: --features"):
        open_features(settings(tmp_path / "dir"))
    assert open_features(settings(tmp_path / "dir", features="others")).name == "others"
    with pytest.raises(UserError, match="name at least one folder"):
        open_features(ClipTextSettings())


def test_a_text_column_that_there_is_not_is_refused_by_the_setting_that_names_it(shards: Path) -> None:
    with pytest.raises(UserError, match=r"data\.text='captoin': no text column of that name.*did you mean 'caption'"):
        open_source(settings(shards, text=["captoin"]), 0)


def test_features_of_which_every_root_failed_are_refused_with_the_command(tmp_path: Path) -> None:
    build_dir(tmp_path / "dir", shards=1, val_percent=0)
    write_features(tmp_path / "dir", has=lambda key: False)
    with pytest.raises(UserError, match=r"features 'seconds': no root of .* has any, all failed; `train-vidlankd feat"):
        open_features(settings(tmp_path / "dir"))


def test_a_batch_that_needs_more_roots_than_there_are_is_refused(shards: Path) -> None:
    with pytest.raises(UserError, match="--batch-size 100: takes 100 roots a step"):
        batches(settings(shards), size=100)


def test_static_masks_are_refused_for_clips(shards: Path) -> None:
    with pytest.raises(UserError, match=r"masking\.static_copies=2: clips get new masks"):
        settings(shards, masking={"static_copies": 2})


def test_lengths_are_rounded_up_to_the_towers_limit_at_most() -> None:
    features = [np.ones((3, WIDTH), np.float16), None, np.ones((18, WIDTH), np.float16)]
    video, frames = stack_features(features, WIDTH, max_rows=20)
    assert video.shape == (3, 20, WIDTH)
    assert frames.sum(1).tolist() == [3, 1, 18]
    assert stack_features(features[:2], WIDTH, max_rows=20)[0].shape == (2, 8, WIDTH)
