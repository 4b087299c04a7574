"""TLS with servers whose certificates are right, and wrong in every way."""

import contextlib
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest
from fetch.certificates import Authority, old_only, only_for, self_signed
from fetch.origin import Origin, answer, canaries, page, redirect
from fetch.standins import PUBLIC, World

from remote_worker.contract.failures import FailureCode
from remote_worker.fetch.process import tls

AUTHORITY = Authority()
OTHER = Authority()


@pytest.fixture(scope="module")
def ca_file(tmp_path_factory: pytest.TempPathFactory) -> str:
    return AUTHORITY.write(tmp_path_factory.mktemp("authority") / "ca.pem")


def test_a_certificate_of_the_name_is_right_while_its_address_is_dialled(ca_file: str) -> None:
    """Row 85."""
    with Origin({"/": answer(page())}, tls=AUTHORITY.server("h.test")) as origin:
        fetched, _ = World({"h.test": origin}, egress_ca_file=ca_file).read("https://h.test/")

        assert fetched.hops[0].dialled == f"{PUBLIC}:443"
        assert fetched.hops[0].milliseconds.keys() == {"dns", "connect", "tls", "ttfb", "body"}
        assert origin.requests[0].headers["host"] == "h.test"


def test_an_address_has_a_certificate_of_its_own(ca_file: str) -> None:
    with Origin({"/": answer(page())}, tls=AUTHORITY.server(PUBLIC)) as origin:
        fetched, _ = World({"h.test": origin}, egress_ca_file=ca_file).read(f"https://{PUBLIC}/")

        assert fetched.status == 200


def test_only_the_server_of_the_name_is_asked_for(ca_file: str) -> None:
    context = only_for(AUTHORITY.server("h.test", "x.test"), "h.test")
    with Origin({"/": answer(page())}, tls=context) as origin:
        world = World({"h.test": origin, "x.test": origin}, egress_ca_file=ca_file)

        assert world.read("https://h.test/")[0].status == 200
        assert world.failure("https://x.test/").code is FailureCode.TLS_FAILED


@pytest.mark.parametrize(
    ("context", "detail"),
    [
        pytest.param(lambda: self_signed("h.test"), "self_signed", id="84-self-signed"),
        pytest.param(lambda: AUTHORITY.server("h.test", days=-1), "expired", id="84-expired"),
        pytest.param(lambda: AUTHORITY.server("other.test"), "name", id="84-wrong-name"),
        pytest.param(lambda: AUTHORITY.server("*.h.test"), "name", id="84-wildcard-below"),
        pytest.param(lambda: AUTHORITY.server(PUBLIC), "name", id="84-address-only"),
        pytest.param(lambda: OTHER.server("h.test"), "untrusted", id="84-unknown-authority"),
    ],
)
def test_a_certificate_that_is_not_right_ends_the_fetch(
    ca_file: str, context: Callable[[], ssl.SSLContext], detail: str
) -> None:
    with Origin({"/": answer(page())}, tls=context()) as origin:
        failed = World({"h.test": origin}, egress_ca_file=ca_file).failure("https://h.test/")

        assert (failed.code, failed.detail) == (FailureCode.TLS_FAILED, detail)
        assert failed.hops[0].dialled == f"{PUBLIC}:443"
        assert origin.requests == []


def test_nobody_is_trusted_besides_the_system_unless_named() -> None:
    with Origin({"/": answer(page())}, tls=AUTHORITY.server("h.test")) as origin:
        failed = World({"h.test": origin}).failure("https://h.test/")

        assert (failed.code, failed.detail) == (FailureCode.TLS_FAILED, "untrusted")


def test_a_server_that_speaks_no_tls_is_told() -> None:
    with Origin(greeting=b"HTTP/1.1 400 Bad Request\r\n\r\n") as origin:
        failed = World({"h.test": origin}).failure("https://h.test/")

        assert (failed.code, failed.detail) == (FailureCode.TLS_FAILED, "protocol")


@pytest.mark.parametrize(
    ("server", "detail"),
    [
        pytest.param(lambda: old_only(AUTHORITY.server("h.test")), "protocol", id="84-TLS-1.1"),
        pytest.param(lambda: only_for(AUTHORITY.server("h.test"), "x.test"), "name", id="84-no-such-name"),
        pytest.param(lambda: without_common_ciphers(AUTHORITY.server("h.test")), "handshake", id="84-DHE"),
    ],
)
def test_what_a_server_objects_to_is_told(
    ca_file: str, server: Callable[[], ssl.SSLContext], detail: str
) -> None:
    context = tls.client_context(ca_file)

    with pytest.raises(ssl.SSLError) as broken:
        shake_hands(context, server(), "h.test")
    assert tls.refusal(broken.value).detail == detail


def test_two_sides_that_agree_shake_hands(ca_file: str) -> None:
    assert shake_hands(tls.client_context(ca_file), AUTHORITY.server("h.test"), "h.test") == "TLSv1.3"


def without_common_ciphers(context: ssl.SSLContext) -> ssl.SSLContext:
    """The same, but it speaks only TLS 1.2 with numbers of its own choice."""
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("DHE+AESGCM")
    return context


def shake_hands(client: ssl.SSLContext, server: ssl.SSLContext, name: str) -> str | None:
    """Without a network, so that every alert arrives. Raises what the client raises."""
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = client.wrap_bio(down, up, server_hostname=name)
    theirs = server.wrap_bio(up, down, server_side=True)
    for _ in range(5):
        try:
            ours.do_handshake()
            return ours.version()
        except ssl.SSLWantReadError:
            pass
        with contextlib.suppress(ssl.SSLError):
            theirs.do_handshake()
    raise AssertionError("a handshake without end")


def test_a_file_without_certificates_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "empty.pem").write_text("nothing\n")

    with pytest.raises(ValueError, match="REMOTE_EGRESS_CA_FILE"):
        World({}, egress_ca_file=str(tmp_path / "empty.pem"))


@pytest.mark.parametrize("is_allowed", [False, True])
def test_a_redirect_from_https_to_http_is_followed_only_if_allowed(ca_file: str, is_allowed: bool) -> None:
    """Row 62."""
    with (
        Origin({"/": redirect("http://plain.test/")}, tls=AUTHORITY.server("h.test")) as secure,
        Origin({"/": answer(page())}) as plain,
    ):
        world = World(
            {"h.test": secure, "plain.test": plain}, egress_ca_file=ca_file, https_to_http=is_allowed
        )
        if is_allowed:
            assert world.read("https://h.test/")[0].url == "http://plain.test/"
        else:
            failed = world.failure("https://h.test/")
            assert (failed.code, plain.accepted) == (FailureCode.DOWNGRADE, 0)


def test_a_redirect_from_http_to_https_is_followed(ca_file: str) -> None:
    with (
        Origin({"/": redirect("https://s.test/")}) as plain,
        Origin({"/": answer(page())}, tls=AUTHORITY.server("s.test")) as secure,
    ):
        world = World({"h.test": plain, "s.test": secure}, egress_ca_file=ca_file)

        assert world.read("http://h.test/")[0].url == "https://s.test/"


def test_a_redirect_inside_is_refused_from_https_too(ca_file: str) -> None:
    with (
        canaries() as (canary, *_),
        Origin({"/": redirect("https://127.0.0.1/")}, tls=AUTHORITY.server("h.test")) as origin,
    ):
        there = {("127.0.0.1", 443): ("127.0.0.1", canary.port)}
        failed = World({"h.test": origin}, egress_ca_file=ca_file, dial_map=there).failure("https://h.test/")

        assert failed.code is FailureCode.BLOCKED_ADDRESS


def test_a_large_body_comes_whole_over_tls(ca_file: str) -> None:
    from remote_worker.contract.links import Purpose

    data = bytes(range(256)) * 20_000
    with Origin({"/": answer(data, media_type="image/x")}, tls=AUTHORITY.server("h.test")) as origin:
        world = World({"h.test": origin}, egress_ca_file=ca_file)

        assert world.read("https://h.test/", Purpose.IMAGE)[1] == data
