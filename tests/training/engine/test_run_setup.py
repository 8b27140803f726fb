"""The begin of a run: all ranks build one model, then each draws its own dropout."""

import torch

from training.engine.parallel.distributed import Ranks
from training.engine.run_setup import seed_dropout


def drawn(rank: int, seed: int = 0) -> list[float]:
    torch.manual_seed(seed)
    seed_dropout(seed, Ranks(rank=rank, world_size=3))
    return torch.rand(4).tolist()


def test_ranks_draw_differently_and_each_draws_the_same_in_every_run() -> None:
    draws = [drawn(rank) for rank in range(3)]
    assert draws[0] != draws[1] != draws[2] != draws[0]
    assert draws == [drawn(rank) for rank in range(3)]


def test_the_first_rank_draws_as_a_run_of_one_process_does() -> None:
    torch.manual_seed(0)
    alone = torch.rand(4).tolist()
    assert drawn(0) == alone
