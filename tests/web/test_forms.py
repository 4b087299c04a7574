"""Uploads in all the shapes that multipart/form-data takes, and in some that it does not."""

from collections.abc import Iterator

import pytest
from web.serving import BOUNDARY, END, Answer, Reader, Service, ask, form, part, post, serving

from remote_worker.contract.limits import Limits

LIMIT = 100_000
DASHES = f"--{BOUNDARY}".encode()


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with serving(Limits(input_bytes=LIMIT), bodies_bytes=3 * LIMIT) as running:
        yield running


def upload(service: Service, body: bytes) -> Answer:
    return ask(service, post("/images/info", body))


def received(service: Service, body: bytes) -> bytes:
    answer = upload(service, body)
    assert answer.status == 200, answer
    return service.decoder.uploads[-1]


def refused(service: Service, body: bytes) -> tuple[int, str]:
    answer = upload(service, body)
    return answer.status, answer.json["code"]


@pytest.mark.parametrize(
    "data", [b"x", b"\r\n", b"\r\n--", DASHES, b"a\r\n" + DASHES[:-1], bytes(range(256))]
)
def test_the_bytes_arrive_as_they_were_sent(service: Service, data: bytes) -> None:
    assert received(service, form(data)) == data


def test_the_first_file_counts(service: Service) -> None:
    assert received(service, part(b"one") + part(b"two") + END) == b"one"


def test_other_parts_are_skipped(service: Service) -> None:
    field = part(b"value", head='form-data; name="note"')
    other = part(b"other", head='form-data; name="files"; filename="b"')

    assert received(service, field + other + part(b"mine") + field + END) == b"mine"


@pytest.mark.parametrize(
    "head",
    [
        "form-data; name=file; filename=a.png",
        'form-data; filename="a.png"; name="file"',
        'form-data; name="file"; filename="a \\"b\\";c.png"',
        'form-data; name="file"; filename="ü.png"',
        "form-data; name=\"file\"; filename*=UTF-8''%e2%82%ac.png",
        "form-data; name=\"file\"; filename*=utf-8'en'a.png",
    ],
)
def test_a_filename_is_known_however_it_is_written(service: Service, head: str) -> None:
    body = DASHES + b"\r\nContent-Disposition: " + head.encode() + b"\r\n\r\ndata\r\n" + END

    assert received(service, body) == b"data"


@pytest.mark.parametrize(
    "head",
    [
        'form-data; name="file"',
        'form-data; name="file"; filename=""',
        "form-data; name=\"file\"; filename*=UTF-8''",
        'form-data; name="File"; filename="a"',
        'form-data; name="image"; filename="a"',
        'form-data; filename="a"',
    ],
)
def test_without_a_file_of_that_name_there_is_no_file(service: Service, head: str) -> None:
    answer = upload(service, part(b"data", head=head) + END)

    assert answer.status == 400
    assert (answer.json["message"], answer.json["code"]) == ("No file was uploaded", "no_file")


def test_a_form_without_parts_or_without_anything_has_no_file(service: Service) -> None:
    assert refused(service, END) == (400, "no_file")
    assert refused(service, b"") == (400, "no_file")


@pytest.mark.parametrize(
    "kind", ["image/png", "application/x-www-form-urlencoded", "multipart/mixed; boundary=x"]
)
def test_what_is_no_form_has_no_file(service: Service, kind: str) -> None:
    request = (
        f"POST /images/info HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\nContent-Length: 8\r\n\r\n"
    )

    answer = ask(service, request.encode() + b"file=abc")

    assert (answer.status, answer.json["message"]) == (400, "No file was uploaded")


def test_no_file_is_said_before_a_bad_box_or_parameter(service: Service) -> None:
    answer = ask(service, post("/images/fit/0?quality=0", END))

    assert answer.json["code"] == "no_file"


def test_an_empty_file_is_told_from_none(service: Service) -> None:
    assert refused(service, form(b"")) == (400, "empty_file")


def test_a_preamble_and_an_epilogue_are_ignored(service: Service) -> None:
    assert received(service, b"preamble\r\n" + form(b"data") + b"epilogue\r\n" + DASHES) == b"data"


@pytest.mark.parametrize("name", [b"\xe9.png", b"\x83e\x83X\x83g.png", "é.png".encode()])
def test_a_file_name_in_any_encoding_is_ignored(service: Service, name: bytes) -> None:
    body = form(b"data").replace(b'filename="a.png"', b'filename="' + name + b'"')
    assert name in body

    assert received(service, body) == b"data"


@pytest.mark.parametrize(
    "body",
    [
        form(b"data").removesuffix(b"--\r\n"),
        part(b"data"),
        form(b"data").replace(b"\r\n", b"\n"),
        DASHES + b"\r\nno colon\r\n\r\ndata\r\n" + END,
        DASHES + b"\r\nContent-Type: image/png\r\n\r\ndata\r\n" + END,
        DASHES + b"\r\nContent-Disposition: attachment; name=file; filename=a\r\n\r\ndata\r\n" + END,
        part(b"data").replace(b"\r\n\r\n", b"\r\nContent-Length: 3\r\n\r\n") + END,
        b"no form at all",
    ],
)
def test_a_malformed_form_is_a_bad_request(service: Service, body: bytes) -> None:
    assert refused(service, body) == (400, "bad_request")


@pytest.mark.parametrize(
    ("boundary", "status"),
    [(f'"{BOUNDARY}"', 200), (f"{BOUNDARY}; charset=utf-8", 200), ('""', 400), ("b" * 201, 400)],
)
def test_the_boundary_may_be_quoted_but_not_empty_or_huge(
    service: Service, boundary: str, status: int
) -> None:
    request = post("/images/info", form(b"data")).replace(
        f"boundary={BOUNDARY}".encode(), f"boundary={boundary}".encode()
    )

    assert ask(service, request).status == status


def test_parts_are_bounded(service: Service) -> None:
    field = part(b"", head='form-data; name="note"')

    assert received(service, field * 63 + form(b"data")) == b"data"
    assert refused(service, field * 64 + form(b"data")) == (400, "bad_request")
    assert refused(service, field * 10_000 + form(b"data")) == (400, "bad_request")


def test_part_headers_are_bounded(service: Service) -> None:
    def body(*headers: bytes) -> bytes:
        lines = [b"Content-Disposition: form-data; name=file; filename=a", *headers]
        return DASHES + b"\r\n" + b"\r\n".join(lines) + b"\r\n\r\ndata\r\n" + END

    assert received(service, body(*[b"X: y"] * 15)) == b"data"
    assert refused(service, body(*[b"X: y"] * 16)) == (400, "bad_request")
    assert received(service, body(b"X: " + b"y" * (4096 - 3))) == b"data"
    assert refused(service, body(b"X: " + b"y" * (4096 - 2))) == (400, "bad_request")
    assert refused(service, body(b"X: " + b"y" * 1_000_000)) == (400, "bad_request")


def test_a_file_of_the_limit_passes_and_one_byte_more_does_not(service: Service) -> None:
    assert received(service, form(b"x" * LIMIT)) == b"x" * LIMIT
    assert refused(service, form(b"x" * (LIMIT + 1))) == (413, "too_large")


def test_other_parts_cannot_make_a_body_endless(service: Service) -> None:
    field = part(b"x" * (1024 * 1024 + LIMIT), head='form-data; name="note"')

    assert refused(service, field + form(b"data")) == (413, "too_large")


def test_a_body_in_chunks_of_one_byte_arrives(service: Service) -> None:
    request = post("/images/info", b"").replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in form(b"data"))

    answer = ask(service, request + chunks + b"0\r\nTrailer: dropped\r\n\r\n")

    assert answer.status == 200
    assert service.decoder.uploads[-1] == b"data"


def test_bodies_held_at_once_come_out_of_one_budget_and_it_is_given_back(service: Service) -> None:
    held = post("/images/info", form(b"x" * LIMIT))[:-10]
    first, second = service.connect("127.0.0.2"), service.connect("127.0.0.3")
    with first, second:
        for connection in (first, second):
            connection.sendall(held)
        # A third that fills the rest of the budget shows that both before it have arrived.
        while (answer := upload(service, form(b"x" * LIMIT))).status == 200:
            third = service.connect("127.0.0.4")
            third.sendall(held)
        third.close()

        assert (answer.status, answer.json["code"]) == (503, "busy")
        assert answer.headers["retry-after"] == "1"

        first.sendall(post("/images/info", form(b"x" * LIMIT))[-10:])
        assert Reader(first).answer().status == 200
    assert received(service, form(b"small")) == b"small"


def test_a_slow_body_is_refused_with_408() -> None:
    with serving(body_idle_seconds=0.2, body_seconds=5) as service, service.connect() as connection:
        connection.sendall(post("/images/info", form(b"data")[:-5], length=len(form(b"data"))))

        answer = Reader(connection).answer()

        assert (answer.status, answer.json["code"]) == (408, "body_timeout")
        assert answer.headers["connection"] == "close"


def test_a_body_that_drips_is_refused_in_the_end() -> None:
    with serving(body_idle_seconds=5, body_seconds=0.3) as service, service.connect() as connection:
        connection.sendall(post("/images/info", b"", length=1000) + part(b""))
        connection.settimeout(0.02)
        answer = b""
        while not answer:
            connection.sendall(b"x")
            try:
                answer = connection.recv(65536)
            except TimeoutError:
                continue

        assert answer.startswith(b"HTTP/1.1 408 ")


def test_a_body_that_is_cut_is_not_decoded(service: Service) -> None:
    before = len(service.decoder.tasks)
    with service.connect() as connection:
        connection.sendall(post("/images/info", form(b"cut")[:-5], length=len(form(b"cut"))))

    assert received(service, form(b"next")) == b"next"
    assert len(service.decoder.tasks) == before + 1
