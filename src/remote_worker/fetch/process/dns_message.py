"""DNS messages as far as addresses need them: a question as bytes, addresses out of an answer. Pure.

A lookup asks twice, and a general library takes longer to read one answer than a fetch takes for all its
parsing (docs/decisions/0016-the-fetch-process.md).
"""

import struct
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

A, CNAME, AAAA = 1, 5, 28
NOERROR, NXDOMAIN = 0, 3

MOST_CNAMES = 8
MOST_RECORDS = 64
"""In one answer; past them nobody means to be reached."""

UDP_BYTES = 1232
"""What an answer may have to come in one datagram over any path."""


class BadAnswer(Exception):
    """Not an answer that a name server sends, or far more than one needs."""


class LongChain(Exception):
    """More names in a row than anybody needs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What one server says for one type. `ttl` is the shortest of all records that led here."""

    rcode: int
    is_cut: bool
    addresses: tuple[IPv4Address | IPv6Address, ...]
    ttl: int


def question(name: str, kind: int) -> bytes:
    """The question section. Raises BadAnswer for a name that cannot be asked for."""
    labels = name.rstrip(".").encode("ascii", "replace").split(b".")
    if not all(0 < len(label) < 64 for label in labels) or sum(map(len, labels)) + len(labels) > 254:
        raise BadAnswer("no name of a host")
    return b"".join([bytes([len(label)]) + label for label in labels]) + _QUESTION_END.pack(0, kind, _IN)


def query(number: int, asked: bytes) -> bytes:
    """A whole message: please ask on for us, and up to this many bytes are fine."""
    return _HEADER.pack(number, _RECURSION_DESIRED, 1, 0, 0, 1) + asked + _OPT


def number_of(message: bytes) -> int:
    """The id, by which an answer is told from another; -1 without one."""
    return int.from_bytes(message[:2], "big") if len(message) >= 2 else -1


def read(message: bytes, asked: bytes) -> Answer:
    """The answer to this question. Raises BadAnswer or LongChain."""
    try:
        return _read(message, asked)
    except (struct.error, IndexError) as short:
        raise BadAnswer("it ends early") from short


_HEADER = struct.Struct("!HHHHHH")
_QUESTION_END = struct.Struct("!BHH")
_RECORD = struct.Struct("!HHIH")
_IN = 1
_RESPONSE, _OPCODE, _CUT, _RECURSION_DESIRED = 0x8000, 0x7800, 0x0200, 0x0100
_OPT = struct.pack("!BHHIH", 0, 41, UDP_BYTES, 0, 0)
_POINTER = 0xC0
_LONGEST_NAME = 255
_MOST_POINTERS = 127
"""One before each label that a name can have: a message of nothing else takes a quarter of a second."""
_MOST_TTL = 0x7FFFFFFF
_ADDRESSES: dict[int, tuple[int, type[IPv4Address] | type[IPv6Address]]] = {
    A: (4, IPv4Address),
    AAAA: (16, IPv6Address),
}


def _read(message: bytes, asked: bytes) -> Answer:
    _, flags, questions, answers, _, _ = _HEADER.unpack_from(message)
    at = _HEADER.size + len(asked)
    if not flags & _RESPONSE or flags & _OPCODE or questions != 1:
        raise BadAnswer("no answer")
    if message[_HEADER.size : at].lower() != asked.lower():
        raise BadAnswer("to another question")
    rcode, is_cut = flags & 0xF, bool(flags & _CUT)
    if is_cut or rcode != NOERROR:
        return Answer(rcode=rcode, is_cut=is_cut, addresses=(), ttl=0)
    if answers > MOST_RECORDS:
        raise BadAnswer("too many records")
    kind = int.from_bytes(asked[-4:-2], "big")
    length, family = _ADDRESSES[kind]
    found: dict[bytes, list[tuple[int, bytes]]] = {}
    aliases: dict[bytes, tuple[int, bytes]] = {}
    for _ in range(answers):
        owner, at = _name(message, at)
        its_kind, its_class, ttl, size = _RECORD.unpack_from(message, at)
        at += _RECORD.size
        if at + size > len(message):
            raise BadAnswer("a record ends early")
        if its_class == _IN and its_kind == CNAME:
            aliases[owner] = (ttl, _name(message, at)[0])
        elif its_class == _IN and its_kind == kind and size == length:
            found.setdefault(owner, []).append((ttl, message[at : at + size]))
        at += size
    name, ttls = asked[:-4].lower(), [_MOST_TTL]
    for _ in range(MOST_CNAMES + 1):
        if name not in aliases:
            break
        ttl, name = aliases[name]
        ttls.append(ttl)
    else:
        raise LongChain
    records = found.get(name, [])
    return Answer(
        rcode=rcode,
        is_cut=False,
        addresses=tuple(family(raw) for _, raw in records),
        ttl=min(ttls + [ttl for ttl, _ in records]),
    )


def _name(message: bytes, at: int) -> tuple[bytes, int]:
    """A name with all its labels in lower case and its end, and where the message goes on after it."""
    labels: list[bytes] = []
    total, after, before, pointers = 1, -1, at, 0
    while length := message[at]:
        if length & _POINTER == _POINTER:
            target = int.from_bytes(message[at : at + 2], "big") & 0x3FFF
            after = at + 2 if after < 0 else after
            # Only ever further back, so that it ends.
            if at + 2 > len(message) or target >= before:
                raise BadAnswer("a name that points ahead")
            pointers += 1
            if pointers > _MOST_POINTERS:
                raise BadAnswer("a name that points to pointers")
            at = before = target
            continue
        if length & _POINTER:
            raise BadAnswer("a label of no known kind")
        total += length + 1
        if total > _LONGEST_NAME or at + 1 + length > len(message):
            raise BadAnswer("a name that is too long")
        labels.append(message[at : at + 1 + length])
        at += 1 + length
    return b"".join(labels).lower() + b"\0", (at + 1 if after < 0 else after)
