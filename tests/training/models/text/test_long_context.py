"""Long-CLIP's positions against the paper's own loop, and the texts that must keep their embedding."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from support.open_clip_models import folder_of_kind
from support.tiny_clip import VISION

from runtime.errors import UserError
from training.models.vidla import vidla_folder
from training.models.vidla.initial_weights import build_model
from training.models.vidla.model_settings import ModelSettings
from training.models.vidla.text.long_context import stretched
from training.models.vidla.two_tower import VidLA, build

TEXT = {"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 2}
SHORT, LONG = "a dog runs over a field and jumps", "one two three four five six seven eight nine ten " * 4


def clip_of(text: dict[str, object]) -> VidLA:
    torch.manual_seed(0)
    plain = {"mean": [0.5] * 3, "std": [0.5] * 3, "quick_gelu": False, "embed_dim": 24, "frames": 6}
    return build({**plain, "vision_cfg": VISION, "text_cfg": text, "temporal": {"levels": 0}}).eval()  # type: ignore[typeddict-item]


def long_clips_own_loop(old: torch.Tensor) -> torch.Tensor:
    """Compute 248 positions from 77, position by position, as in Long-CLIP's release."""
    kept, length = 20, len(old)
    new = torch.zeros(4 * length - 3 * kept, old.shape[1], dtype=old.dtype)
    new[:kept] = old[:kept]
    for i in range(length - 1 - kept):
        for part in range(4):
            new[kept + 4 * i + part] = old[kept + i] * (4 - part) / 4 + old[kept + i + 1] * part / 4
    for part in range(4):
        new[4 * length - 3 * kept - 4 + part] = old[-1] + part * (old[-1] - old[-2]) / 4
    return new


def test_the_positions_are_those_of_long_clip() -> None:
    old = torch.randn(77, 5, dtype=torch.float64)
    torch.testing.assert_close(stretched(old, 248), long_clips_own_loop(old))


@pytest.mark.parametrize("tokens", [78, 128, 500])
def test_other_lengths_keep_the_first_twenty_and_stay_on_the_line(tokens: int) -> None:
    old = torch.arange(77.0)[:, None]
    new = stretched(old, tokens)
    assert torch.equal(new[:20], old[:20])
    steps = new[20:].diff(dim=0)
    torch.testing.assert_close(steps, torch.full_like(steps, 57 / (tokens - 20)), rtol=1e-3, atol=1e-4)


def test_short_texts_keep_their_embedding_and_long_ones_are_seen_to_their_end() -> None:
    model = clip_of(TEXT)
    before, cut = model.encode_text(model.tokenizer([SHORT])), model.tokenizer([LONG * 3])
    model.lengthen_context(248)
    tokens = model.tokenizer([SHORT, LONG * 3, LONG * 3 + "cat", LONG])
    assert (tokens.shape, model.tokenizer.context) == ((4, 248), 248)
    after = model.encode_text(tokens)
    torch.testing.assert_close(after[:1], before)
    assert cut.shape == (1, 77) and not torch.allclose(after[1], after[2], atol=1e-4)


def test_an_export_keeps_its_context(tmp_path: Path) -> None:
    model = clip_of(TEXT)
    model.lengthen_context(100)
    vidla_folder.save(model, tmp_path / "export")
    again = build_model(ModelSettings(init=f"path://{tmp_path / 'export'}", text_context=100, frames=6))
    assert again.tokenizer.context == 100
    texts = again.tokenizer([SHORT, LONG * 2])
    assert torch.equal(again.eval().encode_text(texts), model.encode_text(texts))


def test_the_setting_lengthens_initial_weights(tmp_path: Path) -> None:
    folder = folder_of_kind(tmp_path / "pe", "pe")
    with pytest.raises(UserError, match="has no positions beyond the first 20"):
        build_model(ModelSettings(init=f"path://{folder}", text_context=40))
    assert build_model(ModelSettings(init="random:tiny", text_context=40)).tokenizer.context == 40


@pytest.mark.parametrize(
    ("text", "tokens", "reason"),
    [
        ({**TEXT, "no_causal_mask": True}, 248, "sees its padding"),
        ({**TEXT, "pool_type": "last"}, 248, "does not pool the token that ends a text"),
        (TEXT, 60, "takes 77 tokens already"),
    ],
)
def test_what_cannot_be_lengthened_is_refused(text: dict[str, object], tokens: int, reason: str) -> None:
    with pytest.raises(UserError, match=f"--text-context {tokens}.*{reason}") as caught:
        clip_of(text).lengthen_context(tokens)
    assert "\n" not in str(caught.value)
