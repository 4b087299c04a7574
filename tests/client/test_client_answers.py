"""What the client sends for each call, and what it makes of the worker's answers."""

import base64
import json
import socket
import threading
from typing import Any

import pytest
from web.serving import INFO

from remote_worker.client import Client, Facts, Output, Unanswered, WorkerError
from remote_worker.client.parts import BadParts, Part, Parts

from .scripted import Call, answer, in_json, picture, scripted

BASE64 = base64.b64encode(b"pixels").decode()
HEADER = {
    **INFO,
    "format": "jpeg",
    "mime_type": "image/jpeg",
    "binary_size": 9,
    "has_gps": True,
    "status": "ok",
    "success": True,
}
METADATA = {
    "exif": {"Make": "Camera", "FNumber": 1.8},
    "gps": {"latitude": 48.5, "longitude": -2.25, "altitude": None},
    "xmp": True,
    "iptc": False,
    "comment": False,
    "icc": "Display P3",
}
CARD = {
    "url": "https://a.example/",
    "final_url": "https://a.example/b",
    "canonical_url": None,
    "title": "A title",
    "description": None,
    "site_name": "a.example",
    "type": None,
    "lang": "en",
    "author": None,
    "published_time": None,
    "theme_color": None,
    "images": [{"url": "https://a.example/i.png", "width": 10, "height": None, "alt": None}],
    "icons": [],
    "flags": ["paywall"],
    "embed": None,
    "fetch": {"status": 200},
    "status": "ok",
    "success": True,
}


@pytest.mark.parametrize(
    ("method", "given", "named", "target", "accept"),
    [
        ("prepare_jpeg", (b"x",), {}, "/images/prepare_jpeg", "image/*"),
        (
            "prepare_jpeg",
            (b"x",),
            {"keep_metadata": True},
            "/images/prepare_jpeg?metadata=keep",
            "image/*",
        ),
        ("fit", (800, b"x"), {}, "/images/fit/800", "image/*"),
        (
            "fit",
            ((800, 600), b"x"),
            {"mode": "cover", "gravity": "attention", "enlarge": True, "format": "webp", "quality": 80},
            "/images/fit/800x600?mode=cover&gravity=attention&enlarge=1&format=webp&quality=80",
            "image/*",
        ),
        (
            "fit",
            (9, b"x"),
            {"mode": "pad", "background": "00ff00", "animated": True},
            "/images/fit/9?mode=pad&background=00ff00&animated=1",
            "image/*",
        ),
        (
            "image_by_url",
            ("https://a.example/ü?b=1&c=2",),
            {"fit": (8, 9), "format": "png"},
            "/links/image?url=https%3A%2F%2Fa.example%2F%C3%BC%3Fb%3D1%26c%3D2&fit=8x9&format=png",
            "image/*",
        ),
        ("image_by_url", ("u",), {"preset": "card"}, "/links/image?url=u&preset=card", "image/*"),
        ("image_by_url", ("u",), {"avatar": 73}, "/links/image?url=u&avatar=73", "image/*"),
    ],
)
def test_each_call_has_its_address_and_asks_for_bytes(
    call: Call, method: str, given: tuple[Any, ...], named: dict[str, Any], target: str, accept: str
) -> None:
    with scripted(picture()) as server:
        made = call(server.url, method, *given, **named)

    (request,) = server.requests
    assert (request.target, request.headers["accept"]) == (target, accept)
    assert (made.body, made.media_type) == (b"pixels", "image/png")


def test_a_url_goes_in_place_of_a_picture(call: Call) -> None:
    with scripted(picture()) as server:
        call(server.url, "fit", 100, url="https://a.example/x.png")

    (request,) = server.requests
    assert request.headers["content-type"].startswith("multipart/form-data; boundary=")
    assert b'name="url"\r\n\r\nhttps://a.example/x.png\r\n--' in request.body


def test_an_address_below_a_path_is_kept(call: Call) -> None:
    with scripted(picture()) as server:
        call(f"{server.url}/worker/", "fit", 100, b"x")

    assert server.requests[0].target == "/worker/images/fit/100"


def test_avatars_come_as_bytes_by_their_side(call: Call) -> None:
    sizes = {f"avatar{side}": {"body": BASE64, "size": 6} for side in (128, 24)}
    with scripted(in_json({**sizes, "uploaded": {"mime": "image/gif", "size": 9}})) as server:
        made = call(server.url, "avatars", b"x", animated=True)

    assert server.requests[0].target == "/images/rescale_avatar?animated=1"
    assert list(made.pictures) == [24, 128]
    assert made.pictures[24].body == b"pixels"
    assert made.media_type == "image/gif"


def test_info_has_metadata_where_it_was_asked_for(call: Call) -> None:
    with scripted(in_json({**HEADER, "metadata": METADATA}), in_json(HEADER)) as server:
        told = call(server.url, "info", b"x", metadata=True)
        plain = call(server.url, "info", b"x")

    assert [request.target for request in server.requests] == ["/images/info?metadata=1", "/images/info"]
    assert (told.display_width, told.bytes, told.media_type) == (2, 9, "image/jpeg")
    assert (told.metadata.exif["FNumber"], told.metadata.icc) == (1.8, "Display P3")
    assert (told.metadata.location.latitude, told.metadata.location.longitude) == (48.5, -2.25)
    assert plain.metadata is None


def test_facts_that_were_not_asked_for_are_empty(call: Call) -> None:
    all_facts = {"blurhash": "LEHV6n", "thumbhash": BASE64, "colors": ["#102030"], "phash": "00ff" * 4}
    with scripted(in_json({"facts": all_facts}), in_json({"phash": "00ff" * 4})) as server:
        told = call(server.url, "facts", b"x")
        one = call(server.url, "facts", b"x", only=["phash"])

    assert told == Facts(blurhash="LEHV6n", thumbhash=b"pixels", colors=("#102030",), phash="00ff" * 4)
    assert one == Facts(phash="00ff" * 4)
    assert [request.target for request in server.requests] == ["/images/facts", "/images/facts?facts=phash"]


def test_a_distance_is_a_number_of_bits(call: Call) -> None:
    with scripted(in_json({"distance": 12})) as server:
        assert call(server.url, "distance", "00", "ff") == 12

    assert server.requests[0].target == "/images/distance?a=00&b=ff"


def mixed(*parts: tuple[str, bytes], end: bytes = b"--") -> bytes:
    """A multipart/mixed body, by RFC 2046."""
    body = b"".join(b"--b-1\r\n%b\r\n\r\n%b\r\n" % (head.encode(), data) for head, data in parts)
    return body + b"--b-1" + end + b"\r\n"


OUTPUTS = {
    "outputs": {
        "small": {"format": "webp", "width": 32, "height": 20, "size": 9},
        "large": {"format": "png", "width": 320, "height": 200, "size": 0},
    },
    "facts": {"phash": "0" * 16},
    "uploaded": {"mime": "image/jpeg", "size": 3},
}
MIXED = mixed(
    ("Content-Type: application/json", json.dumps(OUTPUTS).encode()),
    # What looks like the end of a part, and is none.
    ('Content-Type: image/webp\r\nContent-Disposition: attachment; name="small"', b"\r\n--b-\r\n-b-1--"),
    ('Content-Disposition: attachment; name="large"\r\ncontent-type: image/png', b""),
)


def test_a_preset_gives_raw_pictures_and_facts(call: Call) -> None:
    with scripted(answer(MIXED, kind='multipart/mixed; boundary="b-1"')) as server:
        made = call(server.url, "preset", "a card", b"x")

    (request,) = server.requests
    assert (request.target, request.headers["accept"]) == ("/images/preset/a%20card", "multipart/mixed")
    assert made.outputs["small"] == Output(
        body=b"\r\n--b-\r\n-b-1--", media_type="image/webp", format="webp", width=32, height=20
    )
    assert (made.outputs["large"].body, made.outputs["large"].media_type) == (b"", "image/png")
    assert made.facts == Facts(phash="0" * 16)
    assert made.media_type == "image/jpeg"


@pytest.mark.parametrize("size", [1, 2, 3, 7, 16, 4096])
def test_parts_are_the_same_however_they_come_in(size: int) -> None:
    parts = Parts("multipart/mixed; boundary=b-1")
    for start in range(0, len(MIXED), size):
        parts.feed(MIXED[start : start + size])

    assert [(part.name, len(part.body)) for part in parts.finish()] == [
        ("", len(json.dumps(OUTPUTS))),
        ("small", 14),
        ("large", 0),
    ]


@pytest.mark.parametrize("body", [b"", MIXED[:-4], mixed(("a: b", b"x"), end=b""), b"no parts at all"])
def test_parts_that_are_cut_are_no_answer(body: bytes) -> None:
    parts = Parts("multipart/mixed; boundary=b-1")
    parts.feed(body)

    with pytest.raises(BadParts):
        parts.finish()


def test_a_head_without_end_is_not_kept_waiting_for() -> None:
    parts = Parts("multipart/mixed; boundary=b-1")
    parts.feed(b"--b-1\r\n" + b"a" * (16 * 1024 - 2))

    with pytest.raises(BadParts):
        parts.feed(b"a")


def test_a_part_needs_no_headers() -> None:
    parts = Parts("multipart/mixed; boundary=b-1")
    parts.feed(b"a preamble\r\n--b-1\r\n\r\nbody\r\n--b-1--")

    assert parts.finish() == [Part({}, b"body")]


def test_a_preview_is_read_with_all_its_members_at_hand(call: Call) -> None:
    with scripted(in_json(CARD)) as server:
        card = call(server.url, "preview", "https://a.example/", lang="de", force=True)

    assert server.requests[0].target == "/links/preview?url=https%3A%2F%2Fa.example%2F&lang=de&force=1"
    assert (card.title, card.flags, card.images[0].width) == ("A title", ("paywall",), 10)
    assert card.members["fetch"] == {"status": 200}


def test_previews_are_given_out_as_they_come() -> None:
    has_first = threading.Event()
    failed = {"index": 0, "url": "https://a.example/", "code": "timeout", "message": "No", "detail": "dns"}

    def in_turn(connection: socket.socket) -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nConnection: close\r\n\r\n"
        connection.sendall(head + json.dumps({"index": 1, **CARD}).encode() + b"\n")
        # The second line is not sent before the first is in the caller's hands.
        assert has_first.wait(10)
        connection.sendall(json.dumps({**failed, "success": False}).encode() + b"\n")

    with scripted(in_turn) as server, Client(server.url) as client:
        lines = client.previews(["https://a.example/", "https://b.example/"], lang="de")
        first = next(lines)
        has_first.set()
        (second,) = lines

    assert json.loads(server.requests[0].body) == {
        "urls": ["https://a.example/", "https://b.example/"],
        "lang": "de",
    }
    assert (first.index, first.url, first.error) == (1, "https://b.example/", None)
    assert first.preview is not None
    assert first.preview.title == "A title"
    assert (second.index, second.preview) == (0, None)
    assert isinstance(second.error, WorkerError)
    assert (second.error.code, second.error.detail) == ("timeout", "dns")


def test_previews_whose_last_line_is_cut_are_told_as_such(call: Call) -> None:
    with (
        scripted(answer(b'{"index": 0, "succ', kind="application/x-ndjson")) as server,
        pytest.raises(Unanswered) as caught,
    ):
        call(server.url, "previews", ["https://a.example/"])

    assert caught.value.code == "cut"


def test_a_worker_that_is_not_ready_is_an_answer_and_no_failure(call: Call) -> None:
    away = {"code": "jail_unavailable", "reason": "no seal", "formats": {"jpeg": "ok"}, "message": "No"}
    with scripted(in_json(away, "Retry-After: 5", status=503), in_json({"formats": {}})) as server:
        not_ready = call(server.url, "ready")
        ready = call(server.url, "ready")

    assert (not_ready.is_ready, not_ready.reason, not_ready.formats["jpeg"]) == (False, "no seal", "ok")
    assert (ready.is_ready, ready.reason) == (True, "")


def test_stats_have_the_queues_and_all_that_is_told(call: Call) -> None:
    told = {
        "version": "1",
        "stage": "serving",
        "uptime": 1.5,
        "queue": {"pictures": {"waiting": 3}},
        "jail": {"kills": 1},
    }
    with scripted(in_json(told)) as server:
        stats = call(server.url, "stats")

    assert (stats.stage, stats.queue["pictures"]["waiting"], stats.members["jail"]["kills"]) == (
        "serving",
        3,
        1,
    )


def test_names_in_addresses_stay_in_their_place(call: Call) -> None:
    owned = {"name": "a/b", "owner": None, "address": None}
    with scripted(in_json(owned)) as server:
        call(server.url, "ens", "a/../b?c")

    assert server.requests[0].target == "/ens/a%2F..%2Fb%3Fc"
