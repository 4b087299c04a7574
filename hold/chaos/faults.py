"""Faults that are done to the running service from outside, each undone at the end as far as it can be."""

import os
import random
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from .load import Record
from .others import Other, Others
from .service import Service

VOLLEY_SECONDS = 1.0
SHORTAGE_SECONDS = 1.5
GRACE_SECONDS = 1.0
STOP_SECONDS = 0.4
"""How long somebody is stopped who is continued afterwards."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What a fault has to do with."""

    service: Service
    others: Others
    record: Record
    choice: random.Random


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One kind. `inject` comes back when everything is undone; from then on the service has to recover.

    `hits` names the kind of template whose answers tell that it has.
    """

    name: str
    inject: Callable[[Scene], None]
    hits: tuple[str, ...] = ("raster", "svg", "text", "fetch")


def signal_process(pid: int, parent: int, number: int) -> None:
    """Send the signal if this process is still a child of that parent."""
    with suppress(ProcessLookupError, FileNotFoundError):
        descriptor = os.pidfd_open(pid)
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
            if int(stat.rpartition(")")[2].split()[1]) == parent:
                signal.pidfd_send_signal(descriptor, number)
        finally:
            os.close(descriptor)


def _volley(scene: Scene, pause_seconds: float, act: Callable[[int, int], None]) -> None:
    """Do it to a random child again and again, so that children at work are hit too."""
    until = time.monotonic() + VOLLEY_SECONDS
    while time.monotonic() < until:
        family = [
            (child, template)
            for template in scene.service.templates()
            for child in scene.service.children(template)
        ]
        if family:
            act(*scene.choice.choice(family))
        time.sleep(pause_seconds)


def _kill_children(scene: Scene) -> None:
    _volley(scene, 0.03, lambda child, template: signal_process(child, template, signal.SIGKILL))


def _stop_children(scene: Scene) -> None:
    _volley(scene, 0.2, lambda child, template: signal_process(child, template, signal.SIGSTOP))


def _pause_children(scene: Scene) -> None:
    stopped: list[tuple[int, int]] = []

    def pause(child: int, template: int) -> None:
        signal_process(child, template, signal.SIGSTOP)
        stopped.append((child, template))

    _volley(scene, 0.2, pause)
    for child, template in stopped:
        signal_process(child, template, signal.SIGCONT)


def _to_fetcher(*numbers: int) -> Callable[[Scene], None]:
    def send(scene: Scene) -> None:
        pid = scene.service.fetcher()
        for at, number in enumerate(numbers):
            if at:
                time.sleep(STOP_SECONDS)
            signal_process(pid, scene.service.pid, number)

    return send


def _killed(which: Callable[[Others], Other]) -> Callable[[Scene], None]:
    def strike(scene: Scene) -> None:
        other = which(scene.others)
        scene.record.others_are_gone = True
        other.kill()
        time.sleep(SHORTAGE_SECONDS)
        other.start()
        _come_back(scene.record)

    return strike


def _paused(which: Callable[[Others], Other]) -> Callable[[Scene], None]:
    def strike(scene: Scene) -> None:
        other = which(scene.others)
        scene.record.others_are_gone = True
        other.signal(signal.SIGSTOP)
        time.sleep(SHORTAGE_SECONDS)
        other.signal(signal.SIGCONT)
        _come_back(scene.record)

    return strike


def _come_back(record: Record) -> None:
    """What was asked for in between may end later."""

    def end() -> None:
        record.others_are_gone = False

    threading.Timer(GRACE_SECONDS, end).start()


def _to_template(kind: str, *numbers: int) -> Callable[[Scene], None]:
    def send(scene: Scene) -> None:
        pid = scene.service.template(kind)
        for at, number in enumerate(numbers):
            if at:
                time.sleep(STOP_SECONDS)
            signal_process(pid, scene.service.pid, number)

    return send


def _to_pool(*numbers: int) -> Callable[[Scene], None]:
    """Every template and every child of them, at once."""

    def send(scene: Scene) -> None:
        service = scene.service
        family = [(template, service.pid) for template in service.templates()]
        family += [(child, template) for template, _ in family for child in service.children(template)]
        for at, number in enumerate(numbers):
            if at:
                time.sleep(STOP_SECONDS)
            for pid, parent in family:
                signal_process(pid, parent, number)

    return send


def soft_limit(pid: int, name: str) -> str:
    """What /proc/PID/limits says of it."""
    return _limits(pid, name)[0]


def hard_limit(pid: int, name: str) -> str:
    """Likewise; without one when the process is gone. That of a child may be lower than its template's."""
    try:
        return _limits(pid, name)[1]
    except (FileNotFoundError, ProcessLookupError):
        return "unlimited"


def _limits(pid: int, name: str) -> list[str]:
    lines = Path(f"/proc/{pid}/limits").read_text().splitlines()
    return next(line.removeprefix(name).split() for line in lines if line.startswith(name))


def _least(*limits: str) -> str:
    return min(limits, key=lambda limit: float("inf") if limit == "unlimited" else int(limit))


def set_soft_limit(pid: int, option: str, value: str) -> None:
    """As the user that the process runs as: then it takes no capability. Nothing happens when it is gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return
    uid, gid = (int(line.split()[1]) for line in status.splitlines() if line.startswith(("Uid:", "Gid:")))
    command = ["prlimit", "--pid", str(pid), f"--{option}={value}:"]
    if uid == os.geteuid():
        done = subprocess.run(command, capture_output=True, text=True)
    else:
        done = subprocess.run(command, capture_output=True, text=True, user=uid, group=gid, extra_groups=[])
    if done.returncode and Path(f"/proc/{pid}").exists():
        raise PermissionError(done.stderr.strip())


def _no_descriptors(scene: Scene) -> None:
    """The host may open none, or one, or a few more: so that another call fails each time."""
    pid = scene.service.pid
    before = soft_limit(pid, "Max open files")
    until = time.monotonic() + SHORTAGE_SECONDS
    while time.monotonic() < until:
        held = len(os.listdir(f"/proc/{pid}/fd"))
        set_soft_limit(pid, "nofile", str(max(4, held + scene.choice.randint(-4, 6))))
        time.sleep(0.1)
    set_soft_limit(pid, "nofile", before)


def _short_of(option: str, name: str, value: str) -> Callable[[Scene], None]:
    """Templates and children have this limit for a while. Children inherit it, and are freed of it too."""

    def starve(scene: Scene) -> None:
        service = scene.service
        # What fetches has limits of its own, too low already for any process or file.
        templates = [pid for pid in service.templates() if pid != service.fetcher()]
        before = {template: soft_limit(template, name) for template in templates}
        scene.record.memory_is_short = option != "nproc"
        scene.record.threads_are_short = option == "nproc"
        for template in before:
            for pid in (template, *service.children(template)):
                set_soft_limit(pid, option, value)
        time.sleep(SHORTAGE_SECONDS)
        for template, limit in before.items():
            for pid in (template, *service.children(template)):
                set_soft_limit(pid, option, _least(limit, hard_limit(pid, name)))
        # Whoever works now may have met the limit before.
        threading.Timer(GRACE_SECONDS, _end_shortage, [scene.record]).start()

    return starve


def _end_shortage(record: Record) -> None:
    record.memory_is_short = record.threads_are_short = False


def _log_reader_leaves(scene: Scene) -> None:
    """A pipe that was full before is broken now."""
    if scene.service.log_reader is not None:
        scene.service.log_reader.close()


LOG_READER_LEAVES = Fault(name="the log's reader leaves (EPIPE)", inject=_log_reader_leaves)
"""Of a service whose log goes to a pipe."""

KINDS: Sequence[Fault] = (
    Fault(name="children killed", inject=_kill_children),
    Fault(name="children stopped", inject=_stop_children),
    Fault(name="children stopped and continued", inject=_pause_children),
    *(
        Fault(
            name=f"{kind} template {what}",
            inject=_to_template(kind, *numbers),
            hits=("text", "fetch") if kind == "text" else (kind,),
        )
        for kind in ("raster", "svg", "text")
        for what, numbers in (
            ("killed", (signal.SIGKILL,)),
            ("stopped", (signal.SIGSTOP,)),
            ("stopped and continued", (signal.SIGSTOP, signal.SIGCONT)),
        )
    ),
    *(
        Fault(name=f"fetching process {what}", inject=_to_fetcher(*numbers), hits=("fetch",))
        for what, numbers in (
            ("killed", (signal.SIGKILL,)),
            ("stopped", (signal.SIGSTOP,)),
            ("stopped and continued", (signal.SIGSTOP, signal.SIGCONT)),
        )
    ),
    Fault(name="name servers killed", inject=_killed(lambda others: others.names), hits=("fetch",)),
    Fault(name="name servers silent", inject=_paused(lambda others: others.names), hits=("fetch",)),
    Fault(name="sites killed", inject=_killed(lambda others: others.sites), hits=("fetch",)),
    Fault(name="sites silent", inject=_paused(lambda others: others.sites), hits=("fetch",)),
    Fault(name="whole pool killed", inject=_to_pool(signal.SIGKILL)),
    Fault(name="whole pool stopped", inject=_to_pool(signal.SIGSTOP)),
    Fault(name="whole pool stopped and continued", inject=_to_pool(signal.SIGSTOP, signal.SIGCONT)),
    Fault(name="no descriptors (EMFILE)", inject=_no_descriptors),
    Fault(name="no processes (EAGAIN)", inject=_short_of("nproc", "Max processes", "0")),
    Fault(name="no address space (ENOMEM)", inject=_short_of("as", "Max address space", "4096")),
    Fault(name="no data memory (ENOMEM)", inject=_short_of("data", "Max data size", "4096")),
)

QUICK = [
    kind
    for kind in KINDS
    if kind.name
    not in (
        "text template stopped",
        "raster template stopped and continued",
        "svg template stopped and continued",
        "text template stopped and continued",
        "fetching process stopped and continued",
        "name servers silent",
        "sites silent",
    )
]
"""Without those that differ least from others."""
