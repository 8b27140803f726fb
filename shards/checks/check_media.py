"""Checks of the bytes of one shard against its tables: tars, byte ranges, videos, stills.

Part of `shards.checks.check_dir`. Reads every byte once for its hash, and with `decode` every frame of every root.
"""

from __future__ import annotations

import io
import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from shards.artifact import FileFact
from shards.checks.dir_survey import without_name
from shards.errors import ShardError, one_line
from shards.keys import ClipKey
from shards.media.media_limits import DECODER_LIMITS, LIBAV_LIMITS
from shards.media.pictures import PictureError, opened_picture
from shards.storage.backend import ObjectInfo
from shards.storage.store import Store
from shards.storage.tar import Member, members, read_span
from shards.stored_rows import StoredClip

_ROOT_MEMBERS = ("mp4", "json")
_FACTS = ("key", "video_id", "source", "start", "end", "width", "height", "num_frames", "fps", "first_frame")
_FRAME_RATE_SLACK = 0.01


def file_problems(
    store: Store, files: Mapping[str, FileFact], present: Mapping[str, ObjectInfo]
) -> Iterator[tuple[str, str]]:
    """Yield (name, problem) for each file of a shard that is missing, or of another size or content.

    Args:
        store: the DIR.
        files: sizes and hashes in the shard's record.
        present: the files of the DIR by name.
    """
    for name, fact in files.items():
        entry = present.get(name)
        if entry is None:
            yield name, "is missing"
        elif entry.size != fact.size:
            yield name, f"has {entry.size} bytes, was committed with {fact.size}"
        elif store.sha256(name) != fact.sha256:
            yield name, "its content has changed since it was committed (SHA-256 differs)"


def root_problems(store: Store, tar: str, roots: Mapping[str, StoredClip]) -> Iterator[str]:
    """Yield the problems of a tar of roots against the root clips of its shard (by key)."""
    try:
        found = list(members(store, tar))
    except (ShardError, FileNotFoundError) as error:
        yield without_name(error, tar)
        return
    groups = _groups(found)
    for key, _ in groups:
        if key not in roots:
            yield f"root {key}: bytes without a row"
    for key, runs in Counter(key for key, _ in groups).items():
        if runs > 1:
            yield f"root {key}: its members are not contiguous"
    present = dict(groups)
    for key, row in roots.items():
        yield from (f"root {key}: {what}" for what in _members_of_root(store, tar, row, present.get(key, ())))


def _groups(found: Sequence[Member]) -> list[tuple[str, list[Member]]]:
    """Return runs of members with the same key, in order."""
    groups: list[tuple[str, list[Member]]] = []
    for member in found:
        key = member.name.partition(".")[0]
        if not groups or groups[-1][0] != key:
            groups.append((key, []))
        groups[-1][1].append(member)
    return groups


def _members_of_root(store: Store, tar: str, row: StoredClip, group: Sequence[Member]) -> Iterator[str]:
    by_extension = {member.name.partition(".")[2]: member for member in group}
    if sorted(member.name.partition(".")[2] for member in group) != sorted(_ROOT_MEMBERS):
        yield f"has the members {sorted(by_extension)} instead of {sorted(_ROOT_MEMBERS)}"
    video = by_extension.get("mp4")
    if video is not None and (video.offset, video.size) != (row["byte_offset"], row["byte_size"]):
        yield f"its bytes are {video.offset}+{video.size}, the table says {row['byte_offset']}+{row['byte_size']}"
    if "json" in by_extension:
        member = by_extension["json"]
        yield from _fact_problems(read_span(store, tar, member.offset, member.size), row)


def _fact_problems(data: bytes, row: StoredClip) -> Iterator[str]:
    try:
        facts = json.loads(data)
    except ValueError:
        facts = None
    if not isinstance(facts, dict):
        yield "its .json is unreadable"
        return
    expected: Mapping[str, Any] = {**row, "first_frame": row["start"] - row["offset"]}
    for name in _FACTS:
        if not _same(facts.get(name), expected[name]):
            yield f"{name} {expected[name]!r} is {facts.get(name)!r} in its .json"


def _same(fact: Any, value: Any) -> bool:
    """Return True if two values are equal, or close if they are numbers: the table keeps some in 32 bits."""
    if isinstance(fact, int | float) and isinstance(value, int | float):
        return math.isclose(fact, value, rel_tol=1e-6, abs_tol=1e-6)
    return bool(fact == value)


def keyframe_times(store: Store, tar: str) -> tuple[dict[str, set[int]], list[str]]:
    """Return the times (ms) of the keyframes in a tar by root, and the problems of its members."""
    times: dict[str, set[int]] = {}
    problems = []
    try:
        for member in members(store, tar):
            root, ms = _keyframe_name(member.name)
            if ms is None:
                problems.append(f"{member.name}: is not named <root key>.<ms>.jpg")
            elif ms in times.setdefault(root, set()):
                problems.append(f"{member.name}: is there twice")
            else:
                times[root].add(ms)
    except (ShardError, FileNotFoundError) as error:
        problems.append(without_name(error, tar))
    return times, problems


def _keyframe_name(name: str) -> tuple[str, int | None]:
    key, _, rest = name.partition(".")
    ms, _, extension = rest.partition(".")
    try:
        ClipKey.parse(key)
    except ValueError:
        return key, None
    return key, int(ms) if ms.isdecimal() and extension == "jpg" else None


def decode_problems(
    store: Store, tar: str, roots: Mapping[str, StoredClip], pool: ThreadPoolExecutor | None = None
) -> Iterator[str]:
    """Decode every frame of every root, and yield the problems of the stored videos.

    Args:
        store: the DIR.
        tar: name of the tar of roots.
        roots: the shard's root clips by key.
        pool: threads to decode in; without one the roots are decoded one after another.
    """

    def check(row: StoredClip) -> list[str]:
        return [f"root {row['key']}: {what}" for what in _root_decode_problems(store, tar, row)]

    for found in (pool.map if pool else map)(check, roots.values()):
        yield from found


def _root_decode_problems(store: Store, tar: str, row: StoredClip) -> Iterator[str]:
    import av

    try:
        data = read_span(store, tar, row["byte_offset"], row["byte_size"])
        frames, width, height, rate = _decode(data)
    except (ShardError, FileNotFoundError) as error:
        yield without_name(error, tar)
        return
    except av.FFmpegError as error:
        yield f"its bytes don't decode ({error.strerror})"
        return
    if frames != row["num_frames"]:
        yield f"{frames} frames decode, the table says {row['num_frames']}"
    if (width, height) != (row["width"], row["height"]):
        yield f"is {width}x{height}, the table says {row['width']}x{row['height']}"
    if frames > 1 and abs(rate - row["fps"]) > _FRAME_RATE_SLACK:
        yield f"has {rate:g} frames a second, the table says {row['fps']:g}"


def _decode(data: bytes) -> tuple[int, int, int, float]:
    """Return the number of frames that decode, width, height, and frames a second."""
    import av

    with av.open(io.BytesIO(data), format="mp4", options=dict(LIBAV_LIMITS)) as container:
        if not container.streams.video:
            return 0, 0, 0, 0.0
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        stream.codec_context.options = dict(DECODER_LIMITS)
        frames = sum(1 for _ in container.decode(stream))
        return frames, stream.codec_context.width, stream.codec_context.height, float(stream.average_rate or 0)


def still_problems(store: Store, tar: str) -> Iterator[str]:
    """Yield a line for each still of a tar of keyframes that does not decode."""
    try:
        for member in members(store, tar):
            data = read_span(store, tar, member.offset, member.size)
            try:
                with opened_picture(data, ["JPEG"]) as image:
                    image.load()
            except PictureError as error:
                yield f"{member.name}: does not decode ({one_line(error)})"
    except (ShardError, FileNotFoundError):
        return  # `keyframe_times` reports damaged members
