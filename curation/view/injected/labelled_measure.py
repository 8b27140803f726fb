"""Measures the judges of a pipeline on the claims that people labelled (`curate audit DIR --labels`)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

from rich.console import Console

from curation.grounding.audit.audit_records import AuditClip, Label
from curation.grounding.audit.labelled_claims import labelled_controls
from curation.grounding.injections.control_claims import ControlClaim
from curation.grounding.measurement.control_figures import control_figures, markdown
from curation.grounding.pixels.clip_pictures import ClipPictures
from curation.grounding.pixels.stored_pictures import pictures_of_shard
from curation.text.rewrite_settings import RewriteSettings
from curation.view.injected.injected_measure import InjectedMeasurement, InjectedRequest, judge_layer, judges_of
from curation.view.inspect_clips import pick_layer
from shards.keys import shard_name
from shards.reader import read_table
from shards.storage.store import Store

LEAST: Final = 10
"""True claims, and false ones, that must be labelled for thresholds to be fitted from labels."""


def measure_labels(request: InjectedRequest, console: Console) -> InjectedMeasurement | None:
    """Have every judge score the labelled claims, and print how many it accepts; None if too few are labelled.

    Raises:
        UserError: no such DIR, layer or pipeline; or a model can't be had.
        ShardError: a table of the audit is damaged.
        MachineError: the engine of a judge does not start, or died.
    """
    store = Store(request.root)
    layer = pick_layer(store, request.layer)
    looks = judges_of(store, request).branch(RewriteSettings).ground.looks
    controls = stored_controls(store, layer, with_pictures=looks)
    true = sum(control.is_true for control in controls)
    counted = f"labels of people: {true} true and {len(controls) - true} false claims with evidence"
    if min(true, len(controls) - true) < LEAST:
        why = f"{counted}; {LEAST} of each are needed, so that injected errors take their place"
        console.print(why, markup=False, soft_wrap=True)
        return None
    measured = judge_layer(store, layer, request, controls, Counter())
    for text in (counted, "", markdown(control_figures(measured.judged, measured.ground)), ""):
        console.print(text, markup=False, soft_wrap=True)
    return measured


def stored_controls(store: Store, layer: str, *, with_pictures: bool = False) -> Sequence[ControlClaim]:
    """Return the labelled claims of a layer's audit; none if there is no audit."""
    names = [f"audit/{layer}/{table}.parquet" for table in ("sample", "labels")]
    if not all(store.exists(name) for name in names):
        return ()
    sample, labels = (read_table(store, name).to_pylist() for name in names)
    clips = [AuditClip.from_row(row) for row in sample]
    pictures = _pictures(store, {clip.shard for clip in clips}) if with_pictures else {}
    return tuple(labelled_controls(clips, [Label(**row) for row in labels], pictures))


def _pictures(store: Store, shards: Iterable[int]) -> dict[str, ClipPictures]:
    """Return the pictures of the clips of some shards by key; none of a shard whose media is gone."""
    found: dict[str, ClipPictures] = {}
    for shard in sorted(shards):
        name = f"media/{shard_name(shard)}.parquet"
        if store.exists(name):
            found |= pictures_of_shard(store, shard, read_table(store, name).to_pylist())
    return found
