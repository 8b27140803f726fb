"""Shared parts of the training commands: settings from arguments, checks before a run, and exit statuses.

Nothing heavy is imported at the top: ``--help`` answers at once. Nothing here imports torch: a wrong flag, a wrong
setting, a folder or model that does not exist is reported before torch is imported.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from runtime.settings import Settings

S = TypeVar("S", bound="Settings")


def add_settings_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the ways to give settings: ``--config`` and ``--set``, and ``--print-config`` to show them."""
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings in YAML")
    parser.add_argument(
        "--set", action="append", default=[], metavar="A.B=C", dest="assignments", help="change one setting; repeatable"
    )
    parser.add_argument("--print-config", action="store_true", help="show all settings and stop")


def add_run_arguments(parser: argparse.ArgumentParser, output: str, rows: str, batch: int, length: str) -> None:
    """Add the arguments of every training run.

    Args:
        parser: of the command.
        output: default folder of the run.
        rows: unit of a batch, such as ``clips``.
        batch: default size of the global batch, for the help text.
        length: default length of a run, in words.
    """
    parser.add_argument("--output", type=Path, default=Path(output), metavar="DIR", help=f"the run (default {output})")
    parser.add_argument(
        "--resume", default="never", metavar="auto|FOLDER", help="continue from the newest checkpoint, or from this one"
    )
    parser.add_argument("--steps", type=int, metavar="N", help=f"optimizer steps (default: {length})")
    parser.add_argument("--batch-size", type=int, metavar="N", help=f"{rows} a step over all ranks (default {batch})")
    parser.add_argument("--seed", type=int, metavar="N", help="default 0")
    parser.add_argument("--profile", type=int, metavar="STEPS", help="trace so many steps with torch.profiler")
    parser.add_argument("--device", metavar="NAME", help="cpu or cuda (default: a GPU if there is one)")
    add_settings_arguments(parser)


def parse(
    parser: argparse.ArgumentParser,
    given: Sequence[str] | None,
    settings: Callable[[argparse.Namespace], type[Settings] | None],
) -> argparse.Namespace:
    """Parse arguments as `parse_args`; an unknown flag that is the name of a setting is answered with that setting.

    Args:
        parser: of the command.
        given: arguments; None: those of the process.
        settings: returns the class of the command's settings, if it has any; called only for an unknown flag.
    """
    arguments, unknown = parser.parse_known_args(given)
    if unknown:
        flag = next((word for word in unknown if word.startswith("--")), unknown[0]).partition("=")[0]
        parser.error(f"unrecognized arguments: {' '.join(unknown)}{_flag_hint(flag, settings(arguments))}")
    return arguments


def _flag_hint(flag: str, settings: type[Settings] | None) -> str:
    """Return a hint at the settings whose name, or almost its name, is that of a flag."""
    from difflib import get_close_matches

    from runtime.settings_page import setting_rows

    if settings is None or not flag.startswith("--"):
        return ""
    paths: dict[str, list[str]] = {}
    for row in setting_rows(settings):
        paths.setdefault(row.name.rpartition(".")[2], []).append(row.name)
    close = get_close_matches(flag.removeprefix("--").replace("-", "_"), paths, n=1, cutoff=0.8)
    return f" (write {' or '.join(f'--set {path}=VALUE' for path in paths[close[0]])})" if close else ""


def run_flags(arguments: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Return the flags of `add_run_arguments` as settings, by branch; None for a flag that was not given."""
    return {
        "loop": {"steps": arguments.steps, "batch_size": arguments.batch_size, "seed": arguments.seed},
        "compute": {"device": arguments.device, "profile": arguments.profile},
    }


def settings_of(
    model: type[S],
    arguments: argparse.Namespace,
    flags: Mapping[str, Any],
    defaults: Mapping[str, Any] | None = None,
) -> S:
    """Build settings from defaults, then ``--config``, then flags, then ``--set``; the later wins.

    Args:
        model: class of the settings.
        arguments: parsed arguments with `config` and `assignments`.
        flags: values of other flags; None for a flag that was not given.
        defaults: values that replace the classes' own defaults.

    Raises:
        UserError: a setting does not exist, or its value is not allowed.
    """
    from runtime.settings import build, load_yaml, merged, override

    values = merged(defaults or {}, load_yaml(arguments.config) if arguments.config else {})
    return build(model, override(merged(values, _given(flags)), arguments.assignments), "")


def asked_for(arguments: argparse.Namespace, flags: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that the user gives, without any defaults; arguments as of `settings_of`.

    Raises:
        UserError: the file can't be read, or an assignment is malformed.
    """
    from runtime.settings import load_yaml, merged, override

    below = load_yaml(arguments.config) if arguments.config else {}
    asked = override(merged(below, _given(flags)), arguments.assignments)
    return {branch: values for branch, values in asked.items() if isinstance(values, dict)}


def check_run_folder(output: Path, resume: str) -> None:
    """Refuse a run's folder, or a checkpoint, that a run can't use.

    Args:
        output: the run's folder.
        resume: ``never``, ``auto`` or the folder of a checkpoint.

    Raises:
        UserError: the folder holds a run and `resume` is ``never``; or there is no such checkpoint.
        MachineError: a checkpoint's record can't be read.
    """
    from training.engine.checkpoints.run_folder import checkpoint_to_resume

    if resume != "auto":  # the run itself looks for the newest whole checkpoint
        checkpoint_to_resume(output, resume)


def check_writable(output: Path) -> None:
    """Make a run's folder and refuse one that can't be written.

    Raises:
        UserError: it can't be made or written.
    """
    from training.engine.checkpoints import run_folder

    run_folder.check_writable(output)


def check_model(name: str) -> None:
    """Refuse a model that does not exist, as far as that is known without a download.

    Args:
        name: a model URI, or the path of a folder.

    Raises:
        UserError: the URI is malformed, or there is no such path.
    """
    from runtime.errors import UserError
    from runtime.models import model_uri

    if "://" in name:
        model_uri.check(name)
    elif not Path(name).exists():
        raise UserError(f"model {name}: there is no such folder; name the folder of a trained model, or a model URI")


def ended(program: str, action: Callable[[], int], *, resumable: bool = True) -> int:
    """Run `action`; return its exit status, or that of the error it raised.

    Args:
        program: name for messages.
        action: the work; returns an exit status.
        resumable: True if the message of an interrupted run says how to resume.

    Returns:
        The status that `action` returned; 1 for an error of the machine or a loss that is not finite; 2 for a mistake
        of the user; 130 if interrupted.
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
        sys.stderr.close()  # the reader of our output is gone (`… | head`)
        return 0
    except OSError as fault:
        if not is_machine_fault(fault):
            raise
        print(f"{program}: stopped: {fault}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        hint = "; --resume auto continues from the last checkpoint" if resumable else ""
        print(f"{program}: interrupted{hint}", file=sys.stderr)
        return 130


def _given(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values that are not None, without branches that hold nothing else."""
    nested = {name: _given(value) if isinstance(value, Mapping) else value for name, value in values.items()}
    return {name: value for name, value in nested.items() if value is not None and value != {}}
