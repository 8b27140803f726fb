"""`curate inspect` on a terminal: its columns, links, and the reasons of verdicts."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import pytest
from support.shard_factory import LAYER, build_dir
from support.viewers import change_rows

from curation.grounding.parsing.contradictions import CHECKS
from curation.view.inspect_clips import ClipQuery, find_clips, show_clips
from curation.view.verdict_reasons import REASONS, rejections, why
from runtime.terminal import SafeConsole
from shards.storage.store import Store

CLAIMS = [
    {"text": "A wall. " * 20, "verdict": "supported", "evidence": ["frame@3.25"], "judge": "text", "score": 0.81},
    {"text": "A dog.", "verdict": "unsupported", "evidence": [], "judge": "parse", "score": 0.0, "reason": "roles"},
    {"text": "A cat.", "verdict": "uncited", "evidence": [], "reason": "uncited"},
]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    store = build_dir(tmp_path_factory.mktemp("inspect") / "out", shards=1)
    change_rows(store, f"text/{LAYER}/0000000.parquet", lambda row: row.update(claims=CLAIMS))
    return store


def key(store: Store) -> str:
    return str(find_clips(store, ClipQuery()).rows[0]["key"])


def shown(store: Store, width: int, *, terminal: bool = True, of: str | None = None) -> str:
    printed = io.StringIO()
    console = SafeConsole(
        file=printed, width=width, force_terminal=terminal, color_system="standard" if terminal else None
    )
    show_clips(store.root, ClipQuery(key=of), console)
    return printed.getvalue()


def plain(printed: str) -> str:
    return re.sub(r"\x1b\]8;[^\x1b]*\x1b\\|\x1b\[[0-9;]*m", "", printed)


@pytest.mark.parametrize("width", [80, 120])
def test_values_stay_in_their_column_at_the_width_of_a_terminal(store: Store, width: int) -> None:
    lines = plain(shown(store, width, of=key(store))).splitlines()
    body = lines[1 : lines.index("")]
    assert all(len(line.rstrip()) <= width for line in body)
    begins = {len(line) - len(line.lstrip()) for line in body if line.startswith("     ")}
    assert begins == {max(begins)} and any("A wall. A wall." in line for line in body)
    assert all(re.match(r" +\S+( \S+)? {1,}\S", line) for line in body if not line.startswith("     "))


def test_keys_stills_and_evidence_are_links_to_the_viewer_on_a_terminal_only(store: Store) -> None:
    printed = shown(store, 120, of=key(store))
    links = re.findall(r"\x1b\]8;[^;]*;([^\x1b]+)\x1b", printed)
    assert f"http://127.0.0.1:8765/clip/{key(store)}" in links
    assert any(re.fullmatch(r"http://127.0.0.1:8765/stills/0/\w+/3250.jpg", link) for link in links)
    assert "\x1b]8" not in shown(store, 120, terminal=False, of=key(store))


def test_each_claim_has_judge_score_reason_and_evidence(store: Store) -> None:
    printed = shown(store, 300, terminal=False, of=key(store))
    assert "text 0.81" in printed and "<- frame@3.25  a grey wall at 3.25" in printed
    assert "parse 0.00: its evidence has who does what the other way round" in printed
    assert "cites no evidence that there is" in printed


def test_a_list_says_why_claims_were_rejected(store: Store) -> None:
    assert "1 roles, 1 uncited]" in shown(store, 300, terminal=False)


@pytest.mark.parametrize(
    ("claim", "words"),
    [
        ({"verdict": "unsupported", "judge": "encoder", "score": 0.1, "reason": "encoder"}, "its score is too low"),
        ({"verdict": "supported", "judge": "words", "score": 1.0, "reason": None}, "repeats its evidence"),
        ({"verdict": "unjudged", "judge": "mine", "score": None, "reason": "new_word"}, "mine: new word"),
        ({"verdict": "supported"}, ""),
    ],
)
def test_reasons_are_words(claim: dict[str, Any], words: str) -> None:
    assert why(claim).endswith(words) or words in why(claim)


def test_every_check_of_the_parse_judge_has_words() -> None:
    assert CHECKS.keys() <= REASONS.keys()
    assert rejections([{"verdict": "supported"}]) == ""


def test_a_claim_without_text_or_verdict_is_shown(store: Store, tmp_path: Path) -> None:
    damaged = build_dir(tmp_path / "out", shards=1)
    empty = {"text": None, "verdict": None, "evidence": None}
    change_rows(damaged, f"text/{LAYER}/0000000.parquet", lambda row: row.update(claims=[empty]))
    assert "1 clip of layer" in plain(shown(damaged, 80, of=key(damaged)))
