"""Stored frames and stills show the colours of the source, whatever the tags of its samples are."""

from itertools import chain
from pathlib import Path

import av
import numpy as np
import pytest
from support.broken_videos import ffmpeg
from support.colour_videos import COLOUR, LINEAR, VP9, X264, X265, flat_video

from curation.media.picture.encode import encode
from curation.media.picture.encode_settings import EncodeSettings
from curation.media.picture.encoded_video import EncodedVideo
from curation.media.picture.probe import probe
from curation.media.picture.video_records import VideoSpan

NEAR = 5


def _encoded(path: Path, folder: Path) -> EncodedVideo:
    found = probe(path)
    return encode(VideoSpan(path, found, 0.0, found.duration), [], EncodeSettings(), folder)


def _colour(path: Path) -> list[float]:
    """Return the colour of the middle of the last frame."""
    with av.open(str(path)) as container:
        picture = list(container.decode(video=0))[-1].to_ndarray(format="rgb24")
    height, width, _ = picture.shape
    return list(picture[height // 4 : -height // 4, width // 4 : -width // 4].mean(axis=(0, 1)))


def _shows(encoded: EncodedVideo, colour: tuple[int, int, int] = COLOUR) -> None:
    for path in (encoded.path, encoded.stills[0].path):
        assert _colour(path) == pytest.approx(colour, abs=NEAR), path.name


@pytest.mark.parametrize(
    "name",
    [
        "02-hdr-not-tone-mapped/hdr_pq.mp4",
        "03-stills-bt709-as-jpeg/c601.mp4",
        "03-stills-bt709-as-jpeg/c709.mp4",
        "03-stills-bt709-as-jpeg/untagged_hd.mp4",
    ],
)
def test_reported_videos_keep_their_colour(name: str, shared_fixtures: Path, tmp_path: Path) -> None:
    _shows(_encoded(shared_fixtures / "faults" / name, tmp_path))


@pytest.mark.parametrize("matrix", ["bt709", "smpte170m", "smpte240m", "fcc", "bt2020nc"])
@pytest.mark.parametrize("range_", ["tv", "pc"])
def test_every_matrix_and_range_is_converted(matrix: str, range_: str, tmp_path: Path) -> None:
    filters = f"scale=out_color_matrix={matrix}:out_range={range_}:flags=accurate_rnd,format=yuv420p"
    _shows(_encoded(flat_video(tmp_path / "flat.mp4", filters, *X264), tmp_path))


@pytest.mark.parametrize(
    ("size", "matrix"),
    [("1280x720", "bt709"), ("720x1280", "bt709"), ("720x576", "smpte170m"), ("640x360", "smpte170m")],
)
def test_an_untagged_video_is_taken_for_what_its_size_implies(size: str, matrix: str, tmp_path: Path) -> None:
    untagged = f"scale=out_color_matrix={matrix},format=yuv420p,setparams=colorspace=unknown"
    _shows(_encoded(flat_video(tmp_path / "flat.webm", untagged, *VP9, size=size), tmp_path))


@pytest.mark.parametrize(
    ("name", "pixels", "encoder"),
    [
        ("rgb.mov", "rgb24", ("-c:v", "png")),
        ("palette.mov", "pal8", ("-c:v", "png")),
        ("rgb.mp4", "rgb24", ("-c:v", "libx264rgb")),
        ("packed.mov", "uyvy422", ("-c:v", "rawvideo")),
        ("quarter.mkv", "yuv411p", ("-c:v", "ffv1")),
        ("sixteenth.mkv", "yuv410p", ("-c:v", "ffv1")),
        ("alpha.webm", "yuva420p", VP9),
        ("full.avi", "yuvj420p", ("-c:v", "mjpeg")),
        ("deep.mov", "yuv422p10le", ("-c:v", "prores_ks")),
    ],
)
def test_every_kind_of_samples_is_converted(name: str, pixels: str, encoder: tuple[str, ...], tmp_path: Path) -> None:
    _shows(_encoded(flat_video(tmp_path / name, f"scale,format={pixels}", *encoder), tmp_path))


def test_grey_stays_grey(tmp_path: Path) -> None:
    grey = flat_video(tmp_path / "grey.mkv", "scale,format=gray,geq=lum=120", "-c:v", "ffv1")
    _shows(_encoded(grey, tmp_path), (120, 120, 120))


@pytest.mark.parametrize(
    ("name", "meaning", "pixels", "encoder"),
    [
        ("pq.mkv", "p=2020:t=smpte2084:m=2020_ncl:r=tv", "yuv420p10le", X265),
        ("hlg.mp4", "p=2020:t=arib-std-b67:m=2020_ncl:r=tv", "yuv420p10le", X265),
        ("hlg.webm", "p=2020:t=arib-std-b67:m=2020_ncl:r=tv", "yuv420p10le", (*VP9, "-profile:v", "2")),
        ("pq.mov", "p=2020:t=smpte2084:m=2020_ncl:r=tv", "yuv422p10le", ("-c:v", "prores_ks")),
        ("full.mp4", "p=2020:t=smpte2084:m=2020_ncl:r=full", "yuv420p10le", X265),
        ("ictcp.mkv", "p=2020:t=smpte2084:m=ictcp:r=tv", "yuv444p10le", X265),
        ("rgb.mkv", "p=2020:t=smpte2084:m=gbr:r=full", "gbrp10le", ("-c:v", "ffv1")),
        ("p3.mkv", "p=smpte432:t=smpte2084:m=709:r=tv", "yuv420p10le", X265),
        ("p3.mp4", "p=smpte432:t=iec61966-2-1:m=709:r=tv", "yuv420p", X264),
    ],
)
def test_hdr_and_wide_colours_are_mapped_to_a_standard_screens(
    name: str, meaning: str, pixels: str, encoder: tuple[str, ...], tmp_path: Path
) -> None:
    _shows(_encoded(flat_video(tmp_path / name, f"{LINEAR}:{meaning},format={pixels}", *encoder), tmp_path))


def test_bt2020_without_hdr_shows_what_bt709_shows(tmp_path: Path) -> None:
    shown = {}
    for name, meaning in {"wide": "p=2020:t=2020_10:m=2020_ncl:r=tv", "usual": "p=709:t=709:m=709:r=tv"}.items():
        folder = tmp_path / name
        folder.mkdir()
        path = flat_video(folder / "flat.mkv", f"{LINEAR}:{meaning},format=yuv420p10le", *X265)
        encoded = _encoded(path, folder)
        shown[name] = list(chain(_colour(encoded.path), _colour(encoded.stills[0].path)))
    assert shown["wide"] == pytest.approx(shown["usual"], abs=3)


def test_what_is_brighter_than_white_is_white(tmp_path: Path) -> None:
    bright = LINEAR.replace("npl=203", "npl=800", 1)
    path = tmp_path / "bright.mkv"
    pq = f"{bright}:p=2020:t=smpte2084:m=2020_ncl:r=tv,format=yuv420p10le"
    ffmpeg("-f", "lavfi", "-i", "color=white:s=320x240:r=8:d=2,format=gbrp", "-vf", pq, *X265, path)
    _shows(_encoded(path, tmp_path), (255, 255, 255))


@pytest.mark.parametrize("matrix", [0, 3, 8, 10, 11, 12, 13, 14, 15])
def test_an_impossible_matrix_tag_changes_nothing(matrix: int, tmp_path: Path) -> None:
    plain, tagged = tmp_path / "plain.mp4", tmp_path / "tagged.mp4"
    flat_video(plain, "scale=out_color_matrix=smpte170m,format=yuv420p,setparams=colorspace=unknown", *X264)
    ffmpeg("-i", plain, "-c", "copy", "-bsf:v", f"h264_metadata=matrix_coefficients={matrix}", tagged)
    _shows(_encoded(tagged, tmp_path))


@pytest.mark.parametrize("field", ["colour_primaries", "transfer_characteristics"])
@pytest.mark.parametrize("code", [3, 9, 10, 16, 17, 99])
def test_a_single_untrue_tag_changes_nothing(field: str, code: int, tmp_path: Path) -> None:
    plain, tagged = tmp_path / "plain.mp4", tmp_path / "tagged.mp4"
    flat_video(plain, "scale=out_color_matrix=smpte170m,format=yuv420p,setparams=colorspace=unknown", *X264)
    ffmpeg("-i", plain, "-c", "copy", "-bsf:v", f"h264_metadata={field}={code}", tagged)
    _shows(_encoded(tagged, tmp_path))


def test_the_reported_ictcp_tag_changes_nothing(shared_fixtures: Path, tmp_path: Path) -> None:
    tagged = shared_fixtures / "faults" / "04-colour-tag-kills-video" / "ictcp_tag.mp4"
    plain = tmp_path / "plain.mp4"
    untag = "h264_metadata=matrix_coefficients=2:colour_primaries=2:transfer_characteristics=2"
    ffmpeg("-i", tagged, "-c", "copy", "-bsf:v", untag, plain)
    pictures = []
    for path in (tagged, plain):
        folder = tmp_path / path.stem
        folder.mkdir()
        with av.open(str(_encoded(path, folder).path)) as container:
            pictures.append(np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]))
    assert (pictures[0] == pictures[1]).all()


def test_stored_videos_state_the_meaning_that_readers_assume(tmp_path: Path) -> None:
    path = flat_video(tmp_path / "flat.mp4", "scale=out_color_matrix=bt709,format=yuv420p", *X264)
    with av.open(str(_encoded(path, tmp_path).path)) as container:
        frame = next(container.decode(video=0))
        assert (frame.colorspace, frame.color_range, frame.color_primaries, frame.color_trc) == (6, 1, 1, 1)
