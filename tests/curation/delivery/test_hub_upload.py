"""Uploads of exports to a stand-in of the model hub on loopback, by the hub's own client."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import constants
from support.curate_runs import Ended, curate
from support.damaged_dirs import rewrite_table
from support.dataset_hub import DatasetHub, hub_of_the_client
from support.shard_factory import LAYER, build_dir

from shards.manifest import StageMark, write_stage
from shards.storage.store import Store

TOKEN = "hf_secretsecretsecret"
PUSH = "hub:me/clips"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return build_dir(tmp_path_factory.mktemp("upload") / "dir", shards=1)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[DatasetHub]:
    with hub_of_the_client(monkeypatch, tmp_path, TOKEN) as server:
        yield server


@pytest.fixture
def push(built: Store, hub: DatasetHub, tmp_path: Path) -> Callable[..., Any]:
    """Runs an export with an upload."""

    def run(*flags: object, output: str = "dataset", format: str = "hf", to: str = PUSH) -> Any:
        given = ["--format", format, "--output", tmp_path / output, "--push", to, *flags]
        return curate("export", built.root, *given)

    return run


def refused(ended: Ended) -> str:
    """Return the one line with which a mistake of the user ended."""
    assert (ended.status, ended.err.count("\n")) == (2, 1), ended
    return ended.err


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("format", ["hf", "webdataset", "lance"])
def test_the_repository_holds_what_the_export_holds(
    built: Store, hub: DatasetHub, push: Callable[..., Any], tmp_path: Path, format: str
) -> None:
    ended = push(format=format)
    assert ended.status == 0, ended.err
    assert f"uploaded to {hub.url}/datasets/me/clips" in ended.out
    held = hub.repositories["me/clips"].branches["main"]
    assert held == files_of(tmp_path / "dataset")
    assert not [name for name, data in held.items() if str(built.root).encode() in data]
    assert b"# me/clips\n" in held["README.md"]
    assert TOKEN not in ended.out + ended.err


def test_an_interrupted_upload_is_continued_by_the_same_command(
    hub: DatasetHub, push: Callable[..., Any], tmp_path: Path
) -> None:
    hub.fault = lambda method, path: 500 if "/commit/" in path else None
    ended = push("--video", "reference")
    assert ended.status == 1 and "Traceback" not in ended.err
    assert "status 500; the same command continues the upload" in ended.err.splitlines()[-1]
    sent = dict(hub.puts)
    assert len(sent) > 2
    stamps = {path: path.stat().st_mtime_ns for path in (tmp_path / "dataset").rglob("*.mp4")}
    hub.fault = lambda method, path: None
    assert push("--video", "reference").status == 0
    assert dict(hub.puts) == sent, "no large file is sent twice"
    assert {path: path.stat().st_mtime_ns for path in stamps} == stamps, "the export is not written anew"
    assert push("--video", "reference").status == 0
    assert hub.repositories["me/clips"].commits == 1, "an upload of what is there changes nothing"


def test_a_hub_that_fails_for_a_moment_is_asked_again(hub: DatasetHub, push: Callable[..., Any]) -> None:
    answers = iter([503, 503])
    hub.fault = lambda method, path: next(answers, None) if "/commit/" in path else None
    assert push().status == 0
    assert hub.repositories["me/clips"].commits == 1


def test_files_of_an_earlier_export_are_deleted_and_those_of_people_stay(
    hub: DatasetHub, push: Callable[..., Any], tmp_path: Path
) -> None:
    assert push("--video", "reference").status == 0
    held = hub.repositories["me/clips"].branches["main"]
    mine = {"README.md": b"# My own words", "LICENSE": b"mine"}
    held.update(mine)
    assert push("--where", "level = 'long'", output="long").status == 0
    assert held == files_of(tmp_path / "long") | mine


def test_a_repository_with_other_data_is_refused(hub: DatasetHub, push: Callable[..., Any]) -> None:
    hub.answer("POST", "/api/repos/create", TOKEN, b'{"organization": "me", "name": "clips"}')
    hub.repositories["me/clips"].branches["main"]["data/train-00000.parquet"] = b"of somebody"
    line = refused(push(format="webdataset"))
    assert "did not write (data/train-00000.parquet)" in line
    assert hub.repositories["me/clips"].commits == 0


def test_a_private_repository_on_a_branch(hub: DatasetHub, push: Callable[..., Any], tmp_path: Path) -> None:
    assert push("--private", "--revision", "v2").status == 0
    repository = hub.repositories["me/clips"]
    assert repository.private
    assert repository.branches == {"main": {}, "v2": files_of(tmp_path / "dataset")}


def test_a_public_repository_gets_nothing_that_was_to_be_private(hub: DatasetHub, push: Callable[..., Any]) -> None:
    hub.answer("POST", "/api/repos/create", TOKEN, b'{"organization": "me", "name": "clips"}')
    assert "is public, and --private was asked for" in refused(push("--private"))
    assert hub.repositories["me/clips"].branches["main"] == {}


@pytest.mark.parametrize(
    ("token", "words"),
    [
        ("", "no token of the hub; set HF_TOKEN"),
        ("hf_\u00fc", "characters that no token"),
        ("hf_wrongwrongwrong", "refuses the token"),
        ("hf_reader", "may not write"),
    ],
)
def test_a_token_that_is_missing_or_refused_ends_in_one_line(
    hub: DatasetHub, push: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, token: str, words: str
) -> None:
    hub.readers = {"hf_reader"}
    monkeypatch.setenv("HF_TOKEN", token)
    line = refused(push())
    assert words in line and (not token or token not in line)
    assert not hub.repositories
    assert (tmp_path / "dataset").exists() == (token == "hf_reader"), "nothing is written before the token is known"


def test_a_hub_that_is_away_ends_in_one_line(
    push: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    ended = push()
    assert (ended.status, ended.err.count("\n")) == (1, 1)
    assert "the hub can't be reached" in ended.err
    assert not (tmp_path / "dataset").exists()


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ({"to": "me/clips"}, "write hub:ORG/NAME"),
        ({"to": "hub:../clips"}, "write hub:ORG/NAME"),
        ({"to": "hub:me/clips--two"}, "the hub allows no such name"),
        ({"format": "jsonl"}, "choose hf or webdataset"),
        ({"all": True}, "selection drops"),
    ],
)
def test_an_upload_that_makes_no_sense_is_refused(
    push: Callable[..., Any], tmp_path: Path, flags: dict[str, Any], words: str
) -> None:
    given = ["--all"] if flags.pop("all", False) else []
    assert words in refused(push(*given, **flags))
    assert not (tmp_path / "dataset").exists()


def test_an_export_without_clips_replaces_nothing(hub: DatasetHub, push: Callable[..., Any]) -> None:
    assert push().status == 0
    before = dict(hub.repositories["me/clips"].branches["main"])
    ended = push("--where", "level = 'huge'", output="none")
    assert ended.status == 2 and "no clip was exported" in ended.err.splitlines()[-1]
    assert hub.repositories["me/clips"].branches["main"] == before


def test_a_private_export_without_an_upload_is_refused(built: Store, tmp_path: Path) -> None:
    line = refused(curate("export", built.root, "--format", "hf", "--output", tmp_path / "o", "--private"))
    assert "--private: only for an upload" in line


def test_another_layer_is_not_uploaded_from_the_output_of_an_export(push: Callable[..., Any]) -> None:
    assert push().status == 0
    assert "with other options; name a new folder" in refused(push("--text", "caption"))


def test_a_client_with_xet_commits_small_files_in_streams(
    hub: DatasetHub, push: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", False)
    hub.large = ()
    hub.fault = lambda method, path: 403 if "/commit/" in path else None
    assert "may not write there (403)" in push().err.splitlines()[-1]
    hub.fault = lambda method, path: None
    assert push().status == 0
    assert hub.repositories["me/clips"].branches["main"] == files_of(tmp_path / "dataset")


def test_the_card_and_the_rows_name_no_folder_of_this_machine(hub: DatasetHub, built: Store, tmp_path: Path) -> None:
    made = tmp_path / "local"
    shutil.copytree(built.root, made)
    model = {"engines": {"llm": {"model": "path:///home/ana/models/mine"}}}
    write_stage(Store(made), f"text/{LAYER}", StageMark("rewrite", "rewrite-hash", model))
    change = {"source": "/home/ana/videos/talk.mp4", "models": {"rewriter": "path:///home/ana/models/mine"}}
    rewrite_table(Store(made), f"text/{LAYER}/0000000.parquet", lambda rows: [row.update(change) for row in rows])
    ended = curate("export", made, "--format", "webdataset", "--output", tmp_path / "out", "--push", PUSH)
    assert ended.status == 0, ended.err
    held = hub.repositories["me/clips"].branches["main"]
    assert not [name for name, data in held.items() if b"/home/ana" in data]
    assert b"talk.mp4" in held["README.md"] and b'"rewriter": "mine"' in held["00000.tar"]
