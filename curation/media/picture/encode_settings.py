"""Settings of the stored encode, of candidate stills, and of shot detection."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from runtime.retry_limits import ENCODE_TIME_FACTOR
from runtime.settings import Runtime, Settings

Preset = Literal["ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow"]


class EncodeSettings(Settings):
    """Settings of the stored video, its stills, and shot detection."""

    short_side: int = Field(default=256, ge=16, le=2160)
    """Short side of the stored video in pixels; the long side keeps the aspect ratio, with square pixels."""
    fps: float = Field(default=8.0, gt=0, le=120)
    """Frames a second of the stored video, evenly spaced."""
    gop: int = Field(default=8, ge=1)
    """Most frames from one IDR frame to the next."""
    crf: float = Field(default=23.0, ge=0, le=51)
    """x264's constant rate factor; 26 saves about 40 % of the bytes (SSIM 0.965 instead of 0.977)."""
    preset: Preset = "veryfast"
    """x264's preset."""
    audio: bool = False
    """Store the audio too (mono AAC)."""
    audio_kbps: int = Field(default=64, ge=8)
    """Bit rate of the stored audio, in kbit/s."""
    still_short_side: int = Field(default=448, ge=16)
    """Short side of stills in pixels; a smaller source is not enlarged."""
    still_every: float = Field(default=2.0, gt=0)
    """Seconds from one candidate still to the next."""
    still_quality: int = Field(default=3, ge=2, le=31)
    """JPEG quality of stills on ffmpeg's scale: 2 is best, 31 worst."""
    min_shot: float = Field(default=1.0, ge=0)
    """Shortest shot in seconds."""
    shot_threshold: float = Field(default=3.0, gt=0)
    """A shot begins where the picture changes this many times more than in the neighbouring frames."""
    min_share: float = Field(default=0.5, ge=0, le=1)
    """Share of a damaged video that must be readable; otherwise the source fails as `corrupt`."""
    threads: Runtime[int] = Field(default=1, ge=0)
    """Threads of the decoder and of the encoder; 0: one for each core. One thread a process is most efficient."""
    time_limit_factor: Runtime[float] = Field(default=ENCODE_TIME_FACTOR.default, gt=0)
    """Time limit in wall seconds for each second of video, on top of two minutes."""
