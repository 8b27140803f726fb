"""The number of workers of a run on Ray, as `train-vidla --workers` takes it."""

import pytest

from runtime.errors import UserError
from training.vidla.launch import workers_of


@pytest.mark.parametrize(("asked", "workers"), [(None, None), ("4", (4, 4)), ("2:8", (2, 8))])
def test_workers_are_a_number_or_the_least_and_the_most(asked: str | None, workers: tuple[int, int] | None) -> None:
    assert workers_of(asked) == workers


@pytest.mark.parametrize("asked", ["0", "-1", "two", "2:", "8:2", "1:2:3"])
def test_other_numbers_of_workers_are_refused(asked: str) -> None:
    with pytest.raises(UserError, match=f"--workers {asked}: "):
        workers_of(asked)
