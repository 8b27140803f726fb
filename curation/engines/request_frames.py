"""Frames of a stored video for a request: decoded where the engine runs, labelled with their times.

They go to a model as pictures with a label before each, or as one video (vLLM's ``video/jpeg``, a list of JPEG files),
where the model has video input.
"""

from __future__ import annotations

import asyncio
import base64
import io
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from curation.engines.chat_messages import ContentPart, TextPart, VideoUrlPart
from curation.engines.engine_interface import FramesRef
from curation.engines.request_images import UnreadableImage, read_bytes
from runtime.errors import is_machine_fault, one_line
from runtime.picture.colour import ColourTags, colour_of

if TYPE_CHECKING:
    from PIL import Image

_ROUNDING: Final = 1e-4
"""Seconds by which a frame may be after the time at which it is wanted."""
_QUALITY: Final = 90
_SEEK_SECONDS: Final = 1.0
"""Distance, about a group of pictures, from which seeking costs less than decoding what is between."""


def load_frames(frames: FramesRef) -> list[Image.Image]:
    """Decode the frames that are shown at the wanted times, as RGB and in their order.

    Only the groups of pictures that hold them are decoded.

    Raises:
        UnreadableImage: not a readable video, or it ends before a frame.
        MachineError: the file may not be read, or the disk fails.
    """
    import av

    data = read_bytes(frames.file)
    try:
        with av.open(io.BytesIO(data), format="mp4") as container:
            return _decode(container, frames.times)
    except (av.FFmpegError, ValueError, IndexError, TypeError, ArithmeticError) as error:
        if is_machine_fault(error):
            raise
        raise UnreadableImage(f"{frames.file.url} at {frames.file.offset}: {one_line(error, named=True)}") from error


async def frame_parts(frames: FramesRef | None, part_of: Callable[[Image.Image], ContentPart]) -> list[ContentPart]:
    """Return the parts of a message that show the frames; none without frames. Raises as `load_frames` does.

    Args:
        frames: of a request.
        part_of: returns the part for one picture.
    """
    if frames is None:
        return []
    pictures = await asyncio.to_thread(load_frames, frames)
    if frames.as_video:
        return [VideoUrlPart(type="video_url", video_url={"url": await asyncio.to_thread(_video_url, pictures)})]
    parts: list[ContentPart] = []
    for label, picture in zip(frames.labels, pictures, strict=True):
        parts += [TextPart(type="text", text=label), part_of(picture)]
    return parts


def jpeg_url(picture: Image.Image) -> str:
    """Return a picture as a ``data:`` URL."""
    return f"data:image/jpeg;base64,{_jpeg(picture)}"


def _video_url(pictures: list[Image.Image]) -> str:
    return f"data:video/jpeg;base64,{','.join(_jpeg(picture) for picture in pictures)}"


def _jpeg(picture: Image.Image) -> str:
    data = io.BytesIO()
    picture.save(data, "JPEG", quality=_QUALITY)
    return base64.b64encode(data.getvalue()).decode("ascii")


def _decode(container: Any, times: tuple[float, ...]) -> list[Image.Image]:
    stream = container.streams.video[0]
    stream.thread_count = 1
    base = float(stream.time_base)
    zero = (stream.start_time or 0) * base
    decoded: Any = iter(())
    current, following = None, None
    pictures: list[Image.Image] = []
    for time in times:
        wanted = zero + time + _ROUNDING
        if following is None or following.time > wanted or wanted - following.time > _SEEK_SECONDS:
            container.seek(max(int(wanted / base), 0), stream=stream)
            decoded = container.decode(stream)
            current, following = None, next(decoded, None)
        while following is not None and following.time <= wanted:
            current, following = following, next(decoded, None)
        if current is None and following is None:
            raise ValueError(f"no frame can be decoded at {time:.1f} s")
        pictures.append(_rgb(current or following))
    return pictures


def _rgb(frame: Any) -> Image.Image:
    from av.video.reformatter import Colorspace

    meant = colour_of(ColourTags.of_frame(frame), frame.width, frame.height).matrix
    matrix = Colorspace.ITU709 if meant == "bt709" else Colorspace.ITU601
    image: Image.Image = frame.reformat(format="rgb24", src_colorspace=matrix, dst_colorspace=matrix).to_image()
    return image
