"""The report of `curate card` in the viewer."""

from __future__ import annotations

from pathlib import Path

from support.shard_factory import build_dir
from support.viewers import viewing

from shards.card_files import MARK


def test_the_report_is_shown_as_it_is_and_can_run_nothing(tmp_path: Path) -> None:
    store = build_dir(tmp_path / "out", shards=1, videos_per_shard=1)
    with viewing(store) as client:
        missing = client.get("/card")
        assert missing.status_code == 404
        assert "this folder has no card yet" in missing.text
        store.commit_bytes(f"<!-- {MARK} --><script>alert(1)</script>".encode(), "report.html")
        page = client.get("/card")
        assert page.text.endswith("<script>alert(1)</script>")
        assert page.headers["content-security-policy"].startswith("sandbox; default-src 'none'; style-src")
        assert page.headers["x-frame-options"] == "DENY"
        assert 'href="/card"' in client.get("/browse").text
        store.commit_bytes(b"<h1>my own page</h1>", "report.html")
        assert client.get("/card").status_code == 404
