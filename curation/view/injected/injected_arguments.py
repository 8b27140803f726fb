"""Arguments of `curate audit` that measure judges and fit thresholds; imports nothing, so that ``--help`` is quick."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final

CLIPS: Final = 200
"""Clips to make claims false of, unless the user names another number."""


def add_injected(parser: argparse.ArgumentParser) -> None:
    """Add the arguments to the parser of `curate audit`; ``--layer`` and ``--seed`` are there already."""
    parser.add_argument(
        "--injected", action="store_true", help="measure the judges on injected errors and shuffled clips"
    )
    parser.add_argument(
        "--fit",
        type=float,
        metavar="SHARE",
        help="fit thresholds that accept this share of false claims (labelled ones, or injected errors)",
    )
    parser.add_argument(
        "--clips", type=int, default=CLIPS, metavar="N", help=f"clips to make claims false of (default {CLIPS})"
    )
    parser.add_argument("--pipeline", metavar="NAME", help="judges of this pipeline (default: the one that made DIR)")
    parser.add_argument("--config", type=Path, metavar="FILE", help="your own pipelines.yaml")
    parser.add_argument(
        "--set", action="append", default=[], metavar="A.B=C", dest="assignments", help="change one setting; repeatable"
    )
