"""Memory of batches is used again, and never while a tensor still has it."""

import torch

from training.data.recycled_memory import RecycledMemory

SHAPE = (3, 1 << 20)


def test_memory_is_used_again_once_the_last_view_is_gone() -> None:
    memory = RecycledMemory()
    first = memory.tensor(SHAPE, torch.uint8)
    place, view = first.data_ptr(), first[1:].view(-1)[:5]
    del first
    other = memory.tensor(SHAPE, torch.uint8)
    assert other.data_ptr() != place
    del view
    again = memory.tensor((2, 1 << 20), torch.uint8)
    assert again.data_ptr() == place and again.shape == (2, 1 << 20)


def test_tensors_of_any_type_and_small_ones_are_whole() -> None:
    memory = RecycledMemory()
    wide = memory.tensor((1 << 19,), torch.float32).fill_(1.5)
    small = memory.tensor((2, 3), torch.int64).fill_(7)
    assert wide.sum().item() == 1.5 * (1 << 19) and small.tolist() == [[7] * 3] * 2


def test_few_blocks_are_kept_and_none_that_is_much_too_large() -> None:
    memory = RecycledMemory(most=1)
    tensors = [memory.tensor(SHAPE, torch.uint8) for _ in range(3)]
    tensors.clear()
    assert len(memory._free) == 1
    small = memory.tensor((1 << 20,), torch.uint8)
    assert small.nbytes == 1 << 20 and len(memory._free) == 1
