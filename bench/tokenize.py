"""`train-vidlankd tokenize` against plain calls of `tokenizers` in one process, in MB/s.

    python -m bench.tokenize                       # 64 MB of documentation of the installed packages, repeated
    python -m bench.tokenize --corpus wiki.txt     # your own text
    python -m bench.tokenize --small               # 4 MB, once

Both read the same file with the same tokenizer (BERT's uncased vocabulary) and keep all ids. The plain way reads the
file, splits it into lines and calls `encode_batch` on a thousand of them at a time, without the library's threads; ours
is the whole command with parts, processes, checksums and files, including start and end. They alternate; medians are
shown.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import tokenizers
from tokenizers import Tokenizer

from runtime.models.model_uri import resolve
from training.corpus.tokenize_corpus import tokenize
from training.corpus.tokenize_settings import TokenizeSettings
from training.models.vidlankd.text_tokenizer import PACKAGED_TOKENIZER

TARGET = 0.9
"""Target: share of the number of cores times the rate of the plain way."""
LINES = 1000


@dataclass(frozen=True)
class Measured:
    """Result of one way in one run."""

    seconds: float
    tokens: int


def plain(text: Path, tokenizer: Path) -> Measured:
    """Tokenise in one process and one thread, and write nothing."""
    began = time.perf_counter()
    encoder = Tokenizer.from_file(str(tokenizer / "tokenizer.json"))
    encoder.no_padding()
    encoder.no_truncation()
    lines = text.read_text(encoding="utf-8").split("\n")
    ids = [
        found.ids
        for begin in range(0, len(lines), LINES)
        for found in encoder.encode_batch(lines[begin : begin + LINES], add_special_tokens=False)
    ]
    return Measured(time.perf_counter() - began, sum(map(len, ids)))


def plain_apart(text: Path) -> Measured:
    """Run the plain way in a process of its own; its start is not counted."""
    command = [sys.executable, "-m", "bench.tokenize", "--plain", str(text)]
    environment = os.environ | {"TOKENIZERS_PARALLELISM": "false"}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    return Measured(**json.loads(done.stdout))


def ours(text: Path, workers: int) -> Measured:
    """Run the whole command without the start of Python."""
    with tempfile.TemporaryDirectory() as folder:
        settings = TokenizeSettings(tokenizer=PACKAGED_TOKENIZER, workers=workers, format="text")
        began = time.perf_counter()
        summary = tokenize([text], Path(folder, "tokens"), settings)
        return Measured(time.perf_counter() - began, summary.record.tokens)


def documentation(target: Path, megabytes: int) -> Path:
    """Write real English text of that size: documentation of the installed packages, repeated as needed."""
    site = Path(sysconfig.get_paths()["purelib"])
    files = sorted(path for kind in ("*.md", "*.rst", "*.txt", "METADATA") for path in site.rglob(kind))
    text = b"".join(path.read_bytes().decode("utf-8", "ignore").encode() + b"\n" for path in files if path.is_file())
    with target.open("wb") as out:
        for _ in range(-(-megabytes * 10**6 // len(text))):
            out.write(text[: megabytes * 10**6 - out.tell()].decode("utf-8", "ignore").encode())
    return target


def report(text: Path, runs: int, workers: int) -> str:
    """Measure both ways, alternating; return the result as Markdown, with machine and date."""
    found = [(plain_apart(text), ours(text, workers)) for _ in range(runs)]
    size = text.stat().st_size / 1e6
    one, many = (size / statistics.median(pair[way].seconds for pair in found) for way in (0, 1))
    share = many / (workers * one)
    return "\n".join(
        [
            f"{time.strftime('%Y-%m-%d')}, {platform.machine()}, {os.cpu_count()} cores, tokenizers "
            f"{tokenizers.__version__}; {size:.1f} MB, {found[0][1].tokens / 1e6:.2f} M tokens, median of {runs}.",
            "",
            "| way | MB/s | tokens |",
            "|---|---|---|",
            f"| `tokenizers.encode_batch`, one process | {one:.2f} | {found[0][0].tokens:,} |",
            f"| `train-vidlankd tokenize`, {workers} processes | {many:.2f} | {found[0][1].tokens:,} |",
            "",
            f"{many / one:.2f} times one process, {share:.2f} of {workers} x (target: at least {TARGET:g}).",
        ]
    )


def main() -> None:
    """Measure both ways, or the plain one in this process."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, help="a UTF-8 text file")
    parser.add_argument("--mb", type=int, default=64, help="size of the text without --corpus")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--small", action="store_true", help="4 MB, once")
    parser.add_argument(
        "--plain", type=Path, metavar="FILE", help="measure the plain way in this process and print JSON"
    )
    arguments = parser.parse_args()
    if arguments.plain:
        found = plain(arguments.plain, Path(resolve(PACKAGED_TOKENIZER).path))
        print(json.dumps({"seconds": found.seconds, "tokens": found.tokens}))
        return
    if arguments.small:
        arguments.mb, arguments.runs = 4, 1
    with tempfile.TemporaryDirectory() as folder:
        text = arguments.corpus or documentation(Path(folder, "text.txt"), arguments.mb)
        print(report(text, arguments.runs, arguments.workers))


if __name__ == "__main__":
    main()
