"""The text of a clip: supported claims in order of time, each once, within a limit of tokens."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.captions.frame_captions import FrameCaption
from curation.captions.observation import Observation
from curation.grounding.claim_text import TextLimit, claims_as_text
from curation.grounding.claims import Verdict
from curation.grounding.evidence import gather_evidence
from curation.prompts.same_statement import covers, same_words
from curation.text.text_tower_tokens import count_tokens

EVENTS = [Observation("r", "event", 0.0, 9.0, "A man chops."), Observation("r", "event", 9.0, 10.0, "He waves.")]
EVIDENCE = gather_evidence([FrameCaption(time, f"frame {time}") for time in (1.0, 5.0, 9.5)], (), 5.0, EVENTS)


def claim(text: str, *ids: str) -> Verdict:
    return Verdict(text, "supported", ids)


def words(limit: int) -> TextLimit:
    return TextLimit(limit, lambda text: len(text.split()))


def text_of(*claims: Verdict, limit: TextLimit | None = None) -> str:
    return claims_as_text(claims, EVIDENCE, limit).text


def test_claims_are_in_order_of_the_time_of_their_evidence() -> None:
    late, early = claim("He waves", "event@9.0-10.0"), claim("A man chops", "words@0.0-1.0", "event@0.0-9.0")
    assert text_of(late, early) == "A man chops. He waves."
    spoken_early = claim("He waves", "words@0.0-1.0", "event@9.0-10.0")
    assert text_of(spoken_early, claim("A dog barks", "frame@5.0")) == "A dog barks. He waves."


def test_of_two_claims_that_say_the_same_the_fuller_one_is_told_once_at_the_earlier_time() -> None:
    made = claims_as_text(
        [
            claim("A man chops onions in a kitchen.", "frame@9.5"),
            claim("A dog barks.", "frame@5.0"),
            claim("The man chops onions", "frame@1.0"),
        ],
        EVIDENCE,
        None,
    )
    assert (made.text, made.repeated) == ("A man chops onions in a kitchen. A dog barks.", 1)


def test_a_text_that_is_too_long_keeps_the_claims_that_cover_most_of_the_clip_in_order_of_time() -> None:
    claims = [
        claim("A cat sits there", "frame@1.0"),
        claim("A man chops onions", "event@0.0-9.0"),
        claim("He waves once", "event@9.0-10.0"),
    ]
    made = claims_as_text(claims, EVIDENCE, words(8))
    assert (made.text, made.over_limit) == ("A cat sits there. A man chops onions.", 1)
    assert claims_as_text(claims, EVIDENCE, words(7)).text == "A man chops onions. He waves once."
    assert claims_as_text(claims, EVIDENCE, words(4)).text == "A man chops onions."


def test_a_claim_that_is_too_long_by_itself_is_cut_at_a_clause_and_counted() -> None:
    made = claims_as_text([claim("A man chops onions, then he stirs the pan", "frame@1.0")], EVIDENCE, words(6))
    assert (made.text, made.over_limit) == ("A man chops onions…", 1)


def test_overlapping_evidence_is_not_counted_twice() -> None:
    twice = claim("A cat sleeps there", "event@9.0-10.0", "frame@9.5")
    assert text_of(twice, claim("A man chops onions", "event@0.0-9.0"), limit=words(5)) == "A man chops onions."


TEXTS = st.lists(
    st.sampled_from(["a man", "chops", "two onions,", "面包在桌上。", "not", "🙂", "x" * 90, "."]), max_size=40
)


@settings(max_examples=25, deadline=None)
@given(st.lists(TEXTS.map(" ".join), min_size=1, max_size=4))
def test_no_text_is_longer_than_the_text_tower_reads_in_any_language(texts: list[str]) -> None:
    made = claims_as_text([claim(text or "x", "frame@1.0") for text in texts], EVIDENCE, TextLimit(77, count_tokens))
    assert count_tokens(made.text) <= 77


def test_tokens_are_those_of_the_trainers_text_tower() -> None:
    from open_clip.tokenizer import SimpleTokenizer

    for text in ("A man chops two onions.", "面包在桌上", "Été à la plage 🙂", "", "x" * 60):
        (tokens,) = SimpleTokenizer(context_length=300)([text])
        assert count_tokens(text) == int((tokens != 0).sum())


@pytest.mark.parametrize(
    ("longer", "shorter"),
    [
        ("A man chops onions in a kitchen.", "the man chops onions"),
        ("A cheetah is standing in the grass", "A cheetah stands in grass."),
        ("一只猫坐在桌子上", "一只猫坐在桌子上。"),
        ("Two dogs run", "two dogs run"),
    ],
)
def test_a_statement_covers_one_with_fewer_words_or_other_forms_of_them(longer: str, shorter: str) -> None:
    assert covers(longer, shorter)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("The light goes on", "The light goes off"),
        ("A man opens the door", "A man closes the door"),
        ("Two dogs run", "Three dogs run"),
        ("The display shows 12", "The display shows 13"),
        ("A man wears a hat", "A man wears no hat"),
        ("There is not a dog in the room", "There is a dog"),
        ("A dog chases a cat", "A cat chases a dog"),
        ("男人在左边跑步", "男人在右边跑步"),
        ("A boat is on the water", "A goat is on the water"),
        ("A man", "A man who sings on a boat"),
    ],
)
def test_statements_that_differ_do_not_cover_each_other(one: str, other: str) -> None:
    assert not covers(one, other)


def test_the_same_words_are_told_by_their_order_too() -> None:
    assert same_words("The man waves!", "a man waves")
    assert not same_words("A dog bites a man", "A man bites a dog")


def test_claims_are_joined_as_their_language_does() -> None:
    told = [claim("一只猫坐在桌子上", "frame@1.0"), claim("一只狗在跑。", "frame@5.0")]
    assert text_of(*told) == "一只猫坐在桌子上。一只狗在跑。"
    thai = [claim("แมวนั่งบนโต๊ะ", "frame@1.0"), claim("สุนัขกำลังวิ่ง", "frame@5.0")]
    assert text_of(*thai) == "แมวนั่งบนโต๊ะ สุนัขกำลังวิ่ง"


def test_a_claim_in_chinese_that_is_too_long_is_cut_at_a_clause() -> None:
    long = claim(
        "一个穿红色外套的男人在厨房里切洋葱，" * 2 + "然后他把洋葱放进锅里慢慢地翻炒直到变成金黄色", "frame@1.0"
    )
    made = claims_as_text([long], EVIDENCE, TextLimit(77, count_tokens))
    assert made.text.startswith("一个穿红色外套的男人在厨房里切洋葱") and made.text.endswith("…")
    assert count_tokens(made.text) <= 77
