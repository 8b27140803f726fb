"""Text area against rendered text of known size, and the effort: a frame that has not changed is not read again."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont
from support.scored_videos import HEIGHT, WIDTH, Picture, flat, named, scores_of, texture

from curation.scores.picture.text_area import TextAreaScorer
from curation.scores.root_scores import NamedScorer
from runtime.errors import UserError

FONT = ImageFont.load_default(28)
TITLE = "Breaking News Today"


@pytest.fixture(scope="module")
def reader() -> NamedScorer:
    """The score with real networks, at one frame a second."""
    return named("text_area", frames_per_second=1)


def titled(text: str = TITLE, top: int = 20, background: Picture | None = None) -> Picture:
    """Return a picture with a line of text."""
    image = Image.fromarray(flat(40) if background is None else background // 3)
    ImageDraw.Draw(image).text((12, top), text, font=FONT, fill=255)
    return np.asarray(image)


def area(text: str = TITLE) -> float:
    """Return the share of the picture that the ink of a text covers, as a box."""
    left, top, right, bottom = FONT.getbbox(text)
    return (right - left) * (bottom - top) / (WIDTH * HEIGHT)


def test_text_area_is_that_of_the_rendered_text(reader: NamedScorer) -> None:
    (row,) = scores_of(reader, [titled()] * 24)
    assert area() * 0.8 < row["text_area"] < area() * 2.5  # the networks' boxes have a margin
    assert row["text_time"] == 1
    assert row["still_text_area"] == pytest.approx(row["text_area"], rel=0.25)


def test_more_text_covers_more(reader: NamedScorer) -> None:
    one, two = titled(), np.maximum(titled(), titled("Weather and Sports", 100))
    assert scores_of(reader, [two] * 9)[0]["text_area"] > 1.6 * scores_of(reader, [one] * 9)[0]["text_area"]


def test_text_is_counted_as_long_as_it_is_shown(reader: NamedScorer) -> None:
    frames = [titled(background=texture(seed=1, blob=40))] * 8 + [texture(seed=2, blob=40)] * 24
    (row,) = scores_of(reader, frames)
    assert row["text_time"] == 0.25 and row["still_text_area"] == 0


def test_subtitles_that_change_their_place_are_not_still(reader: NamedScorer) -> None:
    frames = [titled(text, top) for text, top in (("First words", 10), ("Second line", 70), ("Third line", 130))]
    (row,) = scores_of(reader, [frame for frame in frames for _ in range(8)])
    assert row["text_time"] == 1 and row["still_text_area"] == 0


def test_a_picture_without_text_has_none(reader: NamedScorer) -> None:
    (row,) = scores_of(reader, [texture(blob=40)] * 9)
    assert (row["text_area"], row["text_time"]) == (0, 0)


def test_a_frame_that_has_not_changed_is_not_read_again(reader: NamedScorer) -> None:
    read = []

    class Counting:
        def lines(self, picture: Any) -> list[Any]:
            read.append(picture)
            return []

    scorer = TextAreaScorer.__new__(TextAreaScorer)
    vars(scorer).update(vars(reader.scorer), _recognizer=Counting())
    scores_of(NamedScorer("text_area", reader.columns, scorer), [titled()] * 24 + [texture()] * 16)
    assert len(read) == 2


def test_a_model_that_is_none_is_refused(tmp_path: Any) -> None:
    with pytest.raises(UserError, match="must name a folder with one"):
        named("text_area", model=f"path://{tmp_path}")
