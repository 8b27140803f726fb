"""Names of keyframes in their tar: ``<root_key>.<ms>.jpg``. Pure."""

from __future__ import annotations


def parse_keyframe_name(member: str) -> tuple[str, int]:
    """Split the name of a keyframe, ``<root_key>.<ms>.jpg``, into the root's key and the time in milliseconds."""
    root, _, rest = member.partition(".")
    milliseconds = rest.removesuffix(".jpg")
    return root, int(milliseconds) if milliseconds.isdecimal() else 0
