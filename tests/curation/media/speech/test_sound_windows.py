"""Sound is split into windows at quiet moments."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.media.speech.sound_windows import split_sound

RATE = 16000


@given(
    st.lists(st.integers(0, 1000), min_size=0, max_size=80),
    st.integers(10, 40),
)
def test_windows_tile_the_sound_and_none_is_too_long(levels: list[int], limit_tenths: int) -> None:
    sound = np.repeat(np.array(levels, dtype=np.int16), RATE // 10)
    limit = limit_tenths * RATE // 10
    found = list(split_sound(sound, limit))
    assert [a for a, _ in found] == [0, *(b for _, b in found[:-1])][: len(found)]
    assert not len(sound) or found[-1][1] == len(sound)
    assert all(0 < b - a <= limit for a, b in found)


def test_a_window_ends_in_the_quietest_half_second_of_its_last_minute() -> None:
    sound = np.full(RATE * 200, 1000, np.int16)
    sound[RATE * 20 : RATE * 22] = 0  # quiet, but not in the last minute of the window
    sound[RATE * 71 : RATE * 72] = 10
    assert next(iter(split_sound(sound, RATE * 100)))[1] / RATE == pytest.approx(71.5, abs=0.3)
