"""Previews over HTTP: alone, many at once, and what goes wrong."""

import asyncio
import json
from collections.abc import Iterator
from urllib.parse import quote

import pytest
from service.doors import Page
from web.linking import Linked, linked, request
from web.serving import Reader, until
from web.small_links import VIA

from remote_worker.contract.failures import FailureCode, WorkFailed
from remote_worker.contract.links import FetchFailed, Hop, PageFacts

URL = "https://www.example.org/story"
TARGET = f"/links/preview?url={quote(URL, safe='')}"


@pytest.fixture(scope="module")
def server() -> Iterator[Linked]:
    with linked() as made:
        yield made


@pytest.fixture
def here(server: Linked) -> Linked:
    server.begin_anew()
    server.door.answers[URL] = Page()
    server.sight.pages[URL] = PageFacts(title="A story")
    return server


def test_a_preview_is_asked_for_in_every_way(here: Linked) -> None:
    form = "Content-Type: application/x-www-form-urlencoded"
    told = [
        here.get(TARGET),
        here.ask("POST", TARGET),
        here.ask("POST", "/links/preview", form, body=f"url={quote(URL, safe='')}".encode()),
        here.ask(
            "POST", "/links/preview", "Content-Type: application/json", body=json.dumps({"url": URL}).encode()
        ),
    ]

    assert [answer.status for answer in told] == [200] * 4
    assert [answer.json["title"] for answer in told] == ["A story"] * 4
    assert [answer.json["fetch"]["cache"] for answer in told] == ["miss", "hit", "hit", "hit"]
    assert told[0].headers["content-type"] == "application/json;charset=utf-8"
    assert told[0].headers["cache-control"] == "no-store"


def test_a_head_has_no_body(here: Linked) -> None:
    answer = here.ask("HEAD", TARGET)

    assert (answer.status, answer.body) == (200, b"")
    assert int(answer.headers["content-length"]) > 100


def test_the_language_is_passed_on(here: Linked) -> None:
    here.get(f"{TARGET}&lang=de-CH,de;q=0.5")

    assert [want.language for want in here.door.wants] == ["de-CH,de;q=0.5"]


@pytest.mark.parametrize("lang", ["de%0d%0aX:1", "%C3%A9", "x" * 100, ";"])
def test_what_is_no_list_of_languages_is_refused(here: Linked, lang: str) -> None:
    answer = here.get(f"{TARGET}&lang={lang}")

    assert (answer.status, answer.json["code"]) == (400, "bad_parameter")


def test_a_one_time_link_is_fetched_when_forced(here: Linked) -> None:
    url = "https://h.example.org/verify?token=abc123"
    here.door.answers[url] = Page()
    target = f"/links/preview?url={quote(url, safe='')}"

    assert here.get(target).json["flags"] == ["one_time_link"]
    assert here.door.urls == []
    assert here.get(f"{target}&force=0").json["flags"] == ["one_time_link"]
    assert here.get(f"{target}&force=1").json["flags"] == []
    assert here.door.urls == [url]


@pytest.mark.parametrize(
    ("url", "status", "code"),
    [
        ("", 400, "bad_parameter"),
        ("ftp://example.org/", 400, "bad_scheme"),
        ("http://127.0.0.1/", 403, "blocked_address"),
        ("https://missing.example.org/", 502, "dns_not_found"),
    ],
)
def test_a_failure_is_json_with_its_code(here: Linked, url: str, status: int, code: str) -> None:
    answer = here.get(f"/links/preview?url={quote(url, safe='')}")

    assert (answer.status, answer.json["code"], answer.json["success"]) == (status, code, False)


@pytest.mark.parametrize(
    ("failure", "message", "word"),
    [
        (
            FetchFailed(FailureCode.BLOCKED_ADDRESS, "private"),
            "The URL leads to an address that is refused (private)",
            "private",
        ),
        (WorkFailed(FailureCode.BAD_PORT, "1"), "The URL's port is not one that is fetched from (1)", "1"),
        (
            FetchFailed(FailureCode.TOO_LARGE, "ratio"),
            "The upload, or what the URL leads to, has too many bytes (ratio)",
            "ratio",
        ),
        (
            WorkFailed(FailureCode.PARSE_LIMIT, "too much processor time"),
            "It takes too much work to read (too much processor time)",
            "too much processor time",
        ),
        (FetchFailed(FailureCode.DNS_NOT_FOUND), "The host's name does not exist or has no address", None),
        # Of no URL: the detail is the sentence, or nobody's business.
        (WorkFailed(FailureCode.BUSY, "the worker is stopping"), "The worker is stopping", None),
        (
            FetchFailed(FailureCode.JAIL_UNAVAILABLE, "seccomp"),
            "It is refused because it cannot be decoded safely right now",
            None,
        ),
    ],
)
def test_a_failure_says_what_was_the_matter_in_a_sentence_and_in_a_word(
    here: Linked, failure: WorkFailed, message: str, word: str | None
) -> None:
    here.door.answers[URL] = failure

    plain = here.get(TARGET).json
    problem = here.get(TARGET, "Accept: application/problem+json").json
    with here.connect() as connection:
        connection.sendall(batch(here, body={"urls": [URL]}))
        line = json.loads(Reader(connection).answer().body)

    assert (plain["message"], plain.get("detail")) == (message, word)
    assert (line["message"], line.get("detail")) == (message, word)
    assert (problem["detail"], problem.get("reason")) == (message, word)


def test_an_explained_failure_tells_how_far_it_came(here: Linked) -> None:
    here.door.answers[URL] = FetchFailed(
        FailureCode.REDIRECT_LOOP, hops=(Hop(url=URL, status=302), Hop(url=URL, code="redirect_loop"))
    )

    told = here.get(f"{TARGET}&explain=1").json

    assert told["code"] == "redirect_loop"
    assert [(hop["url"], hop["status"], hop["code"]) for hop in told["explain"]["hops"]] == [
        (URL, 302, None),
        (URL, None, "redirect_loop"),
    ]
    assert "explain" not in here.get(TARGET).json


def test_an_explained_preview_tells_its_hops(here: Linked) -> None:
    told = here.get(f"{TARGET}&explain=1").json["explain"]

    assert [hop["dialled"] for hop in told["hops"]] == ["93.184.216.34:443"]
    assert told["cache"]["decision"] == "miss"


def test_a_preview_is_purged(here: Linked) -> None:
    here.get(TARGET)

    assert here.ask("DELETE", TARGET).json == {"purged": 1, "status": "ok", "success": True}
    assert here.get(TARGET).json["fetch"]["cache"] == "miss"


def test_a_client_that_goes_ends_its_fetch(here: Linked) -> None:
    here.door.held[URL] = asyncio.Event()
    with here.connect() as connection:
        connection.sendall(request("GET", TARGET))
        until(lambda: here.door.urls == [URL])

    until(lambda: here.door.cancelled == [URL])


def test_a_request_that_this_worker_sent_is_refused(here: Linked) -> None:
    answer = here.get(TARGET, f"Via: 1.1 other, 1.1 {VIA}")

    assert (answer.status, answer.json["code"]) == (508, "self")
    assert here.get(TARGET, "Via: 1.1 remote-worker-0000").status == 200


def test_a_preview_has_its_time_and_no_more() -> None:
    with linked(preview_seconds=0.1) as here:
        here.door.answers = {URL: Page(), "https://slow.example.org/": Page()}
        here.door.held["https://slow.example.org/"] = asyncio.Event()

        in_time = here.get(TARGET)
        late = here.get("/links/preview?url=https%3A%2F%2Fslow.example.org%2F")

    assert in_time.status == 200
    assert (late.status, late.json["code"]) == (504, "timeout")


# Many at once.


def batch(here: Linked, *headers: str, body: object, version: str = "1.1") -> bytes:
    return request(
        "POST",
        "/links/previews",
        "Content-Type: application/json",
        *headers,
        body=json.dumps(body).encode(),
        version=version,
    )


def test_lines_come_as_they_get_ready(here: Linked) -> None:
    slow = "https://slow.example.org/"
    here.door.answers[slow] = Page()
    held = here.door.held[slow] = asyncio.Event()
    with here.connect() as connection:
        connection.sendall(batch(here, body={"urls": [slow, URL, "http://127.0.0.1/"]}))
        reader = Reader(connection)
        assert reader.line() == b"HTTP/1.1 200 OK"
        headers = dict(line.split(b": ", 1) for line in iter(reader.line, b""))
        early = [json.loads(reader.chunk()) for _ in range(2)]
        here.service.in_loop(held.set)
        late = json.loads(reader.chunk())
        end = reader.chunk()
        connection.sendall(request("GET", "/ping"))
        after = reader.answer()

    assert headers[b"content-type"] == b"application/x-ndjson"
    assert headers[b"transfer-encoding"] == b"chunked"
    assert b"content-length" not in headers
    assert sorted(line["index"] for line in early) == [1, 2]
    failed, made = sorted(early, key=lambda line: line["success"])
    assert made["title"] == "A story"
    assert failed == {
        "index": 2,
        "url": "http://127.0.0.1/",
        "code": "blocked_address",
        "message": "The URL leads to an address that is refused (loopback)",
        "detail": "loopback",
        "status": "error",
        "success": False,
    }
    assert (late["index"], late["url"], end) == (0, slow, b"")
    assert after.status == 200


def test_a_client_of_http_1_0_reads_lines_until_the_connection_ends(here: Linked) -> None:
    with here.connect() as connection:
        connection.sendall(batch(here, "Connection: keep-alive", body={"urls": [URL]}, version="1.0"))
        head, _, body = Reader(connection).rest().partition(b"\r\n\r\n")

    assert b"transfer-encoding" not in head
    assert b"connection: close" in head
    assert [json.loads(line)["title"] for line in body.splitlines()] == ["A story"]


def test_a_client_that_goes_ends_the_whole_batch(here: Linked) -> None:
    urls = [f"https://{number}.example.org/" for number in range(3)]
    here.door.held.update({url: asyncio.Event() for url in urls})
    with here.connect() as connection:
        connection.sendall(batch(here, body={"urls": urls}))
        until(lambda: sorted(here.door.urls) == urls)

    until(lambda: sorted(here.door.cancelled) == urls)


@pytest.mark.parametrize(
    "body", [{}, [], {"urls": "x"}, {"urls": []}, {"urls": [1]}, {"urls": [URL], "lang": 5}]
)
def test_what_is_no_batch_is_refused(here: Linked, body: object) -> None:
    with here.connect() as connection:
        connection.sendall(batch(here, body=body))
        answer = Reader(connection).answer()

    assert (answer.status, answer.json["code"]) == (400, "bad_parameter")


def test_a_batch_has_so_many_urls_and_not_one_more() -> None:
    with linked(previews_at_once=3) as here, here.connect() as connection:
        connection.sendall(batch(here, body={"urls": ["x:"] * 3}) + batch(here, body={"urls": ["x:"] * 4}))
        reader = Reader(connection)
        full, over = reader.answer(), reader.answer()

    assert (full.status, len(full.body.splitlines())) == (200, 3)
    assert (over.status, over.json["code"]) == (400, "bad_parameter")


def test_a_batch_body_is_bounded() -> None:
    def sized(size: int) -> dict[str, object]:
        body = {"urls": ["x:"], "more": ""}
        body["more"] = "x" * (size - len(json.dumps(body)))
        return body

    with linked(previews_at_once=1) as here, here.connect() as connection:
        connection.sendall(batch(here, body=sized(8192)) + batch(here, body=sized(8193)))
        reader = Reader(connection)
        full, over = reader.answer(), reader.answer()

    assert full.status == 200
    assert (over.status, over.json["code"]) == (413, "too_large")


def test_urls_past_the_time_of_a_batch_fail_and_the_others_stand() -> None:
    with linked(previews_seconds=0.1) as here, here.connect() as connection:
        here.door.answers[URL] = Page()
        here.door.held["https://slow.example.org/"] = asyncio.Event()
        connection.sendall(batch(here, body={"urls": ["https://slow.example.org/", URL]}))
        lines = [json.loads(line) for line in Reader(connection).answer().body.splitlines()]

    assert [(line["index"], line.get("code")) for line in lines] == [(1, None), (0, "timeout")]


@pytest.mark.parametrize("path", ["/links/previews"])
def test_a_batch_is_only_posted(here: Linked, path: str) -> None:
    assert here.get(path).status == 405


def test_a_form_is_bounded(here: Linked) -> None:
    form = "Content-Type: application/x-www-form-urlencoded"
    begin = f"url={quote(URL, safe='')}&pad=".encode()

    full = here.ask("POST", "/links/preview", form, body=begin.ljust(32 * 1024, b"x"))
    over = here.ask("POST", "/links/preview", form, body=begin.ljust(32 * 1024 + 1, b"x"))
    fields = here.ask("POST", "/links/preview", form, body=begin + b"&a=1" * 30)
    more_fields = here.ask("POST", "/links/preview", form, body=begin + b"&a=1" * 31)

    assert [full.status, over.status, fields.status, more_fields.status] == [200, 413, 200, 400]
