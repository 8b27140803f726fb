"""Training of the claim encoder: the split, the altered examples, and weights that the judge reads."""

from __future__ import annotations

import random
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from support.tiny_encoder import tiny_classifier

from bench.claim_pairs import ClaimPair
from bench.encoder_data import Parts, examples, exchanged, groups, replaced, split, without_details
from bench.injected_examples import InjectedExamples
from bench.train_encoder import changes, prepared, resume, train
from curation.grounding.claim_encoder import ClaimEncoder

PAIRS = [
    ClaimPair(str(n), "swap", f"A {colour} dog runs past {n} cats.", f"{n} cats see a {colour} dog run.", f"{n} dogs.")
    for n, colour in enumerate(["red", "blue", "black"] * 10)
]


def test_captions_of_one_picture_are_in_one_group() -> None:
    def pair(evidence: str) -> ClaimPair:
        return ClaimPair(evidence, "kind", evidence, "", "")

    pairs = [
        pair("A black cat in the bathroom sink."),
        pair("Two zebras graze near a wooden fence."),
        pair("A black cat is sitting in a bathroom sink."),
        pair("A pizza with olives on a plate."),
    ]
    assert sorted(map(sorted, groups(pairs))) == [[0, 2], [1], [3]]


def test_no_group_is_on_both_sides_of_a_split() -> None:
    parts = split(PAIRS, train=12, choose=6)
    sides = {pair.id: name for name, part in vars(parts).items() for pair in part}
    assert len(sides) == len(PAIRS)
    assert all(len({sides[PAIRS[index].id] for index in group}) == 1 for group in groups(PAIRS))


@pytest.mark.parametrize(
    ("alter", "text", "altered"),
    [
        (exchanged, "A red dragon sees a blue castle", {"A blue dragon sees a red castle"}),
        (exchanged, "A red dragon sees a castle", {None}),
        (replaced, "dragons", {None}),
        (without_details, "A red apple", {"An apple"}),
        (without_details, "An orange dragon", {"A dragon"}),
        (without_details, "Two dragons", {"Two dragons"}),
    ],
)
def test_a_rule_alters_a_claim_in_one_place(
    alter: Callable[[str, random.Random], str | None], text: str, altered: set[str | None]
) -> None:
    found = {alter(text, random.Random(seed)) for seed in range(40)}
    assert found == altered


def test_a_word_is_replaced_by_another_of_its_class() -> None:
    found = {replaced("A man rides a dragon", random.Random(seed)) or "" for seed in range(40)}
    assert all(text.startswith("A ") and text.endswith(" rides a dragon") for text in found)
    assert {text.split()[1] for text in found} >= {"woman", "boy", "girl", "child", "dog"}


def test_every_text_is_evidence_and_claim_in_turn() -> None:
    rng = random.Random(0)
    made = [example for _ in range(20) for _, example in examples(PAIRS[:1] * 4, rng, partial=False)]
    pair = PAIRS[0]
    true, false = (
        {claim for _, claim in (each.true for each in made)},
        {claim for _, claim in (each.false for each in made)},
    )
    assert true >= {pair.supported, pair.evidence}
    assert false >= {pair.unsupported, pair.evidence, pair.supported}
    assert all(example.true != example.false for example in made)


def test_what_is_trained_is_what_the_judge_reads(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    model = tiny_classifier(tmp_path / "m", ["score"])
    arguments = Namespace(
        model=model, epochs=2, batch=4, rank=2, rate=1e-2, seed=0, held=False, partial=False, injected=0.0, start=None
    )
    pairs = Parts(PAIRS[:12], PAIRS[12:16], [])
    tensors = train(pairs, arguments)
    save_file(tensors, tmp_path / "changes.safetensors")
    claims = [(pair.evidence, pair.supported) for pair in PAIRS[:4]]
    before = ClaimEncoder(model, None).scores(claims)
    after = ClaimEncoder(model, str(tmp_path / "changes.safetensors")).scores(claims)
    assert all(abs((a or 0) - (b or 0)) > 1e-4 for a, b in zip(before, after, strict=True))
    assert sum(tensor.numel() for tensor in tensors.values()) < 10_000


def test_an_injected_error_is_in_the_false_claim_alone_and_of_no_other_evidence() -> None:
    drawn = [InjectedExamples(PAIRS[:3]).draw(PAIRS[0], random.Random(seed)) for seed in range(20)]
    assert all(each is not None and each.true[0] == each.false[0] and each.true[1] != each.false[1] for each in drawn)
    own = {PAIRS[0].evidence, PAIRS[0].supported}
    assert {each.true[0] for each in drawn if each} <= own


def test_training_goes_on_from_weights_that_are_there(tmp_path: Path) -> None:
    model = prepared(tiny_classifier(tmp_path / "m", ["score"]).removeprefix("path://"), rank=2)
    start = {name: torch.full_like(value, 0.25) for name, value in changes(model).items()}
    resume(model, start)
    assert all(torch.equal(value, start[name]) for name, value in changes(model).items())
