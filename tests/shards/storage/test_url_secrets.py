"""Passwords in URLs, however malformed, stay out of messages; ordinary text stays as it is."""

import pytest

from shards.errors import ShardError
from shards.storage.store import Store
from shards.storage.url_secrets import has_secrets, without_secrets, without_tokens, without_user


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://me:hunter2@example.org/x", "https://***@example.org/x"),
        ("https:/me:hunter2@example.org/x", "https:/***@example.org/x"),
        ("me:hunter2@example.org", "***@example.org"),
        ("https://me:hunter2@[::1/x", "https://***@[::1/x"),
        ("https://me:hun/ter2@example.org/x", "https://***@example.org/x"),
        ("https://me:hunt@er2@example.org/x", "https://***@example.org/x"),
        ("s3://AKIA:hunter2/abc+d@bucket/dir", "s3://***@bucket/dir"),
        ("--output s3://AKIA:hunter2@bucket: refused", "--output s3://***@bucket: refused"),
        ("base_url='http://:hunter2@host/v1': no", "base_url='http://***@host/v1': no"),
        (
            "https://me:@example.org, https://you:hunter2@example.com",
            "https://***@example.org, https://***@example.com",
        ),
    ],
)
def test_a_password_is_replaced(text: str, shown: str) -> None:
    assert without_secrets(text) == shown
    assert "hunt" not in without_secrets(text) and "ter2" not in without_secrets(text)


@pytest.mark.parametrize(
    "text",
    [
        "hf://org/name@main: no such model",
        "pypi://dist==1.0/path/in/wheel",
        "https://www.tiktok.com/@user/video/1",
        "https://host:8080/@user/1",
        "abfs://container@account.dfs.core.windows.net/dir",
        "sftp://me@host/dir",
        "--input /data/a b.mp4, line 3: start='1:30': mail me@example.org",
        "s3://bucket/dir: the store can't be reached",
    ],
)
def test_text_without_a_password_is_not_changed(text: str) -> None:
    assert without_secrets(text) == text
    assert not has_secrets(text)


@pytest.mark.parametrize("url", ["s3://AKIA:hunter2/x@bucket/dir", "memory://me:hunter2@host/dir"])
def test_a_store_with_a_password_in_its_url_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(ShardError, match="no password") as refused:
        Store(url)
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    ("url", "stored"),
    [
        ("https://me:pw@example.org/v?id=1", "https://example.org/v?id=1"),
        ("https://token@example.org/v", "https://example.org/v"),
        ("https://example.org/@me/v", "https://example.org/@me/v"),
        ("https://example.org/v?mail=a@b.org", "https://example.org/v?mail=a@b.org"),
    ],
)
def test_a_url_is_stored_without_its_user(url: str, stored: str) -> None:
    assert without_user(url) == stored


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("https://e.org/watch?v=abc&list=x", "https://e.org/watch?v=abc&list=x"),
        ("https://e.org/a.mp4?X-Amz-Signature=hunter2&X-Amz-Date=1", "https://e.org/a.mp4"),
        ("https://e.org/a?id=7&access_token=hunter2#t=hunter2", "https://e.org/a?id=7"),
        ("https://e.org/a?Policy=hunter2&Key-Pair-Id=1&Signature=hunter2&id=7", "https://e.org/a?Key-Pair-Id=1&id=7"),
        ("https://e.org/a?api%5Fkey=hunter2&keyboard=qwerty", "https://e.org/a?keyboard=qwerty"),
        ("https://e.org/a?hdnts=hunter2&sig=hunter2&v", "https://e.org/a?v"),
        ("https://e.org/", "https://e.org/"),
    ],
)
def test_parameters_that_grant_access_are_not_stored(url: str, kept: str) -> None:
    assert without_tokens(url) == kept
