"""What was observed in a shard goes into the text layer, and is checked, shown and exported."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from rich.console import Console
from support.answering import Answering, claims_json, labels_in
from support.shard_factory import CAPTION_SET, build_dir
from support.stage_runs import MEDIA, TEXTS_MADE, rewrite_shard

from curation.engines.engine_interface import Request
from curation.view.inspect_clips import ClipQuery, show_clips
from shards.checks.check_rows import text_problems
from shards.reader import read_artifact, read_table
from shards.schema import CAPTIONS
from shards.storage.store import Store
from shards.stored_rows import StoredClip
from shards.writer import Artifact, commit_table

CAPTIONS_OF = f"captions/{CAPTION_SET}/0000000.parquet"


@pytest.fixture(scope="module")
def roots(observed: Store) -> list[StoredClip]:
    rows: list[StoredClip] = read_table(observed, MEDIA).to_pylist()
    return [row for row in rows if row["parent_key"] is None]


@pytest.fixture(scope="module")
def observed(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A DIR whose caption set holds, for each root, two events, a text over all of it, and objects."""
    folder = tmp_path_factory.mktemp("observed")
    store = build_dir(folder / "dir", shards=1)
    table = read_table(store, CAPTIONS_OF)
    more: list[dict[str, Any]] = []
    for root in (row for row in read_table(store, MEDIA).to_pylist() if row["parent_key"] is None):
        for kind, start, end, text in (
            ("event", root["start"], root["start"] + 3.0, "A hand wipes the wall."),
            ("event", root["start"] + 3.0, root["start"] + 5.0, "The hand goes away."),
            ("text", root["start"], root["end"], "Wet paint \x1b[31m"),
            ("object", root["start"] + 1.0, root["start"] + 1.0, "2 × brush"),
        ):
            row = {"root_key": root["key"], "kind": kind, "start": start, "end": end, "text": text}
            more.append(
                row | {"confidence": None if kind == "event" else 0.95, "share": 0.1 if kind == "text" else None}
            )
    whole = pa.concat_tables([table, pa.Table.from_pylist(more, schema=CAPTIONS)])
    inputs = {MEDIA: read_artifact(store, MEDIA).digest}
    commit_table(store, folder, CAPTIONS_OF, whole, Artifact("caption", "caption-hash", inputs=inputs))
    result = rewrite_shard(store, folder / "scratch", Answering(told))
    assert result.fatal is None
    return store


def told(request: Request) -> str:
    return claims_json(("A hand wipes the wall.", ["E1"])) if "E1" in labels_in(request) else "none"


def rows_of(store: Store) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = read_table(store, TEXTS_MADE).to_pylist()
    return rows


def test_each_clip_holds_what_was_observed_within_its_span(observed: Store, roots: list[StoredClip]) -> None:
    for row in rows_of(observed):
        (root,) = (root for root in roots if root["key"] == row["root_key"])
        first = row["start"] == root["start"]
        assert [each["text"] for each in row["events"]] == (
            ["A hand wipes the wall.", "The hand goes away."] if first else []
        )
        (text,) = row["on_screen_text"]
        assert (text["start"], text["end"]) == (row["start"], row["end"])
        assert text["share"] == pytest.approx(0.1) and text["confidence"] == pytest.approx(0.95)
        assert [each["text"] for each in row["objects"]] == (["2 × brush"] if first else [])
        assert row["grounded_text"] == ("A hand wipes the wall." if first else row["grounded_text"])


def test_the_columns_pass_their_check_and_a_span_outside_the_clip_does_not(observed: Store) -> None:
    clips, rows = read_table(observed, MEDIA).to_pylist(), read_table(observed, TEXTS_MADE).to_pylist()
    assert list(text_problems(rows, clips)) == []
    rows[0]["events"][0] |= {"start": 900.0, "end": 999.0}
    found = list(text_problems(rows, clips))
    assert any("events from 900 to 999 s are outside the clip" in line for line in found)
    assert any("events are not in order of time" in line for line in found)
    del rows[0]["events"], rows[0]["on_screen_text"], rows[0]["objects"]  # a row of schema version 1
    assert list(text_problems(rows, clips)) == []


def test_inspect_shows_events_and_texts_without_what_would_steer_the_terminal(observed: Store) -> None:
    shown = io.StringIO()
    show_clips(observed.root, ClipQuery(layer="mine"), Console(file=shown, width=200))
    assert "0:00.5 A hand wipes the wall.; 0:03.5 The hand goes away." in shown.getvalue()
    assert "Wet paint" in shown.getvalue() and "\x1b[31m" not in shown.getvalue()
    assert "2 × brush" in shown.getvalue()


def test_a_caption_set_of_frame_captions_alone_makes_a_layer_without_events(tmp_path: Path) -> None:
    store = build_dir(tmp_path / "dir", shards=1)
    rewrite_shard(store, tmp_path / "scratch", Answering(told))
    assert all(row["events"] == row["on_screen_text"] == row["objects"] == [] for row in rows_of(store))
