"""Questions to a real name server on loopback, and what comes of its answers."""

import asyncio
import socket
import struct
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from ipaddress import ip_address
from typing import Any, TypeVar

import dns.message
import dns.rrset
import pytest
from fetch.names import Names

from remote_worker.contract.failures import FailureCode, WorkFailed
from remote_worker.fetch.process import dns_message, resolver
from remote_worker.fetch.process.dns_message import AAAA, A, BadAnswer
from remote_worker.fetch.process.resolver import KINDS, Resolver, system_nameservers
from remote_worker.fetch.settings import Nameserver

Result = TypeVar("Result")
SECONDS = 1.5


def resolving(test: Callable[[Names, Resolver], Awaitable[Result]], **settings: Any) -> Result:
    async def run() -> Result:
        async with Names() as names:
            return await test(names, Resolver([names.nameserver], SECONDS, **settings))

    return asyncio.run(run())


async def texts(asked: Resolver, name: str) -> list[str]:
    return [str(address) for address in await asked.addresses(name, until=time.monotonic() + 60)]


def failure_of(test: Callable[[Names], None], name: str = "a.test") -> tuple[FailureCode, str]:
    async def run(names: Names, asked: Resolver) -> tuple[FailureCode, str]:
        test(names)
        with pytest.raises(WorkFailed) as failed:
            await texts(asked, name)
        return failed.value.code, failed.value.detail

    return resolving(run)


def test_a_name_has_all_its_addresses_of_both_families() -> None:
    async def run(names: Names, asked: Resolver) -> list[str]:
        names.has("a.test", "93.184.216.34", "93.184.216.35", "2606:2800:220:1::1")
        return await texts(asked, "A.test.")

    assert sorted(resolving(run)) == ["2606:2800:220:1::1", "93.184.216.34", "93.184.216.35"]


@pytest.mark.parametrize(("ttl", "lookups"), [(0, 2), (30, 1)])
def test_an_answer_is_kept_as_long_as_its_records_say(ttl: int, lookups: int) -> None:
    async def run(names: Names, asked: Resolver) -> tuple[int, list[str]]:
        names.rebinds("a.test", ["93.184.216.34"], ["127.0.0.1"], ttl=ttl)
        await texts(asked, "a.test")
        second = await texts(asked, "a.test")
        return names.lookups["a.test"], second

    assert resolving(run) == (lookups, ["127.0.0.1"] if lookups == 2 else ["93.184.216.34"])


def test_no_answer_is_kept_longer_than_a_minute() -> None:
    now = [50.0]

    async def run(names: Names, asked: Resolver) -> list[int]:
        names.has("a.test", "93.184.216.34", ttl=86_400)
        counts = []
        for now[0] in (50.0, 109.9, 110.0):
            await texts(asked, "a.test")
            counts.append(names.lookups["a.test"])
        return counts

    assert resolving(run, clock=lambda: now[0]) == [1, 1, 2]


def test_localhost_is_what_the_system_said_and_nobody_is_asked() -> None:
    async def run(names: Names, asked: Resolver) -> tuple[list[str], list[tuple[str, str]]]:
        names.has("localhost", "93.184.216.34")
        return await texts(asked, "localhost") + await texts(asked, "a.localhost"), names.asked

    here = (ip_address("127.0.0.1"), ip_address("::1"))
    assert resolving(run, localhost=here) == (["127.0.0.1", "::1"] * 2, [])


@pytest.mark.parametrize(
    ("name", "failure"),
    [
        ("missing.test", (FailureCode.DNS_NOT_FOUND, "")),
        ("empty.test", (FailureCode.DNS_NOT_FOUND, "")),
        ("broken.test", (FailureCode.DNS_FAILED, "")),
        ("refused.test", (FailureCode.DNS_FAILED, "")),
        ("silent.test", (FailureCode.TIMEOUT, "dns")),
        ("thousand.test", (FailureCode.DNS_FAILED, "too many records")),
        ("seventeen.test", (FailureCode.DNS_FAILED, "too many addresses")),
        ("nine.test", (FailureCode.DNS_CHAIN, "")),
        ("short.test", (FailureCode.DNS_FAILED, "it ends early")),
        ("other.test", (FailureCode.DNS_FAILED, "to another question")),
        ("question.test", (FailureCode.DNS_FAILED, "no answer")),
        (64 * "a" + ".test", (FailureCode.DNS_FAILED, "no name of a host")),
    ],
)
def test_what_leads_to_no_address_has_its_code_within_the_time(
    name: str, failure: tuple[FailureCode, str]
) -> None:
    def told(names: Names) -> None:
        names.record("empty.test", "TXT", '"words"')
        names.fails("broken.test", "SERVFAIL")
        names.fails("refused.test", "REFUSED")
        names.is_silent("silent.test")
        names.has("thousand.test", *[f"93.184.{at // 250}.{at % 250}" for at in range(1000)])
        names.has(
            "seventeen.test", *[f"93.184.216.{at}" for at in range(9)], *[f"2606::{at}" for at in range(8)]
        )
        names.chain("nine.test", *[f"c{at}.test" for at in range(9)], addresses=["93.184.216.34"])
        names.sends("short.test", lambda wire: wire[:8])
        names.sends("other.test", lambda wire: wire.replace(b"other", b"xther"))
        names.sends("question.test", lambda wire: wire[:2] + b"\x01\x00" + wire[4:])

    assert failure_of(told, name) == failure


def test_sixteen_addresses_and_eight_aliases_are_fine() -> None:
    addresses = [f"93.184.216.{at}" for at in range(8)] + [f"2606::{at + 1}" for at in range(8)]

    async def run(names: Names, asked: Resolver) -> list[str]:
        names.chain("eight.test", *[f"c{at}.test" for at in range(8)], addresses=addresses)
        return await texts(asked, "eight.test")

    assert sorted(resolving(run)) == sorted(addresses)


def test_an_answer_that_does_not_fit_a_datagram_comes_over_tcp() -> None:
    async def run(names: Names, asked: Resolver) -> tuple[int, int]:
        long = [f"c{at}-{'x' * 55}.{at}{'y' * 60}.{at}{'z' * 60}.test" for at in range(8)]
        names.chain("a.test", *long, addresses=["93.184.216.34"])
        return len(await texts(asked, "a.test")), names.over_tcp

    assert resolving(run) == (1, 2)


def test_a_server_that_never_answers_for_one_family_holds_nobody_up() -> None:
    async def run() -> tuple[list[str], Counter[tuple[str, str]]]:
        async with Names() as names:
            names.record("a.test", "A", "93.184.216.34")
            names.is_silent("a.test", "AAAA")
            patient = Resolver([names.nameserver], 300)
            async with asyncio.timeout(20):
                return await texts(patient, "a.test"), Counter(names.asked)

    # The one question and no second attempt.
    assert asyncio.run(run()) == (["93.184.216.34"], {("a.test", "A"): 1, ("a.test", "AAAA"): 1})


def test_the_next_server_is_asked_when_one_fails_or_is_silent() -> None:
    async def run() -> list[list[str]]:
        async with Names() as good, Names() as bad:
            good.has("a.test", "93.184.216.34")
            good.has("b.test", "93.184.216.35")
            bad.fails("a.test", "SERVFAIL")
            bad.is_silent("b.test")
            closed = Nameserver("127.0.0.1", 1)
            asked = Resolver([closed, bad.nameserver, good.nameserver], 1.2)
            return [await texts(asked, name) for name in ("a.test", "b.test")]

    assert asyncio.run(run()) == [["93.184.216.34"], ["93.184.216.35"]]


def test_the_system_names_its_servers() -> None:
    text = "# nameserver 9.9.9.9\nsearch lan\nnameserver 10.0.0.1\nnameserver fe80::1%eth0\nnameserver ::1\n"

    assert system_nameservers(text) == (Nameserver("10.0.0.1"), Nameserver("::1"))
    assert system_nameservers("options rotate\n") == (Nameserver("127.0.0.1"),)


RECORDS = {
    "A": ["93.184.216.34"],
    "AAAA": ["2606:2800:220:1::1"],
    "CNAME": ["b.test."],
    "MX": ["10 mail.a.test.", "20 mail2.a.test."],
    "TXT": ['"v=spf1 -all" "more"'],
    "NS": ["ns1.a.test."],
    "SOA": ["ns1.a.test. admin.a.test. 1 7200 3600 1209600 3600"],
    "CAA": ['0 issue "ca.test"'],
    "SRV": ["1 2 5060 sip.a.test."],
    "PTR": ["b.test."],
}


@pytest.mark.parametrize("kind", KINDS)
def test_people_are_told_records_as_text(kind: str) -> None:
    async def run(names: Names, asked: Resolver) -> tuple[list[str], float, tuple[str, ...]]:
        names.record("a.test", kind, *RECORDS[kind], ttl=300)
        resolved = await asked.resolve("a.test", kind, until=time.monotonic() + 5)
        assert resolved.servers == (str(names.nameserver),)
        return sorted(resolved.answers), resolved.ttl, resolved.servers

    assert resolving(run)[:2] == (RECORDS[kind], 300.0)


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("192.0.2.5", "5.2.0.192.in-addr.arpa"),
        ("2001:db8::1", "1." + 23 * "0." + "8.b.d.0.1.0.0.2.ip6.arpa"),
        ("5.2.0.192.in-addr.arpa", "5.2.0.192.in-addr.arpa"),
    ],
)
def test_the_name_of_an_address_can_be_asked_for(address: str, name: str) -> None:
    async def run(names: Names, asked: Resolver) -> tuple[str, ...]:
        names.record(name, "PTR", "host.test.")
        return (await asked.resolve(address, "PTR", until=time.monotonic() + 5)).answers

    assert resolving(run) == ("host.test.",)


def test_names_in_any_script_are_asked_for_as_the_web_writes_them() -> None:
    async def run(names: Names, asked: Resolver) -> tuple[str, ...]:
        names.record("xn--fa-hia.test", "TXT", '"here"')
        return (await asked.resolve("faß.test", "TXT", until=time.monotonic() + 5)).answers

    assert resolving(run) == ('"here"',)


@pytest.mark.parametrize(
    ("name", "kind", "failure"),
    [
        ("missing.test", "MX", (FailureCode.DNS_NOT_FOUND, "")),
        ("a.test", "TXT", (FailureCode.DNS_NOT_FOUND, "")),
        ("broken.test", "MX", (FailureCode.DNS_FAILED, "servfail")),
        ("garbage.test", "MX", (FailureCode.DNS_FAILED, "")),
        ("silent.test", "MX", (FailureCode.TIMEOUT, "dns")),
        ("circle.test", "A", (FailureCode.DNS_CHAIN, "")),
        ("a.test", "ANY", (FailureCode.BAD_PARAMETER, "no type that is resolved")),
        ("a..test", "MX", (FailureCode.BAD_HOST, "no name")),
        (64 * "a", "MX", (FailureCode.BAD_HOST, "no name")),
    ],
)
def test_people_are_told_why_there_are_no_records(
    name: str, kind: str, failure: tuple[FailureCode, str]
) -> None:
    async def run(names: Names, asked: Resolver) -> tuple[FailureCode, str]:
        names.record("a.test", "MX", "10 mail.a.test.")
        names.fails("broken.test", "SERVFAIL")
        names.sends("garbage.test", lambda wire: wire[:3] + b"\x00" + wire[4:13])
        names.is_silent("silent.test")
        names.sends("circle.test", in_a_circle)
        with pytest.raises(WorkFailed) as failed:
            await asked.resolve(name, kind, until=time.monotonic() + 5)
        return failed.value.code, failed.value.detail

    assert resolving(run) == failure


def in_a_circle(wire: bytes) -> bytes:
    response = dns.message.from_wire(wire)
    name = response.question[0].name
    response.answer = [dns.rrset.from_text(name, 60, "IN", "CNAME", name.to_text())]
    return response.to_wire()


def test_people_are_told_of_aliases_in_a_circle() -> None:
    def circle(wire: bytes) -> bytes:
        response = dns.message.from_wire(wire)
        for owner, alias in (("a.test.", "b.test."), ("b.test.", "a.test.")):
            response.answer.append(dns.rrset.from_text(owner, 60, "IN", "CNAME", alias))
        return response.to_wire()

    async def run(names: Names, asked: Resolver) -> FailureCode:
        names.sends("a.test", circle)
        with pytest.raises(WorkFailed) as failed:
            await asked.resolve("a.test", "MX", until=time.monotonic() + 5)
        return failed.value.code

    assert resolving(run) is FailureCode.DNS_CHAIN


def answer(*records: tuple[str, str, str], kind: str = "A", ttl: int = 60) -> bytes:
    """Of a library that is not ours."""
    response = dns.message.make_response(dns.message.make_query("a.test", kind))
    for owner, its_kind, text in records:
        response.answer.append(dns.rrset.from_text(f"{owner}.", ttl, "IN", its_kind, text))
    return response.to_wire(max_size=65535)


QUESTION = dns_message.question("a.test", A)


def test_a_question_is_what_another_library_reads() -> None:
    read = dns.message.from_wire(dns_message.query(4660, dns_message.question("a.test", AAAA)))

    assert (read.id, read.question[0].to_text(), read.payload) == (4660, "a.test. IN AAAA", 1232)


def test_records_of_other_names_and_types_do_not_count() -> None:
    message = answer(
        ("b.test", "A", "10.0.0.1"),
        ("a.test", "CNAME", "C.test."),
        ("a.test", "TXT", "words"),
        ("c.test", "A", "93.184.216.34"),
    )

    assert [str(found) for found in dns_message.read(message, QUESTION).addresses] == ["93.184.216.34"]


@pytest.mark.parametrize(("records", "is_taken"), [(64, True), (65, False)])
def test_an_answer_has_at_most_64_records(records: int, is_taken: bool) -> None:
    message = answer(*[("a.test", "A", f"93.184.1.{at}") for at in range(records)])

    if is_taken:
        assert len(dns_message.read(message, QUESTION).addresses) == records
    else:
        with pytest.raises(BadAnswer):
            dns_message.read(message, QUESTION)


def test_every_cut_and_every_changed_byte_of_an_answer_is_refused_or_read() -> None:
    message = answer(("a.test", "CNAME", "b.test."), ("b.test", "A", "93.184.216.34"))
    for at in range(len(message)):
        for changed in (
            message[:at],
            *(message[:at] + bytes([byte]) + message[at + 1 :] for byte in (0, 0x3F, 0xC0, 0xFF)),
        ):
            try:
                assert len(dns_message.read(changed, QUESTION).addresses) <= 1
            except (BadAnswer, dns_message.LongChain):
                continue


@pytest.mark.parametrize("name", [b"\xc0\x18", b"\xc0\x1a", b"\xff\xff", b"\x01a\xc0\x18"])
def test_a_name_never_points_ahead_or_to_itself(name: bytes) -> None:
    header = (1).to_bytes(2, "big") + b"\x81\x80" + b"\0\1\0\1\0\0\0\0"
    message = header + QUESTION
    assert len(message) == 0x18

    for rest in (b"", bytes(300)):
        with pytest.raises(BadAnswer):
            dns_message.read(message + name + rest, QUESTION)


@pytest.mark.parametrize(("pointers", "is_taken"), [(127, True), (128, False)])
def test_a_name_points_on_so_many_times(pointers: int, is_taken: bool) -> None:
    header = (1).to_bytes(2, "big") + b"\x81\x80" + b"\0\1\0\2\0\0\0\0"
    message = header + QUESTION + b"\xc0\x0c" + struct.pack("!HHIH", 16, 1, 60, 2 * pointers)
    target = 12
    for _ in range(pointers - 1):
        target, message = len(message), message + struct.pack("!H", 0xC000 | target)
    message += bytes(2)
    owner = struct.pack("!H", 0xC000 | target)
    message += owner + struct.pack("!HHIH", 1, 1, 60, 4) + bytes([93, 184, 216, 34])

    if is_taken:
        assert len(dns_message.read(message, QUESTION).addresses) == 1
    else:
        with pytest.raises(BadAnswer):
            dns_message.read(message, QUESTION)


def test_aliases_in_a_circle_end() -> None:
    message = answer(("a.test", "CNAME", "b.test."), ("b.test", "CNAME", "a.test."))

    with pytest.raises(dns_message.LongChain):
        dns_message.read(message, QUESTION)


def test_so_many_names_are_kept() -> None:
    async def run(names: Names, asked: Resolver) -> int:
        for at in range(3):
            names.has(f"s{at}.test", "93.184.216.34", ttl=60)
        for at in (0, 1, 2, 0):
            await texts(asked, f"s{at}.test")
        return names.lookups["s0.test"]

    assert resolving(run, most_cached=2) == 2
    assert resolving(run, most_cached=3) == 1
    assert resolver.MOST_CACHED > 3


async def came(server: socket.socket, count: int) -> list[tuple[bytes, Any]]:
    """The next questions."""
    loop = asyncio.get_running_loop()
    return [await loop.sock_recvfrom(server, 4096) for _ in range(count)]


def is_quiet(server: socket.socket) -> bool:
    try:
        server.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return True
    return False


def test_64_lookups_are_asked_at_once_and_silence_holds_up_no_others() -> None:
    """Two questions each. An answer lets the next one ask at once, and so does a moment without one."""

    async def run() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
            server.bind(("127.0.0.1", 0))
            server.setblocking(False)
            asked = Resolver([Nameserver("127.0.0.1", server.getsockname()[1])], 60.0)
            lookups = [asyncio.create_task(texts(asked, f"n{at}.test")) for at in range(200)]
            first = await came(server, 128)
            assert is_quiet(server)
            for question, sender in first[:2]:
                server.sendto(dns.message.make_response(dns.message.from_wire(question)).to_wire(), sender)
            await asyncio.wait(lookups, return_when=asyncio.FIRST_COMPLETED)
            await came(server, 2 * (200 - 64))
            assert sum(lookup.done() for lookup in lookups) == 1
            for lookup in lookups:
                lookup.cancel()
            await asyncio.gather(*lookups, return_exceptions=True)

    asyncio.run(run())


@pytest.mark.parametrize(("length", "is_taken"), [(255, True), (256, False)])
def test_a_name_in_an_answer_has_at_most_255_bytes(length: int, is_taken: bool) -> None:
    labels = [b"\x3f" + 63 * b"x"] * 3
    rest = length - 1 - 3 * 64
    alias = b"".join([*labels, bytes([rest - 1]) + (rest - 1) * b"y", b"\0"])
    header = (1).to_bytes(2, "big") + b"\x81\x80" + b"\0\1\0\2\0\0\0\0"
    records = [
        b"\xc0\x0c" + b"\0\5\0\1" + bytes(4) + len(alias).to_bytes(2, "big") + alias,
        alias + b"\0\1\0\1" + bytes(4) + b"\0\4" + bytes([93, 184, 216, 34]),
    ]
    message = header + QUESTION + b"".join(records)

    if is_taken:
        assert len(dns_message.read(message, QUESTION).addresses) == 1
    else:
        with pytest.raises(BadAnswer, match="too long"):
            dns_message.read(message, QUESTION)
