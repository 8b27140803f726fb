"""`curate view`: serves the viewer of a DIR until it is interrupted."""

from __future__ import annotations

import argparse
import secrets
import socket
from contextlib import suppress

from rich.console import Console

from curation.reporting.run_costs import read_prices
from curation.reporting.spoken_numbers import counted
from curation.scores.embeddings.vector_index import build_index
from curation.view.browser.queries.similar_clips import search_way, stored_vectors
from curation.view.browser.request_guard import is_loopback
from curation.view.browser.server import viewer_app
from curation.view.browser.viewed_dir import ViewedDir
from curation.view.inspect_clips import check_there
from runtime.errors import UserError
from runtime.progress_bar import progress_bar
from runtime.run_lock import locked_dir
from runtime.terminal import SafeConsole
from shards.storage.store import Store
from shards.storage.url_secrets import without_secrets


def show_view(arguments: argparse.Namespace, console: Console | None = None) -> int:
    """Serve until Ctrl-C; return 0.

    Raises:
        UserError: no such layer, or the address can't be listened on.
        ShardError: no such selection.
    """
    import uvicorn

    console = console or SafeConsole(highlight=False)
    prices = None if arguments.prices is None else read_prices(arguments.prices)
    if arguments.index:
        build_indexes(Store(arguments.dir), console)
    opened = ViewedDir.open(arguments.dir, arguments.layer, arguments.selection, prices)
    listener = _listener(arguments.host, arguments.port)
    token = None if is_loopback(arguments.host) else secrets.token_urlsafe(24)
    app = viewer_app(opened, token)
    port = listener.getsockname()[1]
    shown = without_secrets(opened.store.root)
    console.print(
        f"layer {opened.layer} of {shown}: {address(arguments.host, port, token)}", markup=False, soft_wrap=True
    )
    console.print("Ctrl-C ends it; it changes nothing but labels of the audit", markup=False, soft_wrap=True)
    settings = uvicorn.Config(
        app, log_level="warning", access_log=False, server_header=False, timeout_graceful_shutdown=2, lifespan="on"
    )
    with suppress(KeyboardInterrupt):  # uvicorn has ended by then, and hands the signal on
        uvicorn.Server(settings).run(sockets=[listener])
    return 0


def build_indexes(store: Store, console: Console) -> None:
    """Build the index of each set of vectors that is too large to compare each, and print its recall.

    Raises:
        UserError: there are no vectors, another command is writing to the DIR, or it is in an object store.
        ShardError: a file of vectors is damaged.
    """
    check_there(store)
    vectors = stored_vectors(store)
    if not vectors:
        raise UserError(f"--index: {store.root} has no vectors; make them with the score `embedding`")
    with locked_dir(store, "DIR"):
        for each in vectors.values():
            way = search_way(each)
            if not way.needs_index:
                done = "its index is up to date" if way.index else "each is compared, no index is needed"
                console.print(f"{each.name}: {counted(way.vectors, 'vector')}; {done}", markup=False)
                continue
            with progress_bar(f"index of {each.name}") as progress:
                record = build_index(each.scored, each.column, progress)
            console.print(
                f"{each.name}: index of {counted(record.vectors, 'vector')}; it finds {record.recall:.1%} of the "
                f"{record.nearest} nearest, at least {record.least_recall:.0%} on {record.sampled} sampled clips",
                markup=False,
                soft_wrap=True,
            )


def address(host: str, port: int, token: str | None) -> str:
    """Return the address to open in a browser."""
    if host in ("0.0.0.0", "::", ""):  # noqa: S104  compared, not listened on
        host = socket.gethostname()
    name = f"[{host}]" if ":" in host else host
    return f"http://{name}:{port}/" + (f"?token={token}" if token else "")


def _listener(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family)
    except OSError as error:
        reason = error.strerror or str(error)
        raise UserError(f"--host {host} --port {port}: can't listen there ({reason}); name another --port") from None
