import pytest

from shards.errors import one_line

_LONG = ValueError("first  cause\n\n   at file 1\n  last cause  \n")


def test_all_lines_are_joined_by_single_blanks() -> None:
    assert one_line(_LONG) == "first cause at file 1 last cause"


@pytest.mark.parametrize(("keep", "line"), [("first", "first cause"), ("last", "last cause")])
def test_one_line_of_the_message_can_be_kept(keep: str, line: str) -> None:
    assert one_line(_LONG, keep=keep) == line  # type: ignore[arg-type]


@pytest.mark.parametrize("named", [False, True])
def test_an_empty_message_becomes_the_class_name(named: bool) -> None:
    assert one_line(KeyboardInterrupt(), named=named) == "KeyboardInterrupt"


def test_the_class_name_can_stand_before_the_message() -> None:
    assert one_line(ValueError("no number"), named=True) == "ValueError: no number"


def test_a_long_message_is_cut() -> None:
    assert one_line(ValueError("x" * 1000), limit=7) == "x" * 7
