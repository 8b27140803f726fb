"""Weights & Biases beside a run's own files: offline, resumed as one run, without its key anywhere."""

from __future__ import annotations

import importlib.util
import json
import struct
from pathlib import Path

import pytest
from support.toy_training import ToyBatches, toy_run
from support.waiting import until
from wandb.proto.wandb_internal_pb2 import Record

from runtime.errors import UserError
from training.engine.engine_settings import TrackingSettings
from training.engine.metrics.tracker import check_tracking
from training.engine.training_loop import train

KEY = "0123456789abcdef0123456789abcdef01234567"
_BLOCK = 1 << 15


def records(run: Path) -> list[Record]:
    """Return the records of all offline files, oldest first."""
    found = []
    for path in sorted(run.glob("wandb/offline-run-*/run-*.wandb")):
        data, at, part = path.read_bytes(), 7, b""
        while at + 7 <= len(data):  # LevelDB's log: checksum, length and kind before each part of a record
            _, length, kind = struct.unpack("<IHB", data[at : at + 7])
            if at + 7 + length > len(data):
                break  # it is being written
            part += data[at + 7 : at + 7 + length]
            at += 7 + length
            at += left if (left := -at % _BLOCK) < 7 else 0
            if kind in (1, 4):  # whole, or the last part
                found.append(Record.FromString(part))
                part = b""
    return found


@pytest.fixture(scope="module")
def tracked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of six steps, saved after the fourth and resumed from there."""
    folder = tmp_path_factory.mktemp("tracked") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WANDB_API_KEY", KEY)
        for resume in ("never", str(folder / "checkpoints" / "step-00000004")):
            run = toy_run(folder, ToyBatches(), steps=6, save_every=2)
            run.tracking = TrackingSettings(service="wandb", project="mine", mode="offline")
            assert train(run, resume) == 0
    until(
        lambda: sum(record.HasField("exit") for record in records(folder)) == 2, "wandb's own process has written all"
    )
    return folder


def test_every_value_goes_to_the_service_too(tracked: Path) -> None:
    rows = [
        {item.key or ".".join(item.nested_key): json.loads(item.value_json) for item in record.history.item}
        for record in records(tracked)
        if record.HasField("history")
    ]
    lines = [json.loads(line) for line in (tracked / "metrics.jsonl").read_text().splitlines()]
    logged = {line["step"]: line["loss/total"] for line in lines if line["kind"] == "train"}
    assert {row["step"]: row["train/loss/total"] for row in rows if "train/loss/total" in row} == logged
    assert [row["step"] for row in rows if "val/score" in row] == [6, 6]


def test_a_resumed_run_continues_its_own_run_at_the_service(tracked: Path) -> None:
    runs = [record.run for record in records(tracked) if record.HasField("run")]
    assert len(runs) >= 2
    assert {run.run_id for run in runs} == {(tracked / "wandb-run-id").read_text()}
    assert {(run.project, run.display_name) for run in runs} == {("mine", "run")}


def test_the_key_is_in_no_file_of_the_run(tracked: Path) -> None:
    assert not [path for path in tracked.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()]


def test_a_missing_package_is_refused_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"tracking\.service=wandb: .* not installed; pip install wandb, or leave"):
        check_tracking(TrackingSettings(service="wandb"))
