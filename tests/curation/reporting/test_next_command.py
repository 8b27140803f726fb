"""The next command that a command prints: one line that a shell takes as it is."""

from __future__ import annotations

import io
import shlex

from rich.console import Console

from curation.reporting.next_command import print_next
from curation.reporting.spoken_numbers import byte_size, counted, duration


def test_names_with_spaces_and_quotes_reach_the_command_whole() -> None:
    name = "my [bold] dir's $(x); rm *"
    printed = io.StringIO()
    print_next(Console(file=printed, color_system=None), "view", name)
    assert shlex.split(printed.getvalue())[-2:] == ["view", name]


def test_a_long_line_is_not_broken_by_the_width_of_the_terminal() -> None:
    printed = io.StringIO()
    print_next(Console(file=printed, width=40, force_terminal=True, color_system=None), "inspect", "x" * 100)
    assert printed.getvalue().count("\n") == 1


def test_numbers_are_written_as_people_write_them() -> None:
    assert [counted(number, "video") for number in (0, 1, 2000)] == ["0 videos", "1 video", "2,000 videos"]
    assert [byte_size(size) for size in (12, 1500, 8.1e6, 2.5e12)] == ["12 bytes", "1.5 kB", "8.1 MB", "2.50 TB"]
    assert [duration(hours) for hours in (3, 0.5, 1 / 3600)] == [("3.0", "hours"), ("30.0", "minutes"), ("1", "second")]
