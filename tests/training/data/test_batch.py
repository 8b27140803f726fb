"""A batch of any kind: empty rows, concatenation, pieces, and the way from a worker to the main process."""

from __future__ import annotations

import pickle
from collections import Counter
from dataclasses import dataclass, replace

import pytest
import torch

from training.data.batch import Batch
from training.data.clip_batch import ClipBatch, video_number
from training.data.clip_tasks import ClipTask, MediaRef, RootTask


@dataclass(frozen=True, kw_only=True)
class InnerBatch(Batch):
    """Numbers."""

    number_B: torch.Tensor


@dataclass(frozen=True, kw_only=True)
class OuterBatch(Batch):
    """Every kind of field that a batch may have."""

    inner: InnerBatch
    value_BD: torch.Tensor
    tokens: dict[str, torch.Tensor]
    names: list[str]


def batch(first: int, rows: int, width: int = 3) -> OuterBatch:
    """Rows whose values follow from their numbers, beginning with `first`."""
    numbers = torch.arange(first, first + rows)
    keys = [f"row-{number}" for number in numbers]
    return OuterBatch(
        keys=keys,
        inner=InnerBatch(keys=keys, number_B=numbers),
        value_BD=numbers[:, None].repeat(1, width).float(),
        tokens={"text": numbers[:, None] * 2},
        names=[key.upper() for key in keys],
    )


def assert_same(one: OuterBatch, other: OuterBatch) -> None:
    assert (one.keys, one.names, one.inner.keys) == (other.keys, other.names, other.inner.keys)
    assert torch.equal(one.inner.number_B, other.inner.number_B)
    assert torch.equal(one.value_BD, other.value_BD)
    assert torch.equal(one.tokens["text"], other.tokens["text"])


def test_concatenated_rows_are_in_order() -> None:
    assert_same(OuterBatch.cat([batch(0, 2), batch(2, 1), batch(3, 4)]), batch(0, 7))


def test_counts_are_added_and_the_first_example_stays() -> None:
    parts = [
        replace(batch(0, 1), skips=Counter(lost=1), examples={"lost": "first"}, bytes_read=10),
        replace(batch(1, 1), skips=Counter(lost=2, cut=1), examples={"lost": "second", "cut": "third"}, bytes_read=5),
    ]
    whole = OuterBatch.cat(parts)
    assert whole.skips == {"lost": 3, "cut": 1}
    assert whole.examples == {"lost": "first", "cut": "third"}
    assert whole.bytes_read == 15


@pytest.mark.parametrize(("size", "lengths"), [(1, [1] * 5), (2, [2, 2, 1]), (5, [5]), (9, [5])])
def test_pieces_have_at_most_the_given_rows_and_are_the_whole_together(size: int, lengths: list[int]) -> None:
    pieces = list(batch(0, 5).split(size))
    assert [len(piece) for piece in pieces] == lengths
    assert_same(OuterBatch.cat(pieces), batch(0, 5))


def test_pieces_have_no_counts() -> None:
    whole = replace(batch(0, 2), skips=Counter(lost=1), examples={"lost": "first"}, bytes_read=1)
    assert all((piece.skips, piece.examples, piece.bytes_read) == (Counter(), {}, 0) for piece in whole.split(1))


@pytest.mark.parametrize("width", [3, 1 << 16])
def test_a_pickled_batch_is_the_same_and_can_be_written_to(width: int) -> None:
    copy = pickle.loads(pickle.dumps(batch(0, 2, width)))
    assert_same(copy, batch(0, 2, width))
    copy.value_BD[0] = 5.0
    assert copy.value_BD[0, 0] == 5


def test_an_empty_clip_batch_has_black_frames_weight_0_and_keeps_the_places() -> None:
    clips = tuple(ClipTask(f"clip-{n}", 0.0, 1.0, 10.0 + n, 11.0 + n, {"text": "words"}) for n in range(2))
    roots = [RootTask("root", "video", MediaRef("root.mp4"), clips), RootTask.empty(["text"], 1)]
    empty = ClipBatch.empty(roots, frames=4, size=8)
    assert empty.keys == ["clip-0", "clip-1", ""]
    assert empty.video_BTSSC.shape == (3, 4, 8, 8, 3) and not empty.video_BTSSC.any()
    assert empty.crop_B4.tolist() == [[0.0, 0.0, 1.0, 0.0]] * 3
    assert empty.span_B2.tolist() == [[10.0, 11.0], [11.0, 12.0], [0.0, 0.0]]
    assert empty.video_id_B.tolist() == [video_number("video")] * 2 + [video_number("")]
    assert empty.usable == 0


def test_an_empty_root_is_not_decoded() -> None:
    assert RootTask.empty(["text"], 2).is_empty and not RootTask.empty(["text"], 2).worth_decoding
    assert not RootTask.empty([], 2).worth_decoding


def of_lengths(*lengths: int) -> ClipBatch:
    """Return clips of these numbers of frames; every pixel of clip n is n."""
    clips = [ClipTask(f"clip-{n}", 0.0, 1.0, 0.0, 1.0, {}, frames=length) for n, length in enumerate(lengths)]
    empty = ClipBatch.empty([RootTask("root", "video", MediaRef("x"), tuple(clips))], frames=1, size=2)
    number_F = torch.arange(len(lengths)).repeat_interleave(torch.tensor(lengths))
    return replace(empty, frames_FSSC=empty.frames_FSSC + number_F[:, None, None, None].to(torch.uint8), bytes_read=7)


def test_clips_of_several_lengths_are_packed_without_padding() -> None:
    batch = of_lengths(3, 1, 2)
    assert batch.frames_FSSC.shape == (6, 2, 2, 3)
    assert batch.rows(slice(1, 3)).frames_FSSC[:, 0, 0, 0].tolist() == [1, 2, 2]
    assert batch.rows(slice(1, 3)).length_B.tolist() == [1, 2]
    both = ClipBatch.cat([batch, of_lengths(2)])
    assert both.frames_FSSC[:, 0, 0, 0].tolist() == [0, 0, 0, 1, 2, 2, 0, 0]
    with pytest.raises(AssertionError, match="same_length"):
        _ = batch.video_BTSSC


def test_micro_batches_have_one_length_and_at_most_so_many_frames() -> None:
    batch = of_lengths(2, 2, 2, 4, 4, 16)
    pieces = list(batch.split_frames(4))
    assert [piece.keys for piece in pieces] == [["clip-0", "clip-1"], ["clip-2"], ["clip-3"], ["clip-4"], ["clip-5"]]
    assert [tuple(piece.video_BTSSC.shape[:2]) for piece in pieces] == [(2, 2), (1, 2), (1, 4), (1, 4), (1, 16)]
    assert torch.equal(torch.cat([piece.frames_FSSC for piece in pieces]), batch.frames_FSSC)


def test_rows_are_put_in_the_order_of_their_lengths_with_their_frames_and_counts() -> None:
    ordered = of_lengths(4, 2, 4, 1).by_length()
    assert ordered.keys == ["clip-3", "clip-1", "clip-0", "clip-2"]
    assert ordered.frames_FSSC[:, 0, 0, 0].tolist() == [3, 1, 1, 0, 0, 0, 0, 2, 2, 2, 2]
    assert ordered.bytes_read == 7
    already = of_lengths(1, 2, 2)
    assert already.by_length() is already
