"""Which tokens are hidden, and how."""

import numpy as np
import pytest
from support.tiny_bert import tiny_tokenizer

from training.corpus.corpus_settings import MaskSettings
from training.corpus.token_masking import mask_tokens, text_batch
from training.models.vidlankd.text_batch import IGNORED
from training.models.vidlankd.text_tokenizer import TextTokenizer


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> TextTokenizer:
    return TextTokenizer.from_folder(tiny_tokenizer(tmp_path_factory.mktemp("tokenizer")))


def rows(tokenizer: TextTokenizer, count: int, length: int = 128, padding: int = 0) -> np.ndarray:
    """Random ordinary tokens between [CLS] and [SEP], with padding behind."""
    ids_BL = np.random.default_rng(0).choice(tokenizer.ordinary, (count, length))
    ids_BL[:, 0] = tokenizer.cls
    ids_BL[:, length - padding - 1] = tokenizer.sep
    ids_BL[:, length - padding :] = tokenizer.pad
    return ids_BL


def specials(tokenizer: TextTokenizer, ids_BL: np.ndarray) -> np.ndarray:
    return np.isin(ids_BL, [tokenizer.pad, tokenizer.cls, tokenizer.sep])


def test_shares_are_those_of_bert(tokenizer: TextTokenizer) -> None:
    ids_BL = rows(tokenizer, 2000)
    masked_BL, labels_BL = mask_tokens(ids_BL, specials(tokenizer, ids_BL), range(2000), tokenizer, MaskSettings())
    chosen_BL = labels_BL != IGNORED
    assert chosen_BL.sum() / (2000 * 126) == pytest.approx(0.15, abs=0.003)
    assert np.array_equal(labels_BL[chosen_BL], ids_BL[chosen_BL])
    assert np.array_equal(masked_BL[~chosen_BL], ids_BL[~chosen_BL])
    hidden = masked_BL[chosen_BL]
    assert (hidden == tokenizer.mask).mean() == pytest.approx(0.8, abs=0.01)
    kept = 0.1 + 0.1 / len(tokenizer.ordinary)  # a random token may be the token itself
    assert (hidden == ids_BL[chosen_BL]).mean() == pytest.approx(kept, abs=0.007)


def test_random_tokens_are_spread_over_all_entries_but_the_specials(tokenizer: TextTokenizer) -> None:
    ids_BL = np.full((3000, 128), tokenizer.ordinary[7])
    masked_BL, _ = mask_tokens(ids_BL, np.zeros_like(ids_BL, bool), range(3000), tokenizer, MaskSettings())
    drawn = masked_BL[(masked_BL != tokenizer.mask) & (masked_BL != ids_BL)]
    assert set(drawn) == set(tokenizer.ordinary) - {int(tokenizer.ordinary[7])}


def test_specials_and_padding_are_never_chosen(tokenizer: TextTokenizer) -> None:
    ids_BL = rows(tokenizer, 200, padding=40)
    masked_BL, labels_BL = mask_tokens(
        ids_BL, specials(tokenizer, ids_BL), range(200), tokenizer, MaskSettings(probability=0.9)
    )
    at_BL = specials(tokenizer, ids_BL)
    assert (labels_BL[at_BL] == IGNORED).all()
    assert np.array_equal(masked_BL[at_BL], ids_BL[at_BL])


def test_a_rows_mask_depends_on_its_own_seed_alone(tokenizer: TextTokenizer) -> None:
    ids_BL = rows(tokenizer, 4)
    special_BL = specials(tokenizer, ids_BL)
    together = mask_tokens(ids_BL, special_BL, [5, 6, 7, 2**64 - 1], tokenizer, MaskSettings())
    for row, seed in enumerate([5, 6, 7, 2**64 - 1]):
        one = slice(row, row + 1)
        alone = mask_tokens(ids_BL[one], special_BL[one], [seed], tokenizer, MaskSettings())
        assert np.array_equal(alone[0], together[0][one])
        assert np.array_equal(alone[1], together[1][one])
    others = mask_tokens(ids_BL, special_BL, [1, 2, 3, 4], tokenizer, MaskSettings())
    assert not np.array_equal(others[1], together[1])


def test_each_row_with_a_token_has_at_least_one_to_predict(tokenizer: TextTokenizer) -> None:
    ids_BL = rows(tokenizer, 500, length=8, padding=5)
    _, labels_BL = mask_tokens(ids_BL, specials(tokenizer, ids_BL), range(500), tokenizer, MaskSettings())
    assert ((labels_BL != IGNORED).sum(axis=1) == 1).all()


def test_a_row_without_a_token_has_none_to_predict(tokenizer: TextTokenizer) -> None:
    ids_BL = np.array([[tokenizer.cls, tokenizer.sep, tokenizer.pad]])
    masked_BL, labels_BL = mask_tokens(ids_BL, np.ones_like(ids_BL, bool), [1], tokenizer, MaskSettings())
    assert (labels_BL == IGNORED).all()
    assert np.array_equal(masked_BL, ids_BL)


def test_each_epoch_draws_new_masks() -> None:
    settings = MaskSettings()
    assert len({settings.seed(0, epoch, "block") for epoch in range(10)}) == 10
    assert settings.seed(0, 1, "block") != settings.seed(1, 1, "block")


def test_static_masks_are_used_in_turn_for_any_seed_of_the_run() -> None:
    settings = MaskSettings(static_copies=3)
    seeds = [settings.seed(0, epoch, "block") for epoch in range(6)]
    assert seeds[:3] == seeds[3:]
    assert len(set(seeds)) == 3
    assert settings.seed(99, 0, "block") == seeds[0]
    assert MaskSettings(static_copies=3, static_seed=1).seed(0, 0, "block") != seeds[0]
    assert [settings.copy_of(epoch) for epoch in range(4)] == [0, 1, 2, 0]


def test_a_batch_marks_padding_and_special_tokens(tokenizer: TextTokenizer) -> None:
    ids_BL = rows(tokenizer, 2, length=10, padding=3)
    batch = text_batch(
        ids_BL,
        tokenizer=tokenizer,
        seeds=[1, 2],
        settings=MaskSettings(),
        numbers=[4, 9],
        copies=[0, 1],
        keys=["a", "b"],
    )
    assert batch.valid_BL.tolist() == [[True] * 7 + [False] * 3] * 2
    assert batch.special_BL.tolist() == [[True] + [False] * 5 + [True] * 4] * 2
    assert batch.number_B.tolist() == [4, 9]
    assert batch.copy_B.tolist() == [0, 1]
    assert batch.ids_BL.equal(batch.masked_BL.where(batch.labels_BL == IGNORED, batch.labels_BL))


def test_an_unknown_word_is_never_a_label(tokenizer: TextTokenizer) -> None:
    ids_BL = rows(tokenizer, 200, length=32)
    ids_BL[:, 1:-1:2] = tokenizer.unknown
    batch = text_batch(
        ids_BL,
        tokenizer=tokenizer,
        seeds=range(200),
        settings=MaskSettings(probability=0.9),
        numbers=range(200),
        copies=[0] * 200,
        keys=["row"] * 200,
    )
    unknown_BL = batch.ids_BL == tokenizer.unknown
    assert (batch.labels_BL[unknown_BL] == IGNORED).all()
    assert (batch.masked_BL[unknown_BL] == tokenizer.unknown).all()
    assert not (batch.special_BL & unknown_BL).any(), "it is still a word for the other objectives"


def test_a_random_token_is_never_an_unknown_word(tokenizer: TextTokenizer) -> None:
    assert tokenizer.unknown not in tokenizer.ordinary
