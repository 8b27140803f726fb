"""A removal that is killed at any step, in a folder and in an object store: whoever comes next finishes it."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.curate_runs import curate
from support.removals import GONE, GONE_URL, contents, files_with, full_dir
from support.shard_factory import LAYER

from curation.selection.removal.removal import carry_out, finish_removal, plan_removal
from curation.selection.removal.removal_targets import RemovalRequest, find_targets
from shards.checks.check_dir import check
from shards.dataset import Dataset
from shards.errors import ShardError
from shards.removal.traces import all_files
from shards.removal.unfinished import UNFINISHED, read_unfinished, write_unfinished
from shards.storage.dir_lock import LOCK
from shards.storage.store import Store

_STEPS = ("commit", "commit_bytes", "delete", "delete_folder")
"""The calls that change a store."""


class _Killed(BaseException):
    """Nothing runs after a SIGKILL, so nothing may catch this."""


@pytest.fixture(scope="module", params=["folder", "object store"])
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A full DIR, not to be changed."""
    if request.param == "folder":
        return full_dir(tmp_path_factory.mktemp("made") / "dir", 1, audited=6)
    return full_dir(f"memory://{uuid.uuid4().hex}/dir", 1, audited=0)


def _copy(made: Store, tmp_path: Path) -> Store:
    name = uuid.uuid4().hex
    if made.is_local:
        return Store(shutil.copytree(made.root, tmp_path / name))
    store = Store(f"memory://{name}/dir")
    for file in all_files(made):
        store.commit_bytes(made.read_bytes(file), file)
    return store


def _remove(store: Store) -> None:
    targets = find_targets(store, RemovalRequest(ids=[GONE]))
    carry_out(store, plan_removal(store, targets.videos, "asked for"), [], lambda done, total: None)


def _finish(store: Store) -> None:
    assert finish_removal(store, [], lambda done, total: None) is not None


def _kill_after(steps: int, monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
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

    for name in _STEPS:
        monkeypatch.setattr(Store, name, counted(getattr(Store, name)))
    return lambda: done


def _kills(made: Store, tmp_path: Path, act: Callable[[Store], None]) -> Iterator[Store]:
    """Yield a DIR in which `act` was killed after no change, after one, and so on."""
    for steps in range(200):
        store = _copy(made, tmp_path)
        with pytest.MonkeyPatch.context() as patch:
            changes = _kill_after(steps, patch)
            try:
                act(store)
            except _Killed:
                assert changes() == steps
            else:
                assert steps > 5
                return
        for folder in ("", "features/", "scores/"):  # of a process that has ended; here it is the one that goes on
            store.delete(f"{folder}{LOCK}")
        yield store
        if store.is_local:
            shutil.rmtree(store.root)
    raise AssertionError("it never came to its end")


def test_after_a_kill_at_any_step_it_is_finished_with_the_same_result(made: Store, tmp_path: Path) -> None:
    whole = _copy(made, tmp_path)
    _remove(whole)
    wanted, before = contents(whole), contents(made)
    assert check(whole, decode=False) == []
    for steps, store in enumerate(_kills(made, tmp_path, _remove)):
        if read_unfinished(store) is None:
            assert contents(store) in (before, wanted), steps
            continue
        _finish(store)
        assert contents(store) == wanted, steps
        assert read_unfinished(store) is None


def test_a_second_kill_at_any_step_while_it_is_finished_changes_nothing(tmp_path: Path) -> None:
    made = full_dir(f"memory://{uuid.uuid4().hex}/dir", 1, audited=0)
    whole = _copy(made, tmp_path)
    _remove(whole)
    wanted = contents(whole)
    begun = _copy(made, tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        _kill_after(6, patch)
        with pytest.raises(_Killed):
            _remove(begun)
    for folder in ("", "features/", "scores/"):
        begun.delete(f"{folder}{LOCK}")
    removal = read_unfinished(begun)
    assert removal is not None

    def finish(store: Store) -> None:
        write_unfinished(store, removal)
        _finish(store)

    for store in _kills(begun, tmp_path, finish):
        finish(store)
        assert contents(store) == wanted


def _interrupted(tmp_path: Path) -> Store:
    store = full_dir(tmp_path / "dir", 1)
    with pytest.MonkeyPatch.context() as patch:
        _kill_after(8, patch)
        with pytest.raises(_Killed):
            _remove(store)
    for folder in ("", "features/", "scores/"):
        store.delete(f"{folder}{LOCK}")
    return store


def test_the_same_command_finishes_it_and_says_so(tmp_path: Path) -> None:
    store = _interrupted(tmp_path)
    assert any(problem.where == UNFINISHED for problem in check(store, decode=False))
    ended = curate("remove", store.root, "--urls", GONE_URL, "--reason", "asked for")
    assert ended.status == 0
    assert "a removal that was interrupted is now finished" in ended.out
    assert f"{GONE_URL}: was removed before" in ended.out
    assert files_with(Path(store.root), GONE_URL.encode(), f"{GONE}_".encode()) == []
    assert check(store, decode=False) == []


def test_the_command_without_names_finishes_it(tmp_path: Path) -> None:
    store = _interrupted(tmp_path)
    assert curate("remove", store.root).status == 0
    assert read_unfinished(store) is None
    assert curate("remove", store.root).status == 2


def test_trainers_and_exports_refuse_a_folder_in_between(tmp_path: Path) -> None:
    store = _interrupted(tmp_path)
    with pytest.raises(ShardError, match="a removal was interrupted; finish it with `curate remove"):
        Dataset(store.root, LAYER)
    ended = curate("export", store.root, "--layer", LAYER, "--format", "jsonl", "--output", tmp_path / "rows")
    assert (ended.status, "a removal was interrupted" in ended.err) == (2, True)
    assert curate("remove", store.root).status == 0
    assert Dataset(store.root, LAYER).index.num_rows == 1


def test_a_damaged_record_is_refused_with_the_remedy(tmp_path: Path) -> None:
    store = _interrupted(tmp_path)
    store.commit_bytes(b"{", UNFINISHED)
    ended = curate("remove", store.root)
    assert ended.status == 2
    assert "damaged" in ended.err
    assert "repeat `curate remove` with all ids" in ended.err
