"""Injected errors and shuffled clips: how many each judge and the cascade accept, by kind.

    python -m bench.injected                                        # the demo's judges without its language model
    python -m bench.injected --judges words,encoder,text            # with it: 2 to 3 judgements a second on two cores
    python -m bench.injected --dir /data/out --pipeline grounded    # a DIR of your own

Three sources of claims: the DIR that `make demo` made; a DIR made here of ``fixtures/video``, whose claims are what was
seen in its pictures; and captions with true paraphrases of the labelled pairs (`bench.claim_pairs`), of which those
that a judge was trained or tuned on are left out. A source that is missing is skipped with the reason.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from rich.console import Console

from bench.claim_pairs import DEVELOPMENT, ClaimPair, read_pairs, spread
from curation.grounding.claim_encoder import evidence_mark, trained_on
from curation.grounding.claims import CitedClaim
from curation.grounding.encoder_judge import EncoderJudgeSettings
from curation.grounding.evidence import Evidence
from curation.grounding.injections.claim_parser import ClaimParser
from curation.grounding.injections.control_claims import SourceClaim, make_controls
from curation.grounding.measurement.control_figures import control_figures, markdown
from curation.grounding.measurement.judge_scores import CASCADE, judge_controls
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


def on_dir(root: Path, arguments: argparse.Namespace, assignments: Sequence[str], console: Console) -> None:
    """Measure the judges on the claims of a DIR."""
    request = InjectedRequest(str(root), pipeline=arguments.pipeline, assignments=tuple(assignments))
    report(measure(request), console)


def on_pairs(arguments: argparse.Namespace, assignments: Sequence[str], console: Console) -> None:
    """Measure the judges on true paraphrases of captions, each picture taken for a video."""
    settings = load_pipeline(arguments.pipeline, None, assignments)
    ground, counts = settings.branch(RewriteSettings).ground, Counter[str]()
    encoders = [own for _, own in ground.used() if isinstance(own, EncoderJudgeSettings)]
    known = {mark for own in encoders for mark in trained_on(own.adapter)}
    pairs = [pair for pair in read_pairs(DEVELOPMENT) if evidence_mark(pair.evidence) not in known]
    sources = [_source(pair) for pair in spread(pairs, arguments.limit)]
    controls = make_controls(sources, ClaimParser(), counts)
    with judge_resources(settings) as resources:
        judged = judge_controls(controls, ground, resources, counts)
    figures = control_figures(judged, ground)
    console.print(f"{len(sources)} captions with a true paraphrase, {len(controls)} claims\n", markup=False)
    console.print(markdown(figures), markup=False, soft_wrap=True)
    together = next(each for each in figures if (each.judge, each.kind) == (CASCADE, "all injected"))
    console.print(f"\ninjected errors accepted {100 * together.share:.1f} %", markup=False)


def _source(pair: ClaimPair) -> SourceClaim:
    evidence = Evidence("frame@0.0", "F1", "frame", pair.evidence)
    return SourceClaim(pair.evidence, pair.id, CitedClaim(pair.supported, (evidence,)))


def _curate_videos(folder: str) -> Path:
    """Curate the fixtures' videos into a folder, without a language model."""
    program = [sys.executable, "-m", "curation.cli", "run", "demo", "--address", "local", "--quiet"]
    changes = [part for each in _CAPTIONS_ONLY for part in ("--set", each)]
    subprocess.run([*program, "--input", str(VIDEOS), "--output", folder, *changes], check=True, cwd=_REPOSITORY)
    return Path(folder)


def run(arguments: argparse.Namespace, console: Console) -> None:
    """Print one table for each source of claims."""
    judges = [f"rewrite.ground.judges=[{arguments.judges}]", "rewrite.ground.require=[]"]
    assignments = [*judges, *arguments.set]
    if arguments.dir is not None:
        on_dir(arguments.dir, arguments, assignments, console)
        return
    _title(console, "the demo", DEMO, "run `make demo` first")
    if DEMO.is_dir():
        on_dir(DEMO, arguments, assignments, console)
    _title(console, "fixtures/video", VIDEOS, "the folder shared/ is not beside this checkout")
    if VIDEOS.is_dir():
        with tempfile.TemporaryDirectory() as folder:
            on_dir(_curate_videos(f"{folder}/out"), arguments, assignments, console)
    _title(console, "captions of labelled pairs", DEVELOPMENT, "the folder shared/ is not beside this checkout")
    if DEVELOPMENT.is_file():
        on_pairs(arguments, assignments, console)


def _title(console: Console, name: str, path: Path, remedy: str) -> None:
    skipped = "" if path.exists() else f": skipped, there is no {path}; {remedy}"
    console.print(f"\n## {name}{skipped}\n", markup=False, soft_wrap=True)


def main() -> int:
    """Read the command line, measure and print; return 2 after a user's mistake."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--judges", default="words,encoder", help="judges to measure (default words,encoder)")
    parser.add_argument("--pipeline", default="demo", help="pipeline with their settings and engines (default demo)")
    parser.add_argument("--dir", type=Path, help="a DIR of your own in place of the three sources")
    parser.add_argument("--limit", type=int, default=400, help="most labelled pairs (default 400)")
    parser.add_argument("--set", action="append", default=[], metavar="a.b=c", help="change a setting of the pipeline")
    arguments = parser.parse_args()
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
