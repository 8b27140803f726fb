"""The language model's shapes by name and by number, and what is asked of transformers' BERT."""

from __future__ import annotations

import pytest
import torch

from runtime.errors import UserError
from runtime.settings import Settings, build
from training.models.vidlankd.bert_model import build_bert, hidden_states, mlm_logits
from training.models.vidlankd.kd_model_settings import BertShape


class Model(Settings):
    """Settings that hold a shape."""

    shape: BertShape = BertShape()


def shape(value: object) -> BertShape:
    return build(Model, {"shape": value}, "model").shape


def model(dropout: float = 0.0) -> torch.nn.Module:
    torch.manual_seed(0)
    tiny = BertShape(layers=2, hidden=32, heads=2, intermediate=64, positions=20, dropout=dropout)
    return build_bert(tiny, vocab_size=50, pad=0).eval()


def test_the_papers_shapes_go_by_name() -> None:
    assert shape("small") == BertShape(layers=6, hidden=512, heads=8, intermediate=2048)
    assert shape("base") == BertShape()
    assert shape({"preset": "small", "layers": 3}) == BertShape(layers=3, hidden=512, heads=8, intermediate=2048)
    assert BertShape.named("tiny", dropout=0.0).dropout == 0


def test_a_shape_that_was_written_out_is_read_back() -> None:
    assert shape(shape("mini").model_dump(mode="json")) == shape("mini")


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("smal", r"model\.shape='smal': preset='smal': no such shape.*small"),
        ({"hidden": 100, "heads": 3}, r"model\.shape: hidden=100 is no multiple of heads=3"),
        ({"layer": 3}, r"model\.shape\.layer: no such setting.*layers"),
    ],
)
def test_an_impossible_shape_is_refused_in_one_line(value: object, said: str) -> None:
    with pytest.raises(UserError, match=said):
        shape(value)


def test_positions_and_vocabulary_are_those_of_the_shape() -> None:
    bert = model()
    assert bert.bert.embeddings.position_embeddings.weight.shape == (20, 32)
    assert bert.bert.embeddings.word_embeddings.weight.shape == (50, 32)
    assert bert.config._attn_implementation == "sdpa"


def test_padding_and_its_content_make_no_difference() -> None:
    bert, ids = model(), torch.randint(1, 50, (2, 9))
    valid = torch.ones(2, 9, dtype=torch.bool)
    valid[1, 5:] = False
    hidden = hidden_states(bert, ids, valid)
    junk = torch.cat([ids.masked_fill(~valid, 7), torch.full((2, 4), 8)], dim=1)
    longer = torch.cat([valid, torch.zeros(2, 4, dtype=torch.bool)], dim=1)
    torch.testing.assert_close(hidden_states(bert, junk, longer)[:, :9][valid], hidden[valid], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(hidden_states(bert, ids[1:, :5], valid[1:, :5])[0], hidden[1, :5], rtol=1e-5, atol=1e-6)


def test_logits_at_chosen_positions_are_those_of_the_whole_model() -> None:
    bert, ids = model(), torch.randint(1, 50, (2, 9))
    valid = torch.ones(2, 9, dtype=torch.bool)
    hidden = hidden_states(bert, ids, valid)
    whole = bert(input_ids=ids, attention_mask=valid).logits
    chosen = torch.tensor([[0, 4], [1, 2]])
    found = mlm_logits(bert, hidden[chosen[:, 0], chosen[:, 1]])
    torch.testing.assert_close(found, whole[chosen[:, 0], chosen[:, 1]], rtol=1e-4, atol=1e-6)
    assert mlm_logits(bert, hidden[:0, 0]).shape == (0, 50)


def test_the_callers_seed_decides_the_weights() -> None:
    one, other = model(), model()
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))
