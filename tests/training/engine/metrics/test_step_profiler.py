"""Traces of training steps."""

import gzip
import json
import logging
from dataclasses import replace
from pathlib import Path

import pytest
from support.toy_training import toy_run

from training.engine.training_loop import train


def test_a_run_writes_a_trace_of_the_steps_that_it_was_asked_for(tmp_path: Path) -> None:
    assert train(replace(toy_run(tmp_path, steps=9), profile=2)) == 0
    with gzip.open(tmp_path / "profile" / "rank-0.json.gz") as file:
        names = [event["name"] for event in json.load(file)["traceEvents"] if "ProfilerStep" in event.get("name", "")]
    assert sorted(set(names)) == ["ProfilerStep#5", "ProfilerStep#6"]


def test_a_run_that_ends_before_the_traced_steps_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    assert train(replace(toy_run(tmp_path, steps=3), profile=2)) == 0
    assert "no step was traced: the run ended before its step 6" in caplog.text


def test_without_being_asked_for_nothing_is_traced(tmp_path: Path) -> None:
    assert train(toy_run(tmp_path, steps=2)) == 0
    assert not (tmp_path / "profile").exists()
