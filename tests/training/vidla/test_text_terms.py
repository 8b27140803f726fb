"""The texts of the loss that follow the layer, and the settings of a run that is resumed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pyarrow as pa
import pytest
from support.curate_runs import curate
from support.selections import marked_rows
from support.shard_factory import build_dir

from runtime.errors import UserError
from shards.schema import TEXT
from training.data.data_settings import DataSettings
from training.data.sources import shard_tables
from training.data.sources.shard_tables import TEXT_COLUMNS
from training.models.vidla.model_settings import LossSettings
from training.vidla.resumed_settings import resumed_settings
from training.vidla.text_terms import GROUNDED, terms_of, text_shares, with_terms
from training.vidla.vidla_settings import VidlaSettings

NONE = dict.fromkeys(TEXT_COLUMNS, 0.0)


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("terms") / "shards"
    build_dir(folder, shards=2, videos_per_shard=2)
    return folder


def data(folder: Path) -> DataSettings:
    return DataSettings(shards=(str(folder),))


def test_text_columns_are_strings_and_the_other_strings_are_names() -> None:
    strings = {field.name for field in TEXT if pa.types.is_string(field.type)}
    assert set(TEXT_COLUMNS) <= strings
    assert strings - set(TEXT_COLUMNS) == {
        "key",
        "root_key",
        "parent_key",
        "video_id",
        "source",
        "language",
        "subtitle_origin",
    }


def test_shares_are_those_of_the_clips_to_train_on(shards: Path) -> None:
    rows = [row for row in marked_rows(shards, "grounded") if row["keep"] and row["split"] == "train"]
    expected = {name: sum(bool(row[name]) for row in rows) / len(rows) for name in TEXT_COLUMNS}
    assert text_shares(data(shards)) == pytest.approx(expected)


def test_clips_of_a_sparse_selection_are_looked_for_in_all_shards(
    shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shard_tables, "_SHARDS_SAMPLED", 1)
    shutil.copytree(shards, tmp_path / "dir")
    for name, where in (("last", "shard = 1"), ("none", "shard > 1")):
        assert curate("select", tmp_path / "dir", "--name", name, "--where", where).status == 0
    last = data(tmp_path / "dir").model_copy(update={"selection": "last"})
    assert with_terms(VidlaSettings(data=last)).loss.columns_by_term == GROUNDED
    none = last.model_copy(update={"selection": "none"})
    with pytest.raises(
        UserError, match=r"no clip to train on .* \(kept: 0 of \d+ clips; left out: where \d+, static \d+\)"
    ):
        with_terms(VidlaSettings(data=none))


def test_a_layer_with_grounded_text_is_trained_on_it(shards: Path) -> None:
    settings = with_terms(VidlaSettings(data=data(shards)))
    assert settings.loss.columns_by_term == GROUNDED


def test_terms_that_are_set_stay(shards: Path) -> None:
    settings = VidlaSettings(data=data(shards), loss=LossSettings(terms={"a": "subtitle"}))
    assert with_terms(settings) is settings


@pytest.mark.parametrize(
    ("shares", "terms"),
    [
        (
            {"caption_summary": 0.9, "subtitle_summary": 0.8, "caption": 1.0},
            {"subtitle": "subtitle_summary", "caption": "caption_summary"},
        ),
        ({"caption": 1.0, "subtitle": 0.3}, {"subtitle": "subtitle", "caption": "caption"}),
        ({"caption": 1.0}, {"caption": "caption"}),
        ({}, {}),
    ],
)
def test_without_grounded_text_the_terms_are_the_papers(shares: dict[str, float], terms: dict[str, str]) -> None:
    assert terms_of(NONE | shares) == terms


def test_tars_of_other_tools_have_their_txt() -> None:
    settings = with_terms(VidlaSettings(data=DataSettings(source="webdataset", shards=("a.tar",))))
    assert settings.loss.columns_by_term == {"caption": ("txt",)}


def checkpoint(run: Path, settings: dict[str, object]) -> Path:
    """Write the record of a checkpoint."""
    folder = run / "checkpoints" / "step-00000004"
    folder.mkdir(parents=True)
    identity = {"global_batch": 8, "data": "", "architecture": {}, "precision": "fp32"}
    record = {"step": 4, "identity": identity, "settings": settings, "files": {}, "format": 1}
    (folder / "checkpoint.json").write_text(json.dumps(record))
    return folder


def test_a_run_of_before_is_resumed_with_the_meaning_that_its_settings_had(tmp_path: Path) -> None:
    checkpoint(
        tmp_path, {"data": {"clips_per_root": 3}, "model": {"temperature": 0.05}, "loss": {"terms": {"a": "caption"}}}
    )
    assert resumed_settings(tmp_path, "never", {}) == {}
    found = resumed_settings(tmp_path, "auto", {"data": {"augment": {"jitter": True}}})
    assert found["model"] == {"temperature": 0.05}
    assert found["loss"]["terms"] == {"a": "caption"}
    assert found["data"] == {
        "clips_per_root": 3, "window_batches": 0.0, "repeat_clips": True, "epoch_of": "roots",
        "augment": {"flip_directions": True},
    }  # fmt: skip


def test_a_run_without_checkpoint_has_the_defaults(tmp_path: Path) -> None:
    assert resumed_settings(tmp_path, "auto", {}) == {}


def test_a_layer_without_any_text_is_refused(shards: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.vidla.text_terms.text_shares", lambda data: NONE)
    with pytest.raises(UserError, match="no clip to train on has a text in grounded_text, caption_summary"):
        with_terms(VidlaSettings(data=data(shards)))
