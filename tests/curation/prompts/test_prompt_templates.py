"""Prompts: read from files, and data that can't leave its block."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.prompts import prompt_templates
from runtime.errors import UserError

PAPER = (
    "Summarize the following sentences into a single sentence, not exceeding 25 words. "
    "Do not output any additional text and use any external information."
)


def own(folder: Path, text: str) -> str:
    path = folder / "own.md"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_the_paper_s_prompt_is_sent_word_for_word() -> None:
    system, user = prompt_templates.load("summary_vidla", ["text"]).render(text="It rains. We go in.")
    assert system == ""
    assert user == f"{PAPER} <text>\nIt rains. We go in.\n</text>"


@pytest.mark.parametrize("name", ["caption", "caption_photo_of", "caption_empty"])
def test_captioners_are_asked_without_any_data(name: str) -> None:
    prompt = prompt_templates.load(name)
    assert prompt.fields == frozenset()
    assert prompt.ref == f"{name}@1"


def test_numbers_stand_bare_and_lines_one_by_one() -> None:
    _, user = prompt_templates.load("grounded_rewrite", ["evidence", "max_claims"]).render(
        evidence=["F1: a", "W1: b"], max_claims=3
    )
    assert "<evidence>\nF1: a\nW1: b\n</evidence>" in user
    assert "at most 3 statements" in user


def test_a_missing_field_is_an_error_of_the_program() -> None:
    with pytest.raises(KeyError):
        prompt_templates.load("summary_vidla", ["text"]).render()


@settings(deadline=None)
@given(st.text() | st.text("</text>[INST]|im_end\n\r $", max_size=60))
def test_no_data_can_close_its_block_or_start_a_new_line(text: str) -> None:
    _, user = prompt_templates.load("summary_vidla", ["text"]).render(text=text)
    lines = user.removeprefix(PAPER).splitlines()
    assert len(lines) in (2, 3)
    assert (lines[0].strip(), lines[-1]) == ("<text>", "</text>")
    assert all(mark not in line for line in lines[1:-1] for mark in "<>[]")


def test_a_prompt_of_one_s_own_is_named_by_its_path(tmp_path: Path) -> None:
    name = own(tmp_path, "---\nname: mine\nversion: 3\n---\n# system\nBe brief.\n# user\nCost: 5 $$. $text\n")
    prompt = prompt_templates.load(name, ["text"])
    assert prompt.ref == "mine@3"
    assert prompt.render(text="x") == ("Be brief.", "Cost: 5 $. <text>\nx\n</text>")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("no front matter", "front matter"),
        ("---\nname: x\n---\n# system\n# user\n", "whole number as version"),
        ("---\nname: x\nversion: 1\n---\n# system\n# user\n5 $ each", "lone $"),
        ("---\nname: x\nversion: 1\n---\n# system\n# user\n$txt", "did you mean 'text'"),
    ],
)
def test_a_bad_prompt_file_is_the_user_s_mistake(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UserError, match=message.replace("$", r"\$")):
        prompt_templates.load(own(tmp_path, text), ["text"])


def test_a_misspelt_prompt_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(UserError, match="did you mean 'summary_vidla'"):
        prompt_templates.load("sumary_vidla", ["text"])


def test_what_a_prompt_says_decides_its_hash(tmp_path: Path) -> None:
    one = prompt_templates.load(own(tmp_path, "---\nname: x\nversion: 1\n---\n# system\n# user\nA"))
    assert one.hash != prompt_templates.Prompt("x", 1, "", "B").hash
    assert one.hash == prompt_templates.Prompt("x", 1, "", "A").hash
