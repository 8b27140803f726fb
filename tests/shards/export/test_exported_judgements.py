"""Exported samples hold what was seen in a clip, and how each of its claims was judged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import webdataset
from support.damaged_dirs import rewrite_table
from support.shard_factory import LAYER, build_dir

from shards.export.export_samples import export
from shards.export.export_selection import ExportSelection
from shards.storage.store import Store

CLAIMS = [
    {"text": "A wall.", "verdict": "supported", "reason": None, "judge": "encoder", "score": 0.75},
    {"text": "Two walls.", "verdict": "unsupported", "reason": "number", "judge": "parse", "score": 0.0},
    {"text": "A dog.", "verdict": "unjudged", "reason": "timeout", "judge": "text", "score": None},
]
EVENT = {"start": 1.0, "end": 4.5, "text": "the wall gets darker"}
SEEN = {"start": 1.0, "end": 3.0, "text": "EXIT", "confidence": 0.5, "share": 0.25}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A DIR whose first clip has events, on-screen text, objects, and claims of every verdict."""
    store = build_dir(tmp_path_factory.mktemp("judged") / "dir", shards=1)

    def judged(rows: list[dict[str, Any]]) -> None:
        claims = [each | {"evidence": ["frame@1.0", "event@1.0-4.5"]} for each in CLAIMS]
        rows[0] |= {"claims": claims, "events": [EVENT], "on_screen_text": [SEEN], "objects": [SEEN | {"text": "wall"}]}

    rewrite_table(store, f"text/{LAYER}/0000000.parquet", judged)
    return store


def exported(store: Store, output: Path, form: Any) -> list[dict[str, Any]]:
    """Return the json of each exported clip."""
    export(store, ExportSelection(LAYER, unit="clip"), format=form, output=output)
    if form == "jsonl":
        return [json.loads(line) for path in sorted(output.glob("*.jsonl")) for line in path.open()]
    tars = [str(path) for path in sorted(output.glob("*.tar"))]
    return [json.loads(sample["json"]) for sample in webdataset.WebDataset(tars, shardshuffle=False)]


@pytest.mark.parametrize("form", ["jsonl", "webdataset"])
def test_the_json_has_each_claim_as_judged_and_what_was_seen(store: Store, tmp_path: Path, form: str) -> None:
    first, second, *_ = exported(store, tmp_path / "out", form)
    assert first["claims"] == [each | {"evidence": ["frame@1.0", "event@1.0-4.5"]} for each in CLAIMS]
    assert (first["events"], first["on_screen_text"]) == ([EVENT], [SEEN])
    assert first["objects"] == [SEEN | {"text": "wall"}]
    assert second["events"] is None and second["claims"][0]["judge"] is None
