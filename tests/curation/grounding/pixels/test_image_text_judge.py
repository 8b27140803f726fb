"""The judge with an image–text model: a real model of open_clip, tiny and with random weights."""

from __future__ import annotations

import asyncio
import io
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image
from support.judging import EVIDENCE
from support.open_clip_models import open_clip_folder
from support.shard_factory import encode_root

from curation.engines.engine_interface import ImageRef
from curation.engines.models.image_text_model import ImageTextModel
from curation.grounding.claims import CitedClaim, Claim, cite
from curation.grounding.evidence import Evidence
from curation.grounding.judge import JudgeResources, Ruling
from curation.grounding.judge_registry import GroundSettings, build_cascade
from curation.grounding.pixels.clip_pictures import ClipPictures, Still, StoredRoot
from curation.grounding.pixels.image_text_judge import ImageTextJudge, ImageTextJudgeSettings
from runtime.errors import UserError


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of open_clip on disk, as hubs publish them."""
    return open_clip_folder(tmp_path_factory.mktemp("image-text"))


@pytest.fixture
def pictures(tmp_path: Path) -> ClipPictures:
    """Three stills of different colours, and a stored video."""
    data, stills = b"", []
    for time, colour in ((2.0, "red"), (12.0, "blue"), (22.5, "white")):
        encoded = io.BytesIO()
        Image.new("RGB", (64, 48), colour).save(encoded, "JPEG")
        stills.append(Still(time, ImageRef(str(tmp_path / "keyframes.tar"), len(data), encoded.tell())))
        data += encoded.getvalue()
    (tmp_path / "keyframes.tar").write_bytes(data)
    video = encode_root(64)
    (tmp_path / "media.tar").write_bytes(video)
    root = StoredRoot(ImageRef(str(tmp_path / "media.tar"), 0, len(video)), 0.0, 63 / 8)
    return ClipPictures(0.0, tuple(stills), root)


def judged(folder: Path, claims: list[CitedClaim]) -> list[Ruling]:
    settings = ImageTextJudgeSettings(model=f"path://{folder}")
    return asyncio.run(ImageTextJudge(settings).judge(claims, Counter()))


def test_the_score_is_the_similarity_with_the_nearest_cited_frame(folder: Path, pictures: ClipPictures) -> None:
    seen = [replace(item, pictures=pictures) for item in EVIDENCE]
    texts = ["Three dogs run on the grass", "A man chops onions"]
    claims = cite([Claim(texts[0], ("F1", "F2")), Claim(texts[1], ("F3",))], seen)
    model = ImageTextModel(f"path://{folder}")
    colours = [Image.new("RGB", (64, 48), colour) for colour in ("red", "blue", "white")]
    rows = model.similarities(colours, texts)
    expected = [max(0.0, rows[0][0], rows[0][1]), max(0.0, rows[1][2])]
    assert [ruling.score for ruling in judged(folder, claims)] == pytest.approx(expected, abs=0.02)
    assert len({round(value, 3) for row in rows for value in row}) > 3, "pictures and texts are told apart"


def test_an_event_is_compared_with_frames_of_the_stored_video(folder: Path, pictures: ClipPictures) -> None:
    event = Evidence("event@1.0-6.0", "E1", "event", "the wall gets brighter", pictures)
    (ruling,) = judged(folder, cite([Claim("The wall gets brighter", ("E1",))], [event]))
    assert ruling.score is not None


def test_what_can_not_be_looked_at_has_no_score(folder: Path, pictures: ClipPictures) -> None:
    gone = ClipPictures(0.0, (Still(2.0, ImageRef("/no/such.tar", 0, 9)),))
    item = EVIDENCE[0]
    text = "A man chops onions in a kitchen"
    rulings = judged(
        folder,
        [
            CitedClaim(text, (replace(item, pictures=ClipPictures(0.0)),)),
            CitedClaim(text, (item,)),
            CitedClaim(text, (replace(item, pictures=gone),)),
            CitedClaim("Ein Mann schneidet in der Küche Zwiebeln", (replace(item, pictures=pictures),)),
            CitedClaim(text, (EVIDENCE[3],)),
        ],
    )
    assert rulings == [
        Ruling(None, "no_frames"),
        Ruling(None, "no_frames"),
        Ruling(None, "image", may_be_retried=True),
        Ruling(None, "language"),
        Ruling(0.0, "not_seen"),
    ]


def test_a_folder_without_such_a_model_is_the_users_mistake(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"name a folder with open_clip_config\.json"):
        ImageTextModel(f"path://{tmp_path}")


def test_it_takes_its_place_in_a_cascade(folder: Path, pictures: ClipPictures) -> None:
    values = {"judges": ["image_text"], "image_text": {"model": f"path://{folder}", "threshold": 0.0}}
    settings = GroundSettings.model_validate(values)
    assert settings.looks
    assert settings.models() == {"image-text model": f"path://{folder}"}
    seen = [replace(item, pictures=pictures) for item in EVIDENCE]
    claims = {"clip": cite([Claim("A man chops onions", ("F1",))], seen)}
    (verdict,) = asyncio.run(build_cascade(settings, JudgeResources()).verify(claims, Counter()))["clip"]
    assert (verdict.verdict, verdict.judge) == ("supported", "image_text")
