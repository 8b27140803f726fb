"""The figures of an audit: how often claims are true before and after each judge, and who agrees with whom. Pure.

A claim is true if people say *supported* and false if they say *contradicted*; one that people can't tell, or on which
they disagree, counts in neither and has a figure of its own. Every labelled clip speaks for as many clips of the layer
as its stratum has for each labelled one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final

from curation.grounding.audit.audit_records import AuditClip, Label
from curation.grounding.audit.labelled_claims import (
    CITATION,
    LabelledClaim,
    labelled_claims,
    labels_by_target,
)
from curation.grounding.audit.proportions import Agreement, Outcome, Proportion, agreement, proportion

ALL: Final = "all"
AS_WRITTEN: Final = "as written"
CASCADE: Final = "cascade"
KEPT: Final = "kept"


@dataclass(frozen=True)
class StepFigures:
    """The claims that are left after one step: as written, after a judge, or kept."""

    group: str
    """``all``, or a level, a language, a status."""
    step: str
    labelled: int
    """Claims that are left and labelled."""
    precision: Proportion | None
    """Share that is true, of those that are true or false."""
    cant_tell: Proportion | None
    true_left: Proportion | None
    """Share of all true claims that is left: what the steps so far do not lose."""


@dataclass(frozen=True)
class JudgeFigures:
    """One judge against people, on the claims that it decided."""

    group: str
    judge: str
    true_accepted: int
    false_accepted: int
    true_rejected: int
    false_rejected: int
    unjudged: int
    """Labelled claims on which it had no score."""
    agreement: Agreement | None
    """On the claims that people can tell."""


@dataclass(frozen=True)
class PeopleFigures:
    """Two people who labelled the same claims."""

    one: str
    other: str
    agreement: Agreement | None


@dataclass(frozen=True)
class OmissionFigures:
    """Clips whose claims leave out something that the pictures show."""

    group: str
    incomplete: Proportion | None


@dataclass(frozen=True)
class AuditFigures:
    """All figures of a report."""

    clips: int
    """Clips of the sample."""
    labelled_clips: int
    labelled_claims: int
    labellers: tuple[str, ...]
    stale_labels: int
    """Labels of claims that are not in the sample."""
    uncovered: float
    """Share of the layer's clips in strata without a labelled clip, 0 to 1."""
    steps: tuple[StepFigures, ...]
    judges: tuple[JudgeFigures, ...]
    people: tuple[PeopleFigures, ...]
    omissions: tuple[OmissionFigures, ...]


def figures(clips: Sequence[AuditClip], labels: Sequence[Label], judges: Sequence[str]) -> AuditFigures:
    """Return the figures of a sample.

    Args:
        clips: the sample.
        labels: of all people; those of other claims are counted as stale.
        judges: names of the judges in the order in which they were asked, as far as it is known.
    """
    says = labels_by_target(labels)
    targets = {(clip.key, n, text) for clip in clips for n, text in enumerate(["", *(c.text for c in clip.claims)])}
    on_claims = {clip.key for clip in clips if any(says.get(target) for target in _claim_targets(clip))}
    on_clips = {clip.key for clip in clips if says.get((clip.key, 0, ""))}
    weights = clip_weights(clips, on_claims | _passed_without_claims(clips, on_claims | on_clips))
    claims = labelled_claims(clips, says, weights)
    order = judge_order(claims, judges)
    return AuditFigures(
        clips=len(clips),
        labelled_clips=len(on_claims | on_clips),
        labelled_claims=len(claims),
        labellers=tuple(sorted({label.labeller for label in labels if label.target in targets})),
        stale_labels=sum(label.target not in targets for label in labels),
        uncovered=_uncovered(clips, weights),
        steps=tuple(step for group, of_group in _groups(claims) for step in _steps(group, of_group, order)),
        judges=tuple(each for group, of_group in _groups(claims) for each in _judges(group, of_group, order)),
        people=_people(says),
        omissions=_omissions(clips, says, clip_weights(clips, on_clips)),
    )


def clip_weights(clips: Iterable[AuditClip], labelled: set[str]) -> dict[str, float]:
    """Return how many clips of the layer each labelled clip speaks for, by key."""
    own = [clip for clip in clips if clip.key in labelled]
    drawn = Counter(clip.stratum for clip in own)
    return {clip.key: clip.stratum_clips / drawn[clip.stratum] for clip in own}


def judge_order(claims: Iterable[LabelledClaim], judges: Sequence[str]) -> list[str]:
    """Return the steps that decided claims, in order; judges whose place is not known come last, by name."""
    decided = {claim.judge for claim in claims}
    known = [name for name in (CITATION, *judges) if name in decided]
    return known + sorted(decided - set(known))


def _passed_without_claims(clips: Sequence[AuditClip], labelled: set[str]) -> set[str]:
    """Return the clips without claims up to the last labelled one: nothing more is to be said of their claims."""
    last = max((clip.position for clip in clips if clip.key in labelled), default=-1)
    return {clip.key for clip in clips if not clip.claims and clip.position <= last}


def _claim_targets(clip: AuditClip) -> list[tuple[str, int, str]]:
    return [(clip.key, number, claim.text) for number, claim in enumerate(clip.claims, 1)]


def _uncovered(clips: Sequence[AuditClip], weights: Mapping[str, float]) -> float:
    sizes = {clip.stratum: clip.stratum_clips for clip in clips}
    covered = {clip.stratum for clip in clips if clip.key in weights}
    total = sum(sizes.values())
    return sum(size for stratum, size in sizes.items() if stratum not in covered) / total if total else 0.0


def _groups(claims: Sequence[LabelledClaim]) -> list[tuple[str, list[LabelledClaim]]]:
    """Return all claims, then those of each level, language and status, if there are several."""
    named: list[tuple[str, list[LabelledClaim]]] = [(ALL, list(claims))]
    kinds: list[tuple[str, Callable[[AuditClip], str]]] = [
        ("level", lambda clip: clip.level),
        ("language", lambda clip: clip.language or "none"),
        ("status", lambda clip: clip.rewrite_status),
    ]
    for kind, value_of in kinds:
        for value in sorted({value_of(claim.clip) for claim in claims}):
            named.append((f"{kind} {value}", [claim for claim in claims if value_of(claim.clip) == value]))
    return named


def _steps(group: str, claims: Sequence[LabelledClaim], order: Sequence[str]) -> list[StepFigures]:
    """Return the figures before all judges, after each one, and of what is kept."""
    left = list(claims)
    steps = [_step(group, AS_WRITTEN, left, claims)]
    for name in order:
        left = [claim for claim in left if claim.is_kept or claim.judge != name]
        steps.append(_step(group, f"after {name}", left, claims))
    return [*steps, _step(group, KEPT, [claim for claim in claims if claim.is_kept], claims)]


def _step(group: str, name: str, left: Sequence[LabelledClaim], claims: Sequence[LabelledClaim]) -> StepFigures:
    remaining = set(map(id, left))
    decided = [claim for claim in left if claim.truth != "cant_tell"]
    true = [claim for claim in claims if claim.truth == "supported"]
    return StepFigures(
        group,
        name,
        len(left),
        precision=_share(decided, lambda claim: claim.truth == "supported"),
        cant_tell=_share(left, lambda claim: claim.truth == "cant_tell"),
        true_left=_share(true, lambda claim: id(claim) in remaining),
    )


def _share(claims: Iterable[LabelledClaim], is_so: Callable[[LabelledClaim], bool]) -> Proportion | None:
    return proportion([Outcome(is_so(claim), claim.weight, claim.clip.video_id) for claim in claims])


def _judges(group: str, claims: Sequence[LabelledClaim], order: Sequence[str]) -> list[JudgeFigures]:
    by_judge = [(name, [claim for claim in claims if claim.judge == name]) for name in order]
    return [_judge(group, name, own) for name, own in (*by_judge, (CASCADE, claims)) if own]


def _judge(group: str, name: str, claims: Sequence[LabelledClaim]) -> JudgeFigures:
    has_no_score = "unjudged"
    decided = [claim for claim in claims if claim.truth != "cant_tell"]
    judged = [claim for claim in decided if name == CASCADE or claim.claim.verdict != has_no_score]
    counts = Counter((claim.truth == "supported", claim.is_kept) for claim in judged)
    pairs = [(claim.truth, "supported" if claim.is_kept else "contradicted") for claim in judged]
    return JudgeFigures(
        group,
        name,
        true_accepted=counts[True, True],
        false_accepted=counts[False, True],
        true_rejected=counts[True, False],
        false_rejected=counts[False, False],
        unjudged=sum(claim.claim.verdict == has_no_score for claim in claims),
        agreement=agreement(pairs),
    )


def _people(says: Mapping[tuple[str, int, str], Mapping[str, str]]) -> tuple[PeopleFigures, ...]:
    """Return the agreement of each two people on the claims that both labelled; clips as a whole do not count."""
    on_claims = [labels for (_, number, _), labels in says.items() if number > 0]
    names = sorted({name for labels in on_claims for name in labels})
    both = {
        (one, other): [(labels[one], labels[other]) for labels in on_claims if one in labels and other in labels]
        for one, other in combinations(names, 2)
    }
    return tuple(PeopleFigures(one, other, agreement(pairs)) for (one, other), pairs in both.items() if pairs)


def _omissions(
    clips: Sequence[AuditClip],
    says: Mapping[tuple[str, int, str], Mapping[str, str]],
    weights: Mapping[str, float],
) -> tuple[OmissionFigures, ...]:
    """Return the share of labelled clips of which somebody says that something is missing, in all and by level."""
    labelled = [
        (clip.level, Outcome("incomplete" in says[clip.key, 0, ""].values(), weights[clip.key], clip.video_id))
        for clip in clips
        if clip.key in weights
    ]
    if not labelled:
        return ()
    by_level = [
        OmissionFigures(f"level {level}", proportion([outcome for own, outcome in labelled if own == level]))
        for level in sorted({level for level, _ in labelled})
    ]
    return (OmissionFigures(ALL, proportion([outcome for _, outcome in labelled])), *by_level)
