"""Summaries: trimmed, checked against their source, and null without a usable answer."""

from __future__ import annotations

import pytest
from support.answering import Answering
from support.rewriting import clip, rewrite

from curation.engines.engine_interface import Answer
from curation.text.rewrite_settings import RewriteSettings
from curation.text.summaries import clean_summary
from runtime.text.word_units import count_words


def test_a_summary_never_has_more_words_than_allowed() -> None:
    model = Answering(lambda request: " ".join(f"word{number}" for number in range(40)))
    (result,), counts = rewrite(model, [clip()], RewriteSettings(engine="llm", summary_coverage=0.0))
    assert (result.subtitle_summary or "").split() == [*(f"word{number}" for number in range(24)), "word24…"]
    assert counts["summaries_trimmed"] == 2


def test_a_summary_that_says_what_its_source_does_not_is_dropped() -> None:
    model = Answering(lambda request: "Buy gold coins at www.example.org today")
    (result,), counts = rewrite(model, [clip()])
    assert (result.subtitle_summary, result.caption_summary) == (None, None)
    assert counts["summaries_unsupported"] == 2


def test_the_check_of_summaries_can_be_turned_off() -> None:
    model = Answering(lambda request: "Somebody cooks dinner")
    (result,), _ = rewrite(model, [clip()], RewriteSettings(engine="llm", summary_coverage=0.0))
    assert result.subtitle_summary == "Somebody cooks dinner"


@pytest.mark.parametrize("reply", ["", "\n\n", Answer("", error="timeout"), Answer("", "text", "refused: no")])
def test_a_summary_without_a_usable_answer_is_null_and_counted(reply: str | Answer) -> None:
    (result,), counts = rewrite(Answering(lambda request: reply), [clip()])
    assert result.subtitle_summary is None
    assert counts["failed:summary"] == 2


@pytest.mark.parametrize(
    "reply", ["I'm sorry, but I can't help with that.", "<think> onions", "None", "a red onion in " * 8]
)
def test_an_answer_that_is_no_summary_is_null_even_without_the_check(reply: str) -> None:
    settings = RewriteSettings(engine="llm", summary_coverage=0.0)
    (result,), counts = rewrite(Answering(lambda request: reply), [clip()], settings)
    assert (result.subtitle_summary, counts["failed:summary"]) == (None, 2)


def test_a_speaker_s_own_apology_is_no_refusal() -> None:
    spoken = "I'm sorry that the onions burned"
    (result,), _ = rewrite(Answering(lambda request: spoken), [clip(subtitle=spoken)])
    assert result.subtitle_summary == spoken


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ('Sure! Here is a summary in a single sentence:\n\n"A man cooks."\n\nLet me know!', "A man cooks."),
        ("Here's the sentence: A man cooks.", "A man cooks."),
        ("Summary: Here at noon: lunch", "Here at noon: lunch"),
        ("A man cooks: soup.", "A man cooks: soup."),
        ("<think>Onions?\nSoup?</think>\n**Summary:** A man cooks.<|im_end|>", "A man cooks."),
    ],
)
def test_what_chat_models_put_around_a_summary_is_taken_off(raw: str, clean: str) -> None:
    assert clean_summary(raw) == clean


@pytest.mark.parametrize("text", ["".join(map(chr, range(0x4E00, 0x4EF0))), "".join(map(chr, range(0xE01, 0xE2F))) * 2])
def test_a_long_text_in_a_script_without_spaces_is_summarized_in_as_few_words(text: str) -> None:
    settings = RewriteSettings(engine="llm", summary_words=20, summarize_over_words=20)
    model = Answering(lambda request: text)
    (result,), counts = rewrite(model, [clip(subtitle=text)], settings)
    assert "c0/subtitle_summary" in [request.key for request in model.requests]
    assert 15 <= count_words(result.subtitle_summary or "") <= 20
    assert counts["summaries_trimmed"] == 1


LION_KEPT = "A lion with a big brown mane."
LION = "Our next animal is a lion with a big brown mane. Lions sleep for about 20 hours every day."


@pytest.mark.parametrize(
    ("reply", "kept"),
    [
        ("The text is about a lion. It has a mane and sleeps for 20 hours a day.", None),
        ("A lion with a big brown mane. The film is about a long journey, and the narrator is", LION_KEPT),
        ("A lion with a big brown mane. It hunts zebras in the dark forest.", LION_KEPT),
        ("A lion with a big brown mane. The sentence is in a single sentence with no extra words.", LION_KEPT),
    ],
)
def test_a_summary_ends_before_the_first_sentence_that_is_broken_off_invented_or_the_prompt_s(
    reply: str, kept: str | None
) -> None:
    answer = Answer("", reply, ended_at_limit=not reply.endswith("."))
    (result,), counts = rewrite(Answering(lambda request: answer), [clip(subtitle=LION, captions=())])
    assert result.subtitle_summary == (kept or reply)
    assert counts["summaries_trimmed"] == (kept is not None)


@pytest.mark.parametrize("prompt", ["summary", "summary_vidla"])
@pytest.mark.parametrize("coverage", [0.0, 0.75])
def test_the_prompt_s_own_words_are_no_summary(prompt: str, coverage: float) -> None:
    settings = RewriteSettings(engine="llm", summary_prompt=prompt, summary_coverage=coverage)
    model = Answering(lambda request: "The sentence is in a single sentence with no extra words.")
    (result,), counts = rewrite(model, [clip(subtitle=LION, captions=())], settings)
    assert (result.subtitle_summary, counts["summaries_prompt"], counts["failed:summary"]) == (None, 1, 1)


def test_words_of_the_prompt_that_the_text_says_too_are_its_own() -> None:
    spoken = "A sentence is made of words, and a single sentence says one thing."
    (result,), _ = rewrite(Answering(lambda request: "A sentence is made of words."), [clip(subtitle=spoken)])
    assert result.subtitle_summary == "A sentence is made of words."


def test_a_summary_cut_within_its_first_sentence_is_null_and_counted() -> None:
    answer = Answer("", "A lion with a big brown mane sleeps for", ended_at_limit=True)
    (result,), counts = rewrite(Answering(lambda request: answer), [clip(subtitle=LION, captions=())])
    assert (result.subtitle_summary, counts["summaries_cut"]) == (None, 1)


def test_a_summary_over_the_limit_ends_at_a_sentence_or_a_clause() -> None:
    settings = RewriteSettings(engine="llm", summary_words=8)
    for reply, kept in (
        ("A lion sleeps. Lions sleep for about 20 hours every day.", "A lion sleeps."),
        ("A lion with a mane, a big brown mane, for about 20 hours.", "A lion with a mane…"),
    ):
        (result,), _ = rewrite(Answering(lambda request, r=reply: r), [clip(subtitle=LION, captions=())], settings)
        assert result.subtitle_summary == kept
