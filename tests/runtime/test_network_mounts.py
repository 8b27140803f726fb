"""A folder is on the file system of the deepest mount above it."""

from pathlib import Path

import pytest

from runtime.network_mounts import is_on_network

_TABLE = """\
/dev/sda1 / ext4 rw 0 0
server:/export /mnt/nfs nfs4 rw 0 0
/dev/sdb1 /mnt/nfs/local xfs rw 0 0
mds:/l /lustre lustre rw 0 0
gcsfuse /mnt/my\\040bucket fuse.gcsfuse rw 0 0
/dev/sdc1 /mnt/stick fuseblk rw 0 0
//host/share /mnt/share cifs rw 0 0
/dev/sdd1 /twice ext4 rw 0 0
server:/b /twice nfs rw 0 0
short
"""


@pytest.mark.parametrize(
    ("folder", "on_network"),
    [
        ("/home/me/out", False),
        ("/mnt/nfs", True),
        ("/mnt/nfs/out/not/there/yet", True),
        ("/mnt/nfs-elsewhere", False),
        ("/mnt/nfs/local/out", False),
        ("/lustre/project/out", True),
        ("/mnt/my bucket/out", True),
        ("/mnt/stick/out", False),
        ("/mnt/share/out", True),
        ("/twice/out", True),
    ],
)
def test_the_deepest_mount_decides(tmp_path: Path, folder: str, on_network: bool) -> None:
    table = tmp_path / "mounts"
    table.write_text(_TABLE)
    assert is_on_network(Path(folder), table) is on_network


def test_without_a_table_every_folder_is_local(tmp_path: Path) -> None:
    assert not is_on_network(tmp_path, tmp_path / "none")
