"""Tasks from the hub: one configuration as Parquet, cached for later. The hub is a fake, its client is not."""

import hashlib
import io
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from training.evaluation.language.language_settings import LanguageSettings
from training.evaluation.language.tasks.task_data import read_task

COMMIT = "b" * 40


def parquet(rows: int) -> bytes:
    table = pa.table({"sentence": [f"text {n}" for n in range(rows)], "label": [n % 2 for n in range(rows)]})
    stream = io.BytesIO()
    pq.write_table(table, stream)
    return stream.getvalue()


FILES = {
    "sst2/train-00000-of-00002.parquet": parquet(6),
    "sst2/train-00001-of-00002.parquet": parquet(4),
    "sst2/validation-00000-of-00001.parquet": parquet(3),
    "qnli/train-00000-of-00001.parquet": b"never asked for",
}


class DataHub(BaseHTTPRequestHandler):
    """As much of a hub as one data set with one commit needs."""

    def do_GET(self) -> None:
        self.answer(body=True)

    def do_HEAD(self) -> None:
        self.answer(body=False)

    def answer(self, body: bool) -> None:
        path = self.path.partition("?")[0]
        name = path.partition(f"/resolve/{COMMIT}/")[2]
        if path.startswith("/api/datasets/nyu-mll/glue"):
            siblings = [{"rfilename": file} for file in FILES]
            tree = [{"type": "file", "path": file, "size": len(data), "oid": "0" * 40} for file, data in FILES.items()]
            listing = tree if "/tree/" in path else {"id": "nyu-mll/glue", "sha": COMMIT, "siblings": siblings}
            self.send(200, json.dumps(listing).encode(), body)
        elif path.startswith("/datasets/nyu-mll/glue/resolve/") and name in FILES:
            self.send(200, FILES[name], body)
        else:
            self.send(404, b"", body)

    def send(self, status: int, data: bytes, body: bool) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("ETag", f'"{hashlib.sha1(data).hexdigest()}"')
        if status == 404:
            self.send_header("X-Error-Code", "RepoNotFound")
        self.end_headers()
        if body:
            self.wfile.write(data)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def port() -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), DataHub)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()
    thread.join()


def folder_from_hub(tmp_path: Path, port: int, task: str) -> str:
    """Fetch a task where the hub is at `port`: its address is read when the hub's library is imported."""
    code = (
        "from runtime.errors import UserError\n"
        "from training.evaluation.language.tasks.task_hub import fetch_task\n"
        "from training.evaluation.language.tasks.task_registry import LANGUAGE_TASKS\n"
        f"try: print(fetch_task(LANGUAGE_TASKS['{task}']))\n"
        "except UserError as error: print('UserError', error)"
    )
    env = {
        "HF_ENDPOINT": f"http://127.0.0.1:{port}",
        "HF_HOME": str(tmp_path / "hub"),
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_ETAG_TIMEOUT": "200",  # the hub answers from this process, on a machine that may be busy
        "HF_HUB_DOWNLOAD_TIMEOUT": "200",
    }
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_one_configuration_is_fetched_with_its_shards_joined_and_serves_without_the_hub(
    port: int, tmp_path: Path
) -> None:
    folder = folder_from_hub(tmp_path, port, "sst2")
    found = read_task("sst2", LanguageSettings(folders={"sst2": folder}))
    assert found.train.files == ("train-00000-of-00002.parquet", "train-00001-of-00002.parquet")
    assert (len(found.train), len(found.scored["dev"])) == (10, 3)
    assert not list((tmp_path / "hub").rglob("qnli"))
    assert folder_from_hub(tmp_path, 9, "sst2") == folder  # nobody listens there


def test_an_unknown_data_set_is_reported_with_the_way_to_use_local_files(port: int, tmp_path: Path) -> None:
    answer = folder_from_hub(tmp_path, port, "swag")
    assert answer.startswith("UserError SWAG: datasets/allenai/swag: ")
    assert "name that as --data (or folders.swag)" in answer
    assert "\n" not in answer


def test_an_unreachable_hub_is_reported_with_the_way_to_use_local_files(tmp_path: Path) -> None:
    answer = folder_from_hub(tmp_path, 9, "sst2")
    assert "is not in the hub's local cache and the hub can't be reached" in answer
    assert "name that as --data" in answer
