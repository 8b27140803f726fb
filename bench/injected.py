"""Injected errors and shuffled clips: how many each judge and the cascade accept, by kind.

    python -m bench.injected                                  # all judges of the demo, its language model included
    python -m bench.injected --judges words,encoder,parse     # those without a language model: seconds
    python -m bench.injected --shards DIR --pipeline grounded

Three sources of claims: a DIR (default: the one that `make demo` made); a DIR made here of ``fixtures/video``, whose
claims are what was seen in its pictures; and paraphrases of captions from the labelled pairs (`bench.claim_pairs`),
without those that a judge was trained or tuned on. A source that is missing is skipped with the reason. The judges'
language model is started once, for all sources. The last line holds the share of errors that the cascade accepts.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rich.console import Console

from bench.claim_pairs import DEVELOPMENT, ClaimPair, read_pairs, spread
from curation.grounding.claim_encoder import evidence_mark, trained_on
from curation.grounding.claims import CitedClaim
from curation.grounding.encoder_judge import EncoderJudgeSettings
from curation.grounding.evidence import Evidence
from curation.grounding.injections.control_claims import SourceClaim, make_controls
from curation.grounding.judge import JudgeResources
from curation.grounding.judge_registry import CascadeSettings
from curation.grounding.measurement.control_figures import ALL_INJECTED, ControlFigure, control_figures, markdown
from curation.grounding.measurement.judge_scores import CASCADE, judge_controls
from curation.grounding.parsing.claim_parser import ClaimParser
from curation.pipeline import load_pipeline
from curation.text.rewrite_settings import RewriteSettings
from curation.view.injected.injected_measure import InjectedRequest, measure
from curation.view.injected.injected_report import report
from curation.view.injected.local_engines import judge_resources
from runtime.errors import MachineError, UserError

_REPOSITORY: Final = Path(__file__).parents[1]
DEMO: Final = _REPOSITORY / "demo" / "shards"
VIDEOS: Final = _REPOSITORY.parent / "shared" / "fixtures" / "video"
_CAPTIONS_ONLY: Final = ("rewrite.engine=null", "rewrite.ground.judges=[words]", "media.video.transcribe.asr=null")
_NO_SHARED: Final = "the folder shared/ is not beside this checkout"


@dataclass(frozen=True)
class Judges:
    """The judges that are measured, with their engines running."""

    pipeline: str
    assignments: tuple[str, ...]
    ground: CascadeSettings
    resources: JudgeResources


def on_dir(root: Path, judges: Judges, console: Console) -> ControlFigure:
    """Measure the judges on the claims of a DIR; return the figure of the cascade on all injected errors."""
    request = InjectedRequest(str(root), pipeline=judges.pipeline, assignments=judges.assignments)
    measured = measure(request, judges.resources)
    report(measured, console)
    return _together(control_figures(measured.judged, measured.ground))


def on_pairs(judges: Judges, limit: int, console: Console) -> ControlFigure:
    """Measure the judges on true paraphrases of captions, each picture taken for a video."""
    counts = Counter[str]()
    encoders = [own for _, own in judges.ground.used() if isinstance(own, EncoderJudgeSettings)]
    known = {mark for own in encoders for mark in trained_on(own.adapter)}
    pairs = [pair for pair in read_pairs(DEVELOPMENT) if evidence_mark(pair.evidence) not in known]
    sources = [_source(pair) for pair in spread(pairs, limit)]
    controls = make_controls(sources, ClaimParser(), counts)
    figures = control_figures(judge_controls(controls, judges.ground, judges.resources, counts), judges.ground)
    console.print(f"{len(sources)} captions with a true paraphrase, {len(controls)} claims\n", markup=False)
    console.print(markdown(figures), markup=False, soft_wrap=True)
    return _together(figures)


def _together(figures: Sequence[ControlFigure]) -> ControlFigure:
    return next(each for each in figures if (each.judge, each.kind) == (CASCADE, ALL_INJECTED))


def _source(pair: ClaimPair) -> SourceClaim:
    evidence = Evidence("frame@0.0", "F1", "frame", pair.evidence)
    return SourceClaim(pair.evidence, pair.id, CitedClaim(pair.supported, (evidence,)))


@contextmanager
def _curated_videos() -> Iterator[Path]:
    """Curate the fixtures' videos without a language model, into a folder that is removed afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        program = [sys.executable, "-m", "curation.cli", "run", "demo", "--address", "local", "--quiet"]
        changes = [part for each in _CAPTIONS_ONLY for part in ("--set", each)]
        places = ["--input", str(VIDEOS), "--output", f"{folder}/out"]
        subprocess.run([*program, *places, *changes], check=True, cwd=_REPOSITORY)
        yield Path(folder, "out")


@contextmanager
def _judges(arguments: argparse.Namespace) -> Iterator[Judges]:
    """Start the engines of the judges."""
    chosen = [f"rewrite.ground.judges=[{arguments.judges}]", "rewrite.ground.require=[]"] if arguments.judges else []
    assignments = (*chosen, *arguments.set)
    settings = load_pipeline(arguments.pipeline, None, assignments)
    with judge_resources(settings) as resources:
        yield Judges(arguments.pipeline, assignments, settings.branch(RewriteSettings).ground, resources)


def run(arguments: argparse.Namespace, console: Console) -> None:
    """Print one table for each source of claims, and what the cascade accepts of each."""
    together: dict[str, ControlFigure] = {}
    with _judges(arguments) as judges:
        if _begin(console, "the demo", arguments.shards, "run `make demo` first, or name a DIR: --shards DIR"):
            together["the demo"] = on_dir(arguments.shards, judges, console)
        if _begin(console, "fixtures/video", VIDEOS, _NO_SHARED):
            with _curated_videos() as folder:
                together["fixtures/video"] = on_dir(folder, judges, console)
        if _begin(console, "captions of labelled pairs", DEVELOPMENT, _NO_SHARED):
            together["captions"] = on_pairs(judges, arguments.limit, console)
    shares = [f"{name} {100 * f.share:.1f} % ({100 * f.low:.1f}–{100 * f.high:.1f})" for name, f in together.items()]
    console.print(
        f"\ninjected errors accepted: {' · '.join(shares) or 'nothing measured'}", markup=False, soft_wrap=True
    )


def _begin(console: Console, name: str, path: Path, remedy: str) -> bool:
    """Print the title of a source; return False if it is missing."""
    is_there = path.exists()
    skipped = "" if is_there else f": skipped, there is no {path}; {remedy}"
    console.print(f"\n## {name}{skipped}\n", markup=False, soft_wrap=True)
    return is_there


def main() -> int:
    """Read the command line, measure and print; return 2 after a user's mistake."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--judges", help="judges to measure, with commas between them (default: the pipeline's)")
    parser.add_argument("--pipeline", default="demo", help="pipeline with their settings and engines (default demo)")
    parser.add_argument("--shards", type=Path, metavar="DIR", help="DIR of the first source (default demo/shards)")
    parser.add_argument("--limit", type=int, default=400, help="most labelled pairs (default 400)")
    parser.add_argument("--set", action="append", default=[], metavar="a.b=c", help="change a setting of the pipeline")
    arguments = parser.parse_args()
    arguments.shards = arguments.shards or DEMO
    if arguments.limit < 1:
        parser.error("--limit must be at least 1")
    try:
        run(arguments, Console(width=160, highlight=False))
    except (UserError, MachineError) as error:
        print(error, file=sys.stderr)
        return 2 if isinstance(error, UserError) else 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
