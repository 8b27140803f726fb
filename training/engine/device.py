"""The device of a rank: how it is chosen, and how tensors get there."""

from __future__ import annotations

import torch

from runtime.errors import UserError


def choose_device(asked: str | None, local_rank: int, world_size: int) -> tuple[torch.device, str]:
    """Return the device of this rank and a phrase that says why.

    Args:
        asked: ``cpu``, ``cuda`` or ``cuda:N``; None: CUDA if it can be used.
        local_rank: number of this process on its machine; the number of its GPU unless `asked` names one.
        world_size: processes of the run.

    Raises:
        UserError: another name, or a GPU that this machine does not have.
    """
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if asked is None and count == 0:
        return torch.device("cpu"), "cpu: PyTorch finds no CUDA device"
    reason = "found" if asked is None else "asked for"
    device = _parse(asked or "cuda")
    if device.type == "cpu":
        return device, f"cpu: {reason}"
    numbered = asked is not None and ":" in asked
    if numbered and world_size > 1:
        raise UserError(f"device={asked}: with several ranks each takes the GPU of its local rank; write device=cuda")
    index = device.index if numbered else local_rank
    if index >= count:
        raise UserError(
            f"device={asked or 'cuda'}: GPU {index} is wanted (LOCAL_RANK={local_rank}) and this machine has {count}; "
            "start at most that many ranks a machine, or take device=cpu"
        )
    return torch.device("cuda", index), f"cuda:{index} ({torch.cuda.get_device_name(index)}): {reason}"


def to_device(value: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Move a tensor to `device`, without waiting if its memory is pinned."""
    return value.to(device, non_blocking=True)


def _parse(asked: str) -> torch.device:
    try:
        device = torch.device(asked)
    except RuntimeError:
        raise UserError(f"device={asked}: must be cpu, cuda or cuda:N") from None
    if device.type not in ("cpu", "cuda"):
        raise UserError(f"device={asked}: must be cpu, cuda or cuda:N")
    return device
