"""Match of clips and texts: cosines, and percentiles on constructed worlds."""

from __future__ import annotations

import numpy as np
import pytest

from shards.scores.match import LEAST_PAIRS, LEAST_VIDEOS, SHUFFLES, cosines, percentiles


def world(videos: int, clips: int, width: int = 32, noise: float = 0.3) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Return clips and texts that point the same way but for noise, in float16, and the video of each."""
    random = np.random.default_rng(3)
    clip_ND = random.normal(size=(videos * clips, width))
    text_ND = clip_ND + noise * random.normal(size=clip_ND.shape)
    return clip_ND.astype(np.float16), text_ND.astype(np.float16), [f"v{n // clips}" for n in range(videos * clips)]


def test_the_cosine_is_that_of_the_vectors_whatever_their_length() -> None:
    clip_ND = np.array([[3, 4], [2, 0], [0, 1]], np.float16)
    text_ND = np.array([[3, 4], [0, 5], [0, -2]], np.float16)
    assert cosines(clip_ND, text_ND).tolist() == pytest.approx([1.0, 0.0, -1.0])


def test_a_missing_vector_leaves_match_and_percentile_missing_and_no_others() -> None:
    clip_ND, text_ND, videos = world(10, 4)
    clip_ND[3], text_ND[7], text_ND[8] = np.nan, np.nan, 0
    missing_N = np.isin(np.arange(len(videos)), (3, 7, 8))
    for found_N in (cosines(clip_ND, text_ND), percentiles(clip_ND, text_ND, videos)):
        assert (np.isnan(found_N) == missing_N).all()


def test_the_percentile_counts_the_mismatched_pairs_below_and_half_of_the_equal() -> None:
    """Every text points along one of two axes: by hand, of the pairs of other videos half are 1 and half are 0."""
    clip_ND = np.tile(np.array([[1, 0], [0, 1]], np.float16), (8, 1))
    videos = [f"v{n // 2}" for n in range(16)]
    agreeing_N = percentiles(clip_ND, clip_ND, videos)
    assert agreeing_N.tolist() == pytest.approx([0.75] * 16)
    crossed_N = percentiles(clip_ND, clip_ND[:, ::-1], videos)
    assert crossed_N.tolist() == pytest.approx([0.25] * 16)


@pytest.mark.parametrize("videos", [12, 100], ids=["all pairs", "shuffles"])
def test_own_texts_rank_high_and_strange_texts_evenly(videos: int) -> None:
    clip_ND, text_ND, names = world(videos, 5)
    assert (len(names) > SHUFFLES) == (videos == 100)
    assert percentiles(clip_ND, text_ND, names).min() > 0.97
    strange_N = percentiles(clip_ND, np.roll(text_ND, 5, axis=0), names)
    assert strange_N.mean() == pytest.approx(0.5, abs=0.1)
    assert np.std(strange_N) == pytest.approx(1 / 12**0.5, abs=0.06), "even over 0 to 1"


def test_shuffles_find_what_all_pairs_say() -> None:
    clip_ND, text_ND, names = world(40, 5, width=8, noise=1.5)
    clips, texts = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (clip_ND, text_ND))
    all_NN = clips.astype(np.float64) @ texts.astype(np.float64).T
    differ_NN = np.array(names)[:, None] != np.array(names)[None, :]
    expected = [(all_NN[differ_NN] < own).mean() for own in np.diag(all_NN)]
    assert percentiles(clip_ND, text_ND, names) == pytest.approx(expected, abs=0.02)


def test_it_is_the_same_each_time_and_does_not_depend_on_the_names_of_videos() -> None:
    clip_ND, text_ND, names = world(40, 3)
    first_N = percentiles(clip_ND, text_ND, names)
    assert (first_N == percentiles(clip_ND, text_ND, [f"other-{name}" for name in names])).all()


@pytest.mark.parametrize(("videos", "clips"), [(LEAST_VIDEOS - 1, 50), (LEAST_VIDEOS, 2), (1, 9), (0, 0)])
def test_few_videos_or_pairs_give_no_percentile(videos: int, clips: int) -> None:
    clip_ND, text_ND, names = world(videos, clips)
    assert videos < LEAST_VIDEOS or (videos * clips) ** 2 - videos * clips**2 < LEAST_PAIRS
    assert np.isnan(percentiles(clip_ND, text_ND, names)).all()
    assert len(percentiles(clip_ND, text_ND, names)) == videos * clips
