"""The arguments of the command `curate`: its subcommands, their flags and examples."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TypeAlias

_RUN_EXAMPLES = """\
examples:
  curate run demo --input videos/ --output out
      all videos under videos/, on two CPU cores, without a GPU
  curate run grounded --input urls.txt talk.mp4 --output /data/out --set engines.vlm.model=hf://Qwen/Qwen3.5-4B
      a list of URLs and a file, with another model
  curate run vidla --input list.parquet --output /data/out --stages media
      download and cut only; run again without --stages for the texts
  curate run grounded --output /data/out --layer strict --set rewrite.ground.text.threshold=0.9
      a second text layer over the same media and sources
  curate run grounded --output /data/out --stages select --set filters.min_motion=0.01
      choose clips anew, in seconds and without a model
  curate run demo --input urls.txt --output out --retry-failed network,rate_limited
      try the sources that failed with these classes again
  curate run demo --input talk.mp4 --output out --address local
      all stages in this process, without Ray: for a debugger
  curate run grounded --set caption.max_tokens=48 --print-config
      the settings that this run would use
"""

_PLAN_EXAMPLES = """\
examples:
  curate plan grounded --input urls.txt --output /data/out
  curate plan grounded --input urls.txt --output /data/out --probe 2
      runs two shards aside and predicts hours, GPU-hours, gigabytes, tokens and requests; `curate status` shows
      later what it really took
  curate plan grounded --input urls.txt --output /data/out --probe 4 --nodes 8 --prices prices.yaml
      for eight machines like this one, and in money
"""

_PIPELINES_EXAMPLES = """\
examples:
  curate pipelines
  curate pipelines --config mine.yaml
"""

_STATUS_EXAMPLES = """\
examples:
  curate status out
  curate status out --quick
      how far a run is, from listings alone
  curate status out --prices prices.yaml
      prices.yaml: currency, cpu_hour, gpu_hour, million_prompt_tokens, million_completion_tokens,
      million_requests, gigabyte_in, gigabyte_month
"""

_INSPECT_EXAMPLES = """\
examples:
  curate inspect out
  curate inspect out --level long --limit 3
  curate inspect out --where "keep and grounding_score > 0.8 and language = 'en'"
  curate inspect out --key 0f3a9b5c21d4e687_000012000_000043000
"""

_AUDIT_EXAMPLES = """\
examples:
  curate audit out --sample 200
      writes a page with 200 clips, on which a person labels their claims, and labels.csv to do it in a spreadsheet
  curate audit out --sample 200 --where "level = 'short' and language = 'de'"
  curate audit out --labels labels.csv --labeller Ana
  curate audit out --report
      how many claims are true, before and after each judge, with 95 % intervals
  curate audit out --injected
      how many injected errors and shuffled clips each judge accepts, by kind, on the claims of this layer
  curate audit out --injected --set rewrite.ground.encoder.threshold=0.8
  curate audit out --fit 0.05
      thresholds at which the judges together accept 5 % of the false claims, as a settings file for `curate run`: of
      the claims that people labelled, if ten are true and ten are false, and otherwise of injected errors
"""

_EXPORT_EXAMPLES = """\
examples:
  curate export out --format webdataset --unit clip --output tars
      mp4, txt, jpg and json for each clip, for stock webdataset, open_clip and video2dataset readers
  curate export out --format hf --output dataset
      Parquet with a video column: datasets.load_dataset("dataset"), also with streaming=True
  curate export out --format lance --output table
      a Lance table with the vectors of scores and full-text search; needs `pip install pylance`
  curate export out --format hf --output dataset --push hub:me/clips --private
      uploads it, too, with the token of HF_TOKEN or `hf auth login`; run it again if it was interrupted
  curate export out --format jsonl --unit root --output rows
  curate export out --format webdataset --text caption --null-text skip --output captions
"""


def command_parser() -> argparse.ArgumentParser:
    """Return the parser of `curate` with all of its subcommands."""
    parser = argparse.ArgumentParser(
        prog="curate",
        description="Turn raw web video into shards of clips with visually grounded text.",
        epilog="`curate COMMAND --help` has examples. Start with: curate run demo --input VIDEO --output out",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_run(commands)
    _add_plan(commands)
    _add_pipelines(commands)
    _add_status(commands)
    _add_inspect(commands)
    check = _add_for_dir(commands, "check", "check every byte, row and tree; list the problems with exit status 1")
    check.add_argument("--quick", action="store_true", help="check sizes, hashes and trees only; decode nothing")
    check.add_argument("--select", metavar="NAME", dest="selection", help="selection to check (default: all)")
    _add_select(commands)
    _add_export(commands)
    _add_audit(commands)
    _add_dedup(commands)
    _add_removal(commands)
    _add_view(commands)
    _add_card(commands)
    _add_clean_of(commands)
    return parser


_Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def _add(commands: _Commands, name: str, summary: str, examples: str = "") -> argparse.ArgumentParser:
    """Add a subcommand whose description is its summary."""
    return commands.add_parser(
        name,
        help=summary,
        description=summary[0].upper() + summary[1:] + ".",
        epilog=examples,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def _add_for_dir(commands: _Commands, name: str, summary: str, examples: str = "") -> argparse.ArgumentParser:
    """Add a subcommand that reads a curated DIR."""
    parser = _add(commands, name, summary, examples)
    parser.add_argument("dir", metavar="DIR", help="folder (or object-store URL) that `curate run` wrote")
    return parser


def _add_run(commands: _Commands) -> None:
    parser = _add(
        commands, "run", "curate sources into DIR; run it again to resume, or to add more sources", _RUN_EXAMPLES
    )
    _add_request(parser)
    parser.add_argument("--quiet", action="store_true", help="show no progress; only warnings and the summary")
    parser.add_argument(
        "--print-config", action="store_true", help="print the settings that would be used, with descriptions, and stop"
    )


def _add_plan(commands: _Commands) -> None:
    parser = _add(
        commands,
        "plan",
        "check all that a run needs, and show what it would do; changes nothing",
        _PLAN_EXAMPLES,
    )
    _add_request(parser)
    parser.add_argument(
        "--probe", type=_positive, metavar="K", help="run K shards' worth of sources aside, and predict the cost of all"
    )
    parser.add_argument(
        "--nodes", type=_positive, default=1, metavar="N", help="predict for N machines like this one (default 1)"
    )
    _add_prices(parser)


def _add_pipelines(commands: _Commands) -> None:
    parser = _add(commands, "pipelines", "list the pipelines and what each needs", _PIPELINES_EXAMPLES)
    parser.add_argument("--config", type=Path, metavar="FILE", help="your own pipelines.yaml")


def _add_request(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that `run` and `plan` share."""
    parser.add_argument(
        "pipeline", metavar="PIPELINE", help="a name in pipelines.yaml: demo, vidla, grounded, or yours"
    )
    parser.add_argument(
        "--input",
        nargs="+",
        default=[],
        metavar="SRC",
        help="URLs, files, folders, globs, or manifests (.txt, .csv, .jsonl, .parquet with a column `url`); "
        "may be left out if DIR holds sources already",
    )
    parser.add_argument("--output", metavar="DIR", help="folder or object-store URL to write")
    parser.add_argument("--config", type=Path, metavar="FILE", help="your own pipelines.yaml")
    parser.add_argument(
        "--set", action="append", default=[], metavar="A.B=C", dest="assignments", help="change one setting; repeatable"
    )
    parser.add_argument(
        "--stages",
        type=_names,
        metavar="NAMES",
        help="run only these stages (such as media,caption); several then take turns instead of streaming",
    )
    parser.add_argument("--layer", metavar="NAME", help="text layer to write (default: the pipeline's name)")
    parser.add_argument(
        "--select",
        metavar="NAME",
        dest="selection",
        help="selection of clips to write (default: the name of the text layer)",
    )
    parser.add_argument(
        "--replace",
        action="store_true",
        help="rebuild the layer with changed settings, and swap when complete",
    )
    parser.add_argument("--limit", type=_positive, metavar="N", help="take at most N new sources")
    parser.add_argument("--exclude", metavar="IDS", help="file or comma-separated list of ids or URLs to leave out")
    parser.add_argument(
        "--retry-failed",
        nargs="?",
        const=(),
        type=_names,
        metavar="CLASS,…",
        help="put failed sources (of these classes; default all) into new shards; `judge`: rewrite shards with clips "
        "that a judge of claims failed on",
    )
    _add_machines(parser)


def _add_machines(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that say where the work is done."""
    parser.add_argument(
        "--scratch",
        type=Path,
        metavar="DIR",
        help="fast local disk for work in progress (default: OUTPUT/.scratch; if OUTPUT is in an object store or on a "
        "network file system, the temporary folder of each node)",
    )
    parser.add_argument(
        "--address", metavar="RAY", help="a running Ray cluster (`auto`, or host:port), or `local`: run without Ray"
    )
    parser.add_argument(
        "--wait-for-nodes",
        type=float,
        default=0.0,
        metavar="SECONDS",
        help="on a cluster that is too small, ask its autoscaler for nodes and wait for them (default: refuse at once)",
    )


def _add_status(commands: _Commands) -> None:
    summary = "show a run at work, the state of every source, figures of the clips, and what the runs cost"
    parser = _add_for_dir(commands, "status", summary, _STATUS_EXAMPLES)
    parser.add_argument("--quick", action="store_true", help="show only a run at work and the shards that are made")
    _add_prices(parser)


def _add_prices(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--prices", type=Path, metavar="FILE", help="YAML file with prices of hours and tokens, to show money too"
    )


def _add_inspect(commands: _Commands) -> None:
    parser = _add_for_dir(commands, "inspect", "show clips with their texts in the terminal", _INSPECT_EXAMPLES)
    parser.add_argument("--key", help="show one clip, with its claims and evidence")
    parser.add_argument("--level", choices=("short", "medium", "long"))
    parser.add_argument("--layer", help="text layer (default: the only one)")
    parser.add_argument(
        "--select", metavar="NAME", dest="selection", help="selection of clips (default: that of the layer)"
    )
    parser.add_argument("--where", metavar="SQL", help="DuckDB's SQL over the clips' and the manifest's columns")
    parser.add_argument("--limit", type=_positive, default=10, metavar="N", help="clips to show (default 10)")
    parser.add_argument(
        "--viewer",
        default="http://127.0.0.1:8765",
        metavar="ADDRESS",
        help="address that `curate view` printed, for the links of a terminal (default http://127.0.0.1:8765)",
    )


def _add_select(commands: _Commands) -> None:
    from curation.view.selecting.select_arguments import EXAMPLES, add_select

    add_select(
        _add_for_dir(commands, "select", "choose the clips to train on, in seconds and from tables alone", EXAMPLES)
    )


def _add_export(commands: _Commands) -> None:
    parser = _add_for_dir(commands, "export", "write self-contained samples for other tools", _EXPORT_EXAMPLES)
    parser.add_argument(
        "--format",
        required=True,
        choices=("webdataset", "hf", "lance", "jsonl"),
        help="tars; a dataset of Hugging Face's `datasets`; a Lance table; or lines that refer to bytes of DIR",
    )
    parser.add_argument(
        "--unit", default="clip", choices=("clip", "root"), help="one sample a clip (default) or a root"
    )
    parser.add_argument("--output", required=True, metavar="OUT", help="new folder (or object-store URL) to write")
    parser.add_argument("--layer", help="text layer (default: the only one)")
    parser.add_argument(
        "--select", metavar="NAME", dest="selection", help="selection of clips (default: that of the layer)"
    )
    parser.add_argument("--where", metavar="SQL", help="DuckDB's SQL over the clips' and the manifest's columns")
    parser.add_argument("--all", action="store_true", help="include the clips that the filters dropped")
    parser.add_argument(
        "--text",
        default="grounded",
        metavar="WORD",
        help="text of a sample: grounded (default: only what can be seen), caption, subtitle (speech), or a column",
    )
    parser.add_argument(
        "--null-text",
        default="keep",
        choices=("keep", "skip"),
        help="clips without that text: write them without text (keep, the default), or leave them out (skip)",
    )
    parser.add_argument(
        "--video",
        choices=("bytes", "reference"),
        help="of hf and lance: videos inside the tables (default), or as files beside them",
    )
    parser.add_argument(
        "--push",
        metavar="hub:ORG/NAME",
        help="upload the export to a dataset repository of the model hub; the same command continues an upload",
    )
    parser.add_argument(
        "--private", action="store_true", help="of --push: a private repository; a public one is refused"
    )
    parser.add_argument("--revision", metavar="BRANCH", help="of --push: branch to write (default: main)")


def _add_audit(commands: _Commands) -> None:
    from curation.view.injected.injected_arguments import add_injected

    parser = _add_for_dir(
        commands, "audit", "measure how many claims are true, and how often judges are wrong", _AUDIT_EXAMPLES
    )
    parser.add_argument("--sample", type=_positive, metavar="N", help="draw N clips, and write a page to label them on")
    parser.add_argument(
        "--where", metavar="SQL", help="draw from the clips that fulfil a condition in DuckDB's SQL, as in `inspect`"
    )
    parser.add_argument("--labels", type=Path, metavar="FILE", help="store filled-in labels (CSV or Parquet)")
    parser.add_argument("--report", action="store_true", help="show what the stored labels say")
    parser.add_argument("--layer", metavar="NAME", help="text layer (default: the only one)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="another number draws other clips (default 0)")
    parser.add_argument("--labeller", metavar="NAME", help="name for the rows of FILE that have none")
    add_injected(parser)


def _add_dedup(commands: _Commands) -> None:
    from curation.view.duplicates.dedup_arguments import EXAMPLES, add_dedup

    summary = "find exact, perceptual and semantic duplicates over all shards"
    add_dedup(_add_for_dir(commands, "dedup", summary, EXAMPLES))


def _add_removal(commands: _Commands) -> None:
    from curation.view.selecting.removal_arguments import REMOVE_EXAMPLES, add_removal

    summary = "remove videos on request: bytes, texts, features and logs; they are not taken again"
    add_removal(_add_for_dir(commands, "remove", summary, REMOVE_EXAMPLES))


def _add_view(commands: _Commands) -> None:
    from curation.view.browser.view_arguments import EXAMPLES, add_view

    summary = "show clips, claims, audit and runs in the browser"
    parser = _add_for_dir(commands, "view", summary, EXAMPLES)
    add_view(parser)
    _add_prices(parser)


def _add_card(commands: _Commands) -> None:
    from curation.view.card.card_arguments import EXAMPLES, add_card

    summary = "write a dataset card, a report to look at, and Croissant metadata, all computed from DIR"
    add_card(_add_for_dir(commands, "card", summary, EXAMPLES))


def _add_clean_of(commands: _Commands) -> None:
    from curation.view.duplicates.clean_of_arguments import EXAMPLES, add_clean_of

    summary = "find clips that show or say what a benchmark scores models on"
    add_clean_of(_add_for_dir(commands, "clean-of", summary, EXAMPLES))


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: must be a whole number of 1 or more")
    return int(text)


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())
