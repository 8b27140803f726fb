"""What the viewer refuses, and that foreign texts stay texts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient
from support.known_videos import add_videos
from support.shard_factory import build_dir
from support.viewers import change_rows, clip_links, viewing

from curation.view.browser.request_guard import is_loopback
from curation.view.browser.view_command import address
from shards.storage.store import Store

SCRIPT = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'"
OWN = "http://127.0.0.1:8765"


def hostile(store: Store) -> Store:
    for name in ("media/0000000.parquet", "text/grounded/0000000.parquet"):
        change_rows(store, name, spoil)
    return store


def spoil(row: dict[str, object]) -> None:
    row["source"] = f"https://example.org/{SCRIPT}"
    row["subtitle"] = f"<i>{SCRIPT}</i>\x1b[31m"
    row["language"] = SCRIPT
    if "grounded_text" in row:
        row["grounded_text"] = SCRIPT
        row["claims"] = [{"text": SCRIPT, "verdict": SCRIPT, "evidence": [SCRIPT], "reason": SCRIPT}]
    if row.get("words"):
        row["words"] = [{"start": 1.0, "end": 2.0, "text": SCRIPT}]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return build_dir(tmp_path_factory.mktemp("guard") / "out", shards=1)


@pytest.fixture(scope="module")
def client(store: Store) -> Iterator[TestClient]:
    with viewing(store) as client:
        yield client


def test_markup_in_any_text_is_shown_as_text(tmp_path: Path) -> None:
    store = hostile(build_dir(tmp_path / "out", shards=1))
    add_videos(
        store, lambda root: {"video_title": SCRIPT, "video_license": SCRIPT, "video_url": f"javascript:{SCRIPT}"}
    )
    with viewing(store) as client:
        browse = client.get("/browse").text
        pages = [browse, *(client.get(link).text for link in clip_links(browse)[:3])]
        pages.append(client.get("/browse", params={"text": SCRIPT, "source": SCRIPT}).text)
        pages.append(client.get("/browse", params={"level": SCRIPT}).text)
    for page in pages:
        assert "alert(1)" in page
        assert "<script>alert" not in page and "<img src=x" not in page and "\x1b" not in page
        assert 'href="javascript:' not in page


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8765", "127.0.0.1.evil.example", "10.0.0.7:8765", "", "[::"]
)
def test_another_host_name_is_refused(client: TestClient, host: str) -> None:
    assert client.get("/browse", headers={"host": host}).status_code == 421


@pytest.mark.parametrize("host", ["127.0.0.1:8765", "localhost:9", "[::1]:8765", "LOCALHOST"])
def test_this_machines_names_are_served(client: TestClient, host: str) -> None:
    assert client.get("/browse", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:9999"},
        {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"},
        {"sec-fetch-site": "same-site", "sec-fetch-mode": "cors"},
    ],
)
def test_a_request_of_another_sites_page_is_refused(client: TestClient, headers: dict[str, str]) -> None:
    assert client.get("/browse", headers=headers).status_code == 403
    assert client.get("/browse", headers={"origin": OWN}).status_code == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_a_write_is_refused_and_changes_nothing(client: TestClient, store: Store, method: str) -> None:
    before = sorted((path, path.stat().st_mtime_ns) for path in Path(store.root).rglob("*"))
    assert client.request(method, "/browse").status_code == 403
    assert client.request(method, "/browse", headers={"origin": OWN}).status_code == 405
    assert sorted((path, path.stat().st_mtime_ns) for path in Path(store.root).rglob("*")) == before


@pytest.mark.parametrize("path", ["/browse", "/static/viewer.css", "/nowhere"])
def test_each_answer_has_a_policy_without_foreign_or_inline_scripts(client: TestClient, path: str) -> None:
    headers = client.get(path).headers
    assert "default-src 'none'" in headers["content-security-policy"]
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"


def test_the_token_is_asked_for_and_kept_in_a_cookie(store: Store) -> None:
    with viewing(store, token="secret") as client:
        remote = {"host": "box.example:8765"}
        assert client.get("/browse", headers=remote).status_code == 401
        assert client.get("/browse?token=wrong", headers=remote).status_code == 401
        answer = client.get("/browse?level=long&token=secret", headers=remote, follow_redirects=False)
        assert answer.status_code == 303 and answer.headers["location"] == "/browse?level=long"
        cookie = answer.headers["set-cookie"].lower()
        assert "httponly" in cookie and "samesite=strict" in cookie
        name, _, value = answer.headers["set-cookie"].partition(";")[0].partition("=")
        assert client.get("/browse", headers={**remote, "cookie": f"{name}={value}"}).status_code == 200
        assert client.get("/browse", headers={**remote, "cookie": f"{name}=other"}).status_code == 401


@pytest.mark.parametrize(
    ("host", "is_one"), [("127.0.0.1", True), ("::1", True), ("0.0.0.0", False), ("evil.example", False)]
)
def test_loopback_addresses_are_recognised(host: str, is_one: bool) -> None:
    assert is_loopback(host) is is_one


def test_the_printed_address_holds_the_token() -> None:
    assert address("127.0.0.1", 80, None) == "http://127.0.0.1:80/"
    assert address("10.0.0.7", 81, "abc") == "http://10.0.0.7:81/?token=abc"
