"""Settings of the VidLA model: its weights, its attention over time, its contrastive loss, its classification head.

Nothing here imports torch, so a command can show or refuse settings at once.
"""

from __future__ import annotations

from typing import Final, Literal

from pydantic import Field, field_validator, model_validator

from runtime.errors import UserError
from runtime.settings import Runtime, Settings

FIRST_TEMPERATURE: Final = 0.07
"""The temperature that random weights start from, as CLIP's training did; the paper states none."""

FIRST_SIGLIP_TEMPERATURE: Final = 0.1
"""The same for the sigmoid loss (SigLIP, section 3.3)."""

FIRST_LOGIT_BIAS: Final = -10.0
"""The bias that the sigmoid loss starts from where the weights bring none (SigLIP, section 3.3)."""

LossKind = Literal["infonce", "siglip"]
"""The loss between clips and texts."""


Checkpointing = Literal["none", "selective", "layers"]
"""The part of a layer that is computed again in the backward pass."""


class TemporalSettings(Settings):
    """Hierarchical temporal attention; the defaults are the paper's (U-V-r of 3-4-2)."""

    levels: int = Field(default=3, ge=0, le=16)
    """U, levels of [MST] tokens; 0 leaves them out."""
    tokens_per_level: int = Field(default=4, ge=1)
    """V, [MST] tokens of a level."""
    scale: int = Field(default=2, ge=1)
    """r: level u attends to every r^u-th frame, counted from the first; 1 gives [MST] without hierarchy. In a clip too
    short for that, to every r^k-th, with the largest k that leaves two frames."""
    spatially_local: bool = True
    """Add attention over time at each spatial position, before the global attention."""
    patch_sees_cls: bool = True
    """Patches attend to [CLS], as in the paper's formula (its prose says no) and in CLIP."""
    mst_sees: Literal["lower", "higher"] = "lower"
    """[MST] of level u attend to levels up to u (the paper's formula) or from u on (its figure 3)."""
    cls_self_bias: float | Literal["log_frames"] = 0.0
    """Added to the logit of [CLS] on itself; `log_frames` makes a clip of equal frames equal to CLIP's image."""

    @property
    def mst_tokens(self) -> int:
        """U*V, the [MST] of all levels."""
        return self.levels * self.tokens_per_level

    @property
    def summary_tokens(self) -> int:
        """Summary tokens of a tower whose one own token is [CLS]: it and all [MST]."""
        return 1 + self.mst_tokens

    def fitting_stride(self, stride: int, frames: int) -> int:
        """Return the stride that a level takes in a clip: its own, or the largest power of r that leaves two frames.

        So clips of any length have a hierarchy: the paper's where its levels fit, a flatter one below that.

        Args:
            stride: r^u of the level.
            frames: T; at 2 and less every level sees all frames.
        """
        while stride > 1 and stride >= frames:
            stride //= self.scale
        return stride

    def check_frames(self, frames: int) -> None:
        """Refuse a number of frames, as that of a whole model, of which the highest level would see only one.

        Raises:
            UserError: r^(U-1) is not below `frames`.
        """
        if frames < 1:
            raise UserError(f"frames={frames}: must be at least 1")
        if self.levels and self.scale ** (self.levels - 1) >= frames:
            raise UserError(
                f"temporal.levels={self.levels} with temporal.scale={self.scale}: the highest level takes every "
                f"{self.scale ** (self.levels - 1)}th frame, but frames={frames}; take more frames, or fewer levels"
            )


class ModelSettings(Settings):
    """The model and the weights that it starts from; the defaults are the paper's VidLA-B/32."""

    init: str = "openai"
    """Weights: an open_clip tag, ARCHITECTURE:TAG, hf://org/name, path:///folder, or random:ARCHITECTURE."""
    architecture: str = "ViT-B-32"
    """open_clip's name of the towers that a bare tag is for; with or without -quickgelu, which follows the tag."""
    frames: int = Field(default=12, ge=1)
    """Frames a clip; temporal position embeddings of an export are interpolated to it."""
    text_context: int | None = Field(default=None, ge=1)
    """Tokens of a text that the text tower sees, by interpolated positions as in Long-CLIP (248); CLIP's kind only.
    None: as many as the weights have (CLIP's: 77)."""
    temporal: TemporalSettings = TemporalSettings()
    """Attention over time that is added to CLIP. If it is not set, an export keeps its own."""
    temperature: float | Literal["keep"] = "keep"
    """Where the learnt temperature starts; `keep`: at that of the weights (CLIP's: 0.01); random weights start at 0.07,
    or at 0.1 with `loss.kind=siglip`. An export always keeps its own."""
    logit_bias: float | Literal["keep"] = "keep"
    """Where the learnt bias of `loss.kind=siglip` starts; `keep`: at that of the weights, -10 where these have none. An
    export that has one always keeps it."""
    checkpointing: Runtime[Checkpointing] = "selective"
    """Recomputed in the backward pass instead of being kept. `selective`: the inside of norms, attention
    over time and MLP of the video tower, for about a twelfth more operations; `layers`: all of each layer of both
    towers, for about a third more; `none`: nothing. Compiled code decides for itself, unless it is `layers`."""

    @field_validator("checkpointing", mode="before")
    @classmethod
    def _was_a_switch(cls, what: object) -> object:
        return {True: "layers", False: "none"}[what] if isinstance(what, bool) else what

    @model_validator(mode="after")
    def _fits(self) -> ModelSettings:
        if self.temperature != "keep" and not 0.01 <= self.temperature <= 1.0:
            raise ValueError(f"temperature={self.temperature}: must be between 0.01 and 1, or `keep`")
        if "://" in self.init and "temporal" not in self.model_fields_set:
            return self  # an export keeps its own levels, which its tower checks
        try:
            self.temporal.check_frames(self.frames)
        except UserError as error:
            raise ValueError(str(error)) from None
        return self


class LossSettings(Settings):
    """The contrastive loss: the texts that a clip is compared with, and the pairs that are negatives."""

    kind: LossKind = "infonce"
    """`infonce`: a softmax over all texts of the batch, and one over all clips, as CLIP and the paper; `siglip`: a
    sigmoid for each pair, with a learnt bias."""
    terms: dict[str, str | list[str]] | None = Field(default=None, min_length=1)
    """Terms of the loss, each with its text column, or columns in order of preference: the first that is not null.
    None: they follow the layer: grounded text where there is some, otherwise the paper's two (the summaries of
    subtitles and captions)."""
    same_video: Literal["mask", "overlap", "keep"] = "mask"
    """Pairs of one video: `mask`: none is a negative; `overlap`: those that overlap in time are no negatives; `keep`:
    all are negatives."""
    same_text: Literal["mask", "keep"] = "mask"
    """Pairs of clips with the same text (the same tokens), of whatever videos: `mask`: none is a negative; `keep`: all
    are."""
    long_texts: Literal["cut", "sentences"] = "cut"
    """Texts with more tokens than the text tower takes (CLIP's: 77). `cut`: only their beginning is seen; `sentences`:
    consecutive sentences that fit, from one that is drawn in each epoch. Either way their share is logged."""
    max_logit_scale: float = Field(default=100.0, ge=1)
    """Highest inverse of the temperature; `siglip` has no such bound."""
    chunk: Runtime[int] = Field(default=512, ge=1)
    """Rows whose logits are in memory at once; each costs about 16 bytes for every row of the global batch."""

    @model_validator(mode="after")
    def _consistent(self) -> LossSettings:
        for term, names in (self.terms or {}).items():
            if not names or not all(names):
                raise ValueError(f"terms.{term}={names!r}: name a text column, or several in a list")
        return self

    @property
    def columns_by_term(self) -> dict[str, tuple[str, ...]]:
        """The text columns of each term, in order of preference; `terms` must be set."""
        assert self.terms is not None, "the terms that follow the layer are chosen when a run starts"
        return {term: (names,) if isinstance(names, str) else tuple(names) for term, names in self.terms.items()}


class HeadSettings(Settings):
    """A classification head and its loss; the paper states neither, these values are ours."""

    label_smoothing: float = Field(default=0.1, ge=0, lt=1)
    """Share of the target that is spread over all classes."""
    dropout: float = Field(default=0.5, ge=0, lt=1)
    """Dropout before the linear layer, while training."""
