"""An interpreter of classic BPF as seccomp runs it, written from the kernel's documentation, for tests."""

import struct


def run(
    program: bytes,
    architecture: int,
    number: int,
    arguments: tuple[int, ...] = (),
    steps: list[int] | None = None,
) -> int:
    """What the filter answers to one call. Fails on whatever the kernel's checker would not have taken."""
    instructions = list(struct.iter_unpack("<HBBI", program))
    assert 0 < len(instructions) <= 4096
    assert instructions[-1][0] == 0x06, "the last instruction returns"
    padded = [*arguments, *[0] * (6 - len(arguments))]
    data = struct.pack("<iIQ6Q", struct.unpack("<i", struct.pack("<I", number))[0], architecture, 0, *padded)
    accumulator = 0
    at = 0
    while True:
        if steps is not None:
            steps.append(at)
        code, yes, no, operand = instructions[at]
        at += 1
        if code == 0x20:  # ld [k]
            assert operand % 4 == 0
            assert operand + 4 <= len(data)
            (accumulator,) = struct.unpack_from("<I", data, operand)
        elif code == 0x54:  # and #k
            accumulator &= operand
        elif code == 0x15:  # jeq #k
            at += yes if accumulator == operand else no
        elif code == 0x35:  # jge #k
            at += yes if accumulator >= operand else no
        elif code == 0x05:  # ja
            at += operand
        elif code == 0x06:  # ret #k
            return operand
        else:
            raise AssertionError(f"instruction {code:#x}")
