"""Name servers, a database and a node that do what a test says, in place of the network."""

import asyncio
import json
import threading

from remote_worker.contract.document import Document
from remote_worker.contract.failures import FailureCode, WorkFailed
from remote_worker.contract.links import Fetched, Resolved, Want
from remote_worker.service.ens import Ens
from remote_worker.service.geo import Geo
from remote_worker.service.network import Network
from remote_worker.service.settings import NetworkSettings
from remote_worker.web.network import NetworkUses

OWNER = "0xd8da6bf26964af9d7eed9e03e53415d37aa96045"


class SmallNames:
    """Knows one address of every name; a name that begins with a failure's code fails with it."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self.began = threading.Event()
        self.cancelled = threading.Event()

    async def resolve(self, name: str, kind: str, *, deadline: float) -> Resolved:
        """Fill the protocol."""
        self.asked.append((name, kind))
        word = name.partition(".")[0]
        if word == "hang":
            self.began.set()
            try:
                await asyncio.Event().wait()
            finally:
                self.cancelled.set()
        if word in set(FailureCode):
            raise WorkFailed(FailureCode(word), "some detail")
        answers = {"A": ("93.184.215.14",), "MX": ("10 mail.example.com.",)}
        return Resolved(answers=answers.get(kind, ("text",)), ttl=300, servers=("192.0.2.53", "2001:db8::53"))


class SmallNode:
    """A node with one owner of every name that begins with `owned`."""

    async def fetch(self, want: Want, *, deadline: float) -> Fetched:
        """Fill the protocol."""
        call = json.loads(want.body)
        if want.url.endswith("blocked"):
            raise WorkFailed(FailureCode.BLOCKED_ADDRESS, "private")
        result = "0x" + OWNER[2:].rjust(64, "0")
        body = json.dumps({"jsonrpc": "2.0", "id": call["id"], "result": result}).encode()
        return Fetched(
            url=want.url,
            status=200,
            headers={},
            body=Document.of(body),
            media_type="application/json",
            is_cut=False,
            hops=(),
            received_bytes=len(body),
            milliseconds=1.0,
        )


def small_network(names: SmallNames | None = None, *, database: str = "", rpc_url: str = "") -> NetworkUses:
    """The use cases about names and addresses."""
    return NetworkUses(
        names=Network(names or SmallNames(), NetworkSettings()),
        geo=Geo(database),
        ens=Ens(SmallNode(), rpc_url),
    )
