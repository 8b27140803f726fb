"""A folder that replaces another survives a kill after any of its steps, on a disk and in an object store."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fsspec.implementations.memory import MemoryFileSystem

from shards.storage.store import Store

OLD = {"0": b"old 0", "1": b"old 1", "9": b"old 9", "_stage.json": b"old"}
NEW = {"0": b"new 0", "1": b"new 1", "2": b"new 2", "_stage.json": b"new"}
_STEPS: dict[str, list[tuple[Any, str]]] = {
    "folder": [(Path, "rename"), (Path, "unlink"), (os, "unlink"), (os, "rmdir"), (shutil, "rmtree")],
    "object store": [(MemoryFileSystem, name) for name in ("pipe_file", "cp_file", "rm_file", "rm", "mv")],
}
"""The calls that change a store."""


class _Killed(BaseException):
    """Nothing runs after a SIGKILL, so nothing may catch this."""


@pytest.fixture(params=["folder", "object store"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def _store(kind: str, tmp_path: Path) -> Store:
    name = uuid.uuid4().hex
    store = Store(tmp_path / name if kind == "folder" else f"memory://{name}/dir")
    for name, data in OLD.items():
        store.commit_bytes(data, f"text/a/{name}")
    for name, data in NEW.items():
        store.commit_bytes(data, f"text/.a-1234/{name}")
    return store


def _contents(store: Store, folder: str) -> dict[str, bytes]:
    return {name: store.read_bytes(f"{folder}/{name}") for name in store.list(folder)}


def _kill_after(steps: int, kind: str, monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """Kill at the change of the store after `steps` of them; return a function that tells how many there were."""
    done = 0

    def counted(call: Callable[..., Any]) -> Callable[..., Any]:
        def change(*args: Any, **kwargs: Any) -> Any:
            nonlocal done
            if done == steps:
                raise _Killed
            done += 1
            return call(*args, **kwargs)

        return change

    for owner, name in _STEPS[kind]:
        monkeypatch.setattr(owner, name, counted(getattr(owner, name)))
    return lambda: done


def _kills(kind: str, tmp_path: Path) -> Iterator[Store]:
    """Yield a store after a replacement that was killed after no step, after one, and so on."""
    for steps in range(100):
        store = _store(kind, tmp_path)
        with pytest.MonkeyPatch.context() as patch:
            changes = _kill_after(steps, kind, patch)
            try:
                store.replace_folder("text/.a-1234", "text/a")
            except _Killed:
                assert changes() == steps
            else:
                assert steps >= 3
                return
        yield store
    raise AssertionError("it never came to its end")


def test_after_a_kill_at_any_step_one_whole_folder_is_read_and_the_other_is_gone_or_whole(
    kind: str, tmp_path: Path
) -> None:
    outcomes = []
    for store in _kills(kind, tmp_path):
        store.mend_folders("text")
        now = _contents(store, "text/a")
        beside = _contents(store, "text/.a-1234")
        assert (now, beside) in [(OLD, NEW), (NEW, {})]
        outcomes.append(now == NEW)
    assert outcomes[0] is False
    assert outcomes[-1] is True


def test_before_it_is_mended_no_table_is_missing_from_an_object_store(tmp_path: Path) -> None:
    for store in _kills("object store", tmp_path):
        assert (OLD.keys() & NEW.keys()) <= _contents(store, "text/a").keys()


def test_a_kill_while_it_is_mended_loses_nothing_either(kind: str, tmp_path: Path) -> None:
    for store in _kills(kind, tmp_path):
        for steps in range(20):
            with pytest.MonkeyPatch.context() as patch:
                _kill_after(steps, kind, patch)
                try:
                    store.mend_folders("text")
                except _Killed:
                    continue
            break
        assert (_contents(store, "text/a"), _contents(store, "text/.a-1234")) in [(OLD, NEW), (NEW, {})]


def test_a_folder_beside_that_is_not_complete_is_left_alone(kind: str, tmp_path: Path) -> None:
    store = _store(kind, tmp_path)
    store.mend_folders("text")
    assert (_contents(store, "text/a"), _contents(store, "text/.a-1234")) == (OLD, NEW)


def test_a_folder_that_replaces_none_takes_the_name(kind: str, tmp_path: Path) -> None:
    store = _store(kind, tmp_path)
    store.replace_folder("text/.a-1234", "text/b")
    assert (_contents(store, "text/a"), _contents(store, "text/b")) == (OLD, NEW)
