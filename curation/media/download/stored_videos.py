"""Videos in object stores as sources (``s3://bucket/a.mp4``), with the subtitle files beside them.

They are copied to scratch through `shards.storage.store`, which waits out a store that fails for a moment. A list can
name any object that the run's credentials reach, so ``media.download.allow_schemes`` has to permit the scheme.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Final

from curation.media.download.download_settings import DownloadSettings
from curation.media.download.downloaded_video import DownloadedVideo
from curation.media.download.local_videos import SUBTITLE_SUFFIXES, open_local
from curation.sources.ledger import SourceFailed, SourceFiltered
from runtime.errors import MachineError, one_line
from shards.errors import ShardError
from shards.storage.remote_filesystem import STORE_SCHEMES
from shards.storage.storage_errors import StorageError
from shards.storage.store import Store

_SUFFIX: Final = re.compile(r"\.[a-z0-9]{1,5}")
_LARGEST_SUBTITLE: Final = 64 << 20


def is_stored(source: str) -> bool:
    """Return True if a source is a URL of an object store."""
    return source.partition("://")[0].lower() in STORE_SCHEMES and "://" in source


def fetch_stored(source: str, settings: DownloadSettings, scratch: Path) -> DownloadedVideo:
    """Copy a video and its subtitle files from an object store to scratch.

    Args:
        source: URL of the video.
        settings: the limit on bytes, and the schemes that are permitted.
        scratch: an existing folder for this source alone; the files in it have names of ours.

    Raises:
        SourceFailed: `removed`: there is no such object; `private`: access is refused; `network`: the store failed.
        SourceFiltered: `too_long`: the object is larger than ``max_bytes``.
        MachineError: the disk is full.
    """
    scheme = source.partition("://")[0].lower()
    if scheme not in settings.allow_schemes:
        raise SourceFailed("not_video", f"{scheme}:// is not allowed (media.download.allow_schemes)")
    try:
        return _fetch(source, settings.max_bytes, scratch)
    except FileNotFoundError:
        raise SourceFailed("removed", f"{source}: no such object") from None
    except StorageError as error:
        raise SourceFailed("network" if error.may_pass else "private", one_line(error)) from None
    except ShardError as error:
        raise SourceFailed("not_video", str(error)) from None
    except OSError as error:
        raise MachineError(f"{scratch}: {one_line(error)}") from None


def _fetch(source: str, max_bytes: int, scratch: Path) -> DownloadedVideo:
    folder, _, name = source.rpartition("/")
    store, stem = Store(folder), PurePosixPath(name).stem
    size = store.entry(name).size
    if size > max_bytes:
        raise SourceFiltered("too_long", f"{size} bytes, the limit is {max_bytes} (download.max_bytes)")
    for beside, info in store.list(prefix=stem).items():
        suffix = beside.removeprefix(stem).lower()
        if suffix.endswith(SUBTITLE_SUFFIXES) and _is_name(suffix) and info.size <= _LARGEST_SUBTITLE:
            store.download(beside, scratch / f"video{beside.removeprefix(stem)}")
    suffix = PurePosixPath(name).suffix.lower()
    local = scratch / f"video{suffix if _SUFFIX.fullmatch(suffix) else '.bin'}"
    store.download(name, local)
    video = open_local(str(local))
    return replace(video, metadata=replace(video.metadata, title=stem, id=name, extractor=source.partition("://")[0]))


def _is_name(suffix: str) -> bool:
    """Return True if the rest of a subtitle file's name, such as ``.en.auto.vtt``, can end a name in scratch."""
    return re.fullmatch(r"[\w.-]{1,40}", suffix) is not None
