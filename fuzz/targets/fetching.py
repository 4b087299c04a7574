"""What the process that fetches reads of strangers, and what the host reads of that process."""

import gzip
import json
import struct
import zlib

import dns.exception
import dns.message
import dns.name
import dns.rdatatype

from remote_worker.contract.document import Document
from remote_worker.contract.failures import FailureCode, WorkFailed
from remote_worker.contract.links import Purpose
from remote_worker.fetch import messages
from remote_worker.fetch.messages import HostileReply
from remote_worker.fetch.process import dns_message, sniff
from remote_worker.fetch.process.coding import MOST_RATIO, RATIO_BYTES, STEP_BYTES, Unpacker

from ..choices import Choices

_ASKED = {kind: dns_message.question("a.test", kind) for kind in (dns_message.A, dns_message.AAAA)}
_TYPES = {FailureCode.ATTACHMENT, FailureCode.NOT_HTML, FailureCode.TYPE_MISMATCH}


def dns_answer(data: bytes) -> None:
    """An answer is read as another library reads it, or refused."""
    choices = Choices(data)
    kind = choices.one_of(tuple(_ASKED))
    asked = _ASKED[kind]
    counts = (1, *(choices.number(0, 3) for _ in range(3)))
    message = b"\x00\x07\x81\x80" + struct.pack("!4H", *counts) + asked + choices.rest()
    try:
        answer = dns_message.read(message, asked)
    except (dns_message.BadAnswer, dns_message.LongChain):
        return
    assert len(answer.addresses) <= dns_message.MOST_RECORDS
    assert all(address.version == (4 if kind == dns_message.A else 6) for address in answer.addresses)
    assert answer.ttl >= 0
    try:
        theirs = dns.message.from_wire(message, ignore_trailing=True)
    except (dns.exception.DNSException, ValueError):
        return  # It reads records of types that do not matter, and finds fault with them.
    records = {
        record.to_text()
        for found in theirs.answer
        if found.rdtype == dns.rdatatype.RdataType.make(kind)
        for record in found
    }
    assert set(map(str, answer.addresses)) <= records, (answer, records)


def unpacked(data: bytes) -> None:
    """In whatever pieces it comes, a coding gives the same, in bounded steps, and no more than its ratio."""
    choices = Choices(data)
    layer = choices.one_of(("gzip", "deflate"))
    is_packed = choices.flag()
    size = choices.one_of((1, 2, 3, 7, 100, 5000))
    rest = choices.rest()
    stream = (gzip.compress(rest, mtime=0) if layer == "gzip" else zlib.compress(rest)) if is_packed else rest
    whole, in_pieces = _unpacked(layer, stream, len(stream) + 1), _unpacked(layer, stream, size)
    if isinstance(whole, bytes) or isinstance(in_pieces, bytes):
        assert whole == in_pieces, (whole, in_pieces)
    if is_packed and len(rest) <= RATIO_BYTES and stream:
        assert whole == rest


def _unpacked(layer: str, stream: bytes, size: int) -> bytes | FailureCode:
    unpacker = Unpacker(layer)
    given = bytearray()
    try:
        for at in range(0, len(stream), size):
            for piece in unpacker.unpack(stream[at : at + size]):
                assert len(piece) <= STEP_BYTES
                given += piece
                assert len(given) <= max(RATIO_BYTES, MOST_RATIO * len(stream))
        unpacker.end()
    except WorkFailed as failed:
        assert failed.code in (FailureCode.BAD_ENCODING, FailureCode.TOO_LARGE), failed.code
        # How much of a lie is seen before the ratio counts hangs on the pieces.
        return FailureCode.BAD_ENCODING
    return bytes(given)


def sniffed(data: bytes) -> None:
    """Any header and any first bytes are a type that is wanted, or refused as what they are."""
    choices = Choices(data)
    purpose = choices.one_of(tuple(Purpose))
    declared = choices.text(100)
    first = choices.rest()
    essence = sniff.essence_of([declared])
    assert essence == essence.strip().lower() and ";" not in essence
    try:
        sniff.check_declared(purpose, essence, is_attachment=False)
        found = sniff.media_type(purpose, essence, first)
    except WorkFailed as failed:
        assert failed.code in _TYPES, failed.code
        return
    if purpose is Purpose.PAGE:
        assert found in sniff.HTML or found.startswith("image/"), found
    elif purpose is Purpose.IMAGE:
        assert found.startswith("image/") or found == "application/octet-stream", found
        # What browsers take for a document is no picture, whatever its header says.
        assert not sniff.looks_like_html(first) or sniff.picture_of(first) or sniff.looks_like_svg(first)
    else:
        assert found in ("application/json", "text/xml"), found


def door_reply(data: bytes) -> None:
    """Whatever the process says is a reply with bounds on everything in it, or a hostile one."""
    try:
        _, word, rest = messages.read(data)
        if word == messages.FETCHED:
            with Document.of(b"") as body, messages.fetched_of(rest, body) as fetched:
                assert 100 <= fetched.status <= 599
                assert len(fetched.hops) <= messages.MOST_HOPS
                json.dumps(messages.fetched_as_json(fetched))
        elif word == messages.FAILED:
            failed = messages.failed_of(rest)
            assert failed.code in messages.CODES
            json.dumps(messages.failed_as_json(failed))
        elif word == messages.RESOLVED:
            resolved = messages.resolved_of(rest)
            assert len(resolved.answers) <= messages.MOST_ANSWERS
    except HostileReply:
        return
