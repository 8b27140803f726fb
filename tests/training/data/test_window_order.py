"""The walk through the windows of an epoch, over shards that are lists of names."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from training.data.sources.window_order import WindowOrder

SHARDS = [[f"v{video}-{shard}" for video in range(size)] for shard, size in enumerate([3, 1, 4, 0, 2])]
ORDER = WindowOrder([len(shard) for shard in SHARDS], window=2, seed=5)


class Loader:
    """Loads windows, and records which."""

    def __init__(self) -> None:
        self.windows: list[list[int]] = []

    def __call__(self, window: Sequence[int]) -> list[str]:
        self.windows.append(sorted(window))
        return [root for number in sorted(window) for root in SHARDS[number]]


def walked(epoch: int = 0, skip: int = 0, every: int = 1, loader: Loader | None = None) -> list[str]:
    only = None if every == 1 else lambda position: position % every == 0
    return list(ORDER.walk(epoch, skip, only, loader or Loader(), lambda root: root.partition("-")[0]))


def test_an_epoch_has_every_root_once_and_loads_every_window_once() -> None:
    loader = Loader()
    assert sorted(walked(loader=loader)) == sorted(root for shard in SHARDS for root in shard)
    assert sorted(number for window in loader.windows for number in window) == [0, 1, 2, 3, 4]


def test_epochs_differ() -> None:
    assert walked(0) != walked(1)


@pytest.mark.parametrize("skip", range(11))
def test_skipping_gives_the_rest(skip: int) -> None:
    assert walked(skip=skip) == walked()[skip:]


def test_skipped_windows_are_not_loaded() -> None:
    loader = Loader()
    assert walked(skip=9, loader=loader) == walked()[9:]
    assert len(loader.windows) == 1


def test_positions_are_counted_from_the_beginning_of_the_epoch() -> None:
    assert walked(every=3) == walked()[::3]
    assert walked(skip=4, every=3) == walked()[6::3]
