"""The run of a probe in a temporary DIR, and the prediction that is made from it."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from curation.plan import RunPlan
from curation.probe.extrapolation import Machine, predicted
from curation.probe.probe_measures import measure
from curation.probe.probe_sample import mean_seconds, spread, thinned, waiting_sources, whole_over_sample
from curation.reporting.prediction import Prediction, keep_prediction, now
from curation.reporting.run_costs import bytes_by_folder
from curation.run import execute
from curation.sources.source_rows import SourceRow
from runtime.errors import MachineError, UserError
from runtime.ray_runner.cluster import ClusterSettings, joins_running_cluster, machine_nodes
from runtime.ray_runner.run_record import RunReport
from runtime.terminal import SafeConsole
from shards.storage.store import Store


def probe(plan: RunPlan, shards: int, nodes: int) -> Prediction:
    """Run `shards` shards' worth of the plan's waiting sources aside, and predict what all of them take.

    The prediction is kept for `curate status`.

    Raises:
        UserError: no source is waiting, or several nodes are asked for without Ray.
        MachineError: the machine can't go on.
        KeyboardInterrupt: Ctrl-C was pressed.
    """
    if nodes > 1 and plan.request.is_local:
        raise UserError(f"--nodes {nodes}: --address local is one process; leave one of them out")
    waiting, total = thinned(waiting_sources(plan))
    if not waiting:
        raise UserError("--probe: there is no source left to do")
    sample = spread(waiting, shards * plan.sources.videos_per_shard)
    folder = Path(tempfile.mkdtemp(prefix="curate-probe-"))
    try:
        report = _run(plan, sample, folder)
        if report.fatal is not None:
            raise MachineError(report.fatal)
        if report.interrupted:
            raise KeyboardInterrupt
        measures = measure(report, Store(folder / "dir"), plan.request.settings.resources)
    finally:
        shutil.rmtree(folder)
    factor = whole_over_sample(waiting, sample) * total / len(waiting)
    todo = len(plan.todo["media"])
    figures, bottleneck = predicted(measures, factor, todo, _machine(plan, nodes))
    mean = mean_seconds((*spread(waiting, len(sample)), *sample))
    prediction = Prediction(
        made=now(),
        pipeline=plan.request.pipeline,
        nodes=nodes,
        probe_shards=len(measures.shards),
        sources=total,
        shards=todo,
        video_hours=None if mean is None else measures.weight * factor / 3600,
        bottleneck=bottleneck,
        figures=figures,
        shards_before=len(plan.media),
        bytes_before=sum(bytes_by_folder(plan.request.store).values()),
    )
    keep_prediction(plan.request.store, prediction)
    return prediction


def _machine(plan: RunPlan, nodes: int) -> Machine:
    """Return the machines of the whole run; of a cluster that runs already only its workers are known."""
    if plan.request.is_local:
        return Machine(nodes, None, None)
    cluster = ClusterSettings(address=plan.request.address)
    if joins_running_cluster(cluster):
        return Machine(nodes, None, None)
    (node,) = machine_nodes(cluster)
    return Machine(nodes, node.cpus, node.gpus)


def _run(plan: RunPlan, sample: Sequence[SourceRow], folder: Path) -> RunReport:
    manifest = folder / "sample.jsonl"
    lines = [json.dumps({"url": row.source, "start": row.start, "end": row.end}) for row in sample]
    manifest.write_text("\n".join(lines) + "\n", encoding="utf-8")
    per_shard = plan.sources.videos_per_shard
    request = replace(
        plan.request,
        inputs=(str(manifest),),
        store=Store(folder / "dir"),
        scratch=folder / "dir" / ".scratch",
        settings=plan.request.settings.model_copy(update={"videos_per_shard": per_shard}),
        limit=None,
        exclude=frozenset(),
        retry=None,
        replace=False,
    )
    return execute(request, SafeConsole(stderr=True, highlight=False), quiet=False)
