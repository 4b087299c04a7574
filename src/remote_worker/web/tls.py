"""The one module of the host with TLS in it: how the server shows who it is, and asks who its clients are."""

import asyncio
import contextlib
import ssl
from collections import Counter
from collections.abc import Callable
from typing import Protocol, cast

from .callers import Callers
from .keys import fingerprint
from .settings import WebSettings


class BadCertificate(Exception):
    """A file of the settings cannot be used; says which and why."""


def context(settings: WebSettings) -> ssl.SSLContext | None:
    """What connections are secured with, out of the files as they are now; None for plain HTTP.

    Raises BadCertificate.
    """
    if not settings.tls_cert:
        return None
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    made.set_alpn_protocols(["http/1.1"])
    # Nobody goes on with a session that began before the files were read again.
    made.options |= ssl.OP_NO_TICKET | ssl.OP_NO_RENEGOTIATION
    made.num_tickets = 0
    try:
        made.load_cert_chain(settings.tls_cert, settings.tls_key, password=_no_password)
    except (OSError, ValueError) as bad:
        raise BadCertificate(f"REMOTE_TLS_CERT or REMOTE_TLS_KEY cannot be used: {_reason(bad)}") from bad
    if settings.tls_client_ca:
        try:
            made.load_verify_locations(settings.tls_client_ca)
        except (OSError, ValueError) as bad:
            raise BadCertificate(f"REMOTE_TLS_CLIENT_CA cannot be used: {_reason(bad)}") from bad
        made.verify_mode = ssl.CERT_REQUIRED if settings.tls_client_required else ssl.CERT_OPTIONAL
    return made


def client_fingerprint(transport: asyncio.BaseTransport) -> str:
    """The SHA-256 fingerprint of the certificate that the handshake has checked; empty for none."""
    secured = transport.get_extra_info("ssl_object")
    certificate = None if secured is None else secured.getpeercert(binary_form=True)
    return fingerprint(certificate) if certificate else ""


class Secured(Protocol):
    """What a connection of the server's is, as far as it matters here: one that brings its own buffer."""

    raw_transport: asyncio.Transport | None
    """Below TLS: it holds bytes to be sent, too."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """As of asyncio's protocols."""

    def get_buffer(self, sizehint: int) -> memoryview:
        """As of asyncio's."""
        ...

    def buffer_updated(self, nbytes: int) -> None:
        """As of asyncio's."""


class Handshakes:
    """Connections in their handshake: so many at once, each within its time. Then they are the server's."""

    def __init__(self, most: int, seconds: float, callers: Callers) -> None:
        """`most` are shared as `door` shares connections: who floods leaves room for others."""
        self._free = most
        self._seconds = seconds
        self._callers = callers
        self._held: Counter[str | None] = Counter()
        self._running: set[asyncio.Task[None]] = set()

    def protocol(self, secure: ssl.SSLContext, connection: Callable[[], Secured]) -> asyncio.BaseProtocol:
        """What the event loop gives a fresh TCP connection to."""
        return _Handshake(lambda below: self._begin(below, secure, connection))

    def end(self) -> None:
        """Give up those that are under way."""
        for task in self._running:
            task.cancel()

    def _begin(self, below: "_Handshake", secure: ssl.SSLContext, connection: Callable[[], Secured]) -> None:
        peer = below.transport.get_extra_info("peername")
        caller = self._callers.at(str(peer[0]) if peer else "")
        if not self._free or (caller is not None and self._held[caller] >= 2 * self._free):
            below.transport.abort()
            return
        self._free -= 1
        self._held[caller] += 1
        task = asyncio.get_running_loop().create_task(self._shake(below, secure, connection))
        self._running.add(task)

        def leave(done: asyncio.Task[None]) -> None:
            self._running.discard(done)
            self._free += 1
            self._held[caller] -= 1
            if not self._held[caller]:
                del self._held[caller]

        task.add_done_callback(leave)

    async def _shake(
        self, below: "_Handshake", secure: ssl.SSLContext, connection: Callable[[], Secured]
    ) -> None:
        secured = None
        # Who speaks no TLS, or shows no certificate that will do, hears of it from TLS; others have gone.
        with contextlib.suppress(OSError):
            secured = await asyncio.get_running_loop().start_tls(
                below.transport,
                below,
                secure,
                server_side=True,
                ssl_handshake_timeout=self._seconds,
                ssl_shutdown_timeout=self._seconds,
            )
        if secured is None:
            below.transport.abort()
        elif not below.is_lost:
            protocol = connection()
            protocol.raw_transport = below.transport
            secured.set_protocol(cast(asyncio.BaseProtocol, protocol))
            protocol.connection_made(secured)
            _hand_on(below.early, protocol)


class _Handshake(asyncio.Protocol):
    """Stands where the connection will be, and keeps what comes right behind the handshake."""

    transport: asyncio.Transport

    def __init__(self, begin: Callable[["_Handshake"], None]) -> None:
        self._begin = begin
        self.early = b""
        """One read of TLS at most: it is over before the loop reads again."""
        self.is_lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client is there."""
        self.transport = cast(asyncio.Transport, transport)
        self._begin(self)

    def data_received(self, data: bytes) -> None:
        """The request came along with the last message of the handshake."""
        self.early += data

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """The client is gone already."""
        self.is_lost = True


def _hand_on(data: bytes, protocol: Secured) -> None:
    left = memoryview(data)
    while left:
        buffer = protocol.get_buffer(-1)
        count = min(len(buffer), len(left))
        buffer[:count] = left[:count]
        protocol.buffer_updated(count)
        left = left[count:]


def _no_password() -> str:
    # Else OpenSSL would ask at the terminal.
    raise ValueError("the private key is encrypted")


def _reason(bad: Exception) -> str:
    if isinstance(bad, ssl.SSLError):
        return bad.reason or "it is not PEM, or they do not belong together"
    return (bad.strerror if isinstance(bad, OSError) else None) or str(bad)
