"""What the commands of this package share: how settings are given, how a run is named, how a command ends.

Nothing heavy is imported before it is needed: ``--help`` answers at once.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from runtime.settings import Settings

S = TypeVar("S", bound="Settings")


def add_settings_arguments(parser: argparse.ArgumentParser) -> None:
    """The ways to give settings: ``--config``, ``--set``, and ``--print-config`` to see them."""
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings in YAML")
    parser.add_argument(
        "--set", action="append", default=[], metavar="A.B=C", dest="assignments", help="change one setting; repeatable"
    )
    parser.add_argument("--print-config", action="store_true", help="show all settings and stop")


def add_run_arguments(parser: argparse.ArgumentParser, output: str, rows: str, batch: int, length: str) -> None:
    """What every training run takes.

    Args:
        parser: of the command.
        output: default folder of the run.
        rows: what a batch is counted in, such as ``clips``.
        batch: default size of the global batch, for the help text.
        length: default length of a run, in words.
    """
    parser.add_argument("--output", type=Path, default=Path(output), metavar="DIR", help=f"the run (default {output})")
    parser.add_argument(
        "--resume", default="never", metavar="auto|FOLDER", help="go on from the newest checkpoint, or from this one"
    )
    parser.add_argument("--steps", type=int, metavar="N", help=f"optimizer steps (default: {length})")
    parser.add_argument("--batch-size", type=int, metavar="N", help=f"{rows} a step over all ranks (default {batch})")
    parser.add_argument("--seed", type=int, metavar="N", help="default 0")
    parser.add_argument("--device", metavar="NAME", help="cpu or cuda (default: a GPU where there is one)")
    add_settings_arguments(parser)


def run_flags(arguments: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """What the flags of `add_run_arguments` say, as settings."""
    return {
        "loop": {"steps": arguments.steps, "batch_size": arguments.batch_size, "seed": arguments.seed},
        "compute": {"device": arguments.device},
    }


def settings_of(
    model: type[S],
    arguments: argparse.Namespace,
    flags: Mapping[str, Any],
    defaults: Mapping[str, Any] | None = None,
) -> S:
    """Defaults, then ``--config``, then flags, then ``--set``: the later wins.

    Args:
        model: the tree of settings.
        arguments: with `config` and `assignments`.
        flags: what other flags say; None stands for a flag that was not given.
        defaults: what takes the place of the classes' own defaults.

    Raises:
        UserError: a setting that does not exist or can't be.
    """
    from runtime.settings import build, load_yaml, merged, override

    values = merged(defaults or {}, load_yaml(arguments.config) if arguments.config else {})
    return build(model, override(merged(values, _given(flags)), arguments.assignments), "")


def asked_for(arguments: argparse.Namespace, flags: Mapping[str, Any]) -> dict[str, Any]:
    """What the user sets, without any defaults; arguments as of `settings_of`.

    Raises:
        UserError: the file can't be read, or an assignment is none.
    """
    from runtime.settings import load_yaml, merged, override

    below = load_yaml(arguments.config) if arguments.config else {}
    asked = override(merged(below, _given(flags)), arguments.assignments)
    return {branch: values for branch, values in asked.items() if isinstance(values, dict)}


def ended(program: str, action: Callable[[], int], *, resumable: bool = True) -> int:
    """Run `action`; its exit status, or that of the error it ended with.

    Args:
        program: name for messages.
        action: the work; returns an exit status.
        resumable: whether an interrupted run is told how to go on.

    Returns:
        What `action` returned; 1 the machine gave up, or a loss is no number; 2 a mistake in what was asked; 130
        interrupted.
    """
    from runtime.errors import MachineError, UserError, is_machine_fault
    from shards.errors import ShardError
    from training.engine.training_task import NonFiniteLoss

    try:
        return action()
    except (UserError, ShardError) as mistake:
        print(f"{program}: {mistake}", file=sys.stderr)
        return 2
    except (MachineError, NonFiniteLoss) as fault:
        print(f"{program}: stopped: {fault}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        sys.stderr.close()  # the reader of our output has gone (`… | head`)
        return 0
    except OSError as fault:
        if not is_machine_fault(fault):
            raise
        print(f"{program}: stopped: {fault}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        hint = "; --resume auto goes on from the last checkpoint" if resumable else ""
        print(f"{program}: interrupted{hint}", file=sys.stderr)
        return 130


def _given(values: Mapping[str, Any]) -> dict[str, Any]:
    """Without the values that are None, and the branches that hold nothing else."""
    found = {name: _given(value) if isinstance(value, Mapping) else value for name, value in values.items()}
    return {name: value for name, value in found.items() if value is not None and value != {}}
