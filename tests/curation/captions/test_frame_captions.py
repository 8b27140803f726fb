"""Frame captions and other observations: joined into one text, and selected by time."""

from __future__ import annotations

from curation.captions.frame_captions import FrameCaption, join_captions
from curation.captions.observation import Observation, observed_between


def test_joined_captions_are_in_time_order_without_repetitions() -> None:
    texts = [(3.0, "A dog."), (1.0, "a cat"), (2.0, "a dog"), (4.0, "what?")]
    frames = [FrameCaption(time, text) for time, text in texts]
    assert join_captions(frames) == "a cat. a dog. what?"
    assert join_captions([]) is None


def test_a_keyframe_on_the_border_of_two_clips_belongs_to_the_later_one_only() -> None:
    frames = [Observation("r", "frame", 10.0, 10.0, "x")]
    assert observed_between(frames, 0.0, 10.0002) == ()
    assert observed_between(frames, 10.0002, 20.0) == tuple(frames)


def test_what_lasts_belongs_to_every_clip_that_it_overlaps_and_to_none_that_it_only_touches() -> None:
    texts = [Observation("r", "text", 9.0, 14.0, "Open"), Observation("r", "text", 2.0, 3.0, "Closed")]
    assert [each.text for each in observed_between(texts, 0.0, 10.0)] == ["Closed", "Open"]
    assert [each.text for each in observed_between(texts, 10.0, 14.0)] == ["Open"]
    assert observed_between(texts, 14.0, 20.0) == ()
