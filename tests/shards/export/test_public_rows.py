"""What is uploaded names no folder of this machine and grants access to nothing."""

import pytest

from shards.export.public_rows import public_name


@pytest.mark.parametrize(
    ("text", "public"),
    [
        ("/home/ana/private/talk.mp4", "talk.mp4"),
        ("file:///home/ana/talk.mp4", "talk.mp4"),
        ("path:///models/mine/", "mine"),
        ("https://user:word@example.org/v?id=3&token=secret#t", "https://example.org/v?id=3"),
        ("s3://bucket/talk.mp4", "s3://bucket/talk.mp4"),
        ("hf://org/model@abc", "hf://org/model@abc"),
        ("Qwen/Qwen3", "Qwen/Qwen3"),
    ],
)
def test_paths_become_names_and_urls_lose_what_grants_access(text: str, public: str) -> None:
    assert public_name(text) == public
