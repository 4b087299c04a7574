"""How much of a page is read: to the end of its head, wherever that comes, and no further."""

import time

import pytest
from fetch.origin import Exchange, Origin, answer, then_sit
from fetch.standins import World

from remote_worker.contract.links import Purpose
from remote_worker.fetch.process.body import FALLBACK_BYTES, Body
from remote_worker.fetch.process.page_end import _MOST_MARKS, PageEnd

HEAD = b"<!doctype html><html><head><title>a</title>"
REST = b"<p>text</p>" * 200


def kept(page: bytes, size: int = 1 << 20, most_bytes: int = 1 << 20) -> bytes:
    """What is kept of a page that comes in pieces of this size."""
    body = Body(Purpose.PAGE, "text/html", most_bytes)
    for at in range(0, len(page), size):
        body.add(page[at : at + size])
        if body.is_full:
            break
    body.end()
    with body.take() as document, open(document.read_only_fd(), "rb") as file:
        return file.read()


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1 << 20])
@pytest.mark.parametrize(
    ("inside", "end"),
    [
        (b"", b"</head>"),
        (b"", b"</HEAD\n>"),
        (b"", b"</head >"),
        (b"", b"<body>"),
        (b"", b"<BODY class=a>"),
        (b"<script>'</head>'</script>", b"</head>"),
        (b"<script>'</scripted></head>'</SCRIPT >", b"</head>"),
        (b"<style>/*</head>*/</style>", b"</head>"),
        (b"<!-- </head> -->", b"</head>"),
        (b"<!-- <script> -->", b"</head>"),
        (b"<!-->", b"</head>"),
        (b"<!--->", b"</head>"),
        (b"<!-- --!>", b"</head>"),
        (b"<noscript></head></noscript>", b"</head>"),
        (b"<title></head></title>", b"</head>"),
        (b'<meta content="</head>">', b"</head>"),
        (b"<header></headers><bodysuit>", b"</head>"),
    ],
)
def test_a_page_is_read_to_the_end_of_its_head(inside: bytes, end: bytes, size: int) -> None:
    found = kept(HEAD + b" " * 512 + inside + end + REST, size)

    expected = HEAD + b" " * 512 + inside
    assert found.startswith(expected)
    assert expected + end + REST[:1] not in found
    assert len(found) <= len(expected + end)


@pytest.mark.parametrize(
    "head",
    [b"<head></head>", b"<head><script></head>", b"<head><!-- </head>", b"<head><title>a</head>", b"<head>"],
)
def test_a_page_without_the_end_of_a_head_or_a_title_is_read_on(head: bytes) -> None:
    page = head + b" " * 512 + REST

    assert kept(page) == page


@pytest.mark.parametrize(
    ("head", "is_read_on"),
    [
        (b"<title>a</title>", False),
        (b"<TITLE>", True),
        (b'<meta property="og:title" content=a>', False),
        (b"<meta property='OG:TITLE' content=a>", False),
        (b'<meta property="og:image" content=a>', True),
    ],
)
def test_a_head_with_a_title_is_enough(head: bytes, is_read_on: bool) -> None:
    page = b"<head>" + head + b" " * 512 + b"</head>" + REST

    assert (kept(page) == page) is is_read_on


def test_a_title_behind_the_head_does_not_count() -> None:
    page = b"<head></head><svg><title>a</title></svg>" + b" " * 512 + REST

    assert kept(page) == page


@pytest.mark.parametrize(("extra", "is_whole"), [(0, True), (1, False)])
def test_for_a_reader_that_looks_further_so_much_is_read(extra: int, is_whole: bool) -> None:
    page = b"<head></head>".ljust(FALLBACK_BYTES + extra, b"x")

    assert len(kept(page, 10_000)) == FALLBACK_BYTES
    assert (kept(page) == page) is is_whole


@pytest.mark.parametrize(("extra", "is_found"), [(0, True), (1, False)])
def test_a_head_has_so_many_marks_and_not_one_more(extra: int, is_found: bool) -> None:
    # The title and the end of the head are marks too.
    page = HEAD + b"<!---->" * (_MOST_MARKS - 2 + extra) + b"</head>" + REST

    assert (kept(page) != page) is is_found


def test_no_more_is_kept_than_of_any_page() -> None:
    assert len(kept(b"<head></head>".ljust(5000, b"x"), most_bytes=2000)) == 2000
    assert len(kept(HEAD.ljust(5000, b"x") + b"</head>", most_bytes=2000)) == 2000


def test_a_page_is_done_before_the_server_is() -> None:
    with Origin({"/": then_sit(b"HTTP/1.1 200 OK\r\n\r\n" + HEAD.ljust(512) + b"</head><body>")}) as origin:
        fetched, body = World({"h.test": origin}).read("http://h.test/")

        assert body == HEAD.ljust(512) + b"</head>"
        assert fetched.is_cut
        assert origin.wait_closed()


def test_the_end_is_found_where_pieces_of_the_network_meet() -> None:
    async def in_pieces(exchange: Exchange) -> None:
        await exchange.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n")
        for piece in (HEAD.ljust(600), b"</h", b"ea", b"d", b">", b"<body>"):
            await exchange.send(piece)
        await exchange.gone()

    with Origin({"/": in_pieces, "/whole": answer(HEAD + b"</head>")}) as origin:
        assert World({"h.test": origin}).read("http://h.test/")[1] == HEAD.ljust(600) + b"</head>"


@pytest.mark.parametrize(
    "unit",
    [
        b"<!---->",
        b"</head ",
        b"<a </head ",
        b"<title></title>",
        b"<",
        b"<!--",
        b"<script>",
        b"<div>",
        b"<!-- >",
    ],
)
@pytest.mark.parametrize("size", [100, 16384])
def test_no_page_takes_long_to_look_through(unit: bytes, size: int) -> None:
    """The bound is a tenfold of what the worst of them takes; what grows with the square takes minutes."""
    page, start = bytearray(), time.process_time()
    whole = (unit * (1 + (1 << 20) // len(unit)))[: 1 << 20]
    end = PageEnd()
    for at in range(0, len(whole), size):
        page += whole[at : at + size]
        end.find(page)

    assert time.process_time() - start < 2.0
