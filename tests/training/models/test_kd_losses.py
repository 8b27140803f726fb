"""The distillation losses against plain float64 loops: values, gradients, padding, chunks."""

import math
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from support import kd_reference

from training.models.vidlankd import losses
from training.models.vidlankd.losses.crd import _folds, softplus_to_sigmoid_
from training.models.vidlankd.text_batch import IGNORED

Loss = Callable[..., torch.Tensor]

KERNELS = ("gaussian", "polynomial", "released")
B, L, H, G, M = 3, 6, 8, 5, 12
LENGTHS = (6, 4, 1)


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def unit(x: torch.Tensor) -> torch.Tensor:
    return F.normalize(x, dim=-1)


def valid(lengths: tuple[int, ...] = LENGTHS, width: int = L) -> torch.Tensor:
    """True up to a row's length; a single token in the last row."""
    return torch.arange(width) < torch.tensor(lengths)[:, None]


def with_gradient(function: Loss, *inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """The value and its gradient with respect to each input."""
    leaves = [x.clone().requires_grad_() for x in inputs]
    value = function(*leaves)
    return value.detach(), *torch.autograd.grad(value, leaves)


def same(found: tuple[torch.Tensor, ...], expected: tuple[torch.Tensor, ...], **tolerance: float) -> None:
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, **tolerance)


STUDENT, TEACHER, WIDE, QUEUE = draw(B, L, H), draw(B, L, H, seed=1), draw(B, L, G, seed=2), unit(draw(M, H, seed=3))
Z = torch.tensor(17.0, dtype=torch.float64)

# By name: a loss of the student's states, everything else given; the teacher's states as wide as they need be.
OF_STUDENT = {
    **{
        f"nst {kernel}": lambda s, t, v, kernel=kernel, **more: losses.nst(s, t, v, kernel=kernel, **more)
        for kernel in KERNELS
    },
    "crd": lambda s, t, v, **more: losses.crd(s, t, v, QUEUE.to(s), Z, temperature=0.3, **more),
    "contrastive_in_batch": lambda s, t, v, **more: losses.contrastive_in_batch(s, t, v, temperature=0.4, **more),
    "l2_regression": losses.l2_regression,
    "fitnet": losses.fitnet,
}


# --- Neuron selectivity transfer


@pytest.mark.parametrize("teacher_term", [True, False])
@pytest.mark.parametrize("kernel", KERNELS)
def test_nst_is_the_mean_discrepancy_over_pairs_of_neurons(kernel: str, teacher_term: bool) -> None:
    def ours(s: torch.Tensor) -> torch.Tensor:
        return losses.nst(s, WIDE, valid(), kernel=kernel, sigma=0.7, teacher_term=teacher_term)

    def plain(s: torch.Tensor) -> torch.Tensor:
        return kd_reference.nst(s, WIDE, valid(), kernel, 0.7, teacher_term)

    same(with_gradient(ours, STUDENT), with_gradient(plain, STUDENT))


def test_the_released_kernel_equals_the_published_loop_in_value_and_gradient() -> None:
    student, teacher = unit(STUDENT), unit(TEACHER)
    everywhere = torch.ones(B, L, dtype=torch.bool)

    def ours(s: torch.Tensor) -> torch.Tensor:
        return losses.nst(unit(s), teacher, everywhere, kernel="released")

    same(
        with_gradient(ours, student),
        with_gradient(lambda s: kd_reference.released_nst(unit(s), teacher), student),
    )


def test_nst_of_equal_states_is_zero_and_no_state_is_below() -> None:
    for kernel in ("gaussian", "polynomial"):
        torch.testing.assert_close(losses.nst(STUDENT, STUDENT, valid(), kernel=kernel).item(), 0.0, atol=1e-12, rtol=0)
        assert losses.nst(STUDENT, WIDE, valid(), kernel=kernel) > 0


def test_nst_does_not_depend_on_the_order_of_neurons() -> None:
    shuffled = WIDE[:, :, torch.randperm(G, generator=torch.Generator().manual_seed(5))]
    for kernel in KERNELS:
        expected = losses.nst(STUDENT, WIDE, valid(), kernel=kernel)
        torch.testing.assert_close(losses.nst(STUDENT, shuffled, valid(), kernel=kernel), expected)


def test_the_teachers_term_changes_the_value_of_nst_and_no_gradient() -> None:
    for kernel in ("gaussian", "polynomial"):
        found = [
            with_gradient(lambda s, on=on, k=kernel: losses.nst(s, WIDE, valid(), k, teacher_term=on), STUDENT)
            for on in (True, False)
        ]
        torch.testing.assert_close(found[0][1], found[1][1])
        assert found[0][0] > found[1][0]


@pytest.mark.parametrize("chunk", [1, 3, 8, 100])
def test_chunks_of_neurons_change_nothing(chunk: int) -> None:
    def by(size: int) -> tuple[torch.Tensor, ...]:
        return with_gradient(lambda s: losses.nst(s, WIDE, valid(), chunk=size), STUDENT)

    same(by(chunk), by(128))


def test_in_float32_nst_differs_from_float64_in_the_last_digits_only() -> None:
    for kernel in KERNELS:
        fine = with_gradient(lambda s, k=kernel: losses.nst(s, TEACHER, valid(), k), STUDENT)
        coarse = with_gradient(lambda s, k=kernel: losses.nst(s, TEACHER.float(), valid(), k), STUDENT.float())
        same(tuple(x.double() for x in coarse), fine, rtol=1e-4, atol=1e-6)


# --- Contrastive representation distillation


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("negatives", [None, torch.tensor([7, 1, 2])])
def test_crd_is_the_formula_pair_by_pair(negatives: torch.Tensor | None, reduction: str) -> None:
    def ours(s: torch.Tensor) -> torch.Tensor:
        return losses.crd(s, TEACHER, valid(), QUEUE, Z, 0.3, negatives, reduction=reduction)

    def plain(s: torch.Tensor) -> torch.Tensor:
        return kd_reference.crd(s, TEACHER, valid(), QUEUE, Z.item(), 0.3, negatives, reduction)

    same(with_gradient(ours, STUDENT), with_gradient(plain, STUDENT))


@pytest.mark.parametrize("chunk", [1, 4, 7])
def test_chunks_of_positions_change_nothing(chunk: int) -> None:
    def by(size: int) -> tuple[torch.Tensor, ...]:
        return with_gradient(lambda s: losses.crd(s, TEACHER, valid(), QUEUE, Z, chunk=size), STUDENT)

    same(by(chunk), by(512))


def test_crd_is_exact_at_a_temperature_at_which_exponentials_overflow() -> None:
    z = losses.crd_normaliser(STUDENT, TEACHER, valid(), QUEUE, temperature=0.05)
    near = QUEUE.clone()
    near[0] = unit(STUDENT[0, 0])
    found = losses.crd(STUDENT.float(), TEACHER.float(), valid(), near.float(), torch.tensor(1e-3), temperature=0.01)
    logits = unit(STUDENT[valid()]) @ near.T / 0.01 - math.log(1e-3)
    own = (unit(STUDENT[valid()]) * unit(TEACHER[valid()])).sum(1) / 0.01 - math.log(1e-3)
    expected = (F.softplus(-own).sum() + F.softplus(logits).sum()) / valid().sum()
    assert z.isfinite()
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=0)


def test_the_normaliser_is_m_times_the_mean_exponential_of_the_batch() -> None:
    found = losses.crd_normaliser(STUDENT, TEACHER, valid(), QUEUE, 0.3, chunk=4)
    expected = kd_reference.crd_normaliser(STUDENT, TEACHER, valid(), QUEUE, 0.3)
    assert found.item() == pytest.approx(expected, rel=1e-6)


def test_with_its_normaliser_crd_pulls_a_pair_together_and_without_it_does_not() -> None:
    def pull(
        student: torch.Tensor, teacher: torch.Tensor, queue: torch.Tensor, z: torch.Tensor, temperature: float
    ) -> torch.Tensor:
        """The gradient of the positives alone: negatives lie in other dimensions."""
        negatives, everywhere = torch.arange(31), torch.ones(B, L, dtype=torch.bool)
        loss = losses.crd(student, teacher, everywhere, queue, z, temperature, negatives, reduction="sum")
        return torch.autograd.grad(loss, student)[0][..., :H].norm() * temperature

    student, teacher = (F.pad(unit(x), (0, H)) for x in (STUDENT, TEACHER))
    queue = F.pad(unit(draw(20000, H, seed=3)), (H, 0))
    student.requires_grad_()
    z = losses.crd_normaliser(student, teacher, torch.ones(B, L, dtype=torch.bool), queue)
    printed = pull(student, teacher, queue, torch.ones(()), 1.0)
    assert pull(student, teacher, queue, z, 0.07) > 200 * printed, "the positive's gradient has vanished"


def test_a_student_trained_by_crd_approaches_its_teachers_vectors() -> None:
    teacher, queue = unit(draw(4, 8, 16, seed=1)), unit(draw(256, 16, seed=2))
    everywhere = torch.ones(4, 8, dtype=torch.bool)
    student = draw(4, 8, 16, seed=4).requires_grad_()
    z = losses.crd_normaliser(student, teacher, everywhere, queue)
    optimizer = torch.optim.Adam([student], lr=0.05)
    before = (unit(student.detach()) * teacher).sum(2).mean()
    for _ in range(60):
        optimizer.zero_grad()
        losses.crd(student, teacher, everywhere, queue, z).backward()
        optimizer.step()
    after = (unit(student.detach()) * teacher).sum(2).mean()
    assert before < 0.2
    assert after > 0.8


def test_under_autocast_only_the_products_of_crd_are_coarser() -> None:
    args = (TEACHER.float(), valid(), QUEUE.float(), Z.float())
    fine = with_gradient(lambda s: losses.crd(s, *args), STUDENT.float())
    with torch.autocast("cpu", torch.bfloat16):
        coarse = with_gradient(lambda s: losses.crd(s, *args), STUDENT.float())
    assert all(x.dtype == torch.float32 for x in coarse)
    same(coarse, fine, rtol=0.05, atol=0.02)


def test_crd_and_its_normaliser_agree_with_torchdistill_on_the_same_pairs() -> None:
    """Its student half: a memory with the batch's own teacher vectors in front, the queue behind, no momentum."""
    theirs = pytest.importorskip("torchdistill.losses.mid_level", reason="torchdistill is not installed")
    tokens = int(valid().sum())
    other = theirs.CRDLoss("s", "e", "t", H, tokens + M, M, M, temperature=0.3, momentum=0.5, eps=0.0).double()
    s, t = unit(STUDENT[valid()]).requires_grad_(), unit(TEACHER[valid()])
    other.memory_v2 = torch.cat([t, QUEUE])
    negatives = torch.arange(tokens, tokens + M).expand(tokens, M)
    pairs, _ = other.contrast_memory(
        s, t, torch.arange(tokens), torch.cat([torch.arange(tokens)[:, None], negatives], 1)
    )
    z = losses.crd_normaliser(STUDENT, TEACHER, valid(), QUEUE, 0.3).double()
    torch.testing.assert_close(z / M, other.params[2] / (tokens + M), rtol=1e-6, atol=0)
    expected = other.compute_contrast_loss(pairs * (tokens + M) / M)
    everywhere = torch.ones(tokens, 1, dtype=torch.bool)
    found = losses.crd(s[:, None], t[:, None], everywhere, QUEUE, z, 0.3)
    torch.testing.assert_close(found, expected.squeeze(), rtol=1e-6, atol=0)
    # Unlike theirs our gradient is that of unnormalised states: it has no part along the vector.
    along = torch.autograd.grad(expected, s)[0]
    (ours,) = torch.autograd.grad(found, s)
    torch.testing.assert_close(ours, along - (along * s).sum(1, keepdim=True) * s, rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("folds", [-1, 0, 1, 4])
def test_folding_pairs_of_exponentials_gives_softplus_and_sigmoid(folds: int) -> None:
    x = (draw(5, 32) * 6 - 8).float()
    expected = F.softplus(x.double())
    given = x.clone()
    total = softplus_to_sigmoid_(given, folds)
    assert total.item() == pytest.approx(expected.sum().item(), rel=1e-6)
    torch.testing.assert_close(given, x.sigmoid(), rtol=1e-5, atol=0)


def test_folds_are_as_many_as_cannot_overflow() -> None:
    assert _folds(4.6, 16384) >= 3
    assert _folds(4.6, 12) == 2
    assert _folds(60.0, 16384) == 0
    assert _folds(100.0, 16384) == -1


def test_the_queue_keeps_the_last_vectors_and_its_place_is_saved_with_it() -> None:
    queue = losses.TokenQueue(5, 2)
    assert not queue.full
    vectors = torch.tensor([[math.cos(a), math.sin(a)] for a in range(8)])
    queue.push(3 * vectors[:3])
    assert int(queue.filled) == 3
    again = losses.TokenQueue(5, 2)
    again.load_state_dict(queue.state_dict())
    for one in (queue, again):
        one.push(vectors[3:7])
        assert one.full
        torch.testing.assert_close(one.vectors_MH, vectors[[5, 6, 2, 3, 4]])


def test_of_more_vectors_than_the_queue_is_long_the_last_stay() -> None:
    queue = losses.TokenQueue(3, 2)
    vectors = torch.tensor([[math.cos(a), math.sin(a)] for a in range(7)])
    queue.push(vectors)
    assert queue.full
    torch.testing.assert_close(queue.vectors_MH, vectors[4:])


# --- What holds for every loss of the student


@pytest.mark.parametrize("name", OF_STUDENT)
def test_content_of_padded_positions_changes_nothing(name: str) -> None:
    loss, mask = OF_STUDENT[name], valid()
    junk_s, junk_t = STUDENT.clone(), TEACHER.clone()
    junk_s[~mask], junk_t[~mask] = float("nan"), 1e30
    found = with_gradient(lambda s: loss(s, junk_t, mask), junk_s)
    expected = with_gradient(lambda s: loss(s, TEACHER, mask), STUDENT)
    same(found, expected)
    assert not found[1][~mask].any()


@pytest.mark.parametrize("name", OF_STUDENT)
def test_longer_padding_changes_nothing(name: str) -> None:
    loss, mask = OF_STUDENT[name], valid()
    longer = valid(width=L + 3)
    s, t = (torch.cat([x, 5 + draw(B, 3, H, seed=9)], dim=1) for x in (STUDENT, TEACHER))
    found = with_gradient(lambda x: loss(x, t, longer), s)
    expected = with_gradient(lambda x: loss(x, TEACHER, mask), STUDENT)
    torch.testing.assert_close(found[0], expected[0])
    torch.testing.assert_close(found[1][:, :L], expected[1])


@pytest.mark.parametrize("name", OF_STUDENT)
def test_the_sum_is_the_mean_times_the_count(name: str) -> None:
    loss, mask = OF_STUDENT[name], valid()
    count = {"nst released": 1}.get(name, B if name.startswith("nst") else mask.sum())
    found = loss(STUDENT, TEACHER, mask, reduction="sum")
    torch.testing.assert_close(found, loss(STUDENT, TEACHER, mask) * count)


@pytest.mark.parametrize("name", OF_STUDENT)
def test_gradients_are_those_of_finite_differences(name: str) -> None:
    small, mask = slice(0, 4), valid((4, 2, 1), width=4)
    torch.autograd.gradcheck(
        lambda s: OF_STUDENT[name](s, TEACHER[:, small], mask), STUDENT[:, small].clone().requires_grad_()
    )


@pytest.mark.parametrize("name", OF_STUDENT)
def test_a_teacher_gets_no_gradient(name: str) -> None:
    teacher = TEACHER.clone().requires_grad_()
    OF_STUDENT[name](STUDENT.clone().requires_grad_(), teacher, valid()).backward()
    assert teacher.grad is None


@pytest.mark.parametrize("name", OF_STUDENT)
def test_rows_with_one_token_each_have_a_finite_loss_and_gradient(name: str) -> None:
    value, gradient = with_gradient(lambda s: OF_STUDENT[name](s, TEACHER, valid((1, 1, 1))), STUDENT)
    assert value.isfinite()
    assert gradient.isfinite().all()


@pytest.mark.parametrize("name", ["nst gaussian", "crd"])
def test_nothing_of_the_size_of_all_pairs_is_kept_for_the_backward_pass(name: str) -> None:
    kept = []
    student = draw(4, 16, 24).requires_grad_()
    teacher, queue, everywhere = (
        draw(4, 16, 24, seed=1),
        unit(draw(500, 24, seed=2)),
        torch.ones(4, 16, dtype=torch.bool),
    )
    with torch.autograd.graph.saved_tensors_hooks(lambda x: kept.append(x.numel()) or x, lambda x: x):
        if name == "crd":
            losses.crd(student, teacher, everywhere, queue, Z).backward()
        else:
            losses.nst(student, teacher, everywhere).backward()
    assert max(kept) <= student.numel()


# --- The others


def test_masked_lm_is_the_mean_over_labels_that_are_not_ignored() -> None:
    logits, labels = draw(5, 7), torch.tensor([3, IGNORED, 0, 6, IGNORED])
    plain = [-torch.log(torch.exp(logits[m, k]) / torch.exp(logits[m]).sum()) for m, k in ((0, 3), (2, 0), (3, 6))]
    torch.testing.assert_close(losses.masked_lm(logits, labels), sum(plain) / 3)
    torch.testing.assert_close(losses.masked_lm(logits, labels, "sum"), sum(plain))


def test_masked_lm_of_nothing_is_zero_with_zero_gradients() -> None:
    logits = draw(0, 7).requires_grad_()
    loss = losses.masked_lm(logits, torch.zeros(0, dtype=torch.int64))
    loss.backward()
    assert loss.item() == 0


def test_soft_labels_are_the_divergence_from_the_teacher_at_a_temperature() -> None:
    student, teacher = draw(4, 7), draw(4, 7, seed=1)

    def plain(x: torch.Tensor) -> torch.Tensor:
        total = 0.0
        for m in range(4):
            p, q = torch.softmax(teacher[m] / 2, 0), torch.softmax(x[m] / 2, 0)
            total = total + sum(p[v] * (p[v].log() - q[v].log()) for v in range(7))
        return 4 * total / 4

    same(with_gradient(lambda x: losses.soft_labels(x, teacher, 2.0), student), with_gradient(plain, student))


def test_soft_labels_agree_with_torchdistill() -> None:
    theirs = pytest.importorskip("torchdistill.losses.mid_level", reason="torchdistill is not installed")
    student, teacher = draw(4, 7), draw(4, 7, seed=1)
    other = theirs.KDLoss("student", "output", "teacher", "output", 3.0, alpha=0.0)  # without the square of temperature
    expected = 3.0**2 * other({"student": {"output": student}}, {"teacher": {"output": teacher}})
    torch.testing.assert_close(losses.soft_labels(student, teacher, 3.0), expected)


def test_l2_regression_and_fitnet_are_squared_differences_of_valid_positions() -> None:
    places = valid().nonzero().tolist()
    pairs = [(STUDENT[b, i], TEACHER[b, i]) for b, i in places]
    distance = sum((unit(s) - unit(t)).square().sum() for s, t in pairs) / len(pairs)
    difference = sum((s - t).square().mean() for s, t in pairs) / len(pairs)
    torch.testing.assert_close(losses.l2_regression(STUDENT, TEACHER, valid()), distance)
    torch.testing.assert_close(losses.fitnet(STUDENT, TEACHER, valid()), difference)


@pytest.mark.parametrize("released_factor", [True, False])
def test_in_batch_contrast_equals_the_formula_position_by_position(released_factor: bool) -> None:
    def ours(s: torch.Tensor) -> torch.Tensor:
        return losses.contrastive_in_batch(s, TEACHER, valid(), 0.4, released_factor)

    def plain(s: torch.Tensor) -> torch.Tensor:
        return kd_reference.contrastive_in_batch(s, TEACHER, valid(), 0.4, released_factor)

    same(with_gradient(ours, STUDENT), with_gradient(plain, STUDENT))


# --- The teacher's

WEIGHT = torch.tensor([1.0, 1.0, 0.0])
CLIPS = unit(draw(6, H, seed=6))
POSITIVES = torch.tensor([2, 0, 5])
ALLOWED = torch.tensor([[1, 1, 1, 0, 1, 0], [1, 0, 0, 1, 0, 1], [1, 1, 1, 1, 1, 1]], dtype=torch.bool)
TOKENS = unit(STUDENT)


def hinge(
    h: torch.Tensor,
    own: torch.Tensor,
    other: torch.Tensor,
    mask: torch.Tensor | None = None,
    weight: torch.Tensor = WEIGHT,
    **more: str,
) -> torch.Tensor:
    anchors = losses.TextAnchors(h, valid() if mask is None else mask, weight)
    return losses.token_hinge(anchors, own, other, margin=0.5, **more)


def hinge_in_batch(
    h: torch.Tensor,
    clips: torch.Tensor,
    mask: torch.Tensor | None = None,
    weight: torch.Tensor = WEIGHT,
    allowed: torch.Tensor = ALLOWED,
    **more: str,
) -> torch.Tensor:
    anchors = losses.TextAnchors(h, valid() if mask is None else mask, weight)
    return losses.token_hinge_in_batch(anchors, losses.ClipCandidates(clips, POSITIVES, allowed), margin=0.5, **more)


def info_nce(
    h: torch.Tensor,
    clips: torch.Tensor,
    mask: torch.Tensor | None = None,
    weight: torch.Tensor = WEIGHT,
    allowed: torch.Tensor = ALLOWED,
    **more: str,
) -> torch.Tensor:
    anchors = losses.TextAnchors(h, valid() if mask is None else mask, weight)
    return losses.token_info_nce(anchors, losses.ClipCandidates(clips, POSITIVES, allowed), temperature=0.2, **more)


def test_the_hinge_is_over_valid_tokens_of_rows_with_weight() -> None:
    own, other = CLIPS[:3], CLIPS[3:]

    def plain(h: torch.Tensor, own: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
        return kd_reference.token_hinge(h, own, other, valid(), WEIGHT, 0.5)

    same(with_gradient(hinge, TOKENS, own, other), with_gradient(plain, TOKENS, own, other))


def test_the_hinge_in_the_batch_is_the_mean_over_allowed_clips() -> None:
    def plain(h: torch.Tensor, clips: torch.Tensor) -> torch.Tensor:
        return kd_reference.token_hinge_in_batch(h, clips, POSITIVES, valid(), ALLOWED, WEIGHT, 0.5)

    same(with_gradient(hinge_in_batch, TOKENS, CLIPS), with_gradient(plain, TOKENS, CLIPS))


def test_info_nce_is_the_cross_entropy_among_allowed_clips_and_the_own_one() -> None:
    def plain(h: torch.Tensor, clips: torch.Tensor) -> torch.Tensor:
        return kd_reference.token_info_nce(h, clips, POSITIVES, valid(), ALLOWED, WEIGHT, 0.2)

    same(with_gradient(info_nce, TOKENS, CLIPS), with_gradient(plain, TOKENS, CLIPS))


@pytest.mark.parametrize("loss", [hinge_in_batch, info_nce])
def test_rows_without_weight_and_padding_are_in_no_sum_and_no_count(loss: Loss) -> None:
    junk = TOKENS.clone()
    junk[~valid()] = float("nan")
    junk[2] = float("nan")
    value, gradient = with_gradient(lambda h: loss(h, CLIPS), junk)
    kept = valid((6, 4, 0))
    same((value,), (loss(TOKENS, CLIPS),))
    assert not gradient[~kept].any()
    torch.testing.assert_close(loss(junk, CLIPS, reduction="sum"), value * kept.sum())


def test_the_hinge_forgets_a_clip_without_weight() -> None:
    own, other = CLIPS[:3].clone(), CLIPS[3:].clone()
    expected = hinge(TOKENS, own, other)
    own[2] = other[2] = float("nan")
    torch.testing.assert_close(hinge(TOKENS, own, other), expected)


def test_clips_of_the_same_video_are_no_negatives() -> None:
    for loss in (hinge_in_batch, info_nce):
        _, gradient = with_gradient(lambda clips, loss=loss: loss(TOKENS, clips), CLIPS)
        columns = ALLOWED[:2].any(0)
        columns[POSITIVES[:2]] = True
        assert not gradient[~columns].any()


@pytest.mark.parametrize("loss", [hinge_in_batch, info_nce])
def test_a_row_with_no_negative_adds_nothing(loss: Loss) -> None:
    value, gradient = with_gradient(lambda h: loss(h, CLIPS, allowed=torch.zeros_like(ALLOWED)), TOKENS)
    torch.testing.assert_close(value.item(), 0.0)
    assert not gradient.any()


def test_a_batch_without_any_weight_has_a_zero_loss() -> None:
    nobody = torch.zeros(B)
    assert hinge(TOKENS, CLIPS[:3], CLIPS[3:], weight=nobody) == 0
    assert info_nce(TOKENS, CLIPS, weight=nobody) == 0
