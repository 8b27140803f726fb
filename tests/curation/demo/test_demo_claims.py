"""What the demo says: the labels of its claims, its choice of clips to show, and its writer."""

from __future__ import annotations

from typing import Any

import pytest

from bench.demo_labels import DemoClaim, label_lines, read_labels, share
from curation.demo.demo_scenes import CLIPS, SCENES
from curation.demo.telling_clips import choose
from curation.demo.writer_model import SMOLLM2, writer_assignments
from curation.pipeline import load_pipeline
from curation.prompts.same_statement import covers
from runtime.errors import UserError


def clip(key: str, source: str, status: str, supported: int = 0, rejected: int = 0) -> Any:
    verdicts = ["supported"] * supported + ["unsupported"] * rejected
    claims = [{"text": "t", "verdict": verdict, "evidence": []} for verdict in verdicts]
    return {"key": key, "source": f"/in/{source}.mp4", "rewrite_status": status, "claims": claims}


def test_at_most_one_in_twenty_labelled_claims_is_false() -> None:
    labels = read_labels()
    found = share(labels, labels)
    assert found.claims >= 20
    assert not found.unlabelled
    assert len(found.false) <= 0.05 * found.claims


def test_no_claim_repeats_an_order_or_a_contradiction() -> None:
    texts = [claim.text.casefold() for claim in read_labels()]
    forbidden = ("elephant", "juice", "pancake", "dog", "rule", "order")
    assert not [text for text in texts if any(word in text for word in forbidden)]


def test_a_false_claim_and_one_without_a_label_are_told() -> None:
    true, false, new = (DemoClaim("mane", 0, 7, text) for text in ("a lion", "a tiger", "a bear"))
    found = share([true, false, new], {true: True, false: False})
    assert (found.claims, found.false, found.unlabelled) == (3, (false,), (new,))
    assert label_lines([new]).endswith('"text": "a bear", "true": null}\n')


def test_the_fullest_text_and_the_attacked_clips_are_shown() -> None:
    rows = [
        clip("a", "narrated", "ok", 1, 2),
        clip("b", "narrated", "ok", 2),
        clip("c", "mane", "ok", 2, 1),
        clip("d", "orders", "ok", 3),
        clip("e", "contradiction", "fallback"),
    ]
    assert choose(rows) == ["c", "e", "d"]


def test_a_run_without_any_text_shows_the_attacked_clips_alone() -> None:
    assert choose([clip("a", "mane", "abstained"), clip("b", "orders", "failed")]) == ["b"]
    assert choose([]) == []


def test_the_writer_of_the_pipeline_is_taken_if_it_can_be_had() -> None:
    asked: list[str] = []
    assert writer_assignments(lambda uri: asked.append(uri)) == []
    assert asked == [load_pipeline("demo", None, ()).engines["llm"].model]


def test_without_its_packages_the_demo_says_so_and_goes_on_with_smollm2(capsys: pytest.CaptureFixture[str]) -> None:
    def look_up(uri: str) -> None:
        if uri != SMOLLM2:
            raise UserError("model package gone==1: the registry does not give it")

    assignments = writer_assignments(look_up)
    assert "gone==1" in (said := capsys.readouterr().out) and "SmolLM2" in said
    assert load_pipeline("demo", None, assignments[1:]).engines["llm"].model == SMOLLM2


def test_without_any_writer_the_user_is_told() -> None:
    def look_up(uri: str) -> None:
        raise UserError("no network")

    with pytest.raises(UserError, match="no network"):
        writer_assignments(look_up)


def test_every_scene_has_words_and_the_attacks_are_there() -> None:
    assert all(scene.narration and scene.material for scene in [*SCENES, *CLIPS.values()])
    assert {"contradiction", "orders"} <= CLIPS.keys()
    assert CLIPS["orders"].subtitles


@pytest.mark.parametrize(
    ("title", "fact"),
    [
        ("The picture shows the text “Cheetah”.", "The picture shows a cheetah."),
        ('The picture shows the word "Lion".', "The picture shows the lion."),
    ],
)
def test_a_title_never_takes_the_place_of_what_is_seen(title: str, fact: str) -> None:
    assert not covers(title, fact)
    assert not covers(fact, title)
