"""The pictures of what a claim cites, and the rulings on claims that cite none. Pure."""

from __future__ import annotations

from typing import Final

from curation.grounding.claims import CitedClaim
from curation.grounding.judge import Ruling
from curation.grounding.pixels.clip_pictures import ShownPictures, pictures_of

NOT_SEEN: Final = Ruling(0.0, "not_seen")
"""On a claim that rests on speech alone."""
NO_FRAMES: Final = Ruling(None, "no_frames")
"""On a claim about a clip whose pictures are not there."""


def cited_pictures(claim: CitedClaim, most: int) -> ShownPictures | None:
    """Return at most `most` pictures of what a claim cites; None if it cites nothing that can be seen.

    If the pictures of no cited item are known, what is returned is empty.
    """
    seen = [item for item in claim.evidence if item.is_seen]
    if not seen:
        return None
    pictures = next((item.pictures for item in seen if item.pictures is not None), None)
    return ShownPictures() if pictures is None else pictures_of(pictures, [item.span for item in seen], most)
