"""The roots of each step and rank, with frames by duration: the same batch on any number of ranks, and resumed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain, islice

from training.data.clip_tasks import ClipTask, MediaRef, RootTask
from training.data.order.batch_order import RootOrder
from training.data.order.epoch_order import rng_of
from training.data.order.frame_buckets import FrameBuckets

BUCKETS = FrameBuckets(1.0, (8, 16, 32))
BATCH, ROOTS = 256, 600


@dataclass(frozen=True)
class Ranks:
    rank: int = 0
    world_size: int = 1


class Source:
    """Roots of one clip each, whose durations depend on the epoch, as drawn clips do."""

    identity, terms, num_roots, num_clips = "", ("text",), ROOTS, ROOTS

    def epoch(self, epoch: int, skip: int = 0, only: Callable[[int], bool] | None = None) -> Iterator[RootTask]:
        for number in range(skip, ROOTS):
            if only is None or only(number):
                key, end = f"{epoch}-{number}", rng_of(epoch, number).lognormvariate(2.9, 0.7)
                clip = ClipTask(key, 0.0, end, 0.0, end, {"text": "a text"})
                yield RootTask(key, key, MediaRef("x"), (clip,))


def steps(rank: int, world_size: int, first: int, count: int) -> list[list[tuple[str, int | None]]]:
    """Return key and frames of a rank's clips, step by step."""
    order = RootOrder(Source(), BATCH, 1, Ranks(rank, world_size), BUCKETS)
    tasks = order.tasks(first)
    return [[(root.key, root.clips[0].frames) for root in islice(tasks, order.own)] for _ in range(count)]


def test_a_batch_has_the_roots_that_it_has_without_buckets() -> None:
    plain = RootOrder(Source(), BATCH, 1, Ranks()).tasks(0)
    for step in steps(0, 1, 0, 3):
        assert sorted(key for key, _ in step) == sorted(root.key for root in islice(plain, BATCH))


def test_clips_of_one_length_follow_each_other() -> None:
    for step in steps(0, 1, 0, 2):
        lengths = [frames for _, frames in step]
        assert lengths == sorted(lengths) and set(lengths) == {8, 16, 32}


def test_four_ranks_have_the_clips_and_lengths_of_one_and_equally_many_of_each_length() -> None:
    whole = steps(0, 1, 0, 5)
    parts = [steps(rank, 4, 0, 5) for rank in range(4)]
    for number, step in enumerate(whole):
        dealt = [part[number] for part in parts]
        assert sorted(chain(*dealt)) == sorted(step)
        assert len({tuple(frames for _, frames in own) for own in dealt}) == 1


def test_a_start_within_an_epoch_continues_exactly_on_another_number_of_ranks() -> None:
    undisturbed = steps(0, 1, 0, 5)
    for first in (1, 2, 3):
        resumed = [steps(rank, 2, first, 5 - first) for rank in range(2)]
        for expected, *own in zip(undisturbed[first:], *resumed, strict=True):
            assert Counter(expected) == Counter(chain(*own))


def test_the_empty_roots_of_an_epochs_last_batch_have_the_smallest_bucket() -> None:
    last = steps(0, 1, 2, 1)[0]
    assert [frames for key, frames in last if not key] == [8] * (3 * BATCH - ROOTS)
