"""Small real videos of plain colours, so that a test knows what a classifier is shown."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np

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
