"""The judges of claims on labelled pairs: how many true and how many false claims are accepted, by kind.

    python -m bench.claims                       # the cascade of the pipeline `demo`, on the development half
    python -m bench.claims --judge text          # one judge alone
    python -m bench.claims --pairs FILE --limit 200 --pipeline grounded --set rewrite.ground.text.threshold=0.6

The last line is ``true accepted X % · false accepted Y %``. Pairs whose evidence a judge was trained or tuned on are
left out, and their number is printed. For one judge the table is followed by its AUC and by the
thresholds that would accept 5 and 10 % of the false claims.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

from bench.claim_pairs import DEVELOPMENT, ClaimPair, kinds, read_pairs, spread
from bench.intervals import wilson_interval
from curation.engines.engine_registry import engine_for
from curation.grounding.claim_encoder import evidence_mark, trained_on
from curation.grounding.claims import CitedClaim, Verdict
from curation.grounding.encoder_judge import EncoderJudgeSettings
from curation.grounding.evidence import Evidence
from curation.grounding.judge import JudgeResources
from curation.grounding.judge_registry import build_cascade
from curation.pipeline import load_pipeline
from curation.stages.pipeline_settings import PipelineSettings
from curation.text.rewrite_settings import RewriteSettings
from runtime.errors import MachineError, UserError
from runtime.ray_runner.stage import LocalService, Service


@dataclass(frozen=True)
class JudgedPair:
    """The verdicts on both claims of a pair."""

    pair: ClaimPair
    supported: Verdict
    unsupported: Verdict


def judge_pairs(
    pairs: Sequence[ClaimPair], rewrite: RewriteSettings, engines: Mapping[str, Service], counts: Counter[str]
) -> list[JudgedPair]:
    """Have both claims of every pair judged by the cascade of `rewrite`."""
    cascade = build_cascade(rewrite.ground, JudgeResources(engines, rewrite.engine))
    claims = {str(number): list(_claims(pair)) for number, pair in enumerate(pairs)}
    verdicts = asyncio.run(cascade.verify(claims, counts))
    return [JudgedPair(pair, *verdicts[str(number)]) for number, pair in enumerate(pairs)]


def _claims(pair: ClaimPair) -> Iterator[CitedClaim]:
    evidence = (Evidence("frame@0.0", "F1", "frame", pair.evidence),)
    yield CitedClaim(pair.supported, evidence)
    yield CitedClaim(pair.unsupported, evidence)


def table(judged: Sequence[JudgedPair]) -> str:
    """Return accepted and unjudged claims by kind, with 95 % Wilson intervals, as a Markdown table."""
    lines = ["| kind | pairs | true accepted | false accepted | unjudged |", "|---|---|---|---|---|"]
    swaps = [each for each in judged if each.pair.kind.startswith("swap")]
    rows = [(kind, [each for each in judged if each.pair.kind == kind]) for kind in kinds([j.pair for j in judged])]
    for name, some in [*rows, *([("all swaps", swaps)] if swaps else []), ("all", list(judged))]:
        true = _share([each.supported.is_kept for each in some])
        false = _share([each.unsupported.is_kept for each in some])
        open_ = sum(v.verdict == "unjudged" for each in some for v in (each.supported, each.unsupported))
        lines.append(f"| {name} | {len(some)} | {true} | {false} | {open_} |")
    return "\n".join(lines)


def last_line(judged: Sequence[JudgedPair]) -> str:
    """Return the two figures in one line."""
    true = sum(each.supported.is_kept for each in judged) / len(judged)
    false = sum(each.unsupported.is_kept for each in judged) / len(judged)
    return f"true accepted {100 * true:.1f} % · false accepted {100 * false:.1f} %"


def _share(kept: Sequence[bool]) -> str:
    low, high = wilson_interval(sum(kept), len(kept))
    return f"{100 * sum(kept) / len(kept):.1f} % ({100 * low:.1f}–{100 * high:.1f})"


def separation(judged: Sequence[JudgedPair]) -> str:
    """Return AUC, and true claims accepted at thresholds that accept 5 and 10 % of the false ones."""
    true = sorted(each.supported.score for each in judged if each.supported.score is not None)
    false = sorted((each.unsupported.score for each in judged if each.unsupported.score is not None), reverse=True)
    if not true or not false:
        return "no scores"
    wins = sum((t > f) + 0.5 * (t == f) for t in true for f in false) / (len(true) * len(false))
    parts = [f"AUC {wins:.3f}"]
    for share in (0.05, 0.1):
        threshold = false[int(share * len(false))]
        accepted = sum(score > threshold for score in true) / len(true)
        parts.append(f"{100 * accepted:.1f} % of the true at {100 * share:.0f} % of the false (above {threshold:.3f})")
    return ", ".join(parts)


def unseen(pairs: Sequence[ClaimPair], rewrite: RewriteSettings) -> list[ClaimPair]:
    """Return the pairs whose evidence no judge was trained or tuned on.

    Raises:
        UserError: there are none.
    """
    seen: set[str] = set()
    for _, settings in rewrite.ground.used():
        if isinstance(settings, EncoderJudgeSettings):
            seen |= trained_on(settings.adapter)
    left = [pair for pair in pairs if evidence_mark(pair.evidence) not in seen]
    if not left:
        raise UserError("--pairs: the judge was trained on all of them; name another file")
    return left


def _engines(settings: PipelineSettings, rewrite: RewriteSettings, stack: ExitStack) -> dict[str, Service]:
    """Start the engines that the judges ask."""
    names = {name or rewrite.engine for name in rewrite.ground.engines().values()}
    started: dict[str, Service] = {}
    for name in sorted(name for name in names if name is not None):
        print(f"starting {settings.engines[name].model_name} …", file=sys.stderr)
        engine = engine_for(settings.engines[name])
        stack.enter_context(closing(engine))  # type: ignore[type-var]
        started[name] = LocalService(engine)
    return started


def run(arguments: argparse.Namespace) -> None:
    """Judge the pairs and print the figures."""
    assignments = list(arguments.set)
    if arguments.judge is not None:
        assignments += [f"rewrite.ground.judges=[{arguments.judge}]", "rewrite.ground.require=[]"]
    settings = load_pipeline(arguments.pipeline, None, assignments)
    rewrite = settings.branch(RewriteSettings)
    every = read_pairs(arguments.pairs)
    pairs = spread(unseen(every, rewrite), arguments.limit)
    with ExitStack() as stack:
        engines = _engines(settings, rewrite, stack)
        counts: Counter[str] = Counter()
        began = time.perf_counter()
        judged = judge_pairs(pairs, rewrite, engines, counts)
        seconds = time.perf_counter() - began
    print(f"judges: {', '.join(f'{kind.name} (from {own.threshold:g})' for kind, own in rewrite.ground.used())}")
    print(f"{len(every) - len(unseen(every, rewrite))} pairs left out, because a judge was trained or tuned on them")
    print(f"{len(pairs)} pairs, {2 * len(pairs) / seconds:.1f} claims a second, {seconds:.0f} s\n")
    print(table(judged) + "\n")
    if arguments.judge is not None:
        print(separation(judged) + "\n")
    print(last_line(judged))


def main() -> int:
    """Read the command line, judge and print; return 2 after a user's mistake."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=Path, default=DEVELOPMENT, help="JSON lines (default: the development half)")
    parser.add_argument("--judge", help="one judge alone (default: the pipeline's cascade)")
    parser.add_argument("--limit", type=int, help="that many pairs, spread evenly over the file")
    parser.add_argument("--pipeline", default="demo", help="pipeline whose judges and engines are used (default demo)")
    parser.add_argument("--set", action="append", default=[], metavar="a.b=c", help="change a setting of the pipeline")
    arguments = parser.parse_args()
    if arguments.limit is not None and arguments.limit < 1:
        parser.error("--limit must be at least 1")
    try:
        run(arguments)
    except (UserError, MachineError) as error:
        print(error, file=sys.stderr)
        return 2 if isinstance(error, UserError) else 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
