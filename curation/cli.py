"""The command `curate`: calls one function for its arguments (`curation.command_line`), and returns an exit status.

    curate run demo --input talks/ --output out
    curate inspect out --level long

Each subcommand imports what it needs when it is called, so `curate --help` answers at once.
Exit status: 0 done; 1 problems found, or the machine can't go on; 2 a mistake of the user; 130 interrupted
(Ctrl-C or SIGTERM).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from curation.command_line import command_parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand and return its exit status."""
    arguments = command_parser().parse_args(argv)
    from runtime.errors import MachineError, UserError, UserErrors
    from runtime.ray_runner.interrupts import sigterm_as_ctrl_c
    from runtime.terminal import on_one_line
    from shards.errors import ShardError
    from shards.storage.storage_errors import StorageError
    from shards.storage.url_secrets import without_secrets

    try:
        with sigterm_as_ctrl_c():
            return int(_COMMANDS[arguments.command](arguments))
    except (UserError, ShardError) as mistake:
        for line in mistake.errors if isinstance(mistake, UserErrors) else (mistake,):
            print(f"curate: {on_one_line(without_secrets(str(line)))}", file=sys.stderr)
        return 2
    except (MachineError, StorageError) as fault:
        print(f"curate: stopped: {on_one_line(without_secrets(str(fault)))}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        sys.stderr.close()  # the reader of the output has ended (`curate inspect out | head`)
        return 0
    except KeyboardInterrupt:
        print("curate: interrupted; finished shards are kept, and the same command resumes from there", file=sys.stderr)
        return 130


def _run(arguments: argparse.Namespace) -> int:
    if arguments.print_config:
        from curation.view.print_config import print_config

        return print_config(arguments)
    from curation.run import run

    return run(arguments)


def _plan(arguments: argparse.Namespace) -> int:
    from curation.view.plan_report import show_plan

    return show_plan(arguments)


def _pipelines(arguments: argparse.Namespace) -> int:
    from curation.view.pipeline_list import show_pipelines

    return show_pipelines(arguments.config)


def _status(arguments: argparse.Namespace) -> int:
    from curation.view.status import show_status

    return show_status(arguments.dir, prices=arguments.prices, quick=arguments.quick)


def _inspect(arguments: argparse.Namespace) -> int:
    from curation.view.inspect_clips import ClipQuery, show_clips

    query = ClipQuery(
        arguments.layer, arguments.key, arguments.level, arguments.where, arguments.limit, arguments.selection
    )
    return show_clips(arguments.dir, query, viewer=arguments.viewer)


def _select(arguments: argparse.Namespace) -> int:
    from curation.view.selecting.select_clips import show_select

    return show_select(arguments)


def _check(arguments: argparse.Namespace) -> int:
    from curation.view.check_command import show_check

    return show_check(arguments.dir, decode=not arguments.quick, selection=arguments.selection)


def _export(arguments: argparse.Namespace) -> int:
    from curation.view.exporting.export_command import show_export

    return show_export(arguments)


def _audit(arguments: argparse.Namespace) -> int:
    from curation.view.audit.audit_command import show_audit
    from curation.view.injected.injected_command import show_injected

    measures = arguments.injected or arguments.fit is not None
    if not measures or arguments.sample is not None or arguments.labels is not None or arguments.report:
        show_audit(arguments)
    return show_injected(arguments) if measures else 0


def _dedup(arguments: argparse.Namespace) -> int:
    from curation.view.duplicates.dedup_command import show_dedup

    return show_dedup(arguments)


def _remove(arguments: argparse.Namespace) -> int:
    from curation.view.selecting.removal_command import show_remove

    return show_remove(arguments)


def _view(arguments: argparse.Namespace) -> int:
    from curation.view.browser.view_command import show_view

    return show_view(arguments)


def _card(arguments: argparse.Namespace) -> int:
    from curation.view.card.card_command import show_card

    return show_card(arguments)


def _clean_of(arguments: argparse.Namespace) -> int:
    from curation.view.duplicates.clean_of_command import show_clean_of

    return show_clean_of(arguments)


_COMMANDS = {
    "run": _run,
    "plan": _plan,
    "pipelines": _pipelines,
    "status": _status,
    "inspect": _inspect,
    "select": _select,
    "check": _check,
    "export": _export,
    "audit": _audit,
    "dedup": _dedup,
    "remove": _remove,
    "view": _view,
    "card": _card,
    "clean-of": _clean_of,
}


if __name__ == "__main__":
    sys.exit(main())
