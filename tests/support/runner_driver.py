"""A driver to be stopped: ``python runner_driver.py FOLDER [ADDRESS]`` runs a stage whose workers wait for children.

On Ray (no address) two workers sleep beside a child process each; with the address ``local`` one waits for its child.
"""

import json
import sys
from functools import partial
from pathlib import Path

from support.noop_stages import Doubler, block_on_child_then_mark, service, sleep_with_child, stage

from runtime.ray_runner.cluster import ClusterSettings
from runtime.ray_runner.runner import run_stages


def main(folder: Path, address: str | None = None) -> int:
    work = sleep_with_child if address is None else block_on_child_then_mark
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
