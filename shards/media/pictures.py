"""Decode pictures that may come from outside: known formats, a limit of pixels, one kind of error."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from shards.errors import one_line
from shards.media.media_limits import MAX_PIXELS

if TYPE_CHECKING:
    from PIL import Image

_DAMAGE: Final = (OSError, ValueError, SyntaxError, EOFError, LookupError, TypeError, struct.error, zlib.error)


class PictureError(ValueError):
    """A picture that can't be decoded; the message is one line."""


@contextmanager
def opened_picture(data: bytes, formats: Sequence[str]) -> Iterator[Image.Image]:
    """Open an encoded picture; it is decoded when its pixels are first used, which must be inside the block.

    Args:
        data: the file.
        formats: Pillow's names of the formats that are allowed.

    Raises:
        PictureError: not a picture of these formats, damaged, or of more than `MAX_PIXELS`.
    """
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # our own limit is below
            picture = Image.open(io.BytesIO(data), formats=list(formats))
        with picture:
            if picture.width * picture.height > MAX_PIXELS:
                raise PictureError(f"{picture.width} x {picture.height} pixels, the most is {MAX_PIXELS}")
            yield picture
    except PictureError:
        raise
    except (*_DAMAGE, Image.DecompressionBombError) as error:
        raise PictureError(f"not a readable {' or '.join(formats)} ({one_line(error)})") from error
