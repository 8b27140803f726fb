"""The outcomes of a source that can't be curated, or is not wanted: one class and one line for people.

Always: sources in = written + filtered + failed + pending. A source's state is that of its last attempt.
"""

from __future__ import annotations

from runtime.text.sound_text import sound_text
from shards.schema import FailedClass, FilteredClass, PostponedClass


class SourceFailed(Exception):
    """A source can't be curated now, or ever: its state is ``failed``."""

    def __init__(self, class_: FailedClass, message: str) -> None:
        super().__init__(class_, message)
        self.class_ = class_
        self.message = " ".join(sound_text(message).split())

    def __str__(self) -> str:
        return self.message


class SourcePostponed(Exception):
    """A source is left for later: its host refuses all sources, or its download is late. Its state is ``pending``."""

    def __init__(self, message: str, class_: PostponedClass = "postponed") -> None:
        super().__init__(message)
        self.class_ = class_
        self.message = message


class SourceFiltered(Exception):
    """A source was read and is not wanted: its state is ``filtered``."""

    def __init__(self, class_: FilteredClass, message: str) -> None:
        super().__init__(class_, message)
        self.class_ = class_
        self.message = " ".join(sound_text(message).split())

    def __str__(self) -> str:
        return self.message
