"""Files named as videos, as the probe sees them: lying, cut, oversized, and other files under a video's name."""

from __future__ import annotations

import gzip
import io
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

from support.hostile_rows import Row, outcome_of
from support.small_videos import box, patched, png, remuxed, small_video

from curation.media.picture.header_duration import header_duration
from curation.media.picture.probe import probe

Bytes = Callable[[], bytes]
NONE = r"(corrupt|not_video): "
ANY = r"(read|corrupt|not_video): "
_BRAND = box(b"ftyp", b"isom\0\0\2\0isom")
SECRET = "the secret beside the playlist"


def _probed(data: Bytes, name: str = "v.mp4") -> Callable[[Path], str]:
    """Probe a file, beside one that no playlist may read."""

    def act(folder: Path) -> str:
        (folder / "secret.ts").write_bytes(small_video("ts"))
        (folder / "secret.txt").write_text(SECRET)
        path = folder / name
        path.write_bytes(data().replace(b"FOLDER", bytes(folder)))
        outcome = outcome_of(lambda: probe(path))
        assert SECRET not in outcome and str(folder / "secret") not in outcome
        header_duration(path)
        return outcome

    return act


def _cut(suffix: str, share: float) -> Bytes:
    return lambda: small_video(suffix)[: max(1, int(len(small_video(suffix)) * share))]


def _lying(suffix: str, mark: bytes, skip: int, value: bytes) -> Bytes:
    return lambda: patched(small_video(suffix), mark, skip, value)


def _covered(picture: Bytes, suffix: str = "mp4") -> Bytes:
    marks = ("-map", "1", "-disposition:v:1", "attached_pic")
    more = ("-attach", "{cover}", "-metadata:s:t", "mimetype=image/png", "-metadata:s:t", "filename=cover.png")
    if suffix == "mkv":
        return lambda: remuxed(small_video("mp4"), "mkv", *more, picture=picture())
    return lambda: remuxed(small_video("mp4"), suffix, *marks, picture=picture())


def _copies(count: int, suffix: str) -> Bytes:
    return lambda: remuxed(small_video("mp4"), suffix, *("-map", "0") * (count - 1))


def _only_picture(picture: Bytes) -> Bytes:
    """Return Matroska whose only track is a PNG."""
    return lambda: remuxed(small_video("mp4"), "mkv", "-map", "-0", "-map", "1", picture=picture())


def _nested_boxes(levels: int) -> bytes:
    data = b""
    for _ in range(levels):
        data = box(b"moov", data)
    return _BRAND + data


def _zip() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("v.mp4", bytes(10 << 20))
    return file.getvalue()


_HLS = "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nFOLDER/secret.ts\n#EXT-X-ENDLIST\n"
_SDP = (
    "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 9999 RTP/AVP 96\na=rtpmap:96 H264/90000\n"
)
_DASH = (
    '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" mediaPresentationDuration="PT1S">'
    '<Period><AdaptationSet mimeType="video/mp2t"><Representation id="1" bandwidth="1"><BaseURL>file:FOLDER/secret.ts'
    "</BaseURL></Representation></AdaptationSet></Period></MPD>"
)
_NO_VIDEOS: dict[str, Bytes] = {
    "an HLS playlist": _HLS.encode,
    "a concat script": lambda: b"ffconcat version 1.0\nfile 'FOLDER/secret.ts'\n",
    "a description of an RTP session": _SDP.encode,
    "a DASH manifest": _DASH.encode,
    "an ASX playlist": lambda: b"<asx version='3.0'><entry><ref href='FOLDER/secret.ts'/></entry></asx>",
    "ffmpeg's metadata": lambda: b";FFMETADATA1\ntitle=x\n[CHAPTER]\nSTART=0\nEND=1\n",
    "subtitles": lambda: b"WEBVTT\n\n00:00.000 --> 00:01.000\nwords\n",
    "a text of video suffixes": lambda: b"a.mp4\nb.mkv\n" * 1000,
    "a zip": _zip,
    "gzip": lambda: gzip.compress(small_video("mp4")),
    "a PDF": lambda: b"%PDF-1.7\n" + bytes(1000),
    "an ELF program": lambda: b"\x7fELF" + bytes(1000),
    "a WAV": lambda: b"RIFF\x24\0\0\0WAVEfmt \x10\0\0\0\1\0\1\0\x40\x1f\0\0\x80\x3e\0\0\2\0\x10\0data" + bytes(400),
    "a GIF": lambda: small_video("gif"),
    "a PNG": lambda: png(64, 48),
    "a PNG of 900 million pixels": lambda: png(30_000, 30_000, 1),
    "a megabyte of zeros": lambda: bytes(1 << 20),
    "a megabyte of 0xff": lambda: b"\xff" * (1 << 20),
    "a megabyte of lines": lambda: b"a\n" * (1 << 19),
    "one byte": lambda: b"\0",
    "nothing": lambda: b"",
}
"""Files that are no videos, whatever their name."""

_MAX32 = b"\xff" * 4
_LIES: dict[str, tuple[Bytes, str]] = {
    "mp4 whose first box has 4 GB": (_lying("mp4", b"", 0, _MAX32), ANY),
    "mp4 whose moov has 4 GB": (lambda: patched(small_video("mp4"), b"moov", -8, _MAX32), ANY),
    "mp4 whose moov has 3 bytes": (lambda: patched(small_video("mp4"), b"moov", -8, b"\0\0\0\3"), ANY),
    "mp4 with 4 billion time stamps": (_lying("mp4", b"stts", 4, _MAX32), ANY),
    "mp4 with 4 billion sizes": (_lying("mp4", b"stsz", 8, _MAX32), ANY),
    "mp4 with 4 billion chunks": (_lying("mp4", b"stco", 4, _MAX32), ANY),
    "mp4 with 4 billion descriptions": (_lying("mp4", b"stsd", 4, _MAX32), ANY),
    "mp4 whose chunks are behind its end": (_lying("mp4", b"stco", 8, b"\x7f\xff\xff\xff"), ANY),
    "mp4 with a clock of 0 ticks": (_lying("mp4", b"mdhd", 12, b"\0\0\0\0"), ANY),
    "mp4 with a clock of 4 billion ticks": (_lying("mp4", b"mdhd", 12, _MAX32), ANY),
    "mp4 of 136 years": (_lying("mp4", b"mvhd", 16, _MAX32), ANY),
    "mp4 of 65,535 x 65,535 pixels": (_lying("mp4", b"avc1", 24, _MAX32), ANY),
    "mp4 of 0 x 0 pixels": (_lying("mp4", b"avc1", 24, bytes(4)), ANY),
    "mp4 with a matrix of noise": (_lying("mp4", b"tkhd", 40, bytes(range(1, 37))), ANY),
    "mp4 with a matrix of zeros": (_lying("mp4", b"tkhd", 40, bytes(36)), ANY),
    "mp4 with an edit of 4 billion": (_lying("mp4", b"elst", 8, _MAX32 * 2), ANY),
    "mp4 with a damaged decoder header": (_lying("mp4", b"avcC", 0, b"\xff" * 30), ANY),
    "mp4 of 5,000 nested boxes": (lambda: _nested_boxes(5000), NONE),
    "mp4 of 100,000 empty boxes": (
        lambda: _BRAND + box(b"free", b"") * 100_000,
        r"corrupt|not_video",
    ),
    "mp4 with an empty moov": (lambda: _BRAND + box(b"moov", b""), NONE),
    "fragments of 4 billion frames": (_lying("mov", b"trun", 4, _MAX32), ANY),
    "Matroska that begins at 2^63": (_lying("mkv", b"\xe7", 0, b"\x88\x7f" + b"\xff" * 7), ANY),
    "Matroska of NaN seconds": (_lying("mkv", b"\x44\x89", 1, struct.pack(">d", float("nan"))), ANY),
    "Matroska of infinite seconds": (_lying("mkv", b"\x44\x89", 1, struct.pack(">d", float("inf"))), ANY),
    "Matroska of -1e300 seconds": (_lying("mkv", b"\x44\x89", 1, struct.pack(">d", -1e300)), ANY),
    "Matroska whose segment has no size": (_lying("mkv", b"\x18\x53\x80\x67", 0, b"\x01" + b"\xff" * 7), ANY),
    "Matroska with a clock of 0": (_lying("mkv", b"\x2a\xd7\xb1", 0, b"\x83\0\0\0"), ANY),
    "Matroska whose tracks are cut": (
        lambda: small_video("mkv")[: small_video("mkv").index(b"\x16\x54\xae\x6b") + 20],
        ANY,
    ),
    "AVI of 4 billion frames": (_lying("avi", b"avih", 20, _MAX32), ANY),
    "AVI with 0 frames a second": (lambda: patched(small_video("avi"), b"vids", 16, bytes(8)), ANY),
    "AVI with 4 billion frames a second": (lambda: patched(small_video("avi"), b"vids", 16, b"\1\0\0\0" + _MAX32), ANY),
    "AVI of 2 billion pixels": (_lying("avi", b"strf", 8, b"\xff\xff\xff\x7f" * 2), ANY),
    "AVI with an index of 4 GB": (_lying("avi", b"idx1", 0, _MAX32), ANY),
    "FLV that begins behind its end": (_lying("flv", b"FLV\1", 1, b"\x7f\xff\xff\xff"), ANY),
    "Ogg with a page of noise": (lambda: patched(small_video("ogv"), b"OggS", 22, b"\xff" * 200), ANY),
    "a transport stream without tables": (lambda: (b"\x47\1\0\x10" + b"\xff" * 184) * 2000, ANY),
    "a transport stream whose clock jumps": (
        lambda: small_video("ts") + small_video("ts")[::-1] + small_video("ts"),
        ANY,
    ),
    "a picture of 128 million pixels": (_only_picture(lambda: png(16_000, 8000, 1)), r"corrupt: "),
    "a cover of 144 million pixels in mp4": (_covered(lambda: png(12_000, 12_000)), r"read: .*width=64"),
    "a cover of 144 million pixels in Matroska": (_covered(lambda: png(12_000, 12_000), "mkv"), r"read: .*width=64"),
    "900 streams in mp4": (_copies(900, "mp4"), r"corrupt: .*128 streams"),
    "126 streams in Matroska": (_copies(126, "mkv"), r"read: .*width=64"),
    "30 streams in a transport stream": (_copies(30, "ts"), r"read: .*width=64"),
    "times below zero": (
        lambda: remuxed(small_video("mp4"), "mkv", "-output_ts_offset", "-9", "-avoid_negative_ts", "disabled"),
        r"read: ",
    ),
    "times of a year": (lambda: remuxed(small_video("mp4"), "mkv", "-output_ts_offset", "31536000"), r"read: "),
    "a title of 100 kB": (
        lambda: remuxed(small_video("mp4"), "mkv", "-metadata:s:v", "title=" + "x" * 100_000),
        r"read: ",
    ),
}

ROWS = [
    *(Row(f"{what}, named .mp4", _probed(data), r"not_video: ") for what, data in _NO_VIDEOS.items()),
    Row("an HLS playlist, named .m3u8", _probed(_HLS.encode, "v.m3u8"), r"not_video: "),
    Row("an SDP, named .sdp", _probed(_SDP.encode, "v.sdp"), r"not_video: "),
    Row("a pattern of pictures as a name", _probed(lambda: png(8, 8), "v%03d.png"), r"not_video: "),
    *(
        Row(f"{share:.0%} of a {suffix}", _probed(_cut(suffix, share)), ANY)
        for suffix in ("mp4", "mov", "mkv", "webm", "avi", "ts", "ogv", "flv")
        for share in (0.0, 0.1, 0.5, 0.95)
    ),
    *(Row(what, _probed(data), outcome) for what, (data, outcome) in _LIES.items()),
]
