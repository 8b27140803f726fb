"""Attention over time in each of its forms against the plain formula, in value and gradient."""

import math
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from training.models.vidla.kernels import attention_over_time as on_any_device
from training.models.vidla.kernels.attention_over_time import attention_over_time

SIZES = {
    "as in the paper, with a last tile that is not full": (2, 12, 7, 2, 16),
    "frames that fill a tile": (1, 64, 2, 1, 32),
    "more frames than half a tile": (1, 33, 3, 2, 16),
    "one frame": (2, 1, 5, 3, 16),
    "a head's width that is no power of 2": (1, 5, 4, 2, 40),
    "more sequences than are computed at once": (1, 2, 130, 3, 8),
}


def formula(qkv_BTNE: torch.Tensor, heads: int) -> torch.Tensor:
    """Compute attention over time, position by position and head by head."""
    b, t, n, e = qkv_BTNE.shape
    found = torch.empty(b, t, n, heads, e // 3 // heads, dtype=qkv_BTNE.dtype)
    split = qkv_BTNE.view(b, t, n, heads, 3, -1)
    for clip in range(b):
        for position in range(n):
            for head in range(heads):
                q, k, v = split[clip, :, position, head].unbind(1)
                found[clip, :, position, head] = (q @ k.T / math.sqrt(q.shape[1])).softmax(-1) @ v
    return found.view(b, t, n, e // 3)


def drawn(size: tuple[int, int, int, int, int], dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    """Return projections and a gradient of the result."""
    b, t, n, heads, width = size
    draw = torch.Generator().manual_seed(0)
    qkv = torch.randn(b, t, n, 3 * heads * width, generator=draw, dtype=torch.float64)
    return qkv.to(dtype), torch.randn(b, t, n, heads * width, generator=draw, dtype=torch.float64).to(dtype)


def both(
    attention: Callable[[torch.Tensor, int], torch.Tensor], qkv: torch.Tensor, gradient: torch.Tensor, heads: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return value and gradient."""
    leaf = qkv.clone().requires_grad_()
    found = attention(leaf, heads)
    found.backward(gradient)
    assert leaf.grad is not None
    return found.detach(), leaf.grad


def run_here(call: str, **environment: str) -> None:
    """Call a function of this module in a process of its own, where Triton sees the environment when it is imported."""
    paths = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    code = f"import {Path(__file__).stem} as tests; tests.{call}"
    given = {**os.environ, "PYTHONPATH": paths, **environment}
    subprocess.run([sys.executable, "-c", code], check=True, env=given)


def interpreted(folder: Path) -> None:
    """Run the GPU's kernels on each size, interpreted by Triton, in this process; write what they return."""
    from training.models.vidla.kernels import tile_kernels

    found = []
    for size in SIZES.values():
        qkv, gradient = drawn(size, torch.float32)
        found.append((tile_kernels.forward(qkv, size[3]), tile_kernels.backward(gradient, qkv, size[3])))
    torch.save(found, folder / "found.pt")


@pytest.fixture(scope="module")
def of_kernels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """Return value and gradient of the GPU's kernels by size, from a process in which Triton interprets everything."""
    pytest.importorskip("triton")
    folder = tmp_path_factory.mktemp("kernels")
    run_here(f"interpreted(__import__('pathlib').Path({str(folder)!r}))", TRITON_INTERPRET="1")
    return dict(zip(SIZES, torch.load(folder / "found.pt", weights_only=True), strict=True))


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES.keys())
def test_it_is_the_formula_in_value_and_gradient(size: tuple[int, int, int, int, int]) -> None:
    qkv, gradient = drawn(size, torch.float64)
    for found, expected in zip(
        both(attention_over_time, qkv, gradient, size[3]), both(formula, qkv, gradient, size[3]), strict=True
    ):
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", SIZES)
def test_the_gpus_kernels_are_the_formula_in_value_and_gradient(
    of_kernels: dict[str, tuple[torch.Tensor, torch.Tensor]], name: str
) -> None:
    size = SIZES[name]
    qkv, gradient = drawn(size, torch.float32)
    expected = both(formula, qkv.double(), gradient.double(), size[3])
    for ours, theirs in zip(of_kernels[name], expected, strict=True):
        torch.testing.assert_close(ours.double(), theirs, rtol=1e-5, atol=1e-5)


def compiled() -> None:
    """Compile the GPU's kernels for an H100, in this process."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from training.models.vidla.kernels import tile_kernels

    sizes = tile_kernels._sizes(torch.empty(1, 12, 196, 3 * 12 * 64, dtype=torch.bfloat16), 12)
    options = {"num_warps": sizes.pop("num_warps")}
    pointers = {"_forward_kernel": ("qkv", "out"), "_backward_kernel": ("gradient", "qkv", "d_qkv")}
    for name, tensors in pointers.items():
        types = (
            dict.fromkeys(tensors, "*bf16") | {"positions": "i32", "heads": "i32"} | dict.fromkeys(sizes, "constexpr")
        )
        source = ASTSource(fn=getattr(tile_kernels, name), signature=types, constexprs=sizes)
        found = triton.compile(source, target=GPUTarget("cuda", 90, 32), options=options)
        assert len(found.asm["cubin"]) > 0
        assert found.metadata.shared <= 227 * 1024, "shared memory of an H100's processor"


@pytest.mark.slow
def test_the_gpus_kernels_compile_for_an_h100(tmp_path: Path) -> None:
    pytest.importorskip("triton")
    run_here("compiled()", TRITON_CACHE_DIR=str(tmp_path))


@pytest.mark.parametrize("way", [on_any_device._by_products, on_any_device._by_library])
def test_other_devices_ways_are_the_same(way: Callable[[torch.Tensor, int], torch.Tensor]) -> None:
    qkv, _ = drawn((2, 70, 2, 2, 8), torch.float64)
    torch.testing.assert_close(way(qkv, 2), formula(qkv, 2))


def test_the_backward_pass_can_take_everything_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    qkv, gradient = drawn((2, 3, 4, 2, 8), torch.float64)
    expected = both(attention_over_time, qkv, gradient, 2)

    def whole(x: torch.Tensor, heads: int, parts: int) -> list[torch.Tensor]:
        return [x.reshape(*x.shape[:2], x.shape[2] * heads, parts, -1).permute(0, 2, 3, 1, 4)]

    monkeypatch.setattr(on_any_device, "_sequences", whole)
    for found, wanted in zip(both(attention_over_time, qkv, gradient, 2), expected, strict=True):
        torch.testing.assert_close(found, wanted)


def test_gradients_of_the_operator_pass_torchs_own_checks() -> None:
    qkv, _ = drawn((1, 3, 2, 2, 8), torch.float64)
    torch.library.opcheck(on_any_device._forward, (qkv.requires_grad_(), 2))


def test_products_are_counted() -> None:
    qkv, gradient = drawn((2, 12, 7, 2, 16), torch.float32)
    with FlopCounterMode(display=False) as counter:
        both(attention_over_time, qkv, gradient, 2)
    product = 2 * 2 * 7 * 2 * 12 * 12 * 16
    assert counter.get_total_flops() == (2 + 4) * product
