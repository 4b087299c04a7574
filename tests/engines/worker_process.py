"""A worker in a process of its own, which tests may kill. What its handler does, the unit's body says."""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

from engines.drivers import done, note, open_engine

from remote_worker.engines.engine import Kind, Lease, Policy, Unit


async def main(order: dict) -> None:
    """Work until killed, or submit, say so, and wait to be killed."""
    log = Path(order["log"])
    policies = {Kind(kind): Policy(**policy) for kind, policy in order["policies"].items()}

    async def handle(unit: Unit, lease: Lease) -> None:
        note(log, unit, lease.attempt, lease.is_beyond)
        if lease.is_beyond:
            return
        if unit.body == b"nap":
            await asyncio.sleep(0.02)
            done(log, unit)
        if unit.body == b"die":
            os.kill(os.getpid(), signal.SIGKILL)
        if unit.body == b"take time":
            await asyncio.sleep(0.1)
        if unit.body == b"hang":
            await asyncio.Event().wait()

    async with open_engine(order["address"], policies) as engine:
        if order["submit"]:
            id, kind = order["submit"]
            await engine.submit([Unit(id=id, kind=Kind(kind), body=b"")])
            print("submitted", flush=True)
            await asyncio.Event().wait()
        await engine.work(Kind.JOB, handle, slots=order["slots"], stop=asyncio.Event())


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1])))
