"""Blocks of tokenised corpora and the batches made of them."""

import json
import pickle
from collections import Counter
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.tiny_corpus import sentences, tiny_corpus

from runtime.errors import UserError
from runtime.settings import build
from training.corpus.block_batches import TextBatches
from training.corpus.corpus_mixture import CorpusMixture
from training.corpus.corpus_settings import TextSettings
from training.corpus.token_files import TokenBlocks
from training.engine.parallel.distributed import Ranks
from training.models.vidlankd.text_batch import IGNORED, TextBatch

BLOCK = 14


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """100 lines of 12 tokens: 85 blocks of 14 and one of 10."""
    return tiny_corpus(tmp_path_factory.mktemp("one"), sentences(100), BLOCK)


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """35 lines of 12 tokens: 30 blocks of 14."""
    return tiny_corpus(tmp_path_factory.mktemp("two"), sentences(35, seed=1), BLOCK)


def batches(
    *folders: Path, batch: int = 8, rank: int = 0, world: int = 1, seed: int = 0, **settings: Any
) -> TextBatches:
    chosen = TextSettings(**{"corpus": tuple(map(str, folders)), **settings})
    return TextBatches(chosen, global_batch=batch, ranks=Ranks(rank, world), seed=seed)


def taken(made: TextBatches, steps: int, first: int = 0) -> list[TextBatch]:
    return list(islice(made.start(first), steps))


def same(one: TextBatch, other: TextBatch) -> bool:
    names = ("ids_BL", "masked_BL", "labels_BL", "valid_BL", "special_BL", "number_B", "copy_B")
    return one.keys == other.keys and all(getattr(one, name).equal(getattr(other, name)) for name in names)


def test_blocks_are_the_stream_cut_with_specials_and_the_last_one_padded(one: Path) -> None:
    blocks = TokenBlocks.open(one)
    tokenizer = blocks.tokenizer
    ids = [number for ids in tokenizer.encode(sentences(100).splitlines()) for number in ids]
    assert (len(blocks), blocks.length) == (86, BLOCK + 2)
    rows = blocks.rows(range(86))
    assert (rows[:, 0] == tokenizer.cls).all()
    assert (rows[:85, -1] == tokenizer.sep).all()
    assert rows[:85, 1:-1].ravel().tolist() == ids[: 85 * BLOCK]
    assert rows[85].tolist() == [tokenizer.cls, *ids[85 * BLOCK :], tokenizer.sep, *[tokenizer.pad] * 4]
    with pytest.raises(IndexError, match="no block 86 among 86"):
        blocks.rows([86])


def test_blocks_run_across_the_borders_of_parts(one: Path, tmp_path: Path) -> None:
    whole = TokenBlocks.open(one)
    folder = tmp_path / "parts"
    (folder / "parts").mkdir(parents=True)
    record = json.loads((one / "tokens.json").read_text())
    stream = np.fromfile(one / "parts" / "00000.bin", "uint16")
    pieces = np.split(stream, [5, 5, 6, 40, 700])  # one of them empty
    for number, piece in enumerate(pieces):
        piece.tofile(folder / "parts" / f"{number}.bin")
    record["parts"] = [
        {"name": f"{n}.bin", "tokens": len(piece), "sha256": "", "counts": {}} for n, piece in enumerate(pieces)
    ]
    (folder / "tokens.json").write_text(json.dumps(record))
    (folder / "tokenizer").symlink_to(one / "tokenizer")
    assert np.array_equal(TokenBlocks.open(folder).rows(range(86)), whole.rows(range(86)))


def test_blocks_go_to_other_processes(one: Path) -> None:
    blocks = TokenBlocks.open(one)
    again = pickle.loads(pickle.dumps(blocks))
    assert again.identity == blocks.identity
    assert np.array_equal(again.rows([3]), blocks.rows([3]))


def test_a_cut_or_missing_part_is_refused_when_a_corpus_is_opened(tmp_path: Path) -> None:
    folder = tiny_corpus(tmp_path, sentences(20), BLOCK)
    part = folder / "parts" / "00000.bin"
    part.write_bytes(part.read_bytes()[:-2])
    with pytest.raises(UserError, match=r"parts/00000.bin is missing or truncated; remove tokens.json"):
        TokenBlocks.open(folder)
    (folder / "tokens.json").write_text('{"format": 2}')
    with pytest.raises(UserError, match=r"tokens.json can't be used \(format"):
        TokenBlocks.open(folder)
    with pytest.raises(UserError, match=r"none: there is no such folder; .* make it with `train-vidlankd tokenize"):
        TokenBlocks.open(tmp_path / "none")
    with pytest.raises(UserError, match=r"no tokens.json there; name a folder that `train-vidlankd tokenize` wrote"):
        TokenBlocks.open(tmp_path)
    (tmp_path / "manifest.json").write_text("{}")
    with pytest.raises(UserError, match=r"is a DIR of shards; .*`train-vidlankd tokenize --shards"):
        TokenBlocks.open(tmp_path)


def test_a_text_file_named_as_corpus_is_refused_with_the_command_that_tokenizes_it(tmp_path: Path) -> None:
    (tmp_path / "wiki.txt").write_text("the cat")
    with pytest.raises(UserError, match=r"wiki\.txt: is a file; tokenize it with `train-vidlankd tokenize"):
        TokenBlocks.open(tmp_path / "wiki.txt")


def test_another_tokenizer_in_the_folder_is_refused(tmp_path: Path) -> None:
    folder = tiny_corpus(tmp_path / "a", sentences(20), BLOCK)
    other = tiny_corpus(tmp_path / "b", "cat", BLOCK, words=("cat",))
    (folder / "tokenizer" / "tokenizer.json").write_bytes((other / "tokenizer" / "tokenizer.json").read_bytes())
    with pytest.raises(UserError, match="tokenizer/ is not the tokenizer it was made with"):
        TokenBlocks.open(folder)


def test_each_epoch_reads_every_block_once_in_another_order(one: Path) -> None:
    made = batches(one)  # 86 blocks, 1 held out
    assert made.steps_per_epoch == 11
    numbers = torch.cat([batch.number_B for batch in taken(made, 32)]).tolist()
    epochs = [numbers[:85], numbers[85:170], numbers[170:255]]
    assert all(sorted(epoch) == list(range(85)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 3


def test_batches_are_a_function_of_seed_and_step(one: Path, two: Path) -> None:
    undisturbed = taken(batches(one, two), 40)
    later = taken(batches(one, two), 10, first=30)
    assert all(map(same, undisturbed[30:], later))
    assert not same(undisturbed[0], taken(batches(one, two, seed=1), 1)[0])


def test_ranks_share_the_rows_of_the_global_batch(one: Path, two: Path) -> None:
    whole = taken(batches(one, two), 6)
    ranks = [taken(batches(one, two, rank=rank, world=4), 6) for rank in range(4)]
    for step, batch in enumerate(whole):
        for rank in range(4):
            assert same(ranks[rank][step], batch.rows(slice(2 * rank, 2 * rank + 2)))


def test_a_block_gets_a_new_mask_in_each_epoch(one: Path) -> None:
    seen: dict[int, list[TextBatch]] = {}
    for batch in taken(batches(one, batch=1), 170):
        seen.setdefault(int(batch.number_B), []).append(batch)
    assert all(first.ids_BL.equal(second.ids_BL) for first, second in seen.values())
    assert sum(first.labels_BL.equal(second.labels_BL) for first, second in seen.values()) < 30
    assert all(int(batch.copy_B) == 0 for pair in seen.values() for batch in pair)


def test_static_masks_come_in_turn_and_can_be_asked_for(one: Path) -> None:
    made = batches(one, batch=1, masking={"static_copies": 2})
    seen: dict[int, list[TextBatch]] = {}
    for batch in taken(made, 85 * 4):
        seen.setdefault(int(batch.number_B), []).append(batch)
    for number, rows in seen.items():
        assert [int(batch.copy_B) for batch in rows] == [0, 1, 0, 1]
        assert rows[0].masked_BL.equal(rows[2].masked_BL)
        assert rows[1].masked_BL.equal(rows[3].masked_BL)
        assert same(made.fixed([number], copy=1), rows[1])
    other_run = batches(one, batch=1, seed=5, masking={"static_copies": 2})
    assert same(other_run.fixed([7], 1), made.fixed([7], 1))


def test_corpora_without_weights_are_read_as_often_as_they_have_blocks(one: Path, two: Path) -> None:
    made = batches(one, two, batch=1)  # 85 and 29 blocks to train on, 1 of each held out
    numbers = [int(batch.number_B) for batch in taken(made, 114)]
    assert sorted(numbers) == [*range(85), *range(86, 115)]
    keys = [batch.keys[0].rsplit(":", 1)[1] for batch in taken(made, 114)]
    assert keys == [str(number if number < 86 else number - 86) for number in numbers]


def test_weights_hold_at_every_moment(one: Path, two: Path) -> None:
    made = batches(batch=1, corpus={str(one): 1.0, str(two): 3.0})
    second = [int(batch.number_B) >= 86 for batch in taken(made, 200)]
    shares = np.cumsum(second) - 0.75 * np.arange(1, 201)
    assert np.abs(shares).max() <= 1


def test_the_place_of_a_position_agrees_with_counting() -> None:
    blocks, weights = [7, 20, 3], [0.2, 0.5, 0.3]
    mixture = CorpusMixture(blocks, weights, seed=3)
    counts: Counter[int] = Counter()
    read: dict[tuple[int, int], list[int]] = {}
    for position in range(1000):
        place = mixture.block_at(position)
        assert place.epoch == counts[place.corpus] // blocks[place.corpus]
        read.setdefault((place.corpus, place.epoch), []).append(place.number)
        counts[place.corpus] += 1
        assert all(abs(counts[c] - weight * (position + 1)) < 2 for c, weight in enumerate(weights))
    for (corpus, epoch), numbers in read.items():
        if (corpus, epoch + 1) in read:
            assert sorted(numbers) == list(range(blocks[corpus]))


def test_held_out_blocks_are_the_end_of_each_corpus_and_never_trained_on(one: Path, two: Path) -> None:
    made = batches(one, two, held_out=0.1)
    held = [int(number) for batch in made.held_out(4) for number in batch.number_B]
    assert held == [*range(77, 86), *range(86 + 27, 86 + 30)]
    assert len(made.held_out(4)) == 3
    trained = torch.cat([batch.number_B for batch in taken(made, 60)]).tolist()
    assert not set(trained) & set(held)
    assert len(set(trained)) == 77 + 27


def test_held_out_masks_are_the_same_in_every_run(one: Path) -> None:
    first = list(batches(one, held_out=0.1, masking={"static_copies": 4, "static_seed": 9}).held_out(4))
    other = batches(one, held_out=0.1, seed=5, batch=2)
    assert all(map(same, first, other.held_out(4)))
    assert all(map(same, other.held_out(4), other.held_out(4)))
    assert all((batch.labels_BL != IGNORED).any(dim=1).all() for batch in first)


def test_a_folder_of_its_own_may_be_held_out(one: Path, two: Path) -> None:
    made = batches(one, valid=str(two))
    rows = torch.cat([batch.ids_BL for batch in made.held_out(7)])
    assert np.array_equal(rows.numpy(), TokenBlocks.open(two).rows(range(30)))
    assert len({int(number) for batch in taken(made, 11) for number in batch.number_B}) == 86


def test_corpora_that_do_not_go_together_are_refused_with_both_names(one: Path, tmp_path: Path) -> None:
    longer = tiny_corpus(tmp_path / "longer", sentences(40), BLOCK + 2)
    with pytest.raises(UserError, match=rf"corpora {one} and {longer} have blocks of 14 and 16 tokens; .*--block"):
        batches(one, longer)
    other = tiny_corpus(tmp_path / "other", sentences(40), BLOCK, words=("cat", "dog"))
    with pytest.raises(UserError, match=rf"corpora {one} and {other} have different tokenizers"):
        batches(one, valid=str(other))


def test_corpora_that_can_not_be_batched_are_refused(one: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"--batch-size 100: there are only 85 blocks to train on"):
        batches(one, batch=100)
    with pytest.raises(UserError, match=r"--batch-size 8: must be a multiple of the 3 ranks"):
        batches(one, world=3)
    with pytest.raises(UserError, match=r"--corpus: name at least one folder"):
        batches()
    single = tiny_corpus(tmp_path, "the cat", BLOCK)
    with pytest.raises(UserError, match=r"has a single block, which is held out"):
        batches(single, batch=1)
    assert taken(batches(single, batch=1, valid=str(one)), 1)[0].number_B.tolist() == [0]


def test_weights_and_names_are_checked() -> None:
    with pytest.raises(UserError, match="weights must be above 0"):
        build(TextSettings, {"corpus": {"a": 1.0, "b": 0.0}}, "data")
    with pytest.raises(UserError, match="a folder is named twice"):
        build(TextSettings, {"corpus": ["a", "a"]}, "data")


def test_identity_follows_content_and_not_paths(one: Path, tmp_path: Path) -> None:
    made = batches(one)
    elsewhere = batches(tiny_corpus(tmp_path, sentences(100), BLOCK))
    assert elsewhere.identity == made.identity
    assert elsewhere.corpus_identity == made.corpus_identity
    changed = [
        batches(one, seed=1),
        batches(one, batch=4),
        batches(one, held_out=0.2),
        batches(one, masking={"probability": 0.2}),
        batches(tiny_corpus(tmp_path / "other", sentences(100, seed=2), BLOCK)),
    ]
    assert len({made.identity, *(other.identity for other in changed)}) == 6
