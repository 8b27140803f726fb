"""Make the picture of the card's guide from a DIR, by the system's Chromium.

    python docs/card_picture.py demo/shards --output docs/card.png

It writes a card into a folder of its own, and takes the beginning of the report.
"""

from __future__ import annotations

import argparse
import io
import shutil
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

from curation.cli import main as curate


def main() -> None:
    """Write the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dir")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--title", default="Demo")
    arguments = parser.parse_args()
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as driver:
        if curate(["card", arguments.dir, "--output", folder, "--title", arguments.title]):
            raise SystemExit("no card was written")
        browser = driver.chromium.launch(executable_path=program, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1180, "height": 1000}, color_scheme="light")
        page.goto((Path(folder) / "report.html").as_uri())
        picture = Image.open(io.BytesIO(page.screenshot()))
        picture.quantize(128).save(arguments.output, optimize=True)
        browser.close()


if __name__ == "__main__":
    main()
