"""The record of a trained model about the benchmarks that its data was cleaned of."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.shard_factory import LAYER, build_dir
from support.vidla_runs import arguments, train

from curation.cli import main
from shards.reader import read_table
from shards.selections.clean_of import clean_benchmarks
from shards.storage.store import Store
from training.data.data_settings import DataSettings
from training.vidla.clean_facts import CLEAN_OF, clean_facts, clean_line


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A DIR with the selections `clean`, without what matches MSVD, and `both`, made from it without MSR-VTT."""
    made = build_dir(tmp_path / "dir", shards=2, val_percent=0)
    clean_of(made, "msvd", "test_list.txt", "abcdefghijk_1_9\n")
    clean_of(made, "msrvtt", "test.csv", "video_id,sentence\nvideo1,a dog\n")
    select(made, "clean", "--clean-of", "msvd")
    select(made, "both", "--from", "clean", "--clean-of", "msrvtt")
    return made


def clean_of(store: Store, benchmark: str, name: str, text: str) -> None:
    path = Path(store.root).parent / name
    path.write_text(text)
    assert main(["clean-of", store.root, "--benchmark", benchmark, "--annotations", str(path)]) == 0


def select(store: Store, name: str, *conditions: str) -> None:
    assert main(["select", store.root, "--name", name, "--layer", LAYER, *conditions]) == 0


def data(store: Store, selection: str | None) -> DataSettings:
    return DataSettings(shards=(store.root,), selection=selection)


def test_a_selection_is_clean_of_what_it_and_the_one_it_began_with_left_out(store: Store) -> None:
    assert clean_benchmarks(store, "clean") == {"msvd"}
    assert clean_benchmarks(store, "both") == {"msvd", "msrvtt"}
    assert clean_benchmarks(store, LAYER) == frozenset()


def test_a_table_that_was_made_again_does_not_count(store: Store) -> None:
    clean_of(store, "msvd", "test_list.txt", "bbbbbbbbbbb_1_9\n")
    assert clean_benchmarks(store, "clean") == {"msvd"}  # the same rows: no clip of this DIR matches either
    name = Path(read_table(store, "media/0000000.parquet")["source"][0].as_py()).stem
    clean_of(store, "msrvtt", "test.csv", f"video_id,sentence\n{name},a dog\n")
    assert clean_benchmarks(store, "both") == {"msvd"}


def test_a_trained_model_says_what_its_data_was_cleaned_of(store: Store, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert train(*arguments(Path(store.root), run, "--select", "both", steps=1)) == 0
    (config,) = run.glob("**/step-*/config.json")
    model = str(config.parent)
    assert json.loads(config.read_text())["extra"] == {CLEAN_OF: ["msrvtt", "msvd"]}
    assert clean_line(model, "msvd") == "trained on a selection clean of msvd: yes"
    assert clean_line(model, "vatex") == "trained on a selection clean of vatex: no"
    assert clean_line("ViT-B-16:openai", "msvd") == "trained on a selection clean of msvd: unknown"
    assert clean_facts(f"path://{model}", data(store, "clean")) == {CLEAN_OF: ["msvd"]}


def test_data_without_a_selection_is_unknown() -> None:
    assert clean_facts("ViT-B-16:openai", DataSettings(shards=("a.tar",), source="webdataset", clips_per_root=1)) == {}
