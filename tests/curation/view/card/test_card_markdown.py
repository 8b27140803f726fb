"""The card as Markdown: the head that the hub reads, and texts from outside that stay texts."""

from __future__ import annotations

import html
import re
from pathlib import Path

import pytest
from huggingface_hub import DatasetCard
from markdown_it import MarkdownIt

from curation.view.card.output.hub_head import hub_licence
from curation.view.card.output.markdown_card import escaped, fenced
from shards.storage.store import Store


@pytest.fixture(scope="module")
def card(folder: Path) -> DatasetCard:
    """The card of the DIR, as the hub's library reads it."""
    return DatasetCard.load(folder / "README.md")


def test_the_hub_reads_licence_size_and_the_tables_to_open(card: DatasetCard) -> None:
    assert card.data.license == "cc-by-3.0"
    assert card.data.language == ["en"]
    assert card.data.size_categories == ["n<1K"]
    assert [config["config_name"] for config in card.data.configs] == ["clips", "selection", "videos", "scores_basic"]


def test_a_title_with_line_ends_can_not_add_to_the_head(card: DatasetCard) -> None:
    assert card.data.pretty_name == "A --- title: [x] --- license: mit <img src=x onerror=alert(1)>"


def test_the_tables_that_the_head_names_open_with_all_their_rows(
    whole: Store, card: DatasetCard, tmp_path: Path
) -> None:
    import datasets

    rows = datasets.load_dataset(whole.root, "clips", split="full", cache_dir=str(tmp_path))
    assert len(rows) == 22
    assert set(datasets.load_dataset(whole.root, "selection", split="full", cache_dir=str(tmp_path))["split"]) == {
        "train"
    }


def test_a_hostile_title_is_shown_as_the_text_that_it_is(card: DatasetCard) -> None:
    assert (
        r"&lt;script&gt;alert(1)&lt;/script&gt; \[x\](javascript:alert(1)) \| \`y\` \!\[z\](https\://evil" in card.text
    )
    assert "<script" not in card.text


def test_a_reader_of_markdown_makes_no_element_of_foreign_texts(card: DatasetCard) -> None:
    page = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).render(card.text)
    assert set(re.findall(r"<(?:a|img|script)\b[^>]*>", page)) == {'<a href="report.html">'}
    assert "[x](javascript:alert(1)) | `y` ![z](https://evil.example/p.png) --- # 1 $a$" in html.unescape(page)
    assert page.count("<h1>") == 1


def test_a_token_in_the_address_of_a_video_is_left_out(card: DatasetCard) -> None:
    assert "sesame" not in card.text


@pytest.mark.parametrize("text", ["a|b", "`", "*x*", "<b>", "![i](u)", "~~s~~", "$1$", "\\", "http://a.b", "www.a.b"])
def test_each_character_that_begins_markup_is_escaped(text: str) -> None:
    shown = escaped(text)
    assert shown != text


def test_a_block_of_code_can_not_be_ended_from_inside() -> None:
    assert fenced("a\n```\nb").startswith("````\n")


@pytest.mark.parametrize(
    ("names", "licence"),
    [
        ([], "unknown"),
        ([None], "unknown"),
        (["CC BY-SA 4.0"], "cc-by-sa-4.0"),
        (["CC BY 4.0", None], "other"),
        (["CC BY 4.0", "All rights reserved"], "other"),
    ],
)
def test_the_licence_of_the_head_is_that_of_all_clips_or_none(names: list[str | None], licence: str) -> None:
    assert hub_licence(names) == licence
