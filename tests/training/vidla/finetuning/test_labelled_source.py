"""Training clips from a labelled benchmark: order, spans, identity, missing videos."""

from __future__ import annotations

from dataclasses import replace

import pytest

from runtime.errors import UserError
from training.data.data_settings import AugmentSettings
from training.evaluation.benchmarks.classification.classification_set import ClassificationSet, LabelledVideo
from training.evaluation.video.video_views import Sampling
from training.vidla.finetuning.labelled_source import LabelledSource

CLASSES = ("blue", "red")
NO_AUGMENT = AugmentSettings(scales=(1.0,), flip=False, center=True)


def source(videos: ClassificationSet, sampling: Sampling = "dense", seed: int = 0) -> LabelledSource:
    return LabelledSource(videos, sampling, 15, NO_AUGMENT, seed)


def test_an_epoch_shows_each_video_once_in_an_order_of_its_own(colours: ClassificationSet) -> None:
    made = source(colours)
    first, second = ([root.key for root in made.epoch(number)] for number in (0, 1))
    assert sorted(first) == sorted(second) == sorted(item.id for item in colours.items)
    assert first != second
    assert [root.key for root in made.epoch(0)] == first
    assert [root.key for root in made.epoch(0, skip=2)] == first[2:]
    assert [root.key for root in made.epoch(0, skip=1, only=lambda at: at % 2 == 0)] == first[2::2]


def test_dense_clips_are_windows_within_the_video_drawn_anew_each_epoch(colours: ClassificationSet) -> None:
    made = source(colours)
    spans = [{root.key: (clip.start, clip.end) for root in made.epoch(n) for clip in root.clips} for n in (0, 1)]
    for start, end in (span for key, span in spans[0].items() if key.startswith("blue")):
        assert 0 <= start < end <= 4.0
        assert end - start == pytest.approx(2.0)
    assert spans[0]["red/0.mp4"] == pytest.approx((0.0, 1.0))
    assert spans[0]["blue/0.mp4"] != spans[1]["blue/0.mp4"]


def test_the_identity_depends_on_the_settings_of_the_draws(colours: ClassificationSet) -> None:
    assert source(colours).identity == source(colours).identity
    assert source(colours).identity != source(colours, seed=1).identity
    assert source(colours).identity != source(colours, "uniform").identity


def test_missing_videos_are_left_out_and_a_set_without_files_is_refused(
    colours: ClassificationSet,
) -> None:
    gone = LabelledVideo("gone", None, 0)
    some = ClassificationSet("folder", "train", CLASSES, (gone, *colours.items))
    assert source(some).num_roots == 6
    with pytest.raises(UserError, match="holds none of the 1 videos"):
        source(ClassificationSet("folder", "train", CLASSES, (gone,)))


def test_a_span_after_the_end_of_its_file_is_kept_as_annotated(colours: ClassificationSet) -> None:
    late = replace(colours.items[0], start=50.0, end=52.0)
    (root,) = source(replace(colours, items=(late,))).epoch(0)
    assert (root.clips[0].start, root.clips[0].end) == (50.0, 52.0)
