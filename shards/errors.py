"""What goes wrong between a program and a DIR."""

from __future__ import annotations


class ShardError(ValueError):
    """A DIR, or a file in it, is not what the contract says: one line that names the thing and the remedy.

    Commands print the message as it stands and exit with status 2.
    """
