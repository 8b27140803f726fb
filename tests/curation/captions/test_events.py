"""Events: what is asked of a vision-language model about a clip, and what is kept of its answers."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.answering import Answering

from curation.captions.events.event_answers import ClipEvent, EventFlaw, EventLimits, merge_repeated, parse_events
from curation.captions.events.event_observer import EventObserver, smallest_clips
from curation.captions.events.event_settings import EventSettings
from curation.captions.observation import Observation, observed_between
from curation.captions.observer import ShardPictures
from curation.captions.observer_registry import CaptionSettings
from curation.engines.engine_interface import Answer, Request
from curation.engines.request_frames import load_frames
from curation.pipeline import settings_class
from runtime.errors import UserError
from runtime.ray_runner.stage import LocalService
from runtime.settings import build
from shards.reader import read_table
from shards.storage.store import Store

LIMITS = EventLimits(seconds=10.0, max_events=4, event_chars=80, language="en")
SETTINGS = EventSettings(engine="vlm")


def event(start: object, end: object, text: object) -> dict[str, object]:
    return {"start": start, "end": end, "text": text}


def answer(*events: dict[str, object]) -> str:
    return json.dumps({"events": events})


def parsed(text: str, *, is_cut: bool = False) -> tuple[list[tuple[float, float, str]] | None, dict[str, int]]:
    """The events of an answer, and what was left out by reason."""
    flaws: Counter[EventFlaw] = Counter()
    events = parse_events(text, LIMITS, flaws, is_cut=is_cut)
    return events and [(each.start, each.end, each.text) for each in events], {k: v for k, v in flaws.items() if v}


# Answers


def test_events_are_read_in_order_of_time_whatever_stands_around_them() -> None:
    text = f"<think>{answer(event(0, 1, 'A draft.'))}</think>Sure:\n```json\n" + answer(
        event(5, 8, "A man sits down."), event(0, 4.5, "A man opens a door.")
    )
    assert parsed(text + "\n```") == ([(0, 4.5, "A man opens a door."), (5, 8, "A man sits down.")], {})


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (event(0, 99, "A man runs."), "outside"),
        (event(11, 12, "A man runs."), "outside"),
        (event(6, 2, "A man runs."), "backwards"),
        (event(-1, 2, "A man runs."), "garbage"),
        (event(True, 2, "A man runs."), "garbage"),
        (event(float("nan"), 2, "A man runs."), "garbage"),
        (event(0, 10**400, "A man runs."), "garbage"),
        (event("soon", 2, "A man runs."), "garbage"),
        (event(0, 2, ["A man runs."]), "garbage"),
        ({"text": "A man runs."}, "garbage"),
        (event(0, 2, "I'm sorry, but I can't help with that."), "refusal"),
        (event(0, 2, "None"), "empty"),
        (event(0, 2, ""), "empty"),
        (event(0, 2, "the man runs the man runs the man runs the man runs the man runs"), "loop"),
        (event(0, 2, "一位女士用刀切柠檬。"), "language"),
        (event(0, 2, "Un homme coupe un citron avec un couteau."), "language"),
    ],
)
def test_a_faulty_event_is_left_out_and_counted_and_the_others_are_kept(wrong: dict[str, object], reason: str) -> None:
    assert parsed(answer(event(3, 5, "A dog barks."), wrong)) == ([(3, 5, "A dog barks.")], {reason: 1})


def test_a_time_just_after_the_clip_is_its_end_and_times_may_be_texts() -> None:
    assert parsed(answer(event("0.5 s", "10.6", "A man runs."))) == ([(0.5, 10.0, "A man runs.")], {})


def test_what_is_told_again_is_one_event() -> None:
    told = answer(event(0, 2, "A man chops onions."), event(2, 4, "A man chops onions"), event(4, 6, "He leaves."))
    assert parsed(told) == ([(0, 4, "A man chops onions."), (4, 6, "He leaves.")], {"repeated": 1})


@pytest.mark.parametrize(("one", "other"), [("12", "13"), ("on", "off"), ("up", "down"), ("-1", "1"), ("5%", "5")])
def test_one_word_or_figure_makes_it_another_event(one: str, other: str) -> None:
    told = [ClipEvent(0, 1, f"The display goes {one} again."), ClipEvent(1, 2, f"The display goes {other} again.")]
    assert merge_repeated(told) == told


def test_events_that_are_far_apart_are_two() -> None:
    told = [ClipEvent(0, 1, "A man waves."), ClipEvent(8, 9, "The man waves")]
    assert merge_repeated(told, gap=2.0) == told
    assert merge_repeated(told) == [ClipEvent(0, 9, "A man waves.")]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("I'm sorry, I can't help with that.", "refusal"),
        ("", "empty"),
        ("A man opens a door.", "garbage"),
        ('{"event": []}', "garbage"),
        ('{"events": "none"}', "garbage"),
        ("[" * 5000, "empty"),
    ],
)
def test_an_answer_without_events_is_none_and_its_reason_is_counted(text: str, reason: str) -> None:
    assert parsed(text) == (None, {reason: 1})


def test_an_answer_that_was_cut_keeps_its_whole_events() -> None:
    whole = answer(event(0, 2, "A man opens a door."), event(2, 9, "He sits down and reads."))
    assert parsed(whole[:-20], is_cut=True) == ([(0, 2, "A man opens a door.")], {})
    assert parsed(whole[:-20]) == (None, {"garbage": 1})


def test_an_event_that_the_grammar_ended_within_a_word_is_marked() -> None:
    text = ("A man walks along the street, " * 4)[:80]
    events, _ = parsed(answer(event(0, 2, text)))
    assert events is not None and events[0][2].endswith("…") and len(events[0][2]) <= 80


def test_nothing_happens_is_an_answer() -> None:
    assert parsed(answer()) == ([], {})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["events", "start", "end", "text"]), inner)
    ),
    max_leaves=12,
)


@given(
    st.lists(JSON, max_size=4).map(lambda items: json.dumps({"events": items})) | st.text(max_size=60), st.booleans()
)
def test_whatever_a_model_answers_events_lie_in_the_clip_in_order_and_within_the_limits(
    text: str, is_cut: bool
) -> None:
    events = parse_events(text, LIMITS, Counter(), is_cut=is_cut) or []
    assert len(events) <= LIMITS.max_events
    assert [each.start for each in events] == sorted(each.start for each in events)
    for each in events:
        assert 0 <= each.start <= LIMITS.seconds and each.end <= LIMITS.seconds
        assert 0 < len(each.text) <= LIMITS.event_chars


# The observer


def observe(
    store: Store, model: Answering, settings: EventSettings = SETTINGS
) -> tuple[list[Observation], Counter[str]]:
    clips = read_table(store, "media/0000000.parquet").to_pylist()
    counts: Counter[str] = Counter()
    pictures = ShardPictures(store, {}, clips, "media/0000000.tar")
    return asyncio.run(EventObserver(model.service, settings).observe(pictures, counts)), counts


def two_events(request: Request) -> str:
    return answer(event(0, 2, f"{request.key} opens."), event(2, 4, f"{request.key} closes."))


def test_each_smallest_clip_is_one_request_with_labelled_frames_of_its_own_span(built: Store) -> None:
    model = Answering(two_events)
    observe(built, model)
    clips = smallest_clips(read_table(built, "media/0000000.parquet").to_pylist())
    requests = {request.key: request for request in model.requests}
    assert list(requests) == [clip["key"] for clip in clips] and len(clips) > 3
    for clip in clips:
        frames, seconds = requests[clip["key"]].frames, clip["end"] - clip["start"]
        assert frames is not None and 4 <= len(frames.times) <= 16
        assert all(clip["offset"] <= time < clip["offset"] + seconds for time in frames.times)
        assert frames.labels == tuple(f"{time - clip['offset']:.1f} s:" for time in frames.times)
        assert len(load_frames(frames)) == len(frames.times)
        assert f"lasts {round(seconds, 1)} seconds" in requests[clip["key"]].user


def test_events_have_times_of_the_video_and_longer_clips_get_those_of_their_children(built: Store) -> None:
    seen, counts = observe(built, Answering(two_events))
    clips = read_table(built, "media/0000000.parquet").to_pylist()
    for clip in smallest_clips(clips):
        own = [(each.start, each.end, each.text) for each in seen if (each.text or "").startswith(clip["key"])]
        first = clip["start"]
        assert own == [(first, first + 2, f"{clip['key']} opens."), (first + 2, first + 4, f"{clip['key']} closes.")]
    for root in (clip for clip in clips if clip["parent_key"] is None):
        of_root = [each for each in seen if each.root_key == root["key"]]
        assert list(observed_between(of_root, root["start"], root["end"])) == of_root
        children = [clip for clip in clips if clip["parent_key"] == root["key"]]
        told = [each for child in children for each in observed_between(of_root, child["start"], child["end"])]
        assert not children or told == of_root
    assert counts["events"] == len(seen) == 2 * counts["clips_watched"]


def test_a_clip_without_a_usable_answer_is_a_row_without_text_and_a_count(built: Store) -> None:
    replies: list[str | Answer] = [
        "I cannot assist.", Answer("", error="timeout"), answer(), answer(event(90, 99, "Late.")),
    ]  # fmt: skip

    def reply(request: Request) -> str | Answer:
        return replies.pop() if replies else two_events(request)

    seen, counts = observe(built, Answering(reply))
    assert sum(each.is_failure for each in seen) == counts["failed:events"] == 3
    assert (counts["events_refusal"], counts["events_outside"]) == (1, 1)


def test_an_answer_under_another_key_is_no_answer(built: Store) -> None:
    class Elsewhere:
        async def generate(self, requests: list[Request]) -> dict[str, Answer]:
            return {f"{request.key}x": Answer(f"{request.key}x", two_events(request)) for request in requests}

    clips = read_table(built, "media/0000000.parquet").to_pylist()
    counts: Counter[str] = Counter()
    observer = EventObserver(LocalService(Elsewhere()), SETTINGS)
    seen = asyncio.run(observer.observe(ShardPictures(built, {}, clips, "media/0000000.tar"), counts))
    assert all(each.is_failure for each in seen) and counts["failed:events"] == len(smallest_clips(clips))


def test_the_prompt_of_events_asks_in_its_own_language(built: Store) -> None:
    def reply(request: Request) -> str:
        return answer(event(0, 2, "Eine Frau schneidet eine Zitrone."), event(2, 4, "A woman cuts a lemon in two."))

    seen, counts = observe(built, Answering(reply))
    assert {each.text for each in seen} == {"A woman cuts a lemon in two."}
    assert counts["events_language"] == counts["clips_watched"]


def test_half_a_character_in_an_event_can_be_stored() -> None:
    events, _ = parsed('{"events": [{"start": 0, "end": 1, "text": "A man runs \\ud83d."}]}')
    assert events is not None and events[0][2].encode()


def test_frames_are_counted_by_the_length_of_the_clip_within_limits(built: Store) -> None:
    model = Answering(two_events)
    observe(
        built, model, EventSettings(engine="vlm", seconds_per_frame=0.5, min_frames=2, max_frames=12, as_video=True)
    )
    clips = smallest_clips(read_table(built, "media/0000000.parquet").to_pylist())
    for clip, request in zip(clips, model.requests, strict=True):
        assert request.frames is not None and request.frames.as_video
        assert len(request.frames.times) == min(12, round((clip["end"] - clip["start"]) / 0.5))


# Settings


def pipeline(**events: Any) -> dict[str, Any]:
    return {"engines": {"vlm": {"kind": "vllm", "model": "path:///m", "images_per_prompt": 8}},
            "caption": {"engine": "vlm", "events": {"engine": "vlm"} | events}}  # fmt: skip


@pytest.mark.parametrize(
    ("events", "words"),
    [
        ({}, r"engines\.vlm\.images_per_prompt=8: caption\.events\.engine='vlm' asks for 16; set engines\.vlm\.images"),
        ({"as_video": True}, r"engines\.vlm\.videos_per_prompt=0: .* asks for 1"),
        ({"min_frames": 9, "max_frames": 8}, "min_frames=9 is above max_frames=8"),
        ({"engine": "vlx", "max_frames": 8}, r"caption\.events\.engine='vlx': no such engine \(did you mean 'vlm'"),
        ({"max_frames": 8, "prompt": "event"}, "prompt event: no such prompt"),
    ],
)
def test_settings_that_cannot_work_are_refused_in_one_line(events: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words):
        build(settings_class(), pipeline(**events), "mine").branch(CaptionSettings).content()


def test_frames_within_the_engines_limit_are_accepted() -> None:
    build(settings_class(), pipeline(max_frames=8), "mine")


def test_a_prompt_of_ones_own_can_use_the_fields(tmp_path: Path) -> None:
    path = tmp_path / "mine.md"
    path.write_text("---\nname: mine\nversion: 1\n---\n# system\n\n# user\n$frames frames in $seconds s\n")
    assert EventSettings(prompt=str(path)).load_prompt().render(frames=4, seconds=2.5)[1] == "4 frames in 2.5 s"
