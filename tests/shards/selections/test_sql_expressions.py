"""A user's expression is one formula over the columns of a clip; what reaches beyond it is refused with its text."""

from __future__ import annotations

import pytest

from shards.errors import ShardError
from shards.selections.sql_expressions import parse_expression, sandbox

CONNECTION = sandbox()


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("keep and motion > 0.01", {("keep",), ("motion",)}),
        ("look.blur < 3 or models.asr = 'x'", {("look", "blur"), ("models", "asr")}),
        ("video_title ilike '%cat%' -- a comment", {("video_title",)}),
        ("len(list_filter(claims, c -> c.verdict = 'supported')) > 1", {("claims",)}),
        ("case when level in ('short', 'long') then start else \"end\" end > 3", {("level",), ("start",), ("end",)}),
        ("1 = 1", set()),
    ],
)
def test_columns_are_those_that_it_names(text: str, columns: set[tuple[str, ...]]) -> None:
    assert parse_expression(CONNECTION, text, "--where").columns == columns


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "SELECT clause"),
        ("start >", "syntax error"),
        ("start > 1, level = 'short'", "single expression"),
        ("start > 1; drop table clips", "more than one statement"),
        ("start > 1 from clips", "FROM clause"),
        ("start > 1 /*", "unterminated"),
        ("key in (select content from read_text('/etc/passwd'))", "a query inside it"),
        ("exists (from 'x.parquet')", "a query inside it"),
        ("row_number() over () < 3", "a window"),
        ("columns('s.*') > 1", "name the columns"),
        ("*", "name the columns"),
        ("start > ?", "a parameter"),
        ("unnest([true, false])", r"unnest\(\) makes several rows"),
        ("start > random()", r"random\(\) gives another value"),
        ("now() > '2026-01-01'", r"now\(\) gives another value"),
        ("(" * 5000 + "start" + ")" * 5000, "nest|depth|stack"),
    ],
)
def test_what_is_no_formula_over_one_clip_is_refused(text: str, words: str) -> None:
    with pytest.raises(ShardError, match=words) as refused:
        parse_expression(CONNECTION, text, "--where")
    assert str(refused.value).startswith("--where ")


@pytest.mark.parametrize(
    "query",
    [
        "select * from read_text('/etc/hostname')",
        "copy (select 1) to '/tmp/x.csv'",
        "attach '/tmp/x.db'",
        "install httpfs",
        "set enable_external_access = true",
    ],
)
def test_a_sandbox_reaches_no_file_and_can_not_be_opened(query: str) -> None:
    with pytest.raises(Exception, match=r"disabled|locked|Cannot"):
        CONNECTION.execute(query)
