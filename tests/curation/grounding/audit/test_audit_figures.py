"""Figures of an audit against those that are counted by hand."""

from __future__ import annotations

import pytest
from support.audits import audit_clip, claim, label

from curation.grounding.audit.audit_figures import AuditFigures, StepFigures, figures

TRUE, FALSE, UNSURE = "supported", "contradicted", "cant_tell"


def step(found: AuditFigures, name: str, group: str = "all") -> StepFigures:
    return next(each for each in found.steps if (each.group, each.step) == (group, name))


def shares(found: AuditFigures, group: str = "all") -> dict[str, tuple[int, float | None]]:
    """For each step, the claims that are left and the share that is true."""
    own = [each for each in found.steps if each.group == group]
    return {each.step: (each.labelled, None if each.precision is None else each.precision.value) for each in own}


def test_precision_rises_with_each_judge() -> None:
    clip = audit_clip(
        1,
        claim("cites nothing", "uncited", None, None),
        claim("text rejects, false", "unsupported", "text", 0.1),
        claim("text rejects, true", "unsupported", "text", 0.4),
        claim("vision rejects, false", "unsupported", "vision", 0.2),
        claim("vision can't tell, true", "unjudged", "vision", None),
        claim("kept, true", "supported", "vision", 0.9),
        claim("kept, also true", "supported", "words", 1.0),
        claim("kept, false", "supported", "text", 0.6),
    )
    said = [FALSE, FALSE, TRUE, FALSE, TRUE, TRUE, TRUE, FALSE]
    labels = [label(clip, number, each) for number, each in enumerate(said, 1)]
    found = figures([clip], labels, ["words", "text", "vision"])
    assert shares(found) == {
        "as written": (8, pytest.approx(4 / 8)),
        "after citation": (7, pytest.approx(4 / 7)),
        "after words": (7, pytest.approx(4 / 7)),
        "after text": (5, pytest.approx(3 / 5)),
        "after vision": (3, pytest.approx(2 / 3)),
        "kept": (3, pytest.approx(2 / 3)),
    }
    left = step(found, "kept").true_left
    assert left is not None and left.value == pytest.approx(2 / 4)


def test_a_judge_is_compared_with_people_on_the_claims_that_it_decided() -> None:
    clip = audit_clip(
        1,
        claim("a", "supported", "text"),
        claim("b", "supported", "text"),
        claim("c", "unsupported", "text"),
        claim("d", "unsupported", "text"),
        claim("e", "unjudged", "text", None),
        claim("f", "supported", "text"),
    )
    labels = [label(clip, n, said) for n, said in enumerate([TRUE, FALSE, TRUE, FALSE, TRUE, UNSURE], 1)]
    found = figures([clip], labels, ["text"])
    (judge,) = [each for each in found.judges if each.group == "all" and each.judge == "text"]
    counts = (judge.true_accepted, judge.false_accepted, judge.true_rejected, judge.false_rejected, judge.unjudged)
    assert counts == (1, 1, 1, 1, 1)
    assert judge.agreement is not None and judge.agreement.kappa == pytest.approx(0.0)
    (cascade,) = [each for each in found.judges if each.group == "all" and each.judge == "cascade"]
    assert (cascade.true_rejected, cascade.false_rejected) == (2, 1)


def test_layers_of_version_1_have_one_judge() -> None:
    clip = audit_clip(1, claim("a", "supported", None, None), claim("b", "unsupported", None, None))
    found = figures([clip], [label(clip, 1, TRUE), label(clip, 2, FALSE)], [])
    assert list(shares(found)) == ["as written", "after verifier", "kept"]
    assert {each.judge for each in found.judges} == {"verifier", "cascade"}


def test_strata_are_weighed_back() -> None:
    common = [audit_clip(n, claim("true"), stratum="common", stratum_clips=900) for n in range(2)]
    rare = [audit_clip(n, claim("false"), stratum="rare", stratum_clips=100) for n in range(2, 4)]
    labels = [label(clip, 1, TRUE) for clip in common] + [label(clip, 1, FALSE) for clip in rare]
    precision = step(figures([*common, *rare], labels, []), "kept").precision
    assert precision is not None and precision.value == pytest.approx(0.9)


def test_half_a_page_gives_the_weights_of_what_is_labelled() -> None:
    clips = [audit_clip(n, claim("x"), stratum="ab"[n % 2], stratum_clips=[900, 100][n % 2]) for n in range(6)]
    labels = [label(clips[0], 1, TRUE), label(clips[1], 1, FALSE), label(clips[3], 1, FALSE)]
    found = figures(clips, labels, [])
    precision = step(found, "kept").precision
    assert precision is not None and precision.value == pytest.approx(0.9)
    assert found.uncovered == 0.0


def test_a_stratum_without_labels_is_told() -> None:
    clips = [audit_clip(n, claim("x"), stratum=f"s{n}", stratum_clips=[75, 25][n]) for n in range(2)]
    assert figures(clips, [label(clips[0], 1, TRUE)], []).uncovered == pytest.approx(0.25)


def test_claims_that_people_can_not_tell_or_dispute_count_apart() -> None:
    clip = audit_clip(1, claim("a"), claim("b"), claim("c"), claim("d"))
    labels = [
        label(clip, 1, UNSURE),
        label(clip, 2, TRUE),
        label(clip, 2, FALSE, "Bea"),
        label(clip, 3, TRUE),
        label(clip, 3, UNSURE, "Bea"),
        label(clip, 4, FALSE),
    ]
    kept = step(figures([clip], labels, []), "kept")
    assert kept.precision is not None and (kept.precision.seen, kept.precision.value) == (2, 0.5)
    assert kept.cant_tell is not None and kept.cant_tell.value == pytest.approx(0.5)


def test_people_are_compared_on_the_claims_that_both_labelled() -> None:
    clip = audit_clip(1, claim("a"), claim("b"), claim("c"))
    labels = [label(clip, 1, TRUE), label(clip, 2, FALSE), label(clip, 3, TRUE), label(clip, 0, "complete")]
    labels += [label(clip, 1, TRUE, "Bea"), label(clip, 2, TRUE, "Bea"), label(clip, 0, "incomplete", "Bea")]
    labels += [label(clip, 3, TRUE, "Cem")]
    found = {(each.one, each.other): each.agreement for each in figures([clip], labels, []).people}
    assert set(found) == {("Ana", "Bea"), ("Ana", "Cem")}
    both = found["Ana", "Bea"]
    assert both is not None and (both.seen, both.agreed) == (2, 0.5)


def test_omissions_are_a_share_of_the_clips_labelled_as_a_whole() -> None:
    clips = [audit_clip(n, level=["short", "long"][n % 2]) for n in range(4)]
    labels = [label(clips[0], 0, "complete"), label(clips[1], 0, "incomplete"), label(clips[2], 0, "complete")]
    found = {each.group: each.incomplete for each in figures(clips, labels, []).omissions}
    overall, long = found["all"], found["level long"]
    assert overall is not None and (overall.seen, overall.value) == (3, pytest.approx(1 / 3))
    assert long is not None and long.value == 1.0


def test_figures_are_given_for_each_level_and_language() -> None:
    clips = [audit_clip(1, claim("x"), level="long", language="de"), audit_clip(2, claim("y"), language=None)]
    found = figures(clips, [label(clips[0], 1, TRUE), label(clips[1], 1, FALSE)], [])
    kept = {each.group: each.precision.value for each in found.steps if each.step == "kept" and each.precision}
    assert kept == {
        "all": 0.5,
        "level long": 1.0,
        "level short": 0.0,
        "language de": 1.0,
        "language none": 0.0,
        "status ok": 0.5,
    }


def test_labels_of_other_claims_are_counted_and_not_used() -> None:
    clip = audit_clip(1, claim("as it is now"))
    old = audit_clip(1, claim("as it was"))
    found = figures([clip], [label(old, 1, FALSE)], [])
    assert (found.labelled_claims, found.stale_labels, found.labellers) == (0, 1, ())
