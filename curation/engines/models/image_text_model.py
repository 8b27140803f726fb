"""A model of open_clip with vectors of pictures and texts in one space: CLIP, SigLIP and their kin, by their model URI.

Shapes: B pictures or texts, C colours, H height, W width, D numbers of a vector.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from runtime.errors import UserError, one_line
from runtime.models.model_uri import resolve

if TYPE_CHECKING:
    import torch
    from PIL import Image


class ImageTextModel:
    """A loaded image–text model; on a GPU it computes in half precision.

    Raises:
        UserError: the folder holds no model of open_clip.
    """

    def __init__(self, model: str, device: str = "cpu") -> None:
        import open_clip

        folder = resolve(model).path
        name = f"local-dir:{folder}"
        try:
            network, transform = open_clip.create_model_from_pretrained(name, device=device)
            self._tokenizer: Any = open_clip.get_tokenizer(name)
        except (ValueError, KeyError, TypeError, OSError, RuntimeError) as error:
            raise UserError(
                f"model {model!r}: no model of open_clip can be read from it ({one_line(error)}); name a folder with "
                "open_clip_config.json and its weights"
            ) from None
        self._network: Any = network.eval().requires_grad_(False)
        self._transform: Any = transform
        self._device = device
        self.width: int = self.texts(["a picture"]).shape[1]
        """D."""

    def input_of(self, picture: Image.Image) -> torch.Tensor:
        """Return the network's input for a picture of any size: float32 [C, H, W], scaled, cropped, normalised."""
        pixels_CHW: torch.Tensor = self._transform(picture)
        return pixels_CHW

    def vectors(self, inputs: Sequence[torch.Tensor]) -> NDArray[np.float32]:
        """Return the vectors of pictures [B, D], of length 1, given their inputs."""
        import torch

        with torch.inference_mode(), self._precision():
            return _on_cpu(self._network.encode_image(torch.stack(list(inputs)).to(self._device), normalize=True))

    def pictures(self, pictures: Sequence[Image.Image]) -> NDArray[np.float32]:
        """Return the vectors of pictures [B, D], of length 1."""
        return self.vectors([self.input_of(picture) for picture in pictures])

    def texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return the vectors of texts [B, D], of length 1; what exceeds the model's context is cut off."""
        import torch

        tokens_BL = self._tokenizer(list(texts)).to(self._device)
        with torch.inference_mode(), self._precision():
            return _on_cpu(self._network.encode_text(tokens_BL, normalize=True))

    def similarities(self, pictures: Sequence[Image.Image], texts: Sequence[str]) -> list[list[float]]:
        """Return the cosine similarity, -1 to 1, of each text (outer list) with each picture."""
        similar: list[list[float]] = (self.texts(texts) @ self.pictures(pictures).T).tolist()
        return similar

    def _precision(self) -> torch.autocast:
        import torch

        kind = torch.device(self._device).type
        return torch.autocast(kind, torch.float16, enabled=kind == "cuda")


def _on_cpu(rows_BD: torch.Tensor) -> NDArray[np.float32]:
    rows: NDArray[np.float32] = rows_BD.float().cpu().numpy()
    return rows
