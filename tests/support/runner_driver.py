"""A driver to be killed: ``python runner_driver.py FOLDER`` runs a stage whose workers sleep beside a child process."""

import json
import sys
from functools import partial
from pathlib import Path

from support.noop_stages import Doubler, service, sleep_with_child, stage

from runtime.ray_runner.cluster import ClusterSettings
from runtime.ray_runner.runner import run_stages


def main(folder: Path) -> int:
    report = run_stages(
        [stage("media", partial(sleep_with_child, folder), range(4), services=("doubler",), min=2, max=2)],
        [service("doubler", Doubler)],
        cluster=ClusterSettings(num_cpus=2),
        log_folder=folder / "log",
        title="to be killed",
        quiet=True,
    )
    (folder / "report.json").write_text(json.dumps({"interrupted": report.interrupted, "fatal": report.fatal}))
    return 130 if report.interrupted else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
