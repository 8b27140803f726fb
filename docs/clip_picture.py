"""Draw what `curate inspect DIR --key KEY` prints as an SVG: the picture in the README.

python docs/clip_picture.py demo/shards KEY docs/images/curated-clip.svg
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

COLUMNS = 110


def main() -> None:
    """Run `curate inspect` and draw its first lines."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dir")
    parser.add_argument("key")
    parser.add_argument("output", type=Path)
    arguments = parser.parse_args()
    command = [sys.executable, "-m", "curation.cli", "inspect", arguments.dir, "--key", arguments.key]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    console = Console(record=True, width=COLUMNS, file=sys.stderr)
    console.print(f"$ curate inspect {arguments.dir} --key {arguments.key}", highlight=False)
    texts, _, _ = shown.partition("\n  root_key")  # the facts of the stored file follow
    for line in texts.splitlines():
        console.print(Text.from_ansi(line))
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    svg = re.sub(r"@font-face \{.*?\}", "", console.export_svg(title="clipgrove"), flags=re.DOTALL)  # fonts of a server
    arguments.output.write_text(svg, encoding="utf-8")


if __name__ == "__main__":
    main()
