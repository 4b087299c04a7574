"""Which system calls the sealed processes may make: the rules as data. Pure; `bpf` compiles them.

One list is for the process that fetches, the others are for the decoders. Two filters hold for a child, and
the kernel takes the stricter answer. The template's names all that may be done and is paid for once; the
child's only takes back what the template alone needs, because it is paid for with every image.
"""

import errno
import signal
from collections.abc import Mapping
from dataclasses import dataclass

ALLOW = 0x7FFF0000
KILL_PROCESS = 0x80000000
ERRNO = 0x00050000

EVERY_BIT = (1 << 64) - 1
INT_BITS = (1 << 32) - 1
"""For arguments that the kernel declares `int`: it ignores their upper half, so a rule must ignore it too."""


@dataclass(frozen=True, slots=True)
class Check:
    """Argument `index`, seen through `mask` (of 64 bits), has this value."""

    index: int
    mask: int
    equals: int


@dataclass(frozen=True, slots=True)
class When:
    """What the first check that holds leads to, else the other action."""

    cases: "tuple[tuple[Check, Rule], ...]"
    otherwise: int


Rule = int | When


@dataclass(frozen=True, slots=True)
class Rules:
    """Rules by name, and what happens to every number that no name has."""

    by_name: Mapping[str, Rule]
    default: int


def refuse(code: int) -> int:
    """The action that makes no call and answers with an errno."""
    return ERRNO | code


def template_rules(*, may_read_files: bool) -> Rules:
    """The allow-list. `may_read_files` is for drawing with fonts: Landlock must then say which files."""
    by_name: dict[str, Rule] = {
        **dict.fromkeys(_ALLOWED.split(), ALLOW),
        **dict.fromkeys(_TEMPLATE_ONLY.split(), ALLOW),
        **dict.fromkeys(_ON_PATHS.split(), refuse(errno.EACCES)),
        **dict.fromkeys(_NOT_PERMITTED.split(), refuse(errno.EPERM)),
        **dict.fromkeys(_HOSTILE.split(), KILL_PROCESS),
        **_CHECKED,
    }
    if may_read_files:
        by_name |= _READING
    # Libraries probe for new calls and do without; a list that kills them breaks with the next libc.
    return Rules(by_name, default=refuse(errno.ENOSYS))


def fetch_rules() -> Rules:
    """The allow-list of the process that fetches: it connects out over TCP and UDP, and nothing comes in."""
    return Rules(
        {
            **dict.fromkeys(_ON_PATHS.split(), refuse(errno.EACCES)),
            **dict.fromkeys((_NOT_PERMITTED + _TEMPLATE_ONLY).split(), refuse(errno.EPERM)),
            **dict.fromkeys((_HOSTILE + _TO_FORK).split(), KILL_PROCESS),
            # These are among the former for a decoder.
            **dict.fromkeys((_ALLOWED + _FETCHING).split(), ALLOW),
            **_CHECKED,
            **_FETCHING_CHECKED,
        },
        default=refuse(errno.ENOSYS),
    )


def child_rules(*, may_start_threads: bool) -> Rules:
    """What a child loses of the template's rules before it sees a stranger's byte."""
    # EAGAIN is what a library hears where threads have run out; asking for a process is deadly either way.
    thread = ALLOW if may_start_threads else refuse(errno.EAGAIN)
    return Rules(
        {
            **dict.fromkeys(("wait4", "waitid", "dup2", "dup3", "close_range"), refuse(errno.EPERM)),
            **dict.fromkeys(("rt_sigaction", "prlimit64"), refuse(errno.EPERM)),
            **dict.fromkeys(("fork", "seccomp", "pidfd_open"), KILL_PROCESS),
            "prctl": When(_NAMING, refuse(errno.EPERM)),
            "clone": When(((_NEW_THREAD, thread),), KILL_PROCESS),
        },
        default=ALLOW,
    )


_CLONE_VM, _CLONE_FS, _CLONE_FILES, _CLONE_SIGHAND, _CLONE_THREAD = 0x100, 0x200, 0x400, 0x800, 0x10000
_CLONE_SYSVSEM, _CLONE_SETTLS, _CLONE_DETACHED = 0x40000, 0x80000, 0x400000
_CLONE_PARENT_SETTID, _CLONE_CHILD_CLEARTID, _CLONE_CHILD_SETTID = 0x100000, 0x200000, 0x1000000
_TIDS = _CLONE_PARENT_SETTID | _CLONE_CHILD_CLEARTID | _CLONE_CHILD_SETTID

# All 64 bits count, so a namespace flag, and whatever a later kernel puts above bit 31, is never among them.
_NEW_THREAD = Check(
    0,
    EVERY_BIT & ~(_CLONE_SYSVSEM | _CLONE_SETTLS | _CLONE_DETACHED | _TIDS),
    _CLONE_VM | _CLONE_FS | _CLONE_FILES | _CLONE_SIGHAND | _CLONE_THREAD,
)
_NEW_PROCESS = Check(0, EVERY_BIT & ~_TIDS, signal.SIGCHLD)

_PROT_READ, _PROT_WRITE = 1, 2
_DATA_ONLY = When(((Check(2, EVERY_BIT & ~(_PROT_READ | _PROT_WRITE), 0), ALLOW),), refuse(errno.EPERM))

_F_GETFD, _F_SETFD, _F_GETFL, _F_DUPFD_CLOEXEC = 1, 2, 3, 1030
_PR_SET_PDEATHSIG, _PR_SET_NAME, _PR_SET_VMA = 1, 15, 0x53564D41
_SECCOMP_SET_MODE_FILTER = 1

_NAMING = tuple((Check(0, INT_BITS, option), ALLOW) for option in (_PR_SET_NAME, _PR_SET_VMA))

_CHECKED: dict[str, Rule] = {
    "mmap": _DATA_ONLY,
    "mprotect": _DATA_ONLY,
    "pkey_mprotect": _DATA_ONLY,
    "clone": When(((_NEW_THREAD, ALLOW), (_NEW_PROCESS, ALLOW)), KILL_PROCESS),
    # The flags of clone3 lie in memory, where no filter can look; libc then asks for clone.
    "clone3": refuse(errno.ENOSYS),
    "fcntl": When(
        tuple(
            (Check(1, INT_BITS, command), ALLOW)
            for command in (_F_GETFD, _F_SETFD, _F_GETFL, _F_DUPFD_CLOEXEC)
        ),
        refuse(errno.EPERM),
    ),
    "prctl": When((*_NAMING, (Check(0, INT_BITS, _PR_SET_PDEATHSIG), ALLOW)), refuse(errno.EPERM)),
    "prlimit64": When(((Check(0, INT_BITS, 0), ALLOW),), refuse(errno.EPERM)),
    "seccomp": When(((Check(0, INT_BITS, _SECCOMP_SET_MODE_FILTER), ALLOW),), KILL_PROCESS),
    "ioctl": refuse(errno.ENOTTY),
}

_AF_INET, _AF_INET6 = 2, 10
_SOCK_STREAM, _SOCK_DGRAM, _SOCK_NONBLOCK, _SOCK_CLOEXEC = 1, 2, 0x800, 0x80000
_IPPROTO_TCP, _IPPROTO_UDP, _IPPROTO_IPV6 = 6, 17, 41
_F_ADD_SEALS, _F_GET_SEALS = 1033, 1034
_FIONBIO = 0x5421
_SOL_SOCKET, _SO_KEEPALIVE, _SO_LINGER, _TCP_NODELAY, _IPV6_V6ONLY = 1, 9, 13, 1, 26


def _any_of(index: int, values: tuple[int, ...], then: Rule, otherwise: int) -> When:
    return When(tuple((Check(index, INT_BITS, value), then) for value in values), otherwise)


# A filter is paid for with every call, so each branch names its way to the end.
_TYPED = INT_BITS & ~(_SOCK_NONBLOCK | _SOCK_CLOEXEC)
_PLAIN_SOCKET = When(
    (
        (Check(1, _TYPED, _SOCK_STREAM), _any_of(2, (0, _IPPROTO_TCP), ALLOW, KILL_PROCESS)),
        (Check(1, _TYPED, _SOCK_DGRAM), _any_of(2, (0, _IPPROTO_UDP), ALLOW, KILL_PROCESS)),
    ),
    KILL_PROCESS,
)
_FETCHING_CHECKED: dict[str, Rule] = {
    "socket": _any_of(0, (_AF_INET, _AF_INET6), _PLAIN_SOCKET, KILL_PROCESS),
    "setsockopt": When(
        (
            (
                Check(1, INT_BITS, _SOL_SOCKET),
                _any_of(2, (_SO_KEEPALIVE, _SO_LINGER), ALLOW, refuse(errno.EPERM)),
            ),
            (Check(1, INT_BITS, _IPPROTO_TCP), _any_of(2, (_TCP_NODELAY,), ALLOW, refuse(errno.EPERM))),
            (Check(1, INT_BITS, _IPPROTO_IPV6), _any_of(2, (_IPV6_V6ONLY,), ALLOW, refuse(errno.EPERM))),
        ),
        refuse(errno.EPERM),
    ),
    "fcntl": _any_of(
        1,
        (_F_GETFD, _F_SETFD, _F_GETFL, _F_DUPFD_CLOEXEC, _F_ADD_SEALS, _F_GET_SEALS),
        ALLOW,
        refuse(errno.EPERM),
    ),
    "ioctl": _any_of(1, (_FIONBIO,), ALLOW, refuse(errno.ENOTTY)),
    # A library that starts a thread hears that there are none left; a process is deadly.
    "clone": When(((_NEW_THREAD, refuse(errno.EAGAIN)),), KILL_PROCESS),
    "seccomp": KILL_PROCESS,
    "prctl": When(_NAMING, refuse(errno.EPERM)),
    "prlimit64": refuse(errno.EPERM),
}

_O_NONBLOCK, _O_NOCTTY, _O_CLOEXEC = 0x800, 0x100, 0x80000
# O_DIRECTORY, O_NOFOLLOW, O_DIRECT and O_LARGEFILE, in an order that differs by architecture.
_O_HARMLESS = 0x4000 | 0x8000 | 0x10000 | 0x20000
_READ_ONLY = INT_BITS & ~(_O_NONBLOCK | _O_NOCTTY | _O_CLOEXEC | _O_HARMLESS)

_READING: dict[str, Rule] = {
    "open": When(((Check(1, _READ_ONLY, 0), ALLOW),), refuse(errno.EACCES)),
    "openat": When(((Check(2, _READ_ONLY, 0), ALLOW),), refuse(errno.EACCES)),
    # Landlock does not rule over these; they tell that a file exists and how long it is, never what it holds.
    **dict.fromkeys(("newfstatat", "statx", "readlink", "readlinkat", "getdents64"), ALLOW),
}

_ALLOWED = """
    read write readv writev pread64 pwrite64 lseek close fstat
    recvmsg recvfrom sendmsg sendto shutdown poll ppoll
    munmap mremap madvise brk futex membarrier
    set_robust_list set_tid_address rseq sched_yield sched_getaffinity getcpu
    exit exit_group rt_sigreturn rt_sigprocmask sigaltstack restart_syscall
    clock_gettime clock_getres clock_nanosleep nanosleep gettimeofday time
    getpid gettid getppid getuid geteuid getgid getegid getrandom getrusage sysinfo
"""

_TEMPLATE_ONLY = "wait4 waitid pidfd_open dup2 dup3 close_range rt_sigaction fork"

_FETCHING = """
    connect getsockname getpeername getsockopt memfd_create epoll_create1 epoll_ctl epoll_wait epoll_pwait
"""
_TO_FORK = " fork pidfd_open"

_ON_PATHS = """
    open openat openat2 creat stat lstat newfstatat statx access faccessat faccessat2 readlink readlinkat
    getdents getdents64 getcwd chdir fchdir truncate statfs unlink unlinkat rename renameat renameat2
    mkdir mkdirat rmdir link linkat symlink symlinkat
    chmod fchmodat chown lchown fchownat mknod mknodat utimensat
"""

# abort() in libc tries tgkill and dies by a trap when it may not.
_NOT_PERMITTED = """
    tgkill getsockname getpeername getsockopt setsockopt ftruncate fallocate
    epoll_create1 epoll_ctl epoll_wait epoll_pwait
"""

_HOSTILE = """
    execve execveat vfork kill tkill rt_sigqueueinfo rt_tgsigqueueinfo pidfd_send_signal pidfd_getfd
    ptrace process_vm_readv process_vm_writev process_madvise kcmp personality
    socket socketpair connect bind listen accept accept4
    bpf perf_event_open userfaultfd io_uring_setup io_uring_enter io_uring_register io_setup
    keyctl add_key request_key memfd_create memfd_secret open_by_handle_at name_to_handle_at
    unshare setns mount umount2 pivot_root chroot
    open_tree move_mount fsopen fsconfig fsmount fspick mount_setattr
    kexec_load kexec_file_load init_module finit_module delete_module
    reboot swapon swapoff acct quotactl syslog
    settimeofday clock_settime adjtimex clock_adjtime sethostname setdomainname iopl ioperm modify_ldt
    shmget shmat shmctl shmdt semget semop semctl semtimedop msgget msgsnd msgrcv msgctl mq_open
    inotify_init inotify_init1 fanotify_init
    capset setuid setgid setreuid setregid setresuid setresgid setfsuid setfsgid setgroups
    landlock_create_ruleset landlock_add_rule landlock_restrict_self
"""
