"""``predator admin``: the admin API on a port of its own. Search needs no admin process."""

from __future__ import annotations

import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from predator.bootstrap.operator import Office, operating
from predator.domain.errors import InputError
from predator.edge.cli.options import settings_from
from predator.edge.cli.serve import bind, stop_with_parent
from predator.journal.logs import configure

if TYPE_CHECKING:
    from fastapi import FastAPI


def admin_app_of(office: Office) -> FastAPI:
    """The admin API over an open desk."""
    from predator.edge.api.app import create_admin_app
    from predator.edge.api.callers import Authenticator

    authenticator = Authenticator(office.stores.tokens, office.operator.desk.clock.now)
    return create_admin_app(office.operator, authenticator, office.stores.replies)


def serve_admin(pairs: Sequence[str], *, with_parent: bool) -> None:
    """Serve until told to stop; prints the address on the first line, logs to standard error."""
    import uvicorn

    settings = settings_from(pairs)
    try:
        listener = bind(settings.admin_host, settings.admin_port)
    except InputError as error:
        cure = "choose another with --set admin_port=N, or 0 for any free one"
        raise InputError(error.cause, cure=cure) from error
    with listener, operating(settings) as office:
        handler = configure(sys.stderr)
        app = admin_app_of(office)
        if with_parent:
            threading.Thread(target=stop_with_parent, daemon=True).start()
        host, port = listener.getsockname()[:2]
        shown = f"[{host}]" if ":" in host else host
        sys.stdout.write(f"http://{shown}:{port}\n")
        if not with_parent:
            sys.stdout.write(
                "the admin API; `predator token issue` makes a token, stop with ctrl-C\n"
            )
        sys.stdout.flush()
        config = uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=5,
        )
        with suppress(KeyboardInterrupt):
            uvicorn.Server(config).run(sockets=[listener])
        handler.flush()
