"""`handseg serve`: an HTTP server for photos on this machine."""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from errno import EACCES, EADDRINUSE
from typing import Annotated

import typer

from handseg.cli.common import is_this_machine, load_segmenter, url
from handseg.cli.options import (
    AdapterOption,
    DeviceOption,
    JobsOption,
    ModelOption,
    RecipeOption,
)
from handseg.errors import reason
from handseg.runtime.terminal import fail, running, say

_GRACE = 5  # s for requests to finish; Docker kills after 10.
_LAST = 2.0  # s more for photos to finish.


def serve(
    host: Annotated[
        str,
        typer.Option(
            "--host",
            metavar="ADDRESS",
            help="Address to listen on; 0.0.0.0 opens the server to the whole network.",
        ),
    ] = "127.0.0.1",
    port: Annotated[
        int,
        typer.Option("--port", min=0, max=65535, help="Port to listen on; 0 picks a free one."),
    ] = 8000,
    jobs: JobsOption = None,
    queue: Annotated[
        int,
        typer.Option(
            "--queue",
            metavar="N",
            min=0,
            help="Maximum number of waiting requests; more get 503 with Retry-After.",
        ),
    ] = 16,
    max_megabytes: Annotated[
        float,
        typer.Option(
            "--max-megabytes", metavar="N", help="Maximum size of a request; larger ones get 413."
        ),
    ] = 20,
    max_megapixels: Annotated[
        float,
        typer.Option(
            "--max-megapixels",
            metavar="N",
            max=200,
            help="Maximum size of a photo; larger ones get 413 before they are decoded.",
        ),
    ] = 50,
    timeout: Annotated[
        float,
        typer.Option(
            "--timeout",
            metavar="SECONDS",
            help="Time limit per request, including upload and waiting; after that it gets 408 or "
            "503.",
        ),
    ] = 30,
    objects: Annotated[
        bool,
        typer.Option("--objects", help="Allow requests for held objects."),
    ] = False,
    model: ModelOption = "handseg-lite",
    adapter: AdapterOption = None,
    recipe: RecipeOption = None,
    device: DeviceOption = None,
) -> None:
    """Serve cut-outs, masks and numbers over HTTP.

    POST a photo as the form field "photo" to /cutout, /mask or /hands; options are query
    parameters. /docs documents them, /health tells whether the server is ready.

        curl -F photo=@photo.jpg http://127.0.0.1:8000/cutout -o hand.png

    Photos stay in memory. Ctrl-C or SIGTERM stops the server; requests get 5 seconds to finish.

    Exit codes: 0 stopped by Ctrl-C or SIGTERM; 2 wrong command line.
    """
    with running("serve", "serve"), _until_told():
        import python_multipart  # noqa: F401 - looked for when a form comes
        import uvicorn

        from handseg.pipeline.shared import ready
        from handseg.runtime.threads import available_cores, limit_threads
        from handseg.server.app import create_app
        from handseg.server.respond import Limits
        from handseg.server.workers import Workers

        for name, value in {
            "--max-megabytes": max_megabytes,
            "--max-megapixels": max_megapixels,
            "--timeout": timeout,
        }.items():
            if not 0 < value < float("inf"):
                fail(f"{name} must be a positive number, got {value:g}")
        limits = Limits(round(max_megabytes * 1e6), round(max_megapixels * 1e6), timeout, objects)
        with _bound(host, port) as listener:
            cores = available_cores()
            jobs = jobs or cores
            if jobs > 1:
                limit_threads(max(1, cores // jobs))
            segmenter = load_segmenter(model, adapter, recipe, device, objects)
            with ready(segmenter, jobs) as segmenters:
                workers = Workers(segmenters, queue)
                config = uvicorn.Config(
                    create_app(workers, limits),
                    http="h11",
                    ws="none",
                    lifespan="off",
                    server_header=False,
                    timeout_graceful_shutdown=_GRACE,
                )
                # This command prints its own messages; errors and the request log stay.
                logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
                port = _listen(listener, host, port)
                say(f"Serving at {url(host, port)}, documented at /docs. Press Ctrl-C to stop.")
                if not is_this_machine(host):
                    say(f"Anyone who can reach {host}, port {port}, can use this server.", "yellow")
                try:
                    uvicorn.Server(config).run([listener])
                finally:
                    if not workers.close(_LAST):
                        _leave()


@contextmanager
def _until_told() -> Iterator[None]:
    """Run the body until Ctrl-C or SIGTERM."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    except KeyboardInterrupt:
        say("Stopped.")
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _bound(host: str, port: int) -> Iterator[socket.socket]:
    """Yield a socket bound to the port, so that a used port fails before a model is loaded."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except (OSError, UnicodeError) as error:  # such as a name with a part of over 63 letters
        fail(f"--host {host}: {reason(error)}")
    with listener:
        if sys.platform != "win32":  # There it could take the port from another program.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with _told(host, port):
            listener.bind(address)
        yield listener


def _listen(listener: socket.socket, host: str, port: int) -> int:
    """Start accepting connections, and return the port."""
    with _told(host, port):  # Another program may have taken the port since.
        listener.listen()
    return int(listener.getsockname()[1])


@contextmanager
def _told(host: str, port: int) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        hint = "; choose another --port" if error.errno in (EACCES, EADDRINUSE) else ""
        fail(f"cannot listen at {host}, port {port}: {reason(error)}{hint}")


def _leave() -> None:
    """End the process at once: threads cannot be stopped, and Python would wait for them."""
    try:
        say("Stopped; a photo was not finished.")
    finally:
        os._exit(0)
