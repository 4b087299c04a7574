"""The machines of the tests are apart, can be cut off, and leave nothing behind."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from hold.namespaces import FOLDER, IP, Namespaces

pytestmark = pytest.mark.needs_namespaces
LISTEN = """
import socket, sys
with socket.create_server((sys.argv[1], 5000)) as listening:
    print("listening", flush=True)
    while True:
        listening.accept()[0].close()
"""


async def reaches(address: str, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            _, writer = await asyncio.open_connection(address, 5000)
    except OSError:
        return False
    writer.close()
    await writer.wait_closed()
    return True


def interfaces() -> str:
    """Of the machine itself."""
    return subprocess.run([IP, "-brief", "link"], capture_output=True, text=True, check=True).stdout


def test_machines_reach_each_other_until_one_is_cut_off_and_leave_nothing_behind() -> None:
    before = interfaces()

    with Namespaces(3) as machines:
        paths = [FOLDER / name for name in machines.names]
        listening = machines.popen(
            1, [sys.executable, "-c", LISTEN, machines.addresses[1]], stdout=subprocess.PIPE
        )
        assert listening.stdout is not None
        assert listening.stdout.readline() == b"listening\n"
        with listening.stdout:
            assert interfaces() == before
            assert machines.run(0, reaches(machines.addresses[1], 5))
            machines.cut_off(1)
            assert not machines.run(0, reaches(machines.addresses[1], 0.5))
            assert not machines.run(0, reaches(machines.addresses[2], 5))  # nobody listens: refused
            machines.let_back(1)
            assert machines.run(0, reaches(machines.addresses[1], 10))
            assert all(path.exists() for path in paths)

    assert listening.wait(10) == -9
    assert not any(path.exists() for path in paths)
    assert interfaces() == before


def test_those_of_a_run_that_was_killed_are_removed_by_the_next() -> None:
    left = f"rwtest-{2**22 + 1}-x-0"  # A process id that there cannot be.
    subprocess.run([IP, "netns", "add", left], check=True)

    with Namespaces(1):
        assert not Path(FOLDER, left).exists()
