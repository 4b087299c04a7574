"""What a bucket as a store promises beyond what every store does."""

import gzip
import hashlib
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from stores_served import PAGE, Moto

from remote_worker.stores.s3 import MOST_RETRIES, Bucket
from remote_worker.stores.store import BadKey, Found, Meta, NotThere, Store, StoreFailed, TooLarge

Doing = Callable[[Store], object]
DOINGS: dict[str, Doing] = {
    "getting k": lambda store: store.get("k", 10),
    "asking after k": lambda store: store.head("k"),
    "putting k": lambda store: store.put("k", b"x"),
    "putting k if absent": lambda store: store.put("k", b"x", if_absent=True),
    "listing p": lambda store: list(store.list("p")),
    "deleting k": lambda store: store.delete("k"),
}


def all_fail(store: Store) -> set[str]:
    """What each says, when all have failed."""
    told = set()
    for doing in DOINGS.values():
        with pytest.raises(StoreFailed) as failed:
            doing(store)
        told.add(str(failed.value))
    return told


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Say where S3 is."""

    def say(endpoint: str) -> None:
        told = Moto(endpoint=endpoint).environment | {"AWS_SESSION_TOKEN": "hush-token"}
        for name, value in told.items():
            monkeypatch.setenv(name, value)

    return say


@pytest.mark.parametrize("name", DOINGS)
def test_a_bucket_that_is_not_there_is_a_failure_and_not_an_empty_one(bucket: str, name: str) -> None:
    with pytest.raises(StoreFailed, match="404"):
        DOINGS[name](Bucket(f"{bucket}-not"))


def test_nobody_at_the_address_is_a_failure(aws: Callable[[str], None]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    aws(f"http://127.0.0.1:{port}")
    began = time.monotonic()

    told = all_fail(Bucket("bucket", request_seconds=0.1))

    assert told == {
        *["getting k: no answer", "asking after k: no answer", "putting k: no answer"],
        *["listing p: no answer", "deleting k: no answer"],
    }
    assert time.monotonic() - began < 30


def test_a_server_that_never_answers_is_a_failure_within_the_bound(aws: Callable[[str], None]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        aws(f"http://127.0.0.1:{server.getsockname()[1]}")
        store = Bucket("bucket", request_seconds=0.2)
        began = time.monotonic()
        told = all_fail(store)

    assert {line.partition(": ")[2] for line in told} == {"no answer"}
    # Six times a try, retries for as long, and the last try.
    assert time.monotonic() - began < 60


class Odd(BaseHTTPRequestHandler):
    """Answers every request with what its server was told."""

    protocol_version = "HTTP/1.1"

    def answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        status, headers, body = self.server.told  # type: ignore[attr-defined]
        self.server.asked += 1  # type: ignore[attr-defined]
        if self.server.asked > self.server.failures:  # type: ignore[attr-defined]
            status, headers, body = 200, {**PAST, "Content-Length": "0"}, b""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        with_body = self.command != "HEAD"
        try:
            self.wfile.write(body if with_body else b"")
        except OSError:
            self.close_connection = True

    do_GET = do_PUT = do_HEAD = do_DELETE = do_POST = answer

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""


@pytest.fixture
def odd(aws: Callable[[str], None]) -> Iterator[ThreadingHTTPServer]:
    """A server: `told` is status, headers and body of its answers, `asked` the number of requests."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Odd)
    server.daemon_threads = True
    server.asked, server.failures = 0, 1 << 30  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    aws(f"http://127.0.0.1:{server.server_address[1]}")
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(
    ("status", "code", "said"),
    [
        (403, "AccessDenied", "403"),
        (403, "SignatureDoesNotMatch", "403"),
        (500, "InternalError", "500"),
        (503, "SlowDown", "503"),
        (418, "<b>hush-hush</b>", "418"),
    ],
)
def test_what_is_answered_is_told_by_status_and_code_and_no_more(
    odd: ThreadingHTTPServer, status: int, code: str, said: str
) -> None:
    text = f"<Error><Code>{code}</Code><Message>an-id hush-hush hush-token</Message></Error>".encode()
    odd.told = (status, {"Content-Length": str(len(text))}, text)  # type: ignore[attr-defined]

    told = all_fail(Bucket("bucket", request_seconds=0.3))

    assert all(said in line for line in told)
    assert not any("hush" in line or "an-id" in line or "http" in line for line in told)
    assert any(code in line for line in told) == ("<" not in code)


@pytest.mark.parametrize("failures", [MOST_RETRIES, MOST_RETRIES + 1])
def test_retries_are_few(odd: ThreadingHTTPServer, failures: int) -> None:
    odd.told = (503, {"Content-Length": "0"}, b"")  # type: ignore[attr-defined]
    odd.failures = failures  # type: ignore[attr-defined]
    store = Bucket("bucket")

    if failures <= MOST_RETRIES:
        assert store.put("k", b"x")
    else:
        with pytest.raises(StoreFailed, match="503"):
            store.put("k", b"x")
    assert odd.asked == MOST_RETRIES + 1  # type: ignore[attr-defined]


PAST = {"ETag": '"e"', "Last-Modified": "Mon, 05 Oct 2026 10:00:00 GMT"}


def test_no_more_is_read_than_is_taken_whatever_the_server_says_the_length_is(
    odd: ThreadingHTTPServer,
) -> None:
    endless = {**PAST, "Content-Length": str(1 << 40)}
    odd.told = (200, endless, bytes(1000))  # type: ignore[attr-defined]
    store = Bucket("bucket", request_seconds=0.3)

    with pytest.raises(TooLarge):
        store.get("k", 1_000_000)
    odd.told = (200, {**PAST, "Content-Length": "10", "Connection": "close"}, b"short")  # type: ignore[attr-defined]
    with pytest.raises(StoreFailed):
        store.get("k", 1_000_000)


def test_tags_of_servers_become_words(odd: ThreadingHTTPServer) -> None:
    store = Bucket("bucket")
    for tag, version in (
        ('"5d41402abc4b2a76b9719d911017c592-3"', "5d41402abc4b2a76b9719d911017c592-3"),
        ('W/"weak"', "weak"),
        ('"a/b c"', hashlib.sha256(b"a/b c").hexdigest()),
    ):
        odd.told = (200, {**PAST, "ETag": tag, "Content-Length": "1"}, b"x")  # type: ignore[attr-defined]
        assert store.head("k") == Meta(size_bytes=1, version=version)
    without = {"Last-Modified": PAST["Last-Modified"], "Content-Length": "1"}
    odd.told = (200, without, b"x")  # type: ignore[attr-defined]
    assert store.get("k", 1) == Found(data=b"x", meta=Meta(size_bytes=1, version="1791194400-1"))


def test_what_is_kept_compressed_is_got_as_it_is_kept(bucket: str, moto: Moto) -> None:
    packed = gzip.compress(bytes(100_000))
    moto.request("PUT", f"{bucket}/packed", packed, **{"Content-Encoding": "gzip"})

    assert Bucket(bucket).get("packed", len(packed)).data == packed


def test_versions_are_those_that_others_are_told(bucket: str, moto: Moto) -> None:
    """S3 documents the ETag of such an object as the MD5 of its bytes."""
    moto.request("PUT", f"{bucket}/k", b"content")

    assert Bucket(bucket).head("k") == Meta(
        size_bytes=7, version=hashlib.md5(b"content", usedforsecurity=False).hexdigest()
    )


def test_an_empty_object_that_stands_for_a_folder_is_none(bucket: str, moto: Moto) -> None:
    for key in ("folder/", "folder/k", "empty", "both", "both/"):
        moto.request("PUT", f"{bucket}/{key}", b"x" if key.endswith("k") else b"")

    assert [key for key, _ in Bucket(bucket).list()] == ["both", "empty", "folder/k"]
    assert [key for key, _ in Bucket(bucket).list("folder/")] == ["folder/k"]


def test_a_key_that_no_store_takes_ends_a_listing_that_meets_it(bucket: str, moto: Moto) -> None:
    for key in ("a/k", "b//k", "c/k"):
        moto.request("PUT", f"{bucket}/{key}", b"x")

    with pytest.raises(StoreFailed, match="empty part"):
        list(Bucket(bucket).list())
    assert [key for key, _ in Bucket(bucket).list("a/")] == ["a/k"]
    assert [key for key, _ in Bucket(bucket).list("c/")] == ["c/k"]


@pytest.mark.parametrize("letter", ["\n", "\x1f", "\x7f"])
def test_control_characters_are_in_no_key_of_a_bucket(bucket: str, letter: str) -> None:
    store = Bucket(bucket)

    with pytest.raises(BadKey):
        store.put(f"a{letter}b", b"")
    assert store.put("a b", b"")
    assert store.put("a\x80b", b"")


def test_a_store_sees_what_is_below_its_prefix_and_nothing_beside_it(bucket: str, moto: Moto) -> None:
    for key in ("pre/fix/k", "pre/fixed", "pre/fix.x", "pre/fiw", "k"):
        moto.request("PUT", f"{bucket}/{key}", b"x")
    store = Bucket(bucket, "pre/fix")

    assert [key for key, _ in store.list()] == ["k"]
    assert [key for key, _ in store.list("k")] == ["k"]
    with pytest.raises(NotThere):
        store.get("x", 1)
    store.delete("k")
    assert moto.request("GET", f"{bucket}/k") == b"x"
    assert list(store.list()) == []


def test_a_listing_with_a_prefix_does_not_begin_with_all_that_comes_before(bucket: str, moto: Moto) -> None:
    store = Bucket(bucket)
    for number in range(PAGE * 3):
        store.put(f"k-{number:03}", b"")
    moto.said.clear()

    assert [key for key, _ in store.list("k-05")] == [f"k-05{number}" for number in range(10)]
    assert len(list(store.list())) == PAGE * 3
    assert moto.request("PUT", f"{bucket}/seen") == b""
    for _ in range(1000):  # Its log comes a moment after its answers.
        if any(f"/{bucket}/seen" in line for line in list(moto.said)):
            break
        time.sleep(0.01)
    # One request for the one, three for the other, and none of them for the ten keys that are empty.
    assert sum("list-type" in line for line in list(moto.said)) == 1 + 3


def test_without_tls_only_where_the_address_says_so(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    endpoint = os.environ["AWS_ENDPOINT_URL"]
    assert Bucket(bucket).put("k", b"x")
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint.replace("http:", "https:"))

    with pytest.raises(StoreFailed):
        Bucket(bucket, request_seconds=0.2).put("l", b"x")
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    assert [key for key, _ in Bucket(bucket).list()] == ["k"]
