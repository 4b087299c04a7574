"""What a template for pictures does: warms every decoder with our own samples, and has children decode."""

import ctypes
import gc
import mmap
import os
from _socket import socket
from collections.abc import Sequence
from typing import Any, NoReturn

from ..contract.control import Hello
from ..contract.formats import OK
from ..contract.limits import Limits
from ..contract.signatures import Template
from ..jail.failure import Layer, SealFailed
from . import child, switches, warm
from .loaders import fonts

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
INT_MAX = 0x7FFFFFFF

_HUGE = 2 * 1024 * 1024
_ROOM_BYTES = 32 * 1024 * 1024
"""What a picture of some megapixels takes. Behind it the heap goes on in small pages."""
_LARGE_BYTES = 64 * 1024
_MOST_HOLES = 4096

_libc = ctypes.CDLL(None)
_libc.malloc.restype = ctypes.c_void_p
_libc.free.argtypes = [ctypes.c_void_p]
_libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]

may_start_threads = True
"""libde265 needs one."""


def get_ready(hello: Hello) -> tuple[dict[str, Any], Sequence[str]]:
    """Do every task on every sample, then lay memory out for children."""
    template, limits = Template(hello.template), Limits(**hello.limits)
    readable = [*hello.readable, *fonts.enter_fonts()] if template is Template.SVG else []
    switches.leave_on(hello.formats)
    formats = warm.up(template, limits)
    child.prepare(template, limits, [name for name, word in formats.items() if word == OK])
    _settle(template)
    return {"formats": formats, "table": warm.table()}, readable


def see_seal(template: Template) -> None:
    """Raises SealFailed when text in SVG would be left out."""
    if template is Template.SVG:
        _see_font()


def serve(channel: socket) -> NoReturn:
    """One picture, and the end."""
    child.serve(channel)


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
