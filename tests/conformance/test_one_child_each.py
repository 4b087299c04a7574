"""Counted from outside, by the kernel's record of system calls: every document meets its own process."""

import re
import shutil
import subprocess
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from .corpora import samples
from .service import Service, started

UPLOADS = 120
TASK = re.compile(r'^(\d+)\s.*recvmsg\(\d+, .*\{\\"kind\\": ', re.MULTILINE)
RESUMED_TASK = re.compile(r'^(\d+)\s.*recvmsg resumed>.*\{\\"kind\\": ', re.MULTILINE)


@pytest.mark.needs_strace
def test_there_are_as_many_children_as_documents(tmp_path: Path) -> None:
    contents = [
        sample.read() for sample in samples() if sample.id.startswith("own/") and sample.expected == "ok"
    ]
    trace = tmp_path / "trace"
    with started(tmp_path / "log", settings={"REMOTE_CHILDREN": "3"}) as service:
        service.settled()
        with Watched(service, trace):
            with ThreadPoolExecutor(6) as callers:
                uploads = (contents * UPLOADS)[:UPLOADS]
                answers = list(callers.map(lambda body: service.post("/images/info", body), uploads))
            service.settled()
    text = trace.read_text(errors="replace")
    tasks = Counter(TASK.findall(text) + RESUMED_TASK.findall(text))

    assert {answer.status for answer in answers} == {200}
    assert len(tasks) == UPLOADS
    assert set(tasks.values()) == {1}


class Watched:
    """strace on every template and waiting child of the service, and on every child that they fork."""

    def __init__(self, service: Service, trace: Path) -> None:
        pids = [argument for pid in service.tree() if pid != service.pid for argument in ("-p", str(pid))]
        strace = shutil.which("strace")
        assert strace
        self._command = [strace, "-f", "-s", "32", "-e", "trace=recvmsg", "-o", str(trace), *pids]

    def __enter__(self) -> None:
        self._process = subprocess.Popen(self._command, stderr=subprocess.PIPE, text=True)
        assert self._process.stderr
        for _ in range(self._command.count("-p")):
            assert "attached" in self._process.stderr.readline()

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.communicate(timeout=20)
