"""The node of an in-process Ray: it is waited for while it is starting, and no longer."""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import pytest

from runtime.ray_runner.driver.ray_node import _wait_for_node, reduced_node_start
from runtime.retry_limits import RAY_START_SECONDS


@pytest.fixture
def raylet(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A child process of this one that is named like Ray's node."""
    program = tmp_path / "raylet"
    shutil.copyfile("/bin/sleep", program)
    program.chmod(0o755)
    with subprocess.Popen([program, "600"]) as process:
        yield process
        process.kill()


def not_yet(times: int) -> Callable[..., tuple[str, ...]]:
    """A `get_node` that finds no node in its first `times` calls."""
    left = [times]

    def get_node(*where: str) -> tuple[str, ...]:
        left[0] -= 1
        if left[0] >= 0:
            raise RuntimeError("no node info")
        return where

    return get_node


def test_a_node_that_is_starting_is_waited_for(raylet: subprocess.Popen[bytes]) -> None:
    assert _wait_for_node(not_yet(5), "address", "id") == ("address", "id")


def test_a_node_that_has_ended_is_given_up_at_once(raylet: subprocess.Popen[bytes]) -> None:
    raylet.kill()
    raylet.wait()
    with pytest.raises(RuntimeError, match="no node info"):
        _wait_for_node(not_yet(10**9))


def test_a_node_that_never_starts_is_given_up_when_time_is_up(
    raylet: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtime.ray_runner.driver.ray_node.RAY_START_SECONDS", replace(RAY_START_SECONDS, default=0.3))
    asked: list[tuple[str, ...]] = []

    def get_node(*where: str) -> NoReturn:
        asked.append(where)
        raise RuntimeError("no node info")

    with pytest.raises(RuntimeError, match="no node info"):
        _wait_for_node(get_node)
    assert len(asked) > 1


def test_the_functions_of_the_installed_ray_are_put_back() -> None:
    import ray._private.services as services

    theirs = services.get_node
    with reduced_node_start(log_to_driver=False):
        assert services.get_node is not theirs
    assert services.get_node is theirs


def test_a_ray_with_other_internals_starts_with_its_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    import ray._private.services as services

    monkeypatch.delattr(services, "start_api_server")
    theirs = services.get_node
    with reduced_node_start(log_to_driver=False):
        assert services.get_node is theirs
