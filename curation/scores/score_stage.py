"""The score stage: the clips of a shard in, one table of a score set out, with vectors beside it.

    media/<shard>.tar + media/<shard>.parquet (+ text/<layer>/<shard>.parquet) -> scores/<name>/<shard>.parquet (+ .npy)

It is left out unless the settings name scores. Each root is decoded once for all (`curation.scores.root_scores`).
A score that fails becomes a null and a count; only faults of the machine end the run.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from curation.engines.engine_settings import EngineSettings
from curation.scores.root_scores import NamedScorer, complete, score_root
from curation.scores.score_registry import SCORE_KINDS, ScoreSettings, used_columns, used_scores
from curation.scores.scorer import ScoreColumn, ScoreResources, ShardRows, Value, VectorColumn
from curation.stages.pictures_per_prompt import check_pictures
from curation.stages.pipeline_settings import PipelineSettings
from curation.stages.shard_table import ShardTable
from curation.stages.stage_definition import Outputs, ShardStage, StageContext, WorkerBuild
from runtime.models.model_uri import revision_of
from runtime.ray_runner.stage import Service, ShardResult
from runtime.settings import content_hash
from shards.artifact import Artifact
from shards.errors import ShardError
from shards.keys import shard_name
from shards.reader import read_artifact, read_table
from shards.schema import SCORES
from shards.scores.score_set import FOLDER, STAGE
from shards.scores.score_writer import ShardScores, commit_scores, score_schema
from shards.storage.tar import read_span
from shards.stored_rows import StoredClip, StoredText

SCORE_VERSION: Final = 1
_TEXTS: Final = "rewrite"


def score_hash(settings: ScoreSettings, texts: str | None, engines: Mapping[str, EngineSettings] | None = None) -> str:
    """Return the content hash of a score set.

    Args:
        settings: of the stage.
        texts: folder of the text layer that it reads; None if no score needs texts.
        engines: by the names in the settings.
    """
    parts: list[list[Any]] = []
    for kind, values in used_scores(settings):
        models = {use: revision_of(uri) for use, uri in kind.models(values).items()}
        called = [(engines or {})[name].identity() for name in kind.engines(values).values()]
        parts.append([kind.name, kind.version, values.content(), models, *([called] if called else [])])
    return content_hash(STAGE, SCORE_VERSION, parts, texts)


class TextFolder(NamedTuple):
    """The folder of the text layer that a score set reads."""

    path: str
    final_path: str
    """The folder after a replacement that is going on."""


def score_worker(
    output: ShardTable, settings: ScoreSettings, texts: TextFolder | None, services: Mapping[str, Service]
) -> ScoreWorker:
    """Build a score worker in its own process; the models of the scores are loaded here."""
    import cv2

    cv2.setNumThreads(1)  # one worker is one processor
    named = [NamedScorer(kind.name, kind.columns(values), kind.build(values)) for kind, values in used_scores(settings)]
    for each in named:
        each.scorer.start(ScoreResources(output.store, services))
    return ScoreWorker(output, named, texts)


@dataclass(frozen=True)
class _Inputs:
    """The inputs of the scores of a shard."""

    digests: Mapping[str, str]
    clips: Sequence[StoredClip]
    texts: Mapping[str, StoredText]


class ScoreWorker:
    """Scores the clips of a shard; see `runtime.ray_runner.stage.Worker`."""

    def __init__(self, output: ShardTable, scorers: Sequence[NamedScorer], texts: TextFolder | None = None) -> None:
        self._output = output
        self._scorers = scorers
        self._texts = texts

    async def process(self, shard: int) -> ShardResult:
        """Make the shard's table of the set: one row for each row of the shard's media table, in its order."""
        return await self._output.result(shard, asyncio.to_thread(self._make, shard))

    def _make(self, shard: int) -> Mapping[str, float]:
        inputs = self._read(shard)
        counts: Counter[str] = Counter(clips=len(inputs.clips))
        rows = [row for tree in _trees(inputs.clips) for row in self._tree(shard, tree, inputs.texts, counts)]
        shard_rows = ShardRows(inputs.clips, inputs.texts)
        for each in self._scorers:
            for row, values in zip(rows, complete(each, rows, shard_rows, counts), strict=True):
                row.update(values)
        figures = {name: float(count) for name, count in counts.items() if count or name == "clips"}
        self._commit(shard, inputs, rows, figures)
        return figures

    def _tree(
        self, shard: int, tree: Sequence[StoredClip], texts: Mapping[str, StoredText], counts: Counter[str]
    ) -> list[dict[str, Value]]:
        tar, root = f"media/{shard_name(shard)}.tar", tree[0]
        video = partial(read_span, self._output.store, tar, root["byte_offset"], root["byte_size"])
        return score_root(self._scorers, tree, texts, video, counts)

    def _read(self, shard: int) -> _Inputs:
        """Return the shard's clips and texts, and the digests of their tables.

        Raises:
            ShardError: the texts were made from other media than the shard has now.
        """
        store, media = self._output.store, f"media/{shard_name(shard)}.parquet"
        digests = {media: read_artifact(store, media).digest}
        texts: Mapping[str, StoredText] = {}
        if self._texts is not None:
            name = f"{self._texts.path}/{shard_name(shard)}.parquet"
            artifact = read_artifact(store, name)
            if artifact.inputs.get(media) != digests[media]:
                raise ShardError(f"{name} was made from an older {media}; run the rewrite stage again")
            digests[f"{self._texts.final_path}/{shard_name(shard)}.parquet"] = artifact.digest
            texts = {row["key"]: row for row in read_table(store, name).to_pylist()}
        return _Inputs(digests, read_table(store, media).to_pylist(), texts)

    def _commit(
        self, shard: int, inputs: _Inputs, rows: Sequence[Mapping[str, Value]], counts: Mapping[str, float]
    ) -> None:
        output, scratch = self._output, Path(self._output.scratch)
        scratch.mkdir(parents=True, exist_ok=True)
        columns = [column for each in self._scorers for column in each.columns]
        scalars = {column.name: column.type for column in columns if isinstance(column, ScoreColumn)}
        ids = [{"key": clip["key"], "shard": shard} for clip in inputs.clips]
        plain = [own | {name: row[name] for name in scalars} for own, row in zip(ids, rows, strict=True)]
        table = pa.Table.from_pylist(plain, schema=score_schema(scalars))
        widths = {name: width for each in self._scorers for name, width in each.scorer.widths.items()}
        vectors = {
            column.name: _stacked([row[column.name] for row in rows], widths[column.name])
            for column in columns
            if isinstance(column, VectorColumn)
        }
        artifact = Artifact(output.stage, output.hash, inputs=inputs.digests, counts=counts)
        made = ShardScores(shard, table, vectors)
        commit_scores(output.store, scratch, output.folder, made, artifact, output.final_folder)


def _stacked(values: Sequence[NDArray[np.floating] | None], width: int) -> NDArray[np.float16]:
    """Return vectors [rows, width]; a row of NaN where there is none."""
    vectors = np.full((len(values), width), np.nan, np.float16)
    for row, value in zip(vectors, values, strict=True):
        if value is not None:
            row[:] = value
    return vectors


def _trees(clips: Sequence[StoredClip]) -> Iterator[list[StoredClip]]:
    """Yield the clips of each root, which are one after another, the root first."""
    for _, tree in groupby(clips, key=lambda clip: clip["root_key"]):
        yield list(tree)


def _own(settings: PipelineSettings) -> ScoreSettings:
    return settings.branch(ScoreSettings)


def _reads_too(settings: PipelineSettings) -> Sequence[str]:
    return (_TEXTS,) if any(kind.needs_texts(values) for kind, values in used_scores(_own(settings))) else ()


def _unused(settings: PipelineSettings) -> str | None:
    if _own(settings).scores:
        return None
    valid = ", ".join(kind.name for kind in SCORE_KINDS)
    return f"score.scores names no score; add --set score.scores=[NAME,…] (valid: {valid})"


def _hash(settings: PipelineSettings, outputs: Outputs) -> str:
    texts = outputs[_TEXTS].final_path if _reads_too(settings) else None
    return score_hash(_own(settings), texts, settings.engines)


def _worker(context: StageContext) -> WorkerBuild:
    texts = context.outputs[_TEXTS]
    folder = TextFolder(texts.path, texts.final_path) if _reads_too(context.settings) else None
    return partial(score_worker, SCORE.tables(context), _own(context.settings), folder)


def _models(settings: PipelineSettings) -> Mapping[str, str]:
    used = used_scores(_own(settings))
    return {f"{kind.name} {use}": uri for kind, values in used for use, uri in kind.models(values).items()}


def _programs(settings: PipelineSettings) -> list[str]:
    return ["av", *(program for kind, _ in used_scores(_own(settings)) for program in kind.programs)]


def _engines(settings: PipelineSettings) -> Mapping[str, str]:
    used = used_scores(_own(settings))
    return {f"{STAGE}.{kind.name}.{own}": name for kind, values in used for own, name in kind.engines(values).items()}


def _content(settings: PipelineSettings) -> dict[str, Any]:
    """Return the settings of the scores, with the model of each column of vectors, by its URI where it has one."""
    content = _own(settings).content()
    models = {f"engine:{name}": settings.engines[name].model for name in _engines(settings).values()}
    vectors = {column: models.get(made_by, made_by) for column, made_by in content.pop("vectors", {}).items()}
    return content | ({"vectors": vectors} if vectors else {})


def _check(settings: PipelineSettings) -> None:
    """Refuse scores that lack a setting, and those that make columns of the same name."""
    for kind, values in used_scores(_own(settings)):
        kind.check(values)
    counts = Counter(column.name for column in used_columns(_own(settings)))
    for name, count in counts.items():
        if count > 1:
            raise ValueError(f"score.scores: {count} of them make the column {name!r}; leave one of them out")
    for kind, values in used_scores(_own(settings)):
        for setting, engine in kind.engines(values).items():
            check_pictures(settings, f"{STAGE}.{kind.name}.{setting}", engine, kind.pictures(values))


SCORE: Final = ShardStage(
    name=STAGE,
    summary="From clips to scores: numbers and vectors to choose clips by. Left out unless it names scores.",
    settings=ScoreSettings,
    reads=("media",),
    reads_too=_reads_too,
    unused=_unused,
    schema=SCORES,
    path=FOLDER,
    kind="layer",
    folder_name=lambda settings: _own(settings).name,
    renaming="set score.name=NAME",
    content=_content,
    hash=_hash,
    worker=_worker,
    engines=_engines,
    embedders=tuple(f"{STAGE}.{kind.name}.{setting}" for kind in SCORE_KINDS for setting in kind.embedders),
    check=_check,
    models=_models,
    programs=_programs,
)
