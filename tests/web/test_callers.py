"""Who may call while there is no authentication."""

import pytest
from web.serving import Service, ask, form, post, serving

from remote_worker.contract.failures import FailureCode, WorkFailed
from remote_worker.web.auth import Told, UnsafeListening, check_caller, check_listening
from remote_worker.web.settings import WebSettings

CLOSED = WebSettings(host_names=("Images.internal",))
OPEN = WebSettings(host="0.0.0.0", open=True)


def is_let_in(settings: WebSettings, **headers: str) -> bool:
    try:
        check_caller(
            Told([(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]),
            settings,
        )
    except WorkFailed as failed:
        if failed.code is not FailureCode.FOREIGN_ORIGIN:
            raise
        return False
    return True


@pytest.mark.parametrize(
    ("host", "is_ours"),
    [
        ("127.0.0.1:5000", True),
        ("127.0.0.1", True),
        ("127.255.255.254", True),
        ("128.0.0.1", False),  # the neighbours of 127.0.0.0/8
        ("126.255.255.255", False),
        ("[::1]:5000", True),
        ("[::1]", True),
        ("[::2]", False),
        ("::1", False),  # not how an address is written there
        ("localhost", True),
        ("LocalHost:5000", True),
        ("localhost.:5000", True),
        ("localhost.evil.example", False),
        ("127.0.0.1.evil.example", False),
        ("127.0.0.1@evil.example", False),
        ("images.internal:80", True),
        ("other.internal", False),
        ("2130706433", False),
        ("127.1", False),
        ("", False),
    ],
)
def test_the_host_is_loopback_or_a_configured_name(host: str, is_ours: bool) -> None:
    assert is_let_in(CLOSED, host=host) is is_ours


def test_an_open_worker_takes_any_host() -> None:
    assert is_let_in(OPEN, host="anything.example")


@pytest.mark.parametrize("settings", [CLOSED, OPEN])
@pytest.mark.parametrize(
    ("origin", "is_ours"),
    [
        ("http://localhost:5000", True),
        ("https://localhost:5000", True),  # behind a proxy that speaks TLS
        ("http://localhost:5001", False),
        ("http://localhost", False),
        ("http://127.0.0.1:5000", False),
        ("http://evil.example", False),
        ("null", False),
        ("", False),
        ("file://localhost:5000", False),
        ("http://localhost:5000/x", False),
        ("http://[", False),
    ],
)
def test_an_origin_is_the_host_itself_or_foreign(settings: WebSettings, origin: str, is_ours: bool) -> None:
    assert is_let_in(settings, host="localhost:5000", origin=origin) is is_ours


def test_a_port_that_goes_without_saying_is_compared_too() -> None:
    assert is_let_in(CLOSED, host="localhost:80", origin="http://localhost")
    assert is_let_in(CLOSED, host="localhost", origin="https://localhost:443")
    assert not is_let_in(CLOSED, host="localhost:80", origin="https://localhost")


@pytest.mark.parametrize(
    ("site", "is_ours"),
    [("same-origin", True), ("none", True), ("cross-site", False), ("same-site", False), ("new", False)],
)
def test_what_a_browser_says_of_the_calling_site_counts(site: str, is_ours: bool) -> None:
    assert is_let_in(CLOSED, host="localhost", sec_fetch_site=site) is is_ours


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.10", "::1", "localhost"])
def test_listening_on_loopback_needs_no_leave(host: str) -> None:
    check_listening(WebSettings(host=host))


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.0.1", "worker.internal", ""])
def test_listening_beyond_loopback_must_be_meant(host: str) -> None:
    with pytest.raises(UnsafeListening, match="without authentication"):
        check_listening(WebSettings(host=host))

    check_listening(WebSettings(host=host, open=True))


@pytest.fixture(scope="module")
def service() -> Service:
    with serving() as running:
        yield running


def test_a_foreign_page_gets_a_403_and_its_upload_is_not_decoded(service: Service) -> None:
    answer = ask(service, post("/images/info", form(b"x"), "Origin: http://evil.example"))

    assert (answer.status, answer.json["code"]) == (403, "foreign_origin")
    assert service.decoder.tasks == []


def test_a_rebound_name_gets_a_403(service: Service) -> None:
    answer = ask(service, b"GET /ping HTTP/1.1\r\nHost: rebound.example:5000\r\n\r\n")

    assert (answer.status, answer.json["code"]) == (403, "foreign_origin")
