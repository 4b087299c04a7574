"""A host that lends children to every attack in turn and says as JSON lines how each ended.

Run as a program of its own, so that it can be started as root and as an ordinary uid:
`python host.py {"landlock": "if_available"}`, with `"template": "text"` for children that read pages. A
line is {"attack", "outcome", "seconds", "next"}; `next` says whether a benign job was done afterwards, by the
template's following child, or for text by the same one if it can go on.
"""

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from task import HARMED, REFUSED, Attack

from remote_worker.contract import wire
from remote_worker.contract.control import Hello
from remote_worker.contract.document import Document
from remote_worker.contract.failures import FailureCode
from remote_worker.contract.limits import Limits
from remote_worker.contract.messages import Info, encode_task
from remote_worker.contract.signatures import Template
from remote_worker.contract.texts import RenderMarkdown
from remote_worker.pool import verify, verify_text
from remote_worker.pool.child import ChildLost, Kill
from remote_worker.pool.lender import Lender
from remote_worker.pool.reader import Reader
from remote_worker.pool.settings import PoolSettings

HERE = Path(__file__).parent
SAMPLE = next((HERE.parents[1] / "src/remote_worker/decoder/samples").glob("sample.png"))
LIMITS = Limits(decode_seconds=1.0, cpu_seconds=3, memory_bytes=256 << 20)
TEXT_CPU_SECONDS = 0.4
WORKS_WITHOUT_END = ("spin", "spin_deaf")
SPIN_SECONDS = 10.0
"""Their deadline: a child gives way to other work, and its own clock must come first all the same."""
SETTINGS = PoolSettings(children=2, ready=2, crash_burst=10_000)
MOST_THREADS = 8192
"""Of one user: a limit of ChildSeal's."""
MARKER = "a marker that only the picture before this one held"


def entry(*words: str) -> list[str]:
    """What makes the template's interpreter run the attack template."""
    path = str(HERE / "template.py")
    run = f"import runpy, sys; sys.argv[0] = {path!r}; runpy.run_path({path!r}, run_name='__main__')"
    return ["-c", run, *words]


class Canaries:
    """Files and listeners that no attack may reach."""

    def __init__(self, folder: Path) -> None:
        self.secret = folder / "secret"
        self.secret.write_text("the key")
        self.folder = folder
        self.tcp = self._listen(socket.AF_INET, ("127.0.0.1", 0))
        self.unix = self._listen(socket.AF_UNIX, str(folder / "socket"))
        self.abstract_name = f"canary-{os.getpid()}"
        self.abstract = self._listen(socket.AF_UNIX, "\0" + self.abstract_name)
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind(("127.0.0.1", 0))
        for opened in (self.tcp, self.unix, self.abstract, self.udp):
            opened.setblocking(False)

    @staticmethod
    def _listen(family: int, address: Any) -> socket.socket:
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.bind(address)
        listener.listen()
        return listener

    def touched(self) -> list[str]:
        """The names of what was reached."""
        reached = []
        for name in ("tcp", "unix", "abstract"):
            with contextlib.suppress(BlockingIOError):
                getattr(self, name).accept()[0].close()
                reached.append(name)
        with contextlib.suppress(BlockingIOError):
            self.udp.recv(100)
            reached.append("udp")
        if self.secret.read_text() != "the key" or {path.name for path in self.folder.iterdir()} != {
            "secret",
            "socket",
        }:
            reached.append("files")
        return reached


def attacks(canaries: Canaries, template_pid: int, descriptors: int, only: list[str] | None) -> list[Attack]:
    """Every attack, or those that are named, some of them at several targets."""
    tcp = canaries.tcp.getsockname()[1]
    udp = canaries.udp.getsockname()[1]
    host = os.getpid()
    secret = str(canaries.secret)
    told: dict[str, list[dict[str, Any]]] = {
        "read_file": [
            {"text": path}
            for path in (
                "/etc/passwd",
                secret,
                f"/proc/{host}/environ",
                f"/proc/{host}/maps",
                "/proc/self/environ",
                "/dev/urandom",
                "/dev/userfaultfd",
                "/sys/kernel/mm/ksm/run",
                __file__,
            )
        ],
        "list_folder": [
            {"text": "/"},
            {"text": "/proc"},
            {"text": "/proc/self/fd"},
            {"text": "/usr/share/fonts"},
        ],
        "write_file": [{"text": str(canaries.folder / "new")}, {"text": secret}, {"text": "/dev/shm/harm"}],
        "remove_file": [{"text": secret}],
        "link_file": [{"text": str(canaries.folder / "link")}],
        "stat_file": [{"text": secret}],
        "read_host_memory": [{"number": host}],
        "read_host_environment": [{"number": host}],
        "tcp_connect": [{"number": tcp}],
        "udp_send": [{"number": udp}],
        "dns_question": [{"number": udp}],
        "abstract_unix": [{"text": canaries.abstract_name}],
        "path_unix": [{"text": str(canaries.folder / "socket")}],
        "send_to_address": [{"number": tcp}],
        "fcntl_setown_host": [{"number": host}],
        "fake_credentials": [{"number": host}],
        "memory_of_others": [{"text": halves(MARKER)}, {"text": halves(os.environ.get("KEY", "no key|"))}],
        "stale_input": [{"text": MARKER}],
        "other_descriptors": [{"number": descriptors}],
        "grow_output": [{"number": LIMITS.output_bytes + 1}],
        "write_behind_output": [{"number": LIMITS.output_bytes}],
        "memory_at_once": [{"number": 8 << 30}],
        "memory_in_steps": [{"number": 8 << 30}],
        "memory_of_threads": [{"number": 8 << 30}],
        "threads_without_end": [{"number": MOST_THREADS}],
    }
    for name in (
        "kill_process",
        "trace_process",
        "read_process_memory",
        "write_process_memory",
        "limit_process",
        "open_pidfd",
        "slow_process_down",
        "signal_thread",
    ):
        told[name] = [{"number": host}, {"number": template_pid}]
    from attacks import ATTACKS

    return [
        Attack(name=name, **target)
        for name in ATTACKS
        if only is None or name in only
        for target in told.get(name, [{}])
    ]


def halves(word: str) -> str:
    """So that the word itself is not in what a child is told."""
    return f"{word[: len(word) // 2]}|{word[len(word) // 2 :]}"


class Pictures:
    """Children that do one job each."""

    descriptors = 6
    benign: Any = Info()

    def __init__(self, landlock: str) -> None:
        hello = Hello(template=Template.RASTER, limits=asdict(LIMITS), landlock=landlock)
        self.lender = Lender(hello, SETTINGS, ready=2, entry=entry())
        self.document = SAMPLE.read_bytes()

    async def end_of(self, task: Any, marker: str = "") -> str:
        """One word for how the child of this task ended."""
        child = await self.lender.lend()
        try:
            with Document.of(self.document + marker.encode()) as document:
                record, body = await child.work(
                    task, document, output_bytes=LIMITS.output_bytes, until=deadline()
                )
        except ChildLost as lost:
            return word_of(lost)
        finally:
            self.lender.after_job(crashed=False)
        return outcome_of(record, lambda: verify.reply(task, body))

    async def against_a_sibling(self, name: str) -> str:
        """A child attacks another child, which must then still do its job."""
        attacker, sibling = await self.lender.lend(), await self.lender.lend()
        with Document.of(self.document) as document:
            with contextlib.suppress(ChildLost):
                attack = Attack(name=name, number=sibling.pid)
                record, _ = await attacker.work(
                    attack,  # type: ignore[arg-type]  a kind that only the tests register
                    document,
                    output_bytes=LIMITS.output_bytes,
                    until=deadline(),
                )
                if record.failure is HARMED:
                    return "HARM"
            record, _ = await sibling.work(
                self.benign, document, output_bytes=LIMITS.output_bytes, until=deadline() + 1
            )
        return "refused" if record.failure is None else "HARM"

    async def close(self) -> None:
        await self.lender.close()


class Posts:
    """Children that go on from one job to the next while nothing speaks against it."""

    descriptors = 4
    benign: Any = RenderMarkdown()

    def __init__(self, landlock: str) -> None:
        hello = Hello(template=Template.TEXT, limits=asdict(LIMITS), landlock=landlock)
        self.lender = Lender(hello, SETTINGS, ready=2, entry=entry("text"))
        self.document = b"A post."
        self.reader: Reader | None = None

    async def end_of(self, task: Any, marker: str = "") -> str:
        """One word for how this task ended. An attack is made by a fresh child."""
        if self.reader is None or task is not self.benign or marker:
            self._let_go()
            self.reader = await self._fresh()
        works_on = getattr(task, "name", "") in WORKS_WITHOUT_END
        until = time.monotonic() + SPIN_SECONDS if works_on else deadline()
        try:
            text = self.document + marker.encode()
            record, body = await self.reader.work(encode_task(task), text, until=until)
        except ChildLost as lost:
            self._let_go()
            return word_of(lost)
        if record.failure in (FailureCode.DECODER_CRASHED, FailureCode.TOO_MUCH_MEMORY):
            self._let_go()
        elif getattr(task, "name", "") == "reply_and_stay":
            self._let_go()  # The next text would wait for it until the deadline.
        return outcome_of(record, lambda: verify_text.rendered(body))

    async def against_a_sibling(self, name: str) -> str:
        """A child attacks another child, which must then still do its job."""
        attacker, sibling = await self._fresh(), await self._fresh()
        try:
            with contextlib.suppress(ChildLost):
                attack = encode_task(Attack(name=name, number=sibling.child.pid))
                record, _ = await attacker.work(attack, self.document, until=deadline())
                if record.failure is HARMED:
                    return "HARM"
            record, _ = await sibling.work(encode_task(self.benign), self.document, until=deadline() + 1)
            return "refused" if record.failure is None else "HARM"
        finally:
            attacker.close()
            sibling.close()

    async def close(self) -> None:
        self._let_go()
        await self.lender.close()

    async def _fresh(self) -> Reader:
        return Reader(await self.lender.lend(), cpu_seconds=TEXT_CPU_SECONDS, on_end=lambda _: None)

    def _let_go(self) -> None:
        if self.reader is not None:
            self.reader.close()
            self.reader = None
            self.lender.after_job(crashed=False)


def deadline() -> float:
    return time.monotonic() + LIMITS.decode_seconds


def word_of(lost: ChildLost) -> str:
    if lost.by_deadline:
        return "deadline"
    if lost.killed is Kill.CPU:
        return "processor time"
    if lost.signal:
        return signal.Signals(lost.signal).name
    return "no reply" if lost.status is not None else "template lost"


def outcome_of(record: wire.Record, check: Callable[[], object]) -> str:
    if record.failure is not None:
        return {HARMED: "HARM", REFUSED: "refused"}.get(record.failure, str(record.failure))
    try:
        check()
    except (verify.HostileReply, wire.BadReply):
        return "hostile reply"
    return "done"


async def main(landlock: str, only: list[str] | None = None, template: str = "raster") -> None:
    jail = Posts(landlock) if template == "text" else Pictures(landlock)
    lender = jail.lender
    await lender.open()
    say({"layers": lender.report["layers"]})
    with tempfile.TemporaryDirectory() as folder:
        canaries = Canaries(Path(folder))
        assert await jail.end_of(jail.benign, MARKER) == "done"
        template_pid = lender.report["pid"]
        for attack in attacks(canaries, template_pid, jail.descriptors, only):
            started = time.monotonic()
            outcome = await jail.end_of(attack)
            seconds = time.monotonic() - started
            following = await jail.end_of(jail.benign)
            name = " ".join(filter(None, (attack.name, attack.text.replace(folder, ""))))
            target = {os.getpid(): " (host)", template_pid: " (template)"}.get(attack.number, "")
            say(
                {"attack": name + target, "outcome": outcome, "seconds": round(seconds, 3), "next": following}
            )
        for name in ("kill_process", "trace_process", "read_process_memory", "limit_process", "open_pidfd"):
            outcome = await jail.against_a_sibling(name)
            following = await jail.end_of(jail.benign)
            say({"attack": f"{name} (sibling)", "outcome": outcome, "seconds": 0.0, "next": following})
        say({"touched": canaries.touched(), "template_pid_kept": template_pid == lender.report["pid"]})
    await jail.close()


def say(line: dict[str, Any]) -> None:
    print(json.dumps(line), flush=True)


if __name__ == "__main__":
    asyncio.run(main(**json.loads(sys.argv[1])))
