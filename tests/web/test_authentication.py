"""Who may call once there are keys: by bearer key and by signed request, on our own server."""

import asyncio
import datetime
import hashlib
import re
import time
from collections.abc import Iterator, MutableMapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from http_message_signatures import (
    HTTPMessageSigner,
    HTTPMessageVerifier,
    MappingKeyResolver,
    algorithms,
)
from service.doors import Door
from starlette.routing import Route
from web.keyrings import BEARER, OTHER_BEARER, SECRET, digest_of, hashed, one_key, signature, write
from web.serving import (
    Answer,
    Probe,
    Reader,
    Service,
    SmallDecoder,
    SmallRenderer,
    ask,
    form,
    post,
    serving,
    small_uses,
    until,
)
from web.small_links import small_links

from remote_worker.contract.failures import WorkFailed
from remote_worker.contract.limits import Limits
from remote_worker.web.app import App, create_app
from remote_worker.web.auth import Gate, check_area, is_open
from remote_worker.web.settings import WebSettings

FILE = f"""
{one_key('hmac = {"app-1" = "' + SECRET + '", "app-2" = "' + SECRET[::-1] + '"}')}
{one_key('may = ["text", "stats"]', name="words", bearer=OTHER_BEARER)}
[keys.sized]
sha256 = ["{hashed("rw_sized")}"]
may = ["presets"]
[keys.shown]
sha256 = ["{hashed("rw_shown")}"]
may = ["presets", "links"]
[keys.linked]
sha256 = ["{hashed("rw_linked")}"]
may = ["links"]
[keys.small]
sha256 = ["{hashed("rw_small")}", "{hashed("rw_smaller")}"]
input_bytes = 100
[keys.nothing]
sha256 = ["{hashed("rw_nothing")}"]
may = []
"""
UPLOAD = form(b"picture")
CALL = "/images/info"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    path = write(tmp_path_factory.mktemp("keys") / "keys.toml", FILE)
    with serving(keys_file=path, links=small_links(Door())) as running:
        yield running


def bearer(key: str) -> str:
    return f"Authorization: Bearer {key}"


def get(path: str, *headers: str, method: str = "GET", host: str = "worker.example") -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", f"Host: {host}", *headers, "", ""]).encode()


def told(answer: Answer) -> tuple[int, str]:
    return answer.status, answer.json.get("code", "")


def signed_post(body: bytes = UPLOAD, path: str = CALL, query: str = "", **how: object) -> bytes:
    lines = signature("POST", path, query, digest=digest_of(body), **how)
    return post(f"{path}?{query}" if query else path, body, *lines)


@pytest.mark.parametrize(
    "path",
    ["/livez", "/readyz", "/health", "/ping", "/hello", "/", "/links/proxy/x/0/original/x", "/camo/x/y"],
)
def test_what_is_open_needs_no_key(service: Service, path: str) -> None:
    assert ask(service, get(path)).status != 401


@pytest.mark.parametrize(
    "path",
    [
        *("/capabilities", "/images/info", "/images/fit/10", "/links/preview?url=x", "/links/proxy", "/ip"),
        *(
            "/text/render_markdown",
            "/livez/",
            "//livez",
            "/livez%00",
            "/nothing",
            "/console",
            "/docsx",
            "/stats",
        ),
    ],
)
def test_all_else_needs_one(service: Service, path: str) -> None:
    answer = ask(service, get(path))

    assert told(answer) == (401, "unauthenticated")
    assert answer.headers["www-authenticate"] == "Bearer"


def test_a_key_opens_and_its_neighbours_do_not(service: Service) -> None:
    def status(line: str) -> int:
        return ask(service, post(CALL, UPLOAD, line)).status

    assert status(bearer(BEARER)) == 200
    assert status(f"authorization: bearer {BEARER}") == 200
    for line in (
        bearer(BEARER[:-1]),
        bearer(BEARER + "k"),
        bearer(BEARER[:-1] + "K"),
        bearer(hashed(BEARER)),
        bearer(""),
        f"Authorization: Basic {BEARER}",
        f"X-Authorization: Bearer {BEARER}",
    ):
        assert status(line) == 401


def test_several_keys_of_one_name_hold_side_by_side(service: Service) -> None:
    assert {ask(service, get("/capabilities", bearer(key))).status for key in ("rw_small", "rw_smaller")} == {
        200
    }


def test_two_keys_in_one_request_are_refused(service: Service) -> None:
    twice = ask(service, get("/capabilities", bearer(BEARER), bearer(BEARER)))
    both = ask(service, get("/capabilities", bearer(BEARER), *signature("GET", "/capabilities")))

    assert told(twice) == (400, "bad_request")
    assert told(both) == (401, "unauthenticated")


def test_an_upload_without_a_key_is_refused_at_its_head(service: Service) -> None:
    with service.connect() as connection:
        connection.sendall(post(CALL, b"", length=20_000_000))  # Nothing of the body ever comes.

        assert told(Reader(connection).answer()) == (401, "unauthenticated")
    assert b"never" not in service.decoder.uploads


def test_a_refusal_at_the_head_leaves_the_connection_for_what_follows_the_body(service: Service) -> None:
    refused = post(CALL, UPLOAD)
    head, _, body = refused.partition(b"\r\n\r\n")
    with service.connect() as connection:
        reader = Reader(connection)
        connection.sendall(head + b"\r\n\r\n")
        answer = reader.answer()
        assert (answer.status, answer.headers.get("connection")) == (401, None)
        connection.sendall(body + post(CALL, UPLOAD, bearer(BEARER)))

        assert reader.answer().status == 200


def test_a_connection_outlives_a_refusal(service: Service) -> None:
    with service.connect() as connection:
        reader = Reader(connection)
        connection.sendall(post(CALL, UPLOAD))
        assert reader.answer().status == 401
        connection.sendall(post(CALL, UPLOAD, bearer(BEARER)))

        assert reader.answer().status == 200


def test_shares_go_by_key_and_not_by_address(service: Service) -> None:
    ask(service, post(CALL, UPLOAD, bearer(BEARER)), caller="127.0.0.3")
    ask(service, post(CALL, UPLOAD, bearer("rw_small")), caller="127.0.0.3")

    assert service.decoder.callers[-2:] == ["key:app", "key:small"]
    assert service.decoder.asked[-1] == "key:small"


@pytest.mark.parametrize(
    ("key", "path", "refusal"),
    [
        (OTHER_BEARER, "/images/info", "forbidden"),
        (OTHER_BEARER, "/images/preset/none", "forbidden"),
        (OTHER_BEARER, "/links/preview", "forbidden"),
        (OTHER_BEARER, "/ip", "forbidden"),
        (OTHER_BEARER, "/text/render_markdown", ""),
        (OTHER_BEARER, "/capabilities", ""),
        (OTHER_BEARER, "/stats", ""),
        ("rw_sized", "/images/fit/10", "only_presets"),
        ("rw_sized", "/images/info", "forbidden"),
        ("rw_sized", "/images/preset/none", ""),
        ("rw_sized", "/images/preset", ""),
        ("rw_sized", "/images/presets", "forbidden"),
        ("rw_sized", "/images/distance?a=00&b=00", ""),
        ("rw_sized", "/images/facts", "forbidden"),
        ("rw_sized", "/images/rescale_avatar", "forbidden"),
        ("rw_sized", "/links/image?url=x&preset=none", "forbidden"),
        ("rw_sized", "/stats", "forbidden"),
        ("rw_shown", "/links/image?url=x&fit=8", "only_presets"),
        ("rw_shown", "/links/image?url=x&quality=8", "only_presets"),
        ("rw_shown", "/links/image?url=x&preset=none", ""),
        ("rw_shown", "/images/fit/8", "only_presets"),
        ("rw_linked", "/links/image?url=x&preset=none", ""),
        ("rw_linked", "/links/image?url=&fit=8", ""),
        ("rw_linked", "/images/preset/none", "forbidden"),
        ("rw_linked", "/images/distance", "forbidden"),
        (BEARER, "/images/info", ""),
        (BEARER, "/images/preset/none", ""),
    ],
)
def test_a_key_is_for_what_it_may(service: Service, key: str, path: str, refusal: str) -> None:
    status, code = told(ask(service, get(path, bearer(key))))

    # What there is not is for the route to say.
    assert (status == 403, code if status == 403 else "") == (bool(refusal), refusal)


def test_a_key_with_presets_alone_is_told_so(service: Service) -> None:
    def only(key: str) -> tuple[bool, bool]:
        listed = ask(service, get("/images/preset", bearer(key))).json["only"]
        fit = ask(service, get("/capabilities", bearer(key))).json["operations"]["image"]["switches"]
        return listed, "quality" not in fit

    assert only("rw_sized") == (True, True)
    assert only(BEARER) == (False, False)


def test_every_route_is_open_or_of_an_area_or_named_here() -> None:
    app = create_app(small_uses(SmallDecoder()), Probe(), WebSettings(), Limits())
    for_every_key = []
    for route in app.routes:
        assert isinstance(route, Route)
        path = route.path.replace("{digest:digest}", 40 * "a")
        if is_open(path):
            continue
        try:
            check_area((), path)
        except WorkFailed:
            continue
        for_every_key.append(path)

    # What a job asks for decides which area it needs.
    assert for_every_key == ["/capabilities", "/jobs", "/jobs/{id}", "/jobs/{id}/result"]


@pytest.mark.parametrize(("path", "code"), [("/images/info", "forbidden"), ("/text/x", ""), ("/livez", "")])
def test_a_key_is_for_the_same_below_another_path(tmp_path: Path, path: str, code: str) -> None:
    gate = Gate(WebSettings(keys_file=write(tmp_path / "keys.toml", FILE)))
    scope: dict[str, Any] = {
        "type": "http",
        "method": "GET",
        "path": f"/api{path}",
        "root_path": "/api",
        "query_string": b"",
        "headers": [(b"host", b"x"), (b"authorization", f"Bearer {OTHER_BEARER}".encode())],
    }

    if code:
        with pytest.raises(WorkFailed) as caught:
            gate.check(scope)
        assert caught.value.code == code
    else:
        gate.check(scope)


def test_a_page_of_another_site_is_refused_unless_the_request_shows_a_key(service: Service) -> None:
    foreign = ["Origin: https://evil.example", "Sec-Fetch-Site: cross-site"]

    assert told(ask(service, get("/ping", *foreign))) == (403, "foreign_origin")
    assert told(ask(service, get("/capabilities", *foreign))) == (403, "foreign_origin")
    assert ask(service, get("/capabilities", *foreign, bearer(BEARER))).status == 200
    assert ask(service, get("/capabilities", *foreign, *signature("GET", "/capabilities"))).status == 200
    assert ask(service, get("/ping", "Origin: http://worker.example")).status == 200


def test_a_file_may_have_as_many_bytes_as_its_key_says_and_not_one_more(service: Service) -> None:
    fits = ask(service, post(CALL, form(bytes(100)), bearer("rw_small")))
    not_quite = ask(service, post(CALL, form(bytes(101)), bearer("rw_small")))

    assert told(fits) == (200, "")
    assert told(not_quite) == (413, "too_large")


def test_a_request_lowers_its_limits_and_never_raises_them(service: Service) -> None:
    def status(key: str, limits: str, size: int) -> int:
        return ask(service, post(CALL, form(bytes(size)), bearer(key), f"Remote-Limits: {limits}")).status

    assert status("rw_small", "input_bytes=50", 50) == 200
    assert status("rw_small", "input_bytes=50", 51) == 413
    assert status("rw_small", "input_bytes=5000, pixels=9", 101) == 413
    assert status(BEARER, "input_bytes=50", 51) == 413
    assert service.decoder.callers[-1] == "key:small"
    for wrong in (
        "",
        "bytes=5",
        "input_bytes",
        "input_bytes=0",
        "pixels=1.5",
        "pixels=1,pixels=2",
        "x" * 300,
    ):
        assert status(BEARER, wrong, 5) == 400


@pytest.mark.parametrize(("length", "status"), [(256, 200), (257, 400)])
def test_limits_of_a_request_have_so_many_bytes_and_not_one_more(
    service: Service, length: int, status: int
) -> None:
    limits = "pixels=9,".ljust(length - len("frames=9")) + "frames=9"

    assert ask(service, post(CALL, UPLOAD, bearer(BEARER), f"Remote-Limits: {limits}")).status == status


# Signed requests.


def test_a_signed_request_opens(service: Service) -> None:
    assert told(ask(service, signed_post())) == (200, "")
    assert told(ask(service, signed_post(query="a=%20b&c"))) == (200, "")
    assert told(ask(service, signed_post(key_id="app-2", secret=SECRET[::-1]))) == (200, "")
    assert told(ask(service, get("/capabilities", *signature("GET", "/capabilities")))) == (200, "")


@pytest.mark.parametrize(
    "changed",
    [
        {"secret": SECRET[:-1] + "x"},
        {"key_id": "app-2"},
        {"key_id": "nobody"},
        {"key_id": "app"},
    ],
)
def test_who_does_not_have_the_secret_is_refused_in_the_same_words(
    service: Service, changed: dict[str, str]
) -> None:
    answer = ask(service, signed_post(**changed))

    assert told(answer) == (401, "unauthenticated")
    assert answer.json["message"] == "A key, a signature or a certificate that is known here is needed"


def test_what_was_signed_is_what_must_come(service: Service) -> None:
    other = get("/capabilities", *signature("GET", "/capabilities"))
    for old, new in (
        (b"GET /capabilities", b"GET /capabilities?x"),
        (b"GET /capabilities", b"GET /ip"),
        (b"GET /capabilities", b"HEAD /capabilities"),
        (b"GET /capabilities", b"GET /%63apabilities"),
    ):
        assert ask(service, other.replace(old, new)).status == 401
    assert ask(service, other).status == 200


@pytest.mark.parametrize(
    ("ago", "more", "status"),
    [
        (0, "", 200),
        (295, "", 200),
        (302, "", 401),  # the window is 300 seconds
        (-25, "", 200),
        (-35, "", 401),  # the other clock may be 30 seconds ahead
        (10, ";expires={soon}", 200),
        (10, ";expires={over}", 401),
        (302, ";expires={soon}", 401),  # it may shorten the window, not lengthen it
        (-25, ";expires={early}", 401),  # before it was created
        (-25, ";expires={late}", 200),
        (0, ';alg="hmac-sha256"', 200),
        (0, ';alg="hmac-sha512"', 401),
        (0, ';tag="x"', 401),
        (0, ";created=1", 401),
        (0, ";nonce=5", 401),
    ],
)
def test_a_signature_has_its_time_and_its_parameters(
    service: Service, ago: int, more: str, status: int
) -> None:
    now = int(time.time())
    more = more.format(soon=now + 60, over=now - 1, early=now + 24, late=now + 25)

    assert ask(service, signed_post(created=now - ago, more=more)).status == status


@pytest.mark.parametrize(
    "components",
    [
        '"@method" "@path"',
        '"@method" "@query" "@path" "content-digest"',
        '"@method" "@path" "@query" "content-digest" "host"',
        '"@method"  "@path" "@query" "content-digest"',
        '"@method";req "@path" "@query" "content-digest"',
        "",
    ],
)
def test_other_components_are_refused(service: Service, components: str) -> None:
    parameters = f'({components});created={int(time.time())};keyid="app-1"'

    assert ask(service, signed_post(parameters=parameters)).status == 401


def test_half_a_signature_is_none(service: Service) -> None:
    lines = signature("GET", "/capabilities")
    for headers in (lines[:1], lines[1:], [lines[0], lines[1].replace("sig=", "gis=")], [*lines, lines[1]]):
        assert ask(service, get("/capabilities", *headers)).status in (400, 401)


def test_a_signature_without_created_or_key_is_refused(service: Service) -> None:
    components = '("@method" "@path" "@query")'
    for parameters in (f'{components};keyid="app-1"', f"{components};created={int(time.time())}"):
        lines = signature("GET", "/capabilities", parameters=parameters)
        assert ask(service, get("/capabilities", *lines)).status == 401


def test_a_signature_is_good_once(service: Service) -> None:
    request = signed_post()
    assert ask(service, request).status == 200

    again = ask(service, request)

    assert told(again) == (401, "unauthenticated")
    assert ask(service, signed_post()).status == 200


def test_a_signed_body_cannot_be_exchanged_or_slipped_in(service: Service) -> None:
    before = len(service.decoder.uploads)
    head, _, _ = signed_post().partition(b"\r\n\r\n")
    other = form(b"another")
    exchanged = ask(service, head + b"\r\n\r\n" + other)
    slipped_in = ask(service, post(CALL, UPLOAD, *signature("POST", CALL)))

    assert told(exchanged) == (400, "bad_digest")
    assert told(slipped_in) == (400, "bad_digest")
    assert len(service.decoder.uploads) == before
    assert len(other) == len(UPLOAD)  # Else its length would have told.


@pytest.mark.parametrize(("method", "path"), [("POST", CALL), ("GET", "/capabilities")])
def test_a_body_that_nobody_signed_is_refused_at_its_head(service: Service, method: str, path: str) -> None:
    lines = [*signature(method, path), "Content-Length: 5", "Expect: 100-continue"]

    assert told(ask(service, get(path, *lines, method=method))) == (400, "bad_digest")


def test_a_signature_over_a_digest_that_is_weak_or_missing_is_refused(service: Service) -> None:
    for digest in ("md5=:rL0Y20zC+Fzt72VPzMSk2A==:", "sha-256=:AAAA:"):
        assert ask(service, post(CALL, UPLOAD, *signature("POST", CALL, digest=digest))).status == 400
    lines = signature("POST", CALL, digest=digest_of(UPLOAD))
    assert ask(service, post(CALL, UPLOAD, *lines[:2])).status == 401


def test_a_signature_is_as_long_as_it_may_be_and_not_one_byte_more(service: Service) -> None:
    def status(length: int) -> int:
        begin = f'("@method" "@path" "@query");created={int(time.time())};keyid="app-1";nonce="'
        parameters = begin + "n" * (length - len("sig=") - len(begin) - 1) + '"'
        return ask(
            service, get("/capabilities", *signature("GET", "/capabilities", parameters=parameters))
        ).status

    assert [status(1024), status(1025)] == [200, 401]


# The second implementation.


class Message(SimpleNamespace):
    """A request as the other implementation wants it."""


def resolver() -> MappingKeyResolver:
    keys = {"app-1": SECRET.encode()}
    return MappingKeyResolver(private_keys=keys, public_keys=keys)


@pytest.mark.parametrize("body", [b"", UPLOAD])
def test_another_implementation_signs_and_we_read_it(service: Service, body: bytes) -> None:
    method = "POST" if body else "GET"
    target = f"{CALL}?a=b"
    message = Message(method=method, url=f"http://localhost{target}", headers={})
    components = ["@method", "@path", "@query", *(["content-digest"] if body else [])]
    now = datetime.datetime.now(datetime.UTC)
    HTTPMessageSigner(signature_algorithm=algorithms.HMAC_SHA256, key_resolver=resolver()).sign(
        message,
        key_id="app-1",
        created=now,
        expires=now + datetime.timedelta(seconds=60),
        nonce="n" + hashlib.sha256(body).hexdigest()[:8],
        covered_component_ids=components,
        body=body or None,
    )
    lines = [f"{name}: {value}" for name, value in message.headers.items()]

    answer = ask(service, post(target, body, *lines) if body else get(target, *lines))

    assert told(answer) == (200, "")


@pytest.mark.parametrize("body", [b"", UPLOAD])
def test_what_we_read_another_implementation_reads_too(service: Service, body: bytes) -> None:
    method = "POST" if body else "GET"
    lines = signature(method, CALL, "x=%2F", digest=digest_of(body) if body else "")
    headers = dict(line.split(": ", 1) for line in lines)
    message = Message(method=method, url=f"http://localhost{CALL}?x=%2F", headers=headers)

    verifier = HTTPMessageVerifier(signature_algorithm=algorithms.HMAC_SHA256, key_resolver=resolver())
    (result,) = verifier.verify(message, body=body or None)

    assert result.parameters["keyid"] == "app-1"
    answer = ask(service, post(f"{CALL}?x=%2F", body, *lines) if body else get(f"{CALL}?x=%2F", *lines))
    assert told(answer) == (200, "")


# Digests, with or without keys.


def test_a_body_is_held_against_its_digest_before_it_is_decoded(service: Service) -> None:
    before = len(service.decoder.uploads)

    right = ask(service, post(CALL, UPLOAD, bearer(BEARER), f"Content-Digest: {digest_of(UPLOAD)}"))
    wrong = ask(service, post(CALL, UPLOAD, bearer(BEARER), f"Content-Digest: {digest_of(UPLOAD + b' ')}"))

    assert told(right) == (200, "")
    assert told(wrong) == (400, "bad_digest")
    assert service.decoder.uploads[before:] == [b"picture"]


def test_a_json_body_is_too(service: Service) -> None:
    def asked(digest: str) -> Answer:
        lines = [bearer(BEARER), "Content-Type: application/json", f"Content-Digest: {digest}"]
        body = b'{"text": "x"}'
        head = get("/text/render_markdown", *lines, f"Content-Length: {len(body)}", method="POST")
        return ask(service, head + body)

    assert told(asked(digest_of(b'{"text": "x"}'))) == (200, "")
    assert told(asked(digest_of(b'{"text": "y"}'))) == (400, "bad_digest")


@pytest.mark.parametrize(
    ("header", "status"),
    [
        ("md5=:rL0Y20zC+Fzt72VPzMSk2A==:", 200),  # not one to be held to, as RFC 9530 has it
        (digest_of(UPLOAD) + ", md5=:AA==:", 200),
        (
            digest_of(UPLOAD).replace("=:", ":", 2).replace("sha-256:", "sha-256=:"),
            200,
        ),  # without its padding
        (digest_of(UPLOAD) + ", sha-512=:" + "A" * 86 + "==:", 400),  # both have to be right
        ("sha-256=AAAA", 400),
        ("sha-256=:" + "A" * 44 + ":", 400),  # 33 bytes
        ("", 400),
        (digest_of(UPLOAD) + ", " + "a=:AA==:, " * 200 + "b=:AA==:", 400),
    ],
)
def test_a_digest_is_read_as_its_rfc_says(service: Service, header: str, status: int) -> None:
    lines = [bearer(BEARER), f"Content-Digest: {header}"]

    assert ask(service, post(CALL, UPLOAD, *lines)).status == status


@pytest.mark.parametrize(("length", "status"), [(1024, 200), (1025, 400)])
def test_a_digest_header_has_so_many_bytes_and_not_one_more(
    service: Service, length: int, status: int
) -> None:
    header = f"{digest_of(UPLOAD)}, x=:"
    header += "A" * (length - len(header) - 1) + ":"

    assert ask(service, post(CALL, UPLOAD, bearer(BEARER), f"Content-Digest: {header}")).status == status


def test_a_digest_holds_for_chunks_as_they_come(service: Service) -> None:
    body = form(bytes(range(256)) * 1000)
    chunks = b"".join(
        b"%x\r\n%b\r\n" % (len(piece), piece)
        for piece in (body[at : at + 999] for at in range(0, len(body), 999))
    )
    for wanted, status in ((digest_of(body), 200), (digest_of(body[:-1]), 400)):
        head = post(CALL, b"", bearer(BEARER), "Transfer-Encoding: chunked", f"Content-Digest: {wanted}")
        head = head.replace(b"Content-Length: 0\r\n", b"")
        assert ask(service, head + chunks + b"0\r\n\r\n").status == status


# The file, as it changes.


def test_keys_are_read_again_and_a_broken_file_keeps_the_former(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "keys.toml"
    with serving(keys_file=write(path, one_key())) as service:

        def status(key: str) -> int:
            return ask(service, get("/capabilities", bearer(key))).status

        write(path, one_key(bearer=OTHER_BEARER))
        assert (status(BEARER), status(OTHER_BEARER)) == (200, 401)
        service.in_loop(service.server.renew)
        until(lambda: status(OTHER_BEARER) == 200)
        assert status(BEARER) == 401
        write(path, one_key("pixels = 'many'"))
        service.in_loop(service.server.renew)
        until(lambda: "keys_failed" in caplog.messages)

        assert (status(BEARER), status(OTHER_BEARER)) == (401, 200)
    failed = [record for record in caplog.records if record.getMessage() == "keys_failed"]
    assert [(record.levelname, record.fields["reason"]) for record in failed] == [
        ("ERROR", "keys.app.pixels must be a whole number above 0")
    ]


def test_the_event_loop_does_not_wait_for_keys_and_the_last_file_counts(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "remote_worker")
    path = tmp_path / "keys.toml"
    keys_then: list[list[str]] = []
    with serving(keys_file=write(path, one_key())) as service:
        gate = cast(App, service.server.config.app).gate

        def renew() -> None:
            write(path, one_key(name="second", bearer=OTHER_BEARER))
            service.server.renew()
            write(path, one_key(name="third", bearer=OTHER_BEARER))
            service.server.renew()
            keys_then.append(sorted(gate.keys.named if gate.keys else ()))

        service.in_loop(renew)
        until(lambda: "keys_read" in caplog.messages)

        assert keys_then == [["app"]]
        assert sorted(gate.keys.named if gate.keys else ()) == ["third"]


def test_a_signature_is_good_once_also_when_its_key_is_called_otherwise(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "remote_worker")
    path = tmp_path / "keys.toml"
    secret = f'hmac = {{"app-1" = "{SECRET}"}}'
    with serving(keys_file=write(path, one_key(secret))) as service:
        request = get("/capabilities", *signature("GET", "/capabilities"))
        assert ask(service, request).status == 200
        write(path, one_key(secret, name="renamed"))
        service.in_loop(service.server.renew)
        until(lambda: "keys_read" in caplog.messages)

        assert ask(service, request).status == 401
        assert ask(service, get("/capabilities", *signature("GET", "/capabilities"))).status == 200


def test_the_log_has_the_name_of_the_key_and_no_key(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "remote_worker")
    with serving(keys_file=write(tmp_path / "keys", one_key(f'hmac = {{"app-1" = "{SECRET}"}}'))) as service:
        ask(service, get("/capabilities", bearer(BEARER)))
        ask(service, signed_post())
        ask(service, get("/capabilities", bearer(OTHER_BEARER)))

    requests = [record.fields for record in caplog.records if record.getMessage() == "request"]
    assert [(line["status"], line.get("key")) for line in requests] == [
        (200, "app"),
        (200, "app"),
        (401, None),
    ]
    lines = "".join(f"{record.getMessage()} {vars(record)}" for record in caplog.records)
    assert not any(word in lines for word in (BEARER, OTHER_BEARER, SECRET, hashed(BEARER)))


def test_a_key_has_so_many_requests_and_is_told_when_it_has_more(tmp_path: Path) -> None:
    path = write(tmp_path / "keys", one_key("requests_per_minute = 6", "burst = 2"))
    with serving(keys_file=path) as service:
        answers = [ask(service, get("/capabilities", bearer(BEARER))) for _ in range(3)]

        assert [answer.status for answer in answers] == [200, 200, 429]
        assert answers[2].json["code"] == "quota_exceeded"
        assert answers[2].headers["retry-after"] in ("9", "10")
        assert ask(service, get("/livez")).status == 200


def test_a_key_has_so_many_requests_at_once(tmp_path: Path) -> None:
    with (
        serving(keys_file=write(tmp_path / "keys", one_key("at_once = 1"))) as service,
        service.connect() as one,
    ):
        one.sendall(post(CALL, form(b"pause:"), bearer(BEARER)))
        assert service.decoder.began.wait(10)

        assert told(ask(service, post(CALL, UPLOAD, bearer(BEARER)))) == (429, "quota_exceeded")
        service.decoder.release.set()
        assert Reader(one).answer().status == 200
        assert told(ask(service, post(CALL, UPLOAD, bearer(BEARER)))) == (200, "")


def test_what_finds_no_room_is_not_counted(tmp_path: Path) -> None:
    path = write(tmp_path / "keys", one_key("requests_per_minute = 1", "burst = 1"))
    with serving(keys_file=path) as service:
        service.decoder.has_room = False
        assert [ask(service, post(CALL, UPLOAD, bearer(BEARER))).status for _ in range(3)] == [503] * 3
        service.decoder.has_room = True

        assert ask(service, post(CALL, UPLOAD, bearer(BEARER))).status == 200
        assert ask(service, post(CALL, UPLOAD, bearer(BEARER))).status == 429


def chunked(body: bytes, *headers: str) -> bytes:
    lines = [f"POST {CALL} HTTP/1.1", "Host: worker.example", "Content-Type: multipart/form-data; boundary=b"]
    head = "\r\n".join([*lines, "Transfer-Encoding: chunked", *headers, "", ""]).encode()
    return head + b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)


def test_a_body_in_chunks_is_let_in_while_bytes_are_left_like_any_other(tmp_path: Path) -> None:
    path = write(tmp_path / "keys", one_key("bytes_per_minute = 100"))
    with serving(keys_file=path) as service:
        first = ask(service, chunked(bytes(1000), bearer(BEARER)))
        second = ask(service, chunked(bytes(1000), bearer(BEARER)))

        assert first.status != 429
        assert told(second) == (429, "quota_exceeded")
        assert ask(service, get("/capabilities", bearer(BEARER))).status == 200  # It has no body.


def test_bytes_of_a_body_that_is_refused_unread_are_given_back(tmp_path: Path) -> None:
    path = write(tmp_path / "keys", one_key("bytes_per_minute = 3000000"))
    with serving(keys_file=path) as service:
        huge = post(CALL, b"", bearer(BEARER), length=10**12)

        assert [ask(service, huge).status for _ in range(3)] == [413] * 3
        assert ask(service, huge).status == 429  # What the server reads all the same is a MiB of each.


def asked(app: App, path: str, state: dict[str, Any], *headers: tuple[bytes, bytes], root: str = "") -> int:
    """The status that another server than ours gets."""
    statuses: list[int] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: MutableMapping[str, Any]) -> None:
        statuses.append(message.get("status", 0))

    scope = {"type": "http", "http_version": "1.1", "method": "GET", "scheme": "http", "query_string": b""}
    scope |= {"path": root + path, "root_path": root, "state": state, "client": ("127.0.0.1", 1)}
    asyncio.run(app({**scope, "headers": [(b"host", b"worker.example"), *headers]}, receive, send))
    return statuses[0]


FOR_EVERY_KEY = {"/capabilities", "/jobs", "/jobs/{id}", "/jobs/{id}/result"}
AREAS_OF_ROUTES = {"images", "links", "text", "dns", "ip", "ipip", "geo", "ens", "stats"}


def test_every_route_is_open_or_signed_or_in_an_area(app: App) -> None:
    nothing = (b"authorization", b"Bearer rw_nothing")
    ways = {"address": "192.0.2.1", "name": "a", "box": "1", "signature": "s", "rest": "r", "encoded": "61"}
    paths = {route.path: route for route in app.routes if isinstance(route, Route)}
    statuses = {
        path: asked(app, re.sub(r"{(\w+)(?::\w+)?}", lambda m: ways.get(m[1], "0" * 40), path), {}, nothing)
        for path in paths
    }

    assert {path.split("/")[1] for path, status in statuses.items() if status == 403} - {"camo"} >= (
        AREAS_OF_ROUTES
    )
    others = {path for path, status in statuses.items() if status != 403}
    assert {path for path in others if asked(app, path, {}) == 401} == FOR_EVERY_KEY


@pytest.fixture
def app(tmp_path: Path) -> App:
    uses = small_uses(SmallDecoder(), SmallRenderer(), links=small_links(Door()))
    return create_app(uses, Probe(), WebSettings(keys_file=write(tmp_path / "keys.toml", FILE)), Limits())


def test_a_server_that_shares_its_state_among_requests_shares_no_key(app: App) -> None:
    state: dict[str, Any] = {}

    shown = asked(app, CALL, state, (b"authorization", f"Bearer {BEARER}".encode()))
    other = asked(app, CALL, state)

    assert (shown, other, state) == (200, 401, {})


@pytest.mark.parametrize("root", ["", "/below", "/images", "/livez"])
def test_a_key_is_for_what_it_may_wherever_the_application_lies(app: App, root: str) -> None:
    words = (b"authorization", f"Bearer {OTHER_BEARER}".encode())

    assert asked(app, CALL, {}, words, root=root) == 403
    assert asked(app, "/stats", {}, words, root=root) == 200
    assert asked(app, "/stats", {}, root=root) == 401
    assert asked(app, "/livez", {}, root=root) == 200


def test_without_keys_nobody_is_asked_for_one() -> None:
    with serving() as service:
        assert ask(service, post(CALL, UPLOAD, bearer("anything"))).status == 200
        assert ask(service, post(CALL, UPLOAD, *signature("POST", CALL))).status == 200
        assert told(ask(service, post(CALL, UPLOAD, f"Content-Digest: {digest_of(b'')}"))) == (
            400,
            "bad_digest",
        )
