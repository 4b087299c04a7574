"""Clients submit jobs while processes are killed and started again: scripts/hold, but small."""

import os
from dataclasses import replace
from pathlib import Path

from hold import jobs
from hold.job_receiver import receiving

CLIENTS = 20
SECONDS = 5.0
BOUND_SECONDS = 60.0
SHORT_LEASES = """
import sys
from remote_worker.jobs import settings
settings.LEASE_SECONDS = 2.0
from remote_worker.cli import main
sys.exit(main(sys.argv[1:]))
"""
"""Runs the command line with leases that the test has time for."""


def test_every_accepted_job_ends_in_its_answer_once_while_workers_come_and_go(
    tmp_path: Path,
) -> None:
    cores = frozenset(os.sched_getaffinity(0))
    with (
        receiving() as receiver,
        jobs.on_one_machine(
            tmp_path, cores, receiver, entry=("-c", SHORT_LEASES), REMOTE_JOBS_QUEUE="8"
        ) as scene,
    ):
        steps = [(1, jobs.KILL), (0, jobs.KILL), (1, jobs.KILL), (0, jobs.TERM)]
        seen = jobs.watch(
            replace(scene, steps=steps, pause_seconds=(0.2, 0.5)),
            receiver,
            clients=CLIENTS,
            seconds=SECONDS,
            bound_seconds=BOUND_SECONDS,
            telling_seconds=BOUND_SECONDS,
            fails=(0, 1),
        )

    assert [row for row in jobs.found("small", seen, BOUND_SECONDS) if not row.holds] == []
    assert sum(end.is_killed for end in seen.ends) >= 3
    assert len(seen.book.accepted) > CLIENTS
    assert seen.book.counts["503 at submitting"] > 0
