"""What a prediction rests on: every number with its unit and its source.

Numbers of the paper are those of its Table 1 (arXiv 2403.14870). *Measured here* names the script; two cores, no GPU. A
*guess* is marked as one: no GPU and no large network were at hand.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

Origin = Literal["paper", "measured here", "vendor", "choice", "guess"]
Recipe = Literal["vidla", "grounded"]
RECIPES: Final[tuple[Recipe, ...]] = ("vidla", "grounded")


@dataclass(frozen=True)
class Assumption:
    """One number."""

    name: str
    value: float
    unit: str
    origin: Origin
    source: str
    """Where it comes from, in a few words."""


def _rows(*rows: tuple[str, float, str, Origin, str]) -> dict[str, Assumption]:
    return {row[0]: Assumption(*row) for row in rows}


DATA: Final = _rows(
    ("videos", 20e6, "", "paper", "videos of YT-Temporal-1B"),
    ("short clips", 496e6, "", "paper", "Table 1"),
    ("medium clips", 212e6, "", "paper", "Table 1"),
    ("long clips", 100e6, "", "paper", "Table 1"),
    ("seconds of a short clip", 13.2, "s", "paper", "Table 1; all short clips together are the video that is stored"),
    ("videos in a shard", 64, "", "choice", "`videos_per_shard: auto`"),
)
CLUSTER: Final = _rows(
    ("nodes", 64, "", "choice", "asked for"),
    ("cores of a node", 96, "", "choice", "a common machine with eight GPUs"),
    ("GPUs of a node", 8, "", "choice", "the same"),
    ("network of a node", 10, "Gbit/s", "choice", "the same; to the outside and to the store together"),
    (
        "results a second of the runner",
        945,
        "1/s",
        "measured here",
        "`bench.runner`: 315 shards a second, three stages",
    ),
    ("share of time at work", 0.8, "", "guess", "of cores, GPUs and network: starts, stragglers, retries"),
)
DOWNLOAD: Final = _rows(
    ("bytes of a second of source", 90e3, "B", "guess", "480p with sound, as `media.download.height` asks for"),
    ("starts at a site", 1.0, "1/s", "choice", "`media.download.host_interval: 1`, over the whole cluster"),
)
ENGINES: Final[dict[Recipe, dict[str, Assumption]]] = {
    "vidla": _rows(
        ("stills to caption", 496e6, "", "paper", "one for each short clip (0.1 a second)"),
        ("captions of a GPU-hour", 100e3, "", "guess", "BLIP-2 OPT-2.7B in bfloat16, one still a request"),
        ("texts to write", 624e6, "", "paper", "two summaries of each medium and each long clip"),
        ("prompt tokens of a text", 184, "", "measured here", "`bench.rewrite`"),
        ("answer tokens of a text", 38, "", "measured here", "`bench.rewrite`"),
        ("tokens to judge a clip", 0, "", "choice", "the recipe has no judge"),
        ("clips to judge", 0, "", "choice", "the recipe has no judge"),
    ),
    "grounded": _rows(
        ("stills to caption", 496e6, "", "paper", "here requests: the frames of one short clip each"),
        ("captions of a GPU-hour", 32e3, "", "vendor", "Ray cookbook BENCHMARK_1M: 8B, six frames of 12 s, 256 GPUs"),
        ("texts to write", 808e6, "", "paper", "claims of each clip"),
        ("prompt tokens of a text", 801, "", "measured here", "`bench.rewrite --judged`"),
        ("answer tokens of a text", 100, "", "guess", "five claims in JSON; a tiny model wrote 23"),
        ("tokens to judge a clip", 2400, "", "guess", "three claims on text and pixels, 800 tokens each"),
        ("clips to judge", 808e6, "", "paper", "all clips"),
    ),
}
TOKENS: Final = _rows(
    ("prompt tokens of a GPU-second", 12e3, "1/s", "guess", "8 to 13 billion parameters on an 80 GB GPU, batched"),
    ("answer tokens of a GPU-second", 2e3, "1/s", "guess", "the same"),
)
STORE: Final = _rows(
    ("bytes of text of a clip", 700, "B", "guess", "captions and texts as zstd Parquet"),
    ("seconds of a request", 0.05, "s", "guess", "an object store in the same region"),
    ("requests of the driver at a time", 16, "", "choice", "threads of `shards.reader`"),
    ("requests to open a table", 2, "", "choice", "its size and its bytes; other calls are one request each"),
)
PRICES: Final = _rows(
    ("a CPU-hour", 0.04, "USD", "guess", "as in docs/costs.md; put in your own"),
    ("a GPU-hour", 2.50, "USD", "guess", "as in docs/costs.md; put in your own"),
    ("a gigabyte-month", 0.023, "USD", "vendor", "Amazon S3 Standard, list price"),
    ("a million requests", 5.0, "USD", "vendor", "Amazon S3 Standard, PUT and LIST; GET costs a twelfth"),
)


def assumptions(recipe: Recipe, measured: Mapping[str, Assumption]) -> dict[str, Assumption]:
    """Return all assumptions of a recipe by name; `measured` holds those that come from files of measurements."""
    return {**DATA, **CLUSTER, **DOWNLOAD, **measured, **ENGINES[recipe], **TOKENS, **STORE, **PRICES}
