"""The claims of the demo against labels that a person gave: how many clips end `ok`, and how many claims are false.

    make demo && python -m bench.demo_claims                    # of demo/shards
    python -m bench.demo_claims --shards DIR --unlabelled FILE

A claim is true if somebody who sees the clip calls it so; the labels are in `tests/data/demo_claims.jsonl`. A claim
without a label fails the bench: `--unlabelled` writes those, to be labelled. The last line is of the shuffled control:
every claim by the evidence of each other video that does not show the same, judged without the language model, which
could only reject more.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from bench.demo_labels import DemoClaim, label_lines, read_labels, share
from bench.intervals import wilson_interval
from curation.grounding.audit.audit_records import AuditClip
from curation.grounding.audit.clip_evidence import DrawnClip, read_sample
from curation.grounding.claims import CitedClaim
from curation.grounding.evidence import Evidence, is_seen
from curation.grounding.judge import JudgeResources
from curation.grounding.judge_registry import build_cascade
from curation.pipeline import load_pipeline
from curation.text.rewrite_settings import RewriteSettings
from curation.view.inspect_clips import ClipQuery, find_clips
from shards.storage.store import Store

_ALL: Final = 10_000
_CONTROL: Final = ("rewrite.ground.judges=[words, encoder]",)


def main() -> int:
    """Print the figures; return 1 if a claim has no label."""
    parser = argparse.ArgumentParser(prog="python -m bench.demo_claims", description=__doc__)
    parser.add_argument("--shards", default="demo/shards", metavar="DIR")
    parser.add_argument("--unlabelled", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    clips = _clips(Store(arguments.shards))
    written = [clip for clip in clips if clip.rewrite_status == "ok"]
    statuses = Counter(clip.rewrite_status for clip in clips)
    print(f"clips {len(clips)}: " + ", ".join(f"{name} {number}" for name, number in sorted(statuses.items())))
    print(f"ok: {_percent(len(written), len(clips))}")
    found = share((claim for clip in clips for claim in _kept(clip)), read_labels())
    print(f"claims kept {found.claims}, false: {_percent(len(found.false), found.claims)}")
    for claim in found.false:
        print(f"  false: {claim.video} {claim.start}-{claim.end} s: {claim.text}")
    for claim in found.unlabelled:
        print(f"  no label: {claim.video} {claim.start}-{claim.end} s: {claim.text}")
    if arguments.unlabelled:
        arguments.unlabelled.write_text(label_lines(found.unlabelled), "utf-8")
    controls = list(_shuffled(clips))
    accepted = asyncio.run(_accepted(controls))
    print(f"shuffled: claims {len(controls)}, accepted: {_percent(len(accepted), len(controls))}")
    for control in accepted:
        print(f"  accepted: {control.text!r} by {[item.text for item in control.evidence]}")
    return 1 if found.unlabelled else 0


def _clips(store: Store) -> Sequence[AuditClip]:
    queried = find_clips(store, ClipQuery(limit=_ALL))
    drawn = [DrawnClip(number, row["key"], row["shard"], "", 0) for number, row in enumerate(queried.rows)]
    return read_sample(store, queried.layer, drawn).clips


def _kept(clip: AuditClip) -> Iterator[DemoClaim]:
    for claim in clip.claims:
        if claim.verdict == "supported":
            yield DemoClaim(Path(clip.source).stem, round(clip.start), round(clip.end), claim.text)


def _shuffled(clips: Sequence[AuditClip]) -> Iterator[CitedClaim]:
    """Yield each kept claim with all that is seen in each clip of another video that does not show the same."""
    for clip in clips:
        for claim in clip.claims:
            own = {item.text for item in clip.evidence if item.id in claim.evidence}
            for other in clips if claim.verdict == "supported" else ():
                seen = [item for item in other.evidence if is_seen(item.id)]
                if seen and other.video_id != clip.video_id and not own & {item.text for item in seen}:
                    items = [Evidence(item.id, f"F{n}", "frame", item.text) for n, item in enumerate(seen, start=1)]
                    yield CitedClaim(claim.text, tuple(items))


async def _accepted(controls: Sequence[CitedClaim]) -> list[CitedClaim]:
    cascade = build_cascade(load_pipeline("demo", None, _CONTROL).branch(RewriteSettings).ground, JudgeResources({}))
    verdicts = await cascade.verify({"all": controls}, Counter())
    return [control for control, verdict in zip(controls, verdicts["all"], strict=True) if verdict.is_kept]


def _percent(hits: int, total: int) -> str:
    low, high = wilson_interval(hits, total)
    return f"{hits} of {total} ({100 * hits / max(total, 1):.0f} %, 95 % interval {100 * low:.0f} to {100 * high:.0f})"


if __name__ == "__main__":
    sys.exit(main())
