"""A driver to be stopped: ``python runner_driver.py FOLDER [ADDRESS]`` runs a stage whose workers wait for children.

On Ray (a cluster's address, or none) two workers sleep beside a child process each; with ``local`` one waits for its
child.
"""

import json
import sys
from functools import partial
from pathlib import Path

from support.noop_stages import Doubler, block_on_child_then_mark, service, sleep_with_child, stage

from runtime.ray_runner.cluster import LOCAL_ADDRESS, ClusterSettings
from runtime.ray_runner.runner import run_stages


def main(folder: Path, address: str | None = None) -> int:
    work = block_on_child_then_mark if address == LOCAL_ADDRESS else sleep_with_child
    report = run_stages(
        [stage("media", partial(work, folder), range(4), services=("doubler",), min=2, max=2)],
        [service("doubler", partial(Doubler, folder))],
        cluster=ClusterSettings(num_cpus=2, address=address),
        log_folder=folder / "log",
        title="to be killed",
        quiet=True,
    )
    (folder / "report.json").write_text(json.dumps({"interrupted": report.interrupted, "fatal": report.fatal}))
    return 130 if report.interrupted else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), *sys.argv[2:]))
