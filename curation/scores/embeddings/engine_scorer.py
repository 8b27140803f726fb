"""Vectors of clips and of their texts by a pooling model, such as Qwen3-VL-Embedding on vLLM.

The clips of a shard are asked for together, so that the engine can batch them; it decodes a few frames of each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from curation.engines.engine_interface import Answer, FramesRef, ImageRef, Request
from curation.scores.embeddings.embedded_texts import clip_text
from curation.scores.embeddings.embedding_settings import EmbeddingSettings
from curation.scores.embeddings.shard_match import with_match
from curation.scores.embeddings.tower_scorer import rows_of
from curation.scores.scorer import ScoredClip, Scorer, ScoreResources, ShardRows, Value
from runtime.errors import MachineError
from runtime.ray_runner.stage import Service
from shards.keys import shard_name
from shards.stored_rows import StoredClip

_PROBE: Final = Request("", "", "a picture")
"""Asked for the width of vectors, which a shard without clips has too."""


class EngineScorer(Scorer[Any]):
    """The scorer that calls a pool of engines."""

    def __init__(self, settings: EmbeddingSettings) -> None:
        self._settings = settings
        self._width: int | None = None

    def start(self, resources: ScoreResources) -> None:
        """See `Scorer.start`."""
        assert self._settings.engine is not None
        self._engine: Service = resources.services[self._settings.engine]
        self._store = resources.store

    @property
    def widths(self) -> Mapping[str, int]:
        """The numbers in a vector.

        Raises:
            MachineError: the engine answers nothing.
        """
        if self._width is None:
            probe: Mapping[str, Answer] = self._engine.call("generate", [_PROBE])
            if not probe[_PROBE.key].vector:
                raise MachineError(f"engines.{self._settings.engine}: makes no vectors ({probe[_PROBE.key].error})")
            self._width = len(probe[_PROBE.key].vector)
        return dict.fromkeys(self._settings.vector_columns, self._width)

    def score_all(self, clips: Sequence[ScoredClip[Any]]) -> Sequence[Mapping[str, Value]]:
        """Return rows without values: they are asked for when the whole shard is known."""
        return [self._settings.nothing() for _ in clips]

    def complete(self, rows: Sequence[Mapping[str, Value]], shard: ShardRows) -> Sequence[Mapping[str, Value]]:
        """Return the vectors of all clips of a shard and of their texts, with their match.

        Raises:
            MachineError: the engine is dead.
        """
        texts = [clip_text(shard.texts.get(clip["key"]), self._settings.text) for clip in shard.clips]
        requests = [self._of_clip(clip) for clip in shard.clips] + self._of_texts(texts)
        answers: Mapping[str, Answer] = self._engine.call("generate", requests) if requests else {}
        clip_vectors = [self._vector(answers[f"clip {clip['key']}"]) for clip in shard.clips]
        text_vectors = [None if text is None else self._vector(answers[f"text {text}"]) for text in texts]
        made = rows_of(self._settings, clip_vectors, text_vectors)
        return with_match(made, shard.clips) if self._settings.text else made

    def _of_clip(self, clip: StoredClip) -> Request:
        settings, seconds = self._settings, clip["end"] - clip["start"]
        last = (clip["num_frames"] - 1) / clip["fps"]
        times = [clip["offset"] + (number + 0.5) * seconds / settings.frames for number in range(settings.frames)]
        within = tuple(min(max(time, 0.0), last) for time in times)
        tar = self._store.path(f"media/{shard_name(clip['shard'])}.tar")
        file = ImageRef(tar, clip["byte_offset"], clip["byte_size"])
        frames = FramesRef(file, within, ("",) * len(within), settings.as_video)
        return Request(f"clip {clip['key']}", settings.instruction, "", frames=frames)

    def _of_texts(self, texts: Sequence[str | None]) -> list[Request]:
        distinct = dict.fromkeys(text for text in texts if text is not None)
        return [Request(f"text {text}", self._settings.instruction, text) for text in distinct]

    def _vector(self, answer: Answer) -> NDArray[np.float32]:
        """Return the vector of an answer; NaN, which counts as a failure, for one without."""
        if not answer.vector:
            return np.full(1, np.nan, np.float32)
        self._width = len(answer.vector)
        return np.array(answer.vector, np.float32)
