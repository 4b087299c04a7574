"""Names through the door: from a name server on loopback to the command line."""

import asyncio
import os
import sys
import time
from collections.abc import Awaitable, Callable

import pytest
from fetch.names import Names

from remote_worker import wiring
from remote_worker.contract.failures import FailureCode, WorkFailed
from remote_worker.service.network import KINDS
from remote_worker.settings import read

RECORDS = {
    "A": ("93.184.215.14", "93.184.215.15"),
    "AAAA": ("2606:2800:21f:cb07:6820:80da:af6b:8b2c",),
    "CNAME": ("www.example.net.",),
    "MX": ("10 mail.example.com.", "20 mail2.example.com."),
    "TXT": ('"v=spf1 -all"', '"two" "strings"'),
    "NS": ("a.iana-servers.net.",),
    "SOA": ("ns.icann.org. noc.dns.icann.org. 2026010100 7200 3600 1209600 3600",),
    "CAA": ('0 issue "letsencrypt.org"',),
    "SRV": ("10 60 5060 sip.example.com.",),
    "PTR": ("host.example.com.",),
}
"""In the presentation format of their RFCs."""


async def with_servers(use: Callable[[Names], Awaitable[None]]) -> None:
    async with Names(ttl=300) as servers:
        for kind, texts in RECORDS.items():
            servers.record("all.example.com", kind, *texts)
        servers.has("private.example.com", "10.0.0.1")
        servers.fails("broken.example.com", "SERVFAIL")
        await use(servers)


def variables(servers: Names) -> dict[str, str]:
    return {"REMOTE_NAMESERVERS": str(servers.nameserver)}


async def command(servers: Names, *arguments: str, **more: str) -> tuple[int | None, str, str]:
    clean = {name: text for name, text in os.environ.items() if not name.startswith("REMOTE_")}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "remote_worker", "resolve", *arguments),
        env={**clean, **variables(servers), **more},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


def test_records_of_every_type_come_as_their_standards_write_them() -> None:
    async def use(servers: Names) -> None:
        settings = read(variables(servers))
        async with wiring.open_door(settings) as door:
            names = wiring.names(door, settings)
            for kind in KINDS:
                answered = await names.resolve("all.example.com", kind, time.monotonic() + 10)
                assert sorted(answered.resolved.answers) == sorted(RECORDS[kind])
                assert 0 < answered.resolved.ttl <= 300
                assert answered.resolved.servers == (str(servers.nameserver),)

    assert set(KINDS) == set(RECORDS)
    asyncio.run(with_servers(use))


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("none.example.com", FailureCode.DNS_NOT_FOUND),
        ("broken.example.com", FailureCode.DNS_FAILED),
        ("private.example.com", FailureCode.BLOCKED_ADDRESS),
    ],
)
def test_what_does_not_resolve_says_why(name: str, code: FailureCode) -> None:
    async def use(servers: Names) -> None:
        settings = read(variables(servers))
        async with wiring.open_door(settings) as door:
            with pytest.raises(WorkFailed) as caught:
                await wiring.names(door, settings).resolve(name, "A", time.monotonic() + 10)
        assert caught.value.code is code

    asyncio.run(with_servers(use))


def test_the_command_prints_one_record_a_line() -> None:
    async def use(servers: Names) -> None:
        status, out, err = await command(servers, "all.example.com", "--type", "mx")
        assert (status, err) == (0, "")
        assert sorted(out.splitlines(keepends=True)) == ["10 mail.example.com.\n", "20 mail2.example.com.\n"]

    asyncio.run(with_servers(use))


def test_the_command_says_why_there_is_nothing_to_print() -> None:
    async def use(servers: Names) -> None:
        status, out, err = await command(servers, "private.example.com")
        assert (status, out) == (1, "")
        assert "blocked_address: private" in err
        assert (await command(servers, "private.example.com", REMOTE_DNS_PRIVATE_ANSWERS="on"))[:2] == (
            0,
            "10.0.0.1\n",
        )

    asyncio.run(with_servers(use))
