"""Bytes of the images of a request: a span of a local file, or of an object in a store."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import TYPE_CHECKING, Final

from curation.engines.engine_interface import ImageRef
from runtime.errors import MachineError, is_machine_fault
from shards.errors import ShardError
from shards.media.pictures import PictureError, opened_picture
from shards.storage.nearby_reads import NEARBY
from shards.storage.storage_errors import StorageError

if TYPE_CHECKING:
    from PIL import Image

FORMATS: Final = ("JPEG", "PNG", "WEBP")


class UnreadableImage(Exception):
    """An image that can't be used; the message is one line."""


def read_bytes(image: ImageRef) -> bytes:
    """Read the encoded image.

    Raises:
        UnreadableImage: the file does not exist, or ends before the image does.
        MachineError: the file may not be read, or the disk or the store fails.
    """
    try:
        data = _span(image)
    except (OSError, ShardError) as error:
        if is_machine_fault(error) or isinstance(error, StorageError):
            raise MachineError(f"{image.url}: {error}") from error
        raise UnreadableImage(f"{image.url}: {type(error).__name__}") from error
    if len(data) != image.size:
        raise UnreadableImage(f"{image.url}: {len(data)} bytes at {image.offset}, {image.size} were expected")
    return data


def _span(image: ImageRef) -> bytes:
    if "://" in image.url:
        return NEARBY.read(image.url, image.offset, image.size)
    with Path(image.url).open("rb") as file:
        file.seek(image.offset)
        return file.read(image.size)


def load(image: ImageRef) -> Image.Image:
    """Read and decode the image as RGB.

    Raises:
        UnreadableImage: not a JPEG, PNG or WebP, cut short, or of too many pixels.
        MachineError: see `read_bytes`.
    """
    data = read_bytes(image)
    try:
        with opened_picture(data, FORMATS) as picture:
            return picture.convert("RGB")
    except PictureError as error:
        raise UnreadableImage(f"{image.url} at {image.offset}: {error}") from error


def data_url(image: ImageRef) -> str:
    """Return the image as a ``data:`` URL with its bytes unchanged; raises as `read_bytes` does."""
    data = read_bytes(image)
    kind = next((kind for kind, magic in _MAGIC.items() if data.startswith(magic)), None)
    if kind is None:
        raise UnreadableImage(f"{image.url} at {image.offset}: not a readable JPEG, PNG or WebP")
    return f"data:image/{kind};base64,{base64.b64encode(data).decode('ascii')}"


_MAGIC: Final = {"jpeg": b"\xff\xd8\xff", "png": b"\x89PNG\r\n\x1a\n", "webp": b"RIFF"}
