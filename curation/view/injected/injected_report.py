"""`curate audit DIR --injected`: the table of the judges, in the terminal and as Parquet in ``DIR/audit/<layer>/``."""

from __future__ import annotations

import io
from collections import Counter
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console

from curation.grounding.injections.control_claims import CONTROL_KINDS
from curation.grounding.measurement.control_figures import FIGURES, control_figures, figures_table, markdown
from curation.view.injected.injected_measure import InjectedMeasurement
from shards.storage.store import Store

CLAIMS: Final = "injected_claims.parquet"
"""Name of the table with every control claim and its scores."""
_NOTES: Final = """\
Each cell: claims accepted, with the 95 % interval. `untouched` are the layer's claims as its model wrote them: some are
false, so the share is a lower bound of recall. All other kinds should be rejected. A judge alone, and the cascade."""


def report(measured: InjectedMeasurement, console: Console) -> None:
    """Print the figures, and store them with the claims that they were measured on."""
    figures = control_figures(measured.judged, measured.ground)
    folder = f"audit/{measured.layer}"
    write_table(measured.store, f"{folder}/{FIGURES}", figures_table(figures))
    write_table(measured.store, f"{folder}/{CLAIMS}", _claims_table(measured))
    judges = ", ".join(f"{kind.name} (from {own.threshold:g})" for kind, own in measured.ground.used())
    videos = len({each.control.video for each in measured.judged})
    title = f"layer {measured.layer}, {len(measured.judged)} claims of {videos} videos; judges: {judges}"
    for text in (title, "", markdown(figures), "", _NOTES, *_left_out(measured.counts)):
        console.print(text, markup=False, soft_wrap=True)
    console.print(f"stored: {measured.store.path(f'{folder}/{FIGURES}')}", markup=False, soft_wrap=True)


def write_table(store: Store, name: str, table: pa.Table) -> None:
    """Write a table into a DIR, in one piece."""
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    store.commit_bytes(buffer.getvalue(), name)


def _left_out(counts: Counter[str]) -> list[str]:
    """Return lines on the claims of which no control was made, by reason."""
    unfit = [f"{kind} {counts[f'unfit:{kind}']}" for kind in CONTROL_KINDS if counts[f"unfit:{kind}"]]
    lines = (
        [f"claims with nothing to alter, or that the evidence might still support: {', '.join(unfit)}"] if unfit else []
    )
    reasons = {
        "other_language": "in other languages, which get no injected errors",
        "no_evidence": "without evidence that can be seen",
        "citations_lost": "citations of items that media and captions don't hold any more",
    }
    return lines + [f"{counts[name]} {text}" for name, text in reasons.items() if counts[name]]


def _claims_table(measured: InjectedMeasurement) -> pa.Table:
    names = [kind.name for kind, _ in measured.ground.used()]
    rows = [
        {
            "kind": each.control.kind,
            "video_id": each.control.video,
            "key": each.control.clip,
            "original": each.control.original,
            "claim": each.control.claim.text,
            "evidence": [item.text for item in each.control.claim.evidence if item.is_seen],
            **{f"score_{name}": each.rulings[name].score for name in names},
        }
        for each in measured.judged
    ]
    texts = [(name, pa.string()) for name in ("kind", "video_id", "key", "original", "claim")]
    scores = [(f"score_{name}", pa.float64()) for name in names]
    return pa.Table.from_pylist(rows, schema=pa.schema([*texts, ("evidence", pa.list_(pa.string())), *scores]))
