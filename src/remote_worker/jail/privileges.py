"""Privileges, descriptors and resources that a process gives up for good."""

import ctypes
import errno
import os
import resource
import signal
import struct
from collections.abc import Iterable
from pathlib import Path

from . import kernel
from .failure import Layer, SealFailed

NOBODY = 65534
FETCHER = 65533
"""The process that fetches; another one than the decoders, so that neither may signal the other."""


def threads() -> int:
    """How many threads this process has."""
    return sum(1 for _ in Path("/proc/self/task").iterdir())


def forbid_new() -> None:
    """No exec gives rights from here on; the kernel asks for it before Landlock and seccomp."""
    kernel.prctl(Layer.PRIVILEGES, "no_new_privs", kernel.NO_NEW_PRIVS, 1)


def hide_memory() -> None:
    """No core dump, and no other process of the same user may look in."""
    kernel.prctl(Layer.PRIVILEGES, "dumpable", kernel.DUMPABLE, 0)


def die_with_parent() -> None:
    """Killed when the thread that started this process ends; a change of uid takes it back."""
    kernel.prctl(Layer.PRIVILEGES, "parent death signal", kernel.PDEATHSIG, signal.SIGKILL)


def become_nobody(user: int = NOBODY) -> bool:
    """Root becomes an ordinary user; capabilities are dropped whoever it is. True if the user changed."""
    is_root = 0 in os.getresuid()
    try:
        if is_root:
            _ask_to_be_ended()
            os.setgroups([])
            os.setresgid(user, user, user)
            os.setresuid(user, user, user)
        _drop_capabilities()
    except OSError as refusal:
        raise SealFailed(
            Layer.PRIVILEGES,
            f"root could not become user {user}: {refusal.strerror}; start as an ordinary user, or with "
            "CAP_SETUID, CAP_SETGID and CAP_KILL",
        ) from refusal
    if is_root and (set(os.getresuid() + os.getresgid()) != {user} or os.getgroups()):
        raise SealFailed(Layer.PRIVILEGES, "some id of root remained")
    return is_root


def volunteer_for_oom() -> None:
    """When memory runs out the kernel takes the decoders first."""
    try:
        Path("/proc/self/oom_score_adj").write_text("1000")
    except OSError as refusal:
        raise SealFailed(Layer.PRIVILEGES, f"oom_score_adj: {refusal.strerror}") from refusal


def close_all_but(keep: Iterable[int]) -> None:
    """Every descriptor except these is closed."""
    kept = set(keep)
    try:
        for descriptor in _descriptors() - kept:
            _close(descriptor)
        # The listing itself had one descriptor, which is closed by now.
        still_open = [descriptor for descriptor in _descriptors() - kept if _is_open(descriptor)]
    except OSError as refusal:
        raise SealFailed(Layer.DESCRIPTORS, f"they cannot be listed: {refusal.strerror}") from refusal
    if still_open:
        raise SealFailed(Layer.DESCRIPTORS, f"{len(still_open)} could not be closed")


def limit_memory(extra_bytes: int) -> None:
    """Address space and data may grow by this much over what this process has now."""
    try:
        sizes = [
            int(pages) * resource.getpagesize() for pages in Path("/proc/self/statm").read_text().split()
        ]
    except OSError as refusal:
        raise SealFailed(Layer.LIMITS, f"its own size is unknown: {refusal.strerror}") from refusal
    address_space, data = sizes[0], sizes[5]
    limit(resource.RLIMIT_AS, address_space + extra_bytes)
    limit(resource.RLIMIT_DATA, data + extra_bytes)


def limit_rest(descriptors: int) -> None:
    """No more descriptors at a time than this; no core file, locked memory or message queues."""
    # Not NPROC, which would keep a template from forking (ChildSeal has it), nor FSIZE, which counts memfds.
    limit(resource.RLIMIT_NOFILE, descriptors)
    for what in (resource.RLIMIT_CORE, resource.RLIMIT_MEMLOCK, resource.RLIMIT_MSGQUEUE):
        limit(what, 0)


def limit(what: int, value: int) -> None:
    """Lower a soft and hard limit; a hard limit that is already lower stays."""
    try:
        value = permitted(what, value)
        resource.setrlimit(what, (value, value))
    except (OSError, ValueError) as refusal:
        raise SealFailed(Layer.LIMITS, f"limit {what}: {refusal}") from refusal


def permitted(what: int, value: int) -> int:
    """This limit, or the hard one that is already lower."""
    _, hard = resource.getrlimit(what)
    return value if hard == resource.RLIM_INFINITY else min(value, hard)


def _ask_to_be_ended() -> None:
    """Whoever started this process has its capabilities, and needs one to kill what is another user."""
    status = Path("/proc/self/status").read_text()
    effective = next(int(line.split()[1], 16) for line in status.splitlines() if line.startswith("CapEff:"))
    if not effective >> _CAP_KILL & 1:
        raise PermissionError(errno.EPERM, "without CAP_KILL nobody could end it")


_CAP_KILL = 5
_CAPABILITY_VERSION_3 = 0x20080522


def _drop_capabilities() -> None:
    header = ctypes.create_string_buffer(struct.pack("=Ii", _CAPABILITY_VERSION_3, 0), 8)
    nothing = ctypes.create_string_buffer(24)
    kernel.call("capset", header, nothing)


def _descriptors() -> set[int]:
    return {int(entry.name) for entry in Path("/proc/self/fd").iterdir()}


def _close(descriptor: int) -> None:
    try:
        os.close(descriptor)
    except OSError:
        return  # It was the listing's own; what remains open is looked for afterwards.


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True
