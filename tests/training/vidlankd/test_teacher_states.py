"""A teacher's states: computed or read from disk they are equal, and settings that do not fit are refused at once."""

import dataclasses
import json
import logging
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from support.students import CPU, EXACT, LENGTH, blocks, corpus, states_of, teacher_in, tokenizer_in
from support.tiny_bert import tiny_tokenizer

from runtime.errors import MachineError, UserError
from training.engine.precision import Precision
from training.models.vidlankd.text_tokenizer import TextTokenizer
from training.vidlankd.student.state_cache import CacheShape, StateCache
from training.vidlankd.student.teacher_states import StateCorpus, TeacherStates, open_states, weights_identity
from training.vidlankd.vidlankd_settings import StatesSettings


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, TextTokenizer]:
    folder = tmp_path_factory.mktemp("teacher")
    tokenizer = tokenizer_in(folder)
    return teacher_in(folder / "teacher", tokenizer), tokenizer


def opened(
    made: tuple[str, TextTokenizer], corpus_: StateCorpus, precision: Precision = EXACT, **settings: object
) -> TeacherStates | None:
    teacher, tokenizer = made
    values = {"teacher": teacher, **settings}
    return open_states(StatesSettings.model_validate(values), corpus_, tokenizer, precision, CPU)


def test_states_are_the_teachers_last_hidden_states_of_the_masked_input_with_length_one(
    made: tuple[str, TextTokenizer],
) -> None:
    states, batch = states_of(*made), blocks(made[1], [1, 2])
    with torch.no_grad():
        raw = states.text.bert(batch.masked_BL, attention_mask=batch.valid_BL).last_hidden_state
    found = states.states(batch)
    torch.testing.assert_close(found, torch.nn.functional.normalize(raw, dim=-1), atol=1e-3, rtol=1e-3)
    assert not found.requires_grad


def test_a_teacher_with_dropout_gives_the_same_states_twice(made: tuple[str, TextTokenizer], tmp_path: Path) -> None:
    states = states_of(teacher_in(tmp_path / "teacher", made[1], dropout=0.1), made[1])
    batch = blocks(made[1], [1, 2])
    assert torch.equal(states.states(batch), states.states(batch))


def test_the_identity_depends_on_the_weights_and_not_on_their_folder(
    made: tuple[str, TextTokenizer], tmp_path: Path
) -> None:
    folder = tmp_path / "teacher"
    before = weights_identity(shutil.copytree(made[0], folder))
    assert before == weights_identity(shutil.copytree(folder, tmp_path / "copy"))
    teacher_in(folder, made[1], seed=2)
    assert weights_identity(folder) != before


def test_an_unmasked_input_is_the_text_as_it_was_read(made: tuple[str, TextTokenizer]) -> None:
    states, batch = states_of(*made, input="unmasked"), blocks(made[1], [1, 2])
    unmasked = dataclasses.replace(batch, masked_BL=batch.ids_BL)
    assert torch.equal(states.states(batch), states_of(*made).states(unmasked))


def test_logits_are_the_teachers_predictions(made: tuple[str, TextTokenizer]) -> None:
    states, batch = states_of(*made), blocks(made[1], [1, 2])
    with torch.no_grad():
        whole = states.text(batch.masked_BL, attention_mask=batch.valid_BL).logits
    found, logits = states.states_and_logits(batch, torch.tensor([3, LENGTH + 4]))
    torch.testing.assert_close(logits, torch.stack([whole[0, 3], whole[1, 4]]))
    assert torch.equal(found, states.states(batch))


@pytest.mark.parametrize("settings", [{"static_copies": 2}, {"input": "unmasked"}])
def test_cached_states_equal_computed_ones_bit_for_bit(
    made: tuple[str, TextTokenizer], tmp_path: Path, settings: dict[str, object]
) -> None:
    batches = [blocks(made[1], numbers) for numbers in ([3, 1], [7, 2])]
    expected = [states_of(*made, **settings).states(batch) for batch in batches]
    first, again = (states_of(*made, cache=tmp_path, **settings) for _ in range(2))
    assert all(torch.equal(first.states(batch), value) for batch, value in zip(batches, expected, strict=True))
    first.flush()
    again._text = None  # it must not be asked
    assert all(torch.equal(again.states(batch), value) for batch, value in zip(batches, expected, strict=True))


def test_copies_of_a_block_are_rows_of_their_own(made: tuple[str, TextTokenizer], tmp_path: Path) -> None:
    cached, plain = states_of(*made, static_copies=2, cache=tmp_path), states_of(*made)
    for copy in (0, 1, 0):
        batch = blocks(made[1], [3], copy=copy)
        assert torch.equal(cached.states(batch), plain.states(batch))


def test_a_batch_of_which_some_rows_are_there_keeps_those(made: tuple[str, TextTokenizer], tmp_path: Path) -> None:
    cached = states_of(*made, static_copies=1, cache=tmp_path)
    kept = cached.states(blocks(made[1], [3, 4]))
    mixed = cached.states(blocks(made[1], [9, 4]))
    assert torch.equal(mixed[1], kept[1])
    assert torch.equal(mixed[0], states_of(*made).states(blocks(made[1], [9, 4]))[0])


def test_a_row_that_is_there_is_read_though_the_batch_is_computed(
    made: tuple[str, TextTokenizer], tmp_path: Path
) -> None:
    cached = states_of(*made, static_copies=1, cache=tmp_path)
    foreign = np.full((1, LENGTH, cached.width), 0.5, np.float16)
    cached._cache.write(np.array([4]), foreign)
    mixed = cached.states(blocks(made[1], [9, 4]))
    assert torch.equal(mixed[1], torch.from_numpy(foreign[0]).float())
    assert not torch.equal(mixed[0], mixed[1])


def test_prefill_computes_missing_rows_only(made: tuple[str, TextTokenizer], tmp_path: Path) -> None:
    cached = states_of(*made, static_copies=1, cache=tmp_path)
    cached.states(blocks(made[1], [0, 1]))
    seen = []
    batches = [blocks(made[1], list(range(begin, begin + 4))) for begin in range(0, 40, 4)]
    assert cached.prefill(batches, seen.append) == 38
    assert sum(seen) == 40
    assert cached.prefill(batches) == 0
    assert "40 of 40 rows stored" in cached.header()


def test_rows_are_marked_only_after_they_were_flushed(tmp_path: Path) -> None:
    shape = CacheShape(rows=4, length=2, width=3)
    writer, reader = (StateCache(tmp_path, shape, {"teacher": "a"}) for _ in range(2))
    rows, values = np.array([2, 0]), np.arange(12, dtype=np.float16).reshape(2, 2, 3)
    writer.write(rows, values)
    assert writer.is_stored(rows).all() and not reader.is_stored(rows).any()
    writer.flush()
    assert reader.is_stored(np.arange(4)).tolist() == [True, False, True, False]
    assert np.array_equal(reader.read(rows), values)


@pytest.mark.parametrize("other", ["teacher", "corpus", "masks", "input"])
def test_another_teacher_corpus_mask_or_input_has_a_cache_of_its_own(
    made: tuple[str, TextTokenizer], tmp_path: Path, other: str
) -> None:
    states_of(*made, static_copies=1, cache=tmp_path).states(blocks(made[1], [1]))
    teacher, tokenizer = made
    if other == "teacher":
        teacher = teacher_in(tmp_path / "other", tokenizer, seed=2)
    facts = corpus(2 if other == "masks" else 1, identity="another" if other == "corpus" else "toy corpus")
    settings = {"input": "unmasked"} if other == "input" else {}
    found = opened((teacher, tokenizer), facts, cache=tmp_path, **settings)
    assert "(0 of" in found.header()


def test_states_of_another_precision_have_a_cache_of_their_own(made: tuple[str, TextTokenizer], tmp_path: Path) -> None:
    rough, batch = Precision(torch.bfloat16, "a test"), blocks(made[1], [1])
    first = opened(made, corpus(1), rough, cache=tmp_path)
    rounded = first.states(batch)
    first.flush()
    exact = opened(made, corpus(1), cache=tmp_path)
    assert "(0 of" in exact.header()
    assert torch.equal(exact.states(batch), states_of(*made).states(batch))
    assert not torch.equal(exact.states(batch), rounded)
    assert "(1 of" in opened(made, corpus(1), Precision(torch.bfloat16, "as set"), cache=tmp_path).header()


def test_states_of_a_cpu_and_of_a_gpu_and_of_other_products_are_kept_apart() -> None:
    gpu, before = torch.device("cuda"), torch.get_float32_matmul_precision()
    exact = EXACT.arithmetic(gpu)
    try:
        torch.set_float32_matmul_precision("high")
        assert EXACT.arithmetic(gpu) != exact
        assert EXACT.arithmetic(CPU)["float32_products"] == "highest", "a CPU has no TF32"
    finally:
        torch.set_float32_matmul_precision(before)
    assert EXACT.arithmetic(CPU) != exact


def test_a_teacher_of_equal_weights_and_other_heads_has_a_cache_of_its_own(
    made: tuple[str, TextTokenizer], tmp_path: Path
) -> None:
    first = opened(made, corpus(1), cache=tmp_path)
    first.states(blocks(made[1], [1]))
    first.flush()
    other = Path(shutil.copytree(made[0], tmp_path / "other"))
    config = json.loads((other / "config.json").read_text())
    assert weights_identity(other) == first.identity
    config["architecture"]["text"]["heads"] *= 2
    (other / "config.json").write_text(json.dumps(config))
    assert "(0 of" in opened((str(other), made[1]), corpus(1), cache=tmp_path).header()


def test_a_cache_without_static_masks_names_both_settings(made: tuple[str, TextTokenizer], tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"teacher\.cache=.*data\.masking\.static_copies"):
        states_of(*made, cache=tmp_path)


def test_a_cache_that_the_disk_can_not_hold_is_refused_with_the_figure(
    made: tuple[str, TextTokenizer], tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=r"7\.68e\+06 GB more"):
        opened(made, corpus(1, blocks=10**13), cache=tmp_path)
    assert not list(tmp_path.glob("*/states.f16"))


def test_rows_that_are_stored_need_no_free_space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shape = CacheShape(rows=8, length=64, width=64)
    cache = StateCache(tmp_path, shape, {})
    cache.write(np.arange(8), np.ones((8, 64, 64), np.float16))
    cache.close()
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10**6, 10**6, 0))
    assert StateCache(tmp_path, shape, {}).is_stored(np.arange(8)).all()
    with pytest.raises(UserError, match="0 GB are free"):
        StateCache(tmp_path / "other", shape, {})


@pytest.mark.parametrize("place", ["file", "file/below"])
def test_a_cache_at_or_below_a_file_is_the_users_mistake(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UserError, match=r"teacher\.cache=.*file.*name another"):
        StateCache(tmp_path / place, CacheShape(1, 2, 3), {})


def test_a_full_disk_is_the_machines_fault(tmp_path: Path) -> None:
    cache = StateCache(tmp_path, CacheShape(1, 2, 3), {})
    os.close(cache._states_file)
    cache._states_file = os.open("/dev/full", os.O_RDWR)
    with pytest.raises(MachineError, match="No space left"):
        cache.write(np.array([0]), np.ones((1, 2, 3), np.float16))


def test_a_cache_that_was_cut_short_is_refused(tmp_path: Path) -> None:
    cache = StateCache(tmp_path, CacheShape(4, 2, 3), {})
    os.truncate(cache.folder / "states.f16", 10)
    with pytest.raises(UserError, match="has 10 bytes instead of 48"):
        StateCache(tmp_path, CacheShape(4, 2, 3), {})


def test_a_teacher_of_another_vocabulary_is_refused(made: tuple[str, TextTokenizer], tmp_path: Path) -> None:
    other = TextTokenizer.from_folder(tiny_tokenizer(tmp_path, words=("other", "words")))
    with pytest.raises(UserError, match=r"its vocabulary .* is not the corpus's"):
        states_of(made[0], other)


def test_a_teacher_of_shorter_texts_is_refused(made: tuple[str, TextTokenizer]) -> None:
    facts = corpus()
    with pytest.raises(UserError, match="16 positions and blocks of the corpus have 100 tokens"):
        opened(made, type(facts)(facts.identity, 4, 100, facts.masking, None))


def test_a_cache_without_a_teacher_is_refused(made: tuple[str, TextTokenizer], tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nothing to cache without teacher\.teacher"):
        open_states(StatesSettings(cache=tmp_path), corpus(), made[1], EXACT, CPU)
    assert open_states(StatesSettings(), corpus(), made[1], EXACT, CPU) is None


def test_blocks_longer_than_the_texts_a_teacher_saw_are_warned_of(
    made: tuple[str, TextTokenizer], tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("clipgrove"), "propagate", True)
    facts = corpus()
    opened(made, facts)
    assert "positions it never learnt" not in caplog.text
    opened(made, type(facts)(facts.identity, 4, LENGTH + 2, facts.masking, None))
    assert f"texts of at most {LENGTH} tokens, blocks of the corpus have {LENGTH + 2}" in caplog.text
    assert f"--block {LENGTH - 2}, or train it with model.block={LENGTH + 2}" in caplog.text


def test_a_run_folder_named_as_teacher_is_refused_with_the_path_of_its_best(
    made: tuple[str, TextTokenizer], tmp_path: Path
) -> None:
    shutil.copytree(made[0], tmp_path / "run" / "best")
    with pytest.raises(UserError, match=r"holds no \S+ model .*; .*run/best is one"):
        opened((str(tmp_path / "run"), made[1]), corpus())
