"""The caption worker over a real DIR: keyframes in, a table out; only the engine is a fake."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from support.answering import Answering
from support.shard_factory import CAPTION_SET
from support.stage_runs import (
    CAPTIONS_MADE,
    MEDIA,
    caption_shard,
    caption_shard_with,
    empty_shard,
    reply,
    two_engines,
)

from curation.captions.caption_stage import caption_hash
from curation.captions.observer_registry import CaptionSettings
from curation.engines.endpoint.openai_endpoint import EndpointSettings
from curation.engines.engine_interface import Answer, CaptionResult, ImageRef, Request
from curation.prompts import prompt_templates
from runtime.errors import MachineError
from runtime.ray_runner.stage import ShardResult
from shards.reader import read_artifact, read_table
from shards.schema import CAPTIONS
from shards.storage.store import Store
from shards.storage.tar import read_span


def test_every_keyframe_of_the_tar_gets_one_row_in_order_of_root_and_time(built: Store, scratch: Path) -> None:
    result = caption_shard(built, scratch, Answering(reply))
    table = read_table(built, CAPTIONS_MADE)
    rows = table.to_pylist()
    stills = read_table(built, f"captions/{CAPTION_SET}/0000000.parquet").to_pylist()
    assert table.schema.equals(CAPTIONS, check_metadata=False)
    expected = sorted((row["root_key"], row["start"]) for row in stills)
    assert [(row["root_key"], row["start"]) for row in rows] == expected
    assert all(row["kind"] == "frame" and row["start"] == row["end"] for row in rows)
    asked = len(prompt_templates.load("caption").render()[1].split())
    assert result == ShardResult({"keyframes": len(rows), "tokens_in": asked * len(rows), "tokens": 6 * len(rows)})


def test_the_captioner_is_pointed_at_the_bytes_of_that_very_keyframe(built: Store, scratch: Path) -> None:
    class Recording:
        def __init__(self) -> None:
            self.images: Mapping[str, ImageRef] = {}

        async def caption(self, images: Mapping[str, ImageRef]) -> dict[str, CaptionResult]:
            self.images = images
            return {key: CaptionResult(key) for key in images}

    captioner = Recording()
    caption_shard_with(built, scratch, captioner, "bytes")
    assert captioner.images
    for image in captioner.images.values():
        assert image.url == built.path("keyframes/0000000.tar")
        data = read_span(built, "keyframes/0000000.tar", image.offset, image.size)
        assert data.startswith(b"\xff\xd8") and data.endswith(b"\xff\xd9")


def test_a_caption_set_records_the_media_it_was_made_from(built: Store, scratch: Path) -> None:
    caption_shard(built, scratch, Answering(reply))
    artifact = read_artifact(built, CAPTIONS_MADE)
    assert (artifact.stage, artifact.content_hash) == ("caption", "c-hash")
    assert artifact.inputs == {MEDIA: read_artifact(built, MEDIA).digest}


def test_a_keyframe_that_fails_is_a_null_and_a_count(built: Store, scratch: Path) -> None:
    class Doubtful:
        async def caption(self, images: Mapping[str, ImageRef]) -> dict[str, CaptionResult]:
            first, second, *rest = images
            broken, unsure = CaptionResult(None, error="image: broken"), CaptionResult(None, confidence=0.1)
            return {first: broken, second: unsure} | {key: CaptionResult("a wall", 0.5) for key in rest}

    result = caption_shard_with(built, scratch, Doubtful(), "doubt")
    assert result.counts["failed:caption"] == 1
    rows = read_table(built, "captions/doubt/0000000.parquet").to_pylist()
    assert [(row["text"], row["confidence"] is None) for row in rows[:3]] == [
        (None, True), (None, False), ("a wall", False),
    ]  # fmt: skip


def test_a_shard_without_clips_gets_an_empty_table(tmp_path: Path, scratch: Path) -> None:
    store = empty_shard(tmp_path)
    model = Answering(reply)
    assert caption_shard(store, scratch, model).fatal is None
    assert read_table(store, CAPTIONS_MADE).num_rows == 0
    assert model.batches == []


def test_a_dead_engine_ends_the_run_with_one_line_and_commits_nothing(built: Store, scratch: Path) -> None:
    def die(request: Request) -> str | Answer:
        raise MachineError("the engine died\nthree times")

    result = caption_shard(built, scratch, Answering(die), "dead")
    assert result.fatal == "caption 0000000: the engine died three times"
    assert not built.exists("captions/dead/0000000.parquet")


def test_a_shard_whose_media_is_gone_ends_the_run_with_its_name(tmp_path: Path, scratch: Path) -> None:
    result = caption_shard(Store(tmp_path / "nothing"), scratch, Answering(reply))
    assert result.fatal is not None and MEDIA in result.fatal


def test_an_error_of_the_program_is_not_hidden(built: Store, scratch: Path) -> None:
    class Wrong:
        async def caption(self, images: Mapping[str, ImageRef]) -> dict[str, CaptionResult]:
            raise KeyError("bug")

    with pytest.raises(KeyError):
        caption_shard_with(built, scratch, Wrong(), "bug")


def test_the_hash_covers_content_and_not_how_things_run(tmp_path: Path) -> None:
    settings = CaptionSettings(engine="vlm")
    plain = caption_hash(settings, two_engines(tmp_path))
    assert plain == caption_hash(settings, two_engines(tmp_path, in_flight=3))
    assert plain != caption_hash(settings, two_engines(tmp_path, max_model_len=99))
    assert plain != caption_hash(CaptionSettings(engine="vlm", max_tokens=7), two_engines(tmp_path))


def test_hashes_are_those_of_caption_sets_the_present_defaults() -> None:
    server = EndpointSettings(model="m", base_url="http://h/v1")
    assert caption_hash(CaptionSettings(engine="a"), {"a": server}) == "235ffd866653cdc8"
    assert caption_hash(CaptionSettings(), {}) == "6ddd3ea947fe9df7"
