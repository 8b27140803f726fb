"""On-screen text: what the recogniser reads in real pictures, and how readings become texts over time."""

from __future__ import annotations

import asyncio
import io
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest
from PIL import Image, ImageDraw, ImageFont

from curation.captions.observation import Observation
from curation.captions.observer import ShardPictures
from curation.captions.observer_registry import CaptionSettings
from curation.captions.screen_text.screen_text_observer import ScreenTextObserver, ScreenTextSettings
from curation.captions.screen_text.text_recognizer import TextLine, TextRecognizer
from curation.captions.screen_text.text_sightings import ReadPicture, blocks_of, texts_over_time
from curation.engines.engine_interface import ImageRef
from curation.pipeline import load_pipeline
from runtime.errors import UserError
from shards.storage.store import Store

SIZE = (640, 448)


@pytest.fixture(scope="module")
def settings() -> ScreenTextSettings:
    found: ScreenTextSettings = load_pipeline("demo", None, ()).branch(CaptionSettings).on_screen_text
    return found


@pytest.fixture(scope="module")
def recognizer(settings: ScreenTextSettings) -> TextRecognizer:
    assert settings.model is not None
    return TextRecognizer(settings.model, threads=1)


def picture(*texts: tuple[int, int, str], height: int = 40, noise: bool = False) -> Image.Image:
    image = Image.effect_noise(SIZE, 60).convert("RGB") if noise else Image.new("RGB", SIZE, (30, 80, 40))
    for left, top, text in texts:
        ImageDraw.Draw(image).text((left, top), text, font=ImageFont.load_default(height), fill="white")
    return image


def still(folder: Path, root: str, ms: int, image: Image.Image | bytes) -> tuple[str, ImageRef]:
    data = image if isinstance(image, bytes) else _jpeg(image)
    path = folder / f"{root}.{ms}.jpg"
    path.write_bytes(data)
    return path.name, ImageRef(str(path), 0, len(data))


def _jpeg(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def observe(
    recognizer: TextRecognizer, settings: ScreenTextSettings, folder: Path, stills: Sequence[tuple[str, ImageRef]]
) -> tuple[list[Observation], Counter[str]]:
    counts: Counter[str] = Counter()
    pictures = ShardPictures(Store(folder), dict(stills), (), "media/0000000.tar")
    return asyncio.run(ScreenTextObserver(settings, recognizer).observe(pictures, counts)), counts


def line(text: str, top: float = 0.1, height: float = 0.1, left: float = 0.1, confidence: float = 0.95) -> TextLine:
    return TextLine(text, confidence, left, top, left + 0.5, top + height)


def texts(*pictures: ReadPicture) -> list[tuple[str | None, float, float]]:
    return [(each.text, each.start, each.end) for each in texts_over_time("r", pictures, 200)]


# The recogniser


def test_a_title_on_two_lines_is_one_text_with_its_span_and_its_share_of_the_picture(
    recognizer: TextRecognizer, settings: ScreenTextSettings, tmp_path: Path
) -> None:
    title = picture((60, 50, "How to bake bread"), (60, 100, "in ten easy steps"))
    shown = [still(tmp_path, "r1", ms, title) for ms in (2000, 12000)]
    empty = still(tmp_path, "r1", 22000, picture())
    seen, counts = observe(recognizer, settings, tmp_path, [*shown, empty])
    (found,) = seen
    assert (found.root_key, found.kind, found.start, found.end) == ("r1", "text", 2.0, 12.0)
    assert found.text == "How to bake bread in ten easy steps"
    assert found.confidence is not None and found.confidence >= 0.9
    assert found.share is not None and 0.08 < found.share < 0.25
    assert counts == {"keyframes_read": 3, "screen_texts": 1}


def test_noise_is_no_text(recognizer: TextRecognizer, settings: ScreenTextSettings, tmp_path: Path) -> None:
    seen, _ = observe(recognizer, settings, tmp_path, [still(tmp_path, "r", 0, picture(noise=True))])
    assert seen == []


def test_a_still_that_cannot_be_read_is_counted_and_the_others_are_read(
    recognizer: TextRecognizer, settings: ScreenTextSettings, tmp_path: Path
) -> None:
    stills = [still(tmp_path, "r", 0, b"no jpeg"), still(tmp_path, "r", 9000, picture((60, 50, "Lesson two")))]
    seen, counts = observe(recognizer, settings, tmp_path, stills)
    assert [each.text for each in seen] == ["Lesson two"]
    assert counts["failed:screen_text"] == 1


@pytest.mark.parametrize("size", [(1, 1), (9, 900), (900, 2)])
def test_pictures_of_odd_shapes_have_no_text_and_raise_nothing(
    recognizer: TextRecognizer, settings: ScreenTextSettings, tmp_path: Path, size: tuple[int, int]
) -> None:
    seen, _ = observe(recognizer, settings, tmp_path, [still(tmp_path, "r", 0, Image.new("RGB", size))])
    assert seen == []


def test_a_coarser_grid_leaves_out_keyframes_that_are_close(
    recognizer: TextRecognizer, settings: ScreenTextSettings, tmp_path: Path
) -> None:
    stills = [still(tmp_path, root, ms, picture()) for root in ("a", "b") for ms in (0, 4000, 9000, 11000)]
    coarse = settings.model_copy(update={"min_seconds": 8.0})
    assert observe(recognizer, coarse, tmp_path, stills)[1]["keyframes_read"] == 4


def test_a_folder_without_the_two_networks_is_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"on_screen_text\.model='path://.*\*_det_\*\.onnx; it has 0"):
        TextRecognizer(f"path://{tmp_path}", 1)
    for name in ("x_det_small.onnx", "x_rec_small.onnx"):
        (tmp_path / name).write_bytes(b"no network")
    with pytest.raises(UserError, match="not models of PP-OCR"):
        TextRecognizer(f"path://{tmp_path}", 1)


# Texts over time


def test_a_reading_that_differs_in_a_letter_is_the_same_text_and_the_surest_is_kept() -> None:
    read = [
        ReadPicture(0, [line("Chopping the oni0ns", confidence=0.91)]),
        ReadPicture(5, [line("Chopping the onions")]),
    ]
    assert texts(*read) == [("Chopping the oni0ns", 0, 0), ("Chopping the onions", 5, 5)]  # a figure: kept apart
    read = [
        ReadPicture(0, [line("Chopping the onlons", confidence=0.91)]),
        ReadPicture(5, [line("Chopping the onions")]),
    ]
    assert texts(*read) == [("Chopping the onions", 0, 5)]


def test_a_text_that_is_overlooked_once_goes_on_and_one_that_comes_back_later_is_another() -> None:
    open_, blank = [line("Open all day")], []
    assert texts(ReadPicture(0, open_), ReadPicture(5, blank), ReadPicture(9, open_)) == [("Open all day", 0, 9)]
    later = [ReadPicture(0, open_), ReadPicture(5, blank), ReadPicture(9, blank), ReadPicture(12, open_)]
    assert texts(*later) == [("Open all day", 0, 0), ("Open all day", 12, 12)]


def test_a_score_that_changes_is_another_text() -> None:
    read = [ReadPicture(time, [line(f"Home {time} Guests 2")]) for time in (0, 1)]
    assert texts(*read) == [("Home 0 Guests 2", 0, 0), ("Home 1 Guests 2", 1, 1)]


def test_a_word_that_changes_makes_another_text_and_a_space_does_not() -> None:
    said = [ReadPicture(0, [line("The shop is now open")]), ReadPicture(1, [line("The shop is now shut")])]
    assert [text for text, _, _ in texts(*said)] == ["The shop is now open", "The shop is now shut"]
    spaced = [ReadPicture(0, [line("How to bake")]), ReadPicture(1, [line("Howto bake")])]
    assert texts(*spaced) == [("How to bake", 0, 1)]


def test_two_signs_with_the_same_words_in_one_picture_are_two_texts() -> None:
    assert texts(ReadPicture(0, [line("Exit", 0.1), line("Exit", 0.7)])) == [("Exit", 0, 0), ("Exit", 0, 0)]


def test_lines_are_joined_as_their_script_does_and_only_if_they_belong_together() -> None:
    assert [block.text for block in blocks_of([line("如何做", 0.1), line("面包", 0.22)])] == ["如何做面包"]
    assert [block.text for block in blocks_of([line("Title", 0.1), line("a footnote", 0.22, 0.02)])] == [
        "Title",
        "a footnote",
    ]
    assert [block.text for block in blocks_of([line("Title", 0.1), line("far below", 0.7)])] == ["Title", "far below"]
    assert blocks_of([line("-"), line("7", 0.5)]) == []
