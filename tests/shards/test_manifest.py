import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from shards.errors import ShardError
from shards.manifest import Manifest, StageMark, read_manifest, read_stage, write_manifest, write_stage
from shards.schema import READ_VERSIONS
from shards.storage.store import Store

MANIFEST = Manifest("demo", {"media": {"fps": 8}}, 4, "c0ffee")


def test_a_manifest_is_read_back(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert read_manifest(store) is None
    write_manifest(store, MANIFEST)
    assert read_manifest(store) == MANIFEST


@pytest.mark.parametrize(("version", "remedy"), [(READ_VERSIONS[-1] + 1, "newer version"), (0, "curate it again")])
def test_another_schema_version_is_refused_with_the_remedy(tmp_path: Path, version: int, remedy: str) -> None:
    write_manifest(Store(tmp_path), replace(MANIFEST, schema_version=version))
    with pytest.raises(ShardError, match=remedy):
        read_manifest(Store(tmp_path))


WHOLE = asdict(MANIFEST)


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[1]",
        "null",
        "[" * 100_000,
        "\x00\x00",
        json.dumps({"pipeline": "demo"}),
        json.dumps(WHOLE | {"schema_version": "1"}),
        json.dumps(WHOLE | {"videos_per_shard": None}),
        json.dumps(WHOLE | {"settings": [1]}),
    ],
    ids=lambda text: text[:12],
)
def test_a_damaged_manifest_is_one_clear_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(ShardError, match=r"manifest\.json: damaged"):
        read_manifest(Store(tmp_path))


def test_the_record_of_a_folder_is_read_back(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert read_stage(store, "text/a") is None
    write_stage(store, "text/a", StageMark("rewrite", "c0ffee", {"words": 25}))
    assert read_stage(store, "text/a") == StageMark("rewrite", "c0ffee", {"words": 25})
    assert read_stage(store, "text/b") is None
