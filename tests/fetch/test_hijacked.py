"""What a process that fetches can do when a stranger has taken it over, and what its lies come to."""

import asyncio
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from ordinary_user import ORDINARY_UID, as_ordinary_uid

from remote_worker.contract.failures import FailureCode
from remote_worker.contract.links import FetchFailed, Purpose, Want
from remote_worker.fetch.door import Door
from remote_worker.fetch.messages import Hello
from remote_worker.fetch.running import DoorFailed, FetchProcess, ProcessLost
from remote_worker.fetch.settings import FetchSettings

HIJACKED = (str(Path(__file__).with_name("hijacked.py")),)
IS_ROOT = os.geteuid() == 0
MIB = 1024 * 1024


def want(name: str, purpose: Purpose = Purpose.PAGE) -> Want:
    """The probes and lies of `hijacked.py`; a lie has to know the number of its question, which is 1."""
    return Want(url=f"http://{name}.test/1", purpose=purpose)


async def tell(process: FetchProcess, name: str) -> str:
    """What the probe tells."""
    with await process.fetch(want(f"probe-{name}"), time.monotonic() + 10) as fetched:
        return fetched.body.prefix().decode()


OUTCOMES = {
    "tcp": "ok",
    "tcp6": "ok",
    "udp": "127.0.0.1",
    "ids": "(65533, 65533)" if IS_ROOT else f"({os.getuid()}, {os.getgid()})",
    "filter": "EPERM",
    "open": "EACCES",
    "write": "EACCES",
    "list": "EACCES",
    "memory": "EACCES",
    "thread": "RuntimeError",
    "code": "EPERM",
    "undump": "EPERM",
    "limits": "ValueError",
    "import": "ModuleNotFoundError",
    "far": "10 EFBIG",
    "fill": "MemoryError",
    # 8 a fetch and 64 besides: what the process has open itself comes off.
    "descriptors": "EMFILE",
}
DEADLY = """
    unix netlink packet raw ping sctp mptcp pair bind listen exec fork clone signal ptrace pidfd filters uring
    unshare keys
""".split()


@pytest.mark.parametrize("landlock", ["if_available", "absent"])
def test_a_hijacked_process_dials_and_does_nothing_else(landlock: str) -> None:
    async def run() -> dict[str, str]:
        hello = Hello(settings=FetchSettings(fetches=4), landlock=landlock)
        process = await FetchProcess.start(hello, entry=HIJACKED, seconds=30)
        try:
            return {name: await tell(process, name) for name in OUTCOMES}
        finally:
            process.close()

    told = asyncio.run(run())

    assert told | {"descriptors": told["descriptors"].split()[1]} == OUTCOMES
    assert 8 * 4 < int(told["descriptors"].split()[0]) < 8 * 4 + 64


@pytest.mark.parametrize("probe", DEADLY)
def test_what_no_fetch_needs_ends_the_process(probe: str) -> None:
    async def run() -> list[str]:
        reasons: list[str] = []
        # So it is on a kernel without Landlock too.
        hello = Hello(settings=FetchSettings(), landlock="absent")
        process = await FetchProcess.start(hello, entry=HIJACKED, seconds=30)
        process.on_loss = reasons.append
        with pytest.raises(ProcessLost) as lost:
            await tell(process, probe)
        assert not lost.value.is_innocent
        return reasons

    assert asyncio.run(run()) == ["it ended, by SIGSYS"]


def test_a_process_that_takes_no_messages_is_given_up_and_what_it_did_may_be_tried_again() -> None:
    async def run() -> list[str]:
        reasons: list[str] = []
        process = await FetchProcess.start(Hello(settings=FetchSettings()), entry=HIJACKED, seconds=30)
        process.on_loss = reasons.append
        # No message of this size fits into what the kernel keeps for the socket now: EMSGSIZE.
        process.interpreter.control.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
        with pytest.raises(ProcessLost) as lost:
            await process.resolve("a" * 16_000 + ".test", "A", time.monotonic() + 30)
        assert lost.value.is_innocent
        return reasons

    assert asyncio.run(run()) == ["it takes no messages: Message too long, by SIGKILL"]


@pytest.mark.skipif(
    not IS_ROOT, reason="host and process are one ordinary user in every test, as pytest runs as one"
)
@pytest.mark.parametrize("landlock", ["if_available", "absent"])
def test_it_is_no_better_off_where_host_and_process_are_one_ordinary_user(landlock: str) -> None:
    # As above: what ends a process ends it without Landlock too.
    deadly = DEADLY if landlock == "absent" else []
    probes = [*OUTCOMES, *deadly]
    command = [sys.executable, str(Path(__file__).with_name("ordinary_host.py")), landlock, *probes]

    # The same user could otherwise trace, read and signal its own host.
    done = subprocess.run(
        as_ordinary_uid(command),
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        check=False,
        timeout=120,
    )

    assert done.returncode == 0, done.stderr.decode()
    told = json.loads(done.stdout)
    told["descriptors"] = told["descriptors"].split()[1]
    expected = OUTCOMES | {"ids": f"({ORDINARY_UID}, {ORDINARY_UID})"}
    assert told == expected | dict.fromkeys(deadly, "it ended, by SIGSYS")


LIES = """
    garbage empty-list deep nan other-number number-of-none true-number no-body unsealed large two-bodies
    socket body-of-failure cancelled resolved word internal jail unknown-code members script blank-url
    long-url status low-status float-status text-status header-list header-break many-headers long-header cut
    negative huge phase many-hops verdict many-verdicts hop-code
""".split()


def test_a_lie_ends_the_process_and_leaves_no_descriptor() -> None:
    async def told(lie: str) -> None:
        reasons: list[str] = []
        process = await FetchProcess.start(HELLO, entry=HIJACKED, seconds=30)
        process.on_loss = reasons.append
        with pytest.raises(ProcessLost) as lost:
            await process.fetch(want(f"lie-{lie}"), time.monotonic() + 10)

        assert not lost.value.is_innocent, lie
        assert reasons[0].startswith("hostile reply"), lie
        assert not Path(f"/proc/{process.pid}").exists(), lie

    async def run() -> None:
        await asyncio.gather(*map(told, LIES))

    asyncio.run(in_balance(run))


def test_the_truth_in_the_same_words_is_taken() -> None:
    async def run() -> None:
        process = await FetchProcess.start(HELLO, entry=HIJACKED, seconds=30)
        with await process.fetch(want("lie-truth"), time.monotonic() + 10) as fetched:
            assert (fetched.url, fetched.body.prefix()) == ("http://a.test/", b"x")
        process.close()

    asyncio.run(in_balance(run))


def test_a_body_may_be_as_long_as_its_purpose_allows() -> None:
    async def run() -> None:
        process = await FetchProcess.start(HELLO, entry=HIJACKED, seconds=30)
        with await process.fetch(want("lie-large", Purpose.IMAGE), time.monotonic() + 10) as fetched:
            assert fetched.body.size_bytes == 2 * MIB
        process.close()

    asyncio.run(run())


def test_a_process_that_lies_is_replaced_and_its_fetches_fail() -> None:
    async def run() -> None:
        async with Door(FetchSettings(), entry=HIJACKED) as door:
            with pytest.raises(FetchFailed) as failed:
                await door.fetch(want("lie-script"), deadline=time.monotonic() + 10)
            assert failed.value.code is FailureCode.FETCH_UNAVAILABLE
            with await door.fetch(want("probe-tcp"), deadline=time.monotonic() + 10) as fetched:
                assert fetched.body.prefix() == b"ok"

    asyncio.run(in_balance(run))


@pytest.mark.parametrize("lie", ["stop", "hang-up"])
def test_a_process_that_is_stopped_or_ends_is_replaced(lie: str) -> None:
    async def run() -> None:
        async with Door(FetchSettings(), entry=HIJACKED) as door:
            with pytest.raises(FetchFailed) as failed:
                await door.fetch(want(f"lie-{lie}"), deadline=time.monotonic() + 10)
            assert failed.value.code is FailureCode.FETCH_UNAVAILABLE
            with await door.fetch(want("probe-tcp"), deadline=time.monotonic() + 10) as fetched:
                assert fetched.body.prefix() == b"ok"

    asyncio.run(in_balance(run))


def test_a_fault_of_the_process_is_told_without_what_a_stranger_said(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def run() -> None:
        async with Door(FetchSettings(), entry=HIJACKED) as door:
            with pytest.raises(FetchFailed) as failed:
                await door.fetch(want("fault-x"), deadline=time.monotonic() + 10)
            assert (failed.value.code, failed.value.detail) == (FailureCode.FETCH_UNAVAILABLE, "")

    asyncio.run(run())

    (record,) = [record for record in caplog.records if record.getMessage() == "fetcher_error"]
    reason = record.__dict__["fields"]["reason"]
    assert reason.startswith("KeyError at hijacked.py:")
    assert "stranger" not in reason


def test_a_process_that_cannot_be_sealed_is_named_with_its_layer(tmp_path: Path) -> None:
    entry = tmp_path / "threads.py"
    entry.write_text(
        "import threading, time\n"
        "threading.Thread(target=time.sleep, args=(60,), daemon=True).start()\n"
        f"exec(compile(open({HIJACKED[0]!r}).read(), 'hijacked.py', 'exec'))\n"
    )

    async def run() -> None:
        async with Door(FetchSettings(), entry=(str(entry),)):
            pass

    with pytest.raises(DoorFailed, match="threads") as failed:
        asyncio.run(run())
    assert failed.value.layer == "threads"


HELLO = Hello(settings=FetchSettings())


async def in_balance(run) -> None:
    """Nothing that was opened stays open."""
    before = len(os.listdir("/proc/self/fd"))
    await run()
    assert len(os.listdir("/proc/self/fd")) == before
