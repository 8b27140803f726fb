"""The revision of a model that is a folder or a file of this machine: a hash of its names, sizes and content."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Final

_SAMPLE_BYTES: Final = 1 << 20


def fingerprint(path: Path) -> str:
    """Return sixteen hex digits over names, sizes and content.

    Of files above 1 MiB only the first and last 512 KiB are read.
    """
    digest = hashlib.sha256()
    files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    for file in files:
        size = file.stat().st_size
        digest.update(f"{file.relative_to(path) if path.is_dir() else file.name}\0{size}\0".encode())
        with file.open("rb") as stream:
            if size > _SAMPLE_BYTES:
                digest.update(stream.read(_SAMPLE_BYTES // 2))
                stream.seek(-_SAMPLE_BYTES // 2, os.SEEK_END)
            digest.update(stream.read())
    return digest.hexdigest()[:16]
