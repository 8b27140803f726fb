"""What became of each source: one state, one class, one line for people.

Always: sources in = written + filtered + failed + pending. A source's state is that of its last attempt.
"""

from __future__ import annotations

from shards.schema import FailedClass, FilteredClass


class SourceFailed(Exception):
    """One source can't be curated, and trying may help later or never: booked as ``failed``."""

    def __init__(self, class_: FailedClass, message: str) -> None:
        super().__init__(class_, message)
        self.class_ = class_
        self.message = " ".join(message.split())

    def __str__(self) -> str:
        return self.message


class SourceFiltered(Exception):
    """One source is understood and not wanted: booked as ``filtered``."""

    def __init__(self, class_: FilteredClass, message: str) -> None:
        super().__init__(class_, message)
        self.class_ = class_
        self.message = " ".join(message.split())

    def __str__(self) -> str:
        return self.message
