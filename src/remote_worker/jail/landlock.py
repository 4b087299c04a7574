"""Landlock: no file, no network and nothing outside, except that named folders may be read."""

import ctypes
import errno
import os
import stat
import struct
from collections.abc import Sequence

from . import kernel
from .failure import Layer, SealFailed


def abi() -> int:
    """The version of Landlock that the kernel offers, 0 for none."""
    try:
        return kernel.call("landlock_create_ruleset", None, 0, _VERSION)
    except OSError as refusal:
        if refusal.errno in (errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM):
            return 0
        raise SealFailed(Layer.LANDLOCK, f"its version: {refusal.strerror}") from refusal


def handled(version: int, *, may_connect: bool = False) -> tuple[int, int, int]:
    """The rights over files, network and other processes that this version knows, as masks."""
    files, network, scopes = (
        sum(bits for since, bits in rights.items() if since <= version)
        for rights in (_FILE_RIGHTS, _NET_RIGHTS, _SCOPES)
    )
    return files, network & ~_CONNECT_TCP if may_connect else network, scopes


def restrict(version: int, readable: Sequence[str] = (), *, may_connect: bool = False) -> tuple[str, ...]:
    """Deny all that this version can deny. Returns which of the readable paths were there to be granted.

    With `may_connect`, TCP goes out as before. Needs no_new_privs and holds for this thread and what it
    forks. Raises SealFailed.
    """
    try:
        ruleset = _create(handled(version, may_connect=may_connect))
        try:
            granted = tuple(path for path in readable if _grant(ruleset, path))
            kernel.call("landlock_restrict_self", ruleset, 0)
        finally:
            os.close(ruleset)
    except OSError as refusal:
        raise SealFailed(Layer.LANDLOCK, f"the kernel refused it: {refusal.strerror}") from refusal
    _see_that_it_holds()
    return granted


_VERSION = 1
_PATH_BENEATH = 1
_READ_FILE, _READ_DIR = 1 << 2, 1 << 3
_ATTRIBUTES = struct.Struct("=QQQ")  # handled_access_fs, handled_access_net, scoped
_BENEATH = struct.Struct("=Qi")  # allowed_access, parent_fd

# Version in which a right appeared: its bits, of file, network and scope.
_FILE_RIGHTS = {1: (1 << 13) - 1, 2: 1 << 13, 3: 1 << 14, 5: 1 << 15}
_CONNECT_TCP = 0b10
_NET_RIGHTS = {4: 0b01 | _CONNECT_TCP}
_SCOPES = {6: 0b11}


def _create(rights: tuple[int, int, int]) -> int:
    attributes = _ATTRIBUTES.pack(*rights)
    # An older kernel takes the longer structure as long as what it does not know is zero.
    return kernel.call("landlock_create_ruleset", _buffer(attributes), len(attributes), 0)


def _grant(ruleset: int, path: str) -> bool:
    try:
        opened = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except (FileNotFoundError, PermissionError, NotADirectoryError):
        return False  # What is not there, or not for this user, is not granted either.
    try:
        is_folder = stat.S_ISDIR(os.fstat(opened).st_mode)
        rights = _READ_FILE | _READ_DIR if is_folder else _READ_FILE
        kernel.call("landlock_add_rule", ruleset, _PATH_BENEATH, _buffer(_BENEATH.pack(rights, opened)), 0)
    finally:
        os.close(opened)
    return True


def _see_that_it_holds() -> None:
    try:
        os.close(os.open("/", os.O_RDONLY | os.O_DIRECTORY))
    except PermissionError:
        return
    raise SealFailed(Layer.LANDLOCK, "it was put up and the root folder can still be read")


def _buffer(content: bytes) -> "ctypes.Array[ctypes.c_char]":
    return ctypes.create_string_buffer(content, len(content))
