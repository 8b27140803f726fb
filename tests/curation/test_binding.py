"""A folder is bound to its settings by its first commit: a run that failed before that can be repeated differently."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.curate_runs import CHEAP, Ended, config_in, curate, run_arguments, talks
from support.fake_llm import FakeLLM
from support.model_replies import careful
from support.video_server import free_port

from curation import run as curate_run
from runtime.errors import UserError
from shards.manifest import read_manifest, read_stage
from shards.storage.store import Store

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server() -> Iterator[FakeLLM]:
    """A model server."""
    with FakeLLM(careful) as llm:
        yield llm


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one short talk."""
    return talks(tmp_path_factory.mktemp("binding") / "in", 6)


def run(folder: Path, inputs: Path, server: FakeLLM, *extra: str) -> Ended:
    """Run the cheap pipeline in this process, without Ray."""
    arguments = run_arguments(CHEAP, config_in(folder), inputs, folder / "out", server)
    return curate(*arguments, "--address", "local", *extra)


@pytest.fixture
def failed(tmp_path: Path, inputs: Path, server: FakeLLM, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder whose run wrote its records, and failed before it made anything."""

    def fail(*_: object, **__: object) -> None:
        raise UserError("no cluster")

    with monkeypatch.context() as patched:
        patched.setattr(curate_run, "run_stages", fail)
        ended = run(tmp_path, inputs, server)
    assert (ended.status, ended.err) == (2, "curate: no cluster\n")
    assert read_stage(Store(tmp_path / "out"), "media") is not None
    return tmp_path


def test_a_run_that_failed_before_media_exists_binds_the_dir_to_nothing(
    failed: Path, inputs: Path, server: FakeLLM
) -> None:
    before = read_manifest(Store(failed / "out"))
    ended = run(failed, inputs, server, "--set", "media.video.encode.fps=4")
    assert ended.status == 0, ended.err
    after, mark = read_manifest(Store(failed / "out")), read_stage(Store(failed / "out"), "media")
    assert before is not None and after is not None and mark is not None
    assert before.media_hash != after.media_hash == mark.content_hash
    assert after.settings["media"]["video"]["encode"]["fps"] == 4
    assert curate("check", failed / "out").status == 0


def test_media_that_are_there_bind_the_dir(failed: Path, inputs: Path, server: FakeLLM) -> None:
    assert run(failed, inputs, server, "--stages", "media").status == 0
    ended = run(failed, inputs, server, "--set", "media.video.encode.fps=4")
    assert ended.status == 2 and "media.video.encode.fps: 8" in ended.err


@pytest.mark.parametrize("setting", ["caption.max_tokens=7", "rewrite.max_claims=2"])
def test_captions_and_texts_that_do_not_exist_yet_bind_no_folder(
    failed: Path, inputs: Path, server: FakeLLM, setting: str
) -> None:
    ended = run(failed, inputs, server, "--set", setting)
    assert ended.status == 0, ended.err
    store = Store(failed / "out")
    assert (list(store.folders("captions")), list(store.folders("text"))) == ([CHEAP], [CHEAP])
    refused = run(failed, inputs, server)
    assert refused.status == 2 and "--layer NAME" in refused.err, "now they are there"


def test_a_run_whose_models_cannot_be_fetched_writes_no_record(
    tmp_path: Path, inputs: Path, server: FakeLLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise UserError("model 'hf://org/name': the model hub can't be reached")

    monkeypatch.setattr(curate_run, "fetch_models", fail)
    assert run(tmp_path, inputs, server).status == 2
    assert [path for path in (tmp_path / "out").rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("command", ["plan", "run"])
def test_a_dead_cluster_is_noticed_before_inputs_are_read_and_models_are_looked_up(
    tmp_path: Path, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def asked(*_: object, **__: object) -> None:
        raise AssertionError("something was looked up first")

    address = f"127.0.0.1:{free_port()}"
    monkeypatch.setattr("curation.run_sources.read_sources", asked)
    arguments = run_arguments(CHEAP, config_in(tmp_path), tmp_path, tmp_path / "out")
    ended = curate(command, *arguments[1:], "--address", address)
    assert ended.status == 2 and f"--address {address}: no Ray cluster answers there" in ended.err
    assert not (tmp_path / "out").exists()
