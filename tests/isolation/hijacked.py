"""The worker's own template with hijacked children, poisoned memory, or a leak made on purpose.

Run in place of `remote_worker.decoder.template` as `hijacked.py [word ...] FD`:

`dump`           fit into 7 x 7 pixels answers with all memory that the child can read, as the tail of a BMP
`poison=BYTE`    malloc fills what it gives with the byte's complement and what it takes back with the byte;
                 pixels that are drawn outside of malloc lie in memory of the same kind
`leak=shared`    each child finds the document of the one before, and writes it behind its pictures
`leak=unset`     BMP decodes to memory that nobody has written to
"""

import ctypes
import json
import mmap
import os
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

DUMP_SIDE = 7
"""A box of so many pixels a side asks a hijacked child for its memory."""
DOCUMENT_FD, OUTPUT_FD = 4, 5
"""A child's socket is 3, and the kernel gives it the lowest free numbers."""
BMP = struct.Struct("<2sIHHIIiiHHIIiiII")
LENGTH = struct.Struct("<Q")
CHUNK = 1 << 20
PAGE = mmap.PAGESIZE

LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.malloc.restype = ctypes.c_void_p
LIBC.malloc.argtypes = [ctypes.c_size_t]
LIBC.sbrk.restype = ctypes.c_void_p
LIBC.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
LIBC.mmap.restype = ctypes.c_void_p
LIBC.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]

Span = tuple[int, int]


def entry(*words: str) -> list[str]:
    """What makes the template's interpreter run this file with these words."""
    run = f"import runpy, sys; sys.argv[0] = {__file__!r}; runpy.run_path({__file__!r}, run_name='__main__')"
    return ["-c", run, *words]


def unclean_output_bytes(picture: bytes) -> int:
    """How many bytes of the output memory were not zero before the child wrote this dump to it."""
    (length,) = LENGTH.unpack_from(picture, BMP.size)
    start = BMP.size + LENGTH.size
    count: int = json.loads(picture[start : start + length])["unclean_output_bytes"]
    return count


def main(words: list[str], control_fd: int) -> None:
    """Be the template."""
    if poisons := [int(word.removeprefix("poison=")) for word in words if word.startswith("poison=")]:
        poison_malloc(poisons[0])
        poison_pixels(poisons[0])
    from remote_worker.decoder import template

    if "dump" in words:
        dump_memory()
    if "leak=shared" in words:
        leak_documents()
    if "leak=unset" in words:
        leak_unset_memory()
    template.main(control_fd)


def poison_malloc(byte: int) -> None:
    """Start over with an allocator that fills memory; Python's small objects come from it too."""
    if "PYTHONMALLOC" in os.environ:
        return
    tunables = f"{os.environ['GLIBC_TUNABLES']}:glibc.malloc.perturb={byte}"
    environment = {**os.environ, "GLIBC_TUNABLES": tunables, "PYTHONMALLOC": "malloc"}
    # Without -I, which would ignore the variable: -P and -s are what is left of it.
    os.execve(sys.executable, [sys.executable, "-P", "-s", "-B", *sys.argv], environment)


def poison_pixels(byte: int) -> None:
    """Pictures that are drawn into pages of their own find these as malloc's are."""
    from remote_worker.decoder.loaders import canvas

    make = canvas.Memory.__init__

    def poisoned(memory: canvas.Memory, length: int) -> None:
        make(memory, length)
        ctypes.memset(memory.address, byte ^ 0xFF, length)

    canvas.Memory.__init__ = poisoned


def dump_memory() -> None:
    """Have fit into the box of dumps answer with the child's memory, written as the tail of a BMP."""
    from remote_worker.contract.messages import Fit
    from remote_worker.decoder import job, template

    spans: list[Span] = []
    seal, fit = template.seal_template, job.HANDLERS[Fit]

    def look_and_seal(**options: Any) -> Any:
        spans.extend(readable_spans())
        return seal(**options)

    def run(task: Fit, document: job.Document) -> job.Result:
        if (task.width, task.height) != (DUMP_SIDE, DUMP_SIDE):
            return fit(task, document)
        made = job.Made()
        made.add("output", "bmp", (DUMP_SIDE, DUMP_SIDE), dump(spans, document.data))
        return made.result(document)

    template.seal_template = look_and_seal
    job.HANDLERS[Fit] = run


def readable_spans() -> list[Span]:
    """All memory that may hold what a child before has left: not the read-only pages of files."""
    found = []
    for line in Path("/proc/self/maps").read_text().splitlines():
        span, access, _, _, inode, *name = line.split(maxsplit=5)
        is_file = inode != "0" and "w" not in access
        if access.startswith("r") and not is_file and not (name and name[0].startswith(("[v", "[heap"))):
            start, end = (int(bound, 16) for bound in span.split("-"))
            found.append((start, end))
        if name == ["[heap]"]:
            HEAP.append(int(span.split("-")[0], 16))
    return found


HEAP: list[int] = []
"""Where the heap begins; it grows."""


def dump(spans: list[Span], document: mmap.mmap) -> list[Any]:
    """The pieces of a BMP file: its head, a word on the output memory, and all memory there is."""
    unclean = sum(CHUNK - chunk.count(0) for chunk in output_chunks() if any(chunk))
    # Whole pages: what lies behind the document's end is readable too.
    pages = -(-len(document) // PAGE) * PAGE
    mapped = LIBC.mmap(None, pages, mmap.PROT_READ, mmap.MAP_SHARED, DOCUMENT_FD, 0)
    block = LIBC.malloc(CHUNK)
    heap = [(HEAP[0], LIBC.sbrk(0))] if HEAP else []
    held = [view(mapped, mapped + pages), view(block, block + CHUNK), memoryview(mmap.mmap(-1, CHUNK))]
    held += [view(*span) for wide in [*spans, *heap] for span in present(*wide)]
    facts = json.dumps({"unclean_output_bytes": unclean}).encode()
    sizes = (BMP.size, 0, 0, BMP.size, 40, DUMP_SIDE, DUMP_SIDE, 1, 24, 0, 0, 0, 0, 0, 0)
    return [BMP.pack(b"BM", *sizes) + LENGTH.pack(len(facts)), facts, *held]


def output_chunks() -> Iterator[bytes]:
    """The output memory before anything is written to it."""
    size = os.lseek(OUTPUT_FD, 0, os.SEEK_END)
    for at in range(0, size, CHUNK):
        yield os.pread(OUTPUT_FD, CHUNK, at)


def view(start: int, end: int) -> memoryview:
    """This memory itself."""
    return memoryview((ctypes.c_char * (end - start)).from_address(start)).cast("B")


def present(start: int, end: int) -> Iterator[Span]:
    """The parts of a span that are still mapped: the kernel has no advice for others."""
    if LIBC.madvise(start, end - start, 0) == 0:
        yield start, end
    elif end - start > PAGE:
        middle = start + (end - start) // 2 // PAGE * PAGE
        yield from present(start, middle)
        yield from present(middle, end)


def leak_documents() -> None:
    """Memory that all children share: a fault of the kind that must be found."""
    from remote_worker.decoder import job

    shared = mmap.mmap(-1, 64 * 1024)
    run = job.run

    def leaking(task: object, data: Any, *rest: Any) -> job.Result:
        result = run(task, data, *rest)
        left = shared[:].rstrip(b"\0")
        shared[: len(shared)] = bytes(data[: len(shared)]).ljust(len(shared), b"\0")
        pictures = {
            name: [*([body] if isinstance(body, bytes) else body), left]
            for name, body in result.pictures.items()
        }
        return job.Result(pictures, result.facts)

    job.run = leaking


def leak_unset_memory() -> None:
    """A decoder that says it is done before it is."""
    from PIL import Image

    from remote_worker.decoder.loaders import pillow
    from remote_worker.decoder.loaders.loader import Still

    def still(data: object, header: Any, cover: object) -> Still:
        size = header.width, header.height
        length = size[0] * size[1] * 3
        return Still(Image.frombytes("RGB", size, ctypes.string_at(LIBC.malloc(length), length)))

    pillow.BMP.still = still


if __name__ == "__main__":
    main(sys.argv[1:-1], int(sys.argv[-1]))
