"""A selection keeps the clips that a plain reading of its recipe keeps, and has the first reason against the others."""

from __future__ import annotations

import hashlib
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.choices import clips_of, licence_of, match_of, write_findings, write_scores
from support.damaged_dirs import TEXT_NAME, recommit_table, setting
from support.selections import as_version_1, marked_rows, select
from support.shard_factory import LAYER, add_shard

from curation.selection.choosing.make_selection import MadeSelection, make_selection
from curation.selection.choosing.recipe import build_recipe
from shards.errors import ShardError
from shards.index import rebuild_index
from shards.keys import split_of
from shards.reader import read_table
from shards.selections.selection import table_name
from shards.storage.store import Store

Row = dict[str, Any]


def make(store: Store, name: str = "made", **recipe: Any) -> MadeSelection:
    return make_selection(store, name, build_recipe({"layer": LAYER, **recipe}))


def rows_of(store: Store, name: str = "made") -> dict[str, Row]:
    return {row["key"]: row for row in read_table(store, table_name(name)).to_pylist()}


def reasons(store: Store, **recipe: Any) -> dict[str, str | None]:
    """The reason of each clip that the layer's own selection keeps."""
    make(store, **recipe)
    kept = {row["key"] for row in marked_rows(store.root, LAYER) if row["keep"]}
    return {key: row["filter_reason"] for key, row in rows_of(store).items() if key in kept}


def expected(store: Store, keeps: Callable[[Row], bool | None], reason: str) -> dict[str, str | None]:
    """The same by a condition in Python over the columns of text, marks and media."""
    media = {clip["key"]: clip for clip in clips_of(store)}
    rows = (media[row["key"]] | row for row in marked_rows(store.root, LAYER) if row["keep"])
    return {row["key"]: None if keeps(row) else reason for row in rows}


def keys(store: Store, level: str | None = None) -> list[str]:
    """The keys of the clips that the layer's own selection keeps, in order."""
    return [row["key"] for row in marked_rows(store.root, LAYER) if row["keep"] and level in (None, row["level"])]


def hash_of(text: str) -> int:
    return int.from_bytes(hashlib.md5(text.encode(), usedforsecurity=False).digest()[:8], "little")


def good(value: float | None) -> bool:
    return value is not None and not math.isnan(value)


@pytest.mark.parametrize(
    ("where", "keeps"),
    [
        ("start < 10 and level <> 'long'", lambda row: row["start"] < 10 and row["level"] != "long"),
        ("speech_seconds > 3 or MOTION > 1", lambda row: row["speech_seconds"] > 3),
        ("claims[1].verdict = 'supported' and models.asr = 'asr'", lambda row: True),
        ("split = 'val'", lambda row: row["split"] == "val"),
        ("match > 0.4", lambda row: good(match_of(row)) and match_of(row) > 0.4),
        ("not (match <= 0.4)", lambda row: good(match_of(row)) and match_of(row) > 0.4),
        ("match is null", lambda row: not good(match_of(row))),
        ("text.motion > 0.1 and look.blur < 0.5", lambda row: row["start"] > 10 and row["end"] < 25),
        ("video_license is null", lambda row: licence_of(row) is None),
        ("null", lambda row: False),
    ],
)
def test_a_condition_names_columns_of_all_tables(store: Store, where: str, keeps: Callable[[Row], bool]) -> None:
    assert reasons(store, where=where) == expected(store, keeps, "where")


def test_a_clip_has_the_reason_of_the_first_condition_against_it(store: Store) -> None:
    found = reasons(store, where=["level <> 'long'", "start < 10"], licence=["cc*", "CREATIVE commons*"])
    known = {row["key"]: row for row in marked_rows(store.root, LAYER)}

    def reason(row: Row) -> str | None:
        if not (licence_of(row) or "").lower().startswith(("cc", "creative commons")):
            return "licence"
        return "where:1" if row["level"] == "long" else "where:2" if row["start"] >= 10 else None

    assert found == {key: reason(known[key]) for key in found}
    assert {None, "licence", "where:1", "where:2"} == set(found.values())


def test_what_each_condition_takes_away_is_counted_alone_and_in_order(store: Store) -> None:
    made = make(store, where=["level <> 'long'", "start < 10"])
    clips = [row for row in marked_rows(store.root, LAYER) if row["keep"]]
    long, late = made.choice.steps
    assert late.alone.clips == sum(row["start"] >= 10 for row in clips)
    assert late.in_order.clips == sum(row["start"] >= 10 and row["level"] != "long" for row in clips)
    assert long.left.clips == sum(row["level"] != "long" for row in clips)
    roots = sum(row["end"] - row["start"] for row in clips if row["parent_key"] is None)
    shorts = sum(row["end"] - row["start"] for row in clips if row["level"] == "short")
    assert made.choice.base.root_seconds == pytest.approx(roots)
    assert made.choice.base.short_seconds == pytest.approx(shorts)
    assert made.counts["kept"] == sum(row["keep"] for row in rows_of(store).values()) == late.left.clips


def test_clips_that_the_selection_to_begin_with_leaves_out_keep_their_reason(store: Store) -> None:
    make(store, "first", where="level <> 'long'")
    make(store, "second", base="first", where="start < 10")
    first, second = rows_of(store, "first"), rows_of(store, "second")
    assert all(second[key] == row for key, row in first.items() if not row["keep"])
    assert {row["filter_reason"] for row in second.values()} == {None, "static", "where"}


def test_splits_are_those_to_begin_with_or_new_ones_by_the_video(store: Store) -> None:
    before = {row["key"]: row for row in marked_rows(store.root, LAYER)}
    make(store, where="start < 10")
    assert {key: row["split"] for key, row in rows_of(store).items()} == {k: r["split"] for k, r in before.items()}
    make(store, val_percent=60)
    assert all(row["split"] == split_of(before[key]["video_id"], 60) for key, row in rows_of(store).items())


def test_of_duplicates_the_one_that_stays_is_kept_or_the_likest_that_is_left(store: Store) -> None:
    one, two, three, four = keys(store, "short")[:4]
    shards = {row["key"]: row["shard"] for row in marked_rows(store.root, LAYER)}
    likeness = {one: None, two: 0.8, three: 0.9, four: 0.7}
    group = {"group": one, "keep": False}
    rows = [{**group, "key": key, "shard": shards[key], "score": score} for key, score in likeness.items()]
    write_findings(store, "duplicates", "all", [rows[0] | {"keep": True}, *rows[1:]])
    found = reasons(store, dedup="all")
    assert {key for key, reason in found.items() if reason == "duplicate"} == {two, three, four}
    found = reasons(store, dedup="all", where=f"key <> '{one}'")
    assert [found[key] for key in (one, two, three, four)] == ["where", "duplicate", None, "duplicate"]
    assert set(found.values()) == {None, "where", "duplicate"}


def test_clips_of_a_benchmark_are_left_out_by_its_name(store: Store) -> None:
    shards = {row["key"]: row["shard"] for row in marked_rows(store.root, LAYER)}
    one, two, *_ = keys(store)
    match = {"key": one, "shard": shards[one]}
    write_findings(store, "contamination", "tests", [match | {"benchmark": name} for name in ("vatex", "didemo")])
    write_findings(store, "contamination", "more", [{"key": two, "shard": shards[two], "benchmark": "msrvtt"}])
    found = reasons(store, clean_of=["tests", "more"], where="start >= 0")
    assert {key: reason for key, reason in found.items() if reason} == {
        one: "contaminated:didemo",
        two: "contaminated:msrvtt",
    }


@pytest.mark.parametrize("order", ["largest", "smallest"])
def test_the_top_has_no_clip_without_a_score(store: Store, order: str) -> None:
    found = reasons(store, top={"number": 10, "by": "match", "order": order})
    scores = {clip["key"]: match_of(clip) for clip in clips_of(store)}
    kept = sorted(scores[key] for key, reason in found.items() if reason is None)
    every = sorted(scores[key] for key in found if good(scores[key]))
    assert kept == (every[-10:] if order == "largest" else every[:10])
    assert set(found.values()) == {None, "top"}


def test_a_balanced_selection_has_at_most_so_many_of_each_value_null_included(store: Store) -> None:
    found = reasons(store, balance={"by": "video_license", "most": 4})
    licences = {clip["key"]: licence_of(clip) for clip in clips_of(store)}
    values = {licences[key] for key in found}
    for value in values:
        of_value = sorted((key for key in found if licences[key] == value), key=lambda key: hash_of(f"0:{key}"))
        assert [key for key in of_value if found[key] is None] == of_value[:4]
    assert None in values


def test_a_sample_is_the_share_of_lowest_hashes_and_stays_when_shards_are_added(store: Store, tmp_path: Path) -> None:
    found = reasons(store, sample={"share": 0.5}, seed=3)
    assert found == {key: None if hash_of(f"3:{key}") < 2**63 else "sample" for key in found}
    add_shard(store, tmp_path, 3)
    rebuild_index(store)
    select(store, LAYER)
    again = reasons(store, sample={"share": 0.5}, seed=3)
    assert len(again) > len(found) and again | found == again


def test_videos_can_be_drawn_whole(store: Store) -> None:
    found = reasons(store, sample={"number": 2, "unit": "video"})
    kept = {key[:16] for key, reason in found.items() if reason is None}
    assert len(kept) == 2 and not kept & {key[:16] for key, reason in found.items() if reason}


def test_the_same_recipe_gives_the_same_bytes(store: Store) -> None:
    recipe = {"where": "match > 0.2", "balance": {"by": "level", "most": 8}, "sample": {"number": 9}, "val_percent": 20}
    make(store, **recipe)
    first = store.read_bytes(table_name("made"))
    make(store, **recipe)
    assert store.read_bytes(table_name("made")) == first


def test_texts_of_version_1_are_chosen_from_by_their_own_marks(store: Store) -> None:
    kept = set(keys(store))
    as_version_1(store, LAYER)
    make(store, where="level <> 'long'")
    found = rows_of(store)
    assert {key for key, row in found.items() if row["filter_reason"] != "static"} == kept
    assert {row["filter_reason"] for row in found.values()} == {None, "static", "where"}


@pytest.mark.parametrize(
    ("recipe", "words"),
    [
        ({"where": "motio > 1"}, r"--where 'motio > 1': no column 'motio' \(did you mean 'motion'\?\)"),
        ({"where": "look.blurr > 1"}, r"no column 'look.blurr' \(did you mean 'look.blur'\?\)"),
        ({"where": "start"}, "is no condition, but a value of type DOUBLE"),
        ({"where": "level > 3"}, "--where 'level > 3': "),
        ({"top": {"number": 1, "by": "source"}}, "--top 'source': Conversion Error: Could not convert"),
        ({"balance": {"by": "nothing", "most": 1}}, "--balance 'nothing': no column"),
        ({"where": "max(start) > 3"}, r"--where 'max\(start\) > 3': "),
        ({"where": "key in (from 'x.parquet')"}, "a query inside it"),
        ({"base": "none"}, "has no such selection|no such selection"),
        ({"dedup": "none"}, "has no duplicates/none.parquet"),
        ({"clean_of": "none"}, "has no contamination/none.parquet"),
    ],
)
def test_a_recipe_that_can_not_work_is_refused_and_nothing_is_written(store: Store, recipe: Row, words: str) -> None:
    with pytest.raises(ShardError, match=words):
        make(store, **recipe)
    assert not store.exists(table_name("made"))


def test_a_column_of_two_score_sets_is_refused_with_both_names(store: Store) -> None:
    write_scores(store, "more", lambda clip: {"blur": 0.1})
    with pytest.raises(ShardError, match=r"several score sets have 'blur'; write look\.blur or more\.blur"):
        make(store, where="blur < 1")


def test_tables_that_lag_behind_are_refused_with_the_remedy(store: Store, tmp_path: Path) -> None:
    write_findings(store, "duplicates", "all", [])
    add_shard(store, tmp_path, 3)
    make(store, where="start > 0")  # the new shard has no marks yet
    select(store, LAYER)
    with pytest.raises(ShardError, match=r"duplicates/all\.parquet: has not looked at 1 of 4 shards.*curate dedup"):
        make(store, dedup="all")
    with pytest.raises(ShardError, match="scores/text lacks 1 of 4 shards"):
        make(store, where="match > 0.5")


def test_tables_that_were_made_from_others_are_refused_with_the_remedy(store: Store, tmp_path: Path) -> None:
    recommit_table(store, tmp_path, TEXT_NAME, setting("caption", "another"))
    with pytest.raises(ShardError, match=rf"selections/{LAYER}.parquet: was made from another text/.*--stages select"):
        make(store, where="start > 0")


def test_a_selection_of_another_layer_is_no_beginning(store: Store, tmp_path: Path) -> None:
    make(store, "first", where="start > 0")
    shutil.copytree(store.path(f"text/{LAYER}"), store.path("text/other"))
    with pytest.raises(ShardError, match=rf"selections/first.*the text layer '{LAYER}', not 'other'"):
        make_selection(store, "second", build_recipe({"layer": "other", "base": "first"}))


def test_findings_of_several_layers_fit_each_of_them_and_no_other(store: Store) -> None:
    shutil.copytree(store.path(f"text/{LAYER}"), store.path("text/other"))
    write_findings(store, "contamination", "both", [], layers=[LAYER, "other"])
    make(store, clean_of="both")
    write_findings(store, "contamination", "one", [], layers=["other"])
    with pytest.raises(
        ShardError, match=rf"contamination/one.* the text layer 'other', not '{LAYER}'.*curate clean-of"
    ):
        make(store, clean_of="one")
