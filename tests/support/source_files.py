"""Small files that tests use as sources."""

from __future__ import annotations

from pathlib import Path

YOUTUBE = "https://www.youtube.com/watch?v=dQw4w9WgXcQ"
"""A URL of one video."""


def write(path: Path, text: str = "x") -> Path:
    """Write a small file, and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path
