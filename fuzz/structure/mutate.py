"""The operators: what can go wrong with a file, drawn from a seeded generator."""

import re
from collections.abc import Callable, Sequence
from random import Random

from .families import family_of
from .family import Family, Field, Order

Operator = Callable[[bytes, bytes, Random], bytes]
"""Makes another file of the first one; the second may lend a part."""

MOST_BYTES = 8 * 1024 * 1024
MOST_OPERATORS = 4
_SIZES = (1, 2, 4, 8)
_ORDERS: tuple[Order, ...] = ("big", "little")
_NUMBER = re.compile(rb"[-+]?[0-9]*\.?[0-9]+(?:e[-+]?[0-9]+)?", re.I)
_TEXT_NUMBERS = (
    b"0",
    b"-1",
    b"1e9",
    b"1e-9",
    b"65536",
    b"2147483648",
    b"nan",
    b"1e308",
    b"0.0001",
    b"100%",
    b"",
)


def mutated(data: bytes, other: bytes, random: Random, *, most_bytes: int = MOST_BYTES) -> tuple[bytes, str]:
    """A file that came of this one, and the names of what was done to it.

    Half of the operators that change a piece leave its length and checksum right, so that readers go on to
    what is inside.
    """
    done = []
    for _ in range(random.randint(1, MOST_OPERATORS)):
        operator = random.choice(OPERATORS)
        data = operator(data, other, random)[:most_bytes]
        done.append(operator.__name__.removeprefix("_"))
    return data, "+".join(done)


def _pieces(data: bytes, other: bytes, random: Random) -> bytes:
    """Delete, double, swap, move or take over a piece, at any depth."""
    family = family_of(data)
    return family.whole(_with_pieces(family, data, other, random, depth=0))


def _with_pieces(family: Family, data: bytes, other: bytes, random: Random, *, depth: int) -> bytes:
    pieces = family.split(data)
    nested = [index for index, piece in enumerate(pieces) if family.inside(piece) is not None]
    if nested and depth < 8 and random.random() < 0.7:
        index = random.choice(nested)
        found = family.inside(pieces[index])
        if found is not None:
            head, content, tail = found
            made = _with_pieces(family, content, other, random, depth=depth + 1)
            pieces[index] = family.sealed(head + made + tail)
        return b"".join(pieces)
    if not pieces:
        return data
    at, to = random.randrange(len(pieces)), random.randrange(len(pieces))
    match random.randrange(6):
        case 0:
            del pieces[at]
        case 1:
            pieces[at:at] = [pieces[at]] * random.choice((1, 1, 2, 16, 300))
        case 2:
            pieces[at], pieces[to] = pieces[to], pieces[at]
        case 3:
            pieces.insert(to, pieces.pop(at))
        case 4:
            theirs = family_of(other).split(other)
            pieces.insert(at, random.choice(theirs) if theirs else b"")
        case _:
            pieces[at] = family.sealed(_content(pieces[at], family.head_bytes, random))
    return b"".join(pieces)


def _content(piece: bytes, head_bytes: int, random: Random) -> bytes:
    """Change, cut or lengthen what a piece says."""
    head, body = piece[:head_bytes], piece[head_bytes:]
    match random.randrange(4):
        case 0:
            return head + body[: random.randint(0, len(body))]
        case 1:
            return head + body + random.randbytes(random.choice((1, 4, 64)))
        case 2:
            return head + body * random.choice((2, 3, 8))
        case _:
            return head + _put(body, _any_field(body, random), random)


def _field(data: bytes, _: bytes, random: Random) -> bytes:
    """Put a telling number where the format has one; lengths and checksums around it stay right or not."""
    family = family_of(data)
    places = [field for field in family.fields(data) if field.at + field.size <= len(data)]
    if places:
        return _put(data, random.choice(places), random)
    pieces = family.split(data)
    # Those at the front say most; what is long holds pixels.
    index = min(random.randrange(len(pieces)), random.randrange(len(pieces))) if pieces else 0
    if not pieces:
        return data
    piece = pieces[index]
    if family.name == "svg":
        pieces[index] = _attribute(piece, random)
    else:
        changed = _put(piece, _any_field(piece[:64], random), random)
        pieces[index] = family.sealed(changed) if random.random() < 0.5 else changed
    return b"".join(pieces)


def _attribute(tag: bytes, random: Random) -> bytes:
    """Another number in a tag, or an attribute more or less."""
    numbers = list(_NUMBER.finditer(tag))
    if numbers and random.random() < 0.7:
        found = random.choice(numbers)
        return tag[: found.start()] + random.choice(_TEXT_NUMBERS) + tag[found.end() :]
    words = tag.split(b" ")
    at = random.randrange(len(words))
    words[at:at] = random.choice(([], words[at : at + 1], [b'transform="scale(1e9)"'], [b'href="#a"']))
    if random.random() < 0.5:
        del words[random.randrange(len(words))]
    return b" ".join(words)


def _flip(data: bytes, _: bytes, random: Random) -> bytes:
    """Turn over some bits."""
    changed = bytearray(data)
    for _count in range(random.choice((1, 1, 4, 32))):
        if changed:
            changed[random.randrange(len(changed))] ^= 1 << random.randrange(8)
    return bytes(changed)


def _cut(data: bytes, _: bytes, random: Random) -> bytes:
    """End too early."""
    return data[: random.randint(0, len(data))]


def _splice(data: bytes, other: bytes, random: Random) -> bytes:
    """The front of one and the back of another."""
    return data[: random.randint(0, len(data))] + other[random.randint(0, len(other)) :]


def _repeat(data: bytes, _: bytes, random: Random) -> bytes:
    """A stretch again and again."""
    start = random.randint(0, len(data))
    stretch = data[start : start + random.choice((1, 16, 256, 4096))]
    return data[:start] + stretch * random.choice((2, 16, 256)) + data[start:]


def _any_field(data: bytes, random: Random) -> Field:
    size = random.choice(_SIZES)
    return Field(random.randint(0, max(0, len(data) - size)), size, random.choice(_ORDERS))


def _put(data: bytes, field: Field, random: Random) -> bytes:
    most = (1 << 8 * field.size) - 1
    now = int.from_bytes(data[field.at : field.at + field.size], field.order)
    numbers: Sequence[int] = (
        0,
        1,
        2,
        255,
        256,
        0x7FFF,
        0xFFFF,
        0x10000,
        most >> 1,
        (most >> 1) + 1,
        most - 7,
        most,
    )
    near = (now + 1, now - 1, now * 2, now // 2, now ^ (1 << random.randrange(8 * field.size)), len(data))
    value = random.choice((*numbers, *near, random.randint(0, most))) & most
    made = value.to_bytes(field.size, field.order)
    return data[: field.at] + made + data[field.at + field.size :]


OPERATORS: tuple[Operator, ...] = (
    _pieces,
    _pieces,
    _pieces,
    _field,
    _field,
    _field,
    _flip,
    _cut,
    _splice,
    _repeat,
)
