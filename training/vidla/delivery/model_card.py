"""The card of a trained model: a README with the hub's YAML head, computed from its run and its score files.

Nothing is typed by hand: settings are those of ``RUN/settings.yaml``, scores those of ``score.json`` and of the files
that `eval-vidla --output` wrote. What is not there is left out.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml
from huggingface_hub import EvalResult, ModelCardData

from runtime.errors import UserError, one_line
from training.engine.checkpoints.run_folder import SCORE, SETTINGS
from training.models.vidla import vidla_folder
from training.vidla.delivery import MARK

_RECALLS: Final = {"r1": "R@1", "r5": "R@5", "r10": "R@10", "median_rank": "median rank"}
_ACCURACIES: Final = {"top1": "top-1 accuracy", "top5": "top-5 accuracy"}


@dataclass(frozen=True)
class BenchmarkScore:
    """One published kind of score of a model on one split of a benchmark."""

    benchmark: str
    split: str
    task: str
    """`text to video`, `video to text`, or `zero-shot` or `finetuned` classification."""
    name: str
    value: float
    note: str
    """Conditions that the value depends on: dual softmax, missing videos."""


@dataclass(frozen=True)
class ModelFacts:
    """All that a model's card states."""

    name: str
    """Last part of the repository's name, or the folder's."""
    license: str | None
    """License identifier of the hub; None: not stated."""
    architecture: Mapping[str, Any]
    clean_of: Sequence[str] | None
    """Benchmarks that the training data were cleaned of; None: unknown."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Settings of the run; empty if the model is not in a run's folder."""
    best: Mapping[str, Any] = field(default_factory=dict)
    """Step and held-out scores by which the model was kept."""
    scores: tuple[BenchmarkScore, ...] = ()

    @property
    def base_model(self) -> str | None:
        """Repository of the hub that the run started from; None: none, or not on the hub."""
        init = str(self.settings.get("model", {}).get("init", ""))
        return init.removeprefix("hf://").partition("@")[0] if init.startswith("hf://") else None


def model_facts(source: Path, name: str, license: str | None, score_files: Sequence[Path]) -> ModelFacts:
    """Read what is known of a model.

    Args:
        source: folder of the model; the run's settings are looked for beside it.
        name: of the model.
        license: identifier of the hub.
        score_files: files that `eval-vidla --output` wrote.

    Raises:
        UserError: `source` holds no model, or a file can't be read or is of another form.
    """
    config = vidla_folder.read_config(source)
    settings_file, score_file = source.resolve().parent / SETTINGS, source / SCORE
    return ModelFacts(
        name=name,
        license=license,
        architecture=config["architecture"],
        clean_of=config["extra"].get("clean_of"),
        settings=_settings(settings_file) if settings_file.is_file() else {},
        best=_json(score_file) if score_file.is_file() else {},
        scores=tuple(score for path in score_files for score in _scores(path, _json(path))),
    )


def card(facts: ModelFacts, format: str) -> str:
    """Return the README of a model in one of `training.vidla.commands.export_command.FORMATS`."""
    parts = (_head(facts, format), f"# {facts.name}\n", _introduction(facts), _USE[format](facts), *_sections(facts))
    return "\n".join(part for part in parts if part)


def _head(facts: ModelFacts, format: str) -> str:
    """Return the YAML head, between lines of three dashes."""
    data = ModelCardData(
        license=facts.license,
        library_name="transformers" if format == "hf" else "open_clip",
        base_model=facts.base_model,
        tags=["vidla", "video-text", "video-retrieval", "clipgrove"],
        model_name=facts.name,
        eval_results=[
            EvalResult(
                task_type="video-text-retrieval" if " to " in score.task else "video-classification",
                dataset_type=score.benchmark,
                dataset_name=f"{score.benchmark} {score.split}",
                dataset_split=score.split,
                metric_type=score.name,
                metric_name=f"{score.task} {score.name}" + (f", {score.note}" if score.note else ""),
                metric_value=round(score.value, 2),
            )
            for score in facts.scores
        ]
        or None,
    )
    return f"---\n{data.to_yaml()}\n---\n"


def _introduction(facts: ModelFacts) -> str:
    temporal, frames = facts.architecture["temporal"], facts.architecture["frames"]
    levels = f"{temporal['levels']} levels of {temporal['tokens_per_level']} summary tokens"
    return (
        f"A two-tower video-text model (VidLA, arXiv 2403.14870), {MARK} on clips of {frames} frames; "
        f"its video tower has {levels if temporal['levels'] else 'no summary tokens'}"
        f"{' and spatially local attention over time' if temporal['spatially_local'] else ''}.\n"
    )


def _use_of_transformers(facts: ModelFacts) -> str:
    return f"""## Use

```python
import training.models.vidla.transformers_model  # registers the class; pip install clipgrove
from transformers import AutoModel, AutoProcessor

model, processor = AutoModel.from_pretrained({facts.name!r}), AutoProcessor.from_pretrained({facts.name!r})
frames = processor(images=pictures, return_tensors="pt").pixel_values  # {facts.architecture["frames"]} pictures
video = model.get_video_features(frames[None])
words = processor(text=["a dog runs"], padding="max_length", truncation=True, return_tensors="pt")
text = model.get_text_features(**words)
```
"""


def _use_of_open_clip(facts: ModelFacts) -> str:
    return f"""## Use

It has no attention over time: a clip's embedding is that of its frames, in open_clip's own model.

```python
import open_clip

model, preprocess = open_clip.create_model_from_pretrained("hf-hub:{facts.name}")
tokenizer = open_clip.get_tokenizer("hf-hub:{facts.name}")
```
"""


_USE: Final = {"hf": _use_of_transformers, "open_clip": _use_of_open_clip}


def _sections(facts: ModelFacts) -> Iterator[str]:
    if facts.scores:
        header = ("benchmark", "split", "task", "score", "value", "conditions")
        scored = [(s.benchmark, s.split, s.task, s.name, f"{s.value:.1f}", s.note) for s in facts.scores]
        yield "## Scores\n\n" + _table(header, scored)
    if held_out := facts.best.get("scores"):
        rows = [(name, f"{value:.4g}") for name, value in held_out.items()]
        step = facts.best.get("step")
        yield f"## Held-out clips of its own data, step {step}\n\n" + _table(("score", "value"), rows)
    if data := facts.settings.get("data"):
        wanted = ("shards", "layers", "selection", "only_kept", "level_mix", "clips_per_root", "source")
        rows = [(name, _plain(data[name])) for name in wanted if data.get(name) not in (None, [], {})]
        yield "## Training data\n\n" + _table(("setting", "value"), rows) + _clean_line(facts.clean_of)
    if facts.settings:
        text = yaml.safe_dump(_without_folders(facts.settings), sort_keys=False, allow_unicode=True)
        yield f"## Settings\n\n```yaml\n{text}```\n"


def _clean_line(clean_of: Sequence[str] | None) -> str:
    if clean_of is None:
        return "\nIt is unknown which benchmarks the data were cleaned of.\n"
    return f"\nThe data were cleaned of: {', '.join(clean_of) or 'no benchmark'}.\n"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *([_cell(value) for value in row] for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _cell(value: str) -> str:
    """Return a value that can't end its cell or begin markup."""
    return " ".join(value.replace("|", "\\|").replace("<", "&lt;").replace("`", "'").split())


def _plain(value: object) -> str:
    """Return a setting for a table; of paths only the last part is shown."""
    if isinstance(value, list):
        return ", ".join(map(_plain, value))
    return Path(value).name if isinstance(value, str) and "/" in value else str(value)


def _without_folders(value: Any) -> Any:
    """Return settings in which paths of the machine have their last part alone."""
    if isinstance(value, Mapping):
        return {name: _without_folders(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_without_folders(inner) for inner in value]
    return Path(value).name if isinstance(value, str) and "/" in value and not value.startswith("hf://") else value


def _scores(path: Path, values: Mapping[str, Any]) -> Iterator[BenchmarkScore]:
    """Yield the scores of a file of `eval-vidla`.

    Raises:
        UserError: the file is not one.
    """
    try:
        conditions = [] if values["complete"] else ["some videos missing"]
        if "results" in values:
            yield from _retrieval_scores(values, conditions)
            return
        for key, name in _ACCURACIES.items():
            task = f"{values['way']} classification"
            yield BenchmarkScore(
                values["benchmark"], values["split"], task, name, float(values[key]), ", ".join(conditions)
            )
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"--scores {path}: is not a file that `eval-vidla retrieval --output` or `classify --output` writes "
            f"({type(error).__name__}: {one_line(error)})"
        ) from None


def _retrieval_scores(values: Mapping[str, Any], conditions: Sequence[str]) -> Iterator[BenchmarkScore]:
    for result in values["results"]:
        note = ", ".join([*(["dual softmax"] if result["dual_softmax"] else []), *conditions])
        for direction, task in (("t2v", "text to video"), ("v2t", "video to text")):
            for key, name in _RECALLS.items():
                yield BenchmarkScore(
                    values["benchmark"], values["split"], task, name, float(result[direction][key]), note
                )


def _settings(path: Path) -> Mapping[str, Any]:
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise UserError(f"{path}: can't be read ({one_line(error)})") from None
    return values if isinstance(values, dict) else {}


def _json(path: Path) -> Mapping[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: can't be read as JSON ({one_line(error)})") from None
    if not isinstance(values, dict):
        raise UserError(f"{path}: must hold a JSON object, found {type(values).__name__}")
    return values
