"""The caption and rewrite workers over a real DIR: tables in, tables out, the engine alone is a fake."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Mapping
from pathlib import Path

import pytest
from support.answering import Answering, asks_for_claims, claims_json
from support.shard_factory import CAPTION_SET, build_dir

from curation.captions.frame_captions import CaptionSettings
from curation.engines.engine_interface import ImageRef, Request, Seen
from curation.engines.openai_endpoint import EndpointSettings
from curation.engines.vllm_settings import VllmSettings
from curation.filters.clip_filters import FilterSettings, WordLimits
from curation.text.rewriter import RewriteSettings
from curation.text.text_rows import ModelNames
from curation.text.text_stages import (
    CaptionWorker,
    caption_hash,
    caption_worker,
    model_names,
    rewrite_hash,
    rewrite_worker,
)
from runtime.errors import MachineError
from runtime.ray_runner.stage import LocalService, ShardResult
from shards.keys import split_of
from shards.reader import read_artifact, read_table
from shards.schema import CAPTIONS, CLIPS, LEDGER, REWRITE_STATUSES, TEXT
from shards.storage.store import Store
from shards.storage.tar import TarWriter, read_span
from shards.writer import Artifact, commit_shard_media

REWRITE = RewriteSettings(engine="llm")
NAMES = ModelNames("tagger", "llm", "summary@1+grounded_rewrite@1")
MEDIA = "media/0000000.parquet"
MINE = "captions/mine/0000000.parquet"
TEXTS = "text/mine/0000000.parquet"


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Store:
    return build_dir(tmp_path_factory.mktemp("dir"), shards=1)


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    return tmp_path / "scratch"


def answer(request: Request) -> str:
    if request.images:
        return f"a grey wall at byte {request.images[0].offset}"
    if asks_for_claims(request):
        return claims_json(("A grey wall", ["F1"]), ("A dragon", ["F1"]))
    return "word1"


def caption(store: Store, scratch: Path, model: Answering, name: str = "mine") -> ShardResult:
    settings = CaptionSettings(engine="vlm")
    worker = caption_worker(store.root, str(scratch), f"captions/{name}", settings, "c-hash", {"vlm": model.service})
    return asyncio.run(worker.process(0))


def rewrite(
    store: Store,
    scratch: Path,
    model: Answering,
    captions: str = f"captions/{CAPTION_SET}",
    filters: FilterSettings | None = None,
) -> ShardResult:
    worker = rewrite_worker(
        store.root, str(scratch), captions, "text/mine", REWRITE, filters or FilterSettings(), 50.0, NAMES, "t-hash",
        {"llm": model.service},
    )  # fmt: skip
    return asyncio.run(worker.process(0))


def empty_shard(root: Path) -> Store:
    """A DIR whose one shard holds no clip at all."""
    store = Store(root / "empty")
    with TarWriter(root / "m.tar") as media, TarWriter(root / "k.tar") as keyframes:
        pass
    ledger, clips = LEDGER.empty_table(), CLIPS.empty_table()
    commit_shard_media(store, root, 0, media, keyframes, ledger, clips, Artifact("media", "m-hash"))
    return store


# Captions


def test_every_keyframe_of_the_tar_gets_one_row_in_order_of_root_and_time(built, scratch):
    model = Answering(answer)
    result = caption(built, scratch, model)
    table = read_table(built, MINE)
    rows = table.to_pylist()
    stills = read_table(built, f"captions/{CAPTION_SET}/0000000.parquet").to_pylist()
    assert table.schema.equals(CAPTIONS, check_metadata=False)
    expected = sorted((row["root_key"], row["time"]) for row in stills)
    assert [(row["root_key"], row["time"]) for row in rows] == expected
    assert result == ShardResult({"keyframes": len(rows), "tokens": 6 * len(rows)})


def test_the_captioner_is_pointed_at_the_bytes_of_that_very_keyframe(built, scratch):
    class Looking:
        def __init__(self) -> None:
            self.images: Mapping[str, ImageRef] = {}

        async def caption(self, images: Mapping[str, ImageRef]) -> dict[str, Seen]:
            self.images = images
            return {key: Seen(key) for key in images}

    captioner = Looking()
    asyncio.run(CaptionWorker(built, scratch, "captions/bytes", captioner, "h").process(0))
    assert captioner.images
    for image in captioner.images.values():
        assert image.url == built.path("keyframes/0000000.tar")
        data = read_span(built, "keyframes/0000000.tar", image.offset, image.size)
        assert data.startswith(b"\xff\xd8") and data.endswith(b"\xff\xd9")


def test_captions_say_which_media_they_were_made_from(built, scratch):
    caption(built, scratch, Answering(answer))
    artifact = read_artifact(built, MINE)
    assert (artifact.stage, artifact.content_hash) == ("caption", "c-hash")
    assert artifact.inputs == {MEDIA: read_artifact(built, MEDIA).digest}


def test_a_keyframe_that_fails_is_a_null_and_a_count(built, scratch):
    class Doubtful:
        async def caption(self, images: Mapping[str, ImageRef]) -> dict[str, Seen]:
            first, second, *rest = images
            seen = {first: Seen(None, error="image: broken"), second: Seen(None, confidence=0.1)}
            return seen | {key: Seen("a wall", 0.5) for key in rest}

    result = asyncio.run(CaptionWorker(built, scratch, "captions/doubt", Doubtful(), "h").process(0))
    assert result.counts["failed:caption"] == 1
    rows = read_table(built, "captions/doubt/0000000.parquet").to_pylist()
    assert [(row["caption"], row["confidence"] is None) for row in rows[:3]] == [
        (None, True), (None, False), ("a wall", False),
    ]  # fmt: skip


# Text


def test_a_text_layer_has_the_schema_and_the_rows_of_media_in_order(built, scratch):
    result = rewrite(built, scratch, Answering(answer))
    assert result.fatal is None
    table, media = read_table(built, TEXTS), read_table(built, MEDIA)
    assert table.schema.equals(TEXT, check_metadata=False)
    for name in ("key", "parent_key", "start", "end", "subtitle", "level", "num_frames", "offset"):
        assert table[name].to_pylist() == media[name].to_pylist()
    assert result.counts["clips"] == media.num_rows


def test_rows_hold_the_captions_of_their_own_span_and_only_supported_text(built, scratch):
    rewrite(built, scratch, Answering(answer))
    for row in read_table(built, TEXTS).to_pylist():
        assert row["frame_captions"]
        assert all(row["start"] <= frame["time"] < row["end"] for frame in row["frame_captions"])
        assert (row["grounded_text"], row["rewrite_status"], row["grounding_score"]) == ("A grey wall.", "ok", 0.5)
        assert [claim["verdict"] for claim in row["claims"]] == ["supported", "unsupported"]
        assert row["claims"][0]["evidence"] == [f"frame@{row['frame_captions'][0]['time']}"]
        assert row["subtitle_summary"] is None or row["subtitle_summary"] in row["subtitle"]


def test_rows_name_models_prompts_and_split(built, scratch):
    rewrite(built, scratch, Answering(answer))
    for row in read_table(built, TEXTS).to_pylist():
        asr = "test" if row["subtitle_origin"] == "asr:test" else None
        assert row["models"] == {"asr": asr, "captioner": "tagger", "rewriter": "llm", "prompt": NAMES.prompt}
        assert row["split"] == split_of(row["video_id"], 50.0)


def test_a_layer_says_which_media_and_captions_it_was_made_from(built, scratch):
    caption(built, scratch, Answering(answer))
    rewrite(built, scratch, Answering(answer), "captions/mine")
    artifact = read_artifact(built, TEXTS)
    assert artifact.inputs == {name: read_artifact(built, name).digest for name in (MEDIA, MINE)}


def test_filters_mark_rows_and_remove_none(built, scratch):
    filters = FilterSettings(words={"short": WordLimits(min=100)})
    result = rewrite(built, scratch, Answering(answer), filters=filters)
    rows = read_table(built, TEXTS).to_pylist()
    assert len(rows) == read_table(built, MEDIA).num_rows
    for row in rows:
        assert (row["keep"], row["filter_reason"]) == ((False, "words") if row["level"] == "short" else (True, None))
    assert result.counts["dropped:words"] + result.counts["kept"] == len(rows)


def test_statuses_are_counted_and_add_up_to_the_clips(built, scratch):
    counts = rewrite(built, scratch, Answering(lambda request: "garbage")).counts
    assert sum(counts.get(f"status:{status}", 0) for status in REWRITE_STATUSES) == counts["clips"]
    assert counts["status:fallback"] == counts["clips"]
    assert counts["failed:rewrite"] == counts["clips"]


def test_a_clip_of_doubtful_keyframes_abstains_and_one_of_failed_keyframes_fails(built, scratch):
    class Blind:
        def __init__(self, seen: Seen) -> None:
            self._seen = seen

        async def caption(self, images: Mapping[str, ImageRef]) -> dict[str, Seen]:
            return dict.fromkeys(images, self._seen)

    for seen, status in ((Seen(None, confidence=0.1), "abstained"), (Seen(None, error="timeout"), "failed")):
        asyncio.run(CaptionWorker(built, scratch, "captions/blind", Blind(seen), "h").process(0))
        rewrite(built, scratch, Answering(answer), "captions/blind")
        rows = read_table(built, TEXTS).to_pylist()
        assert {(row["rewrite_status"], row["grounded_text"], row["caption"]) for row in rows} == {(status, None, None)}


def test_the_same_answers_give_the_same_artifact(built, scratch):
    digests = []
    for _ in range(2):
        rewrite(built, scratch, Answering(answer))
        digests.append(read_artifact(built, TEXTS).digest)
    assert digests[0] == digests[1]


# What must not be passed over


def test_a_shard_without_clips_still_gets_its_empty_tables(tmp_path, scratch):
    store = empty_shard(tmp_path)
    model = Answering(answer)
    assert caption(store, scratch, model).fatal is None
    assert rewrite(store, scratch, model, "captions/mine").fatal is None
    assert read_table(store, MINE).num_rows == read_table(store, TEXTS).num_rows == 0
    assert read_table(store, TEXTS).schema.equals(TEXT, check_metadata=False)
    assert model.batches == []


def test_captions_of_other_media_are_refused(tmp_path, scratch):
    store = build_dir(tmp_path / "dir", shards=1, videos_per_shard=1)
    caption(store, scratch, Answering(answer))
    with TarWriter(tmp_path / "m.tar") as media, TarWriter(tmp_path / "k.tar") as keyframes:
        keyframes.add("other.0.jpg", b"x")
    ledger, clips = read_table(store, "ledger/0000000.parquet"), read_table(store, MEDIA)
    commit_shard_media(store, tmp_path, 0, media, keyframes, ledger, clips, Artifact("media", "m-hash"))
    result = rewrite(store, scratch, Answering(answer), "captions/mine")
    assert result.fatal is not None and "run the caption stage again" in result.fatal
    assert not store.exists(TEXTS)


def test_a_dead_engine_ends_the_run_with_one_line_and_commits_nothing(built, scratch):
    class Dead(Answering):
        async def generate(self, requests):
            raise MachineError("the engine died\nthree times")

    before = built.exists("captions/dead/0000000.parquet")
    result = caption(built, scratch, Dead(answer), "dead")
    assert result.fatal == "caption 0000000: the engine died three times"
    assert not before and not built.exists("captions/dead/0000000.parquet")
    assert rewrite(built, scratch, Dead(answer)).fatal == "rewrite 0000000: the engine died three times"


def test_a_full_disk_ends_the_run_with_one_line(built, scratch, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Store, "commit", full)
    assert "No space left" in (rewrite(built, scratch, Answering(answer)).fatal or "")


def test_a_shard_whose_media_is_gone_ends_the_run_with_its_name(tmp_path, scratch):
    result = caption(Store(tmp_path / "nothing"), scratch, Answering(answer))
    assert result.fatal is not None and MEDIA in result.fatal


def test_an_error_of_the_program_is_not_hidden(built, scratch):
    class Wrong:
        async def caption(self, images: Mapping[str, ImageRef]) -> dict[str, Seen]:
            raise KeyError("bug")

    with pytest.raises(KeyError):
        asyncio.run(CaptionWorker(built, scratch, "captions/bug", Wrong(), "h").process(0))


def test_several_shards_may_be_in_flight_in_one_worker(tmp_path, scratch):
    store = build_dir(tmp_path / "dir", shards=3, videos_per_shard=1)
    worker = rewrite_worker(
        store.root, str(scratch), f"captions/{CAPTION_SET}", "text/mine", REWRITE, FilterSettings(), 1.0, NAMES, "h",
        {"llm": LocalService(Answering(answer))},
    )  # fmt: skip

    async def all_at_once() -> list[ShardResult]:
        return await asyncio.gather(*(worker.process(shard) for shard in range(3)))

    assert [result.fatal for result in asyncio.run(all_at_once())] == [None] * 3
    for shard in range(3):
        media, text = (read_table(store, f"{folder}/000000{shard}.parquet") for folder in ("media", "text/mine"))
        assert media["key"].to_pylist() == text["key"].to_pylist()


# Hashes and names


def engines(tmp_path: Path, **changes: object) -> dict[str, VllmSettings | EndpointSettings]:
    (tmp_path / "model").mkdir(exist_ok=True)
    local = VllmSettings.model_validate({"model": f"path://{tmp_path}/model"} | changes)
    return {"vlm": local, "llm": EndpointSettings(model="big-llm", base_url="http://127.0.0.1:1/v1")}


def test_hashes_cover_content_and_not_how_things_run(tmp_path):
    settings = CaptionSettings(engine="vlm")
    plain = caption_hash(settings, engines(tmp_path))
    assert plain == caption_hash(settings, engines(tmp_path, in_flight=3))
    assert plain != caption_hash(settings, engines(tmp_path, max_model_len=99))
    assert plain != caption_hash(CaptionSettings(engine="vlm", max_tokens=7), engines(tmp_path))
    one = rewrite_hash(REWRITE, FilterSettings(), 1.0, engines(tmp_path), "mine", plain)
    assert one == rewrite_hash(REWRITE, FilterSettings(), 1.0, engines(tmp_path), "mine", plain)
    assert one != rewrite_hash(REWRITE, FilterSettings(min_motion=0.1), 1.0, engines(tmp_path), "mine", plain)
    assert one != rewrite_hash(REWRITE, FilterSettings(), 2.0, engines(tmp_path), "mine", plain)
    assert one != rewrite_hash(REWRITE, FilterSettings(), 1.0, engines(tmp_path), "mine", "other")


def test_names_say_which_models_and_prompts_made_a_row(tmp_path):
    names = model_names(CaptionSettings(engine="vlm"), REWRITE, engines(tmp_path))
    assert names == ModelNames("model", "big-llm", "caption@1+summary@1+grounded_rewrite@1")
    assert model_names(CaptionSettings(), RewriteSettings(), {}).rewriter is None
