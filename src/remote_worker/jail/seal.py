"""The order in which the layers go up: once around the template, then some more around each child."""

import os
import resource
import signal
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum

from . import bpf, kernel, privileges, rules
from .failure import Layer, SealFailed
from .landlock import abi, restrict

CHILD_SOCKET = 3
"""The one descriptor that a sealed child has beyond the standard three."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What one child may use."""

    memory_bytes: int = 1 << 30
    """Over the size of the warm template."""
    cpu_seconds: int = 8
    descriptors: int = 64
    may_start_threads: bool = True
    threads_of_user: int = 8192
    """While all processes of the user have this many, no child starts another one (libde265 needs one)."""


class Landlock(StrEnum):
    """What is done about Landlock."""

    REQUIRED = "required"
    IF_AVAILABLE = "if_available"
    ABSENT = "absent"
    """As on a kernel without it: how the seccomp layer is tried alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layers:
    """Which layers hold around a template and its children."""

    seccomp: bool
    landlock_abi: int
    """0 where Landlock does not hold."""
    user_changed: bool
    """It was started as root and is no longer."""
    readable: tuple[str, ...]
    """The folders and files that can still be read: those asked for that are there."""

    def as_json(self) -> dict[str, object]:
        """The same as plain values."""
        return {**asdict(self), "readable": list(self.readable)}


def seal_template(
    *,
    budget: Budget,
    keep: Collection[int],
    readable: Sequence[str] = (),
    landlock: Landlock = Landlock.IF_AVAILABLE,
) -> Layers:
    """Seal this process, which must be warm and have one thread, for good. Raises SealFailed.

    Only the standard descriptors and those in `keep` stay open. With `readable`, these folders and files can
    still be opened for reading, and Landlock is required whatever is said: it alone limits which.
    """
    if (count := privileges.threads()) != 1:
        raise SealFailed(Layer.THREADS, f"there are {count}, and a fork would leave the others' locks held")
    _see_that_data_is_not_code()
    _see_that_children_can_be_killed()
    everything = bpf.prepare(rules.template_rules(may_read_files=bool(readable)))
    version = _landlock_version(landlock, needed=bool(readable))
    privileges.close_all_but({0, 1, 2, *keep})
    privileges.volunteer_for_oom()
    privileges.limit_memory(budget.memory_bytes)
    privileges.limit_rest(_TEMPLATE_DESCRIPTORS)
    privileges.forbid_new()
    user_changed = privileges.become_nobody()
    privileges.die_with_parent()
    privileges.hide_memory()
    granted = restrict(version, readable) if version else ()
    everything.install()
    _see_that_the_filter_holds()
    return Layers(seccomp=True, landlock_abi=version, user_changed=user_changed, readable=granted)


def seal_fetcher(
    *,
    memory_bytes: int,
    file_bytes: int,
    descriptors: int,
    landlock: Landlock = Landlock.IF_AVAILABLE,
) -> Layers:
    """Seal this process, which fetches from strangers and has all loaded, for good. Raises SealFailed.

    It opens no file, starts nothing and takes no connection. A `file` is the memory of one body.
    """
    if (count := privileges.threads()) != 1:
        raise SealFailed(Layer.THREADS, f"there are {count}, and those that run keep their rights")
    _see_that_data_is_not_code()
    everything = bpf.prepare(rules.fetch_rules())
    version = _landlock_version(landlock, needed=False)
    privileges.volunteer_for_oom()
    privileges.limit_memory(memory_bytes)
    privileges.limit_rest(descriptors)
    privileges.limit(resource.RLIMIT_FSIZE, file_bytes)
    privileges.limit(resource.RLIMIT_NPROC, 0)
    privileges.forbid_new()
    user_changed = privileges.become_nobody(privileges.FETCHER)
    privileges.die_with_parent()
    privileges.hide_memory()
    if version:
        restrict(version, may_connect=True)
    everything.install()
    _see_that_the_filter_holds()
    return Layers(seccomp=True, landlock_abi=version, user_changed=user_changed, readable=())


class ChildSeal:
    """What a template lays ready so that sealing a child takes microseconds."""

    def __init__(self, budget: Budget) -> None:
        self._template = os.getpid()
        self._filter = bpf.prepare(rules.child_rules(may_start_threads=budget.may_start_threads))
        files = privileges.permitted(resource.RLIMIT_NOFILE, budget.descriptors)
        seconds = privileges.permitted(resource.RLIMIT_CPU, budget.cpu_seconds)
        # SIGXCPU at the soft limit tells the host why it ended; who blocks it is killed a second later.
        last = privileges.permitted(resource.RLIMIT_CPU, budget.cpu_seconds + 1)
        # RLIMIT_NPROC counts the threads of all processes that the user has on the machine, in any container.
        # Without it one child could start 50,000 with small stacks, and nothing else on the machine any more.
        threads = privileges.permitted(resource.RLIMIT_NPROC, budget.threads_of_user)
        self._limits = [
            (resource.RLIMIT_CPU, (seconds, last)),
            (resource.RLIMIT_NOFILE, (files, files)),
            (resource.RLIMIT_NPROC, (threads, threads)),
        ]
        self._die_with_parent = kernel.Call("prctl", kernel.PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        self._close_all = kernel.Call("close_range", CHILD_SOCKET + 1, 0xFFFFFFFF, 0)

    def put_up(self, socket_descriptor: int) -> None:
        """Seal this process, just forked by the template. Raises SealFailed.

        The socket becomes CHILD_SOCKET and everything above is closed.
        """
        try:
            self._die_with_parent()
            if os.getppid() != self._template:
                raise SealFailed(Layer.PRIVILEGES, "the template is gone")
            if socket_descriptor != CHILD_SOCKET:
                os.dup2(socket_descriptor, CHILD_SOCKET, inheritable=False)
            self._close_the_rest()
            for what, both in self._limits:
                resource.setrlimit(what, both)
        except (OSError, ValueError) as refusal:
            raise SealFailed(Layer.LIMITS, f"around a child: {refusal}") from refusal
        self._filter.install()

    def _close_the_rest(self) -> None:
        try:
            self._close_all()
        except OSError:
            os.closerange(CHILD_SOCKET + 1, _TEMPLATE_DESCRIPTORS)  # Before Linux 5.9; no number is higher.


_TEMPLATE_DESCRIPTORS = 1024
"""A template holds one for each child that lives."""
_READ_IMPLIES_EXEC = 0x0400000
_ASK = 0xFFFFFFFF
_GET_DUMPABLE = 3


def _landlock_version(landlock: Landlock, *, needed: bool) -> int:
    version = 0 if landlock is Landlock.ABSENT else abi()
    if version == 0 and (needed or landlock is Landlock.REQUIRED):
        raise SealFailed(Layer.LANDLOCK, "this kernel does not offer it")
    return version


def _see_that_data_is_not_code() -> None:
    """Under this personality every readable page is executable, and no rule about mmap would show it."""
    try:
        personality = kernel.call("personality", _ASK)
    except OSError as refusal:
        raise SealFailed(Layer.SECCOMP, f"the personality is unknown: {refusal.strerror}") from refusal
    if personality & _READ_IMPLIES_EXEC:
        raise SealFailed(Layer.SECCOMP, "the personality makes all memory executable")


def _see_that_children_can_be_killed() -> None:
    """The host ends a child by its pidfd, however the template fares."""
    try:
        os.close(os.pidfd_open(os.getpid()))
    except OSError as refusal:
        reason = f"a deadline takes the call pidfd_open (Linux 5.3, Docker 20.10): {refusal.strerror}"
        raise SealFailed(Layer.LIMITS, reason) from refusal


def _see_that_the_filter_holds() -> None:
    """This question has an answer on every kernel, unless the filter refuses it."""
    try:
        kernel.call("prctl", _GET_DUMPABLE, 0, 0, 0, 0)
    except PermissionError:
        return
    raise SealFailed(Layer.SECCOMP, "the filter was taken and does not hold")
