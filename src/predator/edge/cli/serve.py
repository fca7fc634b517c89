"""``predator serve``."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from predator.bootstrap.home import Home, Run
from predator.bootstrap.platform import platform_app
from predator.config import Settings
from predator.domain.errors import InputError
from predator.edge.cli.options import settings_from


def serve_run(folder: Path | None, pairs: Sequence[str], *, with_parent: bool) -> None:
    """Serve a run's platform until told to stop; prints its address on the first line."""
    import uvicorn
    from threadpoolctl import threadpool_limits

    settings = settings_from(pairs)
    run = Run(folder.absolute()) if folder is not None else _current(settings)
    name = run.about["name"]  # before the port: a folder without a platform needs none
    listener = bind(settings.host, settings.port)
    if not run.claim_serving():
        sys.stderr.write("note: another process serves this run already; both write its records\n")
    app = platform_app(settings, run)
    config = uvicorn.Config(
        app, log_level="warning", access_log=False, timeout_keep_alive=30, lifespan="on",
        timeout_graceful_shutdown=5,
    )  # fmt: skip
    if with_parent:
        threading.Thread(target=stop_with_parent, daemon=True).start()
    host, port = listener.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    sys.stdout.write(f"http://{shown}:{port}\n")
    if not with_parent:
        sys.stdout.write(f"serving {name}; API at /docs, stop with ctrl-C\n")
    sys.stdout.flush()
    # Many small products in many request threads: a BLAS with threads of its own is in the way.
    with threadpool_limits(1), suppress(KeyboardInterrupt):
        uvicorn.Server(config).run(sockets=[listener])


def bind(host: str, port: int) -> socket.socket:
    """A listening socket; ``InputError`` where the port is taken."""
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(512)
    except OSError as error:
        listener.close()
        raise InputError(
            f"port {port} on {host} cannot be had: {error.strerror}",
            cure="choose another with --set port=N, or 0 for any free one",
        ) from error
    return listener


def _current(settings: Settings) -> Run:
    run = Home(settings).current_run()
    if run is None:
        raise InputError(
            f"there is no platform in {settings.home} yet", cure="run `predator run` first"
        )
    return run


def stop_with_parent() -> None:
    while sys.stdin.buffer.read(4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
