"""Controls judged while shards are made, and the drift of their figures."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping

from support.controls import cited
from support.judging import Scoring, seat

from curation.grounding.cascade import Cascade
from curation.grounding.claims import CitedClaim
from curation.grounding.measurement.control_settings import ControlSettings
from curation.grounding.measurement.judge_drift import drifts
from curation.grounding.measurement.shard_controls import ShardControls, is_measured

CLAIMS: Mapping[str, list[CitedClaim]] = {
    "aaaa_000_001": [cited("Two dogs chase a red ball in the park.")],
    "bbbb_000_001": [cited("A ship sails on a lake.")],
}


def shard(false: int, true: int = 9) -> dict[str, float]:
    """Figures of a shard with ten false and ten true controls, so many of them accepted."""
    return {
        "controls:number": 10,
        "controls_accepted:number": false,
        "controls:untouched": 10,
        "controls_accepted:untouched": true,
    }


def measured(share: float, accepted: float) -> Counter[str]:
    judge = Scoring(lambda text: accepted)
    counts: Counter[str] = Counter()
    controls = ShardControls(ControlSettings(share=share), Cascade([seat("text", judge)], ["text"]))
    asyncio.run(controls.measure(CLAIMS, counts))
    return counts


def test_no_control_is_judged_unless_it_is_asked_for() -> None:
    assert measured(0, 1.0) == Counter()


def test_controls_of_a_shard_are_judged_and_counted_by_kind() -> None:
    counts = measured(1, 1.0)
    assert counts["controls:untouched"] == counts["controls_accepted:untouched"] == 2
    assert counts["controls_accepted:shuffled"] == counts["controls:shuffled"] == 2
    assert counts["controls:negation"] == 2 and counts["controls:colour"] == 1
    assert measured(1, 0.0)["controls_accepted:negation"] == 0


def test_about_the_share_of_shards_is_measured_and_always_the_same_ones() -> None:
    chosen = [is_measured(f"{number:016x}_0_1", 0.25) for number in range(400)]
    assert 60 < sum(chosen) < 140
    assert chosen == [is_measured(f"{number:016x}_0_1", 0.25) for number in range(400)]
    assert all(is_measured(f"{number}", 1.0) for number in range(50))


def test_objects_come_from_earlier_shards_of_other_videos() -> None:
    judge = Scoring(lambda text: 0.0)
    controls = ShardControls(ControlSettings(share=1), Cascade([seat("text", judge)], ["text"]))
    counts: Counter[str] = Counter()
    for clip, claims in CLAIMS.items():  # each video in a shard of its own
        asyncio.run(controls.measure({clip: claims}, counts))
    assert counts["controls:object"] == 1 and counts["controls:shuffled"] == 1
    assert any("dog" in text or "ball" in text or "park" in text for text in judge.batches[-1])


def test_a_rise_of_accepted_errors_is_told() -> None:
    settings = ControlSettings(first_shards=4)
    (line,) = drifts([shard(0)] * 4 + [shard(4)] * 4, settings)
    assert line.startswith("the judges have drifted: errors accepted 0 % in the first 4 measured shards, 40 % in the")


def test_a_fall_of_recall_is_told() -> None:
    (line,) = drifts([shard(0, true=9)] * 4 + [shard(0, true=3)] * 4, ControlSettings(first_shards=4))
    assert "untouched claims accepted 90 %" in line and "30 %" in line


def test_steady_figures_few_claims_and_unmeasured_shards_are_not_told() -> None:
    settings = ControlSettings(first_shards=4)
    assert list(drifts([shard(1)] * 4 + [{"clips": 3}] * 9 + [shard(1)] * 4, settings)) == []
    assert list(drifts([shard(0)] * 3, settings)) == []
    few = {"controls:number": 2, "controls_accepted:number": 1}
    assert list(drifts([{**few, "controls_accepted:number": 0}, few], ControlSettings(first_shards=1))) == []


def test_the_latest_shards_count_and_not_those_between() -> None:
    settings = ControlSettings(first_shards=2)
    assert list(drifts([shard(0)] * 2 + [shard(9)] * 6 + [shard(0)] * 2, settings)) == []
