"""Texts without their padding against the text tower that reads all of it."""

import open_clip
import pytest
import torch
from support.tiny_clip import tiny_clip

from training.models.vidla.text.trimmed_text import encode_tokens, trimmed

END = 49407


def texts(lengths: list[int], context: int) -> torch.Tensor:
    """Return texts of some lengths, each with the token that ends it last, then padding."""
    tokens = torch.zeros(len(lengths), context, dtype=torch.int64)
    for row, length in enumerate(lengths):
        tokens[row, : length - 1] = torch.arange(1, length)
        tokens[row, length - 1] = END
    return tokens


def clip_text(**changes: object) -> torch.nn.Module:
    """Build a text tower of open_clip with a context of 40 tokens."""
    torch.manual_seed(0)
    options = {"context_length": 40, "vocab_size": END + 1, "width": 16, "heads": 2, "layers": 2, "output_dim": 8}
    return open_clip.transformer.TextTransformer(**{**options, **changes}).eval()


def test_embeddings_and_gradients_are_those_of_the_padded_texts() -> None:
    text, tokens = clip_text(), texts([3, 17, 9], 40)
    short = trimmed(text, tokens)
    assert short.shape == (3, 32)
    gradients = []
    for given in (tokens, short):
        text.zero_grad()
        found = encode_tokens(text, given)
        found.square().sum().backward()
        gradients.append((found.detach(), {name: weight.grad.clone() for name, weight in text.named_parameters()}))
    torch.testing.assert_close(gradients[1][0], gradients[0][0])
    for name, gradient in gradients[0][1].items():
        torch.testing.assert_close(gradients[1][1][name], gradient, msg=name)


def test_the_towers_mask_is_whole_again_afterwards() -> None:
    text = clip_text()
    before = text.attn_mask
    encode_tokens(text, trimmed(text, texts([3], 40)))
    assert text.attn_mask is before


@pytest.mark.parametrize(("longest", "kept"), [(3, 16), (16, 16), (17, 32), (33, 40), (40, 40)])
def test_lengths_are_rounded_up_to_a_few(longest: int, kept: int) -> None:
    assert trimmed(clip_text(), texts([2, longest], 40)).shape[1] == kept


def test_a_tower_that_sees_the_padding_keeps_it() -> None:
    tokens = texts([3, 5], 40)
    assert trimmed(clip_text(no_causal_mask=True, pool_type="last"), tokens) is tokens


def test_clips_own_tower_is_trimmed() -> None:
    text = tiny_clip().text
    assert trimmed(text, texts([3], 12)).shape[1] == 12
