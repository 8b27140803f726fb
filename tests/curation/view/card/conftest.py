"""A DIR with everything that a card shows, and its card: hostile titles, licences, scores, an audit, findings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.curate_runs import curate
from support.known_videos import add_videos
from support.removals import full_dir

from shards.storage.store import Store

TITLE = "<script>alert(1)</script> [x](javascript:alert(1)) | `y` ![z](https://evil.example/p.png)\n---\n# 1 $a$"
LICENCE = "Creative Commons Attribution license (reuse allowed)"
CARD_TITLE = "A --- title: [x]\n---\nlicense: mit <img src=x onerror=alert(1)>"


def known(root: dict[str, Any]) -> dict[str, Any]:
    """What is known of the video of a root: every video has the hostile title."""
    return {"video_title": TITLE, "video_license": LICENCE, "video_url": root["source"] + "?v=1&token=sesame"}


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """The DIR with its card; tests don't change it."""
    store = full_dir(tmp_path_factory.mktemp("whole") / "street scenes")
    add_videos(store, known)
    ended = curate("card", store.root, "--title", CARD_TITLE)
    assert (ended.status, ended.err) == (0, "")
    return store


@pytest.fixture(scope="session")
def folder(whole: Store) -> Path:
    """The folder of the DIR."""
    return Path(whole.root)
