"""How much a process that fetches may tell, and one more."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from remote_worker.contract.document import Document
from remote_worker.contract.failures import FailureCode
from remote_worker.contract.links import FetchFailed, Hop, Purpose, Verdict, Want
from remote_worker.fetch import messages
from remote_worker.fetch.messages import HostileReply

HOP = ["http://a.test/", [], "", 200, {}, "", ""]


def fetched(**changes: object) -> list[Any]:
    members: dict[str, Any] = {
        "url": "http://a.test/",
        "status": 200,
        "headers": {},
        "media_type": "text/html",
        "is_cut": False,
        "hops": [],
        "received_bytes": 1,
        "milliseconds": 1.0,
    }
    return list((members | changes).values())


def read_fetched(**changes: object) -> object:
    with Document.of(b"") as body:
        return messages.fetched_of(fetched(**changes), body)


def hops(place: int, value: object) -> list[object]:
    return [[*HOP[:place], value, *HOP[place + 1 :]]]


BOUNDS: list[tuple[str, int, Callable[[int], object]]] = [
    ("a URL", 8192, lambda n: read_fetched(url="http://a.test/" + (n - 14) * "a")),
    ("a URL of a hop", 8192, lambda n: read_fetched(hops=hops(0, n * "a"))),
    ("a media type", 300, lambda n: read_fetched(media_type=n * "a")),
    ("a detail", 300, lambda n: messages.failed_of(["timeout", n * "a", 0, [], 0, {}])),
    ("a header", 8192, lambda n: read_fetched(headers={"etag": n * "a"})),
    ("headers", 64, lambda n: read_fetched(headers={f"h{at}": "" for at in range(n)})),
    ("hops", 64, lambda n: read_fetched(hops=n * [HOP])),
    ("verdicts", 16, lambda n: read_fetched(hops=hops(1, n * [["1.2.3.4", True, "public"]]))),
    ("answers", 64, lambda n: messages.resolved_of([n * ["x"], 1.0, []])),
    ("an answer", 4096, lambda n: messages.resolved_of([[n * "x"], 1.0, []])),
    ("bytes", 2**53 - 1, lambda n: read_fetched(received_bytes=n)),
    ("a status", 599, lambda n: read_fetched(status=n)),
]


def test_a_reply_is_nested_so_deep_and_not_one_deeper() -> None:
    def nested(depth: int) -> bytes:
        return b'[7, "fetched", ' + b"[" * (depth - 1) + b'"[[["' + b"]" * (depth - 1) + b"]"

    assert messages.read(nested(8))[:2] == (7, "fetched")
    with pytest.raises(HostileReply, match="deep"):
        messages.read(nested(9))


@pytest.mark.parametrize(("most", "tell"), [row[1:] for row in BOUNDS], ids=[row[0] for row in BOUNDS])
def test_a_reply_tells_so_much_and_not_one_more(most: int, tell: Callable[[int], object]) -> None:
    tell(most)
    with pytest.raises(HostileReply):
        tell(most + 1)


@pytest.mark.parametrize("number", [-1, 1e300, True, "1", None])
def test_times_are_numbers_that_can_be(number: object) -> None:
    read_fetched(milliseconds=0)
    with pytest.raises(HostileReply):
        read_fetched(milliseconds=number)


def test_whatever_a_stranger_puts_into_a_failure_is_taken_by_the_host() -> None:
    words = "a\x00\r\n\x7f\ud800" + 9000 * "b"
    hop = Hop(
        url=words,
        verdicts=(Verdict(address="1.2.3.4", allowed=True, rule="public"),),
        code="timeout",
        detail=words,
    )
    failed = FetchFailed(FailureCode.TIMEOUT, words, hops=(hop,), status=200, headers={"etag": words})

    number, word, rest = messages.read(messages.write(7, messages.FAILED, messages.failed_as_json(failed)))
    taken = messages.failed_of(rest)

    assert (number, word) == (7, "failed")
    assert (taken.code, taken.detail[:6], len(taken.detail)) == (FailureCode.TIMEOUT, "a     ", 300)
    assert (taken.hops[0].url[:6], taken.hops[0].verdicts) == ("a     ", hop.verdicts)


def test_a_want_arrives_as_it_was() -> None:
    want = Want(
        url="http://a.test/ü",
        purpose=Purpose.RPC,
        site_of="http://b.test/",
        language="de, en;q=0.5",
        etag='"x"',
        last_modified="Mon, 23 Nov 2026 00:00:00 GMT",
        body=bytes(range(256)),
        authorization="Bearer x",
    )

    assert messages.want_of(json.loads(json.dumps(messages.want_as_json(want)))) == want


@pytest.mark.parametrize("code", [["timeout"], {}, 7, None, "no_such_code"])
def test_a_failure_has_one_of_the_codes_and_nothing_else_for_it(code: object) -> None:
    how_far = ["", 0, [], 0, {}]
    assert messages.failed_of(["timeout", *how_far]).code is FailureCode.TIMEOUT
    with pytest.raises(HostileReply):
        messages.failed_of([code, *how_far])
