"""Tests of a language model's knowledge of looks: a cloze, and a linear probe of its hidden states.

Both test nouns of `bench.transfer_data`. The cloze uses the language model's own prediction; the probe is a linear
classifier on the last hidden state of the noun, trained on nouns whose looks the corpus states and tested on those
whose looks no text states.

Shapes: B rows, L tokens, N examples, H hidden width, V vocabulary, C classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import torch
from torch.nn import functional as F
from transformers import BertForMaskedLM

from bench import transfer_data as data
from training.models.vidlankd.bert_model import hidden_states, mlm_logits
from training.models.vidlankd.text_tokenizer import TextTokenizer

_DECAY: Final = 1e-2


@torch.no_grad()
def cloze(model: BertForMaskedLM, tokenizer: TextTokenizer, things: Sequence[data.Thing]) -> dict[str, float]:
    """Return the percent of statements whose look the model ranks first among the words of its property, by property.

    Args:
        model: the model, in evaluation mode.
        tokenizer: the model's tokenizer.
        things: things to test.
    """
    asked = data.questions(things)
    ids_BL, valid_BL = _rows(tokenizer, [question.text for question in asked])
    gap_B = (ids_BL == tokenizer.mask).int().argmax(1)
    hidden_BLH = hidden_states(model, ids_BL, valid_BL)
    logits_BV = mlm_logits(model, hidden_BLH[torch.arange(len(asked)), gap_B])
    hits: dict[str, list[bool]] = {name: [] for name in data.LOOKS}
    for question, logits_V in zip(asked, logits_BV, strict=True):
        words = data.LOOKS[question.property_]
        best = logits_V[_ids(tokenizer, words)].argmax()
        hits[question.property_].append(words[int(best)] == question.answer)
    return {name: 100 * sum(found) / len(found) for name, found in hits.items()}


def probe(model: BertForMaskedLM, tokenizer: TextTokenizer, world: data.World) -> dict[str, float]:
    """Return the percent of held-out nouns' states for which a linear classifier gives the right look, by property.

    Args:
        model: the model, in evaluation mode.
        tokenizer: the model's tokenizer.
        world: world of the nouns.
    """
    stated_NH, held_out_NH = (_states(model, tokenizer, things) for things in (world.stated, world.held_out))
    mean_H, std_H = stated_NH.mean(0), stated_NH.std(0) + 1e-6
    scores = {}
    for name, words in data.LOOKS.items():
        stated_N, held_out_N = (_classes(things, name, words) for things in (world.stated, world.held_out))
        weight_CH, bias_C = _classifier((stated_NH - mean_H) / std_H, stated_N, len(words))
        found_N = F.linear((held_out_NH - mean_H) / std_H, weight_CH, bias_C).argmax(1)
        scores[name] = 100 * (found_N == held_out_N).double().mean().item()
    return scores


@torch.no_grad()
def _states(model: BertForMaskedLM, tokenizer: TextTokenizer, things: Sequence[data.Thing]) -> torch.Tensor:
    """Return the last hidden states [N, H] of the noun, of unit length, in each plain sentence of each thing."""
    ids_BL, valid_BL = _rows(tokenizer, [text for thing in things for text in data.sightings(thing)])
    nouns_B = torch.tensor([n for thing in things for n in _ids(tokenizer, [thing.noun]) * len(data.sightings(thing))])
    at_B = (ids_BL == nouns_B[:, None]).int().argmax(1)
    hidden_BLH = hidden_states(model, ids_BL, valid_BL)
    return F.normalize(hidden_BLH[torch.arange(len(ids_BL)), at_B], dim=-1)


def _classes(things: Sequence[data.Thing], name: str, words: Sequence[str]) -> torch.Tensor:
    return torch.tensor([words.index(thing.look(name)) for thing in things for _ in data.sightings(thing)])


def _classifier(states_NH: torch.Tensor, classes_N: torch.Tensor, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return weights and biases of a logistic regression with decay."""
    weight_CH = torch.zeros(count, states_NH.shape[1], requires_grad=True)
    bias_C = torch.zeros(count, requires_grad=True)
    optimizer = torch.optim.LBFGS([weight_CH, bias_C], max_iter=200, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        value = F.cross_entropy(F.linear(states_NH, weight_CH, bias_C), classes_N) + _DECAY * weight_CH.square().sum()
        value.backward()  # type: ignore[no-untyped-call]
        return value

    optimizer.step(loss)  # type: ignore[no-untyped-call]
    return weight_CH.detach(), bias_C.detach()


def _rows(tokenizer: TextTokenizer, texts: Sequence[str]) -> tuple[torch.Tensor, torch.Tensor]:
    """Return texts as tokens with specials and padding, and a mask; `[MASK]` in a text becomes the special token."""
    rows = []
    for text in texts:
        before, gap, after = (f"{text} .").partition(data.MASK)
        first, second = tokenizer.encode([before, after])
        rows.append([tokenizer.cls, *first, *([tokenizer.mask] if gap else []), *second, tokenizer.sep])
    ids_BL = torch.full((len(rows), max(map(len, rows))), tokenizer.pad)
    for row_L, ids in zip(ids_BL, rows, strict=True):
        row_L[: len(ids)] = torch.tensor(ids)
    return ids_BL, ids_BL != tokenizer.pad


def _ids(tokenizer: TextTokenizer, words: Sequence[str]) -> list[int]:
    """Return the ids of words that are one token each."""
    found = tokenizer.encode(words)
    assert all(len(ids) == 1 for ids in found), f"not one token each: {words}"
    return [ids[0] for ids in found]
