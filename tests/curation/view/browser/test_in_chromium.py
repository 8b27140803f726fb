"""The viewer in a real browser: its scripts, its player and its keys, at the widths of a desktop and of a phone."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect
from support.chromium import chromium, served
from support.curate_runs import curate
from support.shard_factory import LAYER, build_dir
from support.viewers import change_rows

from curation.grounding.audit.label_store import stored_labels
from shards.storage.store import Store

SCRIPT = "</script><script>window.hacked = 1</script><img src=x onerror='window.hacked = 1'>"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    store = build_dir(tmp_path_factory.mktemp("chromium") / "out", shards=2)
    change_rows(store, "text/grounded/0000001.parquet", lambda row: row.update(grounded_text=SCRIPT, source=SCRIPT))
    assert curate("audit", store.root, "--sample", "3").status == 0
    return store


@pytest.fixture(scope="module")
def address(store: Store) -> Iterator[str]:
    with served(store) as address:
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture(params=[1280, 390])
def page(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Page]:
    """A page of either width; any error that its console shows fails the test."""
    errors: list[str] = []
    page = browser.new_page(viewport={"width": request.param, "height": 844})
    page.on("console", lambda message: errors.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    page.close()
    assert errors == []


def fits(page: Page) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth <= innerWidth"))


def until(page: Page, condition: str) -> None:
    """Wait for a condition; the policy of the pages forbids Playwright's own way, which evaluates text in them."""
    deadline = time.monotonic() + 60
    while not page.evaluate(condition):
        assert time.monotonic() < deadline, condition
        page.wait_for_timeout(20)


def test_pages_fit_the_width_and_run_no_foreign_script(page: Page, address: str) -> None:
    for path in ("/browse", "/browse?sort=longest&page=2", "/audit", "/audit/figures", "/runs"):
        page.goto(address + path)
        assert fits(page), path
    page.goto(f"{address}/browse?text=script")
    page.locator(".tile a").first.click()
    expect(page.locator("h1")).to_contain_text("</script>")
    assert fits(page) and page.evaluate("window.hacked === undefined")


def test_a_filter_that_is_chosen_is_in_the_address_and_survives_the_way_to_a_clip_and_back(
    page: Page, address: str
) -> None:
    page.goto(f"{address}/browse")
    if page.viewport_size and page.viewport_size["width"] < 700:
        page.locator("summary").first.click()
    page.get_by_label("long", exact=True).check()
    expect(page.locator(".counts")).to_contain_text("4 clips")
    assert page.url.endswith("/browse?level=long&sort=time")
    page.locator(".tile a").nth(1).click()
    page.wait_for_url("**at=1")
    page.keyboard.press("n")
    page.wait_for_url("**at=2")
    page.keyboard.press("b")
    page.wait_for_url("**/browse?level=long")


def test_a_histogram_is_brushed(page: Page, address: str) -> None:
    page.goto(f"{address}/browse")
    if page.viewport_size and page.viewport_size["width"] < 700:
        page.locator("summary").first.click()
    box = page.locator(".histogram svg").first.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] * 0.7, box["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] - 1, box["y"] + 20)
    page.mouse.up()
    expect(page.locator(".counts")).to_contain_text("4 clips")
    assert "min.seconds=" in page.url


def test_the_player_plays_the_span_of_the_clip_only_and_a_claim_jumps_to_its_evidence(page: Page, address: str) -> None:
    page.goto(f"{address}/browse?level=short")
    page.locator(".tile a").nth(1).click()
    until(page, "typeof times === 'object' && video.readyState >= 2 && !video.seeking")  # the script runs last
    begin = page.evaluate("times.start - times.zero")
    assert page.evaluate("video.currentTime") == pytest.approx(begin, abs=0.05)
    page.evaluate("video.muted = true; video.playbackRate = 4")
    page.keyboard.press("Space")
    until(page, "video.paused && now() >= times.end - 0.05")
    assert (
        page.evaluate("now() - times.end") < 4
    )  # the player looks when a frame is shown, and the clip runs at four times its speed
    page.locator(".claim .jump").first.click()
    span = float(page.locator(".claim .jump").first.get_attribute("data-start") or "nan")
    until(page, "!video.seeking")
    assert page.evaluate("now()") == pytest.approx(span, abs=0.05)
    assert 0 <= page.evaluate("Number(playhead.style.getPropertyValue('--at'))") <= 1


def test_keys_label_the_claims_of_a_sample_and_each_is_saved(page: Page, address: str, store: Store) -> None:
    page.goto(f"{address}/audit")
    name = f"Ana {page.viewport_size}"
    page.keyboard.press("1")
    expect(page.get_by_role("alert")).to_contain_text("your name")
    page.get_by_label("Your name").fill(name)
    page.keyboard.press("Escape")
    page.wait_for_load_state("networkidle")
    page.keyboard.press("2")
    expect(page.locator("[data-label=contradicted]").first).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("0")
    expect(page.locator("#progress")).to_contain_text("1 of 3 clips done")
    assert [label.label for label in stored_labels(store, LAYER) if label.labeller == name] == [
        "complete",
        "contradicted",
    ]
    page.reload()
    expect(page.locator("[data-label=contradicted]").first).to_have_attribute("aria-pressed", "true")
