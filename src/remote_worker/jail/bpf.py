"""Rules become a classic-BPF program, and the kernel takes it as a filter of this process."""

import ctypes
import struct

from . import kernel
from .failure import Layer, SealFailed
from .rules import INT_BITS, KILL_PROCESS, Rule, Rules, When
from .syscalls import X86_64, Architecture, present

INSTRUCTION = struct.Struct("=HBBI")
"""struct sock_filter: code, jump if true, jump if false, operand."""


def compile_rules(rules: Rules, architecture: Architecture) -> bytes:
    """The program: a binary search for the number, about eight steps a call instead of hundreds."""
    body = _search(_spans(rules, architecture))
    return b"".join(
        [
            _op(_LOAD, _ARCHITECTURE),
            _op(_IF_EQUAL, architecture.audit, yes=1),
            _op(_RETURN, KILL_PROCESS),
            _op(_LOAD, _NUMBER),
            *body,
        ]
    )


class Filter:
    """A compiled program laid out in memory as the kernel wants it, so that installing it is one call."""

    def __init__(self, program: bytes) -> None:
        self._program = ctypes.create_string_buffer(program, len(program))
        fprog = struct.pack("@HP", len(program) // INSTRUCTION.size, ctypes.addressof(self._program))
        described = ctypes.create_string_buffer(fprog, len(fprog))
        self._call = kernel.Call("seccomp", _SET_MODE_FILTER, 0, described)

    def install(self) -> None:
        """From here on the filter holds, for good. Raises SealFailed."""
        try:
            self._call()
        except OSError as refusal:
            raise SealFailed(
                Layer.SECCOMP,
                f"the kernel took no filter: {refusal.strerror}; if a filter around this service is why, let "
                "it allow the call seccomp (systemd: SystemCallFilter=@sandbox)",
            ) from refusal


def prepare(rules: Rules) -> Filter:
    """Compile for the architecture of this process."""
    return Filter(compile_rules(rules, present()))


_LOAD, _RETURN, _AND, _IF_EQUAL, _IF_AT_LEAST, _JUMP = 0x20, 0x06, 0x54, 0x15, 0x35, 0x05
_SET_MODE_FILTER = 1
_FARTHEST_JUMP = 255
_X32_BIT = 0x40000000

# struct seccomp_data: int nr; u32 arch; u64 instruction_pointer; u64 args[6]. Both are little-endian.
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16


def _op(code: int, operand: int, *, yes: int = 0, no: int = 0) -> bytes:
    return INSTRUCTION.pack(code, yes, no, operand)


def _spans(rules: Rules, architecture: Architecture) -> list[tuple[int, Rule]]:
    """Where in the line of all numbers a rule begins to hold, in rising order from 0."""
    by_number: dict[int, Rule] = {}
    for name, rule in rules.by_name.items():
        number = architecture.number(name)
        if number is not None:
            by_number[number] = rule
    spans: list[tuple[int, Rule]] = [(0, rules.default)]
    for number, rule in sorted(by_number.items()):
        for start, holds in ((number, rule), (number + 1, rules.default)):
            if spans[-1][0] == start:
                spans.pop()
            if not spans or spans[-1][1] != holds:
                spans.append((start, holds))
    if architecture is X86_64:
        # Numbers of the x32 ABI reach the same calls by another table that no rule here describes.
        spans.append((_X32_BIT, KILL_PROCESS))
    return spans


def _search(spans: list[tuple[int, Rule]]) -> list[bytes]:
    if len(spans) == 1:
        return _answer(spans[0][1])
    middle = len(spans) // 2
    below, above = _search(spans[:middle]), _search(spans[middle:])
    start = spans[middle][0]
    if len(below) <= _FARTHEST_JUMP:
        return [_op(_IF_AT_LEAST, start, yes=len(below)), *below, *above]
    return [_op(_IF_AT_LEAST, start, no=1), _op(_JUMP, len(below)), *below, *above]


def _answer(rule: Rule) -> list[bytes]:
    if not isinstance(rule, When):
        return [_op(_RETURN, rule)]
    steps: list[bytes] = []
    for check, action in rule.cases:
        tests: list[tuple[int, int, int]] = []
        for half in (0, 1):
            mask = check.mask >> 32 * half & INT_BITS
            if mask:
                tests.append(
                    (_ARGUMENTS + 8 * check.index + 4 * half, mask, check.equals >> 32 * half & INT_BITS)
                )
        block = _answer(action)
        for offset, mask, equals in reversed(tests):
            narrow = [] if mask == INT_BITS else [_op(_AND, mask)]
            block = [_op(_LOAD, offset), *narrow, _op(_IF_EQUAL, equals, no=len(block)), *block]
        steps += block
    return [*steps, _op(_RETURN, rule.otherwise)]
