"""One step of the student: its losses over the global batch, however it is split, and its state afterwards."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
import torch
from support.ranks import on_ranks
from support.students import EXACT, LENGTH, blocks, shape, states_of, teacher_in, tokenizer_in
from support.tiny_corpus import sentences, tiny_corpus

from runtime.errors import UserError
from training.corpus.block_batches import TextBatches
from training.corpus.corpus_settings import MaskSettings, TextSettings
from training.engine.checkpoints.model_folder import load_weights
from training.engine.engine_settings import ComputeSettings
from training.engine.parallel.distributed import Ranks
from training.engine.training_task import NonFiniteLoss
from training.models.vidlankd.kd_model_settings import StudentModelSettings
from training.models.vidlankd.losses import TokenQueue, crd, crd_normaliser, masked_lm, nst
from training.models.vidlankd.objectives.objective import Target
from training.models.vidlankd.objectives.student_loss_weights import StudentLossSettings, objective_sums
from training.models.vidlankd.student_model import load_student
from training.models.vidlankd.text_batch import IGNORED, TextBatch
from training.models.vidlankd.text_tokenizer import TextTokenizer
from training.vidlankd.student.queue_sampling import QueueSampler
from training.vidlankd.student.student_task import StudentTask, build_student
from training.vidlankd.student.teacher_states import StateCorpus, open_states, weights_identity
from training.vidlankd.vidlankd_settings import StatesSettings

ROWS, QUEUE, TEACHER_WIDTH = 4, 64, 24
BOTH = StudentLossSettings(queue=QUEUE)
ALL = StudentLossSettings(queue=QUEUE, l2=0.5, fitnet=0.25, soft_labels=2.0)
ALONE = StudentLossSettings(nst=0, crd=0)
ONE = Ranks()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tokenizer and a teacher that is narrower than the student."""
    folder = tmp_path_factory.mktemp("student")
    teacher_in(folder / "teacher", tokenizer_in(folder), hidden=TEACHER_WIDTH)
    return folder


def task_in(
    home: Path,
    loss: StudentLossSettings = BOTH,
    ranks: Ranks = ONE,
    micro_batch: int | None = None,
    dropout: float = 0.0,
    held_out: Iterable[TextBatch] = (),
    **states: object,
) -> StudentTask:
    tokenizer = TextTokenizer.from_folder(home / "tokenizer")
    teacher = states_of(str(home / "teacher"), tokenizer, **states) if loss.distilling else None
    torch.manual_seed(0)
    model = build_student(StudentModelSettings(shape=shape(dropout=dropout)), loss, tokenizer, teacher)
    compute = ComputeSettings(device="cpu", micro_batch=micro_batch)
    return StudentTask(model, tokenizer, loss, compute, ranks, states=teacher, held_out=held_out, seed=5)


def batch_in(home: Path, step: int) -> TextBatch:
    """Four rows, of which one is half padding."""
    numbers = [ROWS * step + row for row in range(ROWS)]
    return blocks(TextTokenizer.from_folder(home / "tokenizer"), numbers, short=1)


def run(task: StudentTask, home: Path, steps: range) -> list[dict[str, float]]:
    """Some steps of plain gradient descent; what each reported."""
    optimizer = torch.optim.SGD(task.module.parameters(), lr=0.1)
    reports = []
    for step in steps:
        ranks = task._ranks
        own = ROWS // ranks.world_size
        batch = batch_in(home, step).rows(slice(ranks.rank * own, (ranks.rank + 1) * own))
        reports.append(dict(task.step(batch).losses))
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        task.after_step()
    return reports


def state_after(ranks: Ranks, home: str, micro_batch: int | None, steps: int) -> dict[str, torch.Tensor]:
    task = task_in(Path(home), ALL, ranks, micro_batch)
    reports = run(task, Path(home), range(steps))
    losses = {f"loss/{name}": torch.tensor(value) for name, value in reports[-1].items()}
    return {name: value.clone() for name, value in task.module.state_dict().items()} | losses


def both_ways(ranks: Ranks, home: str) -> dict[str, dict[str, torch.Tensor]]:
    whole, in_parts = state_after(ranks, home, None, 4), state_after(ranks, home, 1, 4)
    scores = {name: torch.tensor(value) for name, value in scored(ranks, home).items()}
    return {"whole": whole, "in parts": in_parts, "scores": scores}


def same(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    assert found.keys() == expected.keys()
    for name, value in found.items():
        torch.testing.assert_close(
            value, expected[name], rtol=1e-3, atol=2e-5, msg=lambda text, name=name: f"{name}: {text}"
        )


@pytest.mark.parametrize("rows", [1, 3])
def test_micro_batches_give_the_step_of_the_whole_batch(home: Path, rows: int) -> None:
    same(state_after(Ranks(), str(home), rows, 4), state_after(Ranks(), str(home), None, 4))


@pytest.mark.slow
def test_two_ranks_whole_or_in_parts_give_the_step_and_the_scores_of_one(home: Path, tmp_path: Path) -> None:
    expected = state_after(Ranks(), str(home), None, 4)
    assert expected["queue.filled"] == QUEUE and expected["queue.normaliser"] > 0
    for found in on_ranks(2, both_ways, tmp_path, str(home)):
        same(found["whole"], expected)
        same(found["in parts"], expected)
        assert {name: float(value) for name, value in found["scores"].items()} == pytest.approx(
            scored(ONE, str(home)), rel=1e-5
        )


def test_the_loss_is_mlm_plus_weighted_nst_and_crd(home: Path) -> None:
    loss = StudentLossSettings(mlm=1.0, nst=3.0, crd=0.5, queue=QUEUE)
    task = task_in(home, loss)
    run(task, home, range(2))
    queue = task.module.queue.vectors_MH.clone()
    batch = batch_in(home, 2)
    selected = (batch.labels_BL.flatten() != IGNORED).nonzero().squeeze(1)
    with torch.no_grad():
        found = task.module(batch.masked_BL, batch.valid_BL, selected)
    states = task._states.states(batch)
    normaliser = crd_normaliser(found["crd"], states, batch.valid_BL, queue)
    expected = {
        "mlm": masked_lm(found["mlm"], batch.labels_BL.flatten()[selected]),
        "nst": nst(found["nst"], states, batch.valid_BL),
        "crd": crd(found["crd"], states, batch.valid_BL, queue, normaliser),
    }
    expected["total"] = expected["mlm"] + 3 * expected["nst"] + 0.5 * expected["crd"]
    assert task.step(batch).losses == pytest.approx({name: float(value) for name, value in expected.items()}, rel=1e-4)


def test_each_objective_trains_alone(home: Path) -> None:
    for name in ("mlm", "nst", "crd", "contrastive_in_batch", "l2", "fitnet", "soft_labels"):
        off = {"mlm": 0.0, "nst": 0.0, "crd": 0.0}
        loss = StudentLossSettings(**(off | {name: 1.0, "queue": 8}))
        task = task_in(home, loss)
        reports = run(task, home, range(2))
        assert set(reports[1]) == {name, "total"}
        assert reports[1][name] != 0
        task.step(batch_in(home, 9))
        trained = {key: value for key, value in task.module.named_parameters() if value.requires_grad}
        assert [key for key, value in trained.items() if value.grad is None] == []
        assert trained["text.bert.encoder.layer.0.output.dense.weight"].grad.abs().max() > 0


def test_the_released_kernel_counts_32_rows_for_any_batch_size(home: Path) -> None:
    task = task_in(home, StudentLossSettings(nst_kernel="released", crd=0))
    batch = batch_in(home, 0)
    with torch.no_grad():
        found = task.module(batch.masked_BL, batch.valid_BL, None)["nst"]
    value = nst(found, task._states.states(batch), batch.valid_BL, "released")
    assert task.step(batch).losses["nst"] == pytest.approx(float(value) * 32 / ROWS, rel=1e-4)


def test_content_of_padding_changes_nothing(home: Path) -> None:
    batch, junk = batch_in(home, 0), batch_in(home, 0)
    junk.masked_BL[1, LENGTH // 2 :] = 7
    junk.ids_BL[1, LENGTH // 2 :] = 9
    first, second = (task_in(home, ALL).step(each).losses for each in (batch, junk))
    assert first == pytest.approx(second, rel=1e-5)


def test_the_queue_is_filled_with_tokens_of_the_first_batches_then_takes_one_a_block(home: Path) -> None:
    task = task_in(home)
    assert run(task, home, range(1))[0]["crd"] == 0
    first = int(task.module.queue.filled)
    assert first == sum(int((~batch_in(home, 0).special_BL).sum(1)[row]) for row in range(ROWS))
    run(task, home, range(1, 2))
    queue = task.module.queue
    assert queue.full and float(queue.normaliser) == 0
    before, cursor = queue.vectors_MH.clone(), int(queue.cursor)
    assert run(task, home, range(2, 3))[0]["crd"] > 0
    assert float(queue.normaliser) > 0
    changed = (queue.vectors_MH != before).any(1).nonzero().squeeze(1)
    assert sorted(changed.tolist()) == sorted((cursor + row) % QUEUE for row in range(ROWS))
    batch = batch_in(home, 2)
    own = torch.nn.functional.normalize(task._states.states(batch), dim=-1)
    for row in range(ROWS):
        near = (own[row] - queue.vectors_MH[(cursor + row) % QUEUE]).abs().amax(1) < 1e-5
        assert (near & ~batch.special_BL[row]).sum() == 1


def test_each_step_draws_a_token_of_each_block_from_the_seed_and_the_step() -> None:
    special_BL = torch.zeros(ROWS, LENGTH, dtype=torch.bool)
    special_BL[:, [0, -1]] = True
    special_BL[1, LENGTH // 2 :] = True
    states_BLG = torch.eye(ROWS * LENGTH).reshape(ROWS, LENGTH, -1)  # a vector says where it was
    queue = TokenQueue(ROWS, ROWS * LENGTH)
    sampler = QueueSampler(queue, ONE, seed=5)
    seen = set()
    for step in range(6):
        sampler.begin(step, ROWS, filling=False)
        for part in (slice(0, 1), slice(1, ROWS)):
            sampler.collect(states_BLG[part], special_BL[part])
        sampler.push()
        ordinary = [(~special_BL[row]).nonzero().flatten().tolist() for row in range(ROWS)]
        draws = np.random.default_rng([5, step]).random(ROWS)
        expected = [places[int(draw * len(places))] for places, draw in zip(ordinary, draws, strict=True)]
        found = queue.vectors_MH.argmax(1) - torch.arange(ROWS) * LENGTH
        assert found.tolist() == expected
        seen.add(tuple(expected))
    assert len(seen) == 6


def test_fitnet_meets_the_teachers_states_at_a_mean_square_of_one() -> None:
    own_BLG, raw_BLG = torch.randn(2, 2, 3, 8, generator=torch.Generator().manual_seed(0))
    valid_BL = torch.tensor([[True, True, False], [True, True, True]])
    unit_BLG = torch.nn.functional.normalize(raw_BLG, dim=-1)
    loss = StudentLossSettings(mlm=0, nst=0, crd=0, fitnet=1)
    found = objective_sums({"fitnet": own_BLG}, Target(torch.zeros(0), valid_BL, unit_BLG), loss)["fitnet"]
    scaled_BLG = raw_BLG / raw_BLG.square().mean(2, keepdim=True).sqrt()
    torch.testing.assert_close(found, (own_BLG - scaled_BLG)[valid_BL].square().mean(1).sum())


def test_the_normaliser_stays_as_the_first_batch_made_it(home: Path) -> None:
    task = task_in(home)
    run(task, home, range(3))
    first = float(task.module.queue.normaliser)
    run(task, home, range(3, 5))
    assert float(task.module.queue.normaliser) == first > 0


@pytest.mark.parametrize("at", [1, 3])
def test_a_restored_task_continues_bit_for_bit(home: Path, tmp_path: Path, at: int) -> None:
    """While the queue fills, and after; with a checkpoint between."""
    straight = task_in(home)
    expected = run(straight, home, range(5))[at:]
    half = task_in(home)
    run(half, home, range(at))
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    half.save(folder)
    other = task_in(home)
    run(other, home, range(4))  # its state must be replaced whole
    load_weights(other.stored, folder)
    other.restore(folder)
    assert run(other, home, range(at, 5)) == expected
    before, after = straight.module.state_dict(), other.module.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_cached_states_give_the_step_that_computed_ones_give(home: Path, tmp_path: Path) -> None:
    plain, cached = task_in(home), task_in(home, static_copies=1, cache=tmp_path)
    expected = run(plain, home, range(3)) + run(plain, home, range(3))
    assert run(cached, home, range(3)) + run(cached, home, range(3)) == expected


def test_a_tokenised_corpus_trains_a_student_whose_cache_serves_from_the_second_round_of_masks_on(
    tmp_path: Path,
) -> None:
    """Blocks, masks, teacher, cache and student as the command joins them; two epochs of one static mask."""
    tokens = tiny_corpus(tmp_path / "corpus", sentences(60), block=LENGTH - 2)
    data = TextSettings(corpus=(str(tokens),), masking=MaskSettings(static_copies=1))
    batches = TextBatches(data, global_batch=ROWS, ranks=ONE, seed=0)
    teacher = teacher_in(tmp_path / "teacher", batches.tokenizer, hidden=TEACHER_WIDTH)
    settings = StatesSettings(teacher=teacher, cache=tmp_path / "cache")
    corpus = StateCorpus.of(batches, data.masking)
    states = open_states(settings, corpus, batches.tokenizer, EXACT, ONE.device)
    model = build_student(StudentModelSettings(shape=shape()), BOTH, batches.tokenizer, states)
    compute = ComputeSettings(device="cpu")
    task = StudentTask(model, batches.tokenizer, BOTH, compute, ONE, states=states, held_out=batches.held_out(ROWS))
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    scores, stream = [task.evaluate()], batches.start(0)
    for _ in range(2):
        for _ in range(batches.steps_per_epoch):
            task.step(next(stream))
            optimizer.step()
            optimizer.zero_grad()
            task.after_step()
        states._text = None  # a second epoch must not need it
        scores.append(task.evaluate())
    stream.close()
    assert scores[2]["mlm_loss"] < scores[0]["mlm_loss"]
    trained = corpus.blocks - sum(len(batch) for batch in batches.held_out(ROWS))
    assert f"({trained} of {corpus.blocks} rows stored" in task.header().replace("'", "")


def test_bfloat16_comes_near_float32(home: Path) -> None:
    tokenizer = TextTokenizer.from_folder(home / "tokenizer")
    found = []
    for precision in ("fp32", "bf16"):
        task = task_in(home, ALL)
        compute = ComputeSettings(device="cpu", precision=precision)
        task = StudentTask(task.module, tokenizer, ALL, compute, ONE, states=task._states)
        found.append(run(task, home, range(3))[-1])
    assert found[1] == pytest.approx(found[0], rel=0.03)
    assert found[1] != found[0]


def test_held_out_scores_are_those_of_all_masked_tokens(home: Path) -> None:
    tokenizer = TextTokenizer.from_folder(home / "tokenizer")
    held_out = [blocks(tokenizer, [100, 101, 102]), blocks(tokenizer, [103], short=0)]
    task = task_in(home, ALONE, dropout=0.5, held_out=held_out)
    task.module.eval()
    with torch.no_grad():
        found = [task.module.text(each.masked_BL, attention_mask=each.valid_BL).logits for each in held_out]
    labels = torch.cat([each.labels_BL.flatten() for each in held_out])
    logits = torch.cat([each.flatten(0, 1) for each in found])[labels != IGNORED]
    labels = labels[labels != IGNORED]
    loss = float(torch.nn.functional.cross_entropy(logits, labels))
    accuracy = float((logits.argmax(1) == labels).float().mean())
    expected = {"mlm_loss": loss, "mlm_accuracy": accuracy, "perplexity": math.exp(loss)}
    assert task.evaluate() == pytest.approx(expected, rel=1e-5)
    assert task.module.training


def scored(ranks: Ranks, home: str) -> dict[str, float]:
    tokenizer = TextTokenizer.from_folder(Path(home) / "tokenizer")
    held_out = [blocks(tokenizer, [100, 101, 102]), blocks(tokenizer, [103], short=0)]
    return dict(task_in(Path(home), ALONE, ranks, dropout=0.5, held_out=held_out).evaluate())


def test_nothing_held_out_gives_no_scores(home: Path) -> None:
    assert task_in(home, ALONE).evaluate() == {}


def test_a_student_of_text_alone_has_no_heads_and_no_queue(home: Path) -> None:
    task = task_in(home, ALONE)
    assert len(task.module.heads) == 0 and task.module.queue is None
    assert set(run(task, home, range(2))[0]) == {"mlm", "total"}
    assert "no teacher" in task.header()


def test_a_student_knows_the_weights_of_its_teacher(home: Path, tmp_path: Path) -> None:
    task = task_in(home)
    task.save(tmp_path / "student")
    assert load_student(tmp_path / "student")[0].teacher == weights_identity(home / "teacher")
    assert task_in(home, ALONE).module.teacher is None


def test_weights_of_distillation_without_a_teacher_name_both_settings(home: Path) -> None:
    tokenizer = TextTokenizer.from_folder(home / "tokenizer")
    with pytest.raises(UserError, match=r"loss\.nst=1, loss\.crd=1: needs a teacher and teacher\.teacher is not set"):
        build_student(StudentModelSettings(shape=shape()), BOTH, tokenizer, None)


def test_a_teacher_that_no_weight_uses_is_warned_of(
    home: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    import logging

    monkeypatch.setattr(logging.getLogger("clipgrove"), "propagate", True)
    tokenizer = TextTokenizer.from_folder(home / "tokenizer")
    states = states_of(str(home / "teacher"), tokenizer)
    model = build_student(StudentModelSettings(shape=shape()), ALONE, tokenizer, states)
    assert len(model.heads) == 0
    assert "the teacher is not used" in caplog.text


def test_soft_labels_are_not_had_from_a_cache(home: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"loss\.soft_labels=2: needs the teacher's predictions, which teacher\.cache"):
        task_in(home, ALL, static_copies=1, cache=tmp_path)


def test_settings_with_all_weights_zero_are_refused() -> None:
    with pytest.raises(ValueError, match="nothing would be trained"):
        StudentLossSettings(mlm=0, nst=0, crd=0)


def test_a_loss_that_is_no_number_names_the_blocks(home: Path) -> None:
    task = task_in(home, ALONE)
    with torch.no_grad():
        task.module.text.bert.embeddings.word_embeddings.weight.fill_(math.nan)
    with pytest.raises(NonFiniteLoss, match="block-0 block-1"):
        task.step(batch_in(home, 0))


def test_another_teacher_or_input_changes_the_architecture_so_that_no_run_resumes_with_it(home: Path) -> None:
    first, other = task_in(home), task_in(home, input="unmasked")
    assert first.architecture["teacher"]["weights"] == other.architecture["teacher"]["weights"]
    assert first.architecture != other.architecture
    assert task_in(home, ALONE).architecture["teacher"] is None


def test_flops_count_the_teacher_and_the_queue(home: Path) -> None:
    batch = batch_in(home, 0)
    alone, taught = task_in(home, ALONE).flops(batch), task_in(home).flops(batch)
    assert taught > alone > 0


def test_without_token_predictions_there_are_no_scores(home: Path) -> None:
    tokenizer = TextTokenizer.from_folder(home / "tokenizer")
    held_out = [blocks(tokenizer, [100, 101, 102])]
    assert task_in(home, StudentLossSettings(mlm=0, queue=QUEUE), held_out=held_out).evaluate() == {}
    soft = StudentLossSettings(mlm=0, nst=0, crd=0, soft_labels=1)
    assert task_in(home, soft, held_out=held_out).evaluate().keys() == {"mlm_loss", "mlm_accuracy", "perplexity"}


@pytest.mark.parametrize("micro_batch", [1, 3])
def test_in_batch_contrast_is_refused_if_a_row_is_alone_in_its_micro_batch(home: Path, micro_batch: int) -> None:
    loss = StudentLossSettings(nst=0, crd=0, contrastive_in_batch=1)
    with pytest.raises(UserError, match=r"loss\.contrastive_in_batch=1: .* of 4 rows is alone .* compute\.micro_batch"):
        task_in(home, loss, micro_batch=micro_batch).step(batch_in(home, 0))


def test_a_temperature_that_no_exponential_bears_is_refused() -> None:
    with pytest.raises(ValueError, match="temperature"):
        StudentLossSettings(temperature=0.01)
