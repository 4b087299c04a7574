"""Raw system calls through ctypes that raise OSError."""

import ctypes
import errno
import os

from .failure import Layer, SealFailed
from .syscalls import present

NO_NEW_PRIVS, PDEATHSIG, DUMPABLE = 38, 1, 4
"""The prctl options that set these."""

_libc = ctypes.CDLL(None, use_errno=True)
_raw = _libc.syscall
_raw.restype = ctypes.c_long
_fork = ctypes.PyDLL(None, use_errno=True).fork


class Call:
    """One system call with its arguments, laid ready so that making it touches little memory."""

    __slots__ = ("_arguments",)

    def __init__(self, name: str, *arguments: int | ctypes.Array[ctypes.c_char] | None) -> None:
        number = present().number(name)
        if number is None:
            raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
        wide = (ctypes.c_ulong(value) if isinstance(value, int) else value for value in arguments)
        self._arguments = (ctypes.c_long(number), *wide)

    def __call__(self) -> int:
        """Make the call. Raises OSError."""
        result: int = _raw(*self._arguments)
        if result < 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))
        return result


def call(name: str, *arguments: int | ctypes.Array[ctypes.c_char] | None) -> int:
    """One system call, made at once. Raises OSError."""
    return Call(name, *arguments)()


def fork() -> int:
    """Fork this process, which must have one thread: 0 in the child, its pid here. Raises OSError.

    Python's own fork also renews locks and runs hooks for threads that are not there, and the child pays for
    each page that they write (docs/decisions/0007-cost-of-the-jail.md).
    """
    pid: int = _fork()
    if pid < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return pid


def prctl(layer: Layer, what: str, option: int, value: int) -> int:
    """A prctl with one argument; its refusal is a failed layer."""
    try:
        return call("prctl", option, value, 0, 0, 0)
    except OSError as refusal:
        raise SealFailed(layer, f"{what}: {refusal.strerror}") from refusal
