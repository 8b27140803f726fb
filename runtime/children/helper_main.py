"""The helper process of `runtime.children.helper_process`: carries out the calls that arrive, one by one.

Run as ``python -m runtime.children.helper_main DESCRIPTOR``.
"""

from __future__ import annotations

import pickle
import sys
from multiprocessing.connection import Connection
from typing import Any

from runtime.errors import one_line


def main(descriptor: int) -> None:
    """Serve calls until the connection is closed."""
    with Connection(descriptor) as connection:
        connection.send("ready")
        while True:
            try:
                request = connection.recv_bytes()
            except EOFError:
                return
            connection.send_bytes(_answer(request))


def _answer(request: bytes) -> bytes:
    """Return the pickled result of a call, or its exception."""
    try:
        function, args, kwargs = pickle.loads(request)  # noqa: S301  # from our own parent
        return pickle.dumps((True, function(*args, **kwargs)))
    except MemoryError:
        return pickle.dumps((False, MemoryError()))
    except Exception as error:
        return _pickled_error(error)


def _pickled_error(error: Exception) -> bytes:
    """Return an error as it is, or as a RuntimeError with its message if it can't be pickled."""
    try:
        data = pickle.dumps((False, error))
        pickle.loads(data)  # noqa: S301  # our own
    except Exception:
        plain: Any = RuntimeError(one_line(error, named=True))
        data = pickle.dumps((False, plain))
    return data


if __name__ == "__main__":
    main(int(sys.argv[1]))
