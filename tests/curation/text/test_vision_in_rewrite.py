"""The rewrite stage with judges of pixels: they get the pictures of their own clip, and a plan warns of kin judges."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.answering import Answering, asks_for_claims, claims_json
from support.curation_requests import request_of
from support.shard_factory import build_dir
from support.stage_runs import NAMES, TEXTS_MADE, caption_shard, reply

from curation.engines.engine_interface import Answer, ImageRef, Request
from curation.engines.request_frames import load_frames
from curation.engines.request_images import load
from curation.pipeline import load_pipeline
from curation.plan import make_plan
from curation.stages.shard_table import ShardTable
from curation.text.rewrite_settings import RewriteSettings
from curation.text.rewrite_stage import REWRITE, rewrite_worker
from runtime.errors import MachineError, UserError
from shards.reader import read_artifact, read_table
from shards.storage.store import Store
from shards.storage.tar import members

URL = "https://example.com/talk.mp4"
SETTINGS = RewriteSettings.model_validate(
    {"engine": "llm", "ground": {"judges": ["vision"], "vision": {"engine": "judge", "languages": []}}}
)


def rewritten(store: Store, scratch: Path, judge: Callable[[Request], str | Answer]) -> tuple[Answering, Any]:
    """Caption and rewrite shard 0; return the judge's model and the rows of the layer."""
    caption_shard(store, scratch, Answering(reply))
    model = Answering(judge)

    def write(request: Request) -> str | Answer:
        return claims_json(("A grey wall", ["F1"])) if asks_for_claims(request) else "word1"

    services = {"llm": Answering(write).service, "judge": model.service}
    table = ShardTable("rewrite", store.root, "text/mine", str(scratch), "r-hash")
    result = asyncio.run(rewrite_worker(table, "captions/mine", SETTINGS, NAMES, services).process(0))
    assert result.fatal is None
    return model, read_table(store, TEXTS_MADE).to_pylist()


def yes(request: Request) -> Answer:
    return Answer("", probabilities=(0.9, 0.1))


def test_each_claim_is_judged_on_the_keyframe_that_it_cites(tmp_path: Path, scratch: Path) -> None:
    store = build_dir(tmp_path / "dir", shards=1)
    model, rows = rewritten(store, scratch, yes)
    url = store.path("keyframes/0000000.tar")
    stored = {
        member.name: ImageRef(url, member.offset, member.size) for member in members(store, "keyframes/0000000.tar")
    }
    cited = {
        stored[f"{row['root_key']}.{round(float(claim['evidence'][0].partition('@')[2]) * 1000)}.jpg"]
        for row in rows
        for claim in row["claims"]
    }
    assert cited
    assert {image for request in model.requests for image in request.images} == cited
    assert all(load(image).size for image in cited)
    assert {row["rewrite_status"] for row in rows if row["claims"]} == {"ok"}
    assert {claim["judge"] for row in rows for claim in row["claims"]} == {"vision"}


def test_without_keyframes_the_frames_come_from_the_stored_video(tmp_path: Path, scratch: Path) -> None:
    store = build_dir(tmp_path / "dir", shards=1)
    caption_shard(store, scratch, Answering(reply))
    (tmp_path / "dir" / "keyframes" / "0000000.tar").unlink()
    model = Answering(yes)
    services = {"llm": Answering(lambda r: claims_json(("A wall", ["F1"]))).service, "judge": model.service}
    table = ShardTable("rewrite", store.root, "text/mine", str(scratch), "r-hash")
    asyncio.run(rewrite_worker(table, "captions/mine", SETTINGS, NAMES, services).process(0))
    assert model.requests
    for request in model.requests:
        assert request.frames is not None
        assert len(load_frames(request.frames)) == len(request.frames.times)


def test_a_judge_that_times_out_leaves_its_clips_to_retry_failed(tmp_path: Path, scratch: Path) -> None:
    store = build_dir(tmp_path / "dir", shards=1)
    _, rows = rewritten(store, scratch, lambda request: Answer("", error="timeout"))
    judged = [row for row in rows if row["claims"]]
    assert {(claim["verdict"], claim["reason"]) for row in judged for claim in row["claims"]} == {
        ("unjudged", "timeout")
    }
    assert not any(row["grounded_text"] for row in judged)
    assert read_artifact(store, TEXTS_MADE).counts["failed:judge"] >= len(judged)


def test_a_judge_that_dies_ends_no_run_at_once(tmp_path: Path, scratch: Path) -> None:
    def die(request: Request) -> Answer:
        raise MachineError("CUDA error: device lost")

    store = build_dir(tmp_path / "dir", shards=1)
    _, rows = rewritten(store, scratch, die)
    assert {claim["reason"] for row in rows for claim in row["claims"]} == {"died"}


def pipeline(tmp_path: Path, judge: str, model: str) -> Path:
    """Write a pipeline whose writer is Qwen and whose judge of pixels is the engine `judge`."""
    config = tmp_path / "pipelines.yaml"
    config.write_text(f"""
mine:
  engines:
    writer: {{kind: endpoint, model: Qwen/Qwen3.5-9B, base_url: "http://127.0.0.1:1/v1"}}
    judge: {{kind: endpoint, model: {model}, base_url: "http://127.0.0.1:1/v1"}}
  caption: {{engine: writer}}
  rewrite: {{engine: writer, ground: {{judges: [words, vision], vision: {{engine: {judge}}}}}}}
""")
    return config


@pytest.mark.parametrize(
    ("judge", "model", "warned"),
    [
        ("judge", "allenai/Molmo2-8B", False),
        ("judge", "Qwen/Qwen3-VL-8B", True),
        ("writer", "allenai/Molmo2-8B", True),
        ("null", "allenai/Molmo2-8B", True),
    ],
)
def test_a_plan_warns_in_one_line_if_writer_and_judge_are_of_one_family(
    tmp_path: Path, judge: str, model: str, warned: bool
) -> None:
    settings = load_pipeline("mine", pipeline(tmp_path, judge, model), [])
    warnings = REWRITE.warnings(settings)
    assert len(warnings) == warned
    assert all("\n" not in warning and "same family (qwen)" in warning for warning in warnings)


def test_a_judge_of_pixels_with_no_engine_to_ask_is_warned_of(tmp_path: Path) -> None:
    changes = ["rewrite.engine=null", "rewrite.ground.vision.engine=null"]
    (warning,) = REWRITE.warnings(load_pipeline("mine", pipeline(tmp_path, "judge", "gemma-4"), changes))
    assert "every claim stays unjudged" in warning


def test_the_warning_reaches_the_plan(tmp_path: Path) -> None:
    settings = load_pipeline("mine", pipeline(tmp_path, "writer", "gemma-4"), [])
    plan = make_plan(replace(request_of("demo", tmp_path / "dir"), settings=settings, inputs=(URL,)))
    assert any("rewrite.ground.vision.engine" in warning for warning in plan.warnings)


def test_a_judge_that_shows_more_frames_than_its_engine_takes_is_refused_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"engines\.llm\.images_per_prompt=1: .*asks for 6; set .*=6"):
        load_pipeline("demo", None, ["rewrite.ground.judges=[vision]", "rewrite.ground.vision.engine=llm"])
