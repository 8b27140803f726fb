"""An object store that speaks S3, served on loopback by moto in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from socket import socket

import boto3
import pytest
from s3fs import S3FileSystem
from support.waiting import until

BUCKET = "bucket"
REGION = "us-east-1"


@dataclass(frozen=True)
class S3Server:
    """A server with one empty bucket."""

    endpoint: str

    @property
    def environment(self) -> Mapping[str, str]:
        """The variables by which every client finds the server, as users would set them."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": REGION,
        }

    def url(self, name: str) -> str:
        """Return the URL of a folder in the bucket."""
        return f"s3://{BUCKET}/{name}"

    def new_bucket(self) -> None:
        """Make the bucket; raises an error of boto3 if the server does not answer yet."""
        client = boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            region_name=REGION,
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )
        client.create_bucket(Bucket=BUCKET)


@contextmanager
def s3_server(log: Path) -> Iterator[S3Server]:
    """Serve an empty bucket on loopback; the server's output goes to `log`."""
    port = _free_port()
    server = S3Server(f"http://127.0.0.1:{port}")
    command = [sys.executable, "-m", "moto.server", "--host", "127.0.0.1", "--port", str(port)]
    with log.open("wb") as said:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=said, stderr=said, env={**os.environ})
    try:
        until(lambda: _answers(port), "the S3 server")
        server.new_bucket()
        yield server
    finally:
        process.terminate()
        process.wait()


@contextmanager
def clients_of(server: S3Server) -> Iterator[None]:
    """Let the clients of this process, and of processes that it starts, find the server."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in server.environment.items():
            patch.setenv(name, value)
        S3FileSystem.clear_instance_cache()  # fsspec keeps its clients, also those of a server that has ended
        yield
    S3FileSystem.clear_instance_cache()


def _free_port() -> int:
    with closing(socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _answers(port: int) -> bool:
    with closing(socket()) as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
