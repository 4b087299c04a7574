"""What the hold of links asks for, from whom, and what it makes of the answers."""

import asyncio
import gzip
import os
import socket
from collections import Counter
from collections.abc import Iterator

import dns.message
import dns.query
import dns.rcode
import pytest

from benchmarks.requests import Answers
from benchmarks.servers import free_port, worker
from hold import link_callers, links, strangers
from hold.link_callers import Told

WHERE = strangers.Strangers(dns_port=free_port(), port=free_port(), servers=3)


@pytest.fixture(scope="module")
def servers() -> Iterator[None]:
    """Strangers who run."""
    with strangers.strangers(WHERE, min(os.sched_getaffinity(0))):
        yield


def looked_up(name: str) -> tuple[str, list[str]]:
    query = dns.message.make_query(name, "A")
    reply = dns.query.udp(query, "127.0.0.1", port=WHERE.dns_port, timeout=10)
    return dns.rcode.to_text(reply.rcode()), [str(record) for found in reply.answer for record in found]


def got(name: str, number: int) -> bytes:
    """All that a server sends before it hangs up."""
    with socket.create_connection((WHERE.address(number), WHERE.port), 10) as connection:
        connection.sendall(f"GET /page HTTP/1.1\r\nHost: {name}:{WHERE.port}\r\n\r\n".encode())
        data = b""
        while chunk := connection.recv(65536):
            data += chunk
    return data


def told(kind: str, number: int = 1, *, seconds: float = 1.0, code: str = "", title: str = "") -> Told:
    return Told(url=links.url(kind, number), seconds=seconds, code=code, title=title)


def test_there_are_500_names_of_50_servers_and_every_kind_is_among_them() -> None:
    names = [url.partition("//")[2].partition(":")[0] for url in links.urls(0)]

    kinds = Counter(name.partition("-")[0] for name in names)
    assert len(set(names)) == 500
    assert kinds["good"] == 300
    assert kinds.keys() == set(strangers.KINDS)
    assert len({links.WHERE.address(number) for number in range(500)}) == 50
    assert set(links.urls(1)).isdisjoint(links.urls(0))
    assert all(url.startswith("http://good-") for url in links.urls(0, good_share=1))


def test_every_bad_kind_has_its_ends() -> None:
    assert links.ENDS.keys() == set(strangers.KINDS) - {"good"}


@pytest.mark.parametrize(
    ("name", "rcode", "addresses"),
    [
        ("good-0.example", "NOERROR", ["127.0.1.1"]),
        ("good-2.example", "NOERROR", ["127.0.1.3"]),
        ("bomb-3.example", "NOERROR", ["127.0.1.1"]),
        ("dnsprivate-7.example", "NOERROR", ["10.0.0.1"]),
        ("dnsnone-7.example", "NXDOMAIN", []),
        ("other.example", "NXDOMAIN", []),
    ],
)
def test_a_name_leads_to_its_server(servers: None, name: str, rcode: str, addresses: list[str]) -> None:
    assert looked_up(name) == (rcode, addresses)


def test_a_good_name_has_a_page_with_its_own_title(servers: None) -> None:
    answers = Answers()

    assert answers.take(got("good-1.example", 1))
    assert answers.status == "200"
    assert b"The page of good-1.example" in gzip.decompress(bytes(answers.body))


@pytest.mark.parametrize(
    ("kind", "begins"),
    [
        ("wall", b"HTTP/1.1 403 Forbidden\r\n"),
        ("loop", b"HTTP/1.1 302 Found\r\n"),
        ("inward", b"HTTP/1.1 302 Found\r\n"),
        ("lying", b"HTTP/1.1 200 OK\r\n"),
        ("garbage", b"\0\1\2\3"),
    ],
)
def test_a_bad_name_does_what_it_says(servers: None, kind: str, begins: bytes) -> None:
    assert got(f"{kind}-1.example", 1).startswith(begins)


def test_a_bomb_unpacks_to_200_times_what_it_weighs(servers: None) -> None:
    head, _, body = got("bomb-1.example", 1).partition(b"\r\n\r\n")

    assert b"Content-Encoding: gzip" in head
    assert len(gzip.decompress(body)) == 200 * 2**20 > 200 * len(body)


def test_500_names_at_once_and_the_good_ones_do_not_wait_for_those_that_hang() -> None:
    """One caller. Only where name servers are, what may be dialled, and long clocks are set."""
    where = strangers.Strangers(dns_port=free_port(), port=free_port())
    core = min(os.sched_getaffinity(0))
    # Nobody's clock ends what hangs before the good ones are there, however slow the machine.
    clocks = {f"REMOTE_{name}_SECONDS": "60" for name in ("PREVIEW", "FETCH", "FIRST_BYTE", "FETCH_IDLE")}
    clocks["REMOTE_DNS_SECONDS"] = "10"  # A third of it is for each try, should a datagram be lost.
    settings = {
        "REMOTE_NAMESERVERS": f"127.0.0.1:{where.dns_port}",
        "REMOTE_EGRESS_ALLOW": f"127.0.1.0/24:{where.port}",
    }
    port = free_port()
    urls = [url.replace(f":{links.WHERE.port}/", f":{where.port}/") for url in links.urls(0)]

    async def asked() -> tuple[list[Told], list[str]]:
        """What became of the good ones, and the kinds of those that were still asked for then."""
        calls = {url: asyncio.create_task(link_callers.one(port, url, seconds=120)) for url in urls}
        good = [call for url, call in calls.items() if url.startswith("http://good-")]
        done = await asyncio.gather(*good)
        left = [url for url, call in calls.items() if not call.done()]
        for call in calls.values():
            call.cancel()
        await asyncio.gather(*calls.values(), return_exceptions=True)
        return done, [url.removeprefix("http://").partition("-")[0] for url in left]

    with (
        strangers.strangers(where, core),
        worker(port, os.sched_getaffinity(0), **settings, **clocks),
    ):
        good, left = asyncio.run(asked())

    assert Counter(one.code for one in good) == {"": 300}
    assert [one.title for one in good] == [f"The page of {one.url[7:].partition(':')[0]}" for one in good]
    hanging = [url for url in urls if url[7:].partition("-")[0] in ("silent", "drip")]
    assert Counter(left) >= Counter(url[7:].partition("-")[0] for url in hanging)
    assert len(hanging) > 20


def test_good_ones_must_be_right_and_in_time() -> None:
    right = told("good", title="The page of good-1.example", seconds=1.99)
    late = told("good", title="The page of good-1.example", seconds=2.0)

    assert [row.holds for row in links.rows("x", [right])] == [True, True]
    assert [row.holds for row in links.rows("x", [right, late])] == [True, False]
    assert [row.holds for row in links.rows("x", [right, told("good", code="timeout")])] == [False, True]
    assert [row.holds for row in links.rows("x", [right, told("good", title="Another")])] == [False, True]
    assert [row.holds for row in links.rows("x", [told("good", code="busy")])] == [False, False]


def test_bad_ones_must_end_with_their_own_word() -> None:
    right = told("good", title="The page of good-1.example")

    assert links.rows("x", [right, told("silent", code="timeout", seconds=8)])[2].holds
    odd = links.rows("x", [right, told("silent", code="internal"), told("inward")])[2]
    assert not odd.holds
    assert "1 x silent: internal" in odd.measured
    assert "1 x inward: a preview" in odd.measured
