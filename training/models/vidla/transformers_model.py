"""VidLA as a model class of Hugging Face transformers; importing this module registers it.

    import training.models.vidla.transformers_model
    from transformers import AutoModel, AutoProcessor

    model, processor = AutoModel.from_pretrained(folder), AutoProcessor.from_pretrained(folder)
    frames = processor(images=list_of_frames, return_tensors="pt").pixel_values
    video = model.get_video_features(frames[None])
    text = model.get_text_features(**processor(text=["a dog runs"], padding="max_length", return_tensors="pt"))

`training.vidla.commands.export_command` writes such folders. No code of the folder is run (`trust_remote_code=False`).

Shapes: B clips or texts, T frames, C colours, S pixels of a side, L tokens, D embedding.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import torch
from transformers import AutoConfig, AutoModel, PretrainedConfig, PreTrainedModel
from transformers.utils import ModelOutput

from training.models.vidla.two_tower import Architecture, build

MODEL_TYPE: Final = "vidla"
"""Value of `model_type` in `config.json`, by which transformers knows the class."""


class VidLAConfig(PretrainedConfig):
    """The configuration of a VidLA model: `architecture` rebuilds it."""

    model_type = MODEL_TYPE
    architecture: dict[str, Any] | None = None

    def __init__(self, architecture: Architecture | None = None, **further: Any) -> None:
        """Keep the architecture, and whatever else `config.json` holds."""
        self.architecture = None if architecture is None else dict(architecture)
        super().__init__(**further)


@dataclass
class VidLAOutput(ModelOutput):
    """Embeddings of unit length, and their scaled cosines."""

    video_embeds: torch.Tensor | None = None
    """[clips, D]."""
    text_embeds: torch.Tensor | None = None
    """[texts, D]."""
    logits_per_video: torch.Tensor | None = None
    """Cosines times the learnt scale, plus the bias of a sigmoid loss if the model has one, [clips, texts]."""


class VidLAModel(PreTrainedModel):
    """Two towers, of videos and of texts, with embeddings in one space."""

    config_class = VidLAConfig
    main_input_name = "pixel_values"
    _supports_sdpa = True
    _tied_weights_keys = None

    def __init__(self, config: VidLAConfig) -> None:
        """Build a model with random weights.

        Raises:
            ValueError: the configuration has no architecture.
        """
        super().__init__(config)
        if config.architecture is None:
            raise ValueError("the configuration has no 'architecture'")
        with torch.device("cpu"):  # not `meta`: the towers compute masks and positions when they are built
            towers = build(config.architecture)  # type: ignore[arg-type]
        self.video, self.text = towers.video, towers.text
        self.logit_scale, self.logit_bias = towers.logit_scale, towers.logit_bias
        self._pads_with_zero = "hf_tokenizer_name" not in config.architecture["text_cfg"]
        self._constants = {name: buffer.clone() for name, buffer in self.named_buffers()}
        self.post_init()

    @torch.no_grad()
    def initialize_weights(self) -> None:
        """Set masks and positions again, which transformers empties when it loads weights; the weights stay as built.

        They are in no file, because they follow from the architecture.
        """
        for name, buffer in self.named_non_persistent_buffers():
            buffer.copy_(self._constants[name])

    def get_video_features(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """Return embeddings [B, D] of clips [B, T, C, S, S], of the length that the tower gives."""
        video_BD: torch.Tensor = self.video(pixel_values)
        return video_BD

    def get_text_features(self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None = None) -> torch.Tensor:
        """Return embeddings [B, D] of tokens [B, L].

        Padding follows the text and is not attended to. But CLIP's own tokenizer pads with 0 and that of transformers
        with the end of text, at which the tower reads: `attention_mask`, 0 for padding, tells it where a text ends.
        """
        if attention_mask is not None and self._pads_with_zero:
            input_ids = input_ids.masked_fill(attention_mask == 0, 0)
        text_BD: torch.Tensor = self.text(input_ids)
        return text_BD

    def forward(
        self, pixel_values: torch.Tensor, input_ids: torch.Tensor, attention_mask: torch.Tensor | None = None
    ) -> VidLAOutput:
        """Return the embeddings of clips and texts, and the scaled cosine of each pair (plus SigLIP's bias)."""
        video_BD = torch.nn.functional.normalize(self.get_video_features(pixel_values), dim=-1)
        text_BD = torch.nn.functional.normalize(self.get_text_features(input_ids, attention_mask), dim=-1)
        logits_BB = self.logit_scale.exp() * video_BD @ text_BD.T
        return VidLAOutput(video_BD, text_BD, logits_BB if self.logit_bias is None else logits_BB + self.logit_bias)


AutoConfig.register(MODEL_TYPE, VidLAConfig, exist_ok=True)
AutoModel.register(VidLAConfig, VidLAModel, exist_ok=True)
