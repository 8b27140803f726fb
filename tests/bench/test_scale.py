"""The bench of the driver at growing sizes, and the prediction for 20 million videos."""

from pathlib import Path

import pytest

from bench.scale import page, phases, request_counts
from bench.scale.model import DriverCosts, Line, PowerLaw, predict, sensitivity
from bench.scale.page import values_of
from bench.scale.records import PHASES, Measured, append, growth, read
from curation import stage_registry
from shards.storage.local_folder import LocalFolder


def _driver() -> DriverCosts:
    linear = PowerLaw(1000, 1.0, 1.0)
    return DriverCosts(
        alone_seconds={"plan": linear},
        after_seconds={},
        memory_mib={"plan": Line(100.0, 0.0)},
        requests_a_shard={"open": 2.0, "commit": 4.0},
        driver_requests=PowerLaw(1000, 10.0, 1.0),
    )


def test_the_tables_of_the_page_are_those_of_the_committed_measurements() -> None:
    written = page.PAGE.read_text(encoding="utf-8")
    assert page.filled(written, page.blocks()) == written, "run `python -m bench.scale.page`"


def test_the_slowest_resource_decides() -> None:
    values = values_of("grounded")
    from_storage = predict(values, _driver(), from_site=False)
    assert from_storage.bottleneck == "GPUs"
    assert predict({**values, "nodes": 128}, _driver(), from_site=False).hours["GPUs"] == pytest.approx(
        from_storage.hours["GPUs"] / 2
    )
    assert predict(values, _driver(), from_site=True).bottleneck == "one site's pace"
    slow = {**values, "results a second of the runner": 0.1}
    assert predict(slow, _driver(), from_site=False).bottleneck == "runner"


def test_the_driver_adds_its_own_hours_and_requests() -> None:
    found = predict(values_of("vidla"), _driver(), from_site=False)
    waits = 20e6 / 100 * 0.05 / 16
    assert found.total_hours - found.hours[found.bottleneck] == pytest.approx((20e6 / 1000 + waits) / 3600)
    shards = 20e6 / 64
    assert found.requests == pytest.approx(shards * (2 * 2 + 4) * 2 + 20e6 / 100)


def test_an_assumption_that_nothing_rests_on_changes_nothing() -> None:
    rows = {name: (hours, money) for name, hours, money in sensitivity(values_of("vidla"), _driver(), from_site=False)}
    hours, money = rows["clips to judge"]
    assert hours[0] == hours[1] and money[0] == money[1]
    hours, money = rows["a GPU-hour"]
    assert hours[0] == hours[1] and money[0] < money[1]


def test_growth_is_the_exponent_between_two_sizes() -> None:
    small, large = (Measured("now", n, n // 64, "plan", s, s, 0.0, 0.0) for n, s in ((1000, 1.0), (10_000, 100.0)))
    assert growth(small, large) == pytest.approx(2.0)


@pytest.mark.slow
def test_every_phase_is_measured_and_kept_in_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage_registry, "STAGES", stage_registry.STAGES)
    for kind in request_counts.KINDS:
        monkeypatch.setattr(LocalFolder, kind, getattr(LocalFolder, kind))
    file = tmp_path / "measured.jsonl"
    clock = phases.PhaseClock("test", 20, "local", lambda one: append(file, one))
    phases.measure(clock, tmp_path / "work" / "dir")
    found = {record.phase: record for record in read(file)}
    assert tuple(found) == PHASES
    assert found["run"].shards == 10 and found["run"].worker_requests["commit"] == 10 * 6
    assert found["plan again"].requests["list"] > 0
