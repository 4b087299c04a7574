"""Presets, facts and modes over HTTP, on a decoder that answers as it is told."""

import base64
import email.policy
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from email.message import EmailMessage
from typing import Any
from urllib.parse import quote

import pytest
from service.doors import Door, picture
from starlette.requests import Request
from web.serving import FACTS, METADATA, Answer, Service, ask, form, post, serving
from web.small_links import NOW, small_links

from remote_worker.contract.failures import FailureCode, WorkFailed
from remote_worker.contract.messages import Fit, Info, Output, Recipe
from remote_worker.service.check import Check
from remote_worker.service.presets import Preset
from remote_worker.service.signing import Signer
from remote_worker.web.presets_only import check_may_pick
from remote_worker.web.settings import WebSettings

SMALL = Output(
    name="small", width=320, height=200, mode="cover", gravity="attention", format="webp", quality=80
)
LARGE = Output(name="large", width=1600, height=1200)
RECIPES = {
    "card": Recipe(outputs=(SMALL, LARGE), facts=("blurhash", "phash")),
    "thumb": Recipe(outputs=(SMALL,)),
    "told": Recipe(facts=("colors",)),
}
PRESETS = {name: Preset(name=name, recipe=recipe) for name, recipe in RECIPES.items()}
PICTURE = "https://pictures.example/a.png"


@pytest.fixture(scope="module")
def server() -> Iterator[Service]:
    door = Door({PICTURE: picture(b"the picture", etag='"v1"')})
    with serving(links=small_links(door), presets=PRESETS) as running:
        yield running


@pytest.fixture
def service(server: Service) -> Service:
    server.decoder.tasks.clear()
    server.decoder.uploads.clear()
    return server


@pytest.fixture(scope="module")
def strict() -> Iterator[Service]:
    door = Door({PICTURE: picture(b"the picture")})
    with serving(links=small_links(door), presets=PRESETS, only_presets=True) as running:
        yield running


def get(service: Service, path: str, *headers: str) -> Answer:
    return ask(service, "\r\n".join([f"GET {path} HTTP/1.1", "Host: localhost", *headers, "", ""]).encode())


def upload(service: Service, path: str, *headers: str, data: bytes = b"picture") -> Answer:
    return ask(service, post(path, form(data), *headers))


def parts(answer: Answer) -> list[EmailMessage]:
    """The parts of a multipart answer, as another parser reads them."""
    head = f"Content-Type: {answer.headers['content-type']}\r\n\r\n".encode()
    message = email.message_from_bytes(head + answer.body, policy=email.policy.HTTP)
    assert message.get_content_type() == "multipart/mixed"
    assert not message.defects
    return list(message.iter_parts())


def test_a_preset_gives_all_its_outputs_and_facts_out_of_one_decode(service: Service) -> None:
    answer = upload(service, "/images/preset/card")

    assert answer.status == 200
    told = answer.json
    one = {"body": base64.b64encode(b"picture").decode(), "format": "png", "width": 3, "height": 2, "size": 7}
    assert told["outputs"] == {"small": one, "large": one}
    assert told["facts"] == {"blurhash": FACTS["blurhash"], "phash": FACTS["phash"]}
    assert told["uploaded"] == {"mime": "image/png", "size": 7}
    assert (told["status"], told["success"]) == ("ok", True)
    assert {"start", "end", "cost"} <= told.keys()
    assert service.decoder.tasks == [RECIPES["card"]]


@pytest.mark.parametrize("size", [1, 3 * 2**20 + 256])
def test_the_parts_of_a_mixed_answer_are_the_pictures_own_bytes(service: Service, size: int) -> None:
    data = b"large:%d" % size if size > 256 else b"x"
    expected = bytes(range(256)) * (size // 256) if size > 256 else b"x"

    answer = upload(service, "/images/preset/card", "Accept: multipart/mixed", data=data)

    assert answer.headers["content-length"] == str(len(answer.body))
    told, small, large = parts(answer)
    assert told.get_content_type() == "application/json"
    for part, name in ((small, "small"), (large, "large")):
        assert part.get_payload(decode=True) == expected
        assert part.get_content_type() == "image/png"
        assert part["content-length"] == str(size)
        assert part.get_content_disposition() == "attachment"
        assert part["content-disposition"].params == {"name": name, "filename": f"{name}.png"}


def test_the_first_part_says_all_but_the_bytes(service: Service) -> None:
    import json

    answer = upload(service, "/images/preset/card", "Accept: multipart/mixed")

    told = json.loads(parts(answer)[0].get_payload(decode=True))
    assert told["outputs"]["small"] == {"format": "png", "width": 3, "height": 2, "size": 7}
    assert told["facts"]["phash"] == FACTS["phash"]
    assert told["uploaded"]["size"] == 7


def test_each_mixed_answer_has_a_boundary_of_its_own_that_nobody_can_guess(service: Service) -> None:
    kinds = [
        upload(service, "/images/preset/card", "Accept: multipart/mixed").headers["content-type"]
        for _ in "ab"
    ]

    assert all(re.fullmatch(r"multipart/mixed; boundary=[0-9a-f]{32}", kind) for kind in kinds)
    assert kinds[0] != kinds[1]


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("multipart/mixed", "multipart/mixed"),
        ("multipart/mixed;q=0.5, application/json", "application/json"),
        ("application/json;q=0.5, multipart/mixed", "multipart/mixed"),
        ("multipart/form-data", "application/json"),
        ("*/*", "application/json"),
        ("image/*", "application/json"),
    ],
)
def test_several_pictures_come_in_parts_only_for_who_names_that(
    service: Service, accept: str, kind: str
) -> None:
    answer = upload(service, "/images/preset/card", f"Accept: {accept}")

    assert answer.headers["content-type"].startswith(kind)


def test_a_preset_of_one_output_gives_its_bytes_to_who_wants_a_picture(service: Service) -> None:
    answer = upload(service, "/images/preset/thumb", "Accept: image/*")

    assert (answer.headers["content-type"], answer.body) == ("image/png", b"picture")


def test_a_preset_of_facts_gives_facts(service: Service) -> None:
    told = upload(service, "/images/preset/told", "Accept: image/*").json

    assert (told["outputs"], told["facts"]) == ({}, {"colors": FACTS["colors"]})


def test_a_preset_works_by_url_too(service: Service) -> None:
    answer = ask(
        service,
        f"POST /images/preset/thumb?url={quote(PICTURE, safe='')} HTTP/1.1\r\n"
        "Host: localhost\r\nContent-Length: 0\r\n\r\n".encode(),
    )

    assert (answer.status, answer.json["uploaded"]["size"]) == (200, 11)
    assert service.decoder.uploads == [b"the picture"]


@pytest.mark.parametrize("name", ["none", "card2", "Card", "card%20", "-"])
def test_an_unknown_preset_is_not_found(service: Service, name: str) -> None:
    for answer in (upload(service, f"/images/preset/{name}"), get(service, f"/images/preset/{name}")):
        assert (answer.status, answer.json["code"]) == (404, "not_found")
    assert service.decoder.tasks == []


def test_presets_are_listed_with_what_they_make(service: Service) -> None:
    told = get(service, "/images/preset").json

    assert list(told["presets"]) == ["card", "thumb", "told"]
    assert told["presets"]["thumb"] == {
        "facts": [],
        "outputs": [
            {
                "name": "small",
                "width": 320,
                "height": 200,
                "mode": "cover",
                "gravity": "attention",
                "background": None,
                "enlarge": False,
                "format": "webp",
                "quality": 80,
            }
        ],
    }
    assert told["only"] is False
    assert get(service, "/images/preset/thumb").json["preset"] == told["presets"]["thumb"]
    assert get(service, "/capabilities").json["presets"] == told["presets"]


def test_facts_come_without_a_picture(service: Service) -> None:
    told = upload(service, "/images/facts?facts=phash,blurhash").json

    assert told["facts"] == {"blurhash": FACTS["blurhash"], "phash": FACTS["phash"]}
    assert service.decoder.tasks == [Recipe(facts=("blurhash", "phash"))]


def test_all_facts_come_where_none_is_named(service: Service) -> None:
    assert upload(service, "/images/facts").json["facts"] == FACTS


@pytest.mark.parametrize("facts", ["", "md5", "phash,md5", "phash,"])
def test_an_unknown_fact_is_a_bad_parameter(service: Service, facts: str) -> None:
    answer = upload(service, f"/images/facts?facts={facts}")

    assert (answer.status, answer.json["code"]) == (400, "bad_parameter")


@pytest.mark.parametrize(
    ("a", "b", "distance"),
    [
        ("0000000000000000", "0000000000000000", 0),
        ("0000000000000000", "ffffffffffffffff", 64),
        ("0000000000000000", "8000000000000001", 2),
        ("00000000000000ff", "00000000000000FE", 1),
    ],
)
def test_two_hashes_are_as_far_apart_as_bits_differ(service: Service, a: str, b: str, distance: int) -> None:
    assert get(service, f"/images/distance?a={a}&b={b}").json == {
        "distance": distance,
        "status": "ok",
        "success": True,
    }


@pytest.mark.parametrize("a", ["", "0" * 15, "0" * 17, "g" * 16, "0x00000000000000", "%2B000000000000000"])
def test_what_is_no_hash_has_no_distance(service: Service, a: str) -> None:
    for query in (f"a={a}&b={'0' * 16}", f"b={a}&a={'0' * 16}", f"a={a}"):
        answer = get(service, f"/images/distance?{query}")
        assert (answer.status, answer.json["code"]) == (400, "bad_parameter")


@pytest.mark.parametrize(
    ("query", "task"),
    [
        ("", Fit(width=8, height=6)),
        ("?format=webp&animated=1", Fit(width=8, height=6, format="webp", animated=True)),
        ("?mode=cover", Output(name="output", width=8, height=6, mode="cover")),
        ("?mode=fit", Output(name="output", width=8, height=6)),
        (
            "?mode=crop&gravity=northwest&format=png",
            Output(name="output", width=8, height=6, mode="crop", gravity="northwest", format="png"),
        ),
        (
            "?mode=pad&background=00ff0080&quality=7&animated=0",
            Output(name="output", width=8, height=6, mode="pad", background="00ff0080", quality=7),
        ),
        ("?enlarge=1", Output(name="output", width=8, height=6, enlarge=True)),
    ],
)
def test_fit_asks_for_more_than_scaling_down_when_it_is_told_to(
    service: Service, query: str, task: Fit | Output
) -> None:
    answer = upload(service, f"/images/fit/8x6{query}")

    assert answer.json["output"] == base64.b64encode(b"picture").decode()
    assert service.decoder.tasks == [Recipe(outputs=(task,)) if isinstance(task, Output) else task]


@pytest.mark.parametrize(
    "query",
    [
        "mode=contain",
        "mode=",
        "gravity=top",
        "background=red",
        "background=1234567",
        "background=%23ffffff",
        "mode=cover&animated=1",
        "mode=cover&quality=0",
        "mode=cover&format=gif",
    ],
)
def test_other_values_of_these_are_bad_parameters(service: Service, query: str) -> None:
    answer = upload(service, f"/images/fit/8x6?{query}")

    assert (answer.status, answer.json["code"]) == (400, "bad_parameter")


def test_info_tells_of_metadata_only_when_asked(service: Service) -> None:
    assert "metadata" not in upload(service, "/images/info").json
    assert upload(service, "/images/info?metadata=1").json["metadata"] == METADATA
    assert service.decoder.tasks == [Info(), Info(metadata=True)]


def link(options: str, url: str = PICTURE) -> str:
    return f"/links/image?url={quote(url, safe='')}{options}"


def test_a_picture_by_its_url_is_made_by_a_preset(service: Service) -> None:
    answer = get(service, link("&preset=thumb"))

    assert (answer.status, answer.body) == (200, b"the picture")
    assert service.decoder.tasks == [RECIPES["thumb"]]
    other = get(service, link(""))
    assert other.headers["etag"] != answer.headers["etag"]
    assert get(service, link("&preset=thumb"), f"If-None-Match: {answer.headers['etag']}").status == 304
    assert get(service, link("&preset=thumb"), f"If-None-Match: {other.headers['etag']}").status == 200


@pytest.mark.parametrize("options", ["fit=8&mode=cover", "fit=8&gravity=east&mode=cover"])
def test_a_picture_by_its_url_is_brought_into_a_box_as_told(service: Service, options: str) -> None:
    assert get(service, link(f"&{options}")).status == 200

    (recipe,) = service.decoder.tasks
    assert isinstance(recipe, Recipe)
    assert (recipe.outputs[0].width, recipe.outputs[0].mode) == (8, "cover")


def test_what_a_url_leads_to_is_told_with_its_metadata(service: Service) -> None:
    assert get(service, link("&info=1&metadata=1")).json["metadata"] == METADATA


@pytest.mark.parametrize(
    ("options", "status", "code"),
    [
        ("&preset=none", 404, "not_found"),
        ("&preset=card", 400, "bad_parameter"),
        ("&preset=told", 400, "bad_parameter"),
        ("&preset=thumb&fit=8", 400, "bad_parameter"),
        ("&preset=thumb&info=1", 400, "bad_parameter"),
        ("&preset=thumb&avatar=48", 400, "bad_parameter"),
        ("&preset=thumb&quality=8", 400, "bad_parameter"),
    ],
)
def test_a_preset_of_one_output_alone_makes_a_picture(
    service: Service, options: str, status: int, code: str
) -> None:
    answer = get(service, link(options))

    assert (answer.status, answer.json["code"]) == (status, code)


def signed(operation: str) -> str:
    address = Signer(("key",), seconds=60, public_url="", clock=lambda: NOW).address(PICTURE, operation)
    assert address is not None
    return address


def test_an_address_is_signed_for_a_preset(service: Service) -> None:
    answer = get(service, signed("preset:thumb"))

    assert (answer.status, answer.body) == (200, b"the picture")
    assert service.decoder.tasks == [RECIPES["thumb"]]
    assert get(service, signed("preset:none")).status == 404


def test_an_address_is_signed_for_a_mode(service: Service) -> None:
    answer = get(service, signed("fit:8x6,mode:cover,gravity:attention,format:webp"))

    (task,) = service.decoder.tasks
    assert answer.status == 200
    assert isinstance(task, Recipe)
    assert [(one.mode, one.gravity, one.width, one.format) for one in task.outputs] == [
        ("cover", "attention", 8, "webp")
    ]


PICKED = [
    *("/images/fit/8", "/images/fit/8?mode=cover", "/images/fit/8x6?format=png"),
    "/images/rescale_avatar?animated=1",  # The check sees the first frame alone.
]


@pytest.mark.parametrize("path", PICKED)
def test_where_only_presets_are_made_no_size_is_picked(strict: Service, service: Service, path: str) -> None:
    known = len(strict.decoder.uploads)

    answer = upload(strict, path)

    assert (answer.status, answer.json["code"]) == (403, "only_presets")
    assert len(strict.decoder.uploads) == known
    assert upload(service, path).status == 200


@pytest.mark.parametrize("options", ["&fit=8", "&quality=8", "&format=png", "&animated=1", "&mode=pad"])
def test_nor_is_one_for_a_picture_by_its_url(strict: Service, service: Service, options: str) -> None:
    answer = get(strict, link(options))

    assert (answer.status, answer.json["code"]) == (403, "only_presets")
    assert get(service, link(options)).status == 200


@pytest.mark.parametrize("path", ["preset/card", "facts", "info", "rescale_avatar", "prepare_jpeg"])
def test_what_an_operator_fixed_is_made_all_the_same(strict: Service, path: str) -> None:
    assert upload(strict, f"/images/{path}").status == 200


@pytest.mark.parametrize("options", ["", "&preset=thumb", "&avatar=48", "&info=1"])
def test_and_so_it_is_by_url(strict: Service, options: str) -> None:
    assert get(strict, link(options)).status == 200


@dataclass(frozen=True)
class Key:
    """Who calls, as authentication tells."""

    may: frozenset[str]


@pytest.mark.parametrize(
    ("may", "picks"),
    [({"images", "presets"}, True), ({"images"}, True), ({"links"}, True), ({"presets", "links"}, False)],
)
@pytest.mark.parametrize("only", [False, True])
def test_a_key_for_presets_alone_picks_no_size(may: set[str], picks: bool, only: bool) -> None:
    request = Request({"type": "http", "state": {"identity": Key(frozenset(may))}})
    settings = WebSettings(only_presets=only)

    if picks and not only:
        check_may_pick(request, settings)
        return
    with pytest.raises(WorkFailed) as caught:
        check_may_pick(request, settings)
    assert caught.value.code is FailureCode.ONLY_PRESETS


def test_who_has_the_key_signs_for_any_size(strict: Service) -> None:
    assert get(strict, signed("fit:8")).status == 200


def test_who_may_pick_is_told(strict: Service, service: Service) -> None:
    assert get(strict, "/images/preset").json["only"] is True
    assert get(strict, "/capabilities").json["operations"]["fit"]["available"] is False
    assert get(service, "/capabilities").json["operations"]["fit"]["available"] is True


class Refusing(Check):
    """A check that says no to all, in this word."""

    def __init__(self, code: FailureCode, word: str) -> None:
        self._code = code
        self._word = word

    async def judge(self, *_: Any) -> None:
        """Refuse."""
        raise WorkFailed(self._code, self._word)


def checked(code: FailureCode, word: str = "") -> Mapping[str, tuple[Answer, ...]]:
    """What every endpoint that gives pixels says, and those that do not."""
    door = Door({PICTURE: picture(b"the picture")})
    with serving(links=small_links(door), presets=PRESETS, check=lambda _: Refusing(code, word)) as service:
        camo = "/camo/" + _camo(PICTURE)
        pixels = (
            *(upload(service, f"/images/{path}") for path in ("fit/8", "fit/8?mode=cover", "preset/card")),
            *(upload(service, f"/images/{path}") for path in ("prepare_jpeg", "rescale_avatar")),
            *(get(service, link(options)) for options in ("", "&fit=8", "&avatar=48", "&preset=thumb")),
            *(get(service, path) for path in (signed("original"), signed("preset:thumb"), camo)),
        )
        others = (
            *(upload(service, f"/images/{path}") for path in ("info", "facts", "preset/told")),
            get(service, link("&info=1")),
        )
    return {"pixels": pixels, "others": others}


def _camo(url: str) -> str:
    import hashlib
    import hmac

    return f"{hmac.new(b'test', url.encode(), hashlib.sha1).hexdigest()}/{url.encode().hex()}"


def test_a_picture_that_the_check_refuses_leaves_by_no_way() -> None:
    answers = checked(FailureCode.REFUSED_BY_CHECK, "nudity")

    told = {(answer.status, answer.json["code"], answer.json["detail"]) for answer in answers["pixels"]}
    assert told == {(422, "refused_by_check", "nudity")}
    assert len(answers["pixels"]) == 12
    assert {answer.status for answer in answers["others"]} == {200}


def test_a_picture_that_could_not_be_checked_leaves_by_no_way() -> None:
    answers = checked(FailureCode.CHECK_FAILED)

    assert {(a.status, a.json["code"], a.headers["retry-after"]) for a in answers["pixels"]} == {
        (503, "check_failed", "5")
    }
