"""Links: 500 previews of 500 names on 50 servers at once, walls, hangs and bombs among them.

Each name is a site of its own. The good ones answer in time whatever the others do, everything else ends
with a word of its own, and no answer of a stranger makes the service grow.
"""

import itertools
import os
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks import processes, servers
from benchmarks.processes import pss_bytes, sampled_memory

from .link_callers import Calls, Told, asked
from .overload import ms
from .point import Given, Row
from .strangers import GOOD, KINDS, Strangers, strangers, title

PORT = 6220
WHERE = Strangers(dns_port=6221, port=6222)
PREVIEWS = 500
GOOD_SHARE = 0.6
BATCH = 50
MOST_SECONDS = 2.0
MOST_GROWTH_BYTES = 20_000_000
HUNGRY = ("bomb", "endless", "longhead", "lying")
"""Answers that would fill memory."""
TIMES = 5
WARM = 10
"""Good ones, one after the other, before memory is measured."""
REST_SECONDS = 1.0

ENDS: dict[str, set[str]] = {
    "wall": {"", "http_4xx"},
    "silent": {"timeout"},
    "drip": {"timeout"},
    "stall": {"", "timeout"},
    "bomb": {"", "too_large", "bad_encoding"},
    "endless": {"", "too_large", "parse_limit"},
    "reset": {"connect_failed", "bad_http"},
    "garbage": {"bad_http"},
    "loop": {"redirect_loop", "redirect_limit"},
    "inward": {"blocked_address"},
    "lying": {"bad_encoding", "bad_http"},
    "longhead": {"bad_http", "too_large"},
    "dnssilent": {"timeout", "dns_failed"},
    "dnsnone": {"dns_not_found"},
    "dnsprivate": {"blocked_address"},
}
"""With which codes each kind may end; empty stands for a preview."""


def measure(given: Given) -> Sequence[Row]:
    """Good ones alone, then among bad ones: one by one, and in batches; then what each bad one costs."""
    settings = {
        "REMOTE_NAMESERVERS": f"127.0.0.1:{WHERE.dns_port}",
        "REMOTE_EGRESS_ALLOW": f"127.0.1.0/24:{WHERE.port}",
    }
    core = given.load_core
    others = os.sched_getaffinity(0) - {core, *given.server_cores}
    cores = set(given.server_cores)
    with strangers(WHERE, min(others, default=core)), servers.worker(PORT, cores, **settings):
        alone = asked(Calls(port=PORT, urls=urls(0, good_share=1)), core)
        one_by_one = asked(Calls(port=PORT, urls=urls(1)), core)
        batches = asked(Calls(port=PORT, urls=urls(2), batch=BATCH), core)
    growth = []
    for kind in HUNGRY:  # One that has seen no such answer: what the allocator keeps of the first would hide.
        with strangers(WHERE, min(others, default=core)), servers.worker(PORT, cores, **settings) as server:
            growth.append(_growth(server.pid, kind, core))
    return [
        *rows("good ones alone", alone),
        *rows(f"{PREVIEWS} at once", one_by_one),
        *rows(f"{PREVIEWS} at once, in batches of {BATCH}", batches),
        *growth,
    ]


def urls(run: int, *, good_share: float = GOOD_SHARE) -> list[str]:
    """The URLs of a run, the bad ones spread among the good, each with a name that no other run has."""
    bad = itertools.cycle(kind for kind in KINDS if kind != GOOD)
    is_good = (int((number + 1) * good_share) > int(number * good_share) for number in range(PREVIEWS))
    kinds = [GOOD if one else next(bad) for one in is_good]
    return [url(kind, run * PREVIEWS + number) for number, kind in enumerate(kinds)]


def url(kind: str, number: int) -> str:
    """A page of a stranger."""
    return f"http://{kind}-{number}.example:{WHERE.port}/page"


def rows(case: str, told: Sequence[Told]) -> list[Row]:
    """What a run shows."""
    good = [one for one in told if _kind(one) == GOOD]
    bad = [one for one in told if _kind(one) != GOOD]
    right = [one for one in good if not one.code and one.title == title(_name(one))]
    slowest = max((one.seconds for one in right), default=float("inf"))
    odd = Counter(
        f"{_kind(one)}: {one.code or 'a preview'}" for one in bad if one.code not in ENDS[_kind(one)]
    )
    codes = Counter(one.code or "a preview" for one in good if one not in right)
    found = [
        Row(
            case=f"{case}: good ones that are right",
            bar="all",
            measured=f"{len(right)} of {len(good)}{_listed(codes)}",
            holds=len(right) == len(good),
        ),
        Row(
            case=f"{case}: the slowest good one",
            bar=f"under {MOST_SECONDS:g} s",
            measured=ms(slowest),
            holds=slowest < MOST_SECONDS,
        ),
    ]
    if bad:
        ended = max(one.seconds for one in bad)
        found.append(
            Row(
                case=f"{case}: bad ones that end with another word than theirs",
                bar="0",
                measured=f"{odd.total()} of {len(bad)}, the last after {ended:.1f} s{_listed(odd)}",
                holds=not odd,
            )
        )
    return found


def _growth(pid: int, kind: str, core: int) -> Row:
    """What all processes together, and each of them, grow by at most during such answers, one by one."""
    for number in range(WARM):
        asked(Calls(port=PORT, urls=[url(GOOD, 9_000 + number)]), core)
    before, each_before = pss_bytes(pid), _rss_bytes(pid)
    highest = dict(each_before)
    with sampled_memory(pid) as samples, _repeated(lambda: _raise(highest, _rss_bytes(pid))):
        for number in range(TIMES):
            asked(Calls(port=PORT, urls=[url(kind, 10_001 + number)]), core)
    time.sleep(REST_SECONDS)
    most, stays = max(samples, default=before) - before, pss_bytes(pid) - before
    each: dict[str, int] = {}
    for (name, member), held in highest.items():
        # One that is new has nothing to be compared with: it counts in what all hold.
        grown = held - each_before.get((name, member), held)
        each[name] = max(each.get(name, 0), grown)
    return Row(
        case=f"memory during {TIMES} answers of the kind {kind}: all together, each process",
        bar=f"grows by under {MOST_GROWTH_BYTES / 1e6:g} MB",
        measured=(
            f"{most / 1e6:.1f} MB, of which {stays / 1e6:.1f} stay; "
            + ", ".join(f"{name} {grown / 1e6:.1f}" for name, grown in sorted(each.items()))
        ),
        holds=max(most, *each.values()) < MOST_GROWTH_BYTES,
    )


def _rss_bytes(pid: int) -> dict[tuple[str, int], int]:
    """Resident memory by what a process is, and its id."""
    names = {pid: "host"}
    for member in processes.children(pid):
        is_fetcher = b"fetch.process.main" in _read(f"/proc/{member}/cmdline")
        names[member] = "fetching" if is_fetcher else "a template"
        names |= dict.fromkeys(processes.tree(member)[1:], "a child")
    found = {}
    for member, name in names.items():
        told = re.search(rb"^VmRSS:\s+(\d+) kB$", _read(f"/proc/{member}/status"), re.MULTILINE)
        if told:
            found[name, member] = int(told[1]) * 1024
    return found


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError:
        return b""


def _raise(highest: dict[tuple[str, int], int], now: Mapping[tuple[str, int], int]) -> None:
    for key, held in now.items():
        highest[key] = max(highest.get(key, 0), held)


@contextmanager
def _repeated(act: Callable[[], None]) -> Iterator[None]:
    stop = threading.Event()

    def repeat() -> None:
        while not stop.wait(processes.SAMPLE_SECONDS):
            act()

    thread = threading.Thread(target=repeat)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _name(told: Told) -> str:
    found = re.match(r"http://([a-z]+-[0-9]+\.example):", told.url)
    return found[1] if found else ""


def _kind(told: Told) -> str:
    return _name(told).partition("-")[0]


def _listed(counted: "Counter[str]") -> str:
    return "".join(f"; {count} x {what}" for what, count in counted.most_common(5))
