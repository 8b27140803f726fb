"""A subcommand of `train-vidlankd`: its help, its arguments and the function that runs it.

Modules of this folder import nothing heavy at their top: `train-vidlankd --help` answers at once.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

SIZES: Final = ("tiny", "mini", "small", "base")
"""Names of model sizes for `--size`."""


@dataclass(frozen=True)
class Subcommand:
    """A subcommand, as it is registered in `training.vidlankd.train_vidlankd`."""

    name: str
    summary: str
    """A few words, without a full stop."""
    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]
    """Run with the parsed arguments; returns the exit status."""
    examples: str = ""
    resumable: bool = False
    """True if an interrupted run can be resumed."""

    def add_parser(self, commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
        """Add the parser of this subcommand."""
        parser = commands.add_parser(
            self.name,
            help=self.summary,
            description=self.summary[0].upper() + self.summary[1:] + ".",
            epilog=self.examples,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        self.add_arguments(parser)


def add_shards(parser: argparse.ArgumentParser, required: bool = True) -> None:
    """Add `--shards`."""
    parser.add_argument(
        "--shards",
        nargs="+",
        required=required,
        metavar="DIR",
        help="folders or object-store URLs that `curate run` wrote",
    )


def add_size(parser: argparse.ArgumentParser) -> None:
    """Add `--size`, the preset of a BERT shape."""
    parser.add_argument("--size", choices=SIZES, help="preset of layers and widths (default base)")


def add_device(parser: argparse.ArgumentParser) -> None:
    """Add `--device`."""
    parser.add_argument("--device", metavar="NAME", help="cpu or cuda (default: a GPU if there is one)")
