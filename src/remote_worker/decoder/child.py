"""The child: one job, one reply, and the end. Runs sealed, with a stranger's document in its memory."""

import errno
import json
import mmap
import os
import sys
from _socket import CMSG_SPACE, socket
from collections.abc import Iterable
from itertools import chain
from typing import NoReturn

from ..contract import wire
from ..contract.control import LIMITS_FOLLOW
from ..contract.failures import FailureCode, WorkFailed
from ..contract.limits import Limits
from ..contract.messages import Task, decode_task
from ..contract.signatures import Template
from . import job
from .made import Body

TASK_BYTES = 4096
_FDS = 2

_template = Template.RASTER
_limits = Limits()


def prepare(template: Template, limits: Limits, formats: Iterable[str]) -> None:
    """Called in the template before it seals itself: what every child of it will know."""
    global _template, _limits
    _template, _limits = template, limits
    job.allow(formats)


def serve(channel: socket) -> NoReturn:
    """Receive a task with its input and output memory, do it, reply, and leave."""
    message, ancillary, _, _ = channel.recvmsg(TASK_BYTES, CMSG_SPACE(4 * _FDS))
    if not message:
        os._exit(0)
    fds = ancillary[0][2]
    input_fd, output_fd = (int.from_bytes(fds[at : at + 4], sys.byteorder) for at in (0, 4))
    try:
        task, _, ceilings = message.partition(LIMITS_FOLLOW)
        limits = _limits.lowered(json.loads(ceilings)) if ceilings else _limits
        record = wire.write_record(None, work(decode_task(task), input_fd, output_fd, limits))
    except WorkFailed as failed:
        record = wire.write_record(failed.code, in_header=failed.in_header)
    except BaseException as surprise:  # noqa: BLE001  a decoder's surprise must still end in an answer
        is_memory = isinstance(surprise, MemoryError) or getattr(surprise, "errno", 0) == errno.ENOMEM
        record = wire.write_record(FailureCode.TOO_MUCH_MEMORY if is_memory else FailureCode.DECODER_CRASHED)
    channel.send(record)
    os._exit(0)


def work(task: Task, input_fd: int, output_fd: int, limits: Limits | None = None) -> int:
    """Do the task and write what came of it. Returns the length of the body in bytes. Raises WorkFailed.

    `limits` stand in for the template's.
    """
    limits = limits or _limits
    # The size is told by lseek, because fstat has become newfstatat in libc, which the filter refuses.
    data = mmap.mmap(input_fd, os.lseek(input_fd, 0, os.SEEK_END), prot=mmap.PROT_READ)
    result = job.run(task, data, limits, _template)
    return _write({wire.FACTS: json.dumps(result.facts).encode(), **result.pictures}, output_fd, limits)


def _write(parts: dict[str, Body], output_fd: int, limits: Limits) -> int:
    pieces = {name: [part] if isinstance(part, bytes) else part for name, part in parts.items()}
    table, _, body_bytes = wire.layout({name: sum(map(len, part)) for name, part in pieces.items()})
    if body_bytes > limits.output_bytes:
        raise WorkFailed(FailureCode.OUTPUT_TOO_LARGE)
    offset = 0
    for piece in chain([table], *pieces.values()):  # Parts lie one behind the other with no gap.
        view = memoryview(piece)
        while len(view):
            written = os.pwrite(output_fd, view, offset)
            offset += written
            view = view[written:]
    return body_bytes
