"""`make demo-kd`: features, teacher, student and one evaluation on the shards of `make demo`, with the real commands.

python -m training.demo.vidlankd_demo --shards demo/shards --vidla demo/vidla/best --output demo/kd

The models are tiny: the demo shows that every part runs, not what the method can do. The corpus is made of the
descriptions of the installed packages; the evaluation's sentences are generated in the format of SST-2.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import random
import re
import shlex
import shutil
import sys
import time
from collections.abc import Iterator
from itertools import product
from pathlib import Path

from training.demo.loss_summary import show_losses
from training.models.vidlankd.text_tokenizer import PACKAGED_TOKENIZER
from training.vidlankd import train_vidlankd

_THIS = "clipgrove"
"""Name of this project, whose own README is not part of the corpus: a change to it must not change the demo."""

_RECIPE = """\
features --shards {shards} --encoder vidla:{vidla} --name vidla
tokenize --corpus {out}/corpus.txt --output {out}/tokens --tokenizer {tokenizer}
teacher --shards {shards} --features vidla --output {out}/teacher --size tiny --steps 60 --batch-size 4 --resume auto \
--set model.tokenizer={tokenizer} --set optim.lr=5e-4
student --teacher {out}/teacher/best --corpus {out}/tokens --output {out}/student --size tiny --steps 60 \
--batch-size 16 --resume auto --set loss.queue=1024 --set optim.lr=1e-3
export --checkpoint {out}/student/best --output {out}/bert
evaluate --model {out}/bert --tasks sst2 --data {out}/tasks --seeds 0 1 --output {out}/language.json \
--set every.lr=1e-3 --set every.epochs=6
ground --teacher {out}/teacher/best --student {out}/student/best --shards {shards} --features vidla \
--sentence "a lion looks at us" --output {out}/ground.html
"""
_PROSE = re.compile(r"[A-Z][^<>{}|=]*")
_FEWEST_WORDS = 12

_THINGS = ("film", "plot", "actor", "song", "scene", "story", "ending", "script", "camera", "music", "dialogue", "cast")
_GOOD = ("wonderful", "moving", "brilliant", "funny", "warm", "clever", "lovely", "superb")
_BAD = ("dull", "awful", "boring", "clumsy", "weak", "tedious", "ugly", "dreadful")
_FRAMES = ("the {} is {}", "what a {1} {0}", "i found the {} quite {}", "this {} was {} throughout")


def main() -> int:
    """Run the recipe; return the exit status of the first command that failed."""
    parser = argparse.ArgumentParser(prog="python -m training.demo.vidlankd_demo", description=__doc__)
    parser.add_argument("--shards", default="demo/shards", metavar="DIR")
    parser.add_argument("--vidla", default="demo/vidla/best", metavar="FOLDER", help="of `make demo-train`")
    parser.add_argument("--output", type=Path, default=Path("demo/kd"), metavar="DIR")
    arguments = parser.parse_args()
    started = time.monotonic()
    if write_corpus(arguments.output / "corpus.txt"):
        for made in ("tokens", "student"):
            shutil.rmtree(arguments.output / made, ignore_errors=True)
    shutil.rmtree(arguments.output / "bert", ignore_errors=True)  # exported anew
    write_task(arguments.output / "tasks" / "SST-2")
    recipe = commands(arguments.shards, arguments.vidla, arguments.output)
    for number, command in enumerate(recipe, start=1):
        print(f"\n== {number}/{len(recipe)}  train-vidlankd {' '.join(command)}", flush=True)
        if status := train_vidlankd.main(command):
            return status
        if command[0] in ("teacher", "student"):
            show_losses(arguments.output / command[0])
    page = arguments.output / "ground.html"
    print(f"\nDone in {time.monotonic() - started:.0f} s. The clips nearest to each word: {page}")
    return 0


def commands(shards: str, vidla: str, output: Path) -> list[list[str]]:
    """Return the arguments of each call of `train-vidlankd`, in order; `output` replaces `{out}`."""
    places = {"shards": shards, "vidla": vidla, "out": str(output), "tokenizer": PACKAGED_TOKENIZER}
    return [[word.format(**places) for word in shlex.split(line)] for line in _RECIPE.splitlines()]


def write_corpus(path: Path) -> bool:
    """Write the descriptions of all installed packages but this one, in order of name, one paragraph a line.

    Returns:
        True if the file has changed; otherwise its tokens can be reused.
    """
    found: dict[str, importlib.metadata.Distribution] = {}
    for package in importlib.metadata.distributions():
        found.setdefault(str(package.metadata["Name"]).lower(), package)
    packages = [found[name] for name in sorted(found.keys() - {_THIS})]
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = dict.fromkeys(line for package in packages for line in _prose(_description(package)))
    text = "".join(f"{line}\n" for line in lines)
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return False
    path.write_text(text, encoding="utf-8")
    return True


def write_task(folder: Path) -> None:
    """Write ``train.tsv`` and ``dev.tsv`` in the format of SST-2; the two pair each adjective with different nouns."""
    rows = [
        (frame.format(thing, word), label)
        for label, words in enumerate((_BAD, _GOOD))
        for frame, thing, word in product(_FRAMES, _THINGS, words)
    ]
    random.Random(0).shuffle(rows)
    folder.mkdir(parents=True, exist_ok=True)
    for name, part in (("train", rows[: len(rows) * 3 // 4]), ("dev", rows[len(rows) * 3 // 4 :])):
        text = "".join(f"{sentence}\t{label}\n" for sentence, label in part)
        (folder / f"{name}.tsv").write_text(f"sentence\tlabel\n{text}", encoding="utf-8")


def _description(package: importlib.metadata.Distribution) -> str:
    """Return the description of a package: the body of newer metadata, a field of older."""
    body = package.metadata.get_payload()  # type: ignore[attr-defined]
    return str(body or package.metadata["Description"] or "")


def _prose(markup: str) -> Iterator[str]:
    """Yield the paragraphs of a description that are sentences."""
    text = re.sub(r"```.*?```", "", markup, flags=re.DOTALL)
    for paragraph in re.split(r"\n\s*\n", text):
        line = " ".join(re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", paragraph).split())
        if len(line.split()) >= _FEWEST_WORDS and _PROSE.fullmatch(line) and "://" not in line:
            yield line


if __name__ == "__main__":
    sys.exit(main())
