"""What a text template does: loads the parsers, and has each child read one text after another.

The host sends `ASK`, the task and the text, all on the child's socket; the child answers with the record of
`contract.wire` and the body. It goes on until the host hangs up.
"""

import contextlib
import ctypes
import errno
import gc
import os
from _socket import socket
from collections.abc import Sequence
from typing import Any, NoReturn

from ..contract import wire
from ..contract.control import ASK, Hello
from ..contract.failures import FailureCode, WorkFailed
from ..contract.messages import decode_one_of, encode_task
from ..contract.signatures import Template
from ..contract.texts import MOST_READ_BYTES, TEXT_TASKS, RenderMarkdown, TextTask
from . import reading

_CHUNK_BYTES = 64 * 1024
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3

may_start_threads = False
"""So a child uses one second of processor time in a second, and the host knows when to look."""

_PLAIN_TASKS: dict[bytes, TextTask] = {encode_task(task): task for task in (RenderMarkdown(),)}
"""Tasks that say no more than their kind."""
_handlers: dict[str, reading.Handler] = {}
_libc = ctypes.CDLL(None)


def get_ready(_: Hello) -> tuple[dict[str, Any], Sequence[str]]:
    """Load every handler and what it loads late."""
    # A child that is given a text does not take the core from the host, which may have others to give.
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    # A child keeps the memory of one text for the next: pages given back have to be cleared again.
    for option in (M_MMAP_THRESHOLD, M_TRIM_THRESHOLD):
        _libc.mallopt(option, 2 * MOST_READ_BYTES)
    _handlers.update(reading.handlers())
    for handler in _handlers.values():
        handler.warm()
    gc.collect()
    gc.freeze()
    return {"kinds": sorted(_handlers)}, ()


def see_seal(_: Template) -> None:
    """Nothing has to be read behind the seal."""


def serve(channel: socket) -> NoReturn:
    """Read one text after another until the host hangs up."""
    while True:
        task, text = _hear(channel)
        try:
            record, body = _work(task, text)
        except WorkFailed as failed:
            record, body = wire.write_record(failed.code, in_header=failed.in_header), b""
        except BaseException as surprise:  # noqa: BLE001  a handler's surprise must still end in an answer
            is_memory = isinstance(surprise, MemoryError) or getattr(surprise, "errno", 0) == errno.ENOMEM
            code = FailureCode.TOO_MUCH_MEMORY if is_memory else FailureCode.DECODER_CRASHED
            record, body = wire.write_record(code), b""
        del task, text
        channel.sendall(record + body)


def _hear(channel: socket) -> tuple[bytes, bytes]:
    """The next task and its text."""
    message = channel.recv(_CHUNK_BYTES)
    while len(message) < ASK.size:
        message += _more(channel, ASK.size)
    task_bytes, text_bytes = ASK.unpack_from(message)
    missing = ASK.size + task_bytes + text_bytes - len(message)
    if missing:
        chunks = [message]
        while missing:
            chunks.append(_more(channel, missing))
            missing -= len(chunks[-1])
        message = b"".join(chunks)
    start = ASK.size + task_bytes
    return message[ASK.size : start], message[start:]


def _more(channel: socket, length: int) -> bytes:
    return channel.recv(length) or os._exit(0)


def _work(message: bytes, text: bytes) -> tuple[bytes, bytes]:
    """Do the task. Gives the record and the body. Raises WorkFailed."""
    task = _PLAIN_TASKS.get(message) or decode_one_of(TEXT_TASKS, message)
    read = _handlers[task.kind].read(task, text)
    facts = read.encoded or reading.encode(read.facts)
    parts = {wire.FACTS: facts, **read.parts}
    table, _, body_bytes = wire.layout({name: len(part) for name, part in parts.items()})
    if body_bytes > MOST_READ_BYTES or len(facts) > wire.JSON_BYTES:
        raise WorkFailed(FailureCode.OUTPUT_TOO_LARGE)
    return wire.write_record(None, body_bytes), b"".join((table, *parts.values()))
