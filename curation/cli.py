"""The command `curate`: arguments in, one function called, exit status out.

    curate run demo --input talks/ --output out
    curate inspect out --level long

Nothing heavy is imported before a subcommand needs it: `curate --help` answers at once.
Exit status: 0 done; 1 problems found or the machine gave up; 2 a mistake in what was asked; 130 interrupted.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

_RUN_EXAMPLES = """\
examples:
  curate run demo --input videos/ --output out
      every video under videos/, on two CPU cores, without a GPU
  curate run grounded --input urls.txt talk.mp4 --output /data/out --set engines.vlm.model=hf://Qwen/Qwen3-VL-4B-Instruct
      a list of URLs and a file, another model
  curate run vidla --input list.parquet --output /data/out --stages media
      download and cut only; run again without --stages for the texts
  curate run grounded --input urls.txt --output /data/out --layer strict --set rewrite.ground.min_coverage=0.9
      a second text layer over the same media
  curate run demo --input urls.txt --output out --retry-failed network,rate_limited
      failed sources of these classes once more
"""

_PLAN_EXAMPLES = """\
examples:
  curate plan grounded --input urls.txt --output /data/out
  curate plan grounded --input urls.txt --output /data/out --probe 2
      runs two shards aside and extrapolates hours, GPU-hours, gigabytes and tokens
"""

_INSPECT_EXAMPLES = """\
examples:
  curate inspect out
  curate inspect out --level long --limit 3
  curate inspect out --where "keep and grounding_score > 0.8 and language = 'en'"
  curate inspect out --key 0f3a9b5c21d4e687_000012000_000043000
"""

_EXPORT_EXAMPLES = """\
examples:
  curate export out --format webdataset --unit clip --output tars
      mp4 + txt + jpg + json a clip, for stock webdataset, open_clip and video2dataset readers
  curate export out --format jsonl --unit root --output rows
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand; the exit status."""
    arguments = _parser().parse_args(argv)
    from runtime.errors import MachineError, UserError
    from shards.errors import ShardError

    try:
        return int(_COMMANDS[arguments.command](arguments))
    except (UserError, ShardError) as mistake:
        print(f"curate: {mistake}", file=sys.stderr)
        return 2
    except MachineError as fault:
        print(f"curate: stopped: {fault}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        sys.stderr.close()  # the reader of our output has gone (`curate inspect out | head`)
        return 0
    except KeyboardInterrupt:
        print("curate: interrupted; what is committed stays, the same command goes on from there", file=sys.stderr)
        return 130


def _run(arguments: argparse.Namespace) -> int:
    from curation.run import run

    return run(arguments)


def _plan(arguments: argparse.Namespace) -> int:
    from curation.view.plan_report import show_plan

    return show_plan(arguments)


def _status(arguments: argparse.Namespace) -> int:
    from curation.view.status import show_status

    return show_status(arguments.dir)


def _inspect(arguments: argparse.Namespace) -> int:
    from curation.view.inspect_clips import Selection, show_clips

    selection = Selection(arguments.layer, arguments.key, arguments.level, arguments.where, arguments.limit)
    return show_clips(arguments.dir, selection)


def _check(arguments: argparse.Namespace) -> int:
    from curation.view.check_and_export import show_check

    return show_check(arguments.dir, decode=not arguments.quick)


def _export(arguments: argparse.Namespace) -> int:
    from curation.view.check_and_export import show_export

    return show_export(arguments)


_COMMANDS = {
    "run": _run,
    "plan": _plan,
    "status": _status,
    "inspect": _inspect,
    "check": _check,
    "export": _export,
}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="curate",
        description="From raw web video to shards of clips with visually grounded text.",
        epilog="`curate COMMAND --help` has examples. Start with: curate run demo --input VIDEO --output out",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_run(commands)
    _add_plan(commands)
    _add(commands, "status", "what became of every source, and what the clips are like", "")
    _add_inspect(commands)
    check = _add(commands, "check", "integrity of every byte, row and tree; exit status 1 and a list where not", "")
    check.add_argument("--quick", action="store_true", help="sizes, hashes and trees only; decode nothing")
    _add_export(commands)
    return parser


def _add(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], name: str, summary: str, examples: str
) -> argparse.ArgumentParser:
    """A subcommand that takes a curated DIR."""
    parser = commands.add_parser(
        name,
        help=summary,
        description=summary[0].upper() + summary[1:] + ".",
        epilog=examples,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("dir", metavar="DIR", help="a folder (or object-store URL) that `curate run` wrote")
    return parser


def _add_run(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "run",
        help="curate sources into DIR; run again to go on, or to add more",
        description="Curate sources into DIR. What is done already is not done again.",
        epilog=_RUN_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_job(parser)
    parser.add_argument("--quiet", action="store_true", help="no live view; warnings and the final summary only")


def _add_plan(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "plan",
        help="validate a run and say what it would do; touches nothing",
        description="Validate everything a run needs and say what it would do. Touches nothing.",
        epilog=_PLAN_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_job(parser)
    parser.add_argument(
        "--probe", type=_positive, metavar="K", help="run K shards' worth of sources aside and extrapolate"
    )


def _add_job(parser: argparse.ArgumentParser) -> None:
    """The arguments that `run` and `plan` share."""
    parser.add_argument(
        "pipeline", metavar="PIPELINE", help="a name in pipelines.yaml: demo, vidla, grounded, or yours"
    )
    parser.add_argument(
        "--input",
        nargs="+",
        required=True,
        metavar="SRC",
        help="URLs, files, folders, globs, or manifests (.txt, .csv, .jsonl, .parquet with a column `url`)",
    )
    parser.add_argument("--output", required=True, metavar="DIR", help="folder or object-store URL to write")
    parser.add_argument("--config", type=Path, metavar="FILE", help="your own pipelines.yaml")
    parser.add_argument(
        "--set", action="append", default=[], metavar="A.B=C", dest="assignments", help="change one setting; repeatable"
    )
    parser.add_argument(
        "--stages",
        type=_names,
        metavar="NAMES",
        help="only these of media,caption,rewrite; several then take turns instead of streaming",
    )
    parser.add_argument("--layer", metavar="NAME", help="text layer to write (default: the pipeline's name)")
    parser.add_argument(
        "--replace", action="store_true", help="rebuild the layer with changed settings beside it, swap when complete"
    )
    parser.add_argument("--limit", type=_positive, metavar="N", help="take at most N new sources")
    parser.add_argument("--exclude", metavar="IDS", help="file or comma-separated list of ids or URLs to leave out")
    parser.add_argument(
        "--retry-failed",
        nargs="?",
        const=(),
        type=_names,
        metavar="CLASS,…",
        help="put failed sources (of these classes; default all) into new shards",
    )
    parser.add_argument("--scratch", type=Path, metavar="DIR", help="fast local disk for work in progress")
    parser.add_argument("--address", metavar="RAY", help="a running Ray cluster (`auto`, or host:port)")


def _add_inspect(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = _add(
        commands, "inspect", "read curated captions in the terminal, straight from Parquet", _INSPECT_EXAMPLES
    )
    parser.add_argument("--key", help="one clip, with its claims and evidence")
    parser.add_argument("--level", choices=("short", "medium", "long"))
    parser.add_argument("--layer", help="text layer (default: the only one)")
    parser.add_argument("--where", metavar="SQL", help="condition over the columns, in DuckDB's SQL")
    parser.add_argument("--limit", type=_positive, default=10, metavar="N", help="clips to show (default 10)")


def _add_export(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = _add(commands, "export", "write self-contained samples for other tools", _EXPORT_EXAMPLES)
    parser.add_argument("--format", required=True, choices=("webdataset", "jsonl"))
    parser.add_argument("--unit", default="clip", choices=("clip", "root"), help="one sample a clip, or one a root")
    parser.add_argument("--output", required=True, type=Path, metavar="OUT")
    parser.add_argument("--layer", help="text layer (default: the only one)")
    parser.add_argument("--where", metavar="SQL", help="condition over the columns, in DuckDB's SQL")
    parser.add_argument("--all", action="store_true", help="clips that the filters dropped too")
    parser.add_argument(
        "--text", default="grounded_text", metavar="COLUMN", help="column for .txt; a caption where it is null"
    )


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: must be a whole number of 1 or more")
    return int(text)


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


if __name__ == "__main__":
    sys.exit(main())
