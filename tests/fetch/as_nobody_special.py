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


async def told(landlock: str, probe: str) -> str:
    """What the probe tells, or how its process ended."""
    reasons: list[str] = []
    hello = Hello(settings=FetchSettings(fetches=4), landlock=landlock)
    process = await FetchProcess.start(hello, entry=HIJACKED, seconds=30)
    process.on_loss = reasons.append
    want = Want(url=f"http://probe-{probe}.test/1", purpose=Purpose.PAGE)
    try:
        with await process.fetch(want, time.monotonic() + 10) as fetched:
            return fetched.body.prefix().decode()
    except ProcessLost:
        return reasons[0]
    finally:
        process.close()


async def run(landlock: str, probes: list[str]) -> dict[str, str]:
    """All of them, each in a process of its own."""
    return {probe: await told(landlock, probe) for probe in probes}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(run(sys.argv[1], sys.argv[2:]))))
