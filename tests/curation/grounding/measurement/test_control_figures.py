"""Figures of judges on controls, and thresholds fitted from them."""

from __future__ import annotations

import math
from collections import Counter

import pytest
from support.controls import control

from curation.grounding.judge import JudgeResources, Ruling
from curation.grounding.judge_registry import GroundSettings
from curation.grounding.measurement.control_figures import control_figures, figures_table, markdown
from curation.grounding.measurement.judge_scores import CASCADE, JudgedControl, accepted, judge_controls
from curation.grounding.measurement.threshold_fit import fit_thresholds, with_thresholds
from runtime.errors import UserError

SETTINGS = GroundSettings(judges=("words", "encoder", "text"))


def judged(kind: str, encoder: float | None, text: float | None, words: float | None = None) -> JudgedControl:
    rulings = {"words": Ruling(words), "encoder": Ruling(encoder), "text": Ruling(text)}
    return JudgedControl(control(kind, "a dog runs"), rulings)


def test_the_cascade_keeps_what_all_required_judges_accept_or_what_repeats_its_evidence() -> None:
    rows = [judged("number", 0.9, 0.9), judged("number", 0.9, 0.1), judged("number", 0.1, 0.1, words=1.0)]
    kept = accepted(rows, SETTINGS)
    assert kept[CASCADE] == [True, False, True]
    assert kept["encoder"] == [True, True, False] and kept["words"] == [False, False, True]


def test_a_judge_alone_needs_the_score_of_a_judge_to_which_others_leave_a_claim() -> None:
    settings = GroundSettings.model_validate({"judges": ["text"], "text": {"threshold": 0.3, "alone_threshold": 0.6}})
    kept = accepted([judged("number", None, 0.5), judged("number", None, 0.7)], settings)
    assert kept["text"] == [False, True] and kept[CASCADE] == [True, True]


def test_a_judge_that_only_rejects_accepts_alone_what_it_does_not_reject() -> None:
    settings = GroundSettings(judges=("words", "parse"))
    rows = [
        JudgedControl(control("number", "a dog runs"), {"words": Ruling(1.0), "parse": Ruling(score)})
        for score in (None, 1.0, 0.0)
    ]
    assert accepted(rows, settings)["parse"] == [True, True, False]


def test_a_claim_without_a_score_is_not_accepted_and_is_counted_as_unjudged() -> None:
    rows = [judged("colour", None, None), judged("colour", 0.9, None)]
    figures = {(f.judge, f.kind): f for f in control_figures(rows, SETTINGS)}
    assert (figures["text", "colour"].accepted, figures["text", "colour"].unjudged) == (0, 2)
    assert (figures[CASCADE, "colour"].accepted, figures[CASCADE, "colour"].unjudged) == (0, 1)


def test_shares_have_wilson_intervals_by_kind_and_for_all_injected_errors() -> None:
    rows = [judged("number", 0.9, 0.9)] + [judged("colour", 0.1, 0.1)] * 9 + [judged("shuffled", 0.9, 0.9)]
    figures = {(f.judge, f.kind): f for f in control_figures(rows, SETTINGS)}
    together = figures[CASCADE, "all injected"]
    assert (together.claims, together.accepted) == (10, 1)
    assert (together.low, together.high) == pytest.approx((0.0179, 0.4042), abs=1e-3)  # Wilson 1927, 1 of 10
    none = figures[CASCADE, "place"]
    assert math.isnan(none.share) and (none.low, none.high) == (0.0, 1.0)


def test_the_table_has_a_row_a_kind_and_says_where_a_judge_can_not_tell() -> None:
    rows = [judged("number", 0.9, 0.9), judged("untouched", 0.9, 0.9, words=1.0)]
    figures = control_figures(rows, SETTINGS)
    lines = markdown(figures).splitlines()
    assert lines[0] == "| kind | claims | words | encoder | text | cascade |"
    assert next(line for line in lines if line.startswith("| number")).split(" | ")[1:3] == ["1", "can't tell"]
    assert figures_table(figures).num_rows == len(figures)


def test_thresholds_keep_the_bound_and_cost_as_little_recall_as_they_can() -> None:
    false = [judged("number", number / 100, number / 100) for number in range(100)]
    true = [judged("untouched", 0.95, 0.97), judged("untouched", 0.5, 0.99), judged("untouched", 0.92, 0.93)]
    fitted = fit_thresholds([*false, *true], SETTINGS, bound=0.1)
    assert fitted.is_met and fitted.after.false <= 0.1 < fitted.before.false
    assert fitted.after.true == pytest.approx(2 / 3)
    assert fitted.thresholds == {"encoder": pytest.approx(0.8901), "text": pytest.approx(0.8901)}


def test_two_judges_that_err_on_different_claims_need_no_strict_thresholds() -> None:
    false = [judged("number", 0.99, 0.01)] * 10 + [judged("number", 0.01, 0.99)] * 10
    fitted = fit_thresholds([*false, judged("untouched", 0.6, 0.6)], SETTINGS, bound=0.1)
    assert fitted.after.false == 0 and fitted.after.true == 1


def test_shuffled_claims_do_not_hide_the_errors_that_are_accepted() -> None:
    errors = [judged("number", 0.9, 0.9)] * 5 + [judged("number", 0.1, 0.1)] * 5
    easy = [judged("shuffled", 0.0, 0.0)] * 90
    fitted = fit_thresholds([*errors, *easy, judged("untouched", 0.95, 0.95)], SETTINGS, bound=0.1)
    assert fitted.before.false == 0.5 and fitted.after.false == 0


def test_a_bound_that_can_not_be_kept_is_said() -> None:
    rows = [judged("number", 0.2, 0.2, words=1.0), judged("untouched", 0.9, 0.9)]
    assert not fit_thresholds(rows, SETTINGS, bound=0.1).is_met


def test_fitting_without_true_claims_is_refused() -> None:
    with pytest.raises(UserError, match="no claims of a model to keep"):
        fit_thresholds([judged("number", 0.2, 0.2)], SETTINGS, bound=0.1)


def test_real_judges_score_controls_and_words_only_knows_repetitions() -> None:
    settings = GroundSettings(judges=("words", "text"))
    rows = [control("untouched", "a dog runs"), control("untouched", "a cat sleeps")]
    found = judge_controls(rows, settings, JudgeResources({}, None), Counter())
    assert [each.rulings["words"].score for each in found] == [1.0, 1.0]
    assert [(each.rulings["text"].score, each.rulings["text"].reason) for each in found] == [(None, "no_engine")] * 2
    assert with_thresholds(settings, {"text": 0.9}).text.threshold == 0.9
