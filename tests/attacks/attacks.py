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
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "process_madvise": (440, 440),
    "process_mrelease": (448, 448),
    "landlock_create_ruleset": (444, 444),
    "landlock_restrict_self": (446, 446),
    "request_key": (249, 218),
    "name_to_handle_at": (303, 264),
    "quotactl_fd": (443, 443),
    "fanotify_init": (300, 262),
    "lookup_dcookie": (212, 18),
    "semget": (64, 190),
    "msgget": (68, 186),
    "shmat": (30, 196),
    "mq_open": (240, 180),
    "mq_unlink": (241, 181),
    "modify_ldt": (154, -1),
    "iopl": (172, -1),
    "arch_prctl": (158, -1),
    "tgkill": (234, 131),
    "setrlimit": (160, 164),
    "sched_setscheduler": (144, 119),
    "sched_setattr": (314, 274),
    "ioprio_set": (251, 30),
    "setitimer": (38, 103),
    "timer_create": (222, 107),
    "timerfd_create": (283, 85),
    "alarm": (37, -1),
    "eventfd2": (290, 19),
    "epoll_create1": (291, 20),
    "signalfd4": (289, 74),
    "pipe2": (293, 59),
    "rt_sigaction": (13, 134),
    "fallocate": (285, 47),
    "vmsplice": (278, 75),
    "splice": (275, 76),
    "sendfile": (40, 71),
    "copy_file_range": (326, 285),
    "mincore": (27, 232),
    "cachestat": (451, 451),
    "mlock": (149, 228),
    "mbind": (237, 235),
    "remap_file_pages": (216, 234),
    "statmount": (457, 457),
    "lsm_set_self_attr": (460, 460),
    "map_shadow_stack": (453, 453),
    "mseal": (462, 462),
    "mprotect": (10, 226),
    "mmap": (9, 222),
    "madvise": (28, 233),
    "prctl": (157, 167),
    "pwrite64": (18, 68),
    "rt_sigprocmask": (14, 135),
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


@attack
def signal_thread(pid: int, _: str) -> object:
    return syscall("tgkill", pid, pid, signal.SIGKILL)


@attack
def fake_credentials(host: int, _: str) -> object:
    """Speak to the host as root of its own process."""
    channel = socket.socket(fileno=3, family=AF_UNIX, type=1, proto=0)
    try:
        return channel.sendmsg([b"\0"], [(socket.SOL_SOCKET, 2, struct.pack("<3i", host, 0, 0))])
    finally:
        channel.detach()


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
def map_input_executable(_: int, __: str) -> object:
    return mmap.mmap(_inherited()[0], 4, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ | mmap.PROT_EXEC)


@attack
def lock_memory(_: int, __: str) -> object:
    """MAP_LOCKED takes memory that the kernel cannot take back."""
    if raw(NUMBERS["mmap"][0 if IS_X86 else 1], 0, 1 << 20, 3, 0x2022, -1, 0) < 0:
        raise OSError(errno.EPERM, "not locked")
    return "locked"


@attack
def punch_input(_: int, __: str) -> object:
    """MADV_REMOVE on the shared input would take its pages from the host too."""
    page = mmap.mmap(_inherited()[0], 4, flags=mmap.MAP_SHARED, prot=mmap.PROT_READ)
    return page.madvise(9, 0, 4)


@attack
def memory_of_others(_: int, halves: str) -> object:
    """Look through all memory around our own for words that only the host, or an earlier picture, held.

    The kernel looks for us where a fault would end us. The words come in halves, so that our own task is not
    taken for them.
    """
    head, tail = (half.encode() for half in halves.split("|"))
    chunk, read = (1 << 16, _through_output) if _is_open(_inherited()[1]) else (1 << 12, _by_signal_mask)
    LIBC.sbrk.restype = ctypes.c_void_p
    heap_end = LIBC.sbrk(ctypes.c_long(0))
    around = (
        id(object()),
        ctypes.addressof(ctypes.c_char()),
        ctypes.addressof(ctypes.c_char.in_dll(LIBC, "environ")),
    )
    spans = [(heap_end - (96 << 20), heap_end), *((at - (96 << 20), at + (96 << 20)) for at in around)]
    seen: set[int] = set()
    mapped = 0
    for start, end in spans:
        for address in range(start & -chunk, end, chunk):
            if address in seen:
                continue
            seen.add(address)
            try:
                held = read(address, chunk)
            except OSError:
                continue
            mapped += len(held)
            at = held.find(head)
            while at >= 0:
                if held[at + len(head) :].startswith(tail):
                    return address + at
                at = held.find(head, at + 1)
    if mapped < 8 << 20:
        return "found too little of its own memory to say anything"
    raise PermissionError("no such word")


def _through_output(address: int, length: int) -> bytes:
    """Memory by way of the output: pwrite answers EFAULT where there is none."""
    out = _inherited()[1]
    written = syscall("pwrite64", out, address, length, 0)
    return os.pread(out, written, 0)


def _by_signal_mask(page: int, length: int) -> bytes:
    """A page of memory, once rt_sigprocmask could read a mask there."""
    syscall("rt_sigprocmask", 0, page, 0, 8)
    return ctypes.string_at(page, length)


@attack
def variables(_: int, __: str) -> object:
    """Harm when there are more variables than the template is given."""
    if strange := os.environ.keys() - {"LD_BIND_NOW", "GLIBC_TUNABLES", "LC_CTYPE"}:
        return strange
    raise PermissionError("nothing of the host's")


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
plain("io_uring_enter", 3, 1, 0, 0, 0)
plain("io_uring_register", 3, 0, 0, 0)
plain("process_madvise", 3, 0, 0, 4, 0)
plain("process_mrelease", 3, 0)
plain("landlock_create_ruleset", 0, 0, 1)
plain("landlock_restrict_self", 3, 0)
plain("request_key", 0, 0, 0, 0)
plain("name_to_handle_at", 4, 0, 0, 0, 0x1000)
plain("quotactl_fd", 4, 0, 0, 0)
plain("fanotify_init", 0, 0)
plain("lookup_dcookie", 0, 0, 0)
plain("semget", 1, 1, 0o1600)
plain("msgget", 1, 0o1600)
plain("shmat", 0, 0, 0)
plain("mq_open", 0, 0o102, 0o600, 0)
plain("mq_unlink", 0)
plain("modify_ldt", 1, 0, 0)
plain("iopl", 3)
plain("arch_prctl", 0x2003, 0)  # ARCH_MAP_VDSO_64: executable memory without mmap
plain("setrlimit", 9, 0)
plain("sched_setscheduler", 0, 3, 0)
plain("sched_setattr", 0, 0, 0)
plain("ioprio_set", 1, 0, 1 << 13)
plain("setitimer", 0, 0, 0)
plain("timer_create", 1, 0, 0)
plain("timerfd_create", 1, 0)
plain("alarm", 1)
plain("eventfd2", 0, 0)
plain("epoll_create1", 0)
plain("signalfd4", -1, 0, 8, 0)
plain("pipe2", 0, 0)
plain("rt_sigaction", signal.SIGXCPU, 0, 0, 8)
plain("fallocate", 5, 0, 0, 1)
plain("vmsplice", 3, 0, 0, 0)
plain("splice", 4, 0, 3, 0, 1, 0)
plain("sendfile", 5, 4, 0, 1)
plain("copy_file_range", 4, 0, 5, 0, 1, 0)
plain("mincore", 0, 0, 0)
plain("cachestat", 4, 0, 0, 0)
plain("mlock", 0, 4096)
plain("mbind", 0, 0, 0, 0, 0, 0)
plain("remap_file_pages", 0, 0, 0, 0, 0)
plain("statmount", 0, 0, 0, 0)
plain("lsm_set_self_attr", 100, 0, 0, 0)
plain("map_shadow_stack", 0, 4096, 0)
plain("mseal", 0, 0, 0)

# Commands of fcntl and options of prctl that reach beyond one's own descriptor or process, by <linux/fcntl.h>
# and <linux/prctl.h>. Descriptor 3 is the socket, 4 the input, 5 the output.
FCNTL = {
    "setfl_async": (3, 4, 0x2000),
    "setlk": (4, 6, 0),
    "setown_host": (3, 8, 0),
    "setsig": (3, 10, signal.SIGKILL),
    "setown_ex": (3, 15, 0),
    "ofd_setlk": (4, 37, 0),
    "setlease": (4, 1024, 0),
    "notify": (4, 1026, 1),
    "setpipe_size": (3, 1031, 1 << 20),
    "seal_input": (4, 1033, 8),
    "seal_output": (5, 1033, 8),
    "set_rw_hint": (5, 1036, 0),
}
for _name, _arguments in FCNTL.items():
    ATTACKS[f"fcntl_{_name}"] = lambda number, _t, arguments=_arguments: fcntl.fcntl(
        arguments[0], arguments[1], arguments[2] or number
    )

PRCTL = {
    "keep_capabilities": (8, 1),
    "strict_seccomp": (22, 1),
    "another_filter": (22, 2),
    "speed_of_clock": (26, 2),
    "securebits": (28, 0),
    "timer_slack": (29, 1),
    "memory_map": (35, 1),
    "subreaper": (36, 1),
    "new_privileges": (38, 0),
    "no_huge_pages": (41, 1),
    "ambient_capability": (47, 2),
    "speculation": (53, 0),
    "io_flusher": (57, 1),
    "user_dispatch": (59, 1),
    "core_scheduling": (62, 1),
    "ptracer": (0x59616D61, -1),
}
for _name, _arguments in PRCTL.items():
    ATTACKS[f"prctl_{_name}"] = lambda _n, _t, arguments=_arguments: syscall("prctl", *arguments, 0, 0, 0)


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
def other_descriptors(due: int, _: str) -> object:
    """Harm when more is open than the standard three, the socket, and of a picture the input and output."""
    opened = [fd for fd in range(1024) if _is_open(fd)]
    # The mapping of the input holds a duplicate of its descriptor, so one more may be open.
    if opened != [*range(due)] and (due != 6 or opened != [*range(7)]):
        return opened
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
def threads_without_end(most: int, _: str) -> object:
    """Harm when there are more than `most`: each takes a number, and memory that no limit counts."""
    attributes = ctypes.create_string_buffer(64)
    LIBC.pthread_attr_init(attributes)
    LIBC.pthread_attr_setstacksize(attributes, ctypes.c_size_t(16 << 10))
    thread = ctypes.c_void_p()
    for _ in range(most + 1):
        code = LIBC.pthread_create(ctypes.byref(thread), attributes, LIBC.sleep, ctypes.c_void_p(60))
        if code:
            raise OSError(code, "no more threads")
    return most + 1


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
def reply_with_many_descriptors(_: int, __: str) -> object:
    rights = struct.pack("<253i", *[4] * 253)  # SCM_MAX_FD
    channel = socket.socket(fileno=3, family=AF_UNIX, type=1, proto=0)
    for _ in range(64):
        channel.sendmsg([b"\xff"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)], socket.MSG_DONTWAIT)
    return os._exit(0)


@attack
def hang_up_and_stay(_: int, __: str) -> object:
    socket.socket(fileno=3, family=AF_UNIX, type=1, proto=0).shutdown(socket.SHUT_RDWR)
    return time.sleep(3600)


@attack
def reply_and_stay(_: int, __: str) -> object:
    os.write(3, struct.pack("<HHIQ", 1, 15, 0, 0))
    return time.sleep(3600)
