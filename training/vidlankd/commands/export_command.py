"""`train-vidlankd export`: write a student or teacher as a plain Hugging Face BERT folder."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final

from training.vidlankd.commands.subcommand import Subcommand


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--checkpoint",
        required=True,
        type=Path,
        metavar="FOLDER",
        help="RUN/best or a checkpoint of a student or teacher",
    )
    parser.add_argument("--output", required=True, type=Path, metavar="DIR", help="a new folder")


def _run(arguments: argparse.Namespace) -> int:
    from training.vidlankd.bert_export import export

    export(arguments.checkpoint, arguments.output)
    print(f"{arguments.output}: open it with transformers.AutoModel.from_pretrained({str(arguments.output)!r})")
    return 0


EXPORT: Final = Subcommand("export", "a plain Hugging Face BERT folder", _add_arguments, _run)
