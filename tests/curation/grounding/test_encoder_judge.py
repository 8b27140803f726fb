"""The judge with a cross-encoder: any sequence classifier, and the weights of this package."""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from pathlib import Path

import pytest
from support.judging import EVIDENCE
from support.tiny_encoder import tiny_classifier

from curation.grounding import claim_encoder
from curation.grounding.claim_encoder import ClaimEncoder, adapter_file
from curation.grounding.claims import CitedClaim, Claim, cite
from curation.grounding.encoder_judge import EncoderJudge, EncoderJudgeSettings
from curation.grounding.evidence import Evidence
from curation.grounding.judge import Ruling
from runtime.errors import UserError


def judged(settings: EncoderJudgeSettings, claims: list[CitedClaim]) -> list[Ruling]:
    return asyncio.run(EncoderJudge(settings).judge(claims, Counter()))


@pytest.fixture(scope="module")
def nli(tmp_path_factory: pytest.TempPathFactory) -> str:
    return tiny_classifier(tmp_path_factory.mktemp("nli"), ["contradiction", "ENTAILMENT", "neutral"])


def test_an_nli_model_scores_by_its_label_entailment(nli: str) -> None:
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    folder = nli.removeprefix("path://")
    inputs = AutoTokenizer.from_pretrained(folder)("a man chops onions", "a man runs", return_tensors="pt")
    with torch.no_grad():
        expected = AutoModelForSequenceClassification.from_pretrained(folder)(**inputs).logits.softmax(-1)[0, 1]
    (score,) = ClaimEncoder(nli, None).scores([("a man chops onions", "a man runs")])
    assert score == pytest.approx(float(expected), abs=1e-5)


def test_scores_do_not_depend_on_the_batch_or_the_order(nli: str) -> None:
    encoder = ClaimEncoder(nli, None)
    pairs = [("a man chops onions in the kitchen", "a man runs"), ("a dog", "a red dog"), ("a cat .", "not a cat")]
    together = encoder.scores(pairs, batch=3)
    assert encoder.scores(pairs[::-1], batch=2)[::-1] == pytest.approx(together, abs=1e-5)


def test_a_model_with_one_output_gives_its_probability(tmp_path: Path) -> None:
    (score,) = ClaimEncoder(tiny_classifier(tmp_path, ["score"]), None).scores([("a dog", "a dog runs")])
    assert score is not None
    assert 0 < score < 1


def test_a_classifier_without_entailment_is_the_users_mistake(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none of its labels .* is entailment"):
        ClaimEncoder(tiny_classifier(tmp_path, ["good", "bad"]), None)


def test_a_folder_that_is_no_model_is_the_users_mistake(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no cross-encoder can be read from it"):
        ClaimEncoder(f"path://{tmp_path}", None)


def test_an_adapter_that_is_not_there_or_not_ours_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="there is no such file; write 'trained'"):
        adapter_file(str(tmp_path / "absent.safetensors"))
    (tmp_path / "other").write_bytes(b"other weights")
    monkeypatch.setattr(claim_encoder, "_TRAINED_FILE", tmp_path / "other")
    with pytest.raises(UserError, match="is not the file that was published"):
        adapter_file("trained")


def test_low_rank_changes_are_added_to_the_weights(tmp_path: Path) -> None:
    import torch
    from safetensors.torch import save_file

    uri = tiny_classifier(tmp_path / "m", ["score"])
    layer = "bert.encoder.layer.0.attention.self.query"
    changes = {
        f"{layer}.low_rank_a": torch.ones(2, 16),
        f"{layer}.low_rank_b": torch.full((16, 2), 0.5),
        "classifier.bias": torch.tensor([3.0]),
    }
    save_file(changes, tmp_path / "changes.safetensors")
    plain, changed = ClaimEncoder(uri, None)._model, ClaimEncoder(uri, str(tmp_path / "changes.safetensors"))._model
    difference = changed.get_parameter(f"{layer}.weight") - plain.get_parameter(f"{layer}.weight")
    assert torch.allclose(difference, torch.ones(16, 16))
    assert changed.classifier.bias.item() == 3.0


def test_weights_for_another_model_are_the_users_mistake(tmp_path: Path) -> None:
    import torch
    from safetensors.torch import save_file

    uri = tiny_classifier(tmp_path / "m", ["score"])
    for changes in ({"absent.weight": torch.ones(2)}, {"classifier.bias": torch.ones(7)}):
        save_file(changes, tmp_path / "changes.safetensors")
        with pytest.raises(UserError, match="no cross-encoder can be read"):
            ClaimEncoder(uri, str(tmp_path / "changes.safetensors"))


def test_what_is_not_seen_too_long_or_in_another_language_gets_no_score(nli: str) -> None:
    settings = EncoderJudgeSettings(model=nli, adapter=None, least_share=0)
    long = CitedClaim(
        "a man chops onions", (Evidence("frame@1.0", "F1", "frame", "a man chops onions in a kitchen " * 60),)
    )
    other = CitedClaim("Ein Mann schneidet Zwiebeln in der Küche", long.evidence[:1])
    (said,) = cite([Claim("shallots from Lyon", ("W1",))], EVIDENCE)
    (seen,) = cite([Claim("a man chops onions", ("F1", "W1"))], EVIDENCE)
    rulings = judged(settings, [said, long, other, seen])
    assert [ruling.reason for ruling in rulings] == ["not_seen", "too_long", "language", ""]
    assert [ruling.score is None for ruling in rulings] == [False, True, True, False]


def test_a_claim_about_a_part_of_its_evidence_is_left_to_the_other_judges(nli: str) -> None:
    caption = Evidence("frame@1.0", "F1", "frame", "a man in a red shirt chops onions in the kitchen")
    part, whole = CitedClaim("A man chops", (caption,)), CitedClaim("Onions are chopped by a man in red", (caption,))
    rulings = judged(EncoderJudgeSettings(model=nli, adapter=None), [part, whole])
    assert rulings[0] == Ruling(None, "partial", is_left_to_others=True)
    assert rulings[1].score is not None


# The weights of this package, on claims of our own: none of them is in the labelled pairs.

CAPTION = "A young man in a red jacket rides a white horse along a narrow road while two dogs run behind him."
TRUE = (
    "A man is riding a horse.",
    "Two dogs are running behind a man on a horse.",
    "The horse is white and its rider wears a red jacket.",
    "A white horse is being ridden along a road by a young man.",
)
FALSE = (
    "A young man in a white jacket rides a red horse along a narrow road while two dogs run behind him.",
    "Two dogs ride a horse.",
    "Three dogs run behind a man on a horse.",
    "A man in a red jacket leads a white horse along a road.",
    "A young woman in a red jacket rides a white horse.",
    "A man in a red jacket rides a white horse through a river.",
    "No dog is running behind the man.",
)


@pytest.mark.slow
def test_the_trained_weights_tell_true_claims_from_false_ones() -> None:
    encoder = ClaimEncoder(EncoderJudgeSettings().model, "trained")
    true = encoder.scores([(CAPTION, claim) for claim in TRUE])
    false = encoder.scores([(CAPTION, claim) for claim in FALSE])
    threshold = EncoderJudgeSettings().threshold
    kept = [claim for claim, score in zip(TRUE, true, strict=True) if (score or 0) >= threshold]
    let_through = [claim for claim, score in zip(FALSE, false, strict=True) if (score or 0) >= threshold]
    assert len(kept) >= 3, true
    assert len(let_through) <= 2, let_through


def test_the_trained_weights_are_the_published_file_and_small() -> None:
    path = adapter_file("trained")
    assert path.stat().st_size < 25e6
    assert hashlib.sha256(path.read_bytes()).hexdigest() == claim_encoder._TRAINED_SHA256
