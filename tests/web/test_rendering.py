"""/text/render_markdown over HTTP: its answers, and the bounds of its body."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from web.serving import Answer, Reader, Service, ask, serving, until

from remote_worker.contract.limits import MIB
from remote_worker.service.texts import MOST_TEXT_BYTES
from remote_worker.web.answers import TEXT_SLICE
from remote_worker.web.text import MOST_BODY_BYTES

PATH = "/text/render_markdown"
JSON = "Content-Type: application/json"


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with serving() as running:
        yield running


def head(*headers: str, path: str = PATH, method: str = "POST") -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: localhost", *headers, "", ""]).encode()


def post(service: Service, body: bytes, *headers: str, path: str = PATH) -> Answer:
    lines = headers or (JSON,)
    return ask(service, head(*lines, f"Content-Length: {len(body)}", path=path) + body)


def render(service: Service, value: Any, path: str = PATH) -> Answer:
    return post(service, json.dumps(value).encode(), path=path)


def test_the_answer_has_the_members_of_the_service_before_and_is_written_like_it(service: Service) -> None:
    answer = render(service, {"text": "# 你好 😀"})

    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json;charset=utf-8"
    assert answer.body == (
        rb'{"input": "# \u4f60\u597d \ud83d\ude00", "message": "Successfully rendered Markdown", '
        rb'"output": "<h1>\u4f60\u597d \ud83d\ude00</h1>\n", "status": "ok", "success": true}'
    )


def test_an_empty_text_is_a_text(service: Service) -> None:
    assert render(service, {"text": ""}).json["output"] == ""


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"{}", "Invalid input"),
        (b"null", "Invalid input"),
        (b"[]", "Invalid input"),
        (b'""', "Invalid input"),
        (b"0", "Invalid input"),
        (b'["text"]', "Invalid input"),
        (b'"a text"', "Invalid input"),
        (b'{"x": 1}', "Missing text input"),
        (b'{"text": null}', "Failed to render markdown"),
        (b'{"text": 5}', "Failed to render markdown"),
        (b'{"text": ["a"]}', "Failed to render markdown"),
    ],
)
def test_what_is_no_text_is_told_in_the_words_of_the_service_before(
    service: Service, body: bytes, message: str
) -> None:
    answer = post(service, body)

    assert answer.status == 400
    assert answer.json["message"] == message
    assert (answer.json["status"], answer.json["success"]) == ("error", False)


@pytest.mark.parametrize("body", [b"", b"text=x", b'{"text": "x"', b'{"text": "\xff"}'])
def test_broken_json_is_a_bad_request(service: Service, body: bytes) -> None:
    answer = post(service, body)

    assert (answer.status, answer.json["code"]) == (400, "bad_request")


@pytest.mark.parametrize(
    "kind",
    [
        "application/json; charset=utf-8",
        "APPLICATION/JSON",
        "application/vnd.x+json",
        "application/json ;a=b",
    ],
)
def test_a_body_that_says_it_is_json_is_read(service: Service, kind: str) -> None:
    assert post(service, b'{"text": "x"}', f"Content-Type: {kind}").status == 200


@pytest.mark.parametrize(
    "line",
    [
        "X-A: b",
        "Content-Type: text/plain",
        "Content-Type: application/jsonp",
        "Content-Type: text/json",
        "Content-Type: application/x-www-form-urlencoded",
        "Content-Type: +json",
    ],
)
def test_a_body_that_says_something_else_is_not(service: Service, line: str) -> None:
    answer = post(service, b'{"text": "x"}', line)

    assert (answer.status, answer.json["code"]) == (415, "unsupported_media_type")


def test_get_and_head_tell_the_usage_and_options_the_methods(service: Service) -> None:
    usage = ask(service, head(method="GET"))

    assert (usage.status, set(usage.json)) == (200, {"status", "success", "usage"})
    assert ask(service, head(method="HEAD")).headers["content-length"] == str(len(usage.body))
    options = ask(service, head(method="OPTIONS"))
    assert (options.status, options.body) == (200, b"")
    assert set(options.headers["allow"].split(", ")) == {"HEAD", "OPTIONS", "GET", "POST"}
    assert ask(service, head(method="PUT")).status == 405


def test_pictures_get_signed_addresses_when_the_query_or_a_member_says_so(service: Service) -> None:
    text = "![a](http://b/c?d=1&e=2)"

    plain = render(service, {"text": text}).json["output"]
    asked = render(service, {"text": text}, f"{PATH}?proxy_images=1").json["output"]
    assert 'src="http://b/c?d=1&amp;e=2"' in plain
    assert 'src="/signed?http://b/c?d=1&amp;e=2"' in asked
    assert render(service, {"text": text, "proxy_images": True}).json["output"] == asked
    assert render(service, {"text": text, "proxy_images": False}).json["output"] == plain
    assert render(service, {"text": text}, f"{PATH}?proxy_images=0").json["output"] == plain


def test_a_member_that_is_neither_true_nor_false_is_a_bad_parameter(service: Service) -> None:
    answer = render(service, {"text": "x", "proxy_images": "no"})

    assert (answer.status, answer.json["code"]) == (400, "bad_parameter")


@pytest.mark.parametrize(
    ("code", "status"),
    [("output_too_large", 422), ("decoder_crashed", 422), ("busy", 503), ("deadline", 504)],
)
def test_a_failure_of_the_renderer_is_told(service: Service, code: str, status: int) -> None:
    answer = render(service, {"text": f"fail:{code}"})

    assert (answer.status, answer.json["code"]) == (status, code)


def test_a_text_of_the_limit_is_rendered_and_one_byte_more_is_not(service: Service) -> None:
    answer = render(service, {"text": "é" * (MOST_TEXT_BYTES // 2)})

    assert answer.json["output"] == f"<p>{'é' * (MOST_TEXT_BYTES // 2)}</p>\n"
    answer = render(service, {"text": "é" * (MOST_TEXT_BYTES // 2) + "x"})
    assert (answer.status, answer.json["code"]) == (413, "too_large")


def test_a_body_of_the_limit_is_read_and_one_byte_more_is_not(service: Service) -> None:
    body = b'{"text": "x"}'.ljust(MOST_BODY_BYTES)

    assert post(service, body).status == 200
    assert post(service, body + b" ").json["code"] == "too_large"
    chunks = f"{len(body):x}\r\n".encode() + body + b"\r\n"
    chunked = head(JSON, "Transfer-Encoding: chunked") + chunks
    assert ask(service, chunked + b"0\r\n\r\n").status == 200
    assert ask(service, chunked + b"1\r\n \r\n0\r\n\r\n").json["code"] == "too_large"


@pytest.mark.parametrize("more", [-2, -1, 0, 1, TEXT_SLICE])
def test_a_long_answer_is_written_in_slices_and_reads_the_same(service: Service, more: int) -> None:
    text = '"\\é😀\n' * (TEXT_SLICE // 10) + "x" * more if more > 0 else "é" * (TEXT_SLICE // 2 + more)

    answer = render(service, {"text": text})

    assert answer.json["input"] == text
    assert answer.body == json.dumps(answer.json, sort_keys=True).encode()


def test_bodies_come_out_of_the_memory_for_uploads_and_it_is_given_back() -> None:
    with serving(bodies_bytes=MIB) as service:
        for _ in range(3):
            assert render(service, {"text": "x" * 300_000}).status == 200
            answer = render(service, {"text": "x" * (MIB + 1)})
            assert (answer.status, answer.json["code"]) == (503, "busy")


def test_an_answer_that_finds_no_memory_is_refused() -> None:
    with serving(bodies_bytes=MIB) as service:
        answer = render(service, {"text": "@a " * 40_000})  # Nine times as long as HTML.

        assert (answer.status, answer.json["code"]) == (503, "busy")


def test_a_body_that_pauses_or_drips_is_refused() -> None:
    with serving(body_idle_seconds=0.2, body_seconds=0.6) as service:
        with service.connect() as connection:
            connection.sendall(head(JSON, "Content-Length: 20") + b'{"text"')
            assert Reader(connection).answer().json["code"] == "body_timeout"
        with service.connect() as connection:
            connection.sendall(head(JSON, "Content-Length: 1000"))
            reader, began = Reader(connection), time.monotonic()
            while time.monotonic() < began + 0.7:
                try:
                    connection.sendall(b" ")
                except OSError:
                    break
                time.sleep(0.05)
            assert reader.answer().status == 408


def test_work_that_nobody_waits_for_ends(service: Service) -> None:
    body = json.dumps({"text": "hang:"}).encode()
    with service.connect() as connection:
        connection.sendall(head(JSON, f"Content-Length: {len(body)}") + body)
        assert service.renderer.began.wait(10)

    assert service.renderer.cancelled.wait(10)
    until(lambda: service.connections == 0)


def test_the_renderer_hears_who_calls(service: Service) -> None:
    body = b'{"text": "x"}'

    ask(service, head(JSON, f"Content-Length: {len(body)}") + body, caller="127.0.0.9")

    assert service.renderer.callers[-1] == "127.0.0.9"
