"""Limits with which every picture and every media file is opened, for libav, ffmpeg and Pillow alike.

A file of a few kilobytes can announce a picture of gigabytes, in any of its streams: a cover counts as one. libav
decodes the first picture of *each* stream while it opens a file, and keeps about a megabyte for each stream.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

MAX_PIXELS: Final = 1 << 26
"""The most pixels of a picture (8,192 x 8,192)."""

MAX_STREAMS: Final = 128
"""The most streams of a container, attachments included; containers that skip what is over keep the first ones."""

DECODER_LIMITS: Final[Mapping[str, str]] = {"max_pixels": str(MAX_PIXELS)}
"""Options that hold a decoder of libav to the limits."""

LIBAV_LIMITS: Final[Mapping[str, str]] = {**DECODER_LIMITS, "max_streams": str(MAX_STREAMS)}
"""Options that hold libav to the limits; they must be given when a container is opened."""
