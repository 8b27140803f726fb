"""The command line without any run: help that imports little, and mistakes that end with one line and status 2."""

from __future__ import annotations

import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.curate_runs import CHEAP, Ended, config_in, curate, run_arguments
from support.fake_llm import FakeLLM
from support.model_replies import careful
from support.shard_factory import LAYER, build_dir

from curation.cli import main
from shards.storage.store import Store

HEAVY = ("pyarrow", "ray", "torch", "pydantic", "numpy", "duckdb", "rich", "yaml", "av", "vllm", "yt_dlp")


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    """A folder with one file that is named like a video; nothing here ever opens it."""
    folder = tmp_path / "videos"
    folder.mkdir()
    (folder / "a.mp4").write_bytes(b"never opened")
    return folder


@pytest.fixture(scope="module")
def server() -> Iterator[FakeLLM]:
    """A model server, so that a run is refused for no other reason than the tested one."""
    with FakeLLM(careful) as llm:
        yield llm


@pytest.fixture
def arguments(tmp_path: Path, videos: Path, server: FakeLLM) -> list[str | Path]:
    """Arguments of a `curate run` that would begin if nothing were wrong."""
    return run_arguments(CHEAP, config_in(tmp_path), videos, tmp_path / "out", server)


def refused(ended: Ended) -> str:
    """Return the one line that a user's mistake ends with."""
    assert ended.status == 2
    assert "Traceback" not in ended.err
    assert ended.err.startswith("curate: ") and ended.err.count("\n") == 1, ended.err
    return ended.err


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small DIR."""
    folder = tmp_path_factory.mktemp("built") / "dir"
    build_dir(folder, shards=1)
    return folder


@pytest.mark.parametrize(
    "command", [[], ["run"], ["plan"], ["pipelines"], ["status"], ["inspect"], ["check"], ["export"]]
)
def test_help_is_printed_without_importing_anything_heavy(command: list[str]) -> None:
    code = (
        "import sys\nfrom curation.cli import main\n"
        f"try: main({[*command, '--help']!r})\nexcept SystemExit as end: assert end.code == 0\n"
        f"loaded = [name for name in {HEAVY!r} if name in sys.modules]\n"
        "sys.exit(f'imported: {loaded}' if loaded else 0)"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    assert f"usage: curate {' '.join(command)}".rstrip() in ended.stdout


@pytest.mark.parametrize("command", ["run", "plan", "pipelines", "inspect", "export"])
def test_the_help_of_a_subcommand_has_examples(command: str) -> None:
    assert f"\n  curate {command} " in curate(command, "--help").out


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        (["--set", "rewrite.sumary_words=20"], ["cheap.rewrite.sumary_words", "did you mean 'summary_words'"]),
        (["--set", "media.video.encode.fsp=3"], ["cheap.media.video.encode.fsp", "did you mean 'fps'"]),
        (["--set", "rewrite.summary_words=many"], ["cheap.rewrite.summary_words='many'"]),
        (["--set", "rewrite.summary_words"], ["--set 'rewrite.summary_words'", "a.b=value"]),
        (["--set", "rewrite.engine=lmm"], ["rewrite.engine='lmm'", "did you mean 'llm'"]),
        (["--set", "engines.llm.kind=openai"], ["cheap.engines.llm", "openai"]),
        (["--set", "engines.llm.base_url=ftp://x/v1"], ["cheap.engines.llm.base_url='ftp://x/v1'", "http(s)://"]),
        (["--set", "resources.medai.cpus=1"], ["resources.medai", "did you mean 'media'"]),
        (["--set", "rewrite.summary_prompt=sumary"], ["prompt sumary", "did you mean 'summary'"]),
        (["--set", "media.download.yt_dlp.no_such_option=1"], ["no_such_option"]),
        (["--set", "videos_per_shard=0"], ["videos_per_shard=0"]),
        (["--set", "media.video.languages=[english]"], ["media.video.languages", "'english' is not the tag"]),
        (["--set", "media.download.languages=[en, xx]"], ["media.download.languages", "'xx' is not the tag"]),
        (["--set", "media.video.transcribe.languages=['']"], ["transcribe.languages", "'' is not the tag"]),
        (
            ["--stages", "caption"],
            ["--stages caption", "holds nothing for them to read yet", "run --stages media first"],
        ),
        (["--stages", "caption,rewrite"], ["--stages caption,rewrite", "run --stages media first"]),
        (["--stages", "rewrite"], ["run --stages media,caption first"]),
        (["--stages", "medai"], ["--stages medai", "did you mean 'media'"]),
        (["--layer", "../up"], ["--layer '../up'", "letters"]),
        (["--retry-failed", "netwrok"], ["--retry-failed netwrok", "did you mean 'network'"]),
        (["--exclude", "nowhere.txt"], ["--exclude nowhere.txt", "no such file"]),
        (["--scratch", "/proc/nowhere"], ["--scratch /proc/nowhere", "choose another folder"]),
    ],
    ids=lambda value: " ".join(value) if value and value[0].startswith("--") else "",
)
def test_a_wrong_option_is_named_with_its_remedy(
    arguments: list[str | Path], tmp_path: Path, extra: list[str], words: list[str]
) -> None:
    line = refused(curate(*arguments, *extra))
    for word in words:
        assert word in line
    assert "\n" not in line.strip()


def test_an_address_where_no_ray_answers_is_named_with_its_remedy(arguments: list[str | Path]) -> None:
    ended = curate(*arguments, "--address", "127.0.0.1:9")
    last = ended.err.splitlines()[-1]
    assert ended.status == 2
    assert last.startswith("curate: --address 127.0.0.1:9: ") and "ray start --head" in last
    assert "Traceback" not in ended.err


def test_an_unknown_pipeline_is_named_with_the_nearest(arguments: list[str | Path]) -> None:
    line = refused(curate("run", "chaep", *arguments[2:]))
    assert "chaep" in line and "did you mean 'cheap'" in line


def test_an_unknown_pipeline_of_the_package_is_named_with_the_nearest(videos: Path, tmp_path: Path) -> None:
    line = refused(curate("run", "dmeo", "--input", videos, "--output", tmp_path / "out"))
    assert "did you mean 'demo'" in line


@pytest.mark.parametrize("text", ["- a\n- list\n", "a: [unclosed\n", "\tno: yaml\n"])
def test_a_config_that_is_not_a_yaml_mapping_is_refused(arguments: list[str | Path], tmp_path: Path, text: str) -> None:
    (tmp_path / "pipelines.yaml").write_text(text)
    assert f"--config {tmp_path / 'pipelines.yaml'}" in refused(curate(*arguments))


def test_a_config_that_does_not_exist_is_refused(videos: Path, tmp_path: Path) -> None:
    line = refused(curate(*run_arguments(CHEAP, tmp_path / "none.yaml", videos, tmp_path / "out")))
    assert "--config" in line and "none.yaml" in line


@pytest.mark.parametrize("source", ["no/such/file.mp4", "no-such-*.mp4", "ftp://host/a.mp4"])
def test_an_input_that_does_not_exist_is_named(tmp_path: Path, source: str) -> None:
    line = refused(curate(*run_arguments(CHEAP, config_in(tmp_path), source, tmp_path / "out")))
    assert f"--input {source}" in line


def test_a_folder_without_videos_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    line = refused(curate(*run_arguments(CHEAP, config_in(tmp_path), tmp_path / "empty", tmp_path / "out")))
    assert "no video found" in line


@pytest.mark.parametrize("place", ["file", "file/below", "/proc/nowhere/out"])
def test_an_output_that_cannot_be_written_is_refused(tmp_path: Path, videos: Path, place: str) -> None:
    (tmp_path / "file").write_text("a file, not a folder")
    line = refused(curate(*run_arguments(CHEAP, config_in(tmp_path), videos, tmp_path / place)))
    assert "--output" in line and "folder" in line


def test_a_refused_run_leaves_no_folder_behind(arguments: list[str | Path], tmp_path: Path) -> None:
    refused(curate(*run_arguments(CHEAP, tmp_path / "pipelines.yaml", tmp_path / "missing", tmp_path / "out")))
    assert not (tmp_path / "out").exists()


def test_a_refused_run_leaves_an_existing_folder_empty(arguments: list[str | Path], tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    refused(curate(*run_arguments(CHEAP, tmp_path / "pipelines.yaml", tmp_path / "missing", tmp_path / "out")))
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("number", ["0", "-3", "many", "1.5"])
def test_a_limit_must_be_a_whole_number_above_zero(arguments: list[str | Path], number: str) -> None:
    ended = curate(*arguments, f"--limit={number}")
    assert ended.status == 2
    assert f"argument --limit: '{number}': must be a whole number of 1 or more" in ended.err


def test_ids_to_exclude_may_be_more_than_fit_a_file_name(arguments: list[str | Path]) -> None:
    ids = ",".join(f"{i:016x}" for i in range(1000))
    assert curate("plan", *arguments[1:], "--exclude", ids).status == 0


def test_a_file_of_ids_may_have_comments_and_must_be_text(arguments: list[str | Path], tmp_path: Path) -> None:
    (tmp_path / "ids.txt").write_bytes(b"\xef\xbb\xbf# not these\n0123456789abcdef\n")
    assert curate("plan", *arguments[1:], "--exclude", tmp_path / "ids.txt").status == 0
    (tmp_path / "ids.txt").write_bytes(b"\xff\xfe\x00")
    assert "--exclude" in refused(curate("plan", *arguments[1:], "--exclude", tmp_path / "ids.txt"))


@pytest.mark.parametrize(
    "command",
    [["status"], ["inspect"], ["check"], ["export", "--format", "jsonl", "--output", "rows"]],
    ids=lambda command: command[0],
)
@pytest.mark.parametrize("there", [True, False], ids=["empty", "missing"])
def test_a_dir_that_holds_nothing_is_refused(tmp_path: Path, command: list[str], there: bool) -> None:
    folder = tmp_path / "nothing"
    if there:
        folder.mkdir()
    name, *options = command
    line = refused(curate(name, folder, *options))
    assert str(folder) in line and "no such folder, or nothing in it" in line


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (["inspect", "--layer", "gronded"], ["--layer gronded", f"did you mean '{LAYER}'"]),
        (["inspect", "--where", "nonsense >"], ["--where 'nonsense >'", "syntax error"]),
        (["inspect", "--where", "wirds > 3"], ["--where 'wirds > 3'", "wirds", "no column"]),
        (["inspect", "--where", "keep) or (true"], ["--where 'keep) or (true'", "syntax error"]),
        (["inspect", "--where", "keep; drop table clips"], ["--where"]),
        (["inspect", "--where", "count(*) > 1"], ["aggregates"]),
        (["inspect", "--where", "subtitle > 1 and subtitle::int > 0"], ["--where"]),
        (["inspect", "--where", ""], ["--where ''"]),
        (["export", "--format", "jsonl", "--output", "rows", "--layer", "gronded"], [f"did you mean '{LAYER}'"]),
        (["export", "--format", "jsonl", "--output", "rows", "--where", "wirds > 3"], ["wirds"]),
        (["export", "--format", "webdataset", "--output", "rows", "--text", "wirds"], ["wirds"]),
        (
            ["export", "--format", "webdataset", "--output", "rows", "--video", "bytes"],
            ["--video bytes", "leave it out"],
        ),
    ],
    ids=lambda value: " ".join(value[:3]) if value[0] in ("inspect", "export") else "",
)
def test_a_wrong_layer_or_condition_is_named(
    built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: list[str], words: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    name, *options = command
    line = refused(curate(name, built, *options))
    for word in words:
        assert word in line
    assert "LINE 1" not in line and "read_parquet" not in line


def test_an_output_of_an_export_that_is_not_empty_is_refused(built: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep me")
    line = refused(curate("export", built, "--format", "jsonl", "--output", tmp_path))
    assert "--output" in line and "not empty" in line
    assert (tmp_path / "mine.txt").read_text() == "keep me"


def test_a_query_that_matches_nothing_ends_with_status_1(built: Path) -> None:
    ended = curate("inspect", built, "--where", "language = 'xx'")
    assert ended.status == 1
    assert "no clip of layer" in ended.out


def test_a_reader_that_ends_early_is_not_an_error(built: Path) -> None:
    code = f"from curation.cli import main; import sys; sys.exit(main(['inspect', {str(built)!r}, '--limit', '1000']))"
    command = f'{sys.executable} -c "{code}" | head -n 1'
    ended = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True)
    assert "Traceback" not in ended.stderr
    assert "Exception ignored" not in ended.stderr


def test_an_unknown_subcommand_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["rnu"])
    assert "invalid choice: 'rnu'" in capsys.readouterr().err


@pytest.mark.parametrize("format_", ["jsonl", "webdataset", "hf"])
def test_an_export_into_an_object_store_is_there_and_not_in_a_local_folder(
    built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, format_: str
) -> None:
    monkeypatch.chdir(tmp_path)
    output = f"memory://{uuid.uuid4().hex}/rows"
    ended = curate("export", built, "--format", format_, "--output", output)
    assert ended.status == 0, ended.err
    assert f"written to {output}" in ended.out
    assert "__len__" in Store(output).list()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("output", ["http://127.0.0.1:9/x", "https://example.org/x", "s3:/bucket/rows"])
def test_an_output_that_can_not_be_written_to_is_refused_with_its_remedy(
    built: Path, arguments: list[str | Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, output: str
) -> None:
    monkeypatch.chdir(tmp_path)
    before = set(tmp_path.iterdir())
    for line in (
        refused(curate("export", built, "--format", "jsonl", "--output", output)),
        refused(curate(*arguments, "--output", output)),
        refused(curate("plan", *arguments[1:], "--output", output)),
    ):
        assert output in line and ("can only be read" in line or "write s3://bucket/rows" in line)
    assert set(tmp_path.iterdir()) == before


def test_a_scratch_on_an_object_store_is_refused(arguments: list[str | Path]) -> None:
    assert "must be a folder on a local disk" in refused(curate(*arguments, "--scratch", "s3://bucket/scratch"))


@pytest.mark.parametrize(
    "extra",
    [
        ["--input", "https://me:hunter2@[::1/x.mp4"],
        ["--input", "https:/me:hunter2@example.org/x.mp4"],
        ["--input", "https://me:hun/ter2@example.org/x.mp4"],
        ["--input", "https://hunter2@example.org/x.mp4"],
        ["--input", "me:hunter2@example.org/x.mp4"],
        ["--output", "s3://AKIA:hunter2/x@bucket/dir"],
        ["--output", "https://me:hunter2@example.org/dir"],
        ["--set", "engines.llm.base_url=http://me:hunter2@127.0.0.1:1/v1"],
        ["--set", "engines.llm.base_url=http:/me:hunter2@127.0.0.1:1/v1"],
        ["--exclude", "https:/me:hunter2@example.org/ids.txt"],
    ],
    ids=" ".join,
)
def test_a_password_in_an_argument_is_refused_and_not_repeated(arguments: list[str | Path], extra: list[str]) -> None:
    line = refused(curate(*arguments, *extra))
    assert "hunter2" not in line and "ter2" not in line
    assert extra[1].partition("=")[0] in line or extra[0] in line or "***@" in line
