"""The template: warms every decoder with our own samples, seals itself, then forks one child for each job.

Started by the host as `python -I -m remote_worker.decoder.template FD`, with nothing of its environment. It
never reads a stranger's byte. Messages on its control socket (one SEQPACKET each):

host to template: the configuration as JSON, once; then `FORK` with one end of a child's socket attached.
template to host: what holds, or what failed, as JSON, once; then `EVENT` records.
"""

import ctypes
import gc
import json
import mmap
import os
import select
import signal
import sys
from _socket import AF_UNIX, CMSG_LEN, SCM_RIGHTS, SOCK_SEQPACKET, SOCK_STREAM, SOL_SOCKET, socket
from typing import Any, NoReturn

from ..contract.control import EVENT, FORK, FORK_FAILED, FORKED, REAPED, Hello
from ..contract.formats import OK
from ..contract.limits import Limits
from ..contract.signatures import Template
from ..jail import kernel
from ..jail.failure import Layer, SealFailed
from ..jail.seal import CHILD_SOCKET, Budget, ChildSeal, Landlock, seal_template
from . import child, switches, warm
from .loaders import fonts

M_ARENA_MAX = -8
"""mallopt(3): address space, which RLIMIT_AS counts, grows by 64 MiB with each arena."""

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
INT_MAX = 0x7FFFFFFF

NICENESS = 5
"""Of templates and children: on busy cores the host goes first, which owes others an answer or a refusal."""

_HUGE = 2 * 1024 * 1024
_ROOM_BYTES = 32 * 1024 * 1024
"""What a picture of some megapixels takes. Behind it the heap goes on in small pages."""
_LARGE_BYTES = 64 * 1024
_MOST_HOLES = 4096

_libc = ctypes.CDLL(None)
_libc.malloc.restype = ctypes.c_void_p
_libc.free.argtypes = [ctypes.c_void_p]
_libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]


def main(control_fd: int) -> NoReturn:
    """Run the template on this control socket until the host closes it."""
    control = socket(AF_UNIX, SOCK_SEQPACKET, 0, control_fd)
    hello = Hello(**json.loads(control.recv(64 * 1024)))
    try:
        seal, report = _make_ready(hello, control_fd)
    except SealFailed as failure:
        control.send(json.dumps({"failed": str(failure), "layer": failure.layer}).encode())
        sys.exit(1)
    os.dup2(0, 2)  # Until here an error is told on the host's standard error; a child must not write there.
    control.send(json.dumps(report).encode())
    _serve(control, seal, hello.limits["cpu_seconds"])


def _make_ready(hello: Hello, control_fd: int) -> tuple[ChildSeal | None, dict[str, Any]]:
    _libc.mallopt(M_ARENA_MAX, 1)
    template, limits = Template(hello.template), Limits(**hello.limits)
    readable = [*hello.readable, *fonts.enter_fonts()] if template is Template.SVG else []
    switches.leave_on(hello.formats)
    formats = warm.up(template, limits)
    child.prepare(template, limits, [name for name, word in formats.items() if word == OK])
    _settle(template)
    report = {"formats": formats, "table": warm.table(), "layers": {}}
    if not hello.jail:
        return None, report
    os.nice(NICENESS)
    budget = Budget(memory_bytes=limits.memory_bytes, cpu_seconds=limits.cpu_seconds)
    seal = ChildSeal(budget)
    layers = seal_template(
        budget=budget, keep={control_fd}, readable=readable, landlock=Landlock(hello.landlock)
    )
    if template is Template.SVG:
        _see_font()
    return seal, report | {"layers": layers.as_json()}


def _settle(template: Template) -> None:
    """Leave memory so that a child writes to few pages of it: the kernel copies each one for it.

    The commonest work comes last, so that the interpreter's caches hold what it needs and stay as they are.
    Free memory goes back to the kernel, because a fresh page costs a child less than a copy of a used one.
    """
    gc.collect()
    gc.disable()
    warm.rehearse(template)
    _libc.malloc_trim(0)
    _grow_heap()
    gc.freeze()


def _grow_heap() -> None:
    """Have malloc take large blocks out of huge pages that nobody has touched: one page fault, not 512."""
    _libc.mallopt(M_MMAP_MAX, 0)
    _libc.mallopt(M_TRIM_THRESHOLD, INT_MAX)
    room = _libc.malloc(_ROOM_BYTES)
    if not room:
        return
    first = -(-room // _HUGE) * _HUGE
    _libc.madvise(first, (room + _ROOM_BYTES - first) // _HUGE * _HUGE, mmap.MADV_HUGEPAGE)
    _libc.free(room)
    # Malloc would take first the holes that warming up has left: they are filled for good.
    for _ in range(_MOST_HOLES):
        block = _libc.malloc(_LARGE_BYTES)
        if not block or block >= room:
            _libc.free(block)
            break
    # So is what lies before the huge pages. One touched here would be copied by children bit by bit.
    if first - room > _LARGE_BYTES:
        _libc.malloc(first - room - ctypes.sizeof(ctypes.c_size_t))


def _see_font() -> None:
    try:
        fonts.see_font()
    except OSError as refusal:
        reason = f"user {os.geteuid()} cannot read the packaged font ({refusal.strerror}): chmod -R a+rX it"
        raise SealFailed(Layer.PRIVILEGES, reason) from refusal


def _serve(control: socket, seal: ChildSeal | None, cpu_seconds: float) -> NoReturn:
    poll = select.poll()
    poll.register(control.fileno(), select.POLLIN)
    children: dict[int, int] = {}
    while True:
        for fd, _ in poll.poll():
            if fd == control.fileno():
                _fork(control, seal, poll, children)
            else:
                poll.unregister(fd)
                os.close(fd)
                pid = children.pop(fd)
                _, status, usage = os.wait4(pid, 0)
                if status == signal.SIGKILL and usage.ru_utime + usage.ru_stime >= cpu_seconds:
                    status = signal.SIGXCPU  # The hard limit ended it: it had blocked the soft one's signal.
                control.send(EVENT.pack(REAPED, pid, status))


def _fork(control: socket, seal: ChildSeal | None, poll: select.poll, children: dict[int, int]) -> None:
    message, ancillary, _, _ = control.recvmsg(len(FORK), CMSG_LEN(4))
    if message != FORK:
        os._exit(0)  # The host closed the control socket; its kernel also kills by PDEATHSIG.
    child_fd = int.from_bytes(ancillary[0][2], sys.byteorder)
    try:
        pid = kernel.fork()
    except OSError as error:
        os.close(child_fd)
        control.send(EVENT.pack(FORK_FAILED, 0, error.errno or 0))
        return
    if pid == 0:
        _become_child(child_fd, seal)
    os.close(child_fd)
    pidfd = os.pidfd_open(pid)
    children[pidfd] = pid
    poll.register(pidfd, select.POLLIN)
    control.sendmsg(
        [EVENT.pack(FORKED, pid, 0)], [(SOL_SOCKET, SCM_RIGHTS, pidfd.to_bytes(4, sys.byteorder))]
    )


def _become_child(child_fd: int, seal: ChildSeal | None) -> NoReturn:
    """Seal once more and do one job. Whatever goes wrong, this process ends here."""
    try:
        if seal is not None:
            seal.put_up(child_fd)
            child_fd = CHILD_SOCKET
        child.serve(socket(AF_UNIX, SOCK_STREAM, 0, child_fd))
    finally:
        os._exit(1)


if __name__ == "__main__":
    main(int(sys.argv[1]))
