"""The process that drives Ray: gets a `RayJob` from its supervisor over a pipe, runs it, and reports.

    python -m runtime.ray_runner.driver.driver_process DESCRIPTOR

Its supervisor sends it SIGTERM on Ctrl-C: the terminal's own SIGINT does not reach it, because it has a process group
of its own.
"""

from __future__ import annotations

import os
import sys
import traceback
from multiprocessing.connection import Connection
from typing import TypeAlias

from runtime.errors import MachineError, UserError
from runtime.ray_runner.cluster import Cluster
from runtime.ray_runner.driver.ray_job import DriverMessage, Finished, RayCloses, RayIsUp, RayJob
from runtime.ray_runner.interrupts import sigterm_as_ctrl_c
from runtime.ray_runner.run_record import RunReport
from runtime.ray_runner.stage import ShardResult

_Pipe: TypeAlias = "Connection[DriverMessage, object]"


def main(descriptor: int) -> None:
    """Run the job that comes through the pipe, and send its outcome."""
    os.set_inheritable(descriptor, False)  # the pipe must close with this process, not with Ray's
    supervisor: _Pipe = Connection(descriptor)
    with sigterm_as_ctrl_c():
        supervisor.send(_outcome(supervisor))


def _outcome(supervisor: _Pipe) -> RunReport | BaseException:
    from runtime.ray_runner.runner import run_on_ray

    def send_result(stage: str, shard: int, result: ShardResult) -> None:
        supervisor.send(Finished(stage, shard, result))

    def send_cluster(cluster: Cluster | None) -> None:
        supervisor.send(RayCloses() if cluster is None else RayIsUp(cluster.processes, cluster.logs))

    try:
        sys.path[:] = supervisor.recv()  # type: ignore[call-overload]
        job = supervisor.recv()
        assert isinstance(job, RayJob)
        return run_on_ray(job, send_result, send_cluster)
    except KeyboardInterrupt:
        return RunReport(interrupted=True)
    except (UserError, MachineError) as error:
        return error
    except Exception as error:
        return RuntimeError(f"the run failed unexpectedly:\n{''.join(traceback.format_exception(error))}")


if __name__ == "__main__":
    main(int(sys.argv[1]))
