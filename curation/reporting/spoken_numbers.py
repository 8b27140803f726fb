"""Numbers as people write them: times, lengths, bytes, and counts with their nouns."""

from __future__ import annotations


def clock(seconds: float | None) -> str:
    """Return a time as people write it: ``1:02:03.4``, ``2:03.4``; "" for none."""
    if seconds is None:
        return ""
    minutes, rest = divmod(round(seconds, 1), 60)
    hours, minutes = divmod(int(minutes), 60)
    return f"{hours}:{minutes:02d}:{rest:04.1f}" if hours else f"{minutes}:{rest:04.1f}"


def duration(hours: float) -> tuple[str, str]:
    """Return a length of time as a number and its unit: hours, or minutes or seconds where it is short."""
    for unit, size in (("hours", 1.0), ("minutes", 60.0)):
        if hours * size >= 2:
            return f"{hours * size:,.1f}", unit
    seconds = f"{hours * 3600:,.0f}"
    return seconds, "second" if seconds == "1" else "seconds"


def length(hours: float) -> str:
    """Return a length of time with its unit, as `duration`."""
    return " ".join(duration(hours))


def short_number(value: float) -> str:
    """Return a number with the digits that people need."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def counted(count: int, noun: str) -> str:
    """Return a count with its noun, which takes an ``s`` unless there is one: ``1 clip``, ``2,000 clips``."""
    return f"{count:,} {noun}{'s' * (count != 1)}"


def byte_size(size: float) -> str:
    """Return a number of bytes as people write it, in units of 1000."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:,.2f} TB"
