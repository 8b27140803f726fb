"""Make the pictures of the viewer's guide from a DIR, by the system's Chromium.

    python docs/viewer_screenshots.py demo/shards --output docs                     # the pictures of README and guide
    python docs/viewer_screenshots.py demo/shards --output /tmp/pictures --phone --pages browse clip audit search runs

It opens `curate view` on a free port, and writes ``viewer-browse.png``, ``viewer-clip.png``, … below 300 kB each; with
``--phone`` at the width of a phone, in dark colours. The clip is the one with the most claims.
"""

from __future__ import annotations

import argparse
import io
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

_LARGEST = 300_000
_PAGES = {"browse": "/browse", "audit": "/audit", "search": "/search", "duplicates": "/duplicates", "runs": "/runs"}


def main() -> None:
    """Write the pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dir")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--pages", nargs="+", choices=("clip", *_PAGES), default=["browse", "clip"])
    parser.add_argument("--phone", action="store_true")
    arguments = parser.parse_args()
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))
    command = [sys.executable, "-m", "curation.cli", "view", arguments.dir, "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as viewer, sync_playwright() as driver:
        assert viewer.stdout is not None
        found = re.search(r"http://[^\s]+[0-9]", viewer.stdout.readline())
        assert found is not None
        size = {"width": 390, "height": 844} if arguments.phone else {"width": 1280, "height": 860}
        browser = driver.chromium.launch(executable_path=program, args=["--no-sandbox"])
        page = browser.new_page(viewport=size, color_scheme="dark" if arguments.phone else "light")
        page.on("console", lambda message: print(message.type, message.text))
        for name in arguments.pages:
            page.goto(found[0] + (_clip(page, found[0]) if name == "clip" else _PAGES[name]))
            page.wait_for_load_state("networkidle")
            if name == "clip":
                _play_a_little(page)
            _write(page.screenshot(), arguments.output / f"viewer-{name}{'-phone' if arguments.phone else ''}.png")
        browser.close()
        viewer.terminate()


def _clip(page: Page, address: str) -> str:
    """Return the address of the clip with the most claims."""
    for least in (5, 4, 3, 2, 1, 0):
        page.goto(f"{address}/browse?level=medium&level=long&sql=len(claims)%3E={least}")
        if page.locator(".tile a").count():
            return str(page.locator(".tile a").first.get_attribute("href"))
    return str(page.locator(".tile a").first.get_attribute("href"))


def _play_a_little(page: Page) -> None:
    deadline = time.monotonic() + 20
    while page.evaluate("video.readyState < 2") and time.monotonic() < deadline:
        page.wait_for_timeout(50)
    page.evaluate("video.muted = true; video.currentTime += Math.min(6, (times.end - times.start) / 2)")
    page.wait_for_timeout(1500)


def _write(png: bytes, path: Path) -> None:
    """Write a picture with as many colours as fit in the bytes that a guide may hold."""
    with Image.open(io.BytesIO(png)) as picture:
        for colours in (256, 128, 64, 32):
            data = io.BytesIO()
            picture.convert("RGB").quantize(colours).save(data, "PNG", optimize=True)
            if data.tell() <= _LARGEST:
                break
    path.write_bytes(data.getvalue())
    print(f"{path}: {data.tell() / 1000:.0f} kB")


if __name__ == "__main__":
    main()
