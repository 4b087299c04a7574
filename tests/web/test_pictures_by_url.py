"""Pictures by their URL: in place of an upload, as an image of their own, and by signed addresses."""

import asyncio
import base64
import hashlib
import hmac
import json
import time
from collections.abc import Iterator
from urllib.parse import quote

import pytest
from service.doors import Page, picture
from web.linking import Linked, linked, request
from web.serving import BOUNDARY, END, part, until
from web.small_links import NOW

from remote_worker.contract.failures import FailureCode
from remote_worker.contract.limits import LONGEST_SIDE
from remote_worker.contract.links import FetchFailed, Purpose, Want
from remote_worker.contract.messages import Avatars, Fit, Info, Prepare

URL = "https://cdn.example.org/a.png"
QUOTED = quote(URL, safe="")
IMAGE = f"/links/image?url={QUOTED}"
JSON = "Accept: application/json"


@pytest.fixture(scope="module")
def server() -> Iterator[Linked]:
    with linked() as made:
        yield made


@pytest.fixture
def here(server: Linked) -> Linked:
    server.begin_anew()
    server.door.answers[URL] = picture(b"picture", etag='"v1"', cache_control="max-age=1200")
    return server


def signed(path: str, key: str = "key") -> str:
    return f"/links/proxy/{hmac.new(key.encode(), path.encode(), hashlib.sha256).hexdigest()}/{path}"


def rest(operation: str = "original", url: str = URL, expires: int = int(NOW) + 600) -> str:
    return f"{expires}/{operation}/{base64.urlsafe_b64encode(url.encode()).decode().rstrip('=')}"


# The image endpoint.


def test_a_picture_by_its_url_is_made_anew_and_comes_as_its_bytes(here: Linked) -> None:
    answer = here.get(IMAGE)

    assert (answer.status, answer.body) == (200, b"picture")
    for name, value in {
        "content-type": "image/png",
        "content-length": "7",
        "cache-control": "public, max-age=1200",
        "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox",
        "content-disposition": "inline",
        "x-content-type-options": "nosniff",
        "accept-ranges": "none",
    }.items():
        assert answer.headers[name] == value
    assert here.service.decoder.tasks == [Fit(width=LONGEST_SIDE, height=LONGEST_SIDE)]
    assert [want.purpose for want in here.door.wants] == [Purpose.IMAGE]


@pytest.mark.parametrize(
    ("options", "task"),
    [
        ("fit=800", Fit(width=800, height=800)),
        ("fit=800x600", Fit(width=800, height=600)),
        (
            "fit=80&format=webp&quality=70&animated=1",
            Fit(width=80, height=80, format="webp", quality=70, animated=True),
        ),
        ("format=jpeg", Fit(width=LONGEST_SIDE, height=LONGEST_SIDE, format="jpeg")),
        ("avatar=73", Avatars()),
        ("avatar=24&animated=1", Avatars(animated=True)),
        ("info=1", Info()),
    ],
)
def test_what_is_made_is_said_in_the_address(here: Linked, options: str, task: object) -> None:
    assert here.get(f"{IMAGE}&{options}").status == 200
    assert here.service.decoder.tasks == [task]


@pytest.mark.parametrize(
    "options",
    [
        "fit=",
        "fit=0",
        "fit=a",
        "fit=8&avatar=24",
        "avatar=25",
        "info=1&fit=8",
        "quality=101",
        "format=gif",
        "url=",
    ],
)
def test_other_options_are_refused_and_nothing_is_fetched(here: Linked, options: str) -> None:
    target = "/links/image?url=" if options == "url=" else f"{IMAGE}&{options}"

    answer = here.get(target)

    assert (answer.status, answer.json["code"]) == (400, "bad_parameter")
    assert here.door.urls == []


def test_json_comes_to_those_who_ask_for_it(here: Linked) -> None:
    told = here.get(IMAGE, JSON).json

    assert told == {
        "output": base64.b64encode(b"picture").decode(),
        "uploaded": {"mime": "image/png", "size": 7},
        "final_url": URL,
        "status": "ok",
        "success": True,
    }
    assert (
        here.get(IMAGE, "Accept: image/webp, application/json;q=0.5").headers["content-type"] == "image/png"
    )


def test_the_header_of_a_picture_is_told(here: Linked) -> None:
    told = here.get(f"{IMAGE}&info=1").json

    assert (told["width"], told["binary_size"], told["mime_type"], told["final_url"]) == (
        3,
        7,
        "image/png",
        URL,
    )


@pytest.mark.parametrize(
    ("failed", "status", "code"),
    [
        (FetchFailed(FailureCode.TYPE_MISMATCH), 502, "type_mismatch"),
        (FetchFailed(FailureCode.BLOCKED_ADDRESS), 403, "blocked_address"),
        (FetchFailed(FailureCode.TOO_LARGE), 413, "too_large"),
        (FetchFailed(FailureCode.TIMEOUT, "ttfb"), 504, "timeout"),
    ],
)
def test_a_picture_that_is_not_had_is_told_as_json(
    here: Linked, failed: FetchFailed, status: int, code: str
) -> None:
    here.door.answers[URL] = failed

    answer = here.get(IMAGE)

    assert (answer.status, answer.json["code"]) == (status, code)
    assert answer.headers["cache-control"] == "no-store"


def test_a_damaged_picture_is_told_as_one(here: Linked) -> None:
    here.door.answers[URL] = picture(b"fail:damaged")

    answer = here.get(IMAGE)

    assert (answer.status, answer.json["code"]) == (422, "damaged")


def test_a_client_that_goes_ends_its_fetch(here: Linked) -> None:
    here.door.held[URL] = asyncio.Event()
    with here.connect() as connection:
        connection.sendall(request("GET", IMAGE))
        until(lambda: here.door.urls == [URL])

    until(lambda: here.door.cancelled == [URL])


# Row 96.


def test_a_head_is_like_a_get_without_its_body(here: Linked) -> None:
    whole, head = here.get(IMAGE), here.ask("HEAD", IMAGE)

    assert (head.status, head.body, head.headers["etag"]) == (200, b"", whole.headers["etag"])
    assert head.headers["content-length"] == "7"


def test_a_range_is_answered_with_the_whole(here: Linked) -> None:
    answer = here.get(IMAGE, "Range: bytes=0-2")

    assert (answer.status, answer.body) == (200, b"picture")
    assert "content-range" not in answer.headers


def test_who_has_the_picture_hears_that_it_is_the_same_and_the_site_is_asked_so(here: Linked) -> None:
    tag = here.get(IMAGE).headers["etag"]

    def unchanged(want: Want) -> Page:
        return Page({"cache-control": "max-age=400"}, b"", "image/png", 304 if want.etag == '"v1"' else 200)

    here.door.answers[URL] = unchanged
    answer = here.get(IMAGE, f'If-None-Match: "other", W/{tag}')

    assert (answer.status, answer.body, answer.headers["etag"]) == (304, b"", tag)
    assert answer.headers["cache-control"] == "public, max-age=400"
    assert [want.etag for want in here.door.wants] == ["", '"v1"']
    # Nothing was decoded for it.
    assert len(here.service.decoder.tasks) == 1


def test_a_site_without_conditions_costs_no_decode_either(here: Linked) -> None:
    tag = here.get(IMAGE).headers["etag"]

    assert here.get(IMAGE, f"If-None-Match: {tag}").status == 304
    assert len(here.service.decoder.tasks) == 1


def test_a_picture_that_changed_is_sent(here: Linked) -> None:
    tag = here.get(IMAGE).headers["etag"]
    here.door.answers[URL] = picture(b"another", etag='"v2"')

    answer = here.get(IMAGE, f"If-None-Match: {tag}")

    assert (answer.status, answer.body) == (200, b"another")
    assert answer.headers["etag"] != tag


@pytest.mark.parametrize("etag", ['"v1"', ""])
def test_a_tag_is_of_the_picture_and_not_of_what_json_tells(here: Linked, etag: str) -> None:
    here.door.answers[URL] = picture(b"x", etag=etag) if etag else picture(b"x")
    tag = here.get(IMAGE).headers["etag"]

    same = here.get(IMAGE, f"If-None-Match: {tag}")
    assert (same.status, same.headers["vary"]) == (304, "Accept")
    told = here.get(IMAGE, f"If-None-Match: {tag}", "Accept: application/json")
    assert told.status == 200
    assert told.headers["content-type"].startswith("application/json")


def test_other_sizes_have_other_tags(here: Linked) -> None:
    small, large = (here.get(f"{IMAGE}&fit={side}").headers["etag"] for side in (80, 90))

    assert small != large
    assert here.get(f"{IMAGE}&fit=90", f"If-None-Match: {small}").status == 200
    assert here.door.wants[-1].etag == ""


def test_a_date_serves_where_a_site_has_no_tags(here: Linked) -> None:
    date = "Mon, 21 Sep 2026 14:13:20 GMT"
    here.door.answers[URL] = picture(b"x", last_modified=date)
    tag = here.get(IMAGE).headers["etag"]
    here.get(IMAGE, f"If-None-Match: {tag}")

    assert [want.last_modified for want in here.door.wants] == ["", date]


def test_a_picture_of_a_site_without_either_has_a_tag_of_its_content(here: Linked) -> None:
    here.door.answers[URL] = picture(b"x")
    tag = here.get(IMAGE).headers["etag"]

    assert here.get(IMAGE, f"If-None-Match: {tag}").status == 304
    here.door.answers[URL] = picture(b"y")
    assert here.get(IMAGE, f"If-None-Match: {tag}").status == 200


@pytest.mark.parametrize("length", [200, 201])
def test_a_sites_tag_is_used_up_to_a_length(here: Linked, length: int) -> None:
    etag = '"' + "x" * (length - 2) + '"'
    here.door.answers[URL] = picture(b"x", etag=etag)
    tag = here.get(IMAGE).headers["etag"]
    here.get(IMAGE, f"If-None-Match: {tag}")

    assert [want.etag for want in here.door.wants] == ["", etag if length == 200 else ""]


@pytest.mark.parametrize(
    "hidden", ['"a"\r\nX-Evil: 1', "no quotes", '"é"', '"a" "b"', "Mon, 21 Sep 2026 14:13:20 GMT\r\nX: 1"]
)
@pytest.mark.parametrize("letter", ["e", "m"])
def test_a_forged_tag_puts_nothing_into_our_request(here: Linked, letter: str, hidden: str) -> None:
    recipe = here.get(IMAGE).headers["etag"].strip('"').partition(".")[0]
    forged = base64.urlsafe_b64encode(hidden.encode()).decode().rstrip("=")

    here.get(IMAGE, f'If-None-Match: "{recipe}.{letter}{forged}"')

    assert (here.door.wants[-1].etag, here.door.wants[-1].last_modified) == ("", "")


def test_what_a_site_keeps_private_is_not_for_shared_caches(here: Linked) -> None:
    here.door.answers[URL] = picture(b"x", cache_control="no-store")

    assert here.get(IMAGE).headers["cache-control"] == "private, max-age=300"


# Signed addresses.


def test_a_signed_address_gives_its_picture_to_pages_of_other_sites(here: Linked) -> None:
    answer = here.get(
        signed(rest("fit:80,format:webp")), "Sec-Fetch-Site: cross-site", "Origin: https://a.example"
    )

    assert (answer.status, answer.body) == (200, b"picture")
    assert answer.headers["cross-origin-resource-policy"] == "cross-origin"
    assert here.service.decoder.tasks == [Fit(width=80, height=80, format="webp")]
    assert here.get(IMAGE, "Sec-Fetch-Site: cross-site").status == 403


def test_the_address_in_a_preview_works(here: Linked) -> None:
    url = "https://www.example.org/cat.png"
    here.door.answers[url] = picture(b"cat")
    (image,) = here.get(f"/links/preview?url={quote(url, safe='')}").json["images"]

    assert here.get(image["proxy_url"]).body == b"cat"


def test_a_signed_picture_is_not_kept_longer_than_its_address_holds(here: Linked) -> None:
    soon = int(time.time()) + 400
    here.door.answers[URL] = picture(b"x", cache_control="max-age=9000")

    _, _, seconds = here.get(signed(rest(expires=soon))).headers["cache-control"].partition("max-age=")

    assert 390 <= int(seconds) <= 400


@pytest.mark.parametrize(
    "target",
    [
        signed(rest(), key="other"),
        signed(rest(expires=int(NOW))),
        signed(rest())[:-2],
        signed(rest()).replace("original", "fit:9999"),
        signed(rest()).replace("original", "%6friginal"),
        signed(rest()).replace(signed(rest()).split("/")[3], signed(rest()).split("/")[3].upper()),
        "/links/proxy/x/y",
        # The same of camo and go-camo; the key is `test`, both begin as their own examples do.
        "/camo/0f6def1cb147b0e84f39cbddc5ea10c80253a6f4/687474703a2f2f676f6c616e672e6f7267",
        "/camo/0F6DEF1CB147B0E84F39CBDDC5EA10C80253A6F3/687474703a2f2f676f6c616e672e6f72672f646f632f676f706865722f"
        "66726f6e74706167652e706e67",
        "/camo/D23vHLFHsOhPOcvdxeoQyAJTpvM/aHR0cDovL2dvbGFuZy5vcmcvZG9jL2dvcGhlci9mcm9udHBhZ2UucG5",
        "/camo/0f6def1cb147b0e84f39cbddc5ea10c80253a6f3?url=http://golang.org/",
        "/camo/0f6def1cb147b0e84f39cbddc5ea10c80253a6f3",
    ],
)
def test_an_address_that_was_not_signed_so_asks_nobody(here: Linked, target: str) -> None:
    answer = here.get(target)

    assert (answer.status, answer.json["code"]) == (403, "bad_signature")
    assert here.door.urls == []


@pytest.mark.parametrize(
    "target",
    [
        "/camo/0f6def1cb147b0e84f39cbddc5ea10c80253a6f3/687474703a2f2f676f6c616e672e6f72672f646f632f676f706865722f"
        "66726f6e74706167652e706e67",
        "/camo/D23vHLFHsOhPOcvdxeoQyAJTpvM/aHR0cDovL2dvbGFuZy5vcmcvZG9jL2dvcGhlci9mcm9udHBhZ2UucG5n",
        "/camo/0f6def1cb147b0e84f39cbddc5ea10c80253a6f3?url=http%3A%2F%2Fgolang.org%2Fdoc%2Fgopher%2Ffrontpage.png",
        # Where camo and go-camo have them: at the root.
        "/0f6def1cb147b0e84f39cbddc5ea10c80253a6f3/687474703a2f2f676f6c616e672e6f72672f646f632f676f706865722f"
        "66726f6e74706167652e706e67",
        "/D23vHLFHsOhPOcvdxeoQyAJTpvM/aHR0cDovL2dvbGFuZy5vcmcvZG9jL2dvcGhlci9mcm9udHBhZ2UucG5n",
        "/0f6def1cb147b0e84f39cbddc5ea10c80253a6f3?url=http%3A%2F%2Fgolang.org%2Fdoc%2Fgopher%2Ffrontpage.png",
    ],
)
def test_addresses_of_camo_and_go_camo_work(here: Linked, target: str) -> None:
    here.door.answers["http://golang.org/doc/gopher/frontpage.png"] = picture(b"gopher")

    assert here.get(target).body == b"gopher"


@pytest.mark.parametrize("target", [f"/{'a' * 39}/00", f"/{'a' * 41}", f"/{'a' * 26}/00", "/favicon.ico"])
def test_what_is_no_digest_at_the_root_is_no_address(here: Linked, target: str) -> None:
    answer = here.get(target)

    assert (answer.status, answer.json["code"]) == (404, "not_found")


def test_without_keys_there_are_no_signed_addresses() -> None:
    with linked(proxy_keys=(), camo_key="") as here:
        for target in (signed(rest()), "/camo/00/00", "/camo/00?url=x"):
            answer = here.get(target)

            assert (answer.status, answer.json["code"]) == (404, "not_configured")


# In place of an upload.


def field(value: str, name: str = "url") -> bytes:
    return part(value.encode(), head=f'form-data; name="{name}"')


MULTIPART = f"Content-Type: multipart/form-data; boundary={BOUNDARY}"
FORM = "Content-Type: application/x-www-form-urlencoded"


@pytest.mark.parametrize(
    ("path", "task"),
    [
        ("/images/prepare_jpeg", Prepare()),
        ("/images/fit/80", Fit(width=80, height=80)),
        ("/images/rescale_avatar", Avatars()),
        ("/images/resize_avatar", Avatars()),
        ("/images/info", Info()),
    ],
)
def test_every_endpoint_takes_a_url_in_place_of_a_file(here: Linked, path: str, task: object) -> None:
    told = [
        here.ask("POST", f"{path}?url={QUOTED}"),
        here.ask("POST", path, FORM, body=f"url={QUOTED}".encode()),
        here.ask("POST", path, MULTIPART, body=field(URL) + END),
        here.ask("POST", path, MULTIPART, body=field("x", "other") + field(URL) + END),
    ]

    assert [answer.status for answer in told] == [200] * 4
    assert here.service.decoder.tasks == [task] * 4
    assert here.service.decoder.uploads == [b"picture"] * 4
    for answer in told:
        uploaded = answer.json.get("uploaded") or {
            "mime": answer.json["mime_type"],
            "size": answer.json["binary_size"],
        }
        assert uploaded == {"mime": "image/png", "size": 7}


def test_a_file_and_a_url_exclude_each_other(here: Linked) -> None:
    body = part(b"file") + field(URL) + END

    told = [
        here.ask("POST", "/images/info", MULTIPART, body=body),
        here.ask("POST", f"/images/info?url={QUOTED}", MULTIPART, body=part(b"file") + END),
    ]

    assert [(answer.status, answer.json["code"]) for answer in told] == [(400, "bad_parameter")] * 2
    assert here.door.urls == []


def test_a_file_alone_is_an_upload_as_ever(here: Linked) -> None:
    answer = here.ask("POST", "/images/info", MULTIPART, body=part(b"file") + field("", "url") + END)

    assert (answer.status, here.service.decoder.uploads) == (200, [b"file"])


def test_neither_is_no_file(here: Linked) -> None:
    told = [
        here.ask("POST", "/images/info", MULTIPART, body=field("x", "other") + END),
        here.ask("POST", "/images/info", FORM, body=b"a=b"),
        here.ask("POST", "/images/info"),
        here.ask(
            "POST", "/images/info", "Content-Type: application/json", body=json.dumps({"url": URL}).encode()
        ),
    ]

    assert [(answer.status, answer.json["code"]) for answer in told] == [(400, "no_file")] * 4


def test_a_url_in_a_form_is_bounded(here: Linked) -> None:
    longest = "https://cdn.example.org/".ljust(8192, "x")
    here.door.answers[longest] = picture()

    full = here.ask("POST", "/images/info", MULTIPART, body=field(longest) + END)
    over = here.ask("POST", "/images/info", MULTIPART, body=field(longest + "x") + END)

    assert full.status == 200
    assert (over.status, over.json["code"]) == (400, "too_long")
