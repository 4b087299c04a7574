"""What the service's processes hold: descriptors and memfds, processes and zombies, memory, each by kind."""

import os
import re
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from benchmarks import processes

from .service import Service

CALM_SAMPLES = 8
SAMPLE_SECONDS = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Census:
    """A count of the service at one moment. What only root may see of the jailed is left out for others."""

    host_descriptors: Counter[str]
    """By kind: memfd, socket, pidfd, eventpoll, pipe, and so on."""
    template_descriptors: tuple[tuple[tuple[str, int], ...], ...]
    """The same of each template."""
    templates: int
    children: int
    zombies: int
    is_calm: bool
    """Nobody runs."""
    host_rss_kb: int
    host_pss_kb: int
    template_pss_kb: int
    children_pss_kb: int

    @property
    def all_template_descriptors(self) -> int:
        """Over all templates; 0 where we may not see them."""
        return sum(count for template in self.template_descriptors for _, count in template)

    @property
    def jailed_pss_kb(self) -> int:
        """Of templates and children; 0 where we may not see it."""
        return self.template_pss_kb + self.children_pss_kb

    def counts(self) -> dict[str, object]:
        """All that has to be the same before and after; memory is not."""
        return {
            "host": dict(self.host_descriptors),
            "templates": self.template_descriptors,
            "processes": (self.templates, self.children),
            "zombies": self.zombies,
        }


def count(service: Service) -> Census:
    """Count now."""
    templates = service.templates()
    children = [child for template in templates for child in service.children(template)]
    states = [processes.state(pid) for pid in (service.pid, *templates, *children)]
    return Census(
        host_descriptors=descriptors(service.pid),
        template_descriptors=tuple(sorted(tuple(sorted(descriptors(pid).items())) for pid in templates)),
        templates=len(templates),
        children=len(children),
        zombies=states.count("Z"),
        is_calm=set(states) <= {"S", "I"},
        host_rss_kb=memory_kb(service.pid, "Rss"),
        host_pss_kb=memory_kb(service.pid, "Pss"),
        template_pss_kb=sum(memory_kb(pid, "Pss") for pid in templates),
        children_pss_kb=sum(memory_kb(pid, "Pss") for pid in children),
    )


def at_rest(service: Service, *, like: Census | None = None, within: float) -> Census:
    """The count once nothing runs or changes, and it is `like` an earlier one; the last when time is over."""
    deadline = time.monotonic() + within
    calm, before = 0, None
    while True:
        now = count(service)
        is_same = before is not None and now.counts() == before.counts()
        calm = calm + 1 if now.is_calm and is_same else 0
        is_like = like is None or now.counts() == like.counts()
        if (calm >= CALM_SAMPLES and is_like) or time.monotonic() > deadline:
            return now
        before = now
        time.sleep(SAMPLE_SECONDS)


def descriptors(pid: int) -> Counter[str]:
    """Those of this process by kind; none when it is gone or we may not see them."""
    kinds: Counter[str] = Counter()
    try:
        numbers = os.listdir(f"/proc/{pid}/fd")
    except OSError:  # Gone, or not ours to see.
        return kinds
    for number in numbers:
        try:
            kinds[_kind(str(Path(f"/proc/{pid}/fd/{number}").readlink()))] += 1
        except OSError:
            continue
    return kinds


def _kind(link: str) -> str:
    if link.startswith("/memfd:"):
        return "memfd"
    named = re.match(r"anon_inode:\[?(\w+)|(\w+):\[", link)
    return (named[1] or named[2]) if named else "file"


def memory_kb(pid: int, name: str) -> int:
    """Its `Rss` or `Pss`; 0 when it is gone or we may not see it."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0
    found = re.search(rf"^{name}: +(\d+) kB$", text, re.MULTILINE)
    return int(found[1]) if found else 0
