"""A server with links, over a door and a reader that answer as they are told."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from service.doors import Door, Sight
from web.serving import Answer, Reader, Service, serving
from web.small_links import small_links

from remote_worker.service.cache import Cache
from remote_worker.service.settings import LinkSettings
from remote_worker.service.signing import Signer


@dataclass(frozen=True)
class Linked:
    """A server, and what is behind it."""

    service: Service
    door: Door
    sight: Sight
    signer: Signer
    cache: Cache

    def begin_anew(self) -> None:
        """As if nothing had been asked yet."""
        for url in self.door.urls:
            asyncio.run(self.cache.purge(url))
        for told in (self.door.wants, self.door.cancelled, self.door.held, self.door.answers):
            told.clear()
        self.sight.pages.clear()
        decoder = self.service.decoder
        for done in (decoder.tasks, decoder.uploads, decoder.callers):
            done.clear()

    def ask(self, method: str, target: str, *headers: str, body: bytes = b"", version: str = "1.1") -> Answer:
        """One request on a connection of its own."""
        with self.connect() as connection:
            connection.sendall(request(method, target, *headers, body=body, version=version))
            return Reader(connection).answer(has_body=method != "HEAD")

    def get(self, target: str, *headers: str) -> Answer:
        """One GET."""
        return self.ask("GET", target, *headers)

    def connect(self) -> socket.socket:
        """A connection of one's own."""
        return self.service.connect()


def request(method: str, target: str, *headers: str, body: bytes = b"", version: str = "1.1") -> bytes:
    """A request as it goes over the wire."""
    lines = [f"{method} {target} HTTP/{version}", "Host: localhost", *headers]
    if body or method in ("POST", "DELETE"):
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


@contextmanager
def linked(**settings: Any) -> Iterator[Linked]:
    """Until the block ends."""
    door, sight, cache = Door(), Sight(), Cache(LinkSettings().cache_bytes)
    links = small_links(door, sight, cache, **settings)
    with serving(links=links) as service:
        yield Linked(service, door, sight, links.signer, cache)
