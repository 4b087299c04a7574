"""What a decoder that a stranger has taken over would try, run in a sealed child by the attack template.

Each attack returns when it did harm, raises OSError or MemoryError when it was refused, or never comes back.
`ATTACKS` maps its name to the function; `number` and `text` are what the host tells it.
"""

import ctypes
import errno
import fcntl
import mmap
import os
import platform
import signal
import socket
import struct
import threading
import time
from collections.abc import Callable
from pathlib import Path

LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.syscall.restype = ctypes.c_long
IS_X86 = platform.machine() == "x86_64"

# Syscall numbers, x86-64 and generic (aarch64), from the kernel's unistd.h.
NUMBERS = {
    "fork_clone": (56, 220),
    "vfork": (58, -1),
    "clone3": (435, 435),
    "execve": (59, 221),
    "execveat": (322, 281),
    "socket": (41, 198),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "prlimit64": (302, 261),
    "memfd_create": (319, 279),
    "memfd_secret": (447, 447),
    "keyctl": (250, 219),
    "add_key": (248, 217),
    "userfaultfd": (323, 282),
    "unshare": (272, 97),
    "setns": (308, 268),
    "io_uring_setup": (425, 425),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "pidfd_open": (434, 434),
    "pidfd_getfd": (438, 438),
    "pidfd_send_signal": (424, 424),
    "mount": (165, 40),
    "chroot": (161, 51),
    "setresuid": (117, 147),
    "kexec_load": (246, 104),
    "init_module": (175, 105),
    "open_by_handle_at": (304, 265),
    "shmget": (29, 194),
    "inotify_init1": (294, 26),
    "seccomp": (317, 277),
    "ioctl": (16, 29),
    "tkill": (200, 130),
    "rt_tgsigqueueinfo": (297, 240),
    "sched_setaffinity": (203, 122),
    "setpriority": (141, 140),
    "kcmp": (312, 272),
    "personality": (135, 92),
    "settimeofday": (164, 170),
    "syslog": (103, 116),
    "reboot": (169, 142),
    "swapon": (167, 224),
    "quotactl": (179, 60),
    "acct": (163, 89),
    "io_setup": (206, 0),
}
AF_INET, AF_UNIX, AF_NETLINK, AF_PACKET, AF_VSOCK = 2, 1, 16, 17, 40
ATTACKS: dict[str, Callable[[int, str], object]] = {}
INT_80 = 0
"""The address of an `int 0x80` instruction, found by the template before it sealed itself."""


def attack(function: Callable[[int, str], object]) -> Callable[[int, str], object]:
    """Register an attack under its own name."""
    ATTACKS[function.__name__] = function
    return function


def syscall(name: str, *arguments: int) -> int:
    """A raw system call; raises OSError as the kernel says."""
    number = NUMBERS[name][0 if IS_X86 else 1]
    if number < 0:
        raise OSError(errno.ENOSYS, "no such call here")
    return raw(number, *arguments)


def raw(number: int, *arguments: int) -> int:
    """The same by number."""
    result = int(LIBC.syscall(ctypes.c_long(number), *(ctypes.c_long(value) for value in arguments)))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


def plain(name: str, *arguments: int) -> None:
    """Register an attack that is one system call and harms when it succeeds."""
    ATTACKS[f"call_{name}"] = lambda _n, _t: syscall(name, *arguments)


# Files.


@attack
def read_file(_: int, path: str) -> object:
    return Path(path).read_bytes()


@attack
def list_folder(_: int, path: str) -> object:
    return os.listdir(path)


@attack
def write_file(_: int, path: str) -> object:
    return Path(path).write_bytes(b"harm")


@attack
def remove_file(_: int, path: str) -> object:
    return Path(path).unlink()


@attack
def link_file(_: int, path: str) -> object:
    return Path(path).symlink_to("/etc/passwd")


@attack
def open_own_memory(_: int, __: str) -> object:
    return os.open("/proc/self/mem", os.O_RDWR)


@attack
def read_host_memory(host: int, _: str) -> object:
    return os.open(f"/proc/{host}/mem", os.O_RDONLY)


@attack
def read_host_environment(host: int, _: str) -> object:
    return Path(f"/proc/{host}/environ").read_bytes()


@attack
def stat_file(_: int, path: str) -> object:
    return Path(path).stat()


# Network. `number` is a port.


def connect(family: int, kind: int, address: object) -> object:
    with socket.socket(family, kind) as sock:
        sock.settimeout(2)
        sock.connect(address)  # type: ignore[arg-type]  an address of any family
        return sock.send(b"harm")


@attack
def tcp_connect(port: int, _: str) -> object:
    return connect(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", port))


@attack
def tcp_listen(_: int, __: str) -> object:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.listen()


@attack
def udp_send(port: int, _: str) -> object:
    return connect(socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", port))


@attack
def dns_question(port: int, _: str) -> object:
    question = struct.pack(">6H", 1, 256, 1, 0, 0, 0) + b"\4leak\4test\0\0\1\0\1"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        return sock.sendto(question, ("127.0.0.1", port))


@attack
def abstract_unix(_: int, name: str) -> object:
    return connect(socket.AF_UNIX, socket.SOCK_STREAM, "\0" + name)


@attack
def path_unix(_: int, path: str) -> object:
    return connect(socket.AF_UNIX, socket.SOCK_STREAM, path)


for _family in (AF_NETLINK, AF_PACKET, AF_VSOCK):
    ATTACKS[f"socket_family_{_family}"] = lambda _n, _t, family=_family: syscall("socket", family, 2, 0)


@attack
def send_to_address(port: int, _: str) -> object:
    """sendto is allowed for the reply; with an address on a stream socketpair it must go nowhere."""
    address = struct.pack("<HH4s8x", AF_INET, socket.htons(port), b"\x7f\0\0\1")
    buffer = ctypes.create_string_buffer(address, len(address))
    number = 44 if IS_X86 else 206
    return raw(number, 3, ctypes.addressof(buffer), 4, 0, ctypes.addressof(buffer), len(address))


# Processes.


@attack
def fork(_: int, __: str) -> object:
    return os.fork()


@attack
def execute(_: int, __: str) -> object:
    return os.execv("/bin/true", ["true"])


@attack
def spawn(_: int, __: str) -> object:
    return os.posix_spawn("/bin/true", ["true"], {})


@attack
def kill_process(pid: int, _: str) -> object:
    return os.kill(pid, signal.SIGKILL)


@attack
def kill_group(_: int, __: str) -> object:
    return os.kill(0, signal.SIGKILL)


@attack
def kill_everything(_: int, __: str) -> object:
    return os.kill(-1, signal.SIGKILL)


@attack
def trace_process(pid: int, _: str) -> object:
    return syscall("ptrace", 16, pid, 0, 0)


@attack
def read_process_memory(pid: int, _: str) -> object:
    return syscall("process_vm_readv", pid, 0, 0, 0, 0, 0)


@attack
def write_process_memory(pid: int, _: str) -> object:
    return syscall("process_vm_writev", pid, 0, 0, 0, 0, 0)


@attack
def limit_process(pid: int, _: str) -> object:
    limit = ctypes.create_string_buffer(struct.pack("<QQ", 0, 0), 16)
    return syscall("prlimit64", pid, 7, ctypes.addressof(limit), 0)


@attack
def lift_own_limit(_: int, __: str) -> object:
    limit = ctypes.create_string_buffer(struct.pack("<QQ", 1 << 40, 1 << 40), 16)
    return syscall("prlimit64", 0, 9, ctypes.addressof(limit), 0)


@attack
def open_pidfd(pid: int, _: str) -> object:
    return syscall("pidfd_open", pid, 0)


@attack
def slow_process_down(pid: int, _: str) -> object:
    return syscall("setpriority", 0, pid, 19)


# Memory that executes, secrets, kernel doors.


@attack
def map_executable(_: int, __: str) -> object:
    return mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)


@attack
def make_executable(_: int, __: str) -> object:
    page = mmap.mmap(-1, 4096)
    address = ctypes.addressof(ctypes.c_char.from_buffer(page))
    return _checked(LIBC.mprotect(ctypes.c_void_p(address), ctypes.c_size_t(4096), 7))


@attack
def become_dumpable(_: int, __: str) -> object:
    return _checked(LIBC.prctl(4, 1, 0, 0, 0))


@attack
def clear_parent_death_signal(_: int, __: str) -> object:
    return _checked(LIBC.prctl(1, 0, 0, 0, 0))


def _checked(result: int) -> int:
    if result:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


CLONE_NEW = {
    "user": 0x10000000,
    "pid": 0x20000000,
    "net": 0x40000000,
    "mount": 0x00020000,
    "ipc": 0x08000000,
    "uts": 0x04000000,
    "cgroup": 0x02000000,
}
for _space, _flag in CLONE_NEW.items():
    ATTACKS[f"unshare_{_space}"] = lambda _n, _t, flag=_flag: syscall("unshare", flag)
    ATTACKS[f"clone_{_space}"] = lambda _n, _t, flag=_flag: syscall("fork_clone", flag | 17, 0, 0, 0, 0)

plain("vfork")
plain("clone3", 0, 0)
plain("execveat", -100, 0, 0, 0, 0)
plain("memfd_create", 0, 0)
plain("memfd_secret", 0)
plain("keyctl", 0, -3, 1)
plain("add_key", 0, 0, 0, 0, -3)
plain("userfaultfd", 1)
plain("setns", 3, 0)
plain("io_uring_setup", 8, 0)
plain("bpf", 5, 0, 0)
plain("perf_event_open", 0, 0, -1, -1, 0)
plain("pidfd_getfd", 3, 0, 0)
plain("pidfd_send_signal", 3, 9, 0, 0)
plain("mount", 0, 0, 0, 0, 0)
plain("chroot", 0)
plain("setresuid", 0, 0, 0)
plain("kexec_load", 0, 0, 0, 0)
plain("init_module", 0, 0, 0)
plain("open_by_handle_at", -100, 0, 0)
plain("shmget", 1, 4096, 0o1600)
plain("inotify_init1", 0)
plain("seccomp", 1, 0, 0)
plain("ioctl", 3, 0x5412, 0)
plain("tkill", 1, 9)
plain("rt_tgsigqueueinfo", 1, 1, 9, 0)
plain("sched_setaffinity", 1, 8, 0)
plain("kcmp", 1, 1, 0, 0, 0)
plain("personality", 0x0040000)
plain("settimeofday", 0, 0)
plain("syslog", 3, 0, 0)
plain("reboot", 0, 0, 0, 0)
plain("swapon", 0, 0)
plain("quotactl", 0, 0, 0, 0)
plain("acct", 0)
plain("io_setup", 8, 0)


@attack
def x32_number(_: int, __: str) -> object:
    return raw(0x40000000 | 39)


@attack
def unknown_number(_: int, __: str) -> object:
    return raw(9999)


@attack
def wrong_architecture(_: int, __: str) -> object:
    """`int 0x80` enters the kernel with the audit architecture of i386."""
    if not INT_80:
        raise OSError(errno.ENOSYS, "no such instruction in this process")
    return ctypes.CFUNCTYPE(ctypes.c_long)(INT_80)()


# Other pictures.


@attack
def stale_output(_: int, __: str) -> object:
    """Harm when the output memory holds anything before this child has written to it."""
    held = os.pread(_inherited()[1], 1 << 20, 0)
    if held.strip(b"\0"):
        return held
    raise PermissionError("the output is fresh")


@attack
def stale_input(_: int, marker: str) -> object:
    """Harm when the input holds the marker of an earlier picture."""
    held = os.pread(_inherited()[0], 1 << 24, 0)
    if marker.encode() in held:
        return held
    raise PermissionError("the input is our own")


@attack
def other_descriptors(_: int, __: str) -> object:
    """Harm when more is open than the standard three, the socket, the input and the output."""
    # The mapping of the input holds a duplicate of its descriptor, so one more may be open.
    strange = [fd for fd in range(6, 1024) if _is_open(fd)]
    if strange not in ([], [6]) or not all(_is_open(fd) for fd in range(6)):
        return strange
    raise PermissionError("nothing else is open")


@attack
def write_input(_: int, __: str) -> object:
    return os.pwrite(_inherited()[0], b"harm", 0)


@attack
def map_input_writable(_: int, __: str) -> object:
    return mmap.mmap(_inherited()[0], 4, prot=mmap.PROT_READ | mmap.PROT_WRITE)


@attack
def shrink_input(_: int, __: str) -> object:
    return os.ftruncate(_inherited()[0], 0)


@attack
def grow_output(size: int, _: str) -> object:
    return os.ftruncate(_inherited()[1], size)


@attack
def write_behind_output(size: int, _: str) -> object:
    return os.pwrite(_inherited()[1], b"harm", size)


def _inherited() -> tuple[int, int]:
    """The descriptors of input and output: the lowest behind the socket's 3."""
    return 4, 5


def _is_open(fd: int) -> bool:
    try:
        fcntl.fcntl(fd, fcntl.F_GETFD)
    except OSError:
        return False
    return True


# Exhaustion. These harm by coming back, or are ended from outside.


@attack
def memory_at_once(size: int, _: str) -> object:
    return len(bytearray(size))


@attack
def memory_in_steps(size: int, _: str) -> object:
    held = []
    while sum(map(len, held)) < size:
        held.append(bytearray(16 << 20))
    return len(held)


@attack
def memory_of_threads(size: int, _: str) -> object:
    arenas = [threading.Thread(target=bytearray, args=(64 << 20,)) for _ in range(64)]
    for thread in arenas:
        thread.start()
    return memory_in_steps(size, "")


@attack
def spin(_: int, __: str) -> object:
    while True:
        pass


@attack
def sleep(_: int, __: str) -> object:
    return time.sleep(3600)


@attack
def spin_in_threads(_: int, __: str) -> object:
    for _ in range(4):
        threading.Thread(target=spin, args=(0, ""), daemon=True).start()
    return time.sleep(3600)


@attack
def spin_deaf(_: int, __: str) -> object:
    """It does not hear the signal of the limit of processor time."""
    signal.pthread_sigmask(signal.SIG_BLOCK, range(1, signal.NSIG))
    return spin(0, "")


@attack
def leave_a_thread(_: int, __: str) -> object:
    """The main thread ends and another one lives on."""
    threading.Thread(target=spin, args=(0, ""), daemon=True).start()
    return raw(60 if IS_X86 else 93, 0)


@attack
def stop_itself(_: int, __: str) -> object:
    return os.kill(os.getpid(), signal.SIGSTOP)


@attack
def segfault(_: int, __: str) -> object:
    return ctypes.string_at(1)


@attack
def abort(_: int, __: str) -> object:
    return os.abort()


@attack
def leave_silently(_: int, __: str) -> object:
    return os._exit(0)


@attack
def recurse(depth: int, text: str) -> object:
    return recurse(depth + 1, text)


# Replies. Fd 3 is the socket to the host.

DONE_OF_NOTHING = struct.pack("<HHIQ", 1, 0, 0, 8)


def _answer(*pieces: bytes) -> object:
    for piece in pieces:
        os.write(3, piece)
    return os._exit(0)


@attack
def reply_garbage(_: int, __: str) -> object:
    return _answer(b"\xff" * 16)


@attack
def reply_short(_: int, __: str) -> object:
    return _answer(b"\1\0\0\0\0")


@attack
def reply_long(_: int, __: str) -> object:
    return _answer(DONE_OF_NOTHING + b"!")


@attack
def reply_twice(_: int, __: str) -> object:
    return _answer(DONE_OF_NOTHING, DONE_OF_NOTHING)


@attack
def reply_oversized(_: int, __: str) -> object:
    return _answer(struct.pack("<HHIQ", 1, 0, 0, 1 << 62))


@attack
def reply_unknown_failure(_: int, __: str) -> object:
    return _answer(struct.pack("<HHIQ", 1, 60_000, 0, 0))


@attack
def reply_failure_with_body(_: int, __: str) -> object:
    return _answer(struct.pack("<HHIQ", 1, 1, 0, 100))


@attack
def reply_flood(_: int, __: str) -> object:
    while True:
        os.write(3, b"\0" * 65536)


@attack
def reply_with_descriptors(_: int, __: str) -> object:
    rights = struct.pack("<i", 4)
    channel = socket.socket(fileno=3, family=AF_UNIX, type=1, proto=0)
    channel.sendmsg([b"\xff" * 16], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
    return os._exit(0)


@attack
def reply_and_stay(_: int, __: str) -> object:
    os.write(3, struct.pack("<HHIQ", 1, 15, 0, 0))
    return time.sleep(3600)
