"""Reference implementations of the distillation losses: token by token, neuron by neuron, pair by pair."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def patterns(hidden_LH: Tensor) -> list[Tensor]:
    """Return each neuron's responses to a row without padding, normalised over neurons and then over tokens."""
    tokens = torch.stack([token / token.norm() for token in hidden_LH])
    return [tokens[:, i] / tokens[:, i].norm() for i in range(tokens.shape[1])]


def nst(
    student_BLH: Tensor,
    teacher_BLG: Tensor,
    valid_BL: Tensor,
    kernel: str,
    sigma: float = 1.0,
    teacher_term: bool = True,
) -> Tensor:
    def k(x: Tensor, y: Tensor) -> Tensor:
        if kernel == "gaussian":
            return torch.exp(-(x - y).square().sum() / (2 * sigma**2))
        return (x @ y) ** 2

    def mean(one: list[Tensor], other: Tensor) -> Tensor:
        return sum(k(x, y) for x in one for y in other) / (len(one) * len(other))

    total = 0.0
    for row in range(len(student_BLH)):
        s = patterns(student_BLH[row][valid_BL[row]])
        t = patterns(teacher_BLG[row][valid_BL[row]])
        loss = mean(s, s) - 2 * mean(s, t)
        if teacher_term and kernel != "released":
            loss = loss + mean(t, t)
        total = total + (loss / len(s[0]) if kernel == "released" else loss)
    return total if kernel == "released" else total / len(student_BLH)


def crd(
    student_BLH: Tensor,
    teacher_BLH: Tensor,
    valid_BL: Tensor,
    queue_MH: Tensor,
    z: float,
    temperature: float,
    negatives: Tensor | None = None,
    reduction: str = "mean",
) -> Tensor:
    rows = range(len(queue_MH)) if negatives is None else negatives.tolist()
    ratio = len(rows) / len(queue_MH)
    total, count = 0.0, 0
    for b, i in valid_BL.nonzero().tolist():
        s, t = student_BLH[b, i] / student_BLH[b, i].norm(), teacher_BLH[b, i] / teacher_BLH[b, i].norm()

        def h(other: Tensor, s: Tensor = s) -> Tensor:
            e = torch.exp(s @ other / temperature) / z
            return e / (e + ratio)

        total = total - torch.log(h(t)) - sum(torch.log(1 - h(queue_MH[row])) for row in rows)
        count += 1
    return total if reduction == "sum" else total / count


def crd_normaliser(
    student_BLH: Tensor, teacher_BLH: Tensor, valid_BL: Tensor, queue_MH: Tensor, temperature: float
) -> float:
    found = []
    for b, i in valid_BL.nonzero().tolist():
        s, t = student_BLH[b, i] / student_BLH[b, i].norm(), teacher_BLH[b, i] / teacher_BLH[b, i].norm()
        found += [math.exp(s @ other / temperature) for other in (t, *queue_MH)]
    return len(queue_MH) * sum(found) / len(found)


def contrastive_in_batch(
    student_BLH: Tensor, teacher_BLH: Tensor, valid_BL: Tensor, temperature: float, released_factor: bool
) -> Tensor:
    losses = []
    for i in range(valid_BL.shape[1]):
        rows = valid_BL[:, i].nonzero().flatten().tolist()
        views = [F.normalize(x[row, i], dim=0) for x in (student_BLH, teacher_BLH) for row in rows]
        for own in range(len(views)):
            pair = (own + len(rows)) % len(views)
            others = [torch.exp(views[own] @ v / temperature) for n, v in enumerate(views) if n != own]
            loss = -torch.log(torch.exp(views[own] @ views[pair] / temperature) / sum(others))
            losses.append(loss / len(views) if released_factor else loss)
    return sum(losses) / len(losses)


def released_nst(student_BLH: Tensor, teacher_BLH: Tensor) -> Tensor:
    """The published loop: pairs of neurons, one sample at a time, without padding."""
    total = 0.0
    for s_LH, t_LH in zip(student_BLH, teacher_BLH, strict=True):
        s_HL, t_HL = F.normalize(s_LH.T, dim=1), F.normalize(t_LH.T, dim=1)
        own_HH = (s_HL[:, None] * s_HL[None]).sum(2) ** 2
        cross_HH = (s_HL[:, None] * t_HL[None]).sum(2) ** 2
        total = total + own_HH.mean() - 2 * cross_HH.mean()
    return total / student_BLH.shape[1]


def token_hinge(
    hidden_BLH: Tensor, own_BH: Tensor, other_BH: Tensor, valid_BL: Tensor, weight_B: Tensor, margin: float
) -> Tensor:
    found = []
    for b, i in valid_BL.nonzero().tolist():
        if weight_B[b]:
            h = hidden_BLH[b, i]
            found.append(torch.clamp(margin - h @ own_BH[b] + h @ other_BH[b], min=0))
    return sum(found) / len(found)


def token_hinge_in_batch(
    hidden_BLH: Tensor,
    clips_NH: Tensor,
    positives_B: Tensor,
    valid_BL: Tensor,
    allowed_BN: Tensor,
    weight_B: Tensor,
    margin: float,
) -> Tensor:
    found = []
    for b, i in valid_BL.nonzero().tolist():
        own = positives_B[b].item()
        others = [n for n in range(len(clips_NH)) if allowed_BN[b, n] and n != own]
        if weight_B[b]:
            h = hidden_BLH[b, i]
            each = [torch.clamp(margin - h @ clips_NH[own] + h @ clips_NH[n], min=0) for n in others]
            found.append(sum(each) / len(each) if each else 0 * h.sum())
    return sum(found) / len(found)


def token_info_nce(
    hidden_BLH: Tensor,
    clips_NH: Tensor,
    positives_B: Tensor,
    valid_BL: Tensor,
    allowed_BN: Tensor,
    weight_B: Tensor,
    temperature: float,
) -> Tensor:
    found = []
    for b, i in valid_BL.nonzero().tolist():
        own = positives_B[b].item()
        columns = [n for n in range(len(clips_NH)) if allowed_BN[b, n] or n == own]
        if weight_B[b]:
            each = {n: torch.exp(hidden_BLH[b, i] @ clips_NH[n] / temperature) for n in columns}
            found.append(-torch.log(each[own] / sum(each.values())))
    return sum(found) / len(found)
