"""The audit of a card, with intervals: what people's labels say of the claims, and how judges treat injected errors.

Labellers stay unnamed.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

from curation.grounding.audit.audit_figures import ALL, AuditFigures, JudgeFigures, StepFigures, figures
from curation.grounding.audit.label_store import (
    SAMPLE_TABLE,
    WHERE,
    audit_file,
    is_outdated,
    judges_of,
    stored_labels,
    stored_sample,
)
from curation.grounding.measurement.control_figures import FIGURES, ControlFigure
from shards.reader import read_note, read_table
from shards.storage.store import Store


@dataclass(frozen=True)
class AuditFacts:
    """The figures of the labels that people have given so far."""

    figures: AuditFigures
    is_outdated: bool
    """True if the layer was made anew since the sample was drawn; the figures are about the old one."""
    where: str | None
    """Condition on the clips that the sample was drawn from; None: all clips of the layer."""

    @property
    def steps(self) -> tuple[StepFigures, ...]:
        """The claims as written, after each judge and as kept, of all clips."""
        return tuple(step for step in self.figures.steps if step.group == ALL)

    @property
    def judges(self) -> tuple[JudgeFigures, ...]:
        """Each judge against people, on all clips."""
        return tuple(judge for judge in self.figures.judges if judge.group == ALL)


def control_figures(store: Store, layer: str) -> tuple[ControlFigure, ...]:
    """Return how many injected errors and shuffled claims each judge accepts; none if nobody has measured it.

    Raises:
        ShardError: the table is damaged, or lacks columns.
    """
    names = [field.name for field in fields(ControlFigure)]
    try:
        rows = read_table(store, audit_file(layer, FIGURES), names).to_pylist()
    except FileNotFoundError:
        return ()
    return tuple(ControlFigure(**row) for row in rows)


def audit_facts(store: Store, layer: str) -> AuditFacts | None:
    """Return the figures of a layer's audit; None if nobody has labelled a claim yet.

    Raises:
        ShardError: a table is damaged.
    """
    clips, labels = stored_sample(store, layer), stored_labels(store, layer)
    if clips is None or not labels:
        return None
    found = figures(clips, labels, judges_of(store, layer))
    where = read_note(store, audit_file(layer, SAMPLE_TABLE), WHERE)
    return AuditFacts(found, is_outdated(store, layer), where) if found.labelled_claims else None
