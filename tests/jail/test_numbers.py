"""The numbers of system calls agree with the kernel's own headers, and with a list written by hand."""

import re
from pathlib import Path

import pytest

from remote_worker.jail import rules
from remote_worker.jail.syscalls import AARCH64, NUMBERS, X86_64

INCLUDE = Path("/usr/include")

DEFINE = re.compile(r"#define\s+__NR(3264)?_(\w+)\s+(\w+)")
ADDED_AFTER_CLONE3 = 424
"""From here on all architectures share their numbers."""


def defined(header: Path) -> dict[str, int]:
    """Name to number, with aliases such as newfstatat followed (as a 64-bit program sees them)."""
    numbers: dict[str, int] = {}
    aliases: dict[str, str] = {}
    for shared, name, value in DEFINE.findall(header.read_text()):
        if value.isdigit():
            numbers.setdefault(f"__NR3264_{name}" if shared else name, int(value))
        elif value.startswith("__NR3264_"):
            aliases.setdefault(name, value)
    return {**numbers, **{name: numbers[target] for name, target in aliases.items() if target in numbers}}


@pytest.mark.needs_kernel_headers
def test_every_aarch64_number_is_the_kernels_generic_one():
    kernel = defined(next(INCLUDE.glob("**/asm-generic/unistd.h")))

    ours = {name: number for name in NUMBERS if (number := AARCH64.number(name)) is not None}

    assert ours == {name: kernel[name] for name in ours}
    assert {name for name in NUMBERS if AARCH64.number(name) is None}.isdisjoint(
        kernel.keys() - ALIASES_OF_32_BIT
    )


ALIASES_OF_32_BIT = {"fcntl64", "statfs64", "fstatfs64", "truncate64", "ftruncate64", "stat64", "lstat64"}


@pytest.mark.needs_kernel_headers
def test_every_x86_64_number_is_the_kernels():
    header = next(INCLUDE.glob("**/asm/unistd_64.h"), None)
    if header is None or "x86_64" not in str(header):
        pytest.skip("the headers are those of another architecture")
    kernel = defined(header)

    ours = {name: X86_64.number(name) for name in NUMBERS}

    assert ours == {name: kernel[name] for name in ours}


@pytest.mark.parametrize(
    ("name", "x86_64", "aarch64"),
    [
        ("read", 0, 63),
        ("write", 1, 64),
        ("open", 2, None),
        ("openat", 257, 56),
        ("close", 3, 57),
        ("mmap", 9, 222),
        ("mprotect", 10, 226),
        ("munmap", 11, 215),
        ("brk", 12, 214),
        ("clone", 56, 220),
        ("fork", 57, None),
        ("vfork", 58, None),
        ("execve", 59, 221),
        ("execveat", 322, 281),
        ("exit_group", 231, 94),
        ("kill", 62, 129),
        ("tgkill", 234, 131),
        ("ptrace", 101, 117),
        ("socket", 41, 198),
        ("connect", 42, 203),
        ("bind", 49, 200),
        ("sendmsg", 46, 211),
        ("recvmsg", 47, 212),
        ("prctl", 157, 167),
        ("prlimit64", 302, 261),
        ("seccomp", 317, 277),
        ("bpf", 321, 280),
        ("futex", 202, 98),
        ("keyctl", 250, 219),
        ("unshare", 272, 97),
        ("userfaultfd", 323, 282),
        ("io_uring_setup", 425, 425),
        ("pidfd_open", 434, 434),
        ("clone3", 435, 435),
        ("close_range", 436, 436),
        ("landlock_restrict_self", 446, 446),
    ],
)
def test_the_numbers_that_matter_most_are_as_written_by_hand(name, x86_64, aarch64):
    assert X86_64.number(name) == x86_64
    assert AARCH64.number(name) == aarch64


def test_the_architectures_are_named_as_in_the_audit_header():
    assert X86_64.audit == 62 | 0x80000000 | 0x40000000  # EM_X86_64, 64-bit, little-endian
    assert AARCH64.audit == 183 | 0x80000000 | 0x40000000  # EM_AARCH64


def test_no_two_names_share_a_number():
    for architecture in (X86_64, AARCH64):
        numbers = [number for name in NUMBERS if (number := architecture.number(name)) is not None]

        assert len(numbers) == len(set(numbers))


def test_newer_calls_have_one_number_everywhere():
    for name, (x86_64, aarch64) in NUMBERS.items():
        if x86_64 >= ADDED_AFTER_CLONE3:
            assert aarch64 == x86_64, name


def test_every_name_in_the_table_has_a_rule_and_every_rule_a_number():
    ruled = set(rules.template_rules(may_read_files=True).by_name)
    taken_back = set(rules.child_rules(may_start_threads=True).by_name)

    assert ruled == set(NUMBERS)
    assert set(rules.fetch_rules().by_name) == set(NUMBERS)
    assert taken_back < ruled
