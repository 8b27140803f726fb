"""A model of open_clip that compares pictures with a text: CLIP, SigLIP and their kin, by their model URI."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from runtime.errors import UserError, one_line
from runtime.models.model_uri import resolve

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor


class ImageTextModel:
    """A loaded image–text model.

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
        self._network: Any = network.eval()
        self._transform: Any = transform
        self._device = device

    def similarities(self, pictures: Sequence[Image.Image], texts: Sequence[str]) -> list[list[float]]:
        """Return the cosine similarity, -1 to 1, of each text (outer list) with each picture."""
        import torch

        with torch.inference_mode():
            pixels_BCHW = torch.stack([self._transform(picture) for picture in pictures]).to(self._device)
            images_BD: Tensor = self._network.encode_image(pixels_BCHW, normalize=True)
            texts_ND: Tensor = self._network.encode_text(self._tokenizer(list(texts)).to(self._device), normalize=True)
            similar: list[list[float]] = (texts_ND @ images_BD.T).float().tolist()
        return similar
