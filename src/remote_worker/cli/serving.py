"""`remote-worker serve`: opens everything, serves until stopped, closes it again."""

import argparse
import asyncio
import contextlib
import logging
import resource
import signal
import socket

from .. import telemetry, wiring
from ..settings import BadSettings, Settings
from ..telemetry import Event
from ..web import scrape, server
from ..web.app import create_app
from ..web.auth import Gate
from ..web.replay import Replay


def serve(options: argparse.Namespace, settings: Settings) -> int:
    """Serve until SIGTERM or SIGINT; the answer is the exit status. Raises what main translates."""
    telemetry.configure(form=settings.telemetry.log_format)
    if not settings.pool.jail:
        telemetry.emit(Event.JAIL_OFF, level=logging.WARNING, text="strangers' images are decoded UNSEALED")
    needed = _descriptors(settings)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most != resource.RLIM_INFINITY and needed > most:
        raise BadSettings(
            [
                f"REMOTE_CONNECTIONS={settings.web.connections} takes up to {needed} descriptors, and the "
                f"system allows {most}: lower it, or raise the limit (ulimit -H -n, LimitNOFILE=)"
            ]
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # What starts now is fresh.
    asyncio.run(_serve_until_stopped(settings, wiring.open_gate(settings), options.listener))
    telemetry.emit(Event.STOPPED)
    return 0


def _descriptors(settings: Settings) -> int:
    """Two for each connection (socket, upload or output), one for each guest past them, three for each child
    (socket, pidfd, output), and some.
    """
    return 3 * settings.web.connections + 3 * _children(settings) + settings.fetch.fetches + 64


def _children(settings: Settings) -> int:
    pool = settings.pool
    return pool.children + pool.ready + pool.text_children + 1


async def _serve_until_stopped(settings: Settings, gate: Gate, listener: socket.socket | None) -> None:
    serving = asyncio.create_task(_open_and_serve(settings, gate, listener))
    # Until the server has its own: a container's first process never hears of a signal without a handler.
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, serving.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await serving


async def _open_and_serve(settings: Settings, gate: Gate, listener: socket.socket | None) -> None:
    async with wiring.Whole(settings) as whole, wiring.renewal(whole) as renew:
        for host, port in whole.scrapes.addresses if whole.scrapes else ():
            telemetry.emit(Event.METRICS, url=f"http://{telemetry.Listening(host, port)}{scrape.PATH}")
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, renew)
        gate.read_again()  # Nobody has heard a SIGHUP while the templates got warm.
        app = create_app(
            whole.uses,
            whole.check,
            settings.web,
            settings.limits,
            gate=gate,
            watch=whole.watch,
            tell=whole.tell,
        )

        def tell(address: server.Address) -> None:
            whole.door.listens(*address)
            _tell_address(address, "https" if settings.web.tls_cert else "http")

        async with whole.jobs.served(Replay(app, gate, settings.limits)) as crew:
            await server.serve(
                app,
                settings.web,
                listener=listener,
                on_listening=tell,
                on_hangup=renew,
                on_stop=crew.stop,
            )


def _tell_address(address: server.Address, scheme: str) -> None:
    host, port = address
    telemetry.emit(
        Event.SERVING, url=f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"
    )
