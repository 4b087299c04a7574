"""Seen from outside, by the kernel's record of system calls: one process dials, and only who was judged."""

import asyncio
import base64
import hashlib
import hmac
import json
import os
import socket
import sys
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import mmdb
import pytest
from fetch.certificates import Authority
from fetch.connects import Sent, Watched, told, watch, watched
from fetch.names import Names
from fetch.origin import Origin, answer, canaries, page, redirect
from starlette.routing import Route
from web.serving import BOUNDARY, END, Answer, Reader, form, part

from remote_worker import wiring
from remote_worker.cli.diagnosis import SAMPLES
from remote_worker.contract.limits import Limits
from remote_worker.settings import read
from remote_worker.web.app import create_app
from remote_worker.web.page import Page
from remote_worker.web.settings import WebSettings

PROGRAM = """
import asyncio, json, sys, time
from remote_worker import wiring
from remote_worker.cli.diagnosis import SAMPLES
from remote_worker.contract.failures import WorkFailed
from remote_worker.contract.links import Purpose, Want
from remote_worker.settings import read
import os

async def run():
    settings = read(os.environ)
    async with wiring.open_pool(settings), wiring.open_door(settings) as door:
        door.listens("127.0.0.1", 9)
        for url in json.loads(sys.argv[1]):
            want = Want(url=url, purpose=Purpose.PAGE)
            try:
                with await door.fetch(want, deadline=time.monotonic() + 10) as got:
                    outcome = str(got.status)
            except WorkFailed as failed:
                outcome = failed.code
            print(url, outcome, flush=True)

asyncio.run(run())
"""


@pytest.mark.needs_strace
def test_only_the_process_that_fetches_dials_and_only_judged_addresses_and_name_servers(
    tmp_path: Path,
) -> None:
    program = tmp_path / "host.py"
    program.write_text(PROGRAM)
    with (
        Origin({"/": answer(page()), "/away": redirect("http://169.254.169.254/")}) as origin,
        Origin() as canary,
    ):

        async def run() -> list[Sent]:
            async with Names() as names:
                names.has("good.test", "127.0.0.1")
                names.has("bad.test", "10.0.0.1")
                names.has("mixed.test", "127.0.0.1", "10.0.0.2")
                urls = [
                    f"http://good.test:{origin.port}/",
                    f"http://localhost:{origin.port}/away",
                    f"http://bad.test:{origin.port}/",
                    f"http://mixed.test:{origin.port}/",
                    f"http://127.0.0.1:{canary.port}/",
                    f"http://none.test:{origin.port}/",
                    "http://169.254.169.254/",
                    "http://[::1]/",
                ]
                environment = {
                    "PATH": os.environ["PATH"],
                    "PYTHONPATH": str(Path(__file__).parents[2] / "src"),
                    "REMOTE_EGRESS_ALLOW": f"127.0.0.1/32:{origin.port}",
                    "REMOTE_NAMESERVERS": str(names.nameserver),
                    "HTTP_PROXY": f"http://127.0.0.1:{canary.port}",
                    "http_proxy": f"http://127.0.0.1:{canary.port}",
                    "ALL_PROXY": f"http://127.0.0.1:{canary.port}",
                }
                command = [sys.executable, str(program), json.dumps(urls)]
                sent = await asyncio.to_thread(watch, command, environment, tmp_path)
                judged = {("127.0.0.1", origin.port), ("127.0.0.1", names.nameserver.port)}
                # The C library sorts the addresses of `localhost`, once before the seal, by what leads there.
                judged |= {("127.0.0.1", 0), ("::1", 0)}
                assert {(one.address, one.port) for one in sent} - judged == set()
                return sent

        sent = asyncio.run(run())

        assert {one.by_fetcher for one in sent} == {True}
        assert {one.call for one in sent} == {"connect"}
        assert ("127.0.0.1", origin.port) in {(one.address, one.port) for one in sent}
        assert origin.paths == ["/", "/away"]
        assert canary.accepted == 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request to a route, and how it ends."""

    method: str
    target: str
    status: int = 200
    body: bytes = b""
    media_type: str = "application/json"
    code: str = ""

    def ask(self, port: int) -> Answer:
        with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
            head = [f"{self.method} {self.target} HTTP/1.1", "Host: localhost"]
            if self.body:
                head += [f"Content-Type: {self.media_type}", f"Content-Length: {len(self.body)}"]
            connection.sendall("\r\n".join([*head, "", ""]).encode() + self.body)
            return Reader(connection).answer()


KEY, CAMO_KEY = "one key", "another key"
NAME, RECORDS = "good.test", "records.example.org"


def calls(origin: Origin, secure: Origin, hooks: Origin) -> dict[str, list[Call]]:
    """Calls of every route, by its path."""
    base = f"http://{NAME}:{origin.port}"
    picture = f"{base}/a.jpg"
    inner = f"http://bad.test:{origin.port}/a.jpg"
    job = f"/jobs?request={quote(f'/links/preview?url={base}/2', safe='')}&callback="
    rest = f"4000000000/original/{base64.urlsafe_b64encode(picture.encode()).decode().rstrip('=')}"
    signature = hmac.new(KEY.encode(), rest.encode(), hashlib.sha256).hexdigest()
    digest = hmac.new(CAMO_KEY.encode(), picture.encode(), hashlib.sha1).hexdigest()

    def get(target: str, status: int = 200, code: str = "") -> Call:
        return Call(method="GET", target=target, status=status, code=code)

    def preview(url: str, status: int = 200, code: str = "") -> Call:
        return get(f"/links/preview?url={quote(url, safe='')}", status, code)

    def post(target: str, members: object, status: int = 200) -> Call:
        return Call(method="POST", target=target, body=json.dumps(members).encode(), status=status)

    def pictures(target: str, data: bytes = JPEG) -> list[Call]:
        """Uploaded, and by its URL as a field of the form."""
        media_type = f"multipart/form-data; boundary={BOUNDARY}"
        by_url = [part(url.encode(), head='form-data; name="url"') + END for url in (picture, inner)]
        refused = {"status": 403, "code": "blocked_address"}
        return [
            Call(method="POST", target=target, body=form(data), media_type=media_type),
            Call(method="POST", target=target, body=by_url[0], media_type=media_type),
            Call(method="POST", target=target, body=by_url[1], media_type=media_type, **refused),
        ]

    return {
        **{path: [get(path)] for path in ("/", "/ping", "/hello", "/capabilities", "/livez", "/readyz")},
        "/health": [get("/health")],
        "/links/preview": [
            preview(f"{base}/"),
            preview(f"{base}/away"),
            preview(f"{base}/oembed-page"),
            preview(f"https://{NAME}:{secure.port}/"),
            preview(f"{base}/inward", 403, "blocked_address"),
            preview(inner, 403, "blocked_address"),
            preview(f"http://mixed.test:{origin.port}/", 403, "blocked_address"),
            preview("http://169.254.169.254/", 403, "blocked_address"),
            preview("http://[::1]/", 403, "blocked_address"),
            preview(f"http://none.test:{origin.port}/", 502, "dns_not_found"),
        ],
        "/links/previews": [post("/links/previews", {"urls": [f"{base}/", f"{base}/2", inner, "http://x/"]})],
        "/links/image": [
            get(f"/links/image?url={quote(picture, safe='')}"),
            get(f"/links/image?url={quote(base, safe='')}/a.svg"),
            get(f"/links/image?url={quote(inner, safe='')}", 403, "blocked_address"),
        ],
        "/links/proxy/{signature}/{rest:path}": [get(f"/links/proxy/{signature}/{rest}")],
        "/camo/{digest}/{encoded}": [get(f"/camo/{digest}/{picture.encode().hex()}")],
        "/camo/{digest}": [get(f"/camo/{digest}?url={quote(picture, safe='')}")],
        "/{digest:digest}/{encoded}": [get(f"/{digest}/{picture.encode().hex()}")],
        "/{digest:digest}": [get(f"/{digest}?url={quote(picture, safe='')}")],
        "/images/prepare_jpeg": pictures("/images/prepare_jpeg"),
        "/images/fit/{box}": [*pictures("/images/fit/8"), *pictures("/images/fit/8", SVG)],
        "/images/rescale_avatar": pictures("/images/rescale_avatar"),
        "/images/resize_avatar": pictures("/images/resize_avatar"),
        "/images/info": pictures("/images/info"),
        "/images/preset/{name}": pictures("/images/preset/small"),
        "/images/facts": pictures("/images/facts"),
        "/images/preset": [get("/images/preset")],
        "/images/distance": [get(f"/images/distance?a={'0' * 16}&b={'f' * 16}")],
        "/text/render_markdown": [
            post("/text/render_markdown", {"text": f"@you ![a]({picture}) {base}/ <http://127.0.0.1/>"})
        ],
        "/dns/resolve": [
            get(f"/dns/resolve?domain={RECORDS}&type=MX"),
            get(f"/dns/resolve?domain={RECORDS}", 400),
        ],
        "/ip": [get("/ip")],
        "/ipip/{address}": [get("/ipip/8.8.8.8")],
        "/geo/{address}": [get("/geo/8.8.8.8")],
        "/ens/{name}": [get("/ens/vitalik.eth")],
        "/jobs": [
            get("/jobs"),
            Call(method="POST", target=f"{job}http://127.0.0.1:{hooks.port}/told", status=202),
            Call(method="POST", target=job + base, status=400, code="bad_port"),
            Call(method="POST", target=f"{job}http://127.0.0.1/", status=403, code="blocked_address"),
            *(
                Call(method="POST", target=f"/jobs?request={quote(target, safe='')}", status=202)
                for target in (
                    f"/links/preview?url={quote(f'{base}/', safe='')}",
                    f"/links/image?url={quote(picture, safe='')}",
                    f"/images/fit/8?url={quote(inner, safe='')}",
                )
            ),
        ],
        "/jobs/{id}": [get(f"/jobs/{40 * '0'}", 404, "not_found")],
        "/jobs/{id}/result": [get(f"/jobs/{40 * '0'}/result", 404, "not_found")],
        "/stats": [get("/stats")],
        "/openapi.json": [get("/openapi.json")],
        "/docs": [get("/docs")],
        "/docs/{name}": [get("/docs/docs.js")],
        **{path: [get(path)] for path in Page().assets()},
    }


@pytest.mark.needs_strace
def test_whatever_is_asked_of_the_worker_only_the_process_that_fetches_dials(tmp_path: Path) -> None:
    authority = Authority()
    (tmp_path / "facts.mmdb").write_bytes(
        mmdb.database({"8.8.8.0/24": {"country_name": "Here", "country": {"iso_code": "US"}}})
    )
    (tmp_path / "worker.toml").write_text(
        '[presets.small]\noutputs = [{name = "small", width = 8, height = 8}]\n'
    )
    with (
        Origin() as origin,
        Origin({"/": answer(page("Secure"))}, tls=authority.server(NAME)) as secure,
        Origin({"/check": answer(b'{"allow": true}', media_type="application/json")}) as checker,
        Origin({"/told": answer(status="204 No Content")}) as hooks,
        canaries() as (canary, *_),
    ):
        behave(origin, canary)
        routes = calls(origin, secure, hooks)
        assert routes.keys() == paths()

        async def run() -> Watched:
            async with Names() as names:
                names.has(NAME, "127.0.0.1")
                names.has("bad.test", "10.0.0.1")
                names.has("mixed.test", "127.0.0.1", "10.0.0.2")
                names.record(RECORDS, "MX", "10 mail.good.test.")
                names.has(RECORDS, "10.0.0.1")
                environment = {
                    "PATH": os.environ["PATH"],
                    "PYTHONPATH": str(Path(__file__).parents[2] / "src"),
                    "REMOTE_PORT": "0",
                    "REMOTE_CHILDREN": "1",
                    "REMOTE_READY": "1",
                    "REMOTE_TEXT_CHILDREN": "1",
                    "REMOTE_EGRESS_ALLOW": f"127.0.0.1/32:{origin.port},127.0.0.1/32:{secure.port}",
                    "REMOTE_EGRESS_CA_FILE": authority.write(tmp_path / "ca.pem"),
                    "REMOTE_NAMESERVERS": str(names.nameserver),
                    "REMOTE_CACHE_PATH": str(tmp_path / "cache.sqlite"),
                    "REMOTE_IPIP_DB_PATH": str(tmp_path / "facts.mmdb"),
                    "REMOTE_ENS_RPC_URL": f"http://127.0.0.1:{origin.port}/rpc",
                    "REMOTE_EXTERNAL_CHECK_URL": f"http://127.0.0.1:{checker.port}/check",
                    "REMOTE_EXTERNAL_CHECK_ALLOW": f"127.0.0.1/32:{checker.port}",
                    "REMOTE_WEBHOOK_KEYS": 24 * "k",
                    "REMOTE_WEBHOOK_ALLOW": f"127.0.0.1/32:{hooks.port}",
                    "REMOTE_SETTINGS_FILE": str(tmp_path / "worker.toml"),
                    "REMOTE_PROXY_KEYS": KEY,
                    "REMOTE_CAMO_KEY": CAMO_KEY,
                    "REMOTE_SITE_BURST": "1000",
                    **dict.fromkeys(
                        ("HTTP_PROXY", "http_proxy", "ALL_PROXY"), f"http://127.0.0.1:{canary.port}"
                    ),
                }
                command = [sys.executable, "-m", "remote_worker", "serve"]

                def ask() -> Watched:
                    with watched(command, environment, tmp_path) as seen:
                        own.append(port := seen.port())
                        for call in (call for several in routes.values() for call in several):
                            told = call.ask(port)
                            assert told.status == call.status, (call, told.body[:500])
                            assert not call.code or told.json["code"] == call.code, call
                        assert hooks.wait_until(lambda hooks: hooks.paths == ["/told"])
                    return seen

                servers.append(names.nameserver.port)
                return await asyncio.to_thread(ask)

        own: list[int] = []
        servers: list[int] = []
        seen = asyncio.run(run())

        assert seen.status == 0
        ports = {origin.port, secure.port, checker.port, hooks.port, *servers}
        by_fetcher = [one for one in seen.sent if one.by_fetcher]
        assert {one.call for one in by_fetcher} == {"connect"}
        # The C library may sort the addresses of `localhost`, once before the seal, by what leads there.
        sorting = {("127.0.0.1", 0), ("::1", 0)}
        assert {(one.address, one.port) for one in by_fetcher} - sorting == {
            ("127.0.0.1", port) for port in ports
        }
        by_others = [one for one in seen.sent if not one.by_fetcher]
        assert {one.call for one in by_others} <= {"bind", "accept", "accept4"}
        assert [(one.address, one.port) for one in by_others if one.call == "bind"] == [("127.0.0.1", 0)]
        assert {"/rpc", "/oembed", "/a.jpg", "/a.svg", "/there"} <= set(origin.paths)


def behave(origin: Origin, canary: Origin) -> None:
    """What is fetched from: a page, redirects, an oEmbed answer, pictures that point elsewhere, a node."""
    base = f"http://{NAME}:{origin.port}"
    inward = f"http://127.0.0.1:{canary.port}"
    link = f'<link rel="alternate" type="application/json+oembed" href="{base}/oembed">'
    head = f'<meta property="og:image" content="{inward}/a.jpg"><link rel="icon" href="{inward}/a.ico">'
    owner = {"jsonrpc": "2.0", "id": 1, "result": "0x" + 24 * "0" + 40 * "1"}
    for path, behaviour in {
        "/": answer(page("Good", head=head)),
        "/2": answer(page("Good too")),
        "/away": redirect(f"{base}/there"),
        "/there": answer(page("There")),
        "/inward": redirect(f"{inward}/"),
        "/oembed-page": answer(page("Embedded", head=link)),
        "/oembed": answer(b'{"version": "1.0", "type": "link"}', media_type="application/json"),
        "/a.jpg": answer(JPEG, media_type="image/jpeg"),
        "/a.svg": answer(SVG.replace(b"INWARD", inward.encode()), media_type="image/svg+xml"),
        "/rpc": answer(json.dumps(owner).encode(), media_type="application/json"),
    }.items():
        origin.on(path, behaviour)


def paths() -> set[str]:
    """Of all routes that there are."""
    whole = wiring.Whole(read({}))
    app = create_app(whole.uses, whole.check, WebSettings(), Limits())
    return {route.path for route in app.routes if isinstance(route, Route)}


JPEG = (SAMPLES / "sample.jpg").read_bytes()
SVG = (
    b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9">'
    b'<rect width="9" height="9"/><image href="INWARD/b.png" width="9" height="9"/></svg>'
)


def test_the_probe_sees_who_dials() -> None:
    trace = """\
7 execve("/usr/bin/python", ["python", "-m", "remote_worker.fetch.process.main", "5"], 0x7f) = 0
7 connect(6, {sa_family=AF_INET, sin_port=htons(80), sin_addr=inet_addr("93.184.216.34")}, 16) = -1
8 connect(6, {sa_family=AF_UNIX, sun_path="/run/x"}, 110) = 0
8 sendto(9, "x", 1, 0, {sa_family=AF_INET6, sin6_port=htons(53), sin6_flowinfo=htonl(0), \
inet_pton(AF_INET6, "::1", &sin6_addr), sin6_scope_id=0}, 28) = 1
"""

    assert told(trace) == [Sent(True, "connect", "93.184.216.34", 80), Sent(False, "sendto", "::1", 53)]
