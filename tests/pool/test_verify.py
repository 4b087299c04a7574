"""A child's pictures are believed only when their own headers say what was asked for and claimed."""

import io
import json
import struct
import zlib
from typing import Any

import pillow_jxl  # noqa: F401  registers the encoder
import pytest
from PIL import Image

from remote_worker.contract import wire
from remote_worker.contract.messages import Avatars, Fit, Info, Output, Prepare, Recipe, Task
from remote_worker.pool import verify

UPLOAD = {"format": "png", "mime": "image/png"}
FIT = Fit(width=40, height=40)


def picture(kind: str, size: tuple[int, int], **options: Any) -> bytes:
    """A picture that Pillow writes, so that its header is not ours."""
    buffer = io.BytesIO()
    Image.new("RGB", size, "red").save(buffer, kind, **options)
    return buffer.getvalue()


def claim(name: str, kind: str, width: int, height: int, frames: int = 1) -> dict[str, Any]:
    return {"name": name, "format": kind, "width": width, "height": height, "frames": frames}


def body(facts: dict[str, Any], **pictures: bytes) -> bytes:
    parts = {wire.FACTS: json.dumps(facts).encode(), **pictures}
    table, _, _ = wire.layout({name: len(part) for name, part in parts.items()})
    return table + b"".join(parts.values())


def fit_body(claimed: dict[str, Any], output: bytes) -> bytes:
    return body({"upload": UPLOAD, "pictures": [claimed]}, output=output)


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("png", {}),
        ("jpeg", {}),
        ("jpeg", {"progressive": True, "icc_profile": b"x" * 70_000}),
        ("gif", {}),
        ("bmp", {}),
        ("tiff", {}),
        ("webp", {}),
        ("webp", {"lossless": True}),
        ("webp", {"icc_profile": b"x" * 10}),
        ("avif", {}),
        ("jpeg2000", {}),
        ("jxl", {}),
    ],
)
def test_honest_pictures_pass(kind: str, options: dict[str, Any]) -> None:
    name = {"jpeg2000": "jp2"}.get(kind, kind)
    output = picture(kind, (33, 17), **options)

    checked = verify.reply(FIT, fit_body(claim("output", name, 33, 17), output))

    assert bytes(checked.pictures["output"].body) == output
    assert checked.mime == "image/png"


@pytest.mark.parametrize(
    "size", [(1, 1), (8, 8), (256, 256), (300, 200), (160, 90), (1000, 37), (40, 4001), (20_000, 3)]
)
def test_every_way_to_write_a_jpeg_xl_size_is_read(size: tuple[int, int]) -> None:
    output = picture("jxl", size)

    assert verify.reply(Fit(width=20_000, height=20_000), fit_body(claim("output", "jxl", *size), output))


@pytest.mark.parametrize("kind", ["png", "jpeg", "gif", "bmp", "tiff", "webp", "avif", "jp2", "jxl"])
def test_a_size_that_the_header_does_not_say_is_refused(kind: str) -> None:
    output = picture({"jp2": "jpeg2000"}.get(kind, kind), (33, 17))

    with pytest.raises(verify.HostileReply):
        verify.reply(FIT, fit_body(claim("output", kind, 32, 17), output))


@pytest.mark.parametrize(
    "kind", ["png", "jpeg", "gif", "bmp", "tiff", "webp", "avif", "jp2", "jxl", "svg", "exe"]
)
@pytest.mark.parametrize("output", [b"", b"<svg/>", b"\x7fELF" + b"\0" * 100])
def test_another_signature_is_refused(kind: str, output: bytes) -> None:
    with pytest.raises(verify.HostileReply):
        verify.reply(FIT, fit_body(claim("output", kind, 0, 0), output))


def test_a_jpeg_whose_segments_never_end_is_refused() -> None:
    endless = b"\xff\xd8" + b"\xff\xe0\0\2" * 2000

    with pytest.raises(verify.HostileReply):
        verify.reply(FIT, fit_body(claim("output", "jpeg", 1, 1), endless))


@pytest.mark.parametrize(
    "facts",
    [
        {},
        {"upload": UPLOAD},
        {"upload": {"format": "png", "mime": "text/html"}},
        {"upload": {"format": "png", "mime": "image/png\r\nX: y"}},
        {"upload": {"format": "../png", "mime": "image/png"}},
        {"upload": {"format": 5, "mime": "image/png"}},
        {"upload": UPLOAD, "pictures": [claim("other", "png", 8, 8)]},
        {"upload": UPLOAD, "pictures": "output"},
        {"upload": UPLOAD, "pictures": [claim("output", "png", True, 8)]},
        {"upload": UPLOAD, "pictures": [claim("output", "png", 8, 8, 0)]},
        {"upload": UPLOAD, "pictures": [claim("output", "png", 8, 8, 65_536)]},
        {"upload": UPLOAD, "pictures": [{"name": "output"}]},
    ],
)
def test_facts_that_do_not_fit_the_parts_are_refused(facts: dict[str, Any]) -> None:
    with pytest.raises(verify.HostileReply):
        verify.reply(FIT, body(facts, output=picture("png", (8, 8))))


def test_a_picture_larger_than_the_box_is_refused_and_one_as_large_passes() -> None:
    assert verify.reply(FIT, fit_body(claim("output", "png", 40, 40), picture("png", (40, 40))))
    with pytest.raises(verify.HostileReply):
        verify.reply(FIT, fit_body(claim("output", "png", 41, 40), picture("png", (41, 40))))


def test_another_format_than_asked_for_is_refused() -> None:
    asked = Fit(width=40, height=40, format="webp")

    with pytest.raises(verify.HostileReply):
        verify.reply(asked, fit_body(claim("output", "png", 8, 8), picture("png", (8, 8))))


def test_prepare_gives_a_jpeg_or_nothing() -> None:
    assert verify.reply(Prepare(), fit_body(claim("output", "jpeg", 8, 8), picture("jpeg", (8, 8))))
    with pytest.raises(verify.HostileReply):
        verify.reply(Prepare(), fit_body(claim("output", "png", 8, 8), picture("png", (8, 8))))


def avatars(*sides: int) -> bytes:
    claims = [claim(f"avatar{side}", "png", side, side) for side in sides]
    pictures = {f"avatar{side}": picture("png", (side, side)) for side in sides}
    return body({"upload": UPLOAD, "pictures": claims}, **pictures)


@pytest.mark.parametrize("sides", [(24, 48, 73), (24, 48, 73, 128), (24, 48, 73, 128, 256, 512)])
def test_avatars_due_pass(sides: tuple[int, ...]) -> None:
    checked = verify.reply(Avatars(), avatars(*sides))

    assert list(checked.pictures) == [f"avatar{side}" for side in sides]


@pytest.mark.parametrize("sides", [(), (24, 48), (24, 48, 73, 74), (48, 73, 128)])
def test_missing_or_strange_avatars_are_refused(sides: tuple[int, ...]) -> None:
    with pytest.raises(verify.HostileReply):
        verify.reply(Avatars(), avatars(*sides))


def test_info_is_flat_and_brings_no_picture() -> None:
    facts = {"upload": UPLOAD, "info": {"width": 1, "loop": None, "has_gps": False, "format": "png"}}

    assert verify.reply(Info(), body(facts)).info == facts["info"]
    with pytest.raises(verify.HostileReply):
        verify.reply(Info(), body(facts, output=b"x"))


@pytest.mark.parametrize("value", [[], {}, 1.5, -1, 1 << 53, "x" * 65, "line\nbreak", "<script>", ""])
def test_info_with_strange_values_is_refused(value: object) -> None:
    with pytest.raises(verify.HostileReply):
        verify.reply(Info(), body({"upload": UPLOAD, "info": {"width": value}}))


@pytest.mark.parametrize("info", [[], "text", 5, None])
def test_info_that_is_no_object_is_refused(info: object) -> None:
    with pytest.raises(verify.HostileReply):
        verify.reply(Info(), body({"upload": UPLOAD, "info": info}))


@pytest.mark.parametrize("task", [Info(), Prepare(), Avatars(), FIT, Recipe(facts=("phash",))])
@pytest.mark.parametrize("garbage", [b"", b"\0" * 64, zlib.compress(b"x"), b"RWP1" + struct.pack("<I", 0)])
def test_garbage_is_refused(task: Task, garbage: bytes) -> None:
    with pytest.raises(verify.HostileReply):
        verify.reply(task, garbage)


@pytest.mark.parametrize(("width", "passes"), [(33, True), (0, False), (-33, False)])
def test_a_side_that_is_no_number_of_pixels_is_refused(width: int, passes: bool) -> None:
    output = bytearray(picture("bmp", (33, 17)))
    struct.pack_into("<i", output, 18, width)
    made = fit_body(claim("output", "bmp", width, 17), bytes(output))

    if passes:
        assert verify.reply(FIT, made).pictures["output"].width == width
    else:
        with pytest.raises(verify.HostileReply):
            verify.reply(FIT, made)


def recipe_body(pictures: dict[str, tuple[str, int, int]], info: object = None) -> bytes:
    claims = [claim(name, kind, width, height) for name, (kind, width, height) in pictures.items()]
    made = {name: picture(kind, (width, height)) for name, (kind, width, height) in pictures.items()}
    return body({"upload": UPLOAD, "pictures": claims, "info": {} if info is None else info}, **made)


def one(mode: str, **options: Any) -> Recipe:
    return Recipe(outputs=(Output(name="one", width=40, height=20, mode=mode, **options),))


@pytest.mark.parametrize(
    ("mode", "enlarge", "passing", "refused"),
    [
        ("fit", False, [(40, 20), (40, 1), (1, 20)], [(41, 20), (40, 21)]),
        ("crop", False, [(40, 20), (40, 1), (1, 20)], [(41, 20), (40, 21)]),
        ("pad", False, [(40, 20)], [(39, 20), (40, 19), (41, 20)]),
        ("cover", False, [(40, 20), (39, 20), (20, 10), (19, 10), (2, 1)], [(41, 20), (20, 20), (36, 20)]),
        ("cover", True, [(40, 20)], [(39, 20), (20, 10)]),
    ],
)
def test_a_picture_of_a_recipe_has_a_size_that_its_mode_can_make(
    mode: str, enlarge: bool, passing: list[tuple[int, int]], refused: list[tuple[int, int]]
) -> None:
    task = one(mode, enlarge=enlarge)

    for size in passing:
        assert verify.reply(task, recipe_body({"one": ("png", *size)})).pictures["one"].width == size[0]
    for size in refused:
        with pytest.raises(verify.HostileReply):
            verify.reply(task, recipe_body({"one": ("png", *size)}))


@pytest.mark.parametrize(
    "names", [[], ["small"], ["small", "other"], ["small", "large", "more"], ["output", "large"]]
)
def test_a_recipe_makes_exactly_the_pictures_it_names(names: list[str]) -> None:
    task = Recipe(outputs=(Output(name="small", width=8, height=8), Output(name="large", width=9, height=9)))
    right = dict.fromkeys(("small", "large"), ("png", 8, 8))
    assert list(verify.reply(task, recipe_body(right)).pictures) == ["small", "large"]

    with pytest.raises(verify.HostileReply):
        verify.reply(task, recipe_body(dict.fromkeys(names, ("png", 8, 8))))


def test_a_picture_of_a_recipe_has_the_format_asked_for_and_one_frame() -> None:
    assert verify.reply(one("fit", format="webp"), recipe_body({"one": ("webp", 8, 8)}))
    with pytest.raises(verify.HostileReply):
        verify.reply(one("fit", format="webp"), recipe_body({"one": ("png", 8, 8)}))
    moving = body({"upload": UPLOAD, "pictures": [claim("one", "png", 8, 8, 2)]}, one=picture("png", (8, 8)))
    with pytest.raises(verify.HostileReply):
        verify.reply(one("fit"), moving)


FACTS = {
    "blurhash": "LEHV6nWB2yk8pyo0adR*.7kCMdnj",
    "thumbhash": "3OcRJYB4d3h/iIeHeEh3eIhw+j2w",
    "colors": ["#00ff7f"] * 8,
    "phash": "8f373714acfcf4d0",
}


def test_honest_facts_pass() -> None:
    asked = Recipe(facts=tuple(FACTS))

    assert verify.reply(asked, recipe_body({}, FACTS)).info == FACTS


@pytest.mark.parametrize(
    ("fact", "lies"),
    [
        (
            "blurhash",
            [
                "",
                "L" * 27,
                "L" * 29,
                "LEHV6nWB2yk8pyo0adR*.7kCMdn ",
                "M" + 27 * "0",
                '"' * 28,
                5,
                None,
                ["L" * 28],
            ],
        ),
        ("thumbhash", ["", "AAAA", "A" * 36, "3OcR JYB4d3h", "<script>", 5, None, "é" * 8]),
        ("colors", [["#00ff7f"] * 9, ["#00FF7F"], ["red"], ["#00ff7f00"], [5], "#00ff7f", {}, None]),
        (
            "phash",
            ["", "8f373714acfcf4d", "8f373714acfcf4d00", "8F373714ACFCF4D0", "nohexnohexnohexn", 5, None],
        ),
    ],
)
def test_facts_that_are_none_are_refused(fact: str, lies: list[object]) -> None:
    asked = Recipe(facts=(fact,))
    assert verify.reply(asked, recipe_body({}, {fact: FACTS[fact]}))

    for lie in lies:
        with pytest.raises(verify.HostileReply):
            verify.reply(asked, recipe_body({}, {fact: lie}))


@pytest.mark.parametrize("told", [(), ("phash",), ("blurhash", "phash", "colors"), ("phash", "width")])
def test_the_facts_asked_for_are_told_and_no_others(told: tuple[str, ...]) -> None:
    asked = Recipe(facts=("blurhash", "phash"))

    with pytest.raises(verify.HostileReply):
        verify.reply(asked, recipe_body({}, {name: FACTS.get(name, 5) for name in told}))


METADATA: dict[str, Any] = {
    "exif": {"Make": "x" * 200, "FNumber": 1.8, "ISO": 100, "ExposureCompensation": -0.5},
    "gps": {"latitude": -90, "longitude": 180.0, "altitude": None},
    "xmp": True,
    "iptc": False,
    "comment": False,
    "icc": "sRGB IEC61966-2.1",
}


def told(metadata: object) -> bytes:
    return body({"upload": UPLOAD, "info": {"width": 1, "metadata": metadata}})


@pytest.mark.parametrize("more", [{}, {"gps": None, "icc": None, "exif": {}}])
def test_honest_metadata_passes_where_it_was_asked_for(more: dict[str, Any]) -> None:
    metadata = METADATA | more

    assert verify.reply(Info(metadata=True), told(metadata)).info == {"width": 1, "metadata": metadata}
    with pytest.raises(verify.HostileReply):
        verify.reply(Info(), told(metadata))


def test_metadata_that_was_asked_for_is_told() -> None:
    with pytest.raises(verify.HostileReply):
        verify.reply(Info(metadata=True), body({"upload": UPLOAD, "info": {"width": 1}}))


PLACE = {"latitude": 1.5, "longitude": 2.5, "altitude": 3}


@pytest.mark.parametrize(
    "lie",
    [
        {"exif": {"Make": "x" * 201}},
        {"exif": {"Make": "line\nbreak"}},
        {"exif": {"Make": "\u202egpj.exe"}},
        {"exif": {"Make": None}},
        {"exif": {"Make": True}},
        {"exif": {"Make": ["x"]}},
        {"exif": {"Make": 1 << 54}},
        {"exif": {"Make": 10**4000}},
        {"exif": {"<script>": 1}},
        {"exif": {"make": 1}},
        {"exif": {"": 1}},
        {"exif": {f"Field{number}": number for number in range(129)}},
        {"exif": None},
        {"exif": []},
        {"gps": {}},
        {"gps": [1, 2, 3]},
        {"gps": PLACE | {"latitude": 90.1}},
        {"gps": PLACE | {"longitude": -180.1}},
        {"gps": PLACE | {"latitude": "1.5"}},
        {"gps": PLACE | {"altitude": 1e8}},
        {"gps": PLACE | {"latitude": True}},
        {"gps": PLACE | {"name": "x"}},
        {"xmp": 1},
        {"iptc": None},
        {"comment": "text"},
        {"icc": "x" * 201},
        {"icc": 5},
        {"more": 1},
    ],
)
def test_metadata_that_is_none_is_refused(lie: dict[str, Any]) -> None:
    with pytest.raises(verify.HostileReply):
        verify.reply(Info(metadata=True), told(METADATA | lie))


@pytest.mark.parametrize("number", [b"NaN", b"Infinity", b"1e999", b"-1e999"])
def test_numbers_that_are_none_are_refused(number: bytes) -> None:
    honest = told(METADATA | {"gps": PLACE})
    parts = wire.read_parts(honest)
    facts = bytes(parts[wire.FACTS])
    assert verify.reply(Info(metadata=True), honest)

    for stated in (b'"latitude": 1.5', b'"altitude": 3', b'"FNumber": 1.8'):
        assert stated in facts
        lying = facts.replace(stated, stated.rpartition(b" ")[0] + b" " + number)
        table, _, _ = wire.layout({wire.FACTS: len(lying)})
        with pytest.raises(verify.HostileReply):
            verify.reply(Info(metadata=True), table + lying)


def test_all_the_fields_that_may_be_told_pass() -> None:
    fields = {f"Field{number}": "x" * 200 for number in range(128)}

    assert (
        verify.reply(Info(metadata=True), told(METADATA | {"exif": fields})).info["metadata"]["exif"]
        == fields
    )


@pytest.mark.parametrize(
    ("told", "seconds"), [(0, 0.0), (1, 1e-6), (2_500_000, 2.5), (2**53 - 1, (2**53 - 1) / 1e6)]
)
def test_how_long_a_child_says_that_it_wrote_is_taken_for_a_number(told: int, seconds: float) -> None:
    facts = {"upload": UPLOAD, "pictures": [claim("output", "png", 8, 8)], "encode_us": told}

    assert verify.reply(FIT, body(facts, output=picture("png", (8, 8)))).encode_seconds == seconds


@pytest.mark.parametrize("told", [-1, 2**53, 1.5, True, "5", None, [1]])
def test_a_time_that_cannot_be_is_refused(told: object) -> None:
    facts = {"upload": UPLOAD, "pictures": [claim("output", "png", 8, 8)], "encode_us": told}

    with pytest.raises(verify.HostileReply):
        verify.reply(FIT, body(facts, output=picture("png", (8, 8))))
