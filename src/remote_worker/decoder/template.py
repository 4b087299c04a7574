"""The template: warms all that its children need, seals itself, then forks a child whenever it is told to.

Started by the host as `python -I -m remote_worker.decoder.template FD`, with nothing of its environment. It
never reads a stranger's byte. Messages on its control socket (one SEQPACKET each):

host to template: the configuration as JSON, once; then `FORK` with one end of a child's socket attached.
template to host: what holds, or what failed, as JSON, once; then `EVENT` records.
"""

import ctypes
import json
import os
import select
import signal
import sys
from _socket import AF_UNIX, CMSG_LEN, SCM_RIGHTS, SOCK_SEQPACKET, SOCK_STREAM, SOL_SOCKET, socket
from collections.abc import Callable, Sequence
from typing import Any, NoReturn, Protocol

from ..contract.control import EVENT, FORK, FORK_FAILED, FORKED, REAPED, Hello
from ..contract.limits import Limits
from ..contract.signatures import Template
from ..jail import kernel
from ..jail.failure import SealFailed
from ..jail.seal import CHILD_SOCKET, Budget, ChildSeal, Landlock, seal_template

M_ARENA_MAX = -8
"""mallopt(3): address space, which RLIMIT_AS counts, grows by 64 MiB with each arena."""

NICENESS = 5
"""Of templates and children: on busy cores the host goes first, which owes others an answer or a refusal."""


_MOST = 2**32 - 1
"""The largest number that an event can say."""


class Trade(Protocol):
    """What templates of one kind and their children do: a module each, so that none loads another's."""

    @property
    def may_start_threads(self) -> bool:
        """A library in the children needs one."""

    def get_ready(self, hello: Hello) -> tuple[dict[str, Any], Sequence[str]]:
        """Load, warm and settle; gives the report, and what must stay readable behind the seal."""

    def see_seal(self, template: Template) -> None:
        """Raises SealFailed when the work cannot be done behind the seal."""

    def serve(self, channel: socket) -> NoReturn:
        """The life of a child."""


def main(control_fd: int) -> NoReturn:
    """Run the template on this control socket until the host closes it."""
    control = socket(AF_UNIX, SOCK_SEQPACKET, 0, control_fd)
    hello = Hello(**json.loads(control.recv(64 * 1024)))
    ctypes.CDLL(None).mallopt(M_ARENA_MAX, 1)
    trade = _trade(Template(hello.template))
    try:
        seal, report = _make_ready(trade, hello, control_fd)
    except SealFailed as failure:
        control.send(json.dumps({"failed": str(failure), "layer": failure.layer}).encode())
        sys.exit(1)
    os.dup2(0, 2)  # Until here an error is told on the host's standard error; a child must not write there.
    control.send(json.dumps(report).encode())
    _serve(control, seal, trade.serve, Limits(**hello.limits).cpu_seconds)


def _trade(template: Template) -> Trade:
    if template is Template.TEXT:
        from . import reader  # noqa: PLC0415  it needs no image library

        return reader
    from . import pictures  # noqa: PLC0415  they need no parser of pages or Markdown

    return pictures


def _make_ready(trade: Trade, hello: Hello, control_fd: int) -> tuple[ChildSeal | None, dict[str, Any]]:
    report, readable = trade.get_ready(hello)
    report["layers"] = {}
    if not hello.jail:
        return None, report
    os.nice(NICENESS)
    limits = Limits(**hello.limits)
    budget = Budget(
        memory_bytes=limits.memory_bytes,
        cpu_seconds=limits.cpu_seconds,
        may_start_threads=trade.may_start_threads,
    )
    seal = ChildSeal(budget)
    layers = seal_template(
        budget=budget, keep={control_fd}, readable=readable, landlock=Landlock(hello.landlock)
    )
    trade.see_seal(Template(hello.template))
    return seal, report | {"layers": layers.as_json()}


def _serve(
    control: socket, seal: ChildSeal | None, life: Callable[[socket], NoReturn], cpu_seconds: float
) -> NoReturn:
    poll = select.poll()
    poll.register(control.fileno(), select.POLLIN)
    children: dict[int, int] = {}
    while True:
        for fd, _ in poll.poll():
            if fd == control.fileno():
                _fork(control, seal, life, poll, children)
            else:
                poll.unregister(fd)
                os.close(fd)
                pid = children.pop(fd)
                _, status, usage = os.wait4(pid, 0)
                if status == signal.SIGKILL and usage.ru_utime + usage.ru_stime >= cpu_seconds:
                    status = signal.SIGXCPU  # The hard limit ended it: it had blocked the soft one's signal.
                took_ms = min(int((usage.ru_utime + usage.ru_stime) * 1000), _MOST)
                control.send(EVENT.pack(REAPED, pid, status, min(usage.ru_maxrss, _MOST), took_ms))


def _fork(
    control: socket,
    seal: ChildSeal | None,
    life: Callable[[socket], NoReturn],
    poll: select.poll,
    children: dict[int, int],
) -> None:
    message, ancillary, _, _ = control.recvmsg(len(FORK), CMSG_LEN(4))
    if message != FORK:
        os._exit(0)  # The host closed the control socket; its kernel also kills by PDEATHSIG.
    child_fd = int.from_bytes(ancillary[0][2], sys.byteorder)
    try:
        pid = kernel.fork()
    except OSError as error:
        os.close(child_fd)
        control.send(EVENT.pack(FORK_FAILED, 0, error.errno or 0, 0, 0))
        return
    if pid == 0:
        _become_child(child_fd, seal, life)
    os.close(child_fd)
    pidfd = os.pidfd_open(pid)
    children[pidfd] = pid
    poll.register(pidfd, select.POLLIN)
    control.sendmsg(
        [EVENT.pack(FORKED, pid, 0, 0, 0)], [(SOL_SOCKET, SCM_RIGHTS, pidfd.to_bytes(4, sys.byteorder))]
    )


def _become_child(child_fd: int, seal: ChildSeal | None, life: Callable[[socket], NoReturn]) -> NoReturn:
    """Seal once more and live on what the host sends. Whatever goes wrong, this process ends here."""
    try:
        if seal is not None:
            seal.put_up(child_fd)
            child_fd = CHILD_SOCKET
        life(socket(AF_UNIX, SOCK_STREAM, 0, child_fd))
    finally:
        os._exit(1)


if __name__ == "__main__":
    main(int(sys.argv[1]))
