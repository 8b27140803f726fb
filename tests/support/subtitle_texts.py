"""Texts of subtitle files for tests."""

from __future__ import annotations


def vtt(*cues: tuple[str, str], header: str = "WEBVTT") -> str:
    """Return a WebVTT file of cues, each a timing line and a text."""
    return f"{header}\n\n" + "\n\n".join(f"{timing}\n{text}" for timing, text in cues)


def srt(*cues: tuple[str, str]) -> bytes:
    """Return a SubRip file of cues, each a timing line and a text."""
    return "\n\n".join(f"{i}\n{timing}\n{text}" for i, (timing, text) in enumerate(cues, 1)).encode()
