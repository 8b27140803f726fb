"""Frame captions: selected by time, and joined into one text."""

from __future__ import annotations

from curation.captions.frame_captions import FrameCaption, captions_between, join_captions


def test_joined_captions_are_in_time_order_without_repetitions() -> None:
    texts = [(3.0, "A dog."), (1.0, "a cat"), (2.0, "a dog"), (4.0, "what?")]
    frames = [FrameCaption(time, text) for time, text in texts]
    assert join_captions(frames) == "a cat. a dog. what?"
    assert join_captions([]) is None


def test_a_keyframe_on_the_border_of_two_clips_belongs_to_the_later_one_only() -> None:
    frames = [FrameCaption(10.0, "x")]
    assert captions_between(frames, 0.0, 10.0002) == ()
    assert captions_between(frames, 10.0002, 20.0) == tuple(frames)
