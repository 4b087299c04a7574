"""Servers on loopback that keep what they are sent, and give a page to whoever fetches one."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PAGE = b"<!doctype html><title>A quiet page</title><p>Nothing."


@dataclass
class Received:
    """What came: method, path, headers in lower case, body."""

    url: str = ""
    requests: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)
    news: threading.Condition = field(default_factory=threading.Condition)

    def wait_for(self, is_there: Callable[[], bool]) -> None:
        """Wait until what came makes this true."""
        with self.news:
            assert self.news.wait_for(is_there, timeout=15)


@contextmanager
def receiving() -> Iterator[Received]:
    """A server that takes every POST, and answers every GET with a page."""
    received = Received()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.note(b"")
            self.answer(PAGE, "text/html; charset=utf-8")

        def do_POST(self) -> None:
            self.note(self.rfile.read(int(self.headers.get("content-length", 0))))
            self.answer(b"{}", "application/json")

        def note(self, body: bytes) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            with received.news:
                received.requests.append((self.command, self.path, headers, body))
                received.news.notify_all()

        def answer(self, body: bytes, kind: str) -> None:
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    received.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield received
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
