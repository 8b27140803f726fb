"""The vLLM engine: its arguments as pure functions, then one real engine with a tiny random vision-language model."""

from __future__ import annotations

import asyncio
import io
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from PIL import Image
from support.processes import still_running
from support.shard_factory import encode_root
from support.tiny_models import tiny_tokenizer

from curation.engines import decisions, process_lifetime
from curation.engines.chat_messages import PLAIN_TEMPLATE, ImageUrlPart, answer_text, chat, has_chat_template
from curation.engines.engine_interface import Answer, Exchange, FramesRef, ImageRef, Request
from curation.engines.engine_registry import engine_for
from curation.engines.request_images import UnreadableImage, load
from curation.engines.vllm.vllm_engine import VllmEngine, check_installed
from curation.engines.vllm.vllm_settings import VllmSettings, check_arguments, engine_arguments, environment
from runtime.errors import MachineError, UserError
from runtime.settings import build, content_hash

SCHEMA = {
    "type": "object",
    "properties": {
        "text": {"type": "string", "maxLength": 30},
        "evidence": {"type": "array", "items": {"type": "integer", "minimum": 0, "maximum": 9}, "maxItems": 3},
    },
    "required": ["text", "evidence"],
    "additionalProperties": False,
}


@pytest.fixture
def tar(tmp_path: Path) -> tuple[ImageRef, ...]:
    """Write three pictures into one file; return their positions."""
    path, data = tmp_path / "keyframes.tar", b""
    images: list[ImageRef] = []
    for colour in ("red", "blue", "white"):
        encoded = io.BytesIO()
        Image.new("RGB", (96, 80), colour).save(encoded, "JPEG")
        images.append(ImageRef(str(path), len(data), encoded.tell()))
        data += encoded.getvalue()
    path.write_bytes(data)
    return tuple(images)


# Settings and prompts: pure.


def test_a_vllm_argument_passes_through_and_wins_over_ours() -> None:
    settings = VllmSettings(model="path:///m", engine={"mm_processor_cache_gb": 2, "quantization": "awq"})
    arguments = engine_arguments(settings, "/m", on_cpu=True)
    assert (arguments["mm_processor_cache_gb"], arguments["quantization"]) == (2, "awq")


def test_a_processor_gets_a_bounded_cache_and_a_gpu_its_share_of_memory() -> None:
    settings = VllmSettings(model="path:///m")
    assert engine_arguments(settings, "/m", on_cpu=True)["kv_cache_memory_bytes"] == 2 << 30
    on_gpu = engine_arguments(settings, "/m", on_cpu=False)
    assert on_gpu["gpu_memory_utilization"] == 0.9
    assert "kv_cache_memory_bytes" not in on_gpu


def test_an_argument_with_a_setting_of_its_own_is_refused_in_engine() -> None:
    with pytest.raises(UserError, match="set tensor_parallel instead"):
        build(VllmSettings, {"model": "path:///m", "engine": {"tensor_parallel_size": 2}}, "engines.llm")


def test_an_argument_that_vllm_does_not_know_is_named_with_its_nearest_neighbour() -> None:
    with pytest.raises(UserError, match="did you mean 'quantization'"):
        check_arguments({"quantisation": "awq"}, ["quantization", "revision"])


def test_two_cores_are_both_used_and_a_large_machine_is_left_to_vllm() -> None:
    settings = VllmSettings(model="path:///m")
    assert environment(settings, {1, 0})["VLLM_CPU_OMP_THREADS_BIND"] == "0,1"
    assert "VLLM_CPU_OMP_THREADS_BIND" not in environment(settings, range(64))


def test_resources_are_no_part_of_what_is_hashed_but_the_model_and_its_arguments_are() -> None:
    plain = VllmSettings(model="path:///m")
    assert content_hash(plain) == content_hash(VllmSettings(model="path:///m", tensor_parallel=4, kv_cache_gb=9))
    assert content_hash(plain) != content_hash(VllmSettings(model="path:///m", engine={"quantization": "fp8"}))


def test_a_system_text_goes_in_front_of_the_users_where_the_template_has_no_such_role() -> None:
    messages = chat(Request("k", "rules", "question"), [], system_role=False)
    assert messages == [{"role": "user", "content": "rules\n\nquestion"}]


def test_images_stand_before_the_text_of_the_user_message() -> None:
    part: ImageUrlPart = {"type": "image_url", "image_url": {"url": "data:,"}}
    assert chat(Request("k", "", "what is it?"), [part])[0]["content"] == [
        part,
        {"type": "text", "text": "what is it?"},
    ]


def test_a_model_without_a_chat_template_such_as_blip2_gets_the_bare_texts(tmp_path: Path) -> None:
    tokenizer = tiny_tokenizer(chat_template=None)
    tokenizer.save_pretrained(tmp_path)
    assert not has_chat_template(tmp_path)
    rendered = [
        tokenizer.apply_chat_template(chat(request, []), chat_template=PLAIN_TEMPLATE, tokenize=False)
        for request in (Request("k", "", "a photo of"), Request("k", "Look closely.", "Question: what? Answer:"))
    ]
    assert rendered == ["a photo of", "Look closely.\n\nQuestion: what? Answer:"]


def test_control_characters_inside_a_json_answer_become_spaces() -> None:
    assert json.loads(answer_text(' {"text":"a\x0eb\n"}\n', is_json=True)) == {"text": "a b "}
    assert answer_text(" two\nlines\n", is_json=False) == "two\nlines"


def test_a_model_with_a_chat_template_keeps_it(tmp_path: Path) -> None:
    tiny_tokenizer().save_pretrained(tmp_path)
    assert has_chat_template(tmp_path)


def test_a_missing_vllm_is_answered_with_the_line_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"uv pip install -e '\.\[cpu\]'"):
        check_installed()


def test_an_image_cut_short_or_no_image_at_all_is_unreadable(tmp_path: Path, tar: tuple[ImageRef, ...]) -> None:
    with pytest.raises(UnreadableImage, match="were expected"):
        load(ImageRef(tar[2].url, tar[2].offset, tar[2].size + 1))
    with pytest.raises(UnreadableImage, match="not a readable"):
        load(ImageRef(tar[0].url, 5, 50))


# The real engine.


def answer(engine: VllmEngine, *requests: Request) -> dict[str, Answer]:
    return asyncio.run(engine.generate(requests))


@pytest.mark.engine
def test_answers_of_several_callers_come_back_under_their_own_keys(vlm_engine: VllmEngine) -> None:
    async def shards() -> list[dict[str, Answer]]:
        calls = [
            vlm_engine.generate([Request(f"{shard}-{i}", "be brief", f"say {i}", max_tokens=8) for i in range(20)])
            for shard in range(3)
        ]
        return await asyncio.gather(*calls)

    before = vlm_engine.stats()
    answers = asyncio.run(shards())
    assert [list(a) for a in answers] == [[f"{shard}-{i}" for i in range(20)] for shard in range(3)]
    assert all(a.key == key and a.error is None for call in answers for key, a in call.items())
    assert vlm_engine.stats().output_tokens - before.output_tokens == sum(
        a.output_tokens for call in answers for a in call.values()
    )


@pytest.mark.engine
def test_a_decision_has_the_probabilities_that_the_model_gives_to_its_options(
    vlm_engine: VllmEngine, vlm_settings: VllmSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch
    from transformers import AutoTokenizer, LlavaForConditionalGeneration

    monkeypatch.setattr(decisions, "LEAST_MASS", 0.0)  # of a random model no word is likely
    folder = vlm_settings.model.removeprefix("path://")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    request = Request("k", "judge", "is it red?", examples=(Exchange("is it blue?", "no"),))
    prompt = tokenizer.apply_chat_template(chat(request, []), add_generation_prompt=True, return_tensors="pt")
    model = LlavaForConditionalGeneration.from_pretrained(folder, dtype=torch.float32)
    with torch.no_grad():
        likely = model(**prompt).logits[0, -1].softmax(-1).topk(decisions.TOP_TOKENS)
    pairs = zip(likely.indices.tolist(), likely.values.tolist(), strict=True)
    words = {tokenizer.decode([index]).strip().casefold(): probability for index, probability in pairs}
    clear = [word for word in words if word.isalpha() and sum(w != "" and word.startswith(w) for w in words) == 1]
    one, other = clear[:2]
    decided = answer(vlm_engine, replace(request, options=(one, other)))["k"]
    share = words[one] / (words[one] + words[other])
    assert decided.probabilities == pytest.approx((share, 1 - share), abs=0.01)
    assert (decided.error, decided.text, decided.output_tokens) == (None, "", 1)


@pytest.mark.engine
def test_the_model_looks_at_the_image_that_is_stored_at_the_place_named(
    vlm_engine: VllmEngine, tar: tuple[ImageRef, ...]
) -> None:
    requests = [Request(str(i), "", "What do you see?", images=(tar[i],), max_tokens=12) for i in range(3)]
    answers = answer(vlm_engine, *requests)
    assert all(a.error is None and a.text for a in answers.values())
    assert len({a.text for a in answers.values()}) == 3, "different pictures are described differently"
    blind = answer(vlm_engine, Request("0", "", "What do you see?", max_tokens=12))
    assert answers["0"].prompt_tokens - blind["0"].prompt_tokens == 16, "a picture of 64 pixels is 16 patches of 16"


@pytest.mark.engine
def test_an_answer_follows_its_schema_without_white_space_with_and_without_an_image(
    vlm_engine: VllmEngine, tar: tuple[ImageRef, ...]
) -> None:
    requests = [
        Request(str(i), "", f"Answer {i}", images=tar[: i % 2], schema=SCHEMA, max_tokens=160) for i in range(12)
    ]
    for given in answer(vlm_engine, *requests).values():
        assert given.error is None
        values = json.loads(given.text)
        assert list(values) == ["text", "evidence"]
        assert len(values["text"]) <= 30
        assert '{"text":"' in given.text


@pytest.mark.engine
def test_what_one_request_can_not_have_is_its_own_error(vlm_engine: VllmEngine, tar: tuple[ImageRef, ...]) -> None:
    missing = ImageRef("/no/such/keyframes.tar", 0, 10)
    answers = answer(
        vlm_engine,
        Request("long", "", "word " * 5000),
        Request("no room", "", "word " * 180, max_tokens=1000),
        Request("cut", "", "say", schema=SCHEMA, max_tokens=3),
        Request("no image", "", "say", images=(missing,)),
        Request("many images", "", "say", images=tar),
        Request("bad schema", "", "say", schema={"type": "nonsense"}),
        Request("fine", "", "say", max_tokens=4),
    )
    found = {key: a.error and a.error.partition(":")[0] for key, a in answers.items()}
    assert found == {
        "long": "too_long",
        "no room": "too_long",
        "cut": "length",
        "no image": "image",
        "many images": "refused",
        "bad schema": "refused",
        "fine": None,
    }
    assert {key for key, a in answers.items() if a.is_cut} == {"cut", "fine"}


@pytest.mark.engine
def test_an_engine_that_dies_is_started_again_and_every_request_is_answered(vlm_engine: VllmEngine) -> None:
    requests = [Request(str(i), "", f"count to {i}", schema=SCHEMA, max_tokens=160) for i in range(40)]

    async def kill_in_the_middle() -> dict[str, Answer]:
        [core] = [p for p in psutil.Process().children(recursive=True) if "EngineCore" in p.name()]
        core.suspend()  # so that it can't have answered them all before it is killed
        asked = asyncio.create_task(vlm_engine.generate(requests))
        while not vlm_engine._engine.output_processor.has_unfinished_requests():
            await asyncio.sleep(0.01)
        core.kill()
        return await asked

    answers = asyncio.run(kill_in_the_middle())
    assert list(answers) == [r.key for r in requests]
    assert all(json.loads(a.text) for a in answers.values())


# Engines and their owners.

OWNER = """
import subprocess, sys, time
from curation.engines import decisions, process_lifetime
with process_lifetime.owner():
    child = subprocess.Popen([sys.executable, "-c", sys.argv[1]], stdout=subprocess.PIPE, text=True)
print(child.stdout.readline().strip(), flush=True)
time.sleep(600)
"""
LIKE_VLLM = """
import os, time
from vllm.plugins import load_general_plugins
load_general_plugins()
print(os.getpid(), flush=True)
time.sleep(600)
"""


@pytest.mark.slow
def test_a_process_that_loads_vllms_plugins_ends_when_its_owner_is_killed() -> None:
    pytest.importorskip("vllm")
    owner = subprocess.Popen([sys.executable, "-c", OWNER, LIKE_VLLM], stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    child = psutil.Process(int(owner.stdout.readline()))
    owner.kill()
    owner.wait()
    assert still_running([child]) == []


def test_a_process_without_an_owner_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(process_lifetime.OWNER_VARIABLE, raising=False)
    process_lifetime.join_parent()
    monkeypatch.setenv(process_lifetime.OWNER_VARIABLE, "nonsense")
    process_lifetime.join_parent()


def test_a_reused_process_number_is_not_taken_for_the_owner() -> None:
    me = psutil.Process()
    assert process_lifetime.is_alive(me.pid, me.create_time())
    assert not process_lifetime.is_alive(me.pid, me.create_time() - 3600)


@pytest.mark.engine
def test_a_folder_that_is_no_model_is_the_users_mistake(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises((UserError, MachineError), match="model"):
        engine_for(VllmSettings(model=f"path://{tmp_path}"))


@pytest.mark.engine
def test_a_clip_of_several_frames_is_one_request_and_another_order_is_another_answer(
    vlm_engine: VllmEngine, tmp_path: Path
) -> None:
    data = encode_root(64)
    (tmp_path / "root.mp4").write_bytes(data)
    stored = ImageRef(str(tmp_path / "root.mp4"), 0, len(data))
    asked = {
        name: Request(name, "", "What happens?", frames=FramesRef(stored, times, labels), schema=SCHEMA, max_tokens=160)
        for name, times, labels in (
            ("two", (0.1, 5.1), ("0.1 s:", "5.1 s:")),
            ("swapped", (5.1, 0.1), ("0.1 s:", "5.1 s:")),
            ("one", (0.1,), ("0.1 s:",)),
        )
    }
    answers = answer(vlm_engine, *asked.values())
    assert all(given.error is None and json.loads(given.text) for given in answers.values())
    tokens = {name: given.prompt_tokens for name, given in answers.items()}
    assert tokens["two"] == tokens["swapped"]
    assert tokens["two"] - tokens["one"] > 16, "the second picture has 16 patches and a label"
    refused = answer(vlm_engine, replace(asked["one"], frames=FramesRef(stored, (0.1,) * 9, ("x",) * 9)))["one"]
    assert refused.error is not None and refused.error.startswith("refused: ")


def test_a_request_may_hold_as_many_images_and_videos_as_the_settings_say() -> None:
    settings = VllmSettings(model="path:///m", images_per_prompt=16, videos_per_prompt=1)
    assert engine_arguments(settings, "/m", on_cpu=True)["limit_mm_per_prompt"] == {"image": 16, "video": 1, "audio": 0}
