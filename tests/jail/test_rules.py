"""What the compiled programs answer, asked through an interpreter: so aarch64 is tried on any machine."""

import errno
import signal

import pytest
from classic_bpf import run

from remote_worker.jail import bpf, rules
from remote_worker.jail.syscalls import AARCH64, NUMBERS, X86_64, Architecture

ALLOW = 0x7FFF0000  # SECCOMP_RET_* of <linux/seccomp.h>
KILL = 0x80000000


def refused(code: int) -> int:
    return 0x00050000 | code


THREAD_OF_GLIBC = 0x3D0F00
THREAD_OF_MUSL = 0x7D0F00
FORK_OF_GLIBC = 0x01200011
ON_BOTH = [X86_64, AARCH64]


class Filters:
    """The programs of one architecture, answering together as the kernel does: the stricter one wins."""

    def __init__(self, architecture: Architecture, *, may_read_files: bool = False, threads: bool = True):
        self.architecture = architecture
        self.first = bpf.compile_rules(rules.template_rules(may_read_files=may_read_files), architecture)
        self.second = bpf.compile_rules(rules.child_rules(may_start_threads=threads), architecture)

    def template(self, name: str, *arguments: int) -> int:
        number = self.architecture.number(name)
        assert number is not None
        return self.template_number(number, *arguments)

    def template_number(self, number: int, *arguments: int) -> int:
        return run(self.first, self.architecture.audit, number, arguments)

    def child(self, name: str, *arguments: int) -> int:
        number = self.architecture.number(name)
        assert number is not None
        answers = [
            run(program, self.architecture.audit, number, arguments) for program in (self.first, self.second)
        ]
        return min(answers, key=lambda answer: answer - (1 << 32) if answer & KILL else answer)


@pytest.fixture(params=ON_BOTH, ids=lambda architecture: architecture.name)
def filters(request) -> Filters:
    return Filters(request.param)


ALLOWED_TO_A_CHILD = """
    read write readv writev pread64 pwrite64 lseek close fstat recvmsg recvfrom sendmsg sendto shutdown
    munmap mremap madvise brk futex set_robust_list rseq exit exit_group
    rt_sigreturn rt_sigprocmask sigaltstack restart_syscall
    clock_gettime clock_getres clock_nanosleep nanosleep gettimeofday getpid gettid getrandom sched_yield
    sched_getaffinity getcpu membarrier ppoll getrusage
""".split()

DEADLY = """
    execve execveat kill tkill rt_sigqueueinfo pidfd_send_signal pidfd_getfd ptrace process_vm_readv
    process_vm_writev socket socketpair connect bind listen accept accept4 bpf perf_event_open userfaultfd
    io_uring_setup io_uring_enter io_uring_register keyctl add_key request_key memfd_create memfd_secret
    open_by_handle_at personality unshare setns mount umount2 pivot_root chroot move_mount fsopen fsmount
    kexec_load init_module finit_module delete_module reboot shmget shmat semget msgget
    inotify_init1 fanotify_init
""".split()

TAKEN_BACK = {
    "wait4": refused(errno.EPERM),
    "waitid": refused(errno.EPERM),
    "dup3": refused(errno.EPERM),
    "close_range": refused(errno.EPERM),
    "rt_sigaction": refused(errno.EPERM),
    "pidfd_open": KILL,
}

# The call, its arguments, and the answers to template and child.
WITH_ARGUMENTS = [
    ("mmap", (0, 4096, 0), ALLOW, ALLOW),
    ("mmap", (0, 4096, 3), ALLOW, ALLOW),
    ("mmap", (0, 4096, 4), refused(errno.EPERM), refused(errno.EPERM)),
    ("mmap", (0, 4096, 7), refused(errno.EPERM), refused(errno.EPERM)),
    ("mmap", (0, 4096, 1 << 32 | 3), refused(errno.EPERM), refused(errno.EPERM)),
    ("mprotect", (0, 4096, 1), ALLOW, ALLOW),
    ("mprotect", (0, 4096, 5), refused(errno.EPERM), refused(errno.EPERM)),
    ("pkey_mprotect", (0, 4096, 3, 0), ALLOW, ALLOW),
    ("pkey_mprotect", (0, 4096, 5, 0), refused(errno.EPERM), refused(errno.EPERM)),
    ("clone", (THREAD_OF_GLIBC,), ALLOW, ALLOW),
    ("clone", (THREAD_OF_MUSL,), ALLOW, ALLOW),
    ("clone", (THREAD_OF_GLIBC & ~0x10000,), KILL, KILL),  # shares memory and is a process of its own
    ("clone", (THREAD_OF_GLIBC | 0x10000000,), KILL, KILL),  # CLONE_NEWUSER
    ("clone", (FORK_OF_GLIBC,), ALLOW, KILL),
    ("clone", (signal.SIGCHLD,), ALLOW, KILL),
    ("clone", (0,), KILL, KILL),
    ("clone", (FORK_OF_GLIBC | 0x00020000,), KILL, KILL),  # CLONE_NEWNS
    ("clone", (FORK_OF_GLIBC | 0x40000000,), KILL, KILL),  # CLONE_NEWNET
    ("clone", (FORK_OF_GLIBC | 0x4000,), KILL, KILL),  # CLONE_VFORK
    ("clone", (FORK_OF_GLIBC | 0x8000,), KILL, KILL),  # CLONE_PARENT
    ("clone", (FORK_OF_GLIBC | 1 << 33,), KILL, KILL),  # CLONE_INTO_CGROUP, which only clone3 takes today
    ("clone3", (0, 88), refused(errno.ENOSYS), refused(errno.ENOSYS)),
    ("fcntl", (3, 1), ALLOW, ALLOW),  # F_GETFD
    ("fcntl", (3, 2), ALLOW, ALLOW),  # F_SETFD
    ("fcntl", (3, 3), ALLOW, ALLOW),  # F_GETFL
    ("fcntl", (3, 1030), ALLOW, ALLOW),  # F_DUPFD_CLOEXEC
    ("fcntl", (3, 0xFFFFFFFF << 32 | 1), ALLOW, ALLOW),  # the kernel does not look at the upper half either
    ("fcntl", (3, 4), refused(errno.EPERM), refused(errno.EPERM)),  # F_SETFL
    ("fcntl", (3, 8), refused(errno.EPERM), refused(errno.EPERM)),  # F_SETOWN
    ("fcntl", (3, 1033), refused(errno.EPERM), refused(errno.EPERM)),  # F_ADD_SEALS
    ("prctl", (15, 0), ALLOW, ALLOW),  # PR_SET_NAME
    ("prctl", (0x53564D41, 0), ALLOW, ALLOW),  # PR_SET_VMA
    ("prctl", (1, 9), ALLOW, refused(errno.EPERM)),  # PR_SET_PDEATHSIG
    ("prctl", (4, 1), refused(errno.EPERM), refused(errno.EPERM)),  # PR_SET_DUMPABLE
    ("prctl", (22, 0), refused(errno.EPERM), refused(errno.EPERM)),  # PR_SET_SECCOMP
    ("prlimit64", (0, 0), ALLOW, refused(errno.EPERM)),
    ("prlimit64", (1, 0), refused(errno.EPERM), refused(errno.EPERM)),
    ("seccomp", (1, 0), ALLOW, KILL),
    ("seccomp", (0, 0), KILL, KILL),  # strict mode
    ("openat", (0xFFFFFF9C, 0, 0), refused(errno.EACCES), refused(errno.EACCES)),
    ("newfstatat", (3, 0, 0, 0x1000), refused(errno.EACCES), refused(errno.EACCES)),
    ("ioctl", (1, 0x5401), refused(errno.ENOTTY), refused(errno.ENOTTY)),
    ("tgkill", (1, 1, 6), refused(errno.EPERM), refused(errno.EPERM)),
    ("ftruncate", (4, 0), refused(errno.EPERM), refused(errno.EPERM)),
]


@pytest.mark.parametrize("name", ALLOWED_TO_A_CHILD)
def test_what_a_decoder_needs_is_allowed(filters, name):
    assert filters.template(name) == ALLOW
    assert filters.child(name) == ALLOW


@pytest.mark.parametrize("name", DEADLY)
def test_what_only_an_attack_would_ask_for_kills(filters, name):
    assert filters.template(name) == KILL
    assert filters.child(name) == KILL


@pytest.mark.parametrize(("name", "answer"), TAKEN_BACK.items())
def test_a_child_loses_what_only_the_template_needs(filters, name, answer):
    assert filters.template(name) == ALLOW
    assert filters.child(name) == answer


@pytest.mark.parametrize(("name", "arguments", "to_template", "to_child"), WITH_ARGUMENTS)
def test_arguments_decide(filters, name, arguments, to_template, to_child):
    assert filters.template(name, *arguments) == to_template
    assert filters.child(name, *arguments) == to_child


@pytest.mark.parametrize(
    ("name", "to_template", "to_child"),
    [
        ("fork", ALLOW, KILL),
        ("vfork", KILL, KILL),
        ("dup2", ALLOW, refused(errno.EPERM)),
        ("time", ALLOW, ALLOW),
    ],
)
def test_calls_that_only_x86_64_has_are_ruled_too(name, to_template, to_child):
    filters = Filters(X86_64)

    assert filters.template(name) == to_template
    assert filters.child(name) == to_child


def test_every_number_without_a_name_is_answered_as_if_the_kernel_did_not_have_it(filters):
    named = {filters.architecture.number(name) for name in NUMBERS}

    for number in [*range(600), 9999, 0x3FFFFFFF]:
        if number not in named:
            assert filters.template_number(number) == refused(errno.ENOSYS), number


def test_every_named_number_gets_the_answer_of_its_own_rule(filters):
    by_name = rules.template_rules(may_read_files=False).by_name

    for name, rule in by_name.items():
        number = filters.architecture.number(name)
        if number is not None and isinstance(rule, int):
            assert filters.template_number(number) == rule, name


@pytest.mark.parametrize(
    "number", [0x40000000, 0x40000000 | 0, 0x40000000 | 59, 0x40000000 | 520, 0xFFFFFFFF]
)
def test_the_second_table_of_x86_64_is_deadly(number):
    assert Filters(X86_64).template_number(number) == KILL


@pytest.mark.parametrize("own", ON_BOTH, ids=lambda architecture: architecture.name)
@pytest.mark.parametrize("other", [0x40000003, 0xC000003E, 0xC00000B7, 0x40000028, 0])
def test_a_call_by_another_architecture_is_deadly(own, other):
    filters = Filters(own)
    number = own.number("getpid")

    answer = run(filters.first, other, number)

    assert answer == (ALLOW if other == own.audit else KILL)


@pytest.mark.parametrize("architecture", ON_BOTH, ids=lambda architecture: architecture.name)
@pytest.mark.parametrize(
    ("flags", "answer"),
    [
        (0, ALLOW),
        (0o2000000, ALLOW),  # O_CLOEXEC
        (1, refused(errno.EACCES)),  # O_WRONLY
        (2, refused(errno.EACCES)),  # O_RDWR
        (3, refused(errno.EACCES)),
        (0o100, refused(errno.EACCES)),  # O_CREAT
        (0o1000, refused(errno.EACCES)),  # O_TRUNC
        (0o2000, refused(errno.EACCES)),  # O_APPEND
        (0o10000000, refused(errno.EACCES)),  # O_PATH
        (0o20000000, refused(errno.EACCES)),  # O_TMPFILE
        (0o2000000 | 2, refused(errno.EACCES)),
    ],
)
def test_one_that_may_read_files_opens_them_for_nothing_else(architecture, flags, answer):
    filters = Filters(architecture, may_read_files=True)

    assert filters.child("openat", 0xFFFFFF9C, 0, flags) == answer
    assert filters.child("newfstatat") == ALLOW
    assert filters.child("unlinkat") == refused(errno.EACCES)
    assert filters.child("openat2") == refused(errno.EACCES)


def test_a_child_without_threads_hears_that_none_is_left_and_dies_of_a_fork(filters):
    without = Filters(filters.architecture, threads=False)

    assert without.child("clone", THREAD_OF_GLIBC) == refused(errno.EAGAIN)
    assert without.child("clone", FORK_OF_GLIBC) == KILL
    assert filters.child("clone", THREAD_OF_GLIBC) == ALLOW


def test_a_call_is_judged_in_few_steps(filters):
    longest = 0
    for number in range(600):
        steps: list[int] = []
        run(filters.first, filters.architecture.audit, number, steps=steps)
        longest = max(longest, len(steps))

    assert longest < 30
    assert len(filters.first) // 8 < 600
    assert len(filters.second) // 8 < 80


class Fetching:
    """The one program of the process that fetches."""

    def __init__(self, architecture: Architecture):
        self.architecture = architecture
        self.program = bpf.compile_rules(rules.fetch_rules(), architecture)

    def ask(self, name: str, *arguments: int) -> int:
        number = self.architecture.number(name)
        assert number is not None
        return run(self.program, self.architecture.audit, number, arguments)


@pytest.fixture(params=ON_BOTH, ids=lambda architecture: architecture.name)
def fetching(request) -> Fetching:
    return Fetching(request.param)


AF_UNIX, AF_INET, AF_INET6, AF_NETLINK, AF_PACKET = 1, 2, 10, 16, 17
STREAM, DGRAM, RAW, SEQPACKET, NONBLOCK, CLOEXEC = 1, 2, 3, 5, 0x800, 0x80000


@pytest.mark.parametrize(
    ("arguments", "answer"),
    [
        ((AF_INET, STREAM, 0), ALLOW),
        ((AF_INET6, STREAM | NONBLOCK | CLOEXEC, 6), ALLOW),
        ((AF_INET, DGRAM | CLOEXEC, 17), ALLOW),
        ((AF_INET6, DGRAM, 0), ALLOW),
        ((0xFFFFFFFF00000002, STREAM, 0), ALLOW),  # The kernel looks at the lower half alone.
        ((AF_INET, STREAM, 17), KILL),
        ((AF_INET, DGRAM, 6), KILL),
        ((AF_INET, STREAM, 132), KILL),  # SCTP
        ((AF_INET, STREAM, 262), KILL),  # MPTCP
        ((AF_INET, DGRAM, 1), KILL),  # ICMP
        ((AF_INET, RAW, 0), KILL),
        ((AF_INET, SEQPACKET, 0), KILL),
        ((AF_INET, STREAM | 0x400, 0), KILL),
        ((AF_UNIX, STREAM, 0), KILL),
        ((AF_NETLINK, RAW, 0), KILL),
        ((AF_PACKET, DGRAM, 0), KILL),
        ((0, STREAM, 0), KILL),
    ],
)
def test_a_fetch_opens_sockets_of_tcp_and_udp_and_no_other(fetching, arguments, answer):
    assert fetching.ask("socket", *arguments) == answer


@pytest.mark.parametrize(
    ("name", "arguments", "answer"),
    [
        ("setsockopt", (3, 6, 1), ALLOW),  # TCP_NODELAY
        ("setsockopt", (3, 6, 31), refused(errno.EPERM)),  # TCP_ULP
        ("setsockopt", (3, 1, 9), ALLOW),  # SO_KEEPALIVE
        ("setsockopt", (3, 1, 26), refused(errno.EPERM)),  # SO_ATTACH_FILTER
        ("setsockopt", (3, 0, 64), refused(errno.EPERM)),  # IPT_SO_SET_REPLACE
        ("fcntl", (3, 1033), ALLOW),  # F_ADD_SEALS
        ("fcntl", (3, 4), refused(errno.EPERM)),  # F_SETFL
        ("ioctl", (3, 0x5421), ALLOW),  # FIONBIO
        ("ioctl", (3, 0x5412), refused(errno.ENOTTY)),  # TIOCSTI
        ("clone", (THREAD_OF_GLIBC,), refused(errno.EAGAIN)),
        ("clone", (FORK_OF_GLIBC,), KILL),
        ("mmap", (0, 4096, 3), ALLOW),
        ("mmap", (0, 4096, 5), refused(errno.EPERM)),
        ("prctl", (4, 1), refused(errno.EPERM)),
        ("connect", (), ALLOW),
        ("memfd_create", (), ALLOW),
        ("epoll_pwait", (), ALLOW),
        ("getpeername", (), ALLOW),
        ("bind", (), KILL),
        ("listen", (), KILL),
        ("accept4", (), KILL),
        ("socketpair", (), KILL),
        ("seccomp", (1,), KILL),
        ("pidfd_open", (), KILL),
        ("kill", (), KILL),
        ("execve", (), KILL),
        ("ptrace", (), KILL),
        ("openat", (), refused(errno.EACCES)),
        ("wait4", (), refused(errno.EPERM)),
        ("prlimit64", (0,), refused(errno.EPERM)),
        ("rt_sigaction", (), refused(errno.EPERM)),
        ("ftruncate", (), refused(errno.EPERM)),
    ],
)
def test_a_fetch_may_do_what_dialling_needs(fetching, name, arguments, answer):
    assert fetching.ask(name, *arguments) == answer


def test_a_call_of_a_fetch_is_judged_in_few_steps(fetching):
    longest = 0
    for number in range(600):
        steps: list[int] = []
        run(fetching.program, fetching.architecture.audit, number, steps=steps)
        longest = max(longest, len(steps))

    assert longest < 40
    assert len(fetching.program) // 8 < 600
