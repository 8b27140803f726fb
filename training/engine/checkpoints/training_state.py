"""The tensors of a checkpoint, by name: weights, moments of the optimizer, random states.

    model.video.proj                        a weight, under its name in the model
    optimizer.video.proj.exp_avg            a moment of the optimizer, under the parameter's name in the trained module
    random.0.cpu                            torch's random state of rank 0

Everything is a tensor, so safetensors holds it and nothing is pickled. torch.distributed.checkpoint (DCP) writes each
shard of a `DTensor` from the rank that has it, and reads what a rank needs whatever the number of ranks was.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError
from torch import nn
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageReader
from torch.distributed.checkpoint.metadata import TensorStorageMetadata
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.tensor import DTensor

from runtime.errors import UserError, one_line
from training.engine.parallel.distributed import Ranks
from training.engine.random_state import RandomState, random_state, set_random_state

MODEL: Final = "model."
_OPTIMIZER: Final = "optimizer."
_RANDOM: Final = "random."

Tensors = dict[str, torch.Tensor]


def untied(module: nn.Module) -> Tensors:
    """Return the state of a module; tied tensors once, under the first name."""
    found: Tensors = {}
    seen: set[tuple[object, ...]] = set()
    for name, value in module.state_dict().items():
        held = value.to_local() if isinstance(value, DTensor) else value
        identity = (held.untyped_storage().data_ptr(), held.storage_offset(), value.shape)
        if held.numel() and identity in seen:
            continue
        seen.add(identity)
        found[name] = value.detach()
    return found


def training_state(model: nn.Module, trained: nn.Module, optimizer: torch.optim.Optimizer, ranks: Ranks) -> Tensors:
    """Return all tensors of a run on this rank; they change as training goes on.

    Args:
        model: its weights are those of the checkpoint.
        trained: the module that the optimizer's parameters are named in.
        optimizer: its moments.
        ranks: this rank; its random state is among the tensors.
    """
    names: dict[torch.Tensor, str] = {parameter: name for name, parameter in trained.named_parameters()}
    state = {MODEL + name: value for name, value in untied(model).items()}
    for parameter, moments in optimizer.state.items():
        state |= {f"{_OPTIMIZER}{names[parameter]}.{key}": torch.as_tensor(value) for key, value in moments.items()}
    return state | _of_random(random_state(), ranks.rank)


def share_of(state: Tensors, ranks: Ranks) -> Tensors:
    """Return the tensors that this rank writes: its shards, its random state, and its part of what all ranks have.

    Tensors that all ranks have are dealt out by size, so that each rank copies and writes its part of them only.
    """
    common = {name: value for name, value in state.items() if _is_common(name, value)}
    loads = [0] * ranks.world_size
    mine = {name: value for name, value in state.items() if name not in common}
    for name, value in sorted(common.items(), key=lambda item: (-item[1].nbytes, item[0])):
        least = loads.index(min(loads))
        loads[least] += value.nbytes
        if least == ranks.rank:
            mine[name] = value
    return mine


def nested(state: Tensors) -> dict[str, Any]:
    """Return the tensors in one branch for each kind, which DCP joins to the same names again."""
    branches: dict[str, dict[str, torch.Tensor]] = {}
    for name, value in state.items():
        kind, _, rest = name.partition(".")
        branches.setdefault(kind, {})[rest] = value
    return dict(branches)


def read_weights(model: nn.Module, folder: Path) -> None:
    """Read the weights of a checkpoint into a model of the same architecture, sharded or whole.

    Raises:
        UserError: they can't be read, or are of another architecture; the differences are listed.
    """
    wanted = {MODEL + name: value for name, value in untied(model).items()}
    stored = _shapes(folder)
    shapes = {name: tuple(value.shape) for name, value in wanted.items()}
    there = {name: shape for name, shape in stored.items() if name.startswith(MODEL)}
    if there != shapes:
        names = [n for n in sorted(there.keys() | shapes.keys()) if there.get(n) != shapes.get(n)]
        shown = "; ".join(f"{name} {there.get(name, 'absent')}, {shapes.get(name, 'absent')}" for name in names[:8])
        raise UserError(f"model {folder.parent}: weights are of another architecture (file, model): {shown}")
    _read(wanted, folder)


def read_optimizer(trained: nn.Module, optimizer: torch.optim.Optimizer, folder: Path) -> None:
    """Read the moments of a checkpoint; rates and decay stay those of `optimizer`.

    A parameter without moments in the checkpoint begins without them.

    Raises:
        UserError: they can't be read.
    """
    stored = _shapes(folder)
    names = {parameter: name for name, parameter in trained.named_parameters()}
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    state: dict[int, Tensors] = {}
    wanted: Tensors = {}
    for number, parameter in enumerate(parameters):
        prefix = f"{_OPTIMIZER}{names[parameter]}."
        keys = [name.removeprefix(prefix) for name in stored if name.startswith(prefix)]
        own = {key: _like(parameter, stored[prefix + key]) for key in keys if "." not in key}
        if own:
            state[number] = own
        wanted |= {prefix + key: value for key, value in own.items()}
    _read(wanted, folder)
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})


def read_random(folder: Path, ranks: Ranks) -> None:
    """Set the random state that this rank had; a rank that is new keeps its own.

    Raises:
        UserError: it can't be read.
    """
    if f"{_RANDOM}{ranks.rank}.cpu" not in _shapes(folder):
        return
    mine = _of_random(random_state(), ranks.rank)
    names = {name: value for name, value in mine.items() if name in _shapes(folder)}
    _read(names, folder)
    cpu, cuda = (names.get(f"{_RANDOM}{ranks.rank}.{device}") for device in ("cpu", "cuda"))
    assert cpu is not None, "its name was looked up"
    set_random_state({"cpu": cpu, "cuda": cuda})


def whole_weights(model: nn.Module, ranks: Ranks) -> Tensors:
    """Return all weights of a model on the CPU of rank 0, and nothing on the others; collective."""
    whole = {}
    for name, value in untied(model).items():
        if isinstance(value, DTensor):
            value = value.full_tensor()
        if ranks.is_main:
            whole[name] = value.cpu()
    return whole


def sizes_of(state: Tensors, ranks: Ranks) -> dict[str, int]:
    """Return the bytes of each tensor of a checkpoint, equal on all ranks: those of other ranks included."""
    mine = f"{_RANDOM}{ranks.rank}."
    sizes = {name: value.nbytes for name, value in state.items() if not name.startswith(mine)}
    for name in (name for name in state if name.startswith(mine)):
        every = (f"{_RANDOM}{rank}.{name.removeprefix(mine)}" for rank in range(ranks.world_size))
        sizes |= dict.fromkeys(every, state[name].nbytes)
    return sizes


def expect_one_process() -> None:
    """Silence DCP's warning that it was called by one process: that is what one rank asks for."""
    warnings.filterwarnings("ignore", message="torch.distributed is disabled")


def _of_random(state: RandomState, rank: int) -> Tensors:
    devices: Mapping[str, torch.Tensor | None] = {"cpu": state["cpu"], "cuda": state["cuda"]}
    return {f"{_RANDOM}{rank}.{device}": value for device, value in devices.items() if value is not None}


def _is_common(name: str, value: torch.Tensor) -> bool:
    """Return True for a tensor that is whole and equal on all ranks."""
    return not isinstance(value, DTensor) and not name.startswith(_RANDOM)


def _like(parameter: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
    """Return a tensor to read a moment into: sharded as its parameter, or a count of steps."""
    return torch.zeros_like(parameter.detach()) if shape == tuple(parameter.shape) else torch.zeros(shape)


def _shapes(folder: Path) -> dict[str, tuple[int, ...]]:
    """Return the shape of each tensor in a folder of shards."""
    try:
        stored = HuggingFaceStorageReader(str(folder)).read_metadata().state_dict_metadata
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise UserError(f"checkpoint {folder.parent}: its tensors can't be read ({one_line(error)})") from None
    return {name: tuple(of.size) for name, of in stored.items() if isinstance(of, TensorStorageMetadata)}


def _read(wanted: Tensors, folder: Path) -> None:
    """Read tensors in place; each rank reads what it needs by itself."""
    if not wanted:
        return
    values: dict[str, Any] = dict(wanted)
    expect_one_process()
    try:
        load(values, storage_reader=HuggingFaceStorageReader(str(folder)), no_dist=True)
    except (OSError, CheckpointException, SafetensorError) as error:
        raise UserError(f"checkpoint {folder.parent}: its tensors can't be read ({one_line(error)})") from None
