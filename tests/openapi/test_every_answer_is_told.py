"""The project's samples, sent to every operation: what comes back is what the document says, and no more."""

import base64
import csv
import hashlib
import hmac
import io
import json
import socket
from collections.abc import Iterator
from email.parser import BytesParser
from email.policy import HTTP
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from fetch.worker import Worker
from openapi.conforming import errors, problems
from openapi.worker import SITE, described_worker
from PIL import Image
from web.serving import Answer, Reader, form, post

PAGE = f"http://{SITE}/"
PICTURE = f"http://{SITE}/picture.jpg"
CORPUS = Path(__file__).resolve().parents[1] / "corpus"
PRESETS = """
[presets.card]
outputs = [
  { name = "small", width = 48, height = 48, mode = "cover", format = "webp" },
  { name = "wide", width = 90, height = 30, mode = "pad" },
]
facts = ["blurhash", "thumbhash", "colors", "phash"]
"""
UPLOADS = {
    "/images/prepare_jpeg": ["", "?metadata=keep"],
    "/images/fit/{box}": [
        "",
        "?format=webp&quality=80",
        "?animated=1",
        "?simple=1",
        "?mode=pad&gravity=north&background=ffffff80",
    ],
    "/images/rescale_avatar": ["", "?animated=1"],
    "/images/resize_avatar": [""],
    "/images/info": ["", "?metadata=1"],
    "/images/facts": ["", "?facts=phash,colors"],
    "/images/preset/{name}": [""],
}


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    folder = tmp_path_factory.mktemp("facts")
    settings = folder / "settings.toml"
    settings.write_text(PRESETS)
    with described_worker(folder, REMOTE_SETTINGS_FILE=settings) as worker:
        yield worker


@pytest.fixture(scope="module")
def document(worker: Worker) -> dict[str, Any]:
    return worker.ask("GET", "/openapi.json").json


def sample_files() -> list[str]:
    """The first sample of each format, one with a place in it, an animation, and some hostile ones."""
    rows = list(csv.DictReader((CORPUS / "MANIFEST.csv").read_text().splitlines()))
    first = {row["format"]: row["path"] for row in reversed(rows)}
    refused = {row["expected"]: row["path"] for row in rows}
    others = [row["path"] for row in rows if row["variant"] in ("gps-exif", "animated")]
    return sorted({*first.values(), *refused.values(), *others})


def send(worker: Worker, request: bytes) -> Answer:
    with socket.create_connection(worker.address, timeout=30) as connection:
        connection.sendall(request)
        return Reader(connection).answer()


@pytest.mark.parametrize("path", UPLOADS)
def test_an_upload_is_answered_as_told(path: str, worker: Worker, document: dict[str, Any]) -> None:
    wrong: dict[str, list[str]] = {}
    statuses = set()
    for name in sample_files():
        body = form((CORPUS / name).read_bytes())
        asked = [(query, "*/*") for query in UPLOADS[path]]
        for query, accept in [*asked, ("", "image/*"), ("", "application/problem+json")]:
            answer = send(
                worker, post(path.format(box="100x60", name="card") + query, body, f"Accept: {accept}")
            )
            statuses.add(answer.status)
            if found := problems(document, "POST", path, answer):
                wrong[f"{name} {query} {accept} {answer.status}"] = found

    assert wrong == {}
    assert {200, 422} <= statuses


def test_the_parts_of_a_preset_are_together_what_is_told_in_json(
    worker: Worker, document: dict[str, Any]
) -> None:
    body = form((CORPUS / "jpeg" / "all-avatars.jpg").read_bytes())
    answer = send(worker, post("/images/preset/card", body, "Accept: multipart/mixed"))
    head = f"Content-Type: {answer.headers['content-type']}\r\n\r\n".encode()
    first, *pictures = BytesParser(policy=HTTP).parsebytes(head + answer.body).iter_parts()

    members = json.loads(first.get_payload(decode=True))
    assert [picture.get_param("name", header="content-disposition") for picture in pictures] == [
        "small",
        "wide",
    ]
    for picture, (name, output) in zip(pictures, sorted(members["outputs"].items()), strict=True):
        made = picture.get_payload(decode=True)
        seen = Image.open(io.BytesIO(made))
        assert (len(made), len(made)) == (output["size"], int(picture["content-length"]))
        assert (*seen.size, Image.MIME[seen.format or ""]) == (
            output["width"],
            output["height"],
            picture.get_content_type(),
        )
        assert picture.get_filename() == f"{name}.{output['format']}"
        output["body"] = base64.b64encode(made).decode()
    told = document["paths"]["/images/preset/{name}"]["post"]["responses"]["200"]["content"]
    assert errors(document, told["application/json"]["schema"], members) == []


def test_the_page_at_the_root_is_answered_as_told(worker: Worker, document: dict[str, Any]) -> None:
    answer = worker.ask("GET", "/", "Accept: text/html")

    assert answer.headers["content-type"].startswith("text/html")
    assert problems(document, "GET", "/", answer) == []


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        (["Remote-Limits: pixels=1"], 422, "too_many_pixels"),
        (["Remote-Limits: pixels=x"], 400, "bad_parameter"),
        (["Content-Digest: sha-256=:AAAA:"], 400, "bad_digest"),
    ],
)
def test_what_headers_ask_for_is_held_and_told(
    headers: list[str], status: int, code: str, worker: Worker, document: dict[str, Any]
) -> None:
    body = form((CORPUS / "jpeg" / "all-avatars.jpg").read_bytes())
    answer = send(worker, post("/images/fit/9", body, *headers))

    assert (answer.status, answer.json["code"]) == (status, code)
    assert problems(document, "POST", "/images/fit/{box}", answer) == []


def signed(operation: str) -> str:
    encoded = base64.urlsafe_b64encode(PICTURE.encode()).decode().rstrip("=")
    rest = f"9999999999/{operation}/{encoded}"
    return f"/links/proxy/{hmac.new(b'key', rest.encode(), hashlib.sha256).hexdigest()}/{rest}"


DIGEST = hmac.new(b"test", PICTURE.encode(), hashlib.sha1).hexdigest()
NOBODYS = 40 * "0"
PROXY = "/links/proxy/{signature}/{expiry}/{operation}/{url}"
IMAGE = f"/links/image?url={PICTURE}"
ASKED = [
    ("GET", "/", "/", 200),
    ("GET", "/ping", "/ping", 200),
    ("GET", "/hello", "/hello", 200),
    ("GET", "/capabilities", "/capabilities", 200),
    ("GET", "/livez", "/livez", 200),
    ("GET", "/readyz", "/readyz", 200),
    ("GET", "/health", "/health", 200),
    ("GET", "/openapi.json", "/openapi.json", 200),
    ("GET", "/docs", "/docs", 200),
    ("GET", "/images/prepare_jpeg", "/images/prepare_jpeg", 200),
    ("GET", "/images/fit/{box}", "/images/fit/9", 200),
    ("GET", "/images/fit/{box}", "/images/fit/wide", 404),
    ("GET", "/images/rescale_avatar", "/images/rescale_avatar", 200),
    ("GET", "/images/resize_avatar", "/images/resize_avatar", 200),
    ("GET", "/images/info", "/images/info", 200),
    ("GET", "/images/facts", "/images/facts", 200),
    ("GET", "/images/preset", "/images/preset", 200),
    ("GET", "/images/preset/{name}", "/images/preset/card", 200),
    ("GET", "/images/preset/{name}", "/images/preset/none", 404),
    ("GET", "/images/distance", "/images/distance?a=0000000000000000&b=00000000000000ff", 200),
    ("GET", "/images/distance", "/images/distance?a=0", 400),
    ("GET", "/jobs", "/jobs", 200),
    ("GET", "/jobs/{id}", f"/jobs/{NOBODYS}", 404),
    ("GET", "/jobs/{id}", f"/jobs/{NOBODYS}?wait=x", 400),
    ("DELETE", "/jobs/{id}", f"/jobs/{NOBODYS}", 404),
    ("GET", "/jobs/{id}/result", f"/jobs/{NOBODYS}/result", 404),
    ("GET", "/stats", "/stats", 200),
    ("GET", "/text/render_markdown", "/text/render_markdown", 200),
    ("GET", "/links/preview", f"/links/preview?url={PAGE}", 200),
    ("GET", "/links/preview", f"/links/preview?url={PAGE}&explain=1", 200),
    ("GET", "/links/preview", f"/links/preview?url={PICTURE}", 200),
    ("GET", "/links/preview", f"/links/preview?url={PAGE}none&explain=1", 502),
    ("GET", "/links/preview", f"/links/preview?url={PAGE}none", 502),
    ("GET", "/links/preview", "/links/preview?url=http://127.0.0.1/&explain=1", 403),
    ("GET", "/links/preview", "/links/preview?url=https://youtu.be/dQw4w9WgXcQ", 502),
    ("DELETE", "/links/preview", f"/links/preview?url={PAGE}", 200),
    ("GET", "/links/image", IMAGE, 200),
    ("GET", "/links/image", f"{IMAGE}&fit=10", 200),
    ("GET", "/links/image", f"{IMAGE}&avatar=24", 200),
    ("GET", "/links/image", f"{IMAGE}&info=1", 200),
    ("GET", "/links/image", f"{IMAGE}&info=1&metadata=1", 200),
    ("GET", "/links/image", f"{IMAGE}&fit=1&info=1", 400),
    ("GET", "/links/image", f"/links/image?url={PAGE}", 502),
    ("GET", PROXY, signed("original"), 200),
    ("GET", PROXY, signed("fit:30,format:webp"), 200),
    ("GET", PROXY, f"{signed('original')}A", 403),
    ("GET", "/camo/{digest}", f"/camo/{DIGEST}?url={quote(PICTURE, safe='')}", 200),
    ("GET", "/camo/{digest}/{encoded}", f"/camo/{DIGEST}/{PICTURE.encode().hex()}", 200),
    ("GET", "/{digest}", f"/{DIGEST}?url={quote(PICTURE, safe='')}", 200),
    ("GET", "/{digest}/{encoded}", f"/{DIGEST}/{PICTURE.encode().hex()}", 200),
    ("GET", "/{digest}/{encoded}", f"/{DIGEST}/00", 403),
    ("GET", "/dns/resolve", f"/dns/resolve?domain={SITE}", 200),
    ("GET", "/dns/resolve", "/dns/resolve?domain=none.example.com", 400),
    ("GET", "/dns/resolve", "/dns/resolve?domain=", 400),
    ("GET", "/ip", "/ip", 200),
    ("GET", "/ipip/{address}", "/ipip/1.2.3.4", 200),
    ("GET", "/ipip/{address}", "/ipip/9.9.9.9", 404),
    ("GET", "/geo/{address}", "/geo/1.2.3.4", 200),
    ("GET", "/geo/{address}", "/geo/10.0.0.1", 200),
    ("GET", "/geo/{address}", "/geo/here", 400),
    ("GET", "/ens/{name}", "/ens/owned.eth", 200),
    ("GET", "/ens/{name}", "/ens/owned", 400),
]


@pytest.mark.parametrize(("method", "path", "target", "status"), ASKED)
@pytest.mark.parametrize("accept", ["*/*", "application/json", "application/problem+json"])
def test_a_request_without_a_body_is_answered_as_told(
    method: str, path: str, target: str, status: int, accept: str, worker: Worker, document: dict[str, Any]
) -> None:
    answer = worker.ask(method, target, f"Accept: {accept}")

    assert answer.status == status, answer.body
    assert problems(document, method, path, answer) == []


@pytest.mark.parametrize("name", ["all-avatars.jpg", "gps-exif.jpg"])
@pytest.mark.parametrize("accept", ["*/*", "image/*", "application/problem+json"])
@pytest.mark.parametrize("target", ["/images/fit/100x60", "/images/fit/0"])
def test_a_job_is_answered_as_told(
    target: str, accept: str, name: str, worker: Worker, document: dict[str, Any]
) -> None:
    body = form((CORPUS / "jpeg" / name).read_bytes())
    submitted = send(worker, post(f"/jobs?request={quote(target)}", body, f"Accept: {accept}"))
    over = worker.ask("GET", f"{submitted.headers['location']}?wait=10")
    assert over.json["result"]
    recorded = worker.ask("GET", over.json["result"])
    forgotten = worker.ask("DELETE", submitted.headers["location"])

    assert (submitted.status, over.status, forgotten.status) == (202, 200, 200)
    assert recorded.status == over.json["result_status"] == (400 if target.endswith("/0") else 200)
    assert problems(document, "POST", "/jobs", submitted) == []
    assert problems(document, "GET", "/jobs/{id}", over) == []
    assert problems(document, "GET", "/jobs/{id}/result", recorded) == []
    assert problems(document, "DELETE", "/jobs/{id}", forgotten) == []


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("", 400),
        ("?request=/stats", 400),
        ("?request=/none", 404),
        ("?request=/images/info&method=PUT", 405),
        ("?request=/images/info&callback=https://example.org/", 404),
    ],
)
def test_a_job_that_is_not_taken_is_answered_as_told(
    query: str, status: int, worker: Worker, document: dict[str, Any]
) -> None:
    refused = send(worker, post(f"/jobs{query}", form(b"x")))

    assert refused.status == status
    assert problems(document, "POST", "/jobs", refused) == []


SENT = [
    ("/links/preview", {"url": PAGE, "explain": True}, 200),
    ("/links/preview", {"url": "x"}, 400),
    ("/text/render_markdown", {"text": "# Hello @livid"}, 200),
    ("/text/render_markdown", {"text": "![](http://a.example/b.png)", "proxy_images": True}, 200),
    ("/text/render_markdown", {"txt": ""}, 400),
    ("/links/previews", {"urls": []}, 400),
]


@pytest.mark.parametrize(("path", "sent", "status"), SENT)
def test_json_is_answered_as_told(
    path: str, sent: object, status: int, worker: Worker, document: dict[str, Any]
) -> None:
    answer = worker.ask("POST", path, body=json.dumps(sent).encode())

    assert answer.status == status
    assert problems(document, "POST", path, answer) == []


def test_each_line_of_a_batch_is_as_told(worker: Worker, document: dict[str, Any]) -> None:
    lines = worker.batch(PAGE, PICTURE, f"{PAGE}none", "ftp://x", "")
    told = document["paths"]["/links/previews"]["post"]["responses"]["200"]["content"]
    schema = told["application/x-ndjson"]["x-item-schema"]

    assert {line["success"] for line in lines} == {True, False}
    assert [errors(document, schema, line) for line in lines] == [[]] * 5


def test_a_picture_that_is_there_already_is_answered_as_told(
    worker: Worker, document: dict[str, Any]
) -> None:
    tag = worker.ask("GET", IMAGE).headers["etag"]

    answer = worker.ask("GET", IMAGE, f"If-None-Match: {tag}")

    assert answer.status == 304
    assert problems(document, "GET", "/links/image", answer) == []


def test_a_method_that_is_not_told_is_refused(worker: Worker, document: dict[str, Any]) -> None:
    allowed = worker.ask("PATCH", "/links/preview").headers["allow"]

    assert {method.upper() for method in document["paths"]["/links/preview"]} == set(
        allowed.replace(" ", "").split(",")
    ) - {"HEAD", "OPTIONS"}


FITTED = {"start": 1.0, "end": 2, "cost": 3, "output": "", "status": "ok", "success": True}


@pytest.mark.parametrize(
    ("value", "is_told"),
    [
        (FITTED, False),
        (FITTED | {"uploaded": {"mime": "", "size": 1}}, True),
        (FITTED | {"uploaded": {"mime": "", "size": 1, "name": "a.png"}}, False),
    ],
    ids=["a member too few", "as told", "a member too many, within"],
)
def test_these_tests_see_a_member_too_few_or_too_many(
    value: object, is_told: bool, document: dict[str, Any]
) -> None:
    responses = document["paths"]["/images/fit/{box}"]["post"]["responses"]

    found = errors(document, responses["200"]["content"]["application/json"]["schema"], value)

    assert (found == []) is is_told
