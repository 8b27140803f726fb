"""The arguments of `train-vidlankd`: one parser a subcommand, with examples.

Imports nothing heavy: `train-vidlankd --help` answers at once.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from training.command_line import add_run_arguments, add_settings_arguments

PROGRAM = "train-vidlankd"

_EXAMPLES = """\
the recipe, in order:
  features   visual features of every root of a DIR, as a time series
  tokenize   text to memory-mapped blocks
  teacher    a language tower and a video tower, trained together on clips and their texts
  student    a language model on text alone, with the teacher's states beside it
  export     the student as a plain Hugging Face BERT folder
  evaluate   fine-tune and score it on language tasks
  ground     which clips the words of a sentence mean to teacher and student, as a page

`train-vidlankd COMMAND --help` has examples. Works under torchrun (teacher, student).
"""

_FEATURES_EXAMPLES = """\
examples:
  train-vidlankd features --shards /data/out --encoder resnet152+r2plus1d_18@8fps --name resnet
      the paper's kind of features, at the shards' own frame rate
  train-vidlankd features --shards /data/out --encoder resnet152+r2plus1d_18 --name resnet24 --video original
      the same at 24 frames per second, read from the original files (--originals DIR where the sources were URLs)
  train-vidlankd features --shards /data/out --encoder clip:ViT-B-32:openai --name clip
  train-vidlankd features --shards demo/shards --encoder vidla:demo/vidla/best --name vidla
"""

_TOKENIZE_EXAMPLES = """\
examples:
  train-vidlankd tokenize --corpus wikitext-103-raw/wiki.train.raw --format wikitext --output wiki103
  train-vidlankd tokenize --corpus enwiki/*.parquet --column text --output wiki
      such as the hub's wikimedia/wikipedia, configuration 20231101.en
  train-vidlankd tokenize --shards /data/out --column grounded_text --output captions
      the texts of the clips, for the control that reads them and never sees a video
"""

_TEACHER_EXAMPLES = """\
examples:
  train-vidlankd teacher --shards /data/out --features resnet --output teacher
  torchrun --nproc-per-node 4 -m training.vidlankd.train_vidlankd teacher --shards /data/out --features resnet --output teacher
  train-vidlankd teacher --shards /data/out --output blind --set loss.contrastive=0
      the same teacher on the texts alone: the control that credits, or does not credit, the video
"""

_STUDENT_EXAMPLES = """\
examples:
  train-vidlankd student --teacher teacher/best --corpus wiki --output student
  train-vidlankd student --corpus wiki --output baseline
      text alone, as many steps
  train-vidlankd student --corpus wiki captions --output control
      text and the texts of the clips, no teacher
  train-vidlankd student --teacher teacher/best --corpus wiki --output nst --set loss.crd=0
"""

_EVALUATE_EXAMPLES = """\
examples:
  train-vidlankd evaluate --model bert --tasks sst2,qnli,qqp,mnli,diagnostics --data glue/ --output glue.json
  train-vidlankd evaluate --model hf://google-bert/bert-base-uncased --tasks squad1,swag,piqa,tracie --data tasks/
  train-vidlankd evaluate --model bert --data hub --set folders.diagnostics=glue/ --set folders.tracie=tracie/ \\
    --set every.lr=5e-5 --set recipes.qqp.epochs=2
"""

_GROUND_EXAMPLES = """\
examples:
  train-vidlankd ground --teacher teacher/best --student student/best --shards /data/out --features resnet \\
    --sentence "a man pours water into a glass" --output ground.html
"""


def build_parser() -> argparse.ArgumentParser:
    """Of the command; the subcommand's name is in `command`."""
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        description="Train a video-language teacher and distil it into a language model that reads text alone.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_features(_command(commands, "features", "visual features of curated shards", _FEATURES_EXAMPLES))
    _add_tokenize(_command(commands, "tokenize", "text to memory-mapped blocks", _TOKENIZE_EXAMPLES))
    _add_teacher(_command(commands, "teacher", "train a video-language teacher", _TEACHER_EXAMPLES))
    _add_student(_command(commands, "student", "train a language model", _STUDENT_EXAMPLES))
    _add_evaluate(_command(commands, "evaluate", "fine-tune and score on tasks", _EVALUATE_EXAMPLES))
    _add_ground(_command(commands, "ground", "the clips that words mean, as a page", _GROUND_EXAMPLES))
    _add_export(_command(commands, "export", "a plain Hugging Face BERT folder", ""))
    return parser


def _command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], name: str, summary: str, examples: str
) -> argparse.ArgumentParser:
    return commands.add_parser(
        name,
        help=summary,
        description=summary[0].upper() + summary[1:] + ".",
        epilog=examples,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def _add_shards(parser: argparse.ArgumentParser, required: bool = True) -> None:
    parser.add_argument(
        "--shards",
        nargs="+",
        required=required,
        metavar="DIR",
        help="folders or object-store URLs that `curate run` wrote",
    )


def _add_features(parser: argparse.ArgumentParser) -> None:
    _add_shards(parser)
    parser.add_argument(
        "--encoder",
        metavar="NAME",
        help="resnet152+r2plus1d_18[@8fps], clip:ARCHITECTURE:TAG, vidla:FOLDER",
    )
    parser.add_argument("--name", metavar="NAME", help="of the feature set, DIR/features/NAME")
    parser.add_argument("--video", choices=("shards", "original"), help="decode the stored roots, or the originals")
    parser.add_argument("--originals", metavar="DIR", help="where originals lie that came from a URL")
    parser.add_argument("--replace", action="store_true", help="make the set anew where its settings changed")
    parser.add_argument("--address", metavar="RAY", help="a running Ray cluster (default: this machine)")
    parser.add_argument("--device", metavar="NAME", help="cpu or cuda (default: a GPU where there is one)")
    add_settings_arguments(parser)


def _add_tokenize(parser: argparse.ArgumentParser) -> None:
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--corpus", nargs="+", type=Path, metavar="FILE", help="text, WikiText or Parquet, .gz as well")
    source.add_argument("--shards", nargs="+", metavar="DIR", help="a text column of curated shards instead")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="the tokenised corpus")
    parser.add_argument("--column", metavar="NAME", help="text column, of Parquet files and shards")
    parser.add_argument("--format", choices=("auto", "text", "wikitext", "parquet"), help="default: by the file's name")
    parser.add_argument("--encoding", metavar="NAME", help="of text files (default utf-8)")
    parser.add_argument("--tokenizer", metavar="URI", help="a BERT vocabulary (default bert-base-uncased of the hub)")
    parser.add_argument("--block", type=int, metavar="N", help="tokens of a block without the 2 specials (default 126)")
    add_settings_arguments(parser)


def _add_size(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--size", choices=("tiny", "mini", "small", "base"), help="layers and widths (default base)")


def _add_teacher(parser: argparse.ArgumentParser) -> None:
    _add_shards(parser, required=False)
    parser.add_argument("--features", metavar="NAME", help="feature set that `train-vidlankd features` made")
    parser.add_argument("--layer", metavar="NAME", help="text layer to train on (default: the only one)")
    _add_size(parser)
    add_run_arguments(parser, "vidlankd-teacher", "clips", 64, "20 epochs")


def _add_student(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--corpus", nargs="+", metavar="DIR", help="what `train-vidlankd tokenize` wrote")
    parser.add_argument("--valid", metavar="DIR", help="held-out blocks (default: the end of the corpus)")
    parser.add_argument("--teacher", metavar="FOLDER", help="a trained teacher (RUN/best); none: text alone")
    _add_size(parser)
    add_run_arguments(parser, "vidlankd-student", "blocks", 256, "500,000")


def _add_evaluate(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", required=True, metavar="FOLDER", help="an exported folder, or a model URI")
    parser.add_argument("--tasks", metavar="A,B", help="sst2,qnli,qqp,mnli,diagnostics,squad1,squad2,swag,piqa,tracie")
    parser.add_argument("--data", metavar="DIR|hub", help="published files, a folder a task (SST-2, …), or `hub`")
    parser.add_argument("--seeds", nargs="+", type=int, metavar="N", help="one fine-tuning for each (default 0 1 2)")
    parser.add_argument("--output", type=Path, default=Path("language.json"), metavar="FILE", help="the report")
    parser.add_argument("--device", metavar="NAME", help="cpu or cuda (default: a GPU where there is one)")
    add_settings_arguments(parser)


def _add_ground(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--teacher", required=True, type=Path, metavar="FOLDER", help="a trained teacher")
    parser.add_argument("--student", type=Path, metavar="FOLDER", help="a trained student, to stand beside it")
    _add_shards(parser)
    parser.add_argument("--features", required=True, metavar="NAME", help="the teacher's feature set")
    parser.add_argument("--sentence", required=True, action="append", metavar="TEXT", help="repeatable")
    parser.add_argument("--top", type=int, default=5, metavar="N", help="clips for each word (default 5)")
    parser.add_argument("--output", type=Path, default=Path("ground.html"), metavar="FILE", help="the page")


def _add_export(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--checkpoint",
        required=True,
        type=Path,
        metavar="FOLDER",
        help="RUN/best or a checkpoint of a student or teacher",
    )
    parser.add_argument("--output", required=True, type=Path, metavar="DIR", help="a new folder")
