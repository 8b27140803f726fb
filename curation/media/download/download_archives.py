"""Download archives of yt-dlp: the videos that another program has downloaded, to be left out."""

from __future__ import annotations

from pathlib import Path

from runtime.errors import UserError


def archived_ids(archive: str | None) -> frozenset[str]:
    """Return the canonical ids (``youtube:x``) of an archive that ``yt-dlp --download-archive`` has written.

    Args:
        archive: path of the file, one ``extractor id`` a line; None: there is none.

    Raises:
        UserError: the file can't be read, or a line is not of this form.
    """
    if archive is None:
        return frozenset()
    try:
        lines = Path(archive).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"media.download.archive={archive}: can't be read as text ({error})") from None
    ids = set()
    for number, line in enumerate(lines, 1):
        words = line.split()
        if words and len(words) != 2:
            raise UserError(
                f"media.download.archive={archive}: line {number} is not `extractor id`, as yt-dlp writes it"
            )
        if words:
            ids.add(f"{words[0].lower()}:{words[1]}")
    return frozenset(ids)
