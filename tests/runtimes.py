"""What container runtimes and systemd do to a service before they start it, done to a command of ours.

`python runtimes.py NAME COMMAND...` puts itself under these conditions and executes the command. `RUNTIMES`
has them all. What a process cannot do to itself is not here: AppArmor and SELinux profiles, device cgroups.

The lists of calls are facts about these profiles, written down anew as what they refuse to a process without
further capabilities: moby/profiles seccomp v0.2.4 (with which containerd 2.4.2 agrees but for the three
lsm_* calls), docker v20.10.12, and `systemd-analyze syscall-filter` of systemd 252 and its later changes.
Calls that no kernel of today has are left out. Where a real profile is stricter than this one (the 32-bit
tables), the seal has to do without its help.
"""

import ctypes
import errno
import fcntl
import os
import socket
import struct
import sys
import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path

from remote_worker.jail.syscalls import NUMBERS, present

ORDINARY_UID = 1000

# Numbers (x86-64, aarch64) of calls that the seal has no name for, from the kernel's unistd.h.
MORE_NUMBERS: dict[str, tuple[int, int | None]] = {
    "sysfs": (139, None),
    "ustat": (136, None),
    "uselib": (134, None),
    "vhangup": (153, 58),
    "lookup_dcookie": (212, 18),
    "mbind": (237, 235),
    "set_mempolicy": (238, 237),
    "get_mempolicy": (239, 236),
    "migrate_pages": (256, 238),
    "move_pages": (279, 239),
    "set_mempolicy_home_node": (450, 450),
    "quotactl_fd": (443, 443),
    "process_mrelease": (448, 448),
    "mincore": (27, 232),
    "fanotify_mark": (301, 263),
    "pkey_alloc": (330, 289),
    "pkey_free": (331, 290),
}

_DOCKER_REFUSES = """
    acct add_key bpf clock_settime delete_module fanotify_init finit_module fsconfig fsmount fsopen fspick
    get_mempolicy init_module io_uring_enter io_uring_register io_uring_setup ioperm iopl kcmp
    kexec_file_load kexec_load keyctl lookup_dcookie mbind migrate_pages mount mount_setattr move_mount
    move_pages open_by_handle_at open_tree perf_event_open pidfd_getfd pivot_root process_madvise quotactl
    quotactl_fd reboot request_key set_mempolicy set_mempolicy_home_node setdomainname sethostname setns
    settimeofday swapoff swapon sysfs syslog umount2 unshare uselib userfaultfd ustat vhangup
"""
_SYSTEM_SERVICE_REFUSES = """
    acct adjtimex bpf chroot clock_adjtime clock_settime delete_module fanotify_init fanotify_mark
    finit_module fsconfig fsmount fsopen fspick init_module ioperm iopl kexec_file_load kexec_load
    lookup_dcookie memfd_secret mincore modify_ldt mount mount_setattr move_mount open_by_handle_at
    open_tree perf_event_open pidfd_getfd pivot_root pkey_alloc pkey_free pkey_mprotect process_mrelease
    ptrace quotactl quotactl_fd reboot setdomainname sethostname settimeofday swapoff swapon sysfs syslog
    umount2 uselib ustat vhangup
"""
_LANDLOCK = "landlock_create_ruleset landlock_add_rule landlock_restrict_self"

_NAMESPACES = 0x7E020000
"""CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET."""
_NEW_MOUNTS, _NEW_PIDS, _NEW_NETWORK = 0x00020000, 0x20000000, 0x40000000
_WRITE, _EXECUTE = 2, 4
_NEWEST_CALL = 466
"""removexattrat, of Linux 6.13. runc answers ENOSYS to what is newer than all of a profile's calls."""

KILL, ERRNO, ALLOW = 0x80000000, 0x00050000, 0x7FFF0000


@dataclass(frozen=True, kw_only=True)
class Argument:
    """A call refused by one argument: when `mask` leaves one of `values`, or when it leaves none of them."""

    call: str
    index: int
    mask: int = 0xFFFFFFFF
    values: tuple[int, ...]
    refused_when_among: bool
    code: int = errno.EPERM


_NO_NEW_NAMESPACES = Argument(call="clone", index=0, mask=_NAMESPACES, values=(0,), refused_when_among=False)


@dataclass(frozen=True, kw_only=True)
class Runtime:
    """The conditions of one way to start a service."""

    refused: str
    """Calls refused whatever their arguments."""
    action: int = ERRNO | errno.EPERM
    missing: dict[str, int] = field(default_factory=dict)
    """Calls with an errno of their own."""
    arguments: tuple[Argument, ...]
    newest_call: int = _NEWEST_CALL
    uid: int
    capabilities: tuple[int, ...] = ()
    no_new_privs: bool
    read_only: bool = False
    """The whole file system but /tmp."""
    own_tmp: bool = False
    own_devices: bool = False
    hidden_processes: bool = False
    """/proc shows only the own user's (hidepid=invisible)."""
    masked_proc: bool = False
    spaces: int = _NEW_MOUNTS
    """Namespaces of its own, as flags of unshare(2)."""


_DOCKER = Runtime(
    refused=_DOCKER_REFUSES,
    missing={"clone3": errno.ENOSYS},
    arguments=(
        _NO_NEW_NAMESPACES,
        # AF_ALG and AF_VSOCK.
        Argument(call="socket", index=0, values=(38, 40), refused_when_among=True),
        Argument(
            call="personality",
            index=0,
            values=(0, 8, 0x20000, 0x20008, 0xFFFFFFFF),
            refused_when_among=False,
        ),
    ),
    uid=0,
    # CHOWN DAC_OVERRIDE FOWNER FSETID KILL SETGID SETUID SETPCAP NET_BIND_SERVICE NET_RAW SYS_CHROOT MKNOD
    # AUDIT_WRITE SETFCAP, as Docker's documentation lists them.
    capabilities=(0, 1, 3, 4, 5, 6, 7, 8, 10, 13, 18, 27, 29, 31),
    no_new_privs=False,
    masked_proc=True,
    spaces=_NEW_MOUNTS | _NEW_PIDS | _NEW_NETWORK | 0x02000000 | 0x04000000 | 0x08000000,
)
_DOCKER_ORDINARY = replace(_DOCKER, uid=ORDINARY_UID, capabilities=(), refused=_DOCKER_REFUSES + " chroot")
_SYSTEMD = Runtime(
    refused=_SYSTEM_SERVICE_REFUSES + " setns",
    missing={"clone3": errno.ENOSYS},
    arguments=(
        # RestrictNamespaces, RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6, MemoryDenyWriteExecute,
        # LockPersonality.
        _NO_NEW_NAMESPACES,
        Argument(call="unshare", index=0, mask=_NAMESPACES, values=(0,), refused_when_among=False),
        Argument(
            call="socket", index=0, values=(1, 2, 10), refused_when_among=False, code=errno.EAFNOSUPPORT
        ),
        Argument(
            call="mmap",
            index=2,
            mask=_WRITE | _EXECUTE,
            values=(_WRITE | _EXECUTE,),
            refused_when_among=True,
        ),
        Argument(call="mprotect", index=2, mask=_EXECUTE, values=(_EXECUTE,), refused_when_among=True),
        Argument(call="personality", index=0, values=(0, 0xFFFFFFFF), refused_when_among=False),
    ),
    newest_call=0xFFFFFFFF,
    uid=ORDINARY_UID,
    no_new_privs=True,
    read_only=True,
    own_tmp=True,
    own_devices=True,
    hidden_processes=True,
)

RUNTIMES = {
    "docker": _DOCKER,
    "docker-ordinary": _DOCKER_ORDINARY,
    "docker-no-new-privileges": replace(_DOCKER, no_new_privs=True),
    # 20.10.12: runc says that Landlock is unknown, crun and older runc that it is not permitted.
    "docker-20.10": replace(_DOCKER, newest_call=441),
    "docker-20.10-eperm": replace(_DOCKER, refused=f"{_DOCKER_REFUSES} {_LANDLOCK}"),
    "docker-19.03": replace(_DOCKER, newest_call=433),
    "docker-drop-all": replace(
        _DOCKER, capabilities=(), no_new_privs=True, refused=_DOCKER_REFUSES + " chroot"
    ),
    # Root with what becoming two other users and ending them takes, and with one of these missing.
    "docker-three": replace(
        _DOCKER,
        capabilities=(5, 6, 7),
        no_new_privs=True,
        read_only=True,
        refused=_DOCKER_REFUSES + " chroot",
    ),
    "docker-no-kill": replace(
        _DOCKER, capabilities=(6, 7), no_new_privs=True, refused=_DOCKER_REFUSES + " chroot"
    ),
    "docker-no-setuid": replace(
        _DOCKER, capabilities=(5, 6), no_new_privs=True, refused=_DOCKER_REFUSES + " chroot"
    ),
    "kubernetes": replace(_DOCKER_ORDINARY, no_new_privs=True, read_only=True),
    "systemd": _SYSTEMD,
    # systemd 254 to 256 without @sandbox, and 252: with and without SystemCallErrorNumber=EPERM.
    "systemd-unlisted": replace(_SYSTEMD, refused=f"{_SYSTEMD.refused} seccomp {_LANDLOCK}"),
    "systemd-unlisted-kill": replace(
        _SYSTEMD, refused=f"{_SYSTEMD.refused} seccomp {_LANDLOCK}", action=KILL
    ),
}
"""`docker run` as root and as `--user 1000`, with `--security-opt no-new-privileges`, with profiles of
before Landlock, with `--cap-drop ALL` as root, and with some of KILL, SETGID and SETUID kept; Kubernetes'
restricted Pod Security Standard with RuntimeDefault; and a hardened systemd unit
(deploy/remote-worker.service) with and without the calls that every seal needs."""


def launch(name: str, command: list[str]) -> list[str]:
    """The command line that starts this command under a runtime. As an ordinary user: its filter alone."""
    return [sys.executable, __file__, name, *command]


def why_not(name: str) -> str:
    """Why a runtime cannot be emulated here, empty when it can."""
    if os.geteuid() != 0 and RUNTIMES[name].uid == 0:
        return "only root can be root in a container"
    return ""


def program(runtime: Runtime) -> bytes:
    """The runtime's filter as classic BPF. Each check ends in an answer, so their order does not matter."""
    body = (
        _step(_LOAD, 4) + _step(_IF_EQUAL, present().audit, yes=1) + _step(_RETURN, ALLOW) + _step(_LOAD, 0)
    )
    for argument in runtime.arguments:
        answers = (ERRNO | argument.code, ALLOW)
        among, other = answers if argument.refused_when_among else reversed(answers)
        check = _step(_LOAD, 16 + 8 * argument.index) + _step(_AND, argument.mask)
        for value in argument.values:
            check += _step(_IF_EQUAL, value, no=1) + _step(_RETURN, among)
        check += _step(_RETURN, other)
        body += _of_call(argument.call, check)
    for call in runtime.refused.split():
        body += _of_call(call, _step(_RETURN, runtime.action))
    for call, code in runtime.missing.items():
        body += _of_call(call, _step(_RETURN, ERRNO | code))
    # Numbers of the x32 table are left alone.
    newer = _step(_IF_AT_LEAST, 0x40000000, yes=1) + _step(_RETURN, ERRNO | errno.ENOSYS)
    body += _step(_IF_AT_LEAST, min(runtime.newest_call + 1, 0xFFFFFFFF), no=2) + newer
    return body + _step(_RETURN, ALLOW)


_LOAD, _RETURN, _AND, _IF_EQUAL, _IF_AT_LEAST = 0x20, 0x06, 0x54, 0x15, 0x35
_LIBC = ctypes.CDLL(None, use_errno=True)
_MOST_CAPABILITIES = 64
_BIND, _REMOUNT, _READ_ONLY, _RECURSIVE, _PRIVATE = 0x1000, 0x20, 1, 0x4000, 1 << 18
_MASKED_FILES = ("kcore", "keys", "latency_stats", "timer_list", "sched_debug")
_READ_ONLY_FOLDERS = ("bus", "fs", "irq", "sys", "sysrq-trigger")


def _step(code: int, operand: int, *, yes: int = 0, no: int = 0) -> bytes:
    return struct.pack("<HBBI", code, yes, no, operand)


def _of_call(name: str, steps: bytes) -> bytes:
    number = (NUMBERS.get(name) or MORE_NUMBERS[name])[present().column]
    return b"" if number is None else _step(_IF_EQUAL, number, no=len(steps) // 8) + steps


def main(name: str, command: list[str]) -> None:
    runtime = RUNTIMES[name]
    if os.geteuid() == 0:
        _enter(runtime.spaces)
        _arrange_files(runtime)
    if runtime.no_new_privs or os.geteuid() != 0:
        _prctl(38, 1)
    _filter(program(runtime))
    if os.geteuid() == 0:
        _become(runtime)
    os.execvp(command[0], command)


def _enter(spaces: int) -> None:
    """Have namespaces of our own. The one for processes holds for a child, which goes on as its first."""
    _checked(_LIBC.unshare(spaces), "unshare")
    _mount("none", "/", "", _RECURSIVE | _PRIVATE)
    if spaces & _NEW_NETWORK:
        with socket.socket() as any_socket:  # SIOCSIFFLAGS: up and running
            fcntl.ioctl(any_socket, 0x8914, struct.pack("16sh14x", b"lo", 0x41))
    if spaces & _NEW_PIDS and (child := os.fork()):
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        os._exit(status if status >= 0 else 128 - status)


def _arrange_files(runtime: Runtime) -> None:
    if runtime.uid != 0:
        _open_folders_of_interpreter()
    hide = "hidepid=2" if runtime.hidden_processes else ""
    if runtime.spaces & _NEW_PIDS or hide:
        _mount("proc", "/proc", "proc", 0, hide)
    if runtime.masked_proc:
        for file in _MASKED_FILES:
            if Path("/proc", file).exists():
                _mount("/dev/null", f"/proc/{file}", "", _BIND)
        for folder in _READ_ONLY_FOLDERS:
            if Path("/proc", folder).exists():
                _make_read_only(f"/proc/{folder}")
    if runtime.own_devices:
        _own_devices()
    if runtime.own_tmp and not Path(__file__).is_relative_to("/tmp"):
        _mount("tmpfs", "/tmp", "tmpfs", 0, "mode=1777")
    elif runtime.read_only:
        _mount("/tmp", "/tmp", "", _BIND)  # A mount of its own stays as it is.
    if runtime.read_only:
        _mount("", "/", "", _BIND | _REMOUNT | _READ_ONLY)


def _open_folders_of_interpreter() -> None:
    """Let every user walk to the interpreter, were it under root's home."""
    interpreter = Path(sys.executable).resolve()
    closed = [folder for folder in interpreter.parents if folder.stat().st_mode & 0o5 != 0o5]
    for folder in closed[:1]:
        child = folder / interpreter.relative_to(folder).parts[0]
        with tempfile.TemporaryDirectory() as hold:
            _mount(str(child), hold, "", _BIND)
            _mount("tmpfs", str(folder), "tmpfs", 0, "mode=755")
            child.mkdir()
            _mount(hold, str(child), "", _BIND)
            _checked(_LIBC.umount2(hold.encode(), 0), "umount")


def _own_devices() -> None:
    names = [
        name for name in ("null", "zero", "full", "random", "urandom", "tty") if Path("/dev", name).exists()
    ]
    with tempfile.TemporaryDirectory() as hold:
        _mount("tmpfs", hold, "tmpfs", 0, "mode=755")
        for name in names:
            Path(hold, name).touch()
            _mount(f"/dev/{name}", f"{hold}/{name}", "", _BIND)
        Path(hold, "shm").mkdir(mode=0o1777)
        _mount(hold, "/dev", "", _BIND | _RECURSIVE)
        _checked(_LIBC.umount2(hold.encode(), 2), "umount")


def _make_read_only(path: str) -> None:
    _mount(path, path, "", _BIND | _RECURSIVE)
    _mount("", path, "", _BIND | _REMOUNT | _READ_ONLY)


def _mount(source: str, target: str, kind: str, flags: int, data: str = "") -> None:
    words = [word.encode() or None for word in (source, target, kind)]
    _checked(_LIBC.mount(*words, ctypes.c_ulong(flags), data.encode() or None), f"mount {target}")


def _filter(instructions: bytes) -> None:
    held = ctypes.create_string_buffer(instructions, len(instructions))
    described = ctypes.create_string_buffer(
        struct.pack("@HP", len(instructions) // 8, ctypes.addressof(held)), 16
    )
    _prctl(22, 2, ctypes.addressof(described))


def _become(runtime: Runtime) -> None:
    """Leave root's user and every capability that is not granted, as runc does after the filter."""
    for capability in range(_MOST_CAPABILITIES):
        if capability not in runtime.capabilities and _LIBC.prctl(24, capability, 0, 0, 0) < 0:
            break  # PR_CAPBSET_DROP of a number behind the last one
    os.setgroups([])
    os.setresgid(runtime.uid, runtime.uid, runtime.uid)
    os.setresuid(runtime.uid, runtime.uid, runtime.uid)
    granted = sum(1 << capability for capability in runtime.capabilities)
    header = ctypes.create_string_buffer(struct.pack("=Ii", 0x20080522, 0), 8)
    sets = struct.pack("=6I", *[granted & 0xFFFFFFFF] * 2, 0, *[granted >> 32] * 2, 0)
    _checked(_LIBC.capset(header, ctypes.create_string_buffer(sets, len(sets))), "capset")
    _prctl(1, 9)  # Killed when the launcher is: a time-out of the tests leaves nobody behind.
    _prctl(4, 1)  # Dumpable, as a program that this user started.


def _prctl(option: int, value: int, address: int = 0) -> None:
    _checked(_LIBC.prctl(option, ctypes.c_ulong(value), ctypes.c_ulong(address), 0, 0), f"prctl {option}")


def _checked(result: int, what: str) -> None:
    if result:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
