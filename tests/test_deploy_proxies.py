"""deploy/haproxy.cfg and deploy/nginx.conf, started in front of real workers: what goes through, what not."""

import asyncio
import json
import re
import shutil
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from fetch.origin import Exchange, Origin, answer, page
from test_stopping import FIT, Load, Worker, is_right, serving, until
from web.serving import Answer, Reader

from benchmarks.servers import free_port
from remote_worker.contract.limits import MIB, Limits
from remote_worker.service.settings import LinkSettings
from remote_worker.web.settings import WebSettings

DEPLOY = Path(__file__).resolve().parents[1] / "deploy"
HAPROXY, NGINX = DEPLOY / "haproxy.cfg", DEPLOY / "nginx.conf"
CLIENT = "127.0.0.9"
SITE = "127.0.0.2"
SMALL = {
    "REMOTE_CHILDREN": "1",
    "REMOTE_READY": "1",
    "REMOTE_TEXT_CHILDREN": "1",
    "REMOTE_FORMATS": "png",
    # As the heads of the files ask for.
    "REMOTE_TRUSTED_PROXIES": "127.0.0.1",
    "REMOTE_HOST_NAMES": "img.example.org",
    "REMOTE_DRAIN_SECONDS": "2",
}


@dataclass(frozen=True)
class Proxy:
    """A proxy that listens, in front of these workers."""

    address: tuple[str, int]
    workers: list[Worker]
    metrics: tuple[str, int] = ("", 0)
    """Where it tells Prometheus how it does."""

    def connect(self) -> socket.socket:
        """A connection from an address that is no proxy of anybody."""
        return socket.create_connection(self.address, timeout=30, source_address=(CLIENT, 0))

    def ask(self, request: bytes) -> Answer:
        """One request on a connection of its own."""
        with self.connect() as connection:
            connection.sendall(request)
            return Reader(connection).answer()


def get(path: str, *headers: str) -> bytes:
    """A request by the name that the public knows."""
    return "\r\n".join([f"GET {path} HTTP/1.1", "Host: img.example.org", *headers, "", ""]).encode()


def is_there(address: tuple[str, int]) -> bool:
    """Somebody listens."""
    with socket.socket() as connection:
        return connection.connect_ex(address) == 0


@pytest.fixture(scope="module")
def site() -> Iterator[Origin]:
    with Origin({"/": answer(page("At once"))}, host=SITE) as origin:
        yield origin


@pytest.fixture(scope="module")
def workers(tmp_path_factory: pytest.TempPathFactory, site: Origin) -> Iterator[list[Worker]]:
    """Two, started as the configurations ask for."""
    logs = tmp_path_factory.mktemp("workers")
    opened = {"REMOTE_EGRESS_ALLOW": f"{SITE}/32:{site.port}"}
    with ExitStack() as started:
        yield [started.enter_context(serving(logs / f"{name}.log", **SMALL, **opened)) for name in "ab"]


def started(
    command: list[str], workers: list[Worker], port: int, log: Path, metrics_port: int = 0
) -> Iterator[Proxy]:
    """The proxy, once it passes requests on, until the test is over."""
    proxy = Proxy(("127.0.0.1", port), workers, ("127.0.0.1", metrics_port))
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out)
    try:
        until(lambda: is_there(proxy.address) or process.poll() is not None)
        assert process.poll() is None, log.read_text()
        until(lambda: proxy.ask(get("/livez")).status == 200)
        yield proxy
    finally:
        process.terminate()
        process.wait(10)


def in_place(text: str, workers: list[Worker], port: int, metrics_port: int = 0) -> str:
    """The configuration with the ports that are free here."""
    text = text.replace("bind :8080", f"bind 127.0.0.1:{port}").replace(
        "listen 8080", f"listen 127.0.0.1:{port}"
    )
    ports = [worker.address[1] for worker in workers]
    for number in range(3):
        there = ports[number] if number < len(ports) else free_port()
        text = text.replace(f"127.0.0.1:{5001 + number}", f"127.0.0.1:{there}")
    return text.replace("bind 127.0.0.1:8404", f"bind 127.0.0.1:{metrics_port or free_port()}")


@pytest.fixture(scope="module")
def haproxy(workers: list[Worker], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    folder, port = tmp_path_factory.mktemp("haproxy"), free_port()
    (folder / "haproxy.cfg").write_text(in_place(HAPROXY.read_text(), workers, port))
    command = [str(shutil.which("haproxy")), "-db", "-f", str(folder / "haproxy.cfg")]
    yield from started(command, workers, port, folder / "log")


@pytest.fixture(scope="module")
def nginx(workers: list[Worker], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    folder, port = tmp_path_factory.mktemp("nginx"), free_port()
    # Where Debian's keeps what it writes, which is root's.
    kept = "".join(
        f"    {kind}_temp_path {folder}/{kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    text = in_place(NGINX.read_text(), workers, port).replace("http {\n", f"http {{\n{kept}", 1)
    (folder / "nginx.conf").write_text(text)
    switches = f"daemon off; pid {folder}/pid; error_log stderr;"
    # nginx is in sbin, which is not in every user's PATH.
    program = shutil.which("nginx") or "/usr/sbin/nginx"
    command = [program, "-e", "stderr", "-p", str(folder), "-c", str(folder / "nginx.conf"), "-g", switches]
    yield from started(command, workers, port, folder / "log")


PROXIES = [
    pytest.param("haproxy", marks=pytest.mark.needs_haproxy),
    pytest.param("nginx", marks=pytest.mark.needs_nginx),
]


@pytest.fixture
def proxy(request: pytest.FixtureRequest) -> Proxy:
    found = request.getfixturevalue(request.param)
    assert isinstance(found, Proxy)
    return found


@pytest.mark.parametrize("proxy", PROXIES, indirect=True)
def test_a_picture_goes_through(proxy: Proxy) -> None:
    assert is_right(proxy.ask(FIT.replace(b"Host: localhost", b"Host: img.example.org")))


@pytest.mark.parametrize("proxy", PROXIES, indirect=True)
def test_a_name_that_the_worker_does_not_know_is_refused_behind_a_proxy_too(proxy: Proxy) -> None:
    refused = proxy.ask(get("/hello").replace(b"img.example.org", b"rebound.example.org"))

    assert (refused.status, refused.json["code"]) == (403, "foreign_origin")
    assert proxy.ask(get("/hello")).status == 200


@pytest.mark.parametrize("proxy", PROXIES, indirect=True)
def test_the_caller_is_who_connects_whatever_the_request_claims(proxy: Proxy) -> None:
    told = proxy.ask(get("/ip", "X-Forwarded-For: 203.0.113.7", "Forwarded: for=203.0.113.8"))

    assert told.json["ip"] == CLIENT


def upload(length: int) -> bytes:
    """The head of an upload that says to be so long."""
    return (
        "POST /images/info HTTP/1.1\r\nHost: img.example.org\r\n"
        f"Content-Type: multipart/form-data; boundary=x\r\nContent-Length: {length}\r\n\r\n"
    ).encode()


@pytest.mark.parametrize("proxy", PROXIES, indirect=True)
def test_a_body_over_the_workers_limit_gets_its_answer_and_one_over_the_proxys_the_proxys(
    proxy: Proxy,
) -> None:
    of_worker = proxy.ask(upload(32 * MIB))
    of_proxy = proxy.ask(upload(32 * MIB + 1))

    assert (of_worker.status, of_worker.json["code"]) == (413, "too_large")
    assert of_proxy.status == 413
    assert b"too_large" not in of_proxy.body


@pytest.mark.parametrize("proxy", PROXIES, indirect=True)
def test_a_line_of_a_batch_comes_before_the_next_one_is_known(proxy: Proxy, site: Origin) -> None:
    released = threading.Event()

    async def wait(exchange: Exchange) -> None:
        while not released.is_set():
            await asyncio.sleep(0.01)
        await exchange.send(answer(page("Later")))

    base = f"http://{SITE}:{site.port}"
    body = json.dumps({"urls": [f"{base}/", base + site.on(f"/later-{proxy.address[1]}", wait)]}).encode()
    head = (
        "POST /links/previews HTTP/1.1\r\nHost: img.example.org\r\nAccept: application/x-ndjson\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    with proxy.connect() as connection:
        reader = Reader(connection)
        connection.sendall(head.encode() + body)
        while reader.line():
            pass
        first = reader.chunk()
        was_released = released.is_set()
        released.set()
        second = reader.chunk()

    assert not was_released
    assert json.loads(first)["title"] == "At once"
    assert json.loads(second)["title"] == "Later"


@pytest.mark.parametrize("proxy", PROXIES, indirect=True)
def test_a_browsers_first_page_is_the_workers(proxy: Proxy) -> None:
    direct = proxy.workers[0].ask(get("/", "Accept: text/html"))
    through = proxy.ask(get("/", "Accept: text/html"))

    kept = ("content-type", "content-security-policy", "x-content-type-options")
    assert through.status == direct.status
    assert [through.headers.get(name) for name in kept] == [direct.headers.get(name) for name in kept]


@pytest.mark.needs_haproxy
def test_no_request_is_lost_when_one_of_two_workers_is_stopped(haproxy: Proxy) -> None:
    """Last of the file: it takes one of them away."""
    stopped, left = haproxy.workers
    with Load(haproxy.address, clients=4) as load:
        until(lambda: len(load.answers) >= 8)
        stopped.signal(signal.SIGTERM)
        assert stopped.process.wait(30) == 0
        had = len(load.answers)
        until(lambda: len(load.answers) >= had + 8)

    assert load.lost == []
    assert load.refused_connections == 0
    assert all(map(is_right, load.answers))
    assert left.process.poll() is None


def number(pattern: str, file: Path) -> int:
    """The one number that this finds in a configuration."""
    (found,) = re.findall(pattern, file.read_text(), re.M)
    return int(found)


WEB, LINKS, LIMITS = WebSettings(), LinkSettings(), Limits()
NOT_BEFORE: list[tuple[str, Path, float]] = [
    (r"^ +timeout http-request (\d+)s", HAPROXY, WEB.head_seconds),
    (r"^ +timeout client (\d+)s", HAPROXY, WEB.body_seconds),
    (r"^ +timeout server (\d+)s", HAPROXY, LINKS.previews_seconds),
    (r"content-length\) gt (\d+)", HAPROXY, LIMITS.input_bytes + MIB),
    (r"client_header_timeout (\d+)s", NGINX, WEB.head_seconds),
    (r"client_body_timeout (\d+)s", NGINX, WEB.body_idle_seconds),
    (r"proxy_send_timeout (\d+)s", NGINX, WEB.body_seconds),
    (r"proxy_read_timeout (\d+)s", NGINX, LINKS.previews_seconds),
    (r"client_max_body_size (\d+)m", NGINX, LIMITS.input_bytes / MIB + 1),
]
BEFORE: list[tuple[str, Path, float]] = [
    (r"pool-purge-delay (\d+)s", HAPROXY, WEB.keep_alive_seconds),
    (r"default-server maxconn (\d{3,})", HAPROXY, WEB.connections),
    (r"^ +keepalive_timeout (\d+)s;\n +}", NGINX, WEB.keep_alive_seconds),
    (r"max_conns=(\d+)", NGINX, WEB.connections),
]


@pytest.mark.parametrize(("pattern", "file", "workers_own"), NOT_BEFORE, ids=lambda value: str(value)[:30])
def test_a_proxy_gives_up_after_the_worker_has_said_why(pattern: str, file: Path, workers_own: float) -> None:
    assert number(pattern, file) >= workers_own


@pytest.mark.parametrize(("pattern", "file", "workers_own"), BEFORE, ids=lambda value: str(value)[:30])
def test_a_proxy_holds_no_more_and_no_longer_than_the_worker(
    pattern: str, file: Path, workers_own: float
) -> None:
    assert number(pattern, file) < workers_own
