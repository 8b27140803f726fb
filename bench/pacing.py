"""Requests a minute that one site sees: one machine, two machines that each pace themselves, two nodes with one pacer.

    python -m bench.pacing --budget 120 --seconds 75

The site is an HTTP server on loopback that notes when requests come. Four workers ask it as fast as they may. Workers
of different machines have caches of their own, so that only the pacer can unite them; the nodes are two raylets.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final

from curation.media.download.download_settings import DownloadSettings
from curation.media.download.politeness.run_visits import run_visits

WORKERS: Final = 4
_RUN: Final = "bench"


class _Site:
    """A server that notes the time of each request."""

    def __init__(self) -> None:
        self.times: list[float] = []
        times = self.times

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                times.append(time.monotonic())
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                """Log nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/"

    def busiest_minute(self) -> int:
        """Return the most requests of any 60 seconds."""
        return max((sum(first <= each < first + 60 for each in self.times) for first in self.times), default=0)


def ask(url: str, seconds: float, budget: float, cache: str) -> int:
    """Visit a site as often as the pacer permits; return the number of visits."""
    os.environ["CLIPGROVE_CACHE"] = cache
    settings = DownloadSettings(host_interval=0.0, host_concurrency=WORKERS, host_requests_per_minute=budget)
    visits, count, end = run_visits(settings, _RUN), 0, time.monotonic() + seconds
    while time.monotonic() < end:
        with visits.visit("site.example"):
            urllib.request.urlopen(url, timeout=30).close()
            count += 1
    return count


def _processes(url: str, seconds: float, budget: float, caches: list[str]) -> None:
    with ProcessPoolExecutor(WORKERS, mp_context=get_context("spawn")) as pool:
        list(pool.map(ask, *zip(*[(url, seconds, budget, cache) for cache in caches], strict=True)))


@contextlib.contextmanager
def _two_nodes() -> Iterator[None]:
    import ray
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": WORKERS // 2})
    cluster.add_node(num_cpus=WORKERS // 2)
    ray.init(address=cluster.address, logging_level="ERROR", log_to_driver=False)
    try:
        yield
    finally:
        ray.shutdown()
        cluster.shutdown()


def _nodes(url: str, seconds: float, budget: float, caches: list[str], kills: int) -> None:
    import ray

    with _two_nodes():
        task: Any = ray.remote(num_cpus=1, scheduling_strategy="SPREAD")(ask)
        running = [task.remote(url, seconds, budget, cache) for cache in caches]
        for _ in range(kills):
            ray.wait(running, timeout=seconds / (kills + 1))
            ray.kill(ray.get_actor(f"site-pacer-{_RUN}"), no_restart=False)
        ray.get(running)


def main() -> None:
    """Print a Markdown table: one row for each arrangement."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--budget", type=float, default=120.0, help="requests a minute")
    parser.add_argument("--seconds", type=float, default=75.0, help="length of each arrangement")
    parser.add_argument("--no-ray", action="store_true", help="leave out the arrangements with two raylets")
    asked = parser.parse_args()
    print(f"| arrangement, budget {asked.budget:g} a minute | requests in the busiest minute | of the budget |")
    print("|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        one = [f"{folder}/one"] * WORKERS
        two = [f"{folder}/two-{worker % 2}" for worker in range(WORKERS)]
        ways: dict[str, Callable[[str], None]] = {
            "one machine": lambda url: _processes(url, asked.seconds, asked.budget, one),
            "two machines that pace themselves": lambda url: _processes(url, asked.seconds, asked.budget, two),
        }
        if not asked.no_ray:
            own = [str(Path(folder) / f"own-{worker}") for worker in range(WORKERS)]
            ways["two raylets, one pacer"] = lambda url: _nodes(url, asked.seconds, asked.budget, own, 0)
            ways["two raylets, the pacer killed twice"] = lambda url: _nodes(url, asked.seconds, asked.budget, own, 2)
        for name, way in ways.items():
            site = _Site()
            way(site.url)
            most = site.busiest_minute()
            print(f"| {name} | {most} | {most / asked.budget:.2f} |", flush=True)


if __name__ == "__main__":
    main()
