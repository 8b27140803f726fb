"""Tell folders on network file systems from those on disks of this machine, by the table of mounts."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

MOUNTS: Final = Path("/proc/self/mounts")
_NETWORK: Final = re.compile(
    r"nfs\d?|cifs|smb\w*|lustre|gpfs|beegfs\w*|ceph|glusterfs|afs|9p|pvfs2|orangefs|panfs|wekafs|quobyte|ocfs2|gfs2"
    r"|fuse(?!blk|ctl)(\..+)?"
)
"""Types of mounts that other machines share, or that a program such as sshfs or gcsfuse serves."""
_FIELDS: Final = 3
"""Fields of a line that are read: device, mount point, type."""


def is_on_network(folder: Path, mounts: Path = MOUNTS) -> bool:
    """Return True if a folder, which need not exist yet, is on a network file system.

    Args:
        folder: an absolute path.
        mounts: table of mounts in the form of ``/proc/mounts``; if there is none, every folder counts as local.
    """
    try:
        lines = mounts.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return False
    path, deepest, kind = folder.resolve(), -1, ""
    for fields in (line.split(" ") for line in lines):
        if len(fields) < _FIELDS:
            continue
        point, type_ = Path(_unescaped(fields[1])), fields[2]
        if path.is_relative_to(point) and len(point.parts) >= deepest:  # of two at one point, the later one is seen
            deepest, kind = len(point.parts), type_
    return _NETWORK.fullmatch(kind) is not None


def _unescaped(path: str) -> str:
    """Return a path with its blanks, which the table writes as three octal digits."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), path)
