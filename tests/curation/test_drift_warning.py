"""`curate run` with `rewrite.controls`: judges are measured while shards are made, and the run warns of a drift."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from support.curate_runs import CHEAP, config_in, curate, run_arguments, talk
from support.fake_llm import Body, FakeLLM, Reply
from support.model_replies import careful, decision

from shards.reader import artifacts
from shards.storage.store import Store

pytestmark = pytest.mark.slow

_MEASURED = (
    *("--set", "videos_per_shard=1", "--set", "rewrite.controls.share=1", "--set", "rewrite.controls.first_shards=1"),
    *("--address", "local"),
)


@dataclass
class Judge:
    """The careful model, but as a judge it says the same of every claim."""

    agrees: bool = False

    def __call__(self, body: Body) -> Reply:
        return decision(self.agrees) if body.get("logprobs") else careful(body)


def test_a_run_whose_judge_has_become_lenient_warns_and_one_with_the_same_judge_does_not(tmp_path: Path) -> None:
    videos = [talk(tmp_path / f"talk-{number}.mp4", 20) for number in range(3)]
    judge = Judge()
    with FakeLLM(judge) as server:

        def said_with(count: int) -> str:
            """Curate so many of the videos and return what the command said."""
            arguments = run_arguments(CHEAP, config_in(tmp_path), videos[:count], tmp_path / "out", server)
            ended = curate(*arguments, *_MEASURED)
            assert ended.status == 0, ended.err
            return " ".join(ended.err.split())

        assert "drifted" not in said_with(2)
        judge.agrees = True
        said = said_with(3)
    assert "warning: the judges have drifted: errors accepted 0 % in the first 1 measured shards, 100 % in the" in said
    counts = [each.counts for _, each in sorted(artifacts(Store(tmp_path / "out"), f"text/{CHEAP}").items())]
    assert len(counts) == 3 and all(each["controls:negation"] > 0 for each in counts)
