"""Text from outside is shown, and does not steer the terminal: in `status`, `inspect`, `check`, and in messages."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from rich.text import Text
from support.curate_runs import curate
from support.damaged_dirs import rewrite_table
from support.shard_factory import LAYER, build_dir

from runtime.terminal import SafeConsole, on_one_line, visible
from shards.storage.store import Store

HOSTILE = "cat\x1b]0;owned\x07\x1b[2J\x9b31m\u202egpj.exe\u2066\u200f\x00\r\nfake line \u2028x \U000e0041"
STEERING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\u2028\U000e0041]")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A DIR in which every text is hostile."""
    store = build_dir(tmp_path / "dir", shards=1)

    def spoil(rows: list[Any]) -> None:
        for row in rows:
            row |= {"source": HOSTILE, "subtitle": HOSTILE, "caption": HOSTILE}
            row |= {"grounded_text": HOSTILE, "subtitle_summary": HOSTILE, "caption_summary": HOSTILE}
            row["claims"] = [{"text": HOSTILE, "verdict": "supported", "evidence": [HOSTILE]}]

    def drop(rows: list[Any]) -> None:
        for row in rows:
            row |= {"keep": False, "filter_reason": HOSTILE}

    def fail(rows: list[Any]) -> None:
        for row in rows:
            row |= {"state": "failed", "class": "network", "message": HOSTILE}

    rewrite_table(store, f"text/{LAYER}/0000000.parquet", spoil)
    rewrite_table(store, f"selections/{LAYER}.parquet", drop)
    rewrite_table(store, "ledger/0000000.parquet", fail)
    return store


@pytest.mark.parametrize("command", [["status"], ["inspect"], ["inspect", "--level", "long"], ["check", "--quick"]])
def test_escape_sequences_and_bidi_controls_do_not_reach_the_terminal(store: Store, command: list[str]) -> None:
    ended = curate(command[0], store.root, *command[1:])
    assert not STEERING.search(ended.out), ascii(ended.out)
    assert not STEERING.search(ended.err), ascii(ended.err)
    if command[0] != "check":
        assert "cat" in ended.out and "gpj.exe" in ended.out


def test_one_clip_in_full_shows_its_claims_without_their_controls(store: Store) -> None:
    key = re.findall(r"[0-9a-f]{16}_\d{9}_\d{9}", curate("inspect", store.root).out)[0]
    ended = curate("inspect", store.root, "--key", key)
    assert not STEERING.search(ended.out), ascii(ended.out)
    assert re.search("supported +cat", ended.out)
    assert not any(line.startswith("fake line") for line in ended.out.splitlines())


def test_a_message_about_a_hostile_name_stays_one_plain_line(tmp_path: Path) -> None:
    ended = curate("status", tmp_path / "a\x1b[2J\nb\u202e")
    assert ended.status == 2
    assert ended.err.count("\n") == 1 and not STEERING.search(ended.err)


def test_the_console_keeps_its_own_codes_and_loses_those_of_others() -> None:
    plain, safe = io.StringIO(), io.StringIO()
    for console in (Console(file=plain, force_terminal=True), SafeConsole(file=safe, force_terminal=True)):
        console.print(Text("a\x1b[31mb", "bold"))
    assert "\x1b[31m" in plain.getvalue()
    assert "\x1b[31m" not in safe.getvalue() and "\x1b[1m" in safe.getvalue()


@pytest.mark.parametrize("text", ["plain", "Grüße, 猫 и кот", "שלום", "مرحبا", "👩‍🚀 e\u0301", "two\nlines\t."])
def test_ordinary_text_of_any_script_is_shown_as_it_is(text: str) -> None:
    assert visible(text) == text


def test_a_lone_half_of_a_character_can_be_printed() -> None:
    assert on_one_line("a\udcffb\nc").encode() == "a\ufffdb c".encode()
