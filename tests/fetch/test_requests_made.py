"""What a server gets to see: one request with few headers, and nothing of the environment."""

import time
from email.utils import formatdate
from pathlib import Path

import pytest
from fetch.origin import Origin, answer, canaries, page
from fetch.standins import World

from remote_worker import __version__
from remote_worker.contract.failures import FailureCode
from remote_worker.contract.links import Purpose
from remote_worker.fetch.process.follow import LONGEST_RETRY_SECONDS, retry_after


def test_a_request_has_these_headers_and_no_others() -> None:
    with Origin({"/": answer(page())}) as origin:
        World({"h.test": origin}).read("http://h.test/")

        (request,) = origin.requests
        assert list(request.headers) == ["host", "user-agent", "accept", "accept-encoding", "connection"]
        assert request.headers["host"] == "h.test"
        assert request.headers["user-agent"] == f"RemoteWorker/{__version__} (link preview)"
        assert request.headers["accept"].startswith("text/html,")
        assert request.headers["accept-encoding"] == "gzip, deflate"


def test_a_request_says_what_the_operator_and_the_caller_want() -> None:
    with Origin({"/": answer(page())}) as origin:
        world = World(
            {"h.test": origin}, contact="https://example.org/bot", accept_language="de", via="rw-1234"
        )
        world.read("http://h.test/")
        world.read("http://h.test/", language="fr, en;q=0.5")

        first, second = origin.requests
        assert first.headers["user-agent"].endswith("(link preview; +https://example.org/bot)")
        assert first.headers["accept-language"] == "de"
        assert first.headers["via"] == "1.1 rw-1234"
        assert second.headers["accept-language"] == "fr, en;q=0.5"


@pytest.mark.parametrize(
    ("purpose", "accept"),
    [(Purpose.IMAGE, "image/avif,image/webp,image/*"), (Purpose.OEMBED, "application/json")],
)
def test_what_is_accepted_goes_by_the_purpose(purpose: Purpose, accept: str) -> None:
    with Origin({"/": answer(b'{"a": 1}', media_type="application/json")}) as origin:
        World({"h.test": origin}).failure("http://h.test/x", purpose)

        assert origin.requests[0].headers["accept"].startswith(accept)


@pytest.mark.parametrize("language", ["de\r\nX: y", "\N{SNOWMAN}", "a\0b"])
def test_a_language_that_no_header_can_hold_is_refused_before_anything_is_dialled(language: str) -> None:
    with Origin() as origin:
        failed = World({"h.test": origin}).failure("http://h.test/", language=language)

        assert (failed.code, failed.detail) == (FailureCode.BAD_PARAMETER, "accept-language")
        assert origin.accepted == 0


def test_a_page_that_has_not_changed_is_told_by_304() -> None:
    with Origin({"/": answer(status="304 Not Modified", media_type=None, headers={"ETag": '"b"'})}) as origin:
        fetched, data = World({"h.test": origin}).read(
            "http://h.test/", etag='W/"a"', last_modified="Mon, 23 Nov 2026 03:00:00 GMT"
        )

        assert (fetched.status, data, fetched.headers["etag"]) == (304, b"", '"b"')
        headers = origin.requests[0].headers
        assert headers["if-none-match"] == 'W/"a"'
        assert headers["if-modified-since"] == "Mon, 23 Nov 2026 03:00:00 GMT"


def test_an_etag_that_no_header_can_hold_is_left_out() -> None:
    with Origin({"/": answer(page())}) as origin:
        World({"h.test": origin}).read("http://h.test/", etag='"\N{SNOWMAN}"')

        assert "if-none-match" not in origin.requests[0].headers


def test_an_rpc_is_a_post_of_json() -> None:
    with Origin({"/rpc": answer(b'{"result": 1}', media_type="application/json")}) as origin:
        fetched, data = World({"h.test": origin}).read("http://h.test/rpc", Purpose.RPC, body=b'{"id": 1}')

        (request,) = origin.requests
        assert (request.method, request.body) == ("POST", b'{"id": 1}')
        assert request.headers["content-type"] == "application/json"
        assert (fetched.media_type, data) == ("application/json", b'{"result": 1}')


def test_a_check_is_a_post_of_json_with_its_token() -> None:
    with Origin({"/check": answer(b'{"allow": true}', media_type="application/json")}) as origin:
        world = World({"h.test": origin})
        for token in ("Bearer x", ""):
            world.read("http://h.test/check", Purpose.CHECK, body=b"{}", authorization=token)

        first, second = origin.requests
        assert (first.method, first.body, first.headers["authorization"]) == ("POST", b"{}", "Bearer x")
        assert "authorization" not in second.headers


def test_a_webhook_is_a_post_of_json_with_its_headers() -> None:
    with Origin({"/hook": answer(status="204 No Content", media_type=None)}) as origin:
        fetched, data = World({"h.test": origin}).read(
            "http://h.test/hook", Purpose.WEBHOOK, body=b"{}", headers=(("webhook-id", "a"),)
        )

        (request,) = origin.requests
        assert (request.method, request.body, request.headers["webhook-id"]) == ("POST", b"{}", "a")
        assert request.headers["content-type"] == "application/json"
        assert (fetched.status, data) == (204, b"")


def test_what_becomes_of_a_webhook_says_nothing_about_previews() -> None:
    with Origin({"/": answer(status="503 Busy", headers={"Retry-After": "60"})}) as origin:
        world = World({"h.test": origin})
        world.failure("http://h.test/", Purpose.WEBHOOK, body=b"{}")
        assert world.gate.told_of == []
        world.failure("http://h.test/", Purpose.RPC, body=b"{}")
        assert world.gate.told_of == [("h.test", 503, 60.0)]


@pytest.mark.parametrize("purpose", [Purpose.PAGE, Purpose.IMAGE, Purpose.OEMBED, Purpose.RPC])
def test_no_other_request_has_headers_of_webhooks(purpose: Purpose) -> None:
    with Origin({"/": answer(page())}) as origin:
        World({"h.test": origin}).failure("http://h.test/x", purpose, headers=(("webhook-id", "a"),))

        assert "webhook-id" not in origin.requests[0].headers


@pytest.mark.parametrize("purpose", [Purpose.PAGE, Purpose.IMAGE, Purpose.OEMBED])
def test_no_other_request_has_a_token(purpose: Purpose) -> None:
    with Origin({"/": answer(page())}) as origin:
        World({"h.test": origin}).failure("http://h.test/x", purpose, authorization="Bearer x")

        assert "authorization" not in origin.requests[0].headers


def test_proxies_and_passwords_of_the_environment_are_ignored(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Row 66."""
    (tmp_path / ".netrc").write_text("machine h.test login a password b\n")
    with canaries() as (canary, *_), Origin({"/": answer(page())}) as origin:
        proxy = f"http://127.0.0.1:{canary.port}"
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "all_proxy"):
            monkeypatch.setenv(name, proxy)
        monkeypatch.setenv("NO_PROXY", "")
        monkeypatch.setenv("HOME", str(tmp_path))

        World({"h.test": origin}).read("http://h.test/")

        assert "authorization" not in origin.requests[0].headers


def test_escaped_line_ends_stay_escaped() -> None:
    """Row 44."""
    with Origin({"/%0d%0aX:1": answer(page())}) as origin:
        World({"h.test": origin}).read("http://h.test/%0d%0aX:1")

        assert origin.paths == ["/%0d%0aX:1"]
        assert "x" not in origin.requests[0].headers


def test_a_fragment_is_not_sent() -> None:
    """Row 38."""
    with Origin({"/": answer(page())}) as origin:
        fetched, _ = World({"h.test": origin}).read("http://h.test#@127.0.0.1/")

        assert origin.paths == ["/"]
        assert fetched.url == "http://h.test/"


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120),
        ("0", 0),
        ("3600", LONGEST_RETRY_SECONDS),
        ("3601", LONGEST_RETRY_SECONDS),
        ("9" * 5000, LONGEST_RETRY_SECONDS),
        ("Mon, 23 Nov 2020 03:00:00 GMT", 0),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("Mon, 99 Nov 9999 99:99:99 GMT", None),
    ],
)
def test_a_server_may_ask_for_at_most_an_hour(value: str, seconds: float | None) -> None:
    assert retry_after({"retry-after": value}) == seconds


def test_a_date_to_come_again_is_read_as_the_time_until_then() -> None:
    seconds = retry_after({"retry-after": formatdate(time.time() + 100, usegmt=True)})

    assert seconds is not None
    assert 90 < seconds <= 100
