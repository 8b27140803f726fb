"""Settings of the stored encode, its stills and shot detection; read by the command and by what runs it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from runtime.settings import Runtime, Settings

Preset = Literal["ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow"]


class EncodeSettings(Settings):
    """The stored video, the stills, and where shots begin."""

    short_side: int = Field(default=256, ge=16, le=2160)
    """Pixels of the shorter side of the stored video; the longer keeps the shape, with square pixels."""
    fps: float = Field(default=8.0, gt=0, le=120)
    """Stored frames a second, evenly spaced."""
    gop: int = Field(default=8, ge=1)
    """Frames from one IDR frame to the next, at most."""
    crf: float = Field(default=23.0, ge=0, le=51)
    """x264's constant rate factor; 26 saves about 40 % of the bytes (SSIM 0.965 instead of 0.977)."""
    preset: Preset = "veryfast"
    """x264's preset."""
    audio: bool = False
    """Store the sound as well (mono AAC)."""
    audio_kbps: int = Field(default=64, ge=8)
    """Bit rate of the stored sound."""
    still_short_side: int = Field(default=448, ge=16)
    """Pixels of the shorter side of stills; never more than the source has."""
    still_every: float = Field(default=2.0, gt=0)
    """Seconds from one candidate still to the next."""
    still_quality: int = Field(default=3, ge=2, le=31)
    """JPEG quality of stills as ffmpeg counts it: 2 is best."""
    min_shot: float = Field(default=1.0, ge=0)
    """Shortest shot, seconds."""
    shot_threshold: float = Field(default=3.0, gt=0)
    """How many times stronger than the frames around it a change must be to begin a shot."""
    min_share: float = Field(default=0.5, ge=0, le=1)
    """Share of a damaged video that must be readable for it to be kept."""
    threads: Runtime[int] = Field(default=1, ge=0)
    """Threads of the decoder and of the encoder; 0: as many as there are cores. One a process is most efficient."""
    time_limit_factor: Runtime[float] = Field(default=10.0, gt=0)
    """Wall seconds that a second of video may take, on top of two minutes."""
