"""Refuses an output that can't be written, before any work is done; imports no stage."""

from __future__ import annotations

from runtime.errors import UserError
from shards.storage.store import Store


def check_can_write(store: Store) -> None:
    """Refuse an ``--output`` behind a protocol that can only read.

    Raises:
        UserError: names the URL and the remedy.
    """
    if store.is_read_only:
        protocol = store.root.partition("://")[0]
        raise UserError(
            f"--output {store.root}: {protocol} can only be read; name a folder, or an object store (s3://bucket/prefix)"
        )
