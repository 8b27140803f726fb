"""`train-vidla export`: a trained model as a folder for other programs, with its card, and its upload to the model hub.

Nothing heavy is imported before `run`.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from huggingface_hub import HfApi

    from runtime.models.hub_push import HubTarget

FORMATS: Final = ("hf", "open_clip")

EXAMPLES: Final = """\
examples:
  train-vidla export run/best --output vidla-b32 --scores msrvtt.json --license apache-2.0
      a folder that AutoModel.from_pretrained opens, with the scores of `eval-vidla --output msrvtt.json` in its card
  train-vidla export run/best --output vidla-b32 --push hub:me/vidla-b32 --private
      and its upload to a private repository of the model hub
"""


def parser() -> argparse.ArgumentParser:
    """Return the parser of the arguments."""
    made = argparse.ArgumentParser(
        prog="train-vidla export",
        description="Write a trained model as a folder that other programs open, with a model card.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("model", type=Path, metavar="MODEL", help="folder of a trained model (RUN/best)")
    made.add_argument("--output", type=Path, required=True, metavar="FOLDER", help="new folder, or an earlier export")
    made.add_argument(
        "--format",
        choices=FORMATS,
        default=FORMATS[0],
        help="hf (default): the whole model, for transformers; open_clip: only a model without attention over time",
    )
    made.add_argument("--name", help="name in the card (default: that of --push, otherwise of the folder)")
    made.add_argument(
        "--license", metavar="ID", help="license of the weights, as the hub writes it: apache-2.0, cc-by-4.0"
    )
    made.add_argument(
        "--scores",
        type=Path,
        nargs="+",
        default=[],
        metavar="FILE",
        help="files of `eval-vidla --output`, for the card",
    )
    made.add_argument("--push", metavar="hub:ORG/NAME", help="upload to this model repository of the model hub")
    made.add_argument("--private", action="store_true", help="with --push: a private repository")
    made.add_argument("--revision", metavar="BRANCH", help="with --push: a branch, created if it is not there")
    return made


def run(arguments: argparse.Namespace) -> int:
    """Write the folder, and upload it; return the exit status.

    Raises:
        UserError: the arguments don't fit, `model` holds no model, or `--output` holds something else.
        MachineError: the hub can't be reached.
    """
    target = _target(arguments)
    _check_output(arguments.output)
    from training.vidla.delivery.model_card import card, model_facts

    name = arguments.name or (target.repository if target else arguments.output.name)
    facts = model_facts(arguments.model, name, arguments.license, arguments.scores)
    if arguments.format == "open_clip":
        from training.vidla.delivery.open_clip_folder import write_open_clip_folder

        write_open_clip_folder(arguments.model, arguments.output, card(facts, arguments.format))
    else:
        from training.vidla.delivery.transformers_folder import write_transformers_folder

        write_transformers_folder(arguments.model, arguments.output, card(facts, arguments.format))
    print(f"written to {arguments.output}")
    if target is not None:
        print(f"uploaded to {_upload(arguments.output, target)}")
    return 0


def _target(arguments: argparse.Namespace) -> HubTarget | None:
    """Return where to upload to, with its token checked before anything is written.

    Raises:
        UserError: the flags don't fit, or the hub refuses the token.
    """
    from runtime.errors import UserError

    if arguments.push is None:
        for flag in ("private", "revision"):
            if getattr(arguments, flag):
                raise UserError(f"--{flag}: is for an upload; name the repository with --push hub:ORG/NAME")
        return None
    from runtime.models.hub_push import HubTarget, check_token

    target = HubTarget.parse(arguments.push, "model", private=arguments.private, revision=arguments.revision)
    check_token(target)
    return target


def _check_output(folder: Path) -> None:
    """Refuse a folder that holds something other than an export.

    Raises:
        UserError: it does.
    """
    from runtime.errors import UserError
    from training.vidla.delivery import MARK, README

    names: Sequence[Path] = sorted(folder.iterdir()) if folder.is_dir() else [folder] if folder.exists() else []
    if names and not (folder.is_dir() and (folder / README).is_file() and MARK in (folder / README).read_text()):
        raise UserError(f"--output {folder}: holds something else ({names[0].name}); name a new folder")


def _upload(folder: Path, target: HubTarget) -> str:
    """Upload a folder; return the address of its page."""
    from runtime.models.hub_push import upload_with_retries

    def upload_once(api: HfApi) -> None:
        api.upload_folder(
            repo_id=target.repository,
            repo_type=target.kind,
            folder_path=folder,
            revision=target.revision,
            commit_message="Upload a model of clipgrove",
        )

    return upload_with_retries(target, upload_once)
