"""The ranking that the demo prints: every clip once, the nearest first, and the text's own clip marked."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from training.data.clip_dataset import DecodedClip
from training.demo.clip_ranking import rankings, text_of
from training.models.vidla.initial_weights import build_model
from training.models.vidla.model_settings import ModelSettings


def clip(key: str, text: str) -> DecodedClip:
    texts = {"grounded_text": None, "caption_summary": text, "subtitle_summary": "speech", "subtitle": ""}
    shade = np.full((12, 8, 8, 3), len(text) * 9, np.uint8)
    return DecodedClip(key, key, "short", 0.0, 1.0, shade, texts)


def test_clips_are_ranked_by_cosine_and_the_right_one_is_marked() -> None:
    torch.manual_seed(0)
    model = build_model(ModelSettings(init="random:tiny")).eval()
    clips = [clip("a", "a dog"), clip("b", "a red car stops"), clip("c", "two people talk")]
    (ranking,) = rankings(model, clips, [1])
    assert [place.rank for place in ranking] == [1, 2, 3]
    assert {place.key for place in ranking} == {"a", "b", "c"}
    cosines = [place.cosine for place in ranking]
    assert cosines == sorted(cosines, reverse=True)
    assert [place.key for place in ranking if place.right] == ["b"]
    with torch.no_grad():
        video = model.encode_video(model.preprocess(clips[1].video_THWC))
        text = model.encode_text(model.tokenizer(["a red car stops"]))
    assert next(place.cosine for place in ranking if place.right) == pytest.approx(float(video @ text.T), abs=1e-5)


def test_the_text_of_a_clip_is_the_first_that_it_has() -> None:
    assert text_of(clip("a", "a dog")) == "a dog"
    assert text_of(clip("a", "")) == "speech"
