"""The figures of a card, against plain counts over the rows of the tables."""

from __future__ import annotations

from collections import Counter
from typing import Any

import duckdb
import numpy as np
import pytest
from support.selections import marked_rows
from support.shard_factory import LAYER

from curation.sources.source_states import SourceStates
from curation.view.card.card_facts import CardFacts, card_facts
from curation.view.card.facts.card_tables import card_tables
from curation.view.card.facts.clip_sample import SIZE, Candidate, take_turns
from curation.view.card.facts.distributions import bar_width
from curation.view.sql_tables import site_sql
from runtime.text.word_units import count_words
from shards.selections.marked_texts import find_selection
from shards.storage.store import Store


@pytest.fixture(scope="module")
def facts(whole: Store) -> CardFacts:
    """The facts of the DIR."""
    return card_facts(whole, LAYER, find_selection(whole, LAYER))


@pytest.fixture(scope="module")
def kept(whole: Store) -> list[dict[str, Any]]:
    """The kept clips with their texts."""
    return [row for row in marked_rows(whole.root, LAYER) if row["keep"]]


def test_clips_and_hours_of_a_level_are_those_of_its_rows(facts: CardFacts, kept: list[dict[str, Any]]) -> None:
    for level in facts.levels:
        own = [row for row in kept if row["level"] == level.level]
        assert level.kept == len(own)
        assert level.kept_hours == pytest.approx(sum(row["end"] - row["start"] for row in own) / 3600)
        assert level.with_speech == sum(bool(row["subtitle"]) for row in own)


def test_hours_of_the_kept_clips_count_each_second_once(facts: CardFacts, kept: list[dict[str, Any]]) -> None:
    seconds = {
        (row["video_id"], tenth) for row in kept for tenth in range(round(row["start"] * 100), round(row["end"] * 100))
    }
    assert facts.totals.kept_hours == pytest.approx(len(seconds) / 100 / 3600)
    assert sum(share.hours for share in facts.languages) == pytest.approx(facts.totals.kept_hours)


def test_parts_beyond_the_limit_are_counted_as_one(whole: Store) -> None:
    with card_tables(whole, LAYER, find_selection(whole, LAYER)) as tables:
        all_parts, two = tables.shares("level", 3), tables.shares("level", 1)
    assert [(share.name, share.clips) for share in two] == [
        (all_parts[0].name, all_parts[0].clips),
        ("2 others", all_parts[1].clips + all_parts[2].clips),
    ]


def test_words_have_the_mean_and_quantiles_of_the_texts(facts: CardFacts, kept: list[dict[str, Any]]) -> None:
    measured = {each.column: each.by_level for each in facts.lengths}
    words = [count_words(row["caption"]) for row in kept if row["level"] == "medium"]
    found = measured["caption_words"]["medium"]
    assert found is not None
    assert (found.count, found.mean) == (len(words), pytest.approx(np.mean(words)))
    assert [found.low, found.median, found.high] == pytest.approx(np.quantile(words, [0.05, 0.5, 0.95]))


def test_the_bars_of_a_histogram_hold_every_value_once(facts: CardFacts) -> None:
    for measured in facts.lengths:
        for found in measured.by_level.values():
            if found is not None:
                assert sum(found.histogram.counts) == found.count
                assert found.histogram.edges[0] <= found.smallest <= found.largest < found.histogram.edges[-1]


def test_sources_have_the_states_that_status_shows(whole: Store, facts: CardFacts) -> None:
    assert facts.sources is not None
    states = Counter((each.state, each.class_) for each in list(SourceStates(whole).all()))
    assert {(each.state, each.class_): each.sources for each in facts.sources.outcomes} == states


def test_a_selection_says_what_each_reason_took(facts: CardFacts) -> None:
    (selection,) = facts.selections
    assert selection.clips == selection.kept + sum(clips for _, clips in selection.taken)
    assert [(each.reason, each.clips) for each in facts.reasons] == list(selection.taken)


def test_duplicates_and_matches_are_counted_by_kind(facts: CardFacts) -> None:
    (duplicates,) = facts.findings.duplicates
    assert (duplicates.groups, duplicates.clips, duplicates.repeats) == (2, 5, 3)
    (matches,) = facts.findings.contamination
    assert (matches.benchmark, matches.clips, matches.items) == ("msvd", 2, 1)


def test_verdicts_audit_and_scores_are_of_the_layer(facts: CardFacts) -> None:
    assert {(each.verdict, each.judge): each.claims for each in facts.verdicts} == {
        ("supported", "text"): 22,
        ("unsupported", "text"): 22,
    }
    assert facts.audit is not None
    assert facts.audit.figures.labelled_claims == 2
    assert [(each.judge, each.kind, each.share) for each in facts.controls] == [("text", "shuffled", 0.5)]
    assert [(each.name, [score.name for score in each.scores]) for each in facts.scores] == [("basic", ["motion"])]


def test_levels_take_turns_and_a_root_comes_again_only_when_all_have_come() -> None:
    short = [Candidate(f"s{place}", 0, "short", root) for place, root in enumerate((1, 1, 2, 3))]
    drawn = take_turns([*short, Candidate("l", 0, "long", 1)])
    assert [clip.key for clip in drawn] == ["s0", "l", "s2", "s3", "s1"]
    many = [Candidate(str(place), 0, "short", place) for place in range(50)]
    assert [clip.key for clip in take_turns(many)] == [str(place) for place in range(SIZE)]


@pytest.mark.parametrize(
    ("url", "site"),
    [
        ("https://www.YouTube.com/watch?v=1", "youtube.com"),
        ("https://youtube.com/@channel/video", "youtube.com"),
        ("https://ana:pa/ss@host.org/x", "host.org"),
        ("https://ana:8a/pass@host.org/x", "host.org"),
        ("http://host.org:8080/@u", "host.org"),
        ("/home/ana/talk.mp4", "files"),
        ("removed:0123:abcd", "files"),
    ],
)
def test_a_site_is_a_host_without_user_password_and_port(url: str, site: str) -> None:
    (row,) = duckdb.execute(f"select {site_sql('url')} from (select ? as url)", [url]).fetchall()
    assert row == (site,)


@pytest.mark.parametrize(("low", "high"), [(0, 1), (0, 142.1), (-3, 7), (5, 5), (0, 0), (0.1, 0.1000001), (1e9, 3e9)])
def test_bars_are_round_and_few(low: float, high: float) -> None:
    width = bar_width(low, high)
    assert width > 0
    assert (high - low) / width <= 40
