"""A receiver of webhooks that fails at first as often as its URL says, and a page to make previews of."""

import base64
import hashlib
import hmac
import json
import re
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
"""What workers sign with."""
PAGE = b"<!doctype html><title>A page</title><meta name=description content='To be looked at.'>"
_OLDEST_SECONDS = 300
_HOOK = re.compile(r"/hook/([\w-]+)\?fails=([0-9])")


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One attempt to tell something."""

    name: str
    """Of the callback, as in its URL."""
    id: str
    """The header's."""
    told: str
    """The ID of the job in the body."""
    is_genuine: bool
    status: int
    """How it was answered."""
    at: float


class Receiver(ThreadingHTTPServer):
    """Notes all that comes."""

    request_queue_size = 512
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self._noting = threading.Lock()
        self._messages: list[Message] = []

    @property
    def origin(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_port}"

    def callback(self, name: str, fails: int) -> str:
        """A URL that answers 204 after so many failures."""
        return f"{self.origin}/hook/{name}?fails={fails}"

    def messages(self) -> Sequence[Message]:
        """All until now."""
        with self._noting:
            return list(self._messages)

    def note(self, name: str, fails: int, id: str, told: str, *, is_genuine: bool) -> int:
        """Write an attempt down; how it is to be answered."""
        with self._noting:
            before = sum(message.name == name for message in self._messages)
            status = 500 if before < fails else 204
            self._messages.append(
                Message(name=name, id=id, told=told, is_genuine=is_genuine, status=status, at=time.time())
            )
        return status


@contextmanager
def receiving() -> Iterator[Receiver]:
    """It listens until the block ends."""
    with Receiver() as receiver:
        thread = threading.Thread(target=receiver.serve_forever)
        thread.start()
        try:
            yield receiver
        finally:
            receiver.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(PAGE)))
        self.end_headers()
        self.wfile.write(PAGE)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        found = _HOOK.fullmatch(self.path)
        status = 404
        if found:
            id = self.headers["webhook-id"]
            status = self.server.note(
                found[1], int(found[2]), id, json.loads(body)["data"]["id"], is_genuine=self._is_genuine(body)
            )
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _is_genuine(self, body: bytes) -> bool:
        """As the specification has it: https://www.standardwebhooks.com."""
        at = self.headers["webhook-timestamp"]
        signed = f"{self.headers['webhook-id']}.{at}.".encode() + body
        key = base64.b64decode(SECRET.removeprefix("whsec_"))
        right = "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
        is_young = abs(time.time() - int(at)) < _OLDEST_SECONDS
        return is_young and right in self.headers["webhook-signature"].split()

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""
