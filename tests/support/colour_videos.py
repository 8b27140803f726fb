"""Small real videos of plain colours, so that a test knows what a classifier is shown."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
from support.broken_videos import ffmpeg

RED, GREEN, BLUE = (220, 20, 20), (20, 220, 20), (20, 20, 220)


def colour_video(
    path: Path, *colours: tuple[int, int, int], seconds: float = 2.0, fps: int = 8, size: tuple[int, int] = (64, 48)
) -> Path:
    """Write an H.264 video of `size` (width, height) with vertical bands of `colours`, from left to right."""
    width, height = size
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = np.zeros((height, width, 3), np.uint8)
    for number, colour in enumerate(colours):
        picture[:, width * number // len(colours) : width * (number + 1) // len(colours)] = colour
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=fps, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt, stream.gop_size = width, height, "yuv420p", 8
        for _ in range(round(seconds * fps)):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        container.mux(stream.encode(None))
    return path


COLOUR = (200, 60, 30)
"""Of `flat_video`."""
LINEAR = "zscale=tin=iec61966-2-1:pin=709:min=gbr:rin=full:t=linear:p=709:m=gbr:npl=203,format=gbrpf32le,zscale=npl=203"
"""Begin of a chain of filters that gives samples another meaning: it needs ``:p=…:t=…:m=…:r=…``."""
X264 = ("-c:v", "libx264", "-preset", "ultrafast")
X265 = ("-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=0")
VP9 = ("-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8")


def flat_video(path: Path, filters: str, *encoder: str, size: str = "320x240") -> Path:
    """Make two seconds of `COLOUR`; `filters` convert it from RGB."""
    red, green, blue = COLOUR
    plain = f"color=0x{red:02x}{green:02x}{blue:02x}:s={size}:r=8:d=2,format=gbrp"
    ffmpeg("-f", "lavfi", "-i", plain, "-vf", filters, *encoder, path)
    return path
