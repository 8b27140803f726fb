"""The fsspec file system of a URL, with the retries of its library set.

S3 is asked through s3fs. Its client (botocore) repeats a request after status 5xx, a reset connection or a time-out
with exponential back-off and jitter; s3fs repeats a read whose body was cut short; `shards.storage.patience` repeats
the whole call. gcsfs and adlfs bring retries of their own for Google and Azure.
"""

from __future__ import annotations

import os
from typing import Any, Final

from shards.errors import ShardError, one_line
from shards.storage.url_secrets import has_secrets, without_secrets

S3_SCHEMES: Final = ("s3", "s3a")
STORE_SCHEMES: Final = (*S3_SCHEMES, "gs", "gcs", "az", "abfs", "abfss")
"""Schemes of the object stores that videos are read from."""
CLIENT_ATTEMPTS: Final = 3
"""Attempts at one request by the client of S3, the first one included."""
_PARTS_AT_ONCE: Final = 4
"""Parts of one large object that are uploaded at once; each has 50 MiB of memory."""


def remote_filesystem(url: str) -> tuple[Any, str]:
    """Return the fsspec file system of a URL, and the path on it.

    Raises:
        ShardError: the URL's protocol is unknown, the package that speaks it is not installed, or it holds a password.
    """
    from fsspec.core import url_to_fs

    if has_secrets(url):
        raise ShardError(
            f"{without_secrets(url)}: a URL must hold no password; set it where the store's library looks for it "
            "(for S3: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY)"
        )
    try:
        filesystem, base = url_to_fs(url, use_listings_cache=False, **_options(url))
    except (ImportError, OSError, ValueError) as error:
        raise ShardError(f"{url}: {one_line(error, keep='first')}") from None
    return filesystem, str(base).rstrip("/")


def is_s3(url: str) -> bool:
    """Return True if a URL is that of an object that s3fs reads."""
    return url.partition("://")[0].lower() in S3_SCHEMES


def is_web(url: str) -> bool:
    """Return True if a URL is that of a web server."""
    return url.partition("://")[0].lower() in ("http", "https")


def _options(url: str) -> dict[str, Any]:
    """Return the options of a URL's file system; those that the user set in fsspec's or AWS's configuration stay."""
    from fsspec.config import conf

    if not is_s3(url):
        return {}
    own = {name: value for scheme in S3_SCHEMES for name, value in conf.get(scheme, {}).items()}
    config = dict(own.get("config_kwargs", {}))
    if not {"AWS_MAX_ATTEMPTS", "AWS_RETRY_MODE"} & os.environ.keys():
        config.setdefault("retries", {"mode": "standard", "total_max_attempts": CLIENT_ATTEMPTS})
    return {"config_kwargs": config, "max_concurrency": own.get("max_concurrency", _PARTS_AT_ONCE)}
