"""A host that lends children to every attack in turn and says as JSON lines how each ended.

Run as a program of its own, so that it can be started as root and as an ordinary uid:
`python host.py {"landlock": "if_available"}`. A line is {"attack", "outcome", "seconds", "next"}; `next` says
whether the template's following child did a benign job.
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
from dataclasses import asdict
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from task import HARMED, REFUSED, Attack

from remote_worker.contract import wire
from remote_worker.contract.control import Hello
from remote_worker.contract.document import Document
from remote_worker.contract.limits import Limits
from remote_worker.contract.messages import Info
from remote_worker.contract.signatures import Template
from remote_worker.pool import verify
from remote_worker.pool.child import ChildLost
from remote_worker.pool.lender import Lender
from remote_worker.pool.settings import PoolSettings

HERE = Path(__file__).parent
SAMPLE = next((HERE.parents[1] / "src/remote_worker/decoder/samples").glob("sample.png"))
LIMITS = Limits(decode_seconds=1.0, cpu_seconds=3, memory_bytes=256 << 20)
MOST_THREADS = 8192
"""Of one user: a limit of ChildSeal's."""
MARKER = "a marker that only the picture before this one held"


def entry() -> list[str]:
    """What makes the template's interpreter run the attack template."""
    path = str(HERE / "template.py")
    return ["-c", f"import runpy, sys; sys.argv[0] = {path!r}; runpy.run_path({path!r}, run_name='__main__')"]


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


def attacks(canaries: Canaries, template_pid: int, only: list[str] | None) -> list[Attack]:
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


async def end_of(lender: Lender, task: Any, document: Document) -> str:
    """One word for how the child of this task ended."""
    child = await lender.lend()
    try:
        record, body = await child.work(
            task, document, output_bytes=LIMITS.output_bytes, until=time.monotonic() + LIMITS.decode_seconds
        )
    except ChildLost as lost:
        if lost.by_deadline:
            return "deadline"
        if lost.signal:
            return signal.Signals(lost.signal).name
        return "no reply" if lost.status is not None else "template lost"
    finally:
        lender.after_job(crashed=False)
    if record.failure is not None:
        return {HARMED: "HARM", REFUSED: "refused"}.get(record.failure, str(record.failure))
    try:
        verify.reply(task, body)
    except (verify.HostileReply, wire.BadReply):
        return "hostile reply"
    return "done"


async def against_a_sibling(lender: Lender, name: str, document: Document) -> str:
    """A child attacks another child, which must then still do its job."""
    attacker, sibling = await lender.lend(), await lender.lend()
    until = time.monotonic() + LIMITS.decode_seconds
    attack = Attack(name=name, number=sibling.pid)
    with contextlib.suppress(ChildLost):
        record, _ = await attacker.work(attack, document, output_bytes=LIMITS.output_bytes, until=until)  # type: ignore[arg-type]  a kind that only the tests register
        if record.failure is HARMED:
            return "HARM"
    record, _ = await sibling.work(Info(), document, output_bytes=LIMITS.output_bytes, until=until + 1)
    return "refused" if record.failure is None else "HARM"


async def main(landlock: str, only: list[str] | None = None) -> None:
    settings = PoolSettings(children=2, ready=2, crash_burst=10_000)
    hello = Hello(template=Template.RASTER, limits=asdict(LIMITS), landlock=landlock)
    lender = Lender(hello, settings, ready=2, entry=entry())
    await lender.open()
    say({"layers": lender.report["layers"]})
    picture = SAMPLE.read_bytes()
    with tempfile.TemporaryDirectory() as folder, Document.of(picture) as benign:
        canaries = Canaries(Path(folder))
        with Document.of(picture + MARKER.encode()) as marked:
            assert await end_of(lender, Info(), marked) == "done"
        template_pid = lender.report["pid"]
        for attack in attacks(canaries, template_pid, only):
            started = time.monotonic()
            outcome = await end_of(lender, attack, benign)
            seconds = time.monotonic() - started
            following = await end_of(lender, Info(), benign)
            name = " ".join(filter(None, (attack.name, attack.text.replace(folder, ""))))
            target = {os.getpid(): " (host)", template_pid: " (template)"}.get(attack.number, "")
            say(
                {"attack": name + target, "outcome": outcome, "seconds": round(seconds, 3), "next": following}
            )
        for name in ("kill_process", "trace_process", "read_process_memory", "limit_process", "open_pidfd"):
            outcome = await against_a_sibling(lender, name, benign)
            following = await end_of(lender, Info(), benign)
            say({"attack": f"{name} (sibling)", "outcome": outcome, "seconds": 0.0, "next": following})
        say({"touched": canaries.touched(), "template_pid_kept": template_pid == lender.report["pid"]})
    await lender.close()


def say(line: dict[str, Any]) -> None:
    print(json.dumps(line), flush=True)


if __name__ == "__main__":
    asyncio.run(main(**json.loads(sys.argv[1])))
