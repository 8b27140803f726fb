"""One line for people about a score set: its shards, clips and matches, and what is missing by reason."""

from __future__ import annotations

from collections import Counter

from training.evaluation.scoring.scores_plan import FAILED, ScoresPlan, complete_artifacts


def summary(plan: ScoresPlan, scored: int) -> str:
    """Describe the score set as it is now.

    Args:
        plan: that was carried out.
        scored: number of shards that were scored just now.
    """
    made = complete_artifacts(plan.store, plan.folder)
    total: Counter[str] = Counter()
    for artifact in made.values():
        total.update({name: int(count) for name, count in artifact.counts.items()})
    failed = {name.removeprefix(FAILED): count for name, count in sorted(total.items()) if name.startswith(FAILED)}
    missing = {
        "without a text": total["without_text"],
        "without a percentile: few videos a shard": total["without_percentile"],
        "texts cut to the model's context": total["truncated_texts"],
        f"not decoded: {', '.join(f'{count} {reason}' for reason, count in failed.items())}": sum(failed.values()),
    }
    parts = [
        f"{plan.store.root}: {plan.folder} has {len(made)} shards, {total['clips']} clips, {total['matched']} matches",
        f"{scored} shards scored now" if scored else "nothing to do",
        *(f"{count} {what}" for what, count in missing.items() if count),
    ]
    return "; ".join(parts)
