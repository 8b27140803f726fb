"""Retrieval scores against a brute-force reference, an independent library, and what must hold whatever the input."""

from __future__ import annotations

import itertools
import random

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchmetrics.retrieval import RetrievalHitRate, RetrievalMRR

from runtime.errors import UserError
from training.evaluation.video.retrieval_scores import (
    Ranking,
    length_thirds,
    rank_embeddings,
    rank_groups,
    rank_matrix,
    retrieval_scores,
    summarize_ranking,
)


def best_places(scores: list[float], right: set[int]) -> list[int]:
    """The rank of the best right answer under every order of equal scores: the plain, slow form."""
    places = []
    for order in itertools.permutations(range(len(scores))):
        ranked = sorted(order, key=lambda answer: -scores[answer])  # stable: ties stay as permuted
        places.append(1 + min(ranked.index(answer) for answer in right))
    return places


def unit_rows(rows: int, width: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.nn.functional.normalize(torch.randn(rows, width, generator=generator), dim=-1)


def plain_dual_softmax(similarity: np.ndarray) -> np.ndarray:
    """CLIP-ViP's, as it is written there: softmax over texts (rows), times the similarity."""
    exponent = np.exp(100 * similarity)
    return similarity * exponent / exponent.sum(axis=0, keepdims=True)


def plain_ranks(similarity: np.ndarray, owner: list[int]) -> tuple[list[int], list[int]]:
    """Ranks without ties, one query after another."""
    texts = [1 + int((row > row[video]).sum()) for row, video in zip(similarity, owner, strict=True)]
    videos = []
    for video in range(similarity.shape[1]):
        own = [text for text, of in enumerate(owner) if of == video]
        if own:
            best = max(similarity[text, video] for text in own)
            videos.append(1 + int((similarity[:, video] > best).sum()))
    return texts, videos


small = st.integers(1, 4).flatmap(
    lambda videos: st.lists(st.integers(0, videos - 1), min_size=1, max_size=5).flatmap(
        lambda owner: st.tuples(
            st.just(owner),
            st.lists(
                st.lists(st.integers(-2, 2), min_size=videos, max_size=videos),
                min_size=len(owner),
                max_size=len(owner),
            ),
        )
    )
)


@settings(max_examples=60, deadline=None)
@given(small)
def test_ranks_and_hits_are_the_expectation_over_every_order_of_ties(case: tuple[list[int], list[list[int]]]) -> None:
    owner, rows = case
    t2v, v2t = rank_matrix(torch.tensor(rows, dtype=torch.float32), owner, block_bytes=1)
    columns = list(zip(*rows, strict=True))
    expected_t2v = [best_places(list(rows[text]), {owner[text]}) for text in t2v.query_Q.tolist()]
    expected_v2t = [
        best_places(list(columns[video]), {text for text, of in enumerate(owner) if of == video})
        for video in v2t.query_Q.tolist()
    ]
    for ranking, places in ((t2v, expected_t2v), (v2t, expected_v2t)):
        assert ranking.ranks().tolist() == pytest.approx([np.mean(p) for p in places])
        for k in (1, 2, 5):
            assert ranking.hits(k).tolist() == pytest.approx([np.mean([x <= k for x in p]) for p in places])


@pytest.mark.parametrize("dual_softmax", [False, True])
@pytest.mark.parametrize("block_bytes", [1, 3000, 1 << 26])
def test_ranks_agree_with_a_brute_force_reference_for_any_block_size(dual_softmax: bool, block_bytes: int) -> None:
    video, text = unit_rows(23, 16, 1), unit_rows(60, 16, 2)
    owner = [random.Random(3 + i).randrange(23) for i in range(60)]
    t2v, v2t = rank_embeddings(video, text, owner, dual_softmax=dual_softmax, block_bytes=block_bytes)
    similarity = (text.double() @ video.double().T).numpy()
    texts, videos = plain_ranks(plain_dual_softmax(similarity) if dual_softmax else similarity, owner)
    assert t2v.ranks().tolist() == texts
    assert v2t.ranks().tolist() == videos


def test_embeddings_and_their_similarity_give_the_same_ranking() -> None:
    video, text, owner = unit_rows(11, 8, 4), unit_rows(30, 8, 5), [i % 11 for i in range(30)]
    for ours, theirs in zip(rank_embeddings(video, text, owner), rank_matrix(text @ video.T, owner), strict=True):
        assert torch.equal(ours.ranks(), theirs.ranks())


def test_recalls_agree_with_torchmetrics() -> None:
    video, text, owner = unit_rows(40, 8, 6), unit_rows(40, 8, 7), list(range(40))
    text = torch.nn.functional.normalize(text + video, dim=-1)
    similarity = text @ video.T
    query = torch.arange(40).repeat_interleave(40)
    target = torch.eye(40, dtype=torch.bool).flatten()
    for ranking, matrix in zip(rank_embeddings(video, text, owner), (similarity, similarity.T), strict=True):
        ours = summarize_ranking(ranking)
        for k, value in ((1, ours.r1), (5, ours.r5), (10, ours.r10)):
            hit_rate = RetrievalHitRate(top_k=k)(matrix.flatten(), target, indexes=query)
            assert value == pytest.approx(100 * float(hit_rate), abs=1e-4)
        reciprocal = float(RetrievalMRR()(matrix.flatten(), target, indexes=query))
        assert float((1 / ranking.ranks()).mean()) == pytest.approx(reciprocal, abs=1e-5)


def test_v2t_recalls_with_several_captions_agree_with_torchmetrics() -> None:
    video, text, owner = unit_rows(15, 8, 8), unit_rows(45, 8, 9), [i // 3 for i in range(45)]
    similarity = text @ video.T
    target = torch.tensor(owner)[:, None] == torch.arange(15)
    query = torch.arange(15).repeat_interleave(45)
    ours = summarize_ranking(rank_embeddings(video, text, owner)[1])
    for k, value in ((1, ours.r1), (5, ours.r5), (10, ours.r10)):
        theirs = RetrievalHitRate(top_k=k)(similarity.T.flatten(), target.T.flatten(), indexes=query)
        assert value == pytest.approx(100 * float(theirs), abs=1e-4)


@pytest.mark.parametrize("dual_softmax", [False, True])
@pytest.mark.parametrize("block_bytes", [1, 3000, 1 << 26])
def test_videos_are_ranked_by_the_nearest_of_their_texts_as_clip4clip_ranks_them(
    dual_softmax: bool, block_bytes: int
) -> None:
    video, text = unit_rows(17, 16, 1), unit_rows(60, 16, 2)
    owner = [i % 17 if i % 17 != 5 else -1 for i in range(60)]  # the sixth video's texts are there, it is not
    group = [i % 17 for i in range(60)]
    ranking = rank_groups(video, text, owner, group, dual_softmax=dual_softmax, block_bytes=block_bytes)
    similarity = (text.double() @ video.double().T).numpy()
    similarity = plain_dual_softmax(similarity) if dual_softmax else similarity
    nearest = np.stack([similarity[[i for i in range(60) if group[i] == g]].max(axis=0) for g in range(17)])
    asked = [n for n in range(17) if n != 5]
    assert ranking.query_Q.tolist() == asked
    assert ranking.ranks().tolist() == [1 + int((nearest[:, n] > nearest[n, n]).sum()) for n in asked]


def test_by_video_and_by_text_are_equal_if_each_video_has_one_text() -> None:
    video, text = unit_rows(30, 4, 3), unit_rows(30, 4, 4)
    by_text = rank_embeddings(video, text, range(30))[1]
    assert rank_groups(video, text, range(30), range(30)).ranks().tolist() == by_text.ranks().tolist()


def test_a_model_that_gives_everything_the_same_embedding_gets_chance() -> None:
    video, text = torch.ones(20, 4) / 2, torch.ones(20, 4) / 2
    for dual_softmax in (False, True):
        for ranking in rank_embeddings(video, text, list(range(20)), dual_softmax=dual_softmax):
            scores = summarize_ranking(ranking)
            assert (scores.r1, scores.r5, scores.r10) == pytest.approx((5.0, 25.0, 50.0))
            assert scores.median_rank == scores.mean_rank == 10.5


def test_two_equal_sentences_share_the_first_place_evenly() -> None:
    video = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    sentence = torch.tensor([[0.8, 0.6]])
    t2v, v2t = rank_embeddings(video, sentence.repeat(2, 1), [0, 1])
    assert v2t.hits(1).tolist() == [0.5, 0.5]
    assert v2t.ranks().tolist() == [1.5, 1.5]
    assert t2v.ranks().tolist() == [1.0, 2.0]


def test_equal_texts_tie_exactly_in_a_large_product() -> None:
    video, text = unit_rows(301, 512, 10), unit_rows(150, 512, 11)
    doubled = torch.cat([text, text, text[:1]])
    _, v2t = rank_embeddings(video, doubled, list(range(301)))
    assert (v2t.tied_Q >= 1).all()


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 12), st.integers(1, 3), st.booleans())
def test_scores_do_not_depend_on_the_order_of_texts_or_videos(seed: int, videos: int, texts: int, dual: bool) -> None:
    draw = random.Random(seed)
    video = unit_rows(videos, 3, seed).round(decimals=1)
    text = unit_rows(videos * texts, 3, seed + 1).round(decimals=1)
    owner = [i // texts for i in range(len(text))]
    new_text, new_video = draw.sample(range(len(text)), len(text)), draw.sample(range(videos), videos)
    shuffled = [new_video.index(owner[i]) for i in new_text]
    before = rank_embeddings(video, text, owner, dual_softmax=dual)
    after = rank_embeddings(video[new_video], text[new_text], shuffled, dual_softmax=dual)
    for one, other in zip(before, after, strict=True):
        assert list(summarize_ranking(one).as_dict().values()) == pytest.approx(
            list(summarize_ranking(other).as_dict().values())
        )


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000))
def test_one_direction_is_the_other_of_the_transposed_matrix_if_each_video_has_one_text(seed: int) -> None:
    similarity = torch.randn(9, 9, generator=torch.Generator().manual_seed(seed)).round(decimals=1)
    t2v, v2t = rank_matrix(similarity, list(range(9)))
    other_t2v, other_v2t = rank_matrix(similarity.T.contiguous(), list(range(9)))
    assert torch.equal(t2v.ranks(), other_v2t.ranks())
    assert torch.equal(v2t.ranks(), other_t2v.ranks())


def test_a_video_without_texts_is_no_query_but_remains_a_wrong_answer() -> None:
    t2v, v2t = rank_matrix(torch.tensor([[0.1, 0.9]]), [0])
    assert t2v.ranks().tolist() == [2.0]
    assert v2t.query_Q.tolist() == [0]


def test_a_text_without_its_video_is_no_query_but_remains_a_wrong_answer() -> None:
    t2v, v2t = rank_matrix(torch.tensor([[0.1], [0.9]]), [0, -1])
    assert t2v.query_Q.tolist() == [0]
    assert v2t.ranks().tolist() == [2.0]


def test_missed_queries_count_as_misses_at_the_worst_rank() -> None:
    t2v, _ = rank_matrix(torch.eye(3), [0, 1, 2])
    scores = summarize_ranking(t2v, missed=1, worst=4)
    assert (scores.r1, scores.r10, scores.queries) == (75.0, 75.0, 4)
    assert scores.mean_rank == pytest.approx(7 / 4)


def test_a_part_of_the_queries_keeps_its_ranks_among_all_answers() -> None:
    t2v, _ = rank_matrix(torch.tensor([[0.1, 0.9], [0.0, 1.0]]), [0, 1])
    assert t2v.take(t2v.query_Q == 0).ranks().tolist() == [2.0]


def test_the_median_rank_is_the_mean_of_the_two_in_the_middle() -> None:
    ranking = Ranking(*(torch.tensor(x) for x in ([0, 1], [0, 3], [0, 0], [1, 1])))
    assert summarize_ranking(ranking).median_rank == 2.5


def test_thirds_hold_every_video_once_and_are_sorted_by_length() -> None:
    seconds = [5.0, 1.0, 9.0, 2.0, 8.0, 4.0, 7.0]
    thirds = length_thirds(seconds)
    assert sorted(itertools.chain(*thirds)) == list(range(7))
    assert max(seconds[i] for i in thirds[0]) <= min(seconds[i] for i in thirds[1])
    assert max(seconds[i] for i in thirds[1]) <= min(seconds[i] for i in thirds[2])


def test_thirds_of_two_videos_are_refused() -> None:
    with pytest.raises(UserError, match="at least 3"):
        length_thirds([1.0, 2.0])


def test_the_flat_scores_of_a_perfect_model_are_perfect() -> None:
    scores = retrieval_scores(torch.eye(4), torch.eye(4), torch.arange(4))
    assert scores["t2v_r1"] == scores["v2t_r1"] == scores["mean_r1"] == 100.0
    assert scores["t2v_median_rank"] == scores["v2t_mean_rank"] == 1.0


@pytest.mark.parametrize(
    ("video", "text", "owner", "said"),
    [
        (torch.full((2, 2), torch.nan), torch.eye(2), [0, 1], "not finite"),
        (torch.eye(2), torch.eye(3), [0, 1, 1], "one width"),
        (torch.eye(2), torch.eye(2), [0, 2], "owners are"),
        (torch.eye(2), torch.eye(2), [0], "owners of shape"),
    ],
)
def test_inputs_that_cannot_be_ranked_are_refused(
    video: torch.Tensor, text: torch.Tensor, owner: list[int], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        rank_embeddings(video, text, owner)


def test_videos_whose_cosines_differ_by_less_than_float32_shows_are_ranked() -> None:
    """The right video is nearer by 1e-8, which float32 products of these float32 vectors lose."""
    tilt = 1e-8
    videos = torch.tensor([[1.0, 0.0], [1.0, tilt]])
    text = torch.tensor([[1.0, 1.0]])
    assert float(videos[0] @ text[0]) == float(videos[1] @ text[0])
    t2v, _ = rank_embeddings(videos, text, [1])
    assert (t2v.above_Q.tolist(), t2v.tied_Q.tolist()) == ([0], [0])
