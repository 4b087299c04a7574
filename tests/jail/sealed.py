"""A program of its own: seals itself as a plan (JSON) says, tries one thing, and tells what came of it.

Prints one JSON object: `layers` or `failed`, and what each try answered or which signal ended it.
"""

import ctypes
import errno
import io
import json
import mmap
import os
import resource
import signal
import socket
import sys
import threading
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "src"))

from PIL import Image

from remote_worker import jail
from remote_worker.jail import bpf, landlock, privileges, rules
from remote_worker.jail.syscalls import X86_64, present

LIBC = ctypes.CDLL(None, use_errno=True)
PICTURES: list[bytes] = []
PLAN: dict[str, Any] = {}


def main() -> None:
    PLAN.update(json.loads(sys.argv[1]))
    draw_samples()
    become(PLAN.get("uid"))
    withhold(PLAN.get("without", {}))
    told: dict[str, Any] = {}
    try:
        if PLAN.get("threads"):
            threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
        if PLAN.get("personality"):
            LIBC.personality(PLAN["personality"])
        prepare_and_try(told)
    except jail.SealFailed as failure:
        told["failed"] = failure.layer.value
    os.write(1, json.dumps(told).encode())
    os._exit(0)


def prepare_and_try(told: dict[str, Any]) -> None:
    where = PLAN.get("where", "child")
    if where == "landlock":
        privileges.forbid_new()
        told["granted"] = landlock.restrict(PLAN["version"], PLAN.get("readable", ()))
        told["outcome"] = outcome_of(PLAN["probe"])
        return
    budget = jail.Budget(**PLAN.get("budget", {}))
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    layers = jail.seal_template(
        budget=budget,
        keep=[ours.fileno(), theirs.fileno()],
        readable=PLAN.get("readable", ()),
        landlock=jail.Landlock(PLAN.get("landlock", "if_available")),
    )
    told["layers"] = layers.as_json()
    prepared = jail.ChildSeal(budget)
    if where == "template":
        told["outcome"] = outcome_of(PLAN["probe"])
        return
    told["outcomes"] = {}
    for probe in PLAN.get("probes", [PLAN.get("probe")]):
        told["outcome"] = told["outcomes"][probe] = try_in_child(probe, prepared, ours, theirs)


def try_in_child(probe: str, prepared: jail.ChildSeal, ours: socket.socket, theirs: socket.socket) -> str:
    child = os.fork()
    if child == 0:
        answer = "not sealed"
        try:
            prepared.put_up(theirs.fileno())
            answer = outcome_of(probe)
        finally:
            os.write(theirs.fileno() if answer == "not sealed" else jail.CHILD_SOCKET, answer.encode())
            os._exit(0)
    if PLAN.get("orphan"):
        ours.recv(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    return signal.Signals(os.WTERMSIG(status)).name if os.WIFSIGNALED(status) else ours.recv(65536).decode()


def outcome_of(probe: str) -> str:
    """`ok`, what the probe returned, or the name of the errno or error that stopped it."""
    try:
        answer = PROBES[probe]()
    except OSError as refusal:
        return errno.errorcode.get(refusal.errno or 0, repr(refusal))
    except (MemoryError, RuntimeError) as refusal:
        return type(refusal).__name__
    return "ok" if answer is None else str(answer)


def draw_samples() -> None:
    for kind in ("JPEG", "PNG", "WEBP", "GIF"):
        drawn = io.BytesIO()
        Image.radial_gradient("L").convert("RGB").save(drawn, kind)
        PICTURES.append(drawn.getvalue())
    decode_pictures()


def decode_pictures() -> str:
    sizes = set()
    for content in PICTURES:
        with Image.open(io.BytesIO(content)) as opened:
            opened.load()
            sizes.add(opened.size)
    return str(sizes)


def become(uid: int | None) -> None:
    if uid is not None:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
        LIBC.prctl(4, 1, 0, 0, 0)  # PR_SET_DUMPABLE, as in a program that this user started itself.


def withhold(calls: dict[str, int]) -> None:
    """Make the kernel answer these calls with an errno, as an older kernel or a container's profile would."""
    if calls:
        privileges.forbid_new()
        refusing = {name: rules.refuse(code) for name, code in calls.items()}
        bpf.prepare(rules.Rules(refusing, default=rules.ALLOW)).install()


def checked(result: int) -> None:
    if result < 0:
        raise OSError(ctypes.get_errno(), "refused")


def raw(name: str, *arguments: int) -> None:
    checked(LIBC.syscall(ctypes.c_long(present().number(name) or 0), *map(ctypes.c_ulong, arguments)))


def start_thread() -> str:
    done: list[str] = []
    thread = threading.Thread(target=lambda: done.append("ran"))
    thread.start()
    thread.join()
    return done[0]


def fork_and_wait() -> str:
    child = os.fork()
    if child == 0:
        os._exit(7)
    return f"exit {os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}"


def open_descriptors() -> str:
    found = []
    for descriptor in range(1100):
        try:
            os.get_inheritable(descriptor)
        except OSError:
            continue
        found.append(descriptor)
    return str(found)


def make_executable() -> None:
    page = mmap.mmap(-1, 4096)
    start = ctypes.addressof(ctypes.c_char.from_buffer(page))
    checked(LIBC.mprotect(ctypes.c_void_p(start), ctypes.c_size_t(4096), 5))


def x32_getpid() -> None:
    number = 0x40000000 + (X86_64.number("getpid") or 0)
    checked(LIBC.syscall(ctypes.c_long(number)))


def spin() -> None:
    while True:
        pass


def connect_tcp() -> None:
    with socket.socket() as connection:
        connection.connect(("127.0.0.1", 9))


def stay_to_be_looked_at() -> None:
    os.write(1, b"sealed\n")
    os.read(0, 1)


def spin_deaf() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGXCPU})
    spin()


def bind_tcp() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))


def flood_of_descriptors() -> str:
    made = 0
    try:
        while True:
            os.dup(1)
            made += 1
    except OSError as refusal:
        return f"{errno.errorcode[refusal.errno or 0]} after {made}"


def flood_of_threads() -> str:
    threads = 0
    try:
        while threads < 100:
            threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
            threads += 1
    except RuntimeError:
        return f"refused after {threads}"
    return str(threads)


def outlive() -> None:
    os.write(jail.CHILD_SOCKET, b"sealed")
    time.sleep(120)


def hello() -> str:
    return f"{json.loads('[1]')} {zlib.decompress(zlib.compress(b'x' * 9))!r}"


def try_import() -> str:
    try:
        __import__("there_is_no_such_module")
    except ModuleNotFoundError:
        return "not found"
    return "found"


PROBES: dict[str, Callable[[], object]] = {
    "hello": hello,
    "decode": decode_pictures,
    "thread": start_thread,
    "getuid": os.getuid,
    "descriptors": open_descriptors,
    "flood_of_descriptors": flood_of_descriptors,
    "flood_of_threads": flood_of_threads,
    "open": lambda: Path("/etc/passwd").read_bytes(),
    "open_for_writing": lambda: Path("/tmp/written").write_text(""),
    "list": lambda: os.listdir("/"),
    "stat": lambda: Path("/etc/passwd").stat(),
    "read_parent": lambda: os.open(f"/proc/{os.getppid()}/mem", os.O_RDONLY),
    "unlink": lambda: Path("/nothing").unlink(),
    "import_missing": try_import,
    "tcp": connect_tcp,
    "bind": bind_tcp,
    "udp": lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM),
    "unix": lambda: socket.socket(socket.AF_UNIX),
    "fork": fork_and_wait,
    "spawn": lambda: os.posix_spawn("/bin/true", ["true"], {}),
    "exec": lambda: os.execv("/bin/true", ["true"]),
    "kill_parent": lambda: os.kill(os.getppid(), 0),
    "ptrace": lambda: raw("ptrace", 16, os.getppid(), 0, 0),
    "limit_parent": lambda: resource.prlimit(os.getppid(), resource.RLIMIT_NOFILE, (0, 0)),
    "limit_self": lambda: resource.getrlimit(resource.RLIMIT_NOFILE),
    "wait": lambda: os.waitpid(-1, os.WNOHANG),
    "pidfd": lambda: os.pidfd_open(os.getppid()),
    "map_executable": lambda: mmap.mmap(-1, 4096, prot=7).close(),
    "map_plain": lambda: mmap.mmap(-1, 4096).close(),
    "make_executable": make_executable,
    "dumpable": lambda: checked(LIBC.prctl(4, 1, 0, 0, 0)),
    "personality": lambda: raw("personality", 0x0400000),
    "another_filter": lambda: raw("seccomp", 1, 0, 0),
    "io_uring": lambda: raw("io_uring_setup", 1, 0),
    "unshare": lambda: raw("unshare", 0x10000000),
    "keyctl": lambda: raw("keyctl", 0, -3 & 0xFFFFFFFF, 0),
    "memfd": lambda: os.memfd_create("x"),
    "unknown": lambda: checked(LIBC.syscall(ctypes.c_long(9999))),
    "x32": x32_getpid,
    "abort": os.abort,
    "segfault": lambda: ctypes.string_at(8),
    "memory_small": lambda: bytearray(64 << 20) and None,
    "memory_large": lambda: bytearray(1 << 30) and None,
    "memory_shared": lambda: mmap.mmap(-1, 1 << 30).close(),
    "spin": spin,
    "stay": stay_to_be_looked_at,
    "spin_deaf": spin_deaf,
    "outlive": outlive,
    "open_readable": lambda: Path(PLAN["file"]).read_text(),
    "write_readable": lambda: os.open(PLAN["file"], os.O_RDWR),
    "unlink_readable": lambda: Path(PLAN["file"]).unlink(),
    "list_readable": lambda: sorted(os.listdir(PLAN["readable"][0])),
}


if __name__ == "__main__":
    main()
