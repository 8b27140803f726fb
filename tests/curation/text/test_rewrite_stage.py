"""The rewrite worker over a real DIR: tables in, a table out; only the engine is a fake."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from support.answering import Answering
from support.shard_factory import CAPTION_SET, build_dir
from support.stage_runs import (
    CAPTIONS_MADE,
    MEDIA,
    NAMES,
    REWRITE,
    TEXTS_MADE,
    caption_shard,
    caption_shard_with,
    empty_shard,
    reply,
    rewrite_shard,
    two_engines,
)

from curation.captions.observer_registry import CaptionSettings
from curation.engines.endpoint.openai_endpoint import EndpointSettings
from curation.engines.engine_interface import Answer, CaptionResult, ImageRef, Request
from curation.grounding.measurement.control_settings import ControlSettings
from curation.pipeline import load_pipeline
from curation.stages.shard_table import ShardTable
from curation.stages.stage_definition import StageOutput
from curation.text.rewrite_settings import RewriteSettings
from curation.text.rewrite_stage import REWRITE as REWRITE_STAGE
from curation.text.rewrite_stage import model_names, rewrite_hash, rewrite_worker
from curation.text.text_rows import CARRIED_COLUMNS, ModelNames
from runtime.errors import MachineError
from runtime.ray_runner.stage import LocalService, ShardResult
from shards.reader import read_artifact, read_table
from shards.schema import REWRITE_STATUSES, TEXT
from shards.storage.store import Store
from shards.storage.tar import TarWriter
from shards.writer import Artifact, ShardMedia, commit_shard_media


def rows_of(store: Store) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = read_table(store, TEXTS_MADE).to_pylist()
    return rows


# Rows


def test_a_text_layer_has_the_schema_and_the_rows_of_media_in_order(built: Store, scratch: Path) -> None:
    result = rewrite_shard(built, scratch, Answering(reply))
    assert result.fatal is None
    table, media = read_table(built, TEXTS_MADE), read_table(built, MEDIA)
    assert table.schema.equals(TEXT, check_metadata=False)
    for name in CARRIED_COLUMNS:
        assert table[name].to_pylist() == media[name].to_pylist()
    assert result.counts["clips"] == media.num_rows


def test_rows_hold_the_captions_of_their_own_span_and_only_supported_text(built: Store, scratch: Path) -> None:
    rewrite_shard(built, scratch, Answering(reply))
    for row in rows_of(built):
        assert row["frame_captions"]
        assert all(row["start"] <= frame["time"] < row["end"] for frame in row["frame_captions"])
        assert (row["grounded_text"], row["rewrite_status"], row["grounding_score"]) == ("A grey wall.", "ok", 0.5)
        judged = [(claim["verdict"], claim["reason"], claim["judge"], claim["score"]) for claim in row["claims"]]
        assert judged == [("supported", None, "text", 1.0), ("unsupported", "text", "text", 0.0)]
        assert row["claims"][0]["evidence"] == [f"frame@{row['frame_captions'][0]['time']}"]
        assert row["subtitle_summary"] is None or row["subtitle_summary"] in row["subtitle"]


def test_rows_name_models_and_prompts(built: Store, scratch: Path) -> None:
    rewrite_shard(built, scratch, Answering(reply))
    for row in rows_of(built):
        asr = "test" if row["subtitle_origin"] == "asr:test" else None
        assert row["models"] == {"asr": asr, "captioner": "tagger", "rewriter": "llm", "prompt": NAMES.prompt}


def test_a_layer_records_the_media_and_captions_it_was_made_from(built: Store, scratch: Path) -> None:
    caption_shard(built, scratch, Answering(reply))
    rewrite_shard(built, scratch, Answering(reply), "captions/mine")
    artifact = read_artifact(built, TEXTS_MADE)
    assert artifact.inputs == {name: read_artifact(built, name).digest for name in (MEDIA, CAPTIONS_MADE)}


def test_statuses_are_counted_and_add_up_to_the_clips(built: Store, scratch: Path) -> None:
    counts = rewrite_shard(built, scratch, Answering(lambda request: "garbage")).counts
    assert sum(counts.get(f"status:{status}", 0) for status in REWRITE_STATUSES) == counts["clips"]
    assert counts["status:fallback"] == counts["clips"]
    assert counts["failed:rewrite"] == counts["clips"]


@pytest.mark.parametrize(
    ("seen", "status"),
    [(CaptionResult(None, confidence=0.1), "abstained"), (CaptionResult(None, error="timeout"), "failed")],
)
def test_a_clip_of_doubtful_keyframes_abstains_and_one_of_failed_keyframes_fails(
    built: Store, scratch: Path, seen: CaptionResult, status: str
) -> None:
    class Blind:
        async def caption(self, images: Mapping[str, ImageRef]) -> dict[str, CaptionResult]:
            return dict.fromkeys(images, seen)

    caption_shard_with(built, scratch, Blind(), "blind")
    rewrite_shard(built, scratch, Answering(reply), "captions/blind")
    found = {(row["rewrite_status"], row["grounded_text"], row["caption"]) for row in rows_of(built)}
    assert found == {(status, None, None)}


def test_the_same_answers_give_the_same_artifact(built: Store, scratch: Path) -> None:
    digests = []
    for _ in range(2):
        rewrite_shard(built, scratch, Answering(reply))
        digests.append(read_artifact(built, TEXTS_MADE).digest)
    assert digests[0] == digests[1]


# Failures


def test_a_shard_without_clips_gets_an_empty_table(tmp_path: Path, scratch: Path) -> None:
    store = empty_shard(tmp_path)
    model = Answering(reply)
    caption_shard(store, scratch, model)
    assert rewrite_shard(store, scratch, model, "captions/mine").fatal is None
    assert read_table(store, TEXTS_MADE).num_rows == 0
    assert read_table(store, TEXTS_MADE).schema.equals(TEXT, check_metadata=False)
    assert model.batches == []


def test_captions_of_other_media_are_refused(tmp_path: Path, scratch: Path) -> None:
    store = build_dir(tmp_path / "dir", shards=1, videos_per_shard=1)
    caption_shard(store, scratch, Answering(reply))
    with TarWriter(tmp_path / "m.tar") as media, TarWriter(tmp_path / "k.tar") as keyframes:
        keyframes.add("other.0.jpg", b"x")
    ledger, clips = read_table(store, "ledger/0000000.parquet"), read_table(store, MEDIA)
    commit_shard_media(store, tmp_path, ShardMedia(0, media, keyframes, ledger, clips), Artifact("media", "m-hash"))
    result = rewrite_shard(store, scratch, Answering(reply), "captions/mine")
    assert result.fatal is not None and "run the caption stage again" in result.fatal
    assert not store.exists(TEXTS_MADE)


def test_a_dead_engine_ends_the_run_with_one_line(built: Store, scratch: Path) -> None:
    def die(request: Request) -> str | Answer:
        raise MachineError("the engine died\nthree times")

    assert rewrite_shard(built, scratch, Answering(die)).fatal == "rewrite 0000000: the engine died three times"


def test_a_full_disk_ends_the_run_with_one_line(built: Store, scratch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Store, "commit", full)
    assert "No space left" in (rewrite_shard(built, scratch, Answering(reply)).fatal or "")


def test_several_shards_may_be_in_flight_in_one_worker(tmp_path: Path, scratch: Path) -> None:
    store = build_dir(tmp_path / "dir", shards=3, videos_per_shard=1)
    output = ShardTable("rewrite", store.root, "text/mine", str(scratch), "h")
    services = {"llm": LocalService(Answering(reply))}
    worker = rewrite_worker(output, f"captions/{CAPTION_SET}", REWRITE, ModelNames(), services)

    async def all_at_once() -> list[ShardResult]:
        return await asyncio.gather(*(worker.process(shard) for shard in range(3)))

    assert [result.fatal for result in asyncio.run(all_at_once())] == [None] * 3
    for shard in range(3):
        media, text = (read_table(store, f"{folder}/000000{shard}.parquet") for folder in ("media", "text/mine"))
        assert media["key"].to_pylist() == text["key"].to_pylist()


# Hashes and names


def test_controls_are_judged_with_the_claims_of_a_shard_and_kept_with_its_table(built: Store, scratch: Path) -> None:
    settings = REWRITE.model_copy(update={"controls": ControlSettings(share=1)})
    output = ShardTable("rewrite", built.root, "text/mine", str(scratch), "t-hash")
    worker = rewrite_worker(output, f"captions/{CAPTION_SET}", settings, NAMES, {"llm": Answering(reply).service})
    assert not asyncio.run(worker.process(0)).fatal
    counts = read_artifact(built, TEXTS_MADE).counts
    assert 0 < counts["controls_accepted:negation"] < counts["controls:negation"]  # this model denies dragons only
    assert settings.content() == REWRITE.content()


def test_the_hash_covers_settings_models_and_captions(tmp_path: Path) -> None:
    engines = two_engines(tmp_path)
    one = rewrite_hash(REWRITE, engines, "mine", "c-hash")
    assert one == rewrite_hash(REWRITE, engines, "mine", "c-hash")
    assert one != rewrite_hash(REWRITE.model_copy(update={"max_claims": 2}), engines, "mine", "c-hash")
    assert one != rewrite_hash(REWRITE, engines, "mine", "other")


@pytest.mark.parametrize("change", ["filters.min_motion=0.1", "filters.nothing_to_say=false", "val_percent=50"])
def test_no_setting_that_chooses_clips_is_part_of_the_texts(change: str) -> None:
    outputs = {"caption": StageOutput("captions/demo", "c-hash")}
    one, other = (load_pipeline("vidla", None, ["rewrite.engine=null", *changes]) for changes in ([], [change]))
    assert REWRITE_STAGE.hash(one, outputs) == REWRITE_STAGE.hash(other, outputs)
    assert REWRITE_STAGE.content(one) == REWRITE_STAGE.content(other)


def test_hashes_are_those_of_layers_made_before() -> None:
    engines = {"a": EndpointSettings(model="m", base_url="http://h/v1")}
    settings = RewriteSettings.model_validate(
        {"engine": "a", "ground": {"judges": ["text"], "text": {"threshold": 0.7}}}
    )
    assert rewrite_hash(settings, engines, "x", "19f43bc154c578c4") == "e9f69863eff4a49b"


def test_rows_are_named_after_the_models_and_prompts_that_made_them(tmp_path: Path) -> None:
    names = model_names(CaptionSettings(engine="vlm"), REWRITE, two_engines(tmp_path))
    assert names == ModelNames("model", "big-llm", "caption@1+summary@1+grounded_rewrite@2+entails@1")
    assert model_names(CaptionSettings(), RewriteSettings(), {}).rewriter is None
