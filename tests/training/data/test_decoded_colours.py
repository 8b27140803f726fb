"""Decoded frames show the colours of the video, whatever the tags of its samples are."""

import math
from pathlib import Path

import pytest
from support.broken_videos import ffmpeg
from support.colour_videos import COLOUR, LINEAR, VP9, X264, X265, flat_video

from training.data.decoding.clip_decoder import decode_clips

NEAR = 5


def shows(path: Path, colour: tuple[int, int, int] = COLOUR) -> None:
    for data in (path, path.read_bytes()):
        (clip,) = decode_clips(data, [(0.0, math.inf)], 2, size=64)
        middle = clip[1][16:-16, 16:-16]
        assert list(middle.mean(axis=(0, 1))) == pytest.approx(colour, abs=NEAR)


@pytest.mark.parametrize(
    "name",
    [
        "02-hdr-not-tone-mapped/hdr_pq.mp4",
        "03-stills-bt709-as-jpeg/c601.mp4",
        "03-stills-bt709-as-jpeg/c709.mp4",
        "03-stills-bt709-as-jpeg/untagged_hd.mp4",
    ],
)
def test_reported_videos_show_their_colour(name: str, shared_fixtures: Path) -> None:
    shows(shared_fixtures / "faults" / name)


@pytest.mark.parametrize(
    ("size", "matrix"),
    [("1280x720", "bt709"), ("720x1280", "bt709"), ("720x576", "smpte170m"), ("640x360", "smpte170m")],
)
def test_an_untagged_video_is_taken_for_what_its_size_implies(size: str, matrix: str, tmp_path: Path) -> None:
    untagged = f"scale=out_color_matrix={matrix},format=yuv420p,setparams=colorspace=unknown"
    shows(flat_video(tmp_path / "flat.webm", untagged, *VP9, size=size))


@pytest.mark.parametrize("matrix", ["bt709", "smpte170m", "smpte240m", "fcc", "bt2020nc"])
@pytest.mark.parametrize("range_", ["tv", "pc"])
def test_every_matrix_and_range_is_converted(matrix: str, range_: str, tmp_path: Path) -> None:
    filters = f"scale=out_color_matrix={matrix}:out_range={range_}:flags=accurate_rnd,format=yuv420p"
    shows(flat_video(tmp_path / "flat.mp4", filters, *X264))


@pytest.mark.parametrize("matrix", [0, 3, 8, 14, 15])
def test_an_impossible_matrix_tag_changes_nothing(matrix: int, tmp_path: Path) -> None:
    plain, tagged = tmp_path / "plain.mp4", tmp_path / "tagged.mp4"
    flat_video(plain, "scale=out_color_matrix=smpte170m,format=yuv420p,setparams=colorspace=unknown", *X264)
    ffmpeg("-i", plain, "-c", "copy", "-bsf:v", f"h264_metadata=matrix_coefficients={matrix}", tagged)
    shows(tagged)


@pytest.mark.parametrize(
    ("name", "pixels", "encoder"),
    [
        ("rgb.mp4", "rgb24", ("-c:v", "libx264rgb")),
        ("palette.mov", "pal8", ("-c:v", "png")),
        ("packed.mov", "uyvy422", ("-c:v", "rawvideo")),
        ("full.avi", "yuvj420p", ("-c:v", "mjpeg")),
        ("deep.mov", "yuv422p10le", ("-c:v", "prores_ks")),
    ],
)
def test_every_kind_of_samples_is_converted(name: str, pixels: str, encoder: tuple[str, ...], tmp_path: Path) -> None:
    shows(flat_video(tmp_path / name, f"scale,format={pixels}", *encoder))


@pytest.mark.parametrize(
    ("name", "meaning", "pixels", "encoder"),
    [
        ("pq.mkv", "p=2020:t=smpte2084:m=2020_ncl:r=tv", "yuv420p10le", X265),
        ("hlg.mp4", "p=2020:t=arib-std-b67:m=2020_ncl:r=tv", "yuv420p10le", X265),
        ("full.mp4", "p=2020:t=smpte2084:m=2020_ncl:r=full", "yuv420p10le", X265),
        ("rgb.mkv", "p=2020:t=smpte2084:m=gbr:r=full", "gbrp10le", ("-c:v", "ffv1")),
        ("p3.mkv", "p=smpte432:t=smpte2084:m=709:r=tv", "yuv420p10le", X265),
        ("p3.mp4", "p=smpte432:t=iec61966-2-1:m=709:r=tv", "yuv420p", X264),
    ],
)
def test_hdr_and_wide_colours_are_mapped_to_a_standard_screens(
    name: str, meaning: str, pixels: str, encoder: tuple[str, ...], tmp_path: Path
) -> None:
    shows(flat_video(tmp_path / name, f"{LINEAR}:{meaning},format={pixels}", *encoder))


def test_what_is_brighter_than_white_is_white(tmp_path: Path) -> None:
    pq = f"{LINEAR.replace('npl=203', 'npl=800', 1)}:p=2020:t=smpte2084:m=2020_ncl:r=tv,format=yuv420p10le"
    path = tmp_path / "bright.mkv"
    ffmpeg("-f", "lavfi", "-i", "color=white:s=320x240:r=8:d=2,format=gbrp", "-vf", pq, *X265, path)
    shows(path, (255, 255, 255))
