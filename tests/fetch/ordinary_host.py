"""A host without any privilege that starts hijacked processes and prints what each probe came to, as JSON.

Its arguments: what the seal is told of Landlock, and the probes.
"""

import asyncio
import json
import sys
import time
from pathlib import Path

from remote_worker.contract.links import Purpose, Want
from remote_worker.fetch.messages import Hello
from remote_worker.fetch.running import FetchProcess, ProcessLost
from remote_worker.fetch.settings import FetchSettings

HIJACKED = (str(Path(__file__).with_name("hijacked.py")),)


async def run(landlock: str, probes: list[str]) -> dict[str, str]:
    """What each probe tells, or how its process ended; the next one then has another."""
    hello = Hello(settings=FetchSettings(fetches=4), landlock=landlock)
    told: dict[str, str] = {}
    while len(told) < len(probes):
        reasons: list[str] = []
        process = await FetchProcess.start(hello, entry=HIJACKED, seconds=30)
        process.on_loss = reasons.append
        try:
            for probe in probes[len(told) :]:
                want = Want(url=f"http://probe-{probe}.test/1", purpose=Purpose.PAGE)
                with await process.fetch(want, time.monotonic() + 10) as fetched:
                    told[probe] = fetched.body.prefix().decode()
        except ProcessLost:
            told[probe] = reasons[0]
        finally:
            process.close()
    return told


if __name__ == "__main__":
    print(json.dumps(asyncio.run(run(sys.argv[1], sys.argv[2:]))))
