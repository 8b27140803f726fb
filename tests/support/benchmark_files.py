"""Tiny annotation and video files of benchmarks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from runtime.annotation_files import VideoFiles


def video_files(folder: Path, *names: str) -> VideoFiles:
    """Write empty files of these names: readers look videos up but do not open them."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return VideoFiles(folder)


def write_annotations(path: Path, value: Any) -> None:
    """Write text as it is, and any other value as JSON."""
    path.write_text(value if isinstance(value, str) else json.dumps(value), encoding="utf-8")
