"""Log lines, metrics on disk, and the share of unusable data at which a run stops."""

import json
import math
from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from runtime.errors import UserError
from training.engine.checkpoints.run_folder import METRICS
from training.engine.metrics.run_metrics import (
    MetricsWriter,
    StepMetrics,
    ThroughputMeter,
    _peak_by_name,
    peak_flops,
)
from training.engine.run_stops import SkipGuard
from training.engine.training_task import StepReport


def a_step(loss: float = 2.0, seconds: float = 0.5, wait: float = 0.1, skips: dict | None = None) -> StepMetrics:
    report = StepReport({"caption": loss, "total": loss}, {"temperature": 0.07})
    return StepMetrics(report, 8, seconds, wait, 1e12, 2e-5, 3.0, skips or {})


def lines_of(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / METRICS).read_text().splitlines()]


def test_a_reading_is_the_mean_since_the_one_before() -> None:
    meter = ThroughputMeter(peak=10e12)
    meter.add(a_step(loss=100.0))
    meter.read(1)
    meter.add(a_step(loss=1.0, seconds=0.5, wait=0.0))
    meter.add(a_step(loss=3.0, seconds=1.5, wait=0.5))
    reading = meter.read(3)
    assert (reading.losses["caption"], reading.steps, reading.step) == (2.0, 2, 3)
    assert reading.per_second == pytest.approx(16 / 2.0)
    assert reading.wait_share == pytest.approx(0.25)
    assert (reading.tflops, reading.mfu) == (pytest.approx(1.0), pytest.approx(0.1))


def test_skips_are_counted_by_reason_over_the_whole_process() -> None:
    meter = ThroughputMeter(peak=None)
    meter.add(a_step(skips={"corrupt": 1}))
    meter.read(1)
    meter.add(a_step(skips={"corrupt": 1, "missing": 2}))
    assert meter.read(2).skips == {"corrupt": 2, "missing": 2}


def test_the_line_names_every_term_speed_wait_temperature_and_skips() -> None:
    meter = ThroughputMeter(peak=None)
    meter.add(a_step(skips={"corrupt": 1}))
    line = meter.read(7).text()
    for part in (
        "step 7",
        "caption 2.0000",
        "16 clips/s",
        "2 TFLOP/s",
        "data wait 20%",
        "temperature 0.07",
        "corrupt 1",
    ):
        assert part in line
    assert "\n" not in line


def test_the_line_has_mfu_where_the_peak_is_known() -> None:
    meter = ThroughputMeter(peak=4e12)
    meter.add(a_step())
    assert "MFU 50.0%" in meter.read(1).text()


@pytest.mark.parametrize(
    ("name", "peak"),
    [
        ("NVIDIA A100-SXM4-80GB", 312e12),
        ("NVIDIA H100 80GB HBM3", 989e12),
        ("NVIDIA H100 PCIe", 756e12),
        ("NVIDIA H200", 989e12),
        ("NVIDIA L4", 121e12),
        ("NVIDIA L40S", 362e12),
        ("NVIDIA GeForce RTX 4090", 165.2e12),
        ("Tesla V100-SXM2-16GB", 125e12),
        ("Tesla V100-PCIE-16GB", 112e12),
        ("Tesla T4", 65e12),
        ("NVIDIA A1000 Laptop GPU", None),
        ("NVIDIA T400", None),
    ],
)
def test_the_peak_is_looked_up_by_name_and_never_guessed(name: str, peak: float | None) -> None:
    found, why = _peak_by_name(name)
    assert found == peak
    assert ("unknown" in why) == (peak is None)


def test_a_processor_has_no_peak() -> None:
    assert peak_flops(torch.device("cpu")) == (None, "unknown for cpu")


def test_numbers_are_kept_as_json_lines_and_as_events(tmp_path: Path) -> None:
    with MetricsWriter(tmp_path) as writer:
        writer.write(1, {"loss/caption": 2.5})
        writer.write(1, {"t2v_r1": 0.25}, kind="val")
    assert lines_of(tmp_path) == [
        {"step": 1, "kind": "train", "loss/caption": 2.5},
        {"step": 1, "kind": "val", "t2v_r1": 0.25},
    ]
    events = EventAccumulator(str(tmp_path)).Reload()
    assert [(e.step, e.value) for e in events.Scalars("train/loss/caption")] == [(1, 2.5)]
    assert [(e.step, e.value) for e in events.Scalars("val/t2v_r1")] == [(1, 0.25)]


def test_a_resumed_run_counts_no_step_twice(tmp_path: Path) -> None:
    with MetricsWriter(tmp_path) as writer:
        for step in range(1, 6):
            writer.write(step, {"x": float(step)})
    with (tmp_path / METRICS).open("a") as file:
        file.write('{"step": 6, "ki')  # the process died while writing
    with MetricsWriter(tmp_path, resume_step=3) as writer:
        writer.write(4, {"x": 40.0})
    assert [(line["step"], line["x"]) for line in lines_of(tmp_path)] == [(1, 1.0), (2, 2.0), (3, 3.0), (4, 40.0)]
    events = EventAccumulator(str(tmp_path)).Reload()
    assert [(e.step, e.value) for e in events.Scalars("train/x")] == [(1, 1.0), (2, 2.0), (3, 3.0), (4, 40.0)]


def test_lines_stay_json_if_a_number_is_not_finite(tmp_path: Path) -> None:
    with MetricsWriter(tmp_path) as writer:
        writer.write(1, {"x": math.nan, "y": math.inf, "z": 1.0})
    assert lines_of(tmp_path) == [{"step": 1, "kind": "train", "x": None, "y": None, "z": 1.0}]


def test_other_ranks_write_nothing(tmp_path: Path) -> None:
    with MetricsWriter(tmp_path / "run", enabled=False) as writer:
        writer.write(1, {"x": 1.0})
    assert not (tmp_path / "run").exists()


def test_some_unusable_clips_do_not_stop_a_run() -> None:
    guard = SkipGuard()
    for _ in range(100):
        guard.add(8, {"corrupt": 3})


def test_systematic_failure_stops_the_run_and_names_reasons_and_keys() -> None:
    guard = SkipGuard()
    guard.add(16, {"corrupt": 10, "missing": 2}, ["a_1", "b_2", "c_3"])
    with pytest.raises(UserError, match=r"24 of the last 32 .*\(corrupt 20, missing 4\).* a_1 and b_2"):
        guard.add(16, {"corrupt": 10, "missing": 2}, ["d_4"])


def test_a_run_that_was_good_for_long_stops_when_its_newest_clips_fail() -> None:
    guard = SkipGuard(window=40)
    for _ in range(100):
        guard.add(10, {})
    guard.add(10, {"unreadable": 10})
    guard.add(10, {"unreadable": 10})
    with pytest.raises(UserError, match="30 of the last 40"):
        guard.add(10, {"unreadable": 10})


def test_few_failures_conclude_nothing() -> None:
    SkipGuard(least=20).add(19, {"corrupt": 19})
