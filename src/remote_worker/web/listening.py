"""Sockets that listen: one that a supervisor hands over, and the end of one without a lost connection."""

import contextlib
import ctypes
import os
import socket
import struct
from collections.abc import Mapping
from typing import Protocol

FIRST_FD = 3
"""SD_LISTEN_FDS_START of sd_listen_fds(3)."""

_SO_ATTACH_FILTER = 26  # asm-generic/socket.h, which both of our architectures use
_CLASSIC_BPF = ((0x30, 0, 0, 13), (0x45, 0, 1, 0x02), (0x06, 0, 0, 0), (0x06, 0, 0, 0xFFFFFFFF))
"""Load byte 13 of the TCP header, the flags; drop the packet if SYN (2) is among them, else keep it whole."""


_SO_BINDTOIFINDEX = 62
_NO_INTERFACE = 0x7FFFFFFF


class CannotListen(Exception):
    """The address is taken, is not this machine's, or the socket that was handed over will not do."""


class Listener(Protocol):
    """What of a socket is needed here: asyncio's servers give no whole ones."""

    def setsockopt(self, level: int, option: int, value: int | bytes, /) -> None:
        """As of a socket."""


def handed_over(environment: Mapping[str, str]) -> socket.socket | None:
    """The listening TCP socket that a supervisor passes as descriptor 3, by the rules of sd_listen_fds(3).

    None when there is none, or it is for another process. Raises CannotListen when it will not do.
    """
    if environment.get("LISTEN_PID") != str(os.getpid()):
        return None
    if environment.get("LISTEN_FDS") != "1":
        raise CannotListen(f"LISTEN_FDS={environment.get('LISTEN_FDS', '')}: the worker takes one socket")
    try:
        listener = socket.socket(fileno=FIRST_FD)
    except OSError as wrong:
        raise CannotListen(f"descriptor {FIRST_FD} is no socket: {wrong.strerror}") from wrong
    if (
        listener.family not in (socket.AF_INET, socket.AF_INET6)
        or listener.type != socket.SOCK_STREAM
        or not listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    ):
        listener.detach()
        raise CannotListen(f"descriptor {FIRST_FD} is not a TCP socket that listens")
    listener.set_inheritable(False)
    return listener


def refuse_handshakes(listener: Listener) -> None:
    """Begin no further connection, but complete those that clients already take for open.

    A socket that is closed resets what the kernel has queued. A client whose SYN is dropped sends it again
    after a second, to the successor or to nobody. Newer kernels (6.18.44 is one) keep filters of TCP sockets
    to CAP_NET_ADMIN: then it listens on an interface that there is not, and who comes is refused at once.
    """
    program = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *row) for row in _CLASSIC_BPF))
    filtering = struct.pack("@HP", len(_CLASSIC_BPF), ctypes.addressof(program))
    try:
        listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, filtering)
    except OSError:
        with contextlib.suppress(OSError):
            listener.setsockopt(socket.SOL_SOCKET, _SO_BINDTOIFINDEX, _NO_INTERFACE)
