"""Seen from outside, by the kernel's record of system calls: one process dials, and only who was judged."""

import asyncio
import json
import os
import sys
from pathlib import Path

import pytest
from fetch.connects import Sent, told, watch
from fetch.names import Names
from fetch.origin import Origin, answer, page, redirect

PROGRAM = """
import asyncio, json, sys, time
from remote_worker import wiring
from remote_worker.contract.failures import WorkFailed
from remote_worker.contract.links import Purpose, Want
from remote_worker.settings import read
import os

async def run():
    settings = read(os.environ)
    async with wiring.open_pool(settings), wiring.open_door(settings) as door:
        door.listens("127.0.0.1", 9)
        for url in json.loads(sys.argv[1]):
            want = Want(url=url, purpose=Purpose.PAGE)
            try:
                with await door.fetch(want, deadline=time.monotonic() + 10) as got:
                    outcome = str(got.status)
            except WorkFailed as failed:
                outcome = failed.code
            print(url, outcome, flush=True)

asyncio.run(run())
"""


@pytest.mark.needs_strace
def test_only_the_process_that_fetches_dials_and_only_judged_addresses_and_name_servers(
    tmp_path: Path,
) -> None:
    program = tmp_path / "host.py"
    program.write_text(PROGRAM)
    with (
        Origin({"/": answer(page()), "/away": redirect("http://169.254.169.254/")}) as origin,
        Origin() as canary,
    ):

        async def run() -> list[Sent]:
            async with Names() as names:
                names.has("good.test", "127.0.0.1")
                names.has("bad.test", "10.0.0.1")
                names.has("mixed.test", "127.0.0.1", "10.0.0.2")
                urls = [
                    f"http://good.test:{origin.port}/",
                    f"http://localhost:{origin.port}/away",
                    f"http://bad.test:{origin.port}/",
                    f"http://mixed.test:{origin.port}/",
                    f"http://127.0.0.1:{canary.port}/",
                    f"http://none.test:{origin.port}/",
                    "http://169.254.169.254/",
                    "http://[::1]/",
                ]
                environment = {
                    "PATH": os.environ["PATH"],
                    "PYTHONPATH": str(Path(__file__).parents[2] / "src"),
                    "REMOTE_EGRESS_ALLOW": f"127.0.0.1/32:{origin.port}",
                    "REMOTE_NAMESERVERS": str(names.nameserver),
                    "HTTP_PROXY": f"http://127.0.0.1:{canary.port}",
                    "http_proxy": f"http://127.0.0.1:{canary.port}",
                    "ALL_PROXY": f"http://127.0.0.1:{canary.port}",
                }
                command = [sys.executable, str(program), json.dumps(urls)]
                sent = await asyncio.to_thread(watch, command, environment, tmp_path)
                judged = {("127.0.0.1", origin.port), ("127.0.0.1", names.nameserver.port)}
                # The C library sorts the addresses of `localhost`, once before the seal, by what leads there.
                judged |= {("127.0.0.1", 0), ("::1", 0)}
                assert {(one.address, one.port) for one in sent} - judged == set()
                return sent

        sent = asyncio.run(run())

        assert {one.by_fetcher for one in sent} == {True}
        assert {one.call for one in sent} == {"connect"}
        assert ("127.0.0.1", origin.port) in {(one.address, one.port) for one in sent}
        assert origin.paths == ["/", "/away"]
        assert canary.accepted == 0


def test_the_probe_sees_who_dials() -> None:
    trace = """\
7 execve("/usr/bin/python", ["python", "-m", "remote_worker.fetch.process.main", "5"], 0x7f) = 0
7 connect(6, {sa_family=AF_INET, sin_port=htons(80), sin_addr=inet_addr("93.184.216.34")}, 16) = -1
8 connect(6, {sa_family=AF_UNIX, sun_path="/run/x"}, 110) = 0
8 sendto(9, "x", 1, 0, {sa_family=AF_INET6, sin6_port=htons(53), sin6_flowinfo=htonl(0), \
inet_pton(AF_INET6, "::1", &sin6_addr), sin6_scope_id=0}, 28) = 1
"""

    assert told(trace) == [Sent(True, "connect", "93.184.216.34", 80), Sent(False, "sendto", "::1", 53)]
