"""What each endpoint answers, compared with the contract of the service before."""

import base64
import json
import re
from collections.abc import Iterator

import pytest
from web.serving import END, INFO, Reader, Service, ask, form, post, serving

from remote_worker.contract.failures import FailureCode
from remote_worker.contract.messages import Avatars, Fit, Prepare
from remote_worker.web.problems import PROBLEMS

UPLOADS = [
    "/images/prepare_jpeg",
    "/images/fit/10",
    "/images/fit/10x20",
    "/images/rescale_avatar",
    "/images/resize_avatar",
    "/images/info",
]
READS = ["/", "/ping", "/hello", "/capabilities", "/livez", "/readyz", "/health"]


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with serving(uid="u1", region="us-west", country="US") as running:
        yield running


def request(method: str, path: str, *headers: str) -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: localhost", *headers, "", ""]).encode()


def test_json_is_written_as_clients_know_it(service: Service) -> None:
    answer = ask(service, request("GET", "/hello"))

    assert answer.headers["content-type"] == "application/json;charset=utf-8"
    assert re.fullmatch(
        rb'\{"country": "US", "region": "us-west", "status": "ok", "success": true, '
        rb'"uid": "u1", "uptime": [0-9.]+\}',
        answer.body,
    )


def test_the_index_and_ping(service: Service) -> None:
    assert ask(service, request("GET", "/")).body == b"{}"
    pong = ask(service, request("GET", "/ping")).json
    assert pong.pop("uptime") >= 0
    assert pong == {"message": "pong", "status": "ok", "success": True}


@pytest.mark.parametrize("path", UPLOADS)
def test_get_on_an_upload_endpoint_answers_with_its_usage(service: Service, path: str) -> None:
    answer = ask(service, request("GET", path))

    assert answer.status == 200
    assert sorted(answer.json) == ["status", "success", "usage"]


@pytest.mark.parametrize("path", [*UPLOADS, *READS])
def test_head_and_options_and_other_methods(service: Service, path: str) -> None:
    allowed = {"GET", "HEAD", "OPTIONS"} | ({"POST"} if path in UPLOADS else set())
    with service.connect() as connection:
        reader = Reader(connection)
        connection.sendall(request("HEAD", path))
        head = reader.answer(has_body=False)
        connection.sendall(request("OPTIONS", path))
        options = reader.answer()
        connection.sendall(request("PUT", path))
        put = reader.answer()

    assert head.status == 200
    assert int(head.headers["content-length"]) > 0
    assert (options.status, options.body) == (200, b"")
    assert set(options.headers["allow"].split(", ")) == allowed
    assert (put.status, put.json["code"]) == (405, "method_not_allowed")
    assert set(put.headers["allow"].split(", ")) == allowed


@pytest.mark.parametrize(
    "path",
    "/nothing /ping/ /images/fit/ /images/fit/abc /images/fit/-1 /images/fit/1.5 /images/fit/10/ "
    "/images/fit/10x /images/fit/x10 /images/fit/10x20x30 /images/fit/%D9%A1 *".split(),
)
def test_paths_that_there_are_not(service: Service, path: str) -> None:
    method = "OPTIONS" if path == "*" else "GET"

    answer = ask(service, request(method, path))

    assert (answer.status, answer.json["code"]) == (404, "not_found")
    assert sorted(answer.json) == ["code", "message", "request_id", "status", "success"]


@pytest.mark.parametrize(
    ("box", "size"),
    [
        ("10", (10, 10)),
        ("10x20", (10, 20)),
        ("0010", (10, 10)),
        ("65535", (65_535, 65_535)),
        ("65536x1", (65_535, 1)),
        ("9" * 5000, (65_535, 65_535)),
    ],
)
def test_a_box_of_any_size_is_taken(service: Service, box: str, size: tuple[int, int]) -> None:
    answer = ask(service, post(f"/images/fit/{box}", form(b"x")))

    assert answer.status == 200
    assert service.decoder.tasks[-1] == Fit(width=size[0], height=size[1])


@pytest.mark.parametrize("box", ["0", "0x10", "10x0", "000"])
def test_an_empty_box_is_a_bad_parameter(service: Service, box: str) -> None:
    answer = ask(service, post(f"/images/fit/{box}?animated=1", form(b"x")))

    assert (answer.status, answer.json["code"]) == (400, "bad_parameter")
    assert answer.json["message"].startswith("Error occurred during rescaling")


def test_fit_answers_with_the_contracts_members(service: Service) -> None:
    answer = ask(service, post("/images/fit/10", form(b"hello"))).json

    assert base64.b64decode(answer["output"]) == b"hello"
    assert answer["uploaded"] == {"mime": "image/png", "size": 5}
    assert isinstance(answer["cost"], int)
    assert 0 <= answer["end"] - answer["start"] < 10
    assert list(answer) == ["cost", "end", "output", "start", "status", "success", "uploaded"]


def test_prepare_answers_without_times(service: Service) -> None:
    answer = ask(service, post("/images/prepare_jpeg?metadata=keep", form(b"hello"))).json

    assert list(answer) == ["output", "status", "success", "uploaded"]
    assert service.decoder.tasks[-1] == Prepare(keep_metadata=True)


@pytest.mark.parametrize("path", ["/images/rescale_avatar", "/images/resize_avatar"])
def test_avatars_are_sorted_by_name_and_say_the_size_of_the_png(service: Service, path: str) -> None:
    answer = ask(service, post(f"{path}?animated=1", form(b"hello"))).json

    assert " ".join(answer) == (
        "avatar128 avatar24 avatar256 avatar48 avatar512 avatar73 cost end start status success uploaded"
    )
    assert answer["avatar24"] == {"body": "aGVsbG8=", "size": 5}
    assert service.decoder.tasks[-1] == Avatars(animated=True)


def test_info_is_flat(service: Service) -> None:
    answer = ask(service, post("/images/info", form(b"hello"))).json

    more = {"binary_size": 5, "format": "png", "mime_type": "image/png", "status": "ok", "success": True}
    assert answer == {**INFO, **more}


@pytest.mark.parametrize("value", ["0", "false", "NO", "off", "", " "])
def test_switches_can_be_switched_off(service: Service, value: str) -> None:
    ask(
        service, post(f"/images/fit/10?animated={value.replace(' ', '+')}&simple={value.strip()}", form(b"x"))
    )

    assert service.decoder.tasks[-1] == Fit(width=10, height=10, animated=False)


def test_simple_answers_with_the_base64_alone(service: Service) -> None:
    answer = ask(service, post("/images/fit/10?simple=1", form(b"hello"), "Accept: image/*"))

    assert (answer.body, answer.headers["content-type"]) == (b"aGVsbG8=", "text/plain")


@pytest.mark.parametrize(
    ("query", "task"),
    [
        ("format=webp&quality=1", Fit(width=10, height=10, format="webp", quality=1)),
        ("format=jpeg&quality=100", Fit(width=10, height=10, format="jpeg", quality=100)),
        ("format=png", Fit(width=10, height=10, format="png")),
        ("format=avif&animated=yes&unknown=1", Fit(width=10, height=10, format="avif", animated=True)),
    ],
)
def test_fit_takes_a_format_and_a_quality(service: Service, query: str, task: Fit) -> None:
    ask(service, post(f"/images/fit/10?{query}", form(b"x")))

    assert service.decoder.tasks[-1] == task


@pytest.mark.parametrize(
    "target",
    [
        "fit/10?format=gif",
        "fit/10?format=",
        "fit/10?quality=0",
        "fit/10?quality=101",
        "fit/10?quality=1.5",
        "fit/10?quality=%D9%A1",
        "prepare_jpeg?metadata=all",
    ],
)
def test_other_values_are_bad_parameters(service: Service, target: str) -> None:
    answer = ask(service, post(f"/images/{target}", form(b"x")))

    assert (answer.status, answer.json["code"]) == (400, "bad_parameter")


@pytest.mark.parametrize("path", ["/images/prepare_jpeg", "/images/fit/10"])
def test_a_named_image_type_gets_the_picture_itself(service: Service, path: str) -> None:
    answer = ask(service, post(path, form(b"hello"), "Accept: image/webp,*/*;q=0.8"))

    assert answer.body == b"hello"
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("accept", ["*/*", "image/*"])
@pytest.mark.parametrize("size", [256, 192 * 1024, 192 * 1024 + 256, 5_000_192])
def test_large_pictures_arrive_whole(service: Service, accept: str, size: int) -> None:
    size -= size % 256
    answer = ask(service, post("/images/fit/10", form(f"large:{size}".encode()), f"Accept: {accept}"))

    expected = bytes(range(256)) * (size // 256)
    assert (answer.body if accept == "image/*" else base64.b64decode(answer.json["output"])) == expected


@pytest.mark.parametrize("code", list(FailureCode))
def test_every_failure_has_its_status_and_the_error_shape(service: Service, code: FailureCode) -> None:
    answer = ask(service, post("/images/info", form(f"fail:{code}".encode())))

    assert answer.status == PROBLEMS[code].status
    assert list(answer.json) == ["code", "message", "request_id", "status", "success"]
    assert (answer.json["code"], answer.json["status"], answer.json["success"]) == (code, "error", False)
    assert answer.json["request_id"] == answer.headers["x-request-id"]
    assert ("retry-after" in answer.headers) is (answer.status in (409, 429, 503))


@pytest.mark.parametrize(
    ("path", "code", "status", "message"),
    [
        ("fit/10", "damaged", 422, "Error occurred during rescaling: the file is damaged"),
        ("fit/10", "too_many_pixels", 422, "Error occurred during rescaling: the image has too many pixels"),
        ("fit/10", "unsupported_format", 415, "Unable to determine the file type"),
        ("resize_avatar", "damaged", 422, "Failed to resize the uploaded image file: the file is damaged"),
        ("prepare_jpeg", "damaged", 422, "Failed to prepare image: the file is damaged"),
        ("prepare_jpeg", "not_a_jpeg", 400, "This endpoint is only for processing JPEG images"),
        ("info", "damaged", 422, "Unable to determine the file type: the file is damaged"),
        ("info", "unsupported_format", 415, "Unable to determine the file type"),
        ("info", "deadline", 504, "The work took too long"),
    ],
)
def test_messages_begin_with_the_words_that_clients_know(
    service: Service, path: str, code: str, status: int, message: str
) -> None:
    answer = ask(service, post(f"/images/{path}", form(f"fail:{code}".encode())))

    assert (answer.status, answer.json["message"]) == (status, message)


def test_a_problem_document_says_the_same(service: Service) -> None:
    answer = ask(
        service,
        post("/images/fit/1", form(b"fail:busy"), "Accept: application/problem+json", "X-Request-Id: mine.1"),
    )

    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json == {
        "code": "busy",
        "detail": "The worker is busy, try again later",
        "instance": "urn:remote-worker:request:mine.1",
        "request_id": "mine.1",
        "status": 503,
        "title": "Busy",
        "type": "urn:remote-worker:error:busy",
    }


def test_an_error_of_ours_is_a_json_500_and_the_next_request_works(service: Service) -> None:
    with service.connect() as connection:
        reader = Reader(connection)
        connection.sendall(post("/images/fit/1", form(b"bug")))
        failed = reader.answer()
        connection.sendall(post("/images/fit/1", form(b"fine")))

        assert (failed.status, failed.json["code"]) == (500, "internal")
        assert reader.answer().status == 200


@pytest.mark.parametrize(
    ("given", "is_kept"),
    [("a", True), ("A-z_0.9", True), ("x" * 64, True), ("x" * 65, False), ("a b", False), ('a"', False)],
)
def test_a_sane_request_id_is_kept_and_another_replaced(service: Service, given: str, is_kept: bool) -> None:
    answer = ask(service, request("GET", "/nothing", f"X-Request-Id: {given}"))

    assert (answer.headers["x-request-id"] == given) is is_kept
    assert re.fullmatch("[A-Za-z0-9._-]{1,64}", answer.headers["x-request-id"])


@pytest.mark.parametrize("body", [form(b"x"), form(b"fail:damaged")])
def test_every_answer_to_an_upload_is_timed_and_not_to_be_stored(service: Service, body: bytes) -> None:
    answer = ask(service, post("/images/fit/10", body))

    number = r"[0-9]+\.[0-9]"
    pattern = rf"upload;dur={number}, decode;dur={number}, total;dur={number}"
    assert re.fullmatch(pattern, answer.headers["server-timing"])
    assert answer.headers["cache-control"] == "no-store"
    assert "server" not in answer.headers


def test_an_answer_without_an_upload_is_timed_too(service: Service) -> None:
    assert ask(service, post("/images/fit/10", END)).headers["server-timing"].startswith("total;dur=")


def test_readiness_tells_the_layers_and_is_asked_once_a_moment() -> None:
    with serving() as service:
        answers = [ask(service, request("GET", path)) for path in ("/readyz", "/health", "/readyz")]

        assert [answer.status for answer in answers] == [200] * 3
        assert answers[0].json["templates"] == {"raster": {"layers": {"seccomp": "ok"}}}
        assert service.probe.asked == 1


def test_readiness_is_503_when_the_seal_does_not_hold_and_liveness_is_not() -> None:
    with serving() as service:
        service.probe.ok = False
        service.probe.reason = "raster: crashed"
        ready = ask(service, request("GET", "/readyz"))

        assert (ready.status, ready.json["code"], ready.json["success"]) == (503, "jail_unavailable", False)
        assert ready.json["reason"] == "raster: crashed"
        assert "retry-after" in ready.headers
        assert ask(service, request("GET", "/livez")).status == 200


def test_text_outside_of_ascii_is_escaped() -> None:
    with serving(region="中") as service:
        body = ask(service, request("GET", "/hello")).body

        assert b'"region": "\\u4e2d"' in body
        assert json.loads(body)["region"] == "中"
