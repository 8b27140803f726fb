"""Scores of one model at several numbers of frames."""

import torch
from torch.nn import functional as F

from training.evaluation.scoring.length_scores import compare_lengths


def test_the_reference_agrees_with_itself_and_a_way_that_swaps_two_clips_does_not() -> None:
    reference_ND = F.normalize(torch.tensor([[1.0, 0.0, 0.1], [0.0, 1.0, 0.1], [0.0, 0.0, 1.0]]), dim=-1)
    swapped_ND = reference_ND[[1, 0, 2]]
    text_MD = reference_ND[[0, 0, 1, 2]]
    few, most = compare_lengths({"8": swapped_ND, "32": reference_ND}, text_MD, torch.tensor([0, 0, 1, 2]))
    assert (most.frames, most.t2v_r1, most.same_nearest) == ("32", 100.0, 100.0)
    assert abs(most.cosine - 1) < 1e-6 and abs(most.lowest_cosine - 1) < 1e-6
    assert (few.frames, few.t2v_r1, few.same_nearest) == ("8", 25.0, 25.0)
    assert few.lowest_cosine < 0.1 < few.cosine < 0.5
