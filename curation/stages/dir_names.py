"""Names that users give to folders and tables of a DIR."""

from __future__ import annotations

import re
from typing import Final

from runtime.errors import UserError

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


def checked_name(option: str, name: str) -> str:
    """Return a name that can be that of a folder or a table, never a path.

    Raises:
        UserError: it has other characters; the message names the option.
    """
    if not _NAME.fullmatch(name):
        raise UserError(f"{option} {name!r}: use letters, digits, - and _ (at most 64)")
    return name
