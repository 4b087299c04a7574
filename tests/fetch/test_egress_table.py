"""All 96 rows of the table of egress cases through a whole worker: HTTP, jail, door, servers on loopback.

Public addresses are those of the real world until every verdict is given, and then servers here. Behind the
private ones wait canaries that nobody may connect to. Times are short, by the settings.
"""

import asyncio
import base64
import gzip
import hashlib
import hmac
import os
import socket
import ssl
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from ipaddress import ip_address, ip_network
from itertools import count
from typing import Any
from urllib.parse import quote

import pytest
from fetch.certificates import Authority, old_only, only_for, self_signed
from fetch.egress_cases import COVERED, INNER, PUBLIC_LITERALS, REFUSED, ROWS, case, in_row
from fetch.origin import (
    Behaviour,
    Exchange,
    Origin,
    answer,
    dripped,
    endless,
    page,
    redirect,
    sit,
    then_sit,
)
from fetch.worker import Spot, Worker, running_worker
from web.serving import Reader

from benchmarks.servers import free_port
from remote_worker.contract.links import FetchFailed, Purpose, Want
from remote_worker.fetch.door import Door
from remote_worker.fetch.settings import Opening

PUBLIC, OTHER, PUBLIC_V6 = "93.184.216.34", "93.184.216.35", "2606:2800:220:1::1"
DEAD_V6 = "2606:2800:220:1::56"
OURS, ROUTED = "93.184.216.57", "93.184.216.58"
"""This worker's own public addresses: one it knows of, one only a router does."""
SINCE_OURS = "93.184.216.54"
SECURE = "93.184.216.85"
YOUTUBE = "93.184.216.69"
MUTE, SLOW_TLS = "93.184.216.77", "93.184.216.78"
MIB = 1024 * 1024

AUTHORITY, STRANGER = Authority(), Authority()
OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
TEXT = b"<title>a</title>" + b"x" * 600
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
KEY, CAMO_KEY = "the key", "the other key"

CERTIFICATES: dict[str, Callable[[], ssl.SSLContext]] = {
    "self_signed": lambda: self_signed("self-signed.test"),
    "expired": lambda: AUTHORITY.server("expired.test", days=-1),
    "wrong_host": lambda: AUTHORITY.server("other.test"),
    "address_only": lambda: AUTHORITY.server("93.184.216.103"),
    "stranger": lambda: STRANGER.server("stranger.test"),
    "no_such_name": lambda: only_for(AUTHORITY.server("no-such-name.test"), "x.test"),
    "old": lambda: old_only(AUTHORITY.server("old.test")),
}
"""Servers that are not to be believed, in the order of their addresses."""


def secured(at: int) -> str:
    return f"93.184.216.{100 + at}"


@dataclass(frozen=True, slots=True)
class World:
    """The worker, and the servers around it."""

    worker: Worker
    origin: Origin
    other: Origin
    secure: Origin
    youtube: Origin
    wrong: dict[str, Origin]
    canaries: tuple[Origin, ...]
    numbers: "count[int]"

    @property
    def names(self) -> Any:
        return self.worker.names

    def name(self, *addresses: str) -> str:
        """A fresh name, of a site of its own."""
        name = f"h{next(self.numbers)}.test"
        self.names.has(name, *(addresses or (PUBLIC,)))
        return name

    def url(self, behaviour: Behaviour, path: str = "/") -> str:
        """The URL of something that behaves so, at a fresh name."""
        name = self.name()
        self.origin.on(f"{path}?{name}", behaviour)
        return f"http://{name}{path}?{name}"

    def dialled(self) -> list[int]:
        """How many connections each server has had."""
        servers = (self.origin, self.other, self.secure, self.youtube, *self.wrong.values())
        return [server.accepted for server in servers]


@pytest.fixture(scope="module")
def dead() -> Iterator[Spot]:
    """Where a connection is neither accepted nor refused."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        yield listener.getsockname()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, dead: Spot) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("world")
    own_port = free_port()
    with ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        origin, other = stack.enter_context(Origin()), stack.enter_context(Origin())
        secure = stack.enter_context(Origin(tls=AUTHORITY.server("secure.test", "secure2.test")))
        youtube = stack.enter_context(Origin(tls=AUTHORITY.server("www.youtube.com")))
        mute, speechless = (
            stack.enter_context(Origin(is_mute=True)),
            stack.enter_context(Origin(is_mute=True)),
        )
        wrong = {name: stack.enter_context(Origin(tls=made())) for name, made in CERTIFICATES.items()}
        canary = stack.enter_context(Origin())
        canaries = (canary, stack.enter_context(Origin(host="::1", port=canary.port)))
        dial_map = {
            (PUBLIC, 80): ("127.0.0.1", origin.port),
            (PUBLIC_V6, 80): ("127.0.0.1", origin.port),
            (SINCE_OURS, 80): ("127.0.0.1", origin.port),
            (OTHER, 80): ("127.0.0.1", other.port),
            (SECURE, 443): ("127.0.0.1", secure.port),
            (YOUTUBE, 443): ("127.0.0.1", youtube.port),
            (MUTE, 80): ("127.0.0.1", mute.port),
            (SLOW_TLS, 443): ("127.0.0.1", speechless.port),
            (DEAD_V6, 80): dead,
            (OURS, 80): ("127.0.0.1", own_port),
            (ROUTED, 80): ("127.0.0.1", own_port),
        }
        dial_map |= {
            (secured(at), 443): ("127.0.0.1", server.port) for at, server in enumerate(wrong.values())
        }
        dial_map |= {(address, 80): ("127.0.0.1", origin.port) for _, address in PUBLIC_LITERALS}
        dial_map |= {
            (str(ip_address(address)), port): ("127.0.0.1", canary.port)
            for address in INNER
            for port in (80, 443)
        }
        for variable in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
            patch.setenv(variable, f"http://127.0.0.1:{canary.port}")
        patch.setenv("NO_PROXY", "nobody.test")
        patch.setenv("HOME", str(folder))
        (folder / ".netrc").write_text("default login us password secret\n")
        worker = stack.enter_context(
            running_worker(
                dial_map,
                REMOTE_PORT=own_port,
                REMOTE_CHILDREN=1,
                REMOTE_READY=1,
                REMOTE_TEXT_CHILDREN=1,
                REMOTE_FORMATS="png,jpeg,svg",
                REMOTE_EGRESS_CA_FILE=AUTHORITY.write(folder / "ca.pem"),
                REMOTE_PROXY_KEYS=KEY,
                REMOTE_CAMO_KEY=CAMO_KEY,
                REMOTE_PREVIEW_SECONDS=4,
                REMOTE_PREVIEWS_SECONDS=3,
                REMOTE_DNS_SECONDS=1.0,
                REMOTE_CONNECT_SECONDS=0.6,
                REMOTE_TLS_SECONDS=0.6,
                REMOTE_FIRST_BYTE_SECONDS=0.6,
                REMOTE_FETCH_IDLE_SECONDS=0.6,
                REMOTE_FETCH_SECONDS=2.5,
            )
        )
        names = worker.names
        names.has("secure.test", SECURE)
        names.has("www.youtube.com", YOUTUBE)
        for at, name in enumerate(wrong):
            names.has(f"{name.replace('_', '-')}.test", secured(at))
        memory = worker.most_memory()
        yield World(worker, origin, other, secure, youtube, wrong, canaries, count(1))

        # Whatever was answered, and however it unpacks.
        assert worker.most_memory() - memory < 20 * MIB


@pytest.fixture(autouse=True)
def _nobody_comes_to_the_canaries(world: World) -> Iterator[None]:
    yield
    assert [canary.accepted for canary in world.canaries] == [0, 0]


def test_every_row_has_a_case() -> None:
    assert COVERED == ROWS


# Rows 1 to 47: told from the URL alone.


@pytest.mark.parametrize(
    ("url", "code", "details"), [case(row, url[:60], url, *expected) for row, url, *expected in REFUSED]
)
def test_a_url_is_refused_before_anybody_is_asked(
    world: World, url: str, code: str, details: tuple[str, ...]
) -> None:
    asked, dialled = len(world.names.asked), world.dialled()

    (previewed,) = world.worker.batch(url)
    pictured = world.worker.picture(url).json if len(url) < 5000 else previewed
    fetched = world.worker.fetch_failure(url)

    assert [previewed["code"], pictured["code"], fetched.code] == [code] * 3
    assert not details or {previewed["detail"], pictured["detail"], fetched.detail} <= {*details}
    assert (len(world.names.asked), world.dialled()) == (asked, dialled)


@pytest.mark.parametrize("address", [case(row, address, address) for row, address in PUBLIC_LITERALS])
def test_an_address_just_beside_is_fetched_from(world: World, address: str) -> None:
    host = f"[{address}]" if ":" in address else address
    world.origin.on("/beside", answer(page("Beside")))

    card = world.worker.card(f"http://{host}/beside?{next(world.numbers)}")

    assert card["title"] == "Beside"
    (verdict,) = card["explain"]["hops"][0]["verdicts"]
    assert verdict == {"address": address, "allowed": True, "rule": "public"}


@in_row(38)
def test_what_stands_in_a_fragment_is_nobodys_host(world: World, row: int) -> None:
    url = world.url(answer(page("Here")))

    card = world.worker.card(f"{url}#@127.0.0.1/")

    assert (card["title"], card["url"]) == ("Here", url)


@in_row(44)
def test_an_escaped_end_of_line_stays_escaped(world: World, row: int) -> None:
    name = world.name()
    world.origin.on("/%0d%0aX:1", answer(page("Escaped")))

    assert world.worker.card(f"http://{name}/%0d%0aX:1")["title"] == "Escaped"
    (seen,) = [request for request in world.origin.requests if request.headers["host"] == name]
    assert seen.path == "/%0d%0aX:1"
    assert "x" not in seen.headers


@pytest.mark.parametrize(
    "label",
    [
        case(45, "label-of-63", "a" * 63 + ".test"),
        case(45, "host-of-253", ".".join(["a" * 62] * 3 + ["a" * 59, "test"])),
    ],
)
def test_the_longest_names_are_asked_for(world: World, label: str) -> None:
    world.names.has(label, PUBLIC)
    world.origin.on("/long", answer(page("Long")))

    assert world.worker.card(f"http://{label}/long")["title"] == "Long"


@in_row(46)
def test_an_international_name_is_asked_for_as_browsers_do(world: World, row: int) -> None:
    world.names.has("xn--fa-hia.test", PUBLIC)
    world.origin.on("/fass", answer(page("Fass")))

    card = world.worker.card("http://faß.test/fass")

    assert (card["title"], card["url"]) == ("Fass", "http://xn--fa-hia.test/fass")
    assert "fass.test" not in world.names.lookups


# Rows 48 to 57: names.


@pytest.mark.parametrize(
    ("addresses", "detail"),
    [
        case(48, "loopback", ["127.0.0.1"], "loopback"),
        case(48, "loopback-v6", ["::1"], "loopback"),
        case(49, "public-first", [PUBLIC, "10.0.0.1"], "mixed"),
        case(49, "private-first", ["10.0.0.1", PUBLIC], "mixed"),
        case(49, "families", [PUBLIC, "fc00::1"], "mixed"),
        case(50, "mapped", ["::ffff:10.0.0.1"], "private"),
    ],
)
def test_a_name_is_refused_for_any_of_its_addresses(world: World, addresses: list[str], detail: str) -> None:
    dialled = world.dialled()

    assert world.worker.failure(f"http://{world.name(*addresses)}/") == ("blocked_address", detail)
    assert world.dialled() == dialled


@pytest.mark.parametrize(
    ("length", "address", "expected"),
    [
        case(51, "to-an-inner-name", 2, "10.0.0.5", ("blocked_address", "private")),
        case(51, "of-9", 9, PUBLIC, ("dns_chain", "")),
        case(51, "of-8", 8, PUBLIC, None),
    ],
)
def test_a_chain_of_aliases_is_followed_so_far(
    world: World, length: int, address: str, expected: tuple[str, str] | None
) -> None:
    number = next(world.numbers)
    chain = [f"c{number}.test", *(f"c{number}-{at}.inner.test" for at in range(length))]
    world.names.chain(*chain, addresses=[address])
    world.origin.on("/chain", answer(page("Chained")))
    url = f"http://{chain[0]}/chain"

    if expected is None:
        assert world.worker.card(url)["title"] == "Chained"
    else:
        code, detail = world.worker.failure(url)
        assert code == expected[0]
        assert not expected[1] or detail == expected[1]


@in_row(52)
def test_a_name_is_looked_up_once_and_its_answer_is_dialled(world: World, row: int) -> None:
    url = world.url(answer(page("First")))
    name = url.partition("?")[2]
    world.names.rebinds(name, [PUBLIC], ["127.0.0.1"])

    assert world.worker.card(url)["title"] == "First"
    assert world.names.lookups[name] == 1


@in_row(53)
def test_a_name_that_turns_inward_between_two_hops_is_refused(world: World, row: int) -> None:
    url = world.url(redirect("/second"))
    name = url.partition("?")[2]
    world.names.rebinds(name, [PUBLIC], ["127.0.0.1"])

    answered = world.worker.preview(url)

    assert (answered.json["code"], answered.json["detail"]) == ("blocked_address", "loopback")
    assert [hop["code"] for hop in answered.json["explain"]["hops"]] == [None, "blocked_address"]


@in_row(54)
def test_no_connection_is_kept_for_what_has_been_denied_since(world: World, row: int) -> None:
    world.origin.on("/", answer(page()))
    url = f"http://{world.name()}/"
    dialled = world.origin.accepted

    for _ in range(2):
        world.worker.fetch(url).body.close()
    # Each request has a connection of its own, and none outlives its answer.
    assert world.origin.accepted == dialled + 2
    assert world.origin.wait_closed()
    denied = (Opening(ip_network(f"{PUBLIC}/32"), 80),)
    assert through_door(world, world.origin, "http://a.test/") == "200"
    assert through_door(world, world.origin, "http://a.test/", egress_deny=denied) == "blocked_address"
    world.worker.do(lambda: world.worker.door.listens(SINCE_OURS, 80))
    assert world.worker.failure(f"http://{world.name(SINCE_OURS)}/")[0] == "self"
    assert world.origin.accepted == dialled + 3


@pytest.mark.parametrize(
    ("behave", "code"),
    [
        case(55, "NXDOMAIN", lambda names, name: names.fails(name, "NXDOMAIN"), "dns_not_found"),
        case(55, "SERVFAIL", lambda names, name: names.fails(name, "SERVFAIL"), "dns_failed"),
        case(55, "empty", lambda names, name: names.has(name), "dns_not_found"),
        case(55, "silent", lambda names, name: names.is_silent(name), "timeout"),
        case(
            55,
            "1000-addresses",
            lambda names, name: names.has(name, *(f"93.184.{at // 250}.{at % 250}" for at in range(1000))),
            "dns_failed",
        ),
    ],
)
def test_a_name_that_cannot_be_resolved_has_a_code(
    world: World, behave: Callable[[Any, str], None], code: str
) -> None:
    name = f"h{next(world.numbers)}.test"
    behave(world.names, name)

    assert world.worker.failure(f"http://{name}/")[0] == code


@in_row(56)
def test_a_dead_address_does_not_keep_a_live_one_from_answering(world: World, row: int) -> None:
    world.origin.on("/alive", answer(page()))
    name = world.name(DEAD_V6, PUBLIC)

    # Less than a second is all that it has.
    with world.worker.fetch(f"http://{name}/alive", seconds=0.99) as fetched:
        assert fetched.hops[0].dialled == f"{PUBLIC}:80"
        assert {verdict.address for verdict in fetched.hops[0].verdicts} == {DEAD_V6, PUBLIC}


def test_an_explanation_tells_the_rule_for_an_address_that_nobody_was_asked_for(world: World) -> None:
    told = world.worker.preview("http://10.0.0.1/").json

    (hop,) = told["explain"]["hops"]
    assert (told["code"], hop["code"]) == ("blocked_address", "blocked_address")
    assert hop["verdicts"] == [{"address": "10.0.0.1", "allowed": False, "rule": "private"}]
    assert hop["dialled"] is None


@in_row(57)
def test_nobody_is_fetched_from_the_worker_itself(world: World, row: int) -> None:
    world.worker.do(lambda: world.worker.door.listens(OURS, 80))

    own = world.worker.preview(f"http://{world.name(OURS)}/ping")
    routed = world.worker.preview(f"http://{world.name(ROUTED)}/ping")
    stranger = world.worker.ask("GET", "/ping", "Via: 1.1 somebody-else")
    ours = world.worker.ask("GET", "/ping", f"Via: 1.0 a, 1.1 {world.worker.door.via}")

    assert (own.status, own.json["code"]) == (508, "self")
    # Only the request's own Via tells this one: the second time it comes here, it ends.
    assert (routed.status, routed.json["code"], routed.json["detail"]) == (502, "http_5xx", "508")
    assert stranger.status == 200
    assert (ours.status, ours.json["code"]) == (508, "self")


# Rows 58 to 66: redirects, and what they carry.


@pytest.mark.parametrize(
    ("location", "code", "details"),
    [
        case(58, "loopback", "http://127.0.0.1/", "blocked_address", ("loopback",)),
        case(58, "mapped", "http://[::ffff:a9fe:a9fe]/", "blocked_address", ("metadata",)),
        case(58, "decimal", "http://2130706433/", "blocked_address", ("noncanonical", "loopback")),
        case(58, "name", "http://localhost/", "blocked_name", ("localhost",)),
        case(59, "file", "file:///etc/passwd", "bad_scheme", ()),
        case(59, "gopher", "gopher://127.0.0.1:6379/_x", "bad_scheme", ()),
        case(59, "scheme-relative", "//169.254.169.254/", "blocked_address", ("metadata",)),
        case(59, "backslashes", "\\\\127.0.0.1\\x", "bad_url", ()),
        case(59, "no-host", "http:///x", "bad_url", ()),
    ],
)
def test_a_redirect_is_judged_like_a_url(
    world: World, location: str, code: str, details: tuple[str, ...]
) -> None:
    answered = world.worker.preview(world.url(redirect(location)))

    assert answered.json["code"] == code
    assert not details or answered.json["detail"] in details
    assert answered.json["explain"]["hops"][0]["status"] == 302


@pytest.mark.parametrize(
    ("location", "code"),
    [
        case(58, "name-of-one-label", "http://wiki/", "blocked_name"),
        case(58, "port", "http://b.test:8080/", "bad_port"),
    ],
)
def test_a_redirect_is_refused_before_a_name_is_looked_up(world: World, location: str, code: str) -> None:
    assert world.worker.failure(world.url(redirect(location)))[0] == code
    assert not {"wiki", "b.test"} & world.names.lookups.keys()


STATUSES = ("301 Moved", "302 Found", "303 Other", "307 Temporary", "308 Permanent")


@pytest.mark.parametrize(
    ("status", "location", "path"),
    [
        case(60, f"{status[:3]}-{label}", status, location, path)
        for status in STATUSES
        for label, location, path in (
            ("relative", "there", "/a/there"),
            ("absolute", "http://{name}/there", "/there"),
            ("scheme-relative", "//{name}/there", "/there"),
            ("blanks", "/th ere", "/th%20ere"),
            ("UTF-8", "/th\u00e9re", "/th%C3%A9re"),
        )
    ],
)
def test_a_redirect_is_followed(world: World, status: str, location: str, path: str) -> None:
    name = world.name()
    world.origin.on(f"/a/b?{name}", redirect(location.replace("{name}", name), status=status))
    world.origin.on(path, answer(page("There")))

    card = world.worker.card(f"http://{name}/a/b?{name}")

    assert (card["title"], card["final_url"]) == ("There", f"http://{name}{path}")


@pytest.mark.parametrize(
    ("answers", "code"),
    [
        case(61, "loop-of-two", {"/": redirect("/b"), "/b": redirect("/")}, "redirect_loop"),
        case(61, "loop-of-one", {"/": redirect("/")}, "redirect_loop"),
        case(61, "6-hops", {f"/{at or ''}": redirect(f"/{at + 1}") for at in range(6)}, "redirect_limit"),
        case(61, "missing", {"/": answer(status="302 Found")}, "redirect_invalid"),
        case(61, "empty", {"/": redirect("")}, "redirect_invalid"),
        case(61, "twice", {"/": redirect("/a", headers={"LOCATION": "/b"})}, "redirect_invalid"),
        case(61, "9-KB", {"/": redirect("/" + 9000 * "a")}, "redirect_invalid"),
    ],
)
def test_a_redirect_that_leads_nowhere_has_a_code(
    world: World, answers: dict[str, Behaviour], code: str
) -> None:
    with Origin(answers) as origin:
        assert through_door(world, origin, "http://a.test/") == code


def test_a_chain_of_five_redirects_ends_well(world: World) -> None:
    chain = {f"/{at or ''}": redirect(f"/{at + 1}") for at in range(5)}
    with Origin({**chain, "/5": answer(page())}) as origin:
        assert through_door(world, origin, "http://a.test/") == "200"


@pytest.mark.parametrize(
    ("flag", "outcome"), [case(62, "refused", False, "downgrade"), case(62, "allowed", True, "200")]
)
def test_from_https_to_http_is_followed_only_if_set(world: World, flag: bool, outcome: str) -> None:
    world.secure.on("/down", redirect("http://a.test/"))
    with Origin({"/": answer(page())}) as origin:
        assert through_door(world, origin, "https://secure.test/down", https_to_http=flag) == outcome
    if not flag:
        assert world.worker.failure("https://secure.test/down")[0] == "downgrade"


def through_door(world: World, origin: Origin, url: str, **settings: Any) -> str:
    """The status, or the code, through a door of its own behind which `a.test` is this origin."""
    world.names.has("a.test", PUBLIC)
    dial_map = {(PUBLIC, 80): ("127.0.0.1", origin.port), (SECURE, 443): ("127.0.0.1", world.secure.port)}

    async def fetch() -> str:
        async with Door(replace(world.worker.settings.fetch, **settings), dial_map=dial_map) as door:
            try:
                want = Want(url=url, purpose=Purpose.PAGE)
                with await door.fetch(want, deadline=time.monotonic() + 5) as fetched:
                    return str(fetched.status)
            except FetchFailed as failed:
                return failed.code

    return world.worker.run(fetch())


@pytest.mark.parametrize(
    ("headers", "head"),
    [
        case(63, "header", {"Refresh": "0;url=http://127.0.0.1/"}, ""),
        case(63, "meta", {}, '<meta http-equiv=refresh content="0;url=http://127.0.0.1/">'),
    ],
)
def test_a_refresh_is_not_followed(world: World, headers: dict[str, str], head: str) -> None:
    card = world.worker.card(world.url(answer(page("Stays", head=head), headers=headers)))

    assert card["title"] == "Stays"
    assert len(card["fetch"]["hops"]) == 1


SET = {"Set-Cookie": "a=b; Path=/", "WWW-Authenticate": "Basic"}


@pytest.mark.parametrize("is_back", [case(64, "away", False), case(65, "and-back", True)])
def test_nothing_is_carried_from_hop_to_hop(world: World, is_back: bool) -> None:
    home, away = world.name(), world.name(OTHER)
    last = f"http://{home}/back" if is_back else f"http://{away}/last"
    world.origin.on(f"/from?{home}", redirect(f"http://{away}/over", headers=SET))
    world.other.on("/over", redirect(last, headers=SET))
    for server, path in ((world.origin, "/back"), (world.other, "/last")):
        server.on(path, answer(page("Arrived")))

    assert world.worker.card(f"http://{home}/from?{home}")["final_url"] == last

    seen = [
        request
        for server in (world.origin, world.other)
        for request in server.requests
        if request.headers["host"] in (home, away)
    ]
    assert len(seen) == 3
    for request in seen:
        assert request.headers.keys() <= {
            "host",
            "user-agent",
            "accept",
            "accept-encoding",
            "via",
            "connection",
        }


@in_row(66)
def test_proxies_and_passwords_of_the_environment_are_ignored(world: World, row: int) -> None:
    url = world.url(answer(page("Direct")))

    assert world.worker.card(url)["title"] == "Direct"
    assert "authorization" not in world.origin.requests[-1].headers
    # The canaries would have been the proxies.
    assert os.environ["http_proxy"].endswith(str(world.canaries[0].port))


# Rows 67 to 70: what pages and pictures lead to.


def oembed(href: str) -> str:
    return f'<link rel="alternate" type="application/json+oembed" href="{href}">'


@pytest.mark.parametrize(
    ("href", "code"),
    [
        case(67, "metadata", "http://169.254.169.254/", "blocked_address"),
        case(67, "loopback-v6", "http://[::1]/oembed", "blocked_address"),
        case(67, "name", "http://localhost/oembed", "blocked_name"),
        case(67, "inner-name", "http://{inner}/oembed", "blocked_address"),
    ],
)
def test_an_oembed_link_that_leads_inward_is_left_out(world: World, href: str, code: str) -> None:
    href = href.replace("{inner}", world.name("10.0.0.1"))

    card = world.worker.card(world.url(answer(page("A card", head=oembed(href)))))

    assert (card["title"], card["oembed"]) == ("A card", None)
    assert [(part["part"], part["code"]) for part in card["fetch"]["parts"]] == [("oembed", code)]


@pytest.mark.parametrize(
    ("head", "part", "codes"),
    [
        case(
            68,
            "picture",
            '<meta property="og:image" content="http://127.0.0.1/a.png">',
            "image",
            {"blocked_address"},
        ),
        case(
            68,
            "picture-metadata",
            '<meta property="og:image" content="http://169.254.169.254/a.png">',
            "image",
            {"blocked_address"},
        ),
        case(68, "icon", '<link rel="icon" href="http://[::1]/a.ico">', "icon", {"blocked_address"}),
        case(68, "icon-name", '<link rel="icon" href="//localhost/a.ico">', "icon", {"blocked_name"}),
        case(
            68,
            "video",
            '<meta property="og:video" content="http://10.0.0.1/a.mp4">',
            "video",
            {"blocked_address"},
        ),
        case(
            68,
            "canonical",
            '<link rel="canonical" href="http://127.0.0.1/">',
            "canonical_url",
            {"blocked_address"},
        ),
        case(68, "manifest", '<link rel="manifest" href="http://127.0.0.1/manifest.json">', "", set()),
        case(
            68,
            "base",
            '<base href="http://127.0.0.1/"><link rel="icon" href="a.ico">',
            "icon",
            {"blocked_address"},
        ),
    ],
)
def test_a_part_that_leads_inward_is_not_shown(world: World, head: str, part: str, codes: set[str]) -> None:
    card = world.worker.card(world.url(answer(page("A card", head=head))))

    assert card["title"] == "A card"
    assert card["images"] == card["videos"] == []
    assert card["canonical_url"] is None
    assert [icon["url"] for icon in card["icons"] if "127.0.0.1" in icon["url"] or "::1" in icon["url"]] == []
    assert {told["code"] for told in card["fetch"]["parts"] if told["part"] == part} == codes


@pytest.mark.parametrize(
    "url", [case(68, "data", "data:image/png;base64,AA=="), case(68, "file", "file:///etc/passwd")]
)
def test_a_picture_that_no_door_leads_to_is_not_shown(world: World, url: str) -> None:
    head = f'<meta property="og:image" content="{url}"><link rel="icon" href="{url}"><base href="{url}">'

    card = world.worker.card(world.url(answer(page("A card", head=head))))

    assert card["images"] == []
    assert url not in str(card["icons"])


@in_row(68)
def test_a_picture_at_an_inner_name_is_refused_when_it_is_asked_for(world: World, row: int) -> None:
    refused = world.worker.picture(f"http://{world.name('127.0.0.1')}/a.png")

    assert (refused.status, refused.json["code"]) == (403, "blocked_address")


@in_row(69)
def test_a_known_providers_endpoint_that_redirects_inward_is_left_out(world: World, row: int) -> None:
    world.youtube.on("/watch", answer(page("A film")))
    world.youtube.on("/oembed", redirect("https://169.254.169.254/latest"))

    card = world.worker.card("https://www.youtube.com/watch?v=dQw4w9WgXcQ")

    assert (card["title"], card["oembed"]) == ("A film", None)
    assert [(part["part"], part["code"]) for part in card["fetch"]["parts"]] == [
        ("oembed", "blocked_address")
    ]
    assert [path.partition("?")[0] for path in world.youtube.paths] == ["/watch", "/oembed"]


SVG = '<svg xmlns="http://www.w3.org/2000/svg" xmlns:x="http://www.w3.org/1999/xlink" width="9" height="9">'
CANARY = "http://127.0.0.1:{port}/a"


@pytest.mark.parametrize(
    "text",
    [
        case(70, "image", f'{SVG}<image x:href="{CANARY}" width="9" height="9"/></svg>'),
        case(70, "image-plain", f'{SVG}<image href="{CANARY}" width="9" height="9"/></svg>'),
        case(70, "import", f'{SVG}<style>@import url({CANARY});</style><rect width="9" height="9"/></svg>'),
        case(
            70,
            "font",
            f"{SVG}<style>@font-face{{font-family:a;src:url({CANARY})}}</style><text>a</text></svg>",
        ),
        case(70, "use", f'{SVG}<use x:href="{CANARY}#a"/><rect width="9" height="9"/></svg>'),
        case(70, "fill", f'{SVG}<rect width="9" height="9" fill="url({CANARY}#a)"/></svg>'),
        case(70, "stylesheet", f'<?xml-stylesheet href="{CANARY}"?>{SVG}<rect width="9" height="9"/></svg>'),
        case(70, "XXE", f'<!DOCTYPE svg [<!ENTITY x SYSTEM "{CANARY}">]>{SVG}<text>&x;</text></svg>'),
        case(70, "DTD", f'<!DOCTYPE svg SYSTEM "{CANARY}">{SVG}<rect width="9" height="9"/></svg>'),
        case(
            70, "file", f'<!DOCTYPE svg [<!ENTITY x SYSTEM "file:///etc/passwd">]>{SVG}<text>&x;</text></svg>'
        ),
        case(70, "script", f'{SVG}<script href="{CANARY}"/><rect width="9" height="9"/></svg>'),
        case(70, "foreign", f'{SVG}<foreignObject><iframe src="{CANARY}"/></foreignObject></svg>'),
    ],
)
def test_a_drawing_that_points_inward_dials_nobody(world: World, text: str) -> None:
    drawing = text.replace("{port}", str(world.canaries[0].port)).encode()

    made = world.worker.picture(world.url(answer(drawing, media_type="image/svg+xml")))

    # Drawn without it, or refused; and the next one is drawn.
    assert made.status in (200, 415, 422)
    assert made.status != 200 or made.body.startswith(b"\x89PNG")
    plain = f'{SVG}<rect width="9" height="9"/></svg>'.encode()
    assert world.worker.picture(world.url(answer(plain, media_type="image/svg+xml"))).status == 200


# Rows 71 to 79: bodies and heads.


def zeros(mebibytes: int, wbits: int) -> bytes:
    """The start of so much packed: one block again and again, for packing it all takes seconds."""
    packer = zlib.compressobj(9, zlib.DEFLATED, wbits)
    head = packer.compress(bytes(MIB)) + packer.flush(zlib.Z_FULL_FLUSH)
    block = packer.compress(bytes(MIB)) + packer.flush(zlib.Z_FULL_FLUSH)
    return head + (mebibytes - 1) * block


def coded(coding: str, body: bytes, media_type: str = "text/html") -> bytes:
    return answer(body, media_type=media_type, headers={"Content-Encoding": coding})


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        case(71, "gzip-1-GiB", coded("gzip", zeros(1024, 31)), ("too_large", "ratio")),
        case(71, "deflate-1-GiB", coded("deflate", zeros(1024, 15)), ("too_large", "ratio")),
        case(71, "raw-deflate-1-GiB", coded("deflate", zeros(1024, -15)), ("too_large", "ratio")),
        case(71, "members", coded("gzip", 100 * gzip.compress(b"x" * 9)), ("bad_encoding", "members")),
        case(71, "member-bombs", coded("gzip", 40 * gzip.compress(bytes(MIB))), ("too_large", "ratio")),
        case(71, "br", coded("br", b"\x1b\x03\x00"), ("bad_encoding", "unknown")),
        case(71, "zstd", coded("zstd", b"\x28\xb5\x2f\xfd"), ("bad_encoding", "unknown")),
        case(
            71, "gzip-in-gzip", coded("gzip, gzip", gzip.compress(zeros(9, 31))), ("bad_encoding", "layers")
        ),
        case(72, "plain", coded("gzip", page()), ("bad_encoding", "gzip")),
        case(
            72, "truncated", coded("gzip", gzip.compress(os.urandom(900))[:-9]), ("bad_encoding", "truncated")
        ),
        case(
            74, "extension-1-MB", CHUNKED + b"5;" + b"e" * 10**6 + b"\r\nabcde\r\n0\r\n\r\n", ("bad_http", "")
        ),
        case(74, "trailers-1-MB", CHUNKED + b"0\r\n" + b"a: b\r\n" * 170_000 + b"\r\n", ("bad_http", "")),
        case(74, "chunk-size", CHUNKED + b"zz\r\nab\r\n0\r\n\r\n", ("bad_http", "")),
        case(
            74,
            "CL-TE",
            OK + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            ("bad_http", ""),
        ),
        case(
            74,
            "TE-CL",
            OK + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
            ("bad_http", ""),
        ),
        case(78, "100000-headers", OK + b"a: b\r\n" * 100_000 + b"\r\n", ("bad_http", "")),
        case(78, "header-1-MB", OK + b"A: " + b"b" * 10**6 + b"\r\n\r\n", ("bad_http", "")),
        case(78, "NUL", OK + b"A: b\0c\r\n\r\n" + TEXT, ("bad_http", "")),
        case(78, "CR", OK + b"A: b\rc\r\n\r\n" + TEXT, ("bad_http", "")),
        case(78, "folding", OK + b"A: b\r\n c\r\n\r\n" + TEXT, ("bad_http", "")),
        case(79, "100", endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n"), ("bad_http", "interim")),
        case(79, "103", endless(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n"), ("bad_http", "interim")),
        case(79, "101", b"HTTP/1.1 101 Switching\r\nUpgrade: h2c\r\n\r\n", ("bad_http", "")),
        case(79, "HTTP-0.9", TEXT, ("bad_http", "")),
        case(79, "HTTP-2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", ("bad_http", "")),
        case(79, "HTTP-2-frames", b"\0\0\x12\4\0\0\0\0\0" + bytes(18), ("bad_http", "")),
        case(75, "head-dripped", dripped(OK + b"\r\n" + TEXT, 0.1), ("timeout", "ttfb")),
        case(76, "idle", then_sit(OK + b"\r\n" + TEXT), ("timeout", "idle")),
        case(76, "rate", endless(OK + b"\r\n", b"x", 0.25), ("timeout", "rate")),
        case(76, "total", endless(OK + b"\r\n", b"x" * 700, 0.25), ("timeout", "total")),
        case(77, "never-answers", sit, ("timeout", "ttfb")),
    ],
)
def test_an_answer_that_is_no_good_ends_in_bounds(
    world: World, data: Behaviour, expected: tuple[str, str]
) -> None:
    code, detail = world.worker.failure(world.url(data))

    assert code == expected[0]
    assert not expected[1] or detail == expected[1]
    assert world.origin.wait_closed(1.0)


@pytest.mark.parametrize("coding", [case(71, "br-zstd-unasked", "")])
def test_only_codings_that_are_taken_off_are_asked_for(world: World, coding: str) -> None:
    world.worker.card(world.url(answer(page())))

    assert world.origin.requests[-1].headers["accept-encoding"] == "gzip, deflate"


@pytest.mark.parametrize("members", [case(71, "two-members", 2)])
def test_a_body_of_some_members_is_whole(world: World, members: int) -> None:
    body = b"".join(gzip.compress(part) for part in (b"<title>Two ", b"members</title>"))

    assert world.worker.card(world.url(coded("gzip", body)))["title"] == "Two members"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        case(77, "mute", "http://mute.test/", ("timeout", "ttfb")),
        case(77, "no-TLS", "https://speechless.test/", ("timeout", "tls")),
        case(77, "no-TCP", "http://unreached.test/", ("timeout", "connect")),
    ],
)
def test_a_server_that_says_nothing_has_a_code(world: World, url: str, expected: tuple[str, str]) -> None:
    world.names.has("mute.test", MUTE)
    world.names.has("speechless.test", SLOW_TLS)
    world.names.has("unreached.test", DEAD_V6)

    assert world.worker.failure(url) == expected


@pytest.mark.parametrize(
    "behaviour",
    [
        case(
            73,
            "10-GB-said",
            endless(OK + b"Content-Length: 10000000000\r\n\r\n<title>Long</title>", b"y" * 65536),
        ),
        case(73, "endless", endless(OK + b"\r\n<title>Long</title>", b"y" * 65536)),
        case(
            73,
            "chunked",
            endless(CHUNKED + b"13\r\n<title>Long</title>\r\n", b"10000\r\n" + b"y" * 65536 + b"\r\n"),
        ),
        case(73, "shorter-than-body", OK + b"Content-Length: 19\r\n\r\n<title>Long</title>and more"),
    ],
)
def test_a_page_without_end_is_cut(world: World, behaviour: Behaviour) -> None:
    card = world.worker.card(world.url(behaviour))

    assert card["title"] == "Long"
    assert card["fetch"]["bytes"] < 2 * MIB
    assert world.origin.wait_closed(1.0)


@pytest.mark.parametrize(
    "head",
    [case(73, "picture-said", b"Content-Length: 10000000000\r\n"), case(73, "picture-endless", b"")],
)
def test_a_picture_without_end_is_too_large(world: World, head: bytes) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\n" + head + b"\r\n" + PNG
    refused = world.worker.picture(world.url(endless(head, b"y" * 65536)))

    assert (refused.status, refused.json["code"]) == (413, "too_large")
    assert world.origin.wait_closed(1.0)


# Rows 80 to 85: statuses, types, TLS.


@pytest.mark.parametrize(
    ("status", "code"),
    [
        case(80, "204", "204 No Content", "http_status"),
        case(80, "304", "304 Not Modified", "http_status"),
        case(80, "407", "407 Proxy", "http_4xx"),
        case(80, "418", "418 Teapot", "http_4xx"),
        case(80, "429", "429 Too Many", "http_4xx"),
        case(80, "500", "500 Internal", "http_5xx"),
        case(80, "503", "503 Unavailable", "http_5xx"),
    ],
)
def test_a_status_that_is_no_success_is_told(world: World, status: str, code: str) -> None:
    assert world.worker.failure(world.url(answer(page(), status=status))) == (code, status[:3])


@pytest.mark.parametrize("status", [case(80, "401", "401 Unauthorized")])
def test_a_page_behind_a_password_has_a_card_of_its_url(world: World, status: str) -> None:
    card = world.worker.card(world.url(answer(page("Secret"), status=status)))

    assert (card["flags"], card["fetch"]["status"], card["title"] == "Secret") == (["login"], 401, False)


@pytest.mark.parametrize(
    "status", [case(80, "429-retry-after", "429 Too Many"), case(80, "503-retry-after", "503 Busy")]
)
def test_who_asks_to_be_left_alone_is(world: World, status: str) -> None:
    url = world.url(answer(status=status, headers={"Retry-After": "120"}))
    name = url.partition("?")[2]
    world.worker.preview(url)
    seen = len(world.origin.requests)

    second = world.worker.preview(f"http://{name}/other")

    assert (second.status, second.json["code"]) == (429, "rate_limited")
    assert 100 < int(second.headers["retry-after"]) <= 120
    assert len(world.origin.requests) == seen


@pytest.mark.parametrize(
    ("media_type", "body", "expected"),
    [
        case(81, "html-is-png", "text/html", PNG, "type_mismatch"),
        case(81, "png-is-html", "image/png", page(), "type_mismatch"),
        case(81, "no-type", None, page("Told"), "Told"),
        case(81, "last-type-counts", "text/html, image/png", page(), "type_mismatch"),
        case(81, "last-type-is-html", "image/png, text/html", page("Told"), "Told"),
        case(81, "type-100-KB", "text/" + "x" * 100_000, page(), "bad_http"),
        case(83, "finite-audio", "audio/mpeg", page(), "not_html"),
    ],
)
def test_a_page_is_what_it_says_and_looks_like(
    world: World, media_type: str | None, body: bytes, expected: str
) -> None:
    answered = world.worker.preview(world.url(answer(body, media_type=media_type)))

    assert expected in (answered.json.get("code"), answered.json.get("title"))


@pytest.mark.parametrize("media_type", [case(81, "picture-is-html", "image/png")])
def test_html_is_never_shown_as_a_picture(world: World, media_type: str) -> None:
    refused = world.worker.picture(world.url(answer(page(), media_type=media_type)))

    assert (refused.status, refused.json["code"]) == (502, "type_mismatch")


@in_row(82)
def test_a_download_is_no_page(world: World, row: int) -> None:
    headers = {"Content-Disposition": 'attachment; filename="a.html"'}

    assert world.worker.failure(world.url(answer(page(), headers=headers)))[0] == "attachment"
    inline = {"Content-Disposition": "inline"}
    assert world.worker.card(world.url(answer(page("Inline"), headers=inline)))["title"] == "Inline"


@in_row(83)
def test_a_radio_station_is_left_at_its_headers(world: World, row: int) -> None:
    radio = endless(b"HTTP/1.0 200 OK\r\nContent-Type: audio/mpeg\r\nicy-name: x\r\n\r\n", b"a" * 4096, 0.01)

    assert world.worker.failure(world.url(radio)) == ("not_html", "audio/mpeg")
    assert world.origin.wait_closed(0.1)
    assert world.worker.picture(world.url(radio)).json["code"] == "type_mismatch"


WRONG = [
    ("self_signed", ("self_signed",)),
    ("expired", ("expired",)),
    ("wrong_host", ("name",)),
    ("address_only", ("name",)),
    ("stranger", ("untrusted",)),
    # A server of asyncio may hang up before its alert is out.
    ("no_such_name", ("name", "closed")),
    ("old", ("protocol", "handshake", "closed")),
]


@pytest.mark.parametrize(
    ("server", "details"), [case(84, server, server, details) for server, details in WRONG]
)
def test_a_server_that_does_not_prove_its_name_is_not_asked(
    world: World, server: str, details: tuple[str, ...]
) -> None:
    url = f"https://{server.replace('_', '-')}.test/"

    code, told = world.worker.failure(url)

    assert code == "tls_failed"
    assert told in details
    assert world.wrong[server].requests == []
    assert world.worker.picture(url).json["code"] == "tls_failed"


@in_row(85)
def test_the_name_is_proved_while_the_address_is_dialled(world: World, row: int) -> None:
    world.secure.on("/", answer(page("Secure")))
    world.names.has("unproved.test", SECURE)

    card = world.worker.card("https://secure.test/")

    (hop,) = card["explain"]["hops"]
    assert (card["title"], hop["dialled"]) == ("Secure", f"{SECURE}:443")
    # The same server, and the address alone, under a name that its certificate does not have.
    assert world.worker.failure("https://unproved.test/") == ("tls_failed", "name")
    assert world.worker.failure(f"https://{SECURE}/") == ("tls_failed", "name")
    world.secure.behaviours.pop("/")


# Rows 86 to 89: pages.


@pytest.mark.parametrize(
    "body",
    [
        case(86, "divs", b"<div>" * (MIB // 5)),
        case(86, "links-and-divs", b"<a><div></a>" * (MIB // 12)),
        case(86, "attributes", b"<p " + b"".join(b"a%d=b " % at for at in range(100_000)) + b">"),
        case(86, "options", b"<select>" + b"<option>" * (MIB // 8)),
        case(86, "comment", b"<!--" + b"-" * MIB),
        case(86, "script", b"<script>" + b"<!--<script>" * (MIB // 12)),
        case(86, "svg", b"<svg>" + b"<g>" * (MIB // 3)),
        case(86, "tags", b"<" * MIB),
        case(86, "entities", b"<title>" + b"&amp;" * (MIB // 5)),
    ],
)
def test_a_page_of_a_mebibyte_never_costs_more_than_its_time(world: World, body: bytes) -> None:
    answered = world.worker.preview(world.url(answer(body)))

    assert answered.status == 200 or answered.json["code"] == "parse_limit"
    # Who reads the next one is well.
    assert world.worker.card(world.url(answer(page("Next"))))["title"] == "Next"


@pytest.mark.parametrize(
    ("html", "member", "expected"),
    [
        case(87, "2001-metas", 2000 * "<meta name=x content=y>" + "<title>After</title>", "title", "After"),
        case(
            87,
            "1-MB",
            f'<title>Short</title><meta property="og:title" content="{"x" * 10**6}">',
            "title",
            ...,
        ),
        case(87, "entities", f"<title>{'&lt;' * 9000}</title>", "title", ...),
        case(87, "hidden", "<title>a\u202eb\u200bc\u2066d</title>", "title", "abcd"),
        case(
            88,
            "depth",
            f'<title>T</title><script type="application/ld+json">{"[" * 10_000}</script>',
            "title",
            "T",
        ),
        case(
            88,
            "NaN",
            '<title>T</title><script type="application/ld+json">{"headline": NaN}</script>',
            "title",
            "T",
        ),
        case(
            88,
            "twice",
            '<title>T</title><script type="application/ld+json">{"@type": "A", "@type": "B"}</script>',
            "title",
            "T",
        ),
        case(
            88,
            "200-blocks",
            "<title>T</title>" + 200 * '<script type="application/ld+json">{}</script>',
            "title",
            "T",
        ),
        case(
            88,
            "larger-than-a-page",
            f'<title>T</title><script type="application/ld+json">{{"a": "{"x" * 3 * MIB}"}}</script>',
            "title",
            "T",
        ),
    ],
)
def test_what_a_page_says_is_bounded_and_cleaned(
    world: World, html: str, member: str, expected: object
) -> None:
    answered = world.worker.preview(world.url(answer(html.encode())))

    assert answered.status == 200
    assert len(answered.body) < 128 * 1024
    if expected is ...:
        assert 0 < len(answered.json[member]) <= 1000
    else:
        assert answered.json[member] == expected


UTF8, CP1252 = "é".encode(), "é".encode("latin-1")


@pytest.mark.parametrize(
    ("header", "body", "title"),
    [
        case(89, "BOM-over-header", "windows-1252", b"\xef\xbb\xbf<title>" + UTF8, "é"),
        case(89, "header-over-meta", "utf-8", b"<meta charset=windows-1252><title>" + UTF8, "é"),
        case(89, "meta", "", b"<meta charset=windows-1252><title>" + CP1252, "é"),
        case(89, "utf-7", "utf-7", b"<meta charset=utf-7><title>+AOk-", "+AOk-"),
        case(89, "x-user-defined", "x-user-defined", b"<title>a\x80b", "a\uf780b"),
        case(89, "replacement", "iso-2022-kr", b"<title>secret", None),
        case(89, "bad-label", "no-such-charset", b"<meta charset=windows-1252><title>" + CP1252, "é"),
    ],
)
def test_a_charset_is_told_as_browsers_do(world: World, header: str, body: bytes, title: str | None) -> None:
    media_type = f"text/html; charset={header}" if header else "text/html"

    card = world.worker.card(world.url(answer(body + b"</title><p>" + b" " * 600, media_type=media_type)))

    if title is None:
        assert "secret" not in card["title"]
    else:
        assert card["title"] == title


# Rows 90 to 96: many, few and signed.


@in_row(90)
def test_two_hundred_who_want_the_same_cost_one_request(world: World, row: int) -> None:
    async def slow(exchange: Exchange) -> None:
        # Until all have come.
        await asyncio.to_thread(all_in.wait, 10)
        await exchange.send(answer(page("One")))

    all_in = threading.Event()
    url = world.url(slow)
    target = f"/links/preview?url={quote(url, safe='')}"
    with ExitStack() as stack:
        callers = [stack.enter_context(world.worker.connect("GET", target)) for _ in range(200)]
        until(lambda: world.worker.do(lambda: waiting(world)) == 200)
        all_in.set()
        titles = [Reader(caller).answer().json["title"] for caller in callers]

    assert titles == ["One"] * 200
    assert world.origin.paths.count(f"/?{url.partition('?')[2]}") == 1


def waiting(world: World) -> int:
    """How many wait for a preview that is being made."""
    return sum(flight.waiting for flight in world.worker.previews._flights.values())


@in_row(91)
def test_fifty_urls_of_one_host_are_asked_for_two_at_a_time_and_at_their_pace(world: World, row: int) -> None:
    most = inside = 0

    async def counting(exchange: Exchange) -> None:
        nonlocal most, inside
        inside += 1
        most = max(most, inside)
        await asyncio.sleep(0.02)
        inside -= 1
        await exchange.send(answer(page("Fine")))

    name = world.name()
    world.origin.on("/paced", counting)
    began = time.monotonic()

    lines = world.worker.batch(*(f"http://{name}/paced?{at}" for at in range(50)))

    took = time.monotonic() - began
    fine = [line for line in lines if line["success"]]
    refused = [line for line in lines if not line["success"]]
    # Ten at a stroke, then one a second for as long as a preview may take.
    assert 10 <= len(fine) <= 10 + took
    assert {line["code"] for line in refused} == {"rate_limited"}
    assert all(line["retry_seconds"] > 0 for line in refused)
    assert sum(path.startswith("/paced") for path in world.origin.paths) == len(fine)
    assert most == 2


@pytest.mark.parametrize("is_shared", [case(92, "alone", False), case(92, "shared", True)])
def test_a_fetch_ends_when_the_last_who_wanted_it_has_gone(world: World, is_shared: bool) -> None:
    gone, release = threading.Event(), threading.Event()

    async def going_on(exchange: Exchange) -> None:
        # No phase takes too long, so that nothing but its end ends it.
        leaving = asyncio.create_task(exchange.gone())
        with suppress(ConnectionError):
            await exchange.send(OK + b"\r\n<title>Kept</title>")
            while not (leaving.done() or release.is_set()):
                await exchange.send(b" " * 200)
                await asyncio.sleep(0.05)
        if not release.is_set():
            gone.set()
        leaving.cancel()

    url = world.url(going_on)
    target = f"/links/preview?url={quote(url, safe='')}"
    seen = len(world.origin.requests)
    leaver = world.worker.connect("GET", target)
    stayer = world.worker.connect("GET", target) if is_shared else None
    assert world.origin.wait_until(lambda origin: len(origin.requests) == seen + 1)
    until(lambda: world.worker.do(lambda: waiting(world)) == 1 + is_shared)

    leaver.close()

    if stayer is None:
        assert gone.wait(1.0)
        return
    until(lambda: world.worker.do(lambda: waiting(world)) == 1)
    release.set()
    with stayer:
        assert Reader(stayer).answer().json["title"] == "Kept"
    assert not gone.is_set()


TOKEN = "0123456789abcdef0123456789abcdef"


@pytest.mark.parametrize(
    "path",
    [
        case(93, "verify", f"/verify?token={TOKEN}"),
        case(93, "magic", f"/magic/{TOKEN}"),
        case(93, "unsubscribe", "/unsubscribe?u=17&list=4"),
    ],
)
def test_a_link_that_seems_to_work_once_is_not_asked_for(world: World, path: str) -> None:
    name = world.name()

    card = world.worker.card(f"http://{name}{path}")

    assert (card["flags"], card["fetch"]["status"]) == (["one_time_link"], None)
    assert card["title"]
    assert name not in world.names.lookups
    assert not any(request.headers["host"] == name for request in world.origin.requests)


@pytest.mark.parametrize(
    ("headers", "status", "flag"),
    [
        case(94, "cloudflare", {"cf-mitigated": "challenge"}, "403 Forbidden", "bot_wall"),
        case(94, "vercel", {"x-vercel-mitigated": "challenge"}, "429 Too Many", "bot_wall"),
    ],
)
def test_a_wall_is_no_page(world: World, headers: dict[str, str], status: str, flag: str) -> None:
    card = world.worker.card(world.url(answer(page("Just a moment"), status=status, headers=headers)))

    assert card["flags"] == [flag]
    assert card["title"] != "Just a moment"
    assert card["fetch"]["status"] == int(status[:3])


@in_row(94)
def test_a_page_that_asks_for_consent_is_no_page(world: World, row: int) -> None:
    number = next(world.numbers)
    world.names.has(f"consent.h{number}.test", PUBLIC)
    world.origin.on("/consent", answer(page("Before you continue")))

    card = world.worker.card(world.url(redirect(f"http://consent.h{number}.test/consent"), "/my-film"))

    assert (card["flags"], card["title"]) == (["consent"], "my film")


def signed(url: str, key: str = KEY, expires: int = 4_000_000_000) -> str:
    rest = f"{expires}/original/{base64.urlsafe_b64encode(url.encode()).decode().rstrip('=')}"
    return f"/links/proxy/{hmac.new(key.encode(), rest.encode(), hashlib.sha256).hexdigest()}/{rest}"


def camo(url: str, key: str = CAMO_KEY) -> tuple[bytes, bytes]:
    return hmac.digest(key.encode(), url.encode(), "sha1"), url.encode()


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def proxied(url: str) -> dict[str, tuple[str, bool]]:
    """Addresses of a picture, and whether they are good."""
    digest, told = camo(url)
    other, _ = camo(url, "no key")
    good = signed(url)
    return {
        "signed": (good, True),
        "signed-flipped": (good.replace("/links/proxy/", "/links/proxy/0")[:-1], False),
        "signed-truncated": (good[:-4], False),
        "signed-short": (good.replace("/links/proxy/" + good[13:20], "/links/proxy/"), False),
        "signed-other-key": (signed(url, "no key"), False),
        "signed-expired": (signed(url, expires=1_600_000_000), False),
        "signed-upper": (good[:13] + good[13:77].upper() + good[77:], False),
        "camo": (f"/camo/{digest.hex()}/{told.hex()}", True),
        "camo-b64": (f"/camo/{b64(digest)}/{b64(told)}", True),
        "camo-query": (f"/camo/{digest.hex()}?url={quote(url, safe='')}", True),
        "camo-bad": (f"/camo/{bytes(20).hex()}/{told.hex()}", False),
        "camo-truncated": (f"/camo/{digest.hex()[:-2]}/{told.hex()}", False),
        "camo-other-key": (f"/camo/{other.hex()}/{told.hex()}", False),
        "camo-upper-digest": (f"/camo/{digest.hex().upper()}/{told.hex()}", False),
        "camo-upper-url": (f"/camo/{digest.hex()}/{told.hex().upper()}", False),
        "camo-b64-other-key": (f"/camo/{b64(other)}/{b64(told)}", False),
        "camo-b64-padded": (f"/camo/{b64(digest)}=/{b64(told)}", False),
        "camo-other-url": (f"/camo/{digest.hex()}/{(told + b'x').hex()}", False),
    }


@pytest.mark.parametrize("kind", [case(95, kind, kind) for kind in proxied("http://a.test/")])
def test_only_a_signed_address_is_asked_for(world: World, kind: str) -> None:
    url = world.url(answer(PNG, media_type="image/png"))
    asked, dialled = len(world.names.asked), world.dialled()
    target, is_good = proxied(url)[kind]

    answered = world.worker.ask("GET", target)

    if is_good:
        assert (answered.status, answered.headers["content-type"]) == (200, "image/png")
        return
    assert (answered.status, answered.json["code"]) == (403, "bad_signature")
    assert (len(world.names.asked), world.dialled()) == (asked, dialled)


@in_row(95)
def test_a_signed_address_opens_no_inner_one(world: World, row: int) -> None:
    for url, code in (
        ("http://127.0.0.1/a.png", "blocked_address"),
        (f"http://{world.name('10.0.0.1')}/a.png", "blocked_address"),
        ("http://localhost/a.png", "blocked_name"),
    ):
        digest, told = camo(url)
        for target in (signed(url), f"/camo/{digest.hex()}/{told.hex()}"):
            refused = world.worker.ask("GET", target)
            assert (refused.status, refused.json["code"]) == (403, code)


@pytest.fixture
def picture(world: World) -> str:
    """The signed address of a picture whose server knows conditions."""

    async def conditional(exchange: Exchange) -> None:
        headers = {"ETag": '"v1"', "Cache-Control": "max-age=600"}
        if exchange.request.headers.get("if-none-match") == '"v1"':
            await exchange.send(answer(status="304 Not Modified", media_type=None, headers=headers))
        else:
            await exchange.send(answer(PNG, media_type="image/png", headers=headers))

    return signed(world.url(conditional))


@in_row(96)
def test_a_proxied_picture_knows_head_range_and_conditions(world: World, picture: str, row: int) -> None:
    whole = world.worker.ask("GET", picture)
    tag = whole.headers["etag"]

    head = world.worker.ask("HEAD", picture)
    ranged = world.worker.ask("GET", picture, "Range: bytes=0-3")
    known = world.worker.ask("GET", picture, f"If-None-Match: {tag}")
    asked = world.origin.requests[-1].headers
    unknown = world.worker.ask("GET", picture, 'If-None-Match: "other"')

    assert (whole.status, whole.headers["cache-control"]) == (200, "public, max-age=600")
    assert (head.status, head.headers["content-length"]) == (200, str(len(whole.body)))
    assert (ranged.status, ranged.body) == (200, whole.body)
    assert whole.headers["accept-ranges"] == "none"
    assert (known.status, known.body, known.headers["etag"]) == (304, b"", tag)
    assert asked["if-none-match"] == '"v1"'
    assert (unknown.status, unknown.body) == (200, whole.body)


def until(claim: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not claim():
        assert time.monotonic() < end
        time.sleep(0.01)
