"""A model as an encoder of `mteb`, for its video retrieval and zero-shot tasks.

    import mteb
    from training.evaluation.video.models.mteb_encoder import MtebEncoder

    results = mteb.evaluate(MtebEncoder("run/best"), mteb.get_tasks(tasks=["MSVDT2VRetrieval"]))

`mteb` is a package of its own (``pip install mteb``). Videos are decoded, cropped and scaled as `eval-vidla` does, so
the task's own decoder is not needed. A video that can't be decoded gets a vector of zeros, and is counted in
`undecodable`.

Shapes: N rows, B = 1 clip, T frames, C colours, H = W pixels of a side, D embedding.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Video
from mteb.models.abs_encoder import AbsEncoder
from mteb.models.model_meta import ModelMeta

from training.data.clip_failure import ClipFailed
from training.data.decoding.clip_decoder import decode_spans
from training.engine.precision import choose_precision
from training.evaluation.video.embeddings import centre_crop, embed_texts
from training.evaluation.video.frame_format import FrameFormat
from training.evaluation.video.models.open_model import open_model, weights_hash


class MtebEncoder(AbsEncoder):
    """Embeds the texts or the videos of a task's batches; unit vectors, compared by their cosine."""

    def __init__(self, checkpoint: str, frames: int | None = None, device: str | None = None) -> None:
        """Open a model.

        Args:
            checkpoint: as for `eval-vidla --checkpoint`.
            frames: frames of a clip; None: as many as the model was trained with.
            device: cpu or cuda; None: a GPU if there is one.

        Raises:
            UserError: no such model.
        """
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self._model, self.frames = open_model(checkpoint, frames, self.device)
        self.undecodable = 0
        """Videos so far that could not be decoded."""
        self._format = FrameFormat.of(self._model)
        self._precision = choose_precision("auto", self.device)
        self.mteb_model_meta = ModelMeta.create_empty(
            {
                "name": f"clipgrove/{Path(checkpoint).name or 'model'}",
                "revision": weights_hash(self._model)[:16],
                "modalities": ["text", "video"],
                "embed_dim": self._model.embed_dim,
                "max_tokens": self._model.tokenizer.context,
            }
        )

    def encode(self, inputs: Any, **task: Any) -> torch.Tensor:
        """Return unit vectors [N, D] of the rows of a data loader, which hold texts or videos.

        Raises:
            ValueError: the rows hold neither, or both.
        """
        given = {"text", "video"} & set(inputs.dataset.features)
        if len(given) != 1:
            raise ValueError(f"rows with {sorted(inputs.dataset.features)}: exactly one of text and video is embedded")
        with torch.inference_mode(), self._precision.autocast(self.device):
            if given == {"text"}:
                return embed_texts(self._model, [text for batch in inputs for text in batch["text"]])
            rows = inputs.dataset.cast_column("video", Video(decode=False))
            return torch.cat([self._embedded(row["video"]) for row in rows])

    def _embedded(self, video: Mapping[str, Any]) -> torch.Tensor:
        """Return the unit vector [1, D] of a video of a dataset, zeros if it can't be decoded."""
        source = Path(video["path"]) if video["bytes"] is None else video["bytes"]
        try:
            (clip,) = decode_spans(source, [(0.0, inf)], self.frames, size=self._format.size, snap=False)
            if isinstance(clip, ClipFailed):
                raise clip
        except ClipFailed:
            self.undecodable += 1
            return torch.zeros(1, self._model.embed_dim)
        video_BTCHW = self._format.to_input([centre_crop(np.stack(clip), self._format.size)], self.device)
        return self._model.encode_video(video_BTCHW).float().cpu()
