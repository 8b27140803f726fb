"""`curate run PIPELINE … --print-config`: prints the settings of a run as YAML, with descriptions as comments."""

from __future__ import annotations

import argparse
import textwrap

from curation.pipeline import load_pipeline
from runtime.settings_page import settings_yaml


def print_config(arguments: argparse.Namespace) -> int:
    """Print all settings of a pipeline as a file that ``--config`` reads, and return 0.

    Raises:
        UserError: no such pipeline, an unknown setting, or an invalid value.
    """
    settings = load_pipeline(arguments.pipeline, arguments.config, arguments.assignments)
    print(f"{arguments.pipeline}:\n{textwrap.indent(settings_yaml(settings), '  ')}", end="")
    return 0
