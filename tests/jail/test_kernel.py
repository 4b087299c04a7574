"""The system calls that Python has another way to."""

import os
import subprocess
import sys
from pathlib import Path

from remote_worker.jail import kernel

SOURCE = Path(__file__).resolve().parents[2] / "src"

REFUSED = """
import errno
from remote_worker.jail import bpf, kernel, privileges, rules

privileges.forbid_new()
refusing = dict.fromkeys(("fork", "clone", "clone3"), rules.refuse(errno.EAGAIN))
bpf.prepare(rules.Rules(refusing, default=rules.ALLOW)).install()
try:
    kernel.fork()
except BlockingIOError as refusal:
    print(errno.errorcode[refusal.errno])
"""


def test_a_fork_returns_in_both_processes() -> None:
    us = os.getpid()
    pid = kernel.fork()
    if pid == 0:
        os._exit(7 if os.getppid() == us else 1)
    found, status = os.waitpid(pid, 0)

    assert (found, os.waitstatus_to_exitcode(status)) == (pid, 7)


def test_a_fork_that_the_kernel_refuses_raises_its_errno() -> None:
    told = subprocess.run(
        [sys.executable, "-c", REFUSED],
        env={"PYTHONPATH": str(SOURCE)},
        capture_output=True,
        text=True,
        check=True,
    )

    assert told.stdout == "EAGAIN\n"
