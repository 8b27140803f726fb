"""Draw what `curate inspect DIR --key KEY` prints as an SVG: the picture in the README.

python docs/clip_picture.py demo/shards KEY docs/images/curated-clip.svg
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
from itertools import takewhile
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
    terminal = os.environ | {"FORCE_COLOR": "1", "TERM": "xterm-256color", "COLUMNS": str(COLUMNS)}
    shown = subprocess.run(command, capture_output=True, text=True, check=True, env=terminal).stdout
    console = Console(record=True, width=COLUMNS, file=sys.stderr)
    console.print(f"$ curate inspect {arguments.dir} --key {arguments.key}", highlight=False)
    lines = [Text.from_ansi(line) for line in shown.splitlines()]
    for line in takewhile(lambda line: not line.plain.startswith(" root_key"), lines):  # facts of the file follow
        line.rstrip()
        console.print(line)
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    svg = re.sub(r"@font-face \{.*?\}", "", console.export_svg(title="clipgrove"), flags=re.DOTALL)  # fonts of a server
    arguments.output.write_text(svg, encoding="utf-8")


if __name__ == "__main__":
    main()
