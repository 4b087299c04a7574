"""EXIF in words: exiftool's names and values, and never more than may be told."""

import io
import json
import struct
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
from decoder.headers.blocks import directory, mutilated
from PIL import Image, ImageCms, PngImagePlugin

from remote_worker.contract.failures import WorkFailed
from remote_worker.contract.limits import Limits
from remote_worker.contract.messages import Info
from remote_worker.contract.signatures import Template
from remote_worker.decoder import icc, job
from remote_worker.decoder.headers.png import PROFILE_BYTES
from remote_worker.decoder.metadata.fields import MOST_TOLD_BYTES, MOST_VALUE_BYTES, fields, place


def metadata(data: bytes) -> dict[str, Any]:
    told: dict[str, Any] = job.run(Info(metadata=True), data, Limits(), Template.RASTER).facts["info"][
        "metadata"
    ]
    return told


def block(entries: dict[int, tuple[int, int, bytes]], order: str = "<", pointer: int = 0) -> bytes:
    """An EXIF block with these (type, count, value) in its main directory, or where `pointer` leads to."""
    head = (b"II" if order == "<" else b"MM") + struct.pack(order + "HI", 42, 8)
    start = 8
    main = b""
    if pointer:
        start = 8 + 2 + 12 + 4
        main = directory([(pointer, 4, 1, start)], 8, order)
    end = start + 2 + 12 * len(entries) + 4
    values = b""
    records = b""
    for tag, (kind, count, value) in sorted(entries.items()):
        if len(value) <= 4:
            records += struct.pack(order + "HHI", tag, kind, count) + value.ljust(4, b"\0")
        else:
            records += struct.pack(order + "HHII", tag, kind, count, end + len(values))
            values += value
    return head + main + struct.pack(order + "H", len(entries)) + records + bytes(4) + values


def text(value: bytes) -> tuple[int, int, bytes]:
    return 2, len(value), value


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("prefix", [b"", b"Exif\0\0"])
def test_fields_have_names_and_values_in_either_byte_order(order: str, prefix: bytes) -> None:
    made = prefix + block(
        {
            0x010F: text(b"Maker\0"),
            0x0112: (3, 1, struct.pack(order + "H", 6)),
            0x829A: (5, 1, struct.pack(order + "II", 1, 3)),
            0x829D: (5, 1, struct.pack(order + "II", 18, 10)),
            0x9000: (7, 4, b"0232"),
            0x9204: (10, 1, struct.pack(order + "ii", -1, 2)),
            0x9214: (3, 4, struct.pack(order + "4H", 1, 2, 3, 4)),
        },
        order,
    )

    assert fields(made) == {
        "Make": "Maker",
        "Orientation": 6,
        "ExposureTime": 0.3333333333,
        "FNumber": 1.8,
        "ExifVersion": "0232",
        "ExposureCompensation": -0.5,
        "SubjectArea": "1 2 3 4",
    }


def gps(**changed: tuple[int, int, bytes]) -> bytes:
    def degrees(*numbers: int) -> bytes:
        return struct.pack(f"<{len(numbers)}I", *numbers)

    entries = {
        1: text(b"S\0"),
        2: (5, 3, degrees(33, 1, 51, 1, 3564, 100)),
        3: text(b"E\0"),
        4: (5, 3, degrees(151, 1, 12, 1, 4000, 100)),
        5: (1, 1, b"\1"),
        6: (5, 1, degrees(125, 10)),
    }
    entries |= {int(name[1:]): value for name, value in changed.items()}
    return block(entries, pointer=0x8825)


def test_a_place_is_told_in_degrees() -> None:
    # 33 deg 51' 35.64" S, 151 deg 12' 40.00" E by the usual conversion.
    assert place(gps()) == {"latitude": -33.8599, "longitude": 151.211111111, "altitude": -12.5}
    assert fields(gps()) == {}


def test_nothing_lies_below_nought_at_the_equator_and_at_greenwich() -> None:
    nought = 5, 3, struct.pack("<6I", 0, 1, 0, 1, 0, 1)

    found = place(gps(t1=text(b"S\0"), t2=nought, t3=text(b"W\0"), t4=nought))

    assert found is not None
    assert (str(found["latitude"]), str(found["longitude"])) == ("0.0", "0.0")


@pytest.mark.parametrize(
    "broken",
    [
        {"t1": text(b"X\0")},
        {"t3": text(b"\0")},
        {"t2": (5, 3, struct.pack("<6I", 90, 1, 0, 1, 1, 1))},
        {"t4": (5, 3, struct.pack("<6I", 180, 1, 1, 1, 0, 1))},
        {"t2": (5, 3, struct.pack("<6I", 33, 0, 0, 1, 0, 1))},
        {"t2": (5, 4, struct.pack("<8I", 33, 1, 0, 1, 0, 1, 0, 1))},
        {"t2": text(b"somewhere\0")},
    ],
)
def test_a_place_that_is_none_is_not_told(broken: dict[str, tuple[int, int, bytes]]) -> None:
    assert place(gps(t2=(5, 3, struct.pack("<6I", 90, 1, 0, 1, 0, 1)))) is not None

    assert place(gps(**broken)) is None


def test_an_altitude_that_is_none_is_left_out() -> None:
    found = place(gps(t6=(5, 1, struct.pack("<II", 5, 0))))

    assert found == {"latitude": -33.8599, "longitude": 151.211111111, "altitude": None}


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"plain\0rubbish behind it", "plain"),
        ("Zoë 😀\0".encode(), "Zoë 😀"),
        (b"caf\xe9\0", "café"),
        (b"two\nlines\x1b[31m \0", "two lines [31m"),
        ("gpj\u202eexe\0".encode(), "gpj exe"),
        (b"half a letter \xc3\0", "half a letter Ã"),
    ],
)
def test_text_is_one_line_of_what_can_be_seen(raw: bytes, expected: str) -> None:
    assert fields(block({0x010E: text(raw)})) == {"ImageDescription": expected}


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    ("tag", "raw", "expected"),
    [
        # exiftool 12.57 gives the same, but for JIS, of which it makes rubbish.
        (0x9286, b"UNICODE\0" + "héllo".encode("utf-16-le"), {"UserComment": "héllo"}),
        (0x9286, b"UNICODE\0" + "héllo".encode("utf-16-be"), {"UserComment": "héllo"}),
        (0x9286, b"UNICODE\0\xfe\xff" + "日本".encode("utf-16-be"), {"UserComment": "日本"}),
        (0x9286, b"UNICODE\0\xff\xfe" + "日本".encode("utf-16-le"), {"UserComment": "日本"}),
        (0x9286, b"ASCII\0\0\0hello", {"UserComment": "hello"}),
        (0x9286, bytes(8) + "héllo".encode(), {"UserComment": "héllo"}),
        (0x9286, b"JIS\0\0\0\0\0\x1b$BF|K\\\x1b(B", {}),
        (0x010F, b"Canon\0", {"Make": "Canon"}),
        (0x9101, b"\1\2\3\0", {"ComponentsConfiguration": "1 2 3 0"}),
        (0xA300, b"\3", {"FileSource": 3}),
        (0xA300, b"3", {"FileSource": 51}),
    ],
)
def test_text_in_other_codes_and_types_is_told(order: str, tag: int, raw: bytes, expected: object) -> None:
    assert fields(block({tag: (7, len(raw), raw)}, order)) == expected


@pytest.mark.parametrize("length", [200, 201, 1024])
def test_long_text_is_told_up_to_a_length(length: int) -> None:
    assert fields(block({0x010E: text(b"x" * length)})) == {"ImageDescription": "x" * 200}


@pytest.mark.parametrize(("at", "seen"), [(MOST_VALUE_BYTES - 1, True), (MOST_VALUE_BYTES, False)])
def test_so_much_of_a_value_is_read_and_no_more(at: int, seen: bool) -> None:
    made = fields(block({0x010E: text(b" " * at + b"x" * 9)}))

    assert made == ({"ImageDescription": "x"} if seen else {})


def test_so_many_numbers_of_a_field_are_told() -> None:
    for count, told in ((16, 16), (17, 16)):
        made = fields(block({0x0102: (3, count, struct.pack(f"<{count}H", *range(count)))}))
        assert made == {"BitsPerSample": " ".join(map(str, range(told)))}


def test_all_fields_together_stay_short() -> None:
    # Characters beyond the first 65,536 take twelve bytes each in JSON.
    tags = (0x010D, 0x010E, 0x010F, 0x0110, 0x011D, 0x0131, 0x013B, 0x013C, 0x8298, 0x8824, 0xA430, 0xA431)
    tags += (0xA433, 0xA434, 0xA435, 0x0132, 0x9003, 0x9004)
    made = fields(block({tag: text("😀".encode() * 200) for tag in tags}))

    assert 10 <= len(made) < len(tags)
    assert len(json.dumps(made)) <= MOST_TOLD_BYTES + 6 * len(made)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (5, struct.pack("<II", 1, 0)),
        (12, struct.pack("<d", float("nan"))),
        (12, struct.pack("<d", float("inf"))),
        (12, struct.pack("<d", 1e300)),
        (99, b"12345678"),
    ],
)
def test_numbers_that_are_none_are_left_out(kind: int, value: bytes) -> None:
    good = {0x829D: (12, 1, struct.pack("<d", 2.5))}
    assert fields(block(good)) == {"FNumber": 2.5}

    assert fields(block(good | {0x9202: (kind, 1, value)})) == {"FNumber": 2.5}


def test_directories_that_lead_in_circles_come_to_an_end() -> None:
    loop = b"II*\0" + struct.pack("<I", 8) + directory([(0x8769, 4, 1, 8), (0x8825, 4, 1, 8)], 8)

    assert fields(loop) == {}
    assert place(loop) is None


def test_a_block_of_many_and_huge_claims_is_bounded() -> None:
    entries = [(0x010E + at % 5, 2, 0xFFFF_FFFF if at % 2 else 60_000, 8) for at in range(5400)]
    bomb = b"II*\0" + struct.pack("<I", 8) + directory(entries, 8)

    # Its 5400 fields claim thousands of gigabytes; those of one number are one field.
    assert len(fields(bomb)) <= 5
    assert place(bomb) is None


def test_a_letter_that_is_cut_in_two_is_left_out() -> None:
    made = fields(block({0x010E: text(b" " * (MOST_VALUE_BYTES - 2) + "x€".encode())}))

    assert made == {"ImageDescription": "x"}


def test_what_a_mutilated_block_says_may_be_told() -> None:
    whole = gps(t27=(7, 12, b"ASCII\0\0\0word"))
    for changed in mutilated(whole):
        told = fields(changed)
        assert all(
            not isinstance(value, str) or (value.isprintable() and len(value) <= 200)
            for value in told.values()
        )
        found = place(changed)
        assert found is None or abs(found["latitude"] or 0) <= 90
        json.dumps([told, found], allow_nan=False)


def picture(plugin: str, **options: Any) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, plugin, **options)
    return file.getvalue()


SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
NOTHING = {"exif": {}, "gps": None, "xmp": False, "iptc": False, "comment": False, "icc": None}


@pytest.mark.parametrize("plugin", ["JPEG", "PNG", "WEBP", "AVIF", "GIF", "BMP"])
def test_a_picture_without_metadata_says_nothing(plugin: str) -> None:
    assert metadata(picture(plugin)) == NOTHING


@pytest.mark.parametrize("plugin", ["JPEG", "PNG", "WEBP", "AVIF", "HEIF"])
def test_every_format_tells_its_metadata(plugin: str) -> None:
    import pillow_heif

    pillow_heif.register_heif_opener()
    exif = Image.Exif()
    exif[0x010F] = "Maker"
    exif.get_ifd(0x8825).update({1: "N", 2: (48.0, 51.0, 29.0), 3: "W", 4: (2.0, 0.0, 0.0)})

    told = metadata(picture(plugin, exif=exif, icc_profile=SRGB))

    assert told["exif"]["Make"] == "Maker"
    assert told["gps"] == {"latitude": 48.858055556, "longitude": -2, "altitude": None}
    assert told["icc"] == "sRGB built-in"


def test_a_tiff_tells_its_own_fields_and_profile() -> None:
    exif = Image.Exif()
    exif[0x010F] = "Maker"

    told = metadata(picture("TIFF", exif=exif, icc_profile=SRGB))

    assert (told["exif"]["Make"], told["exif"]["ImageWidth"], told["icc"]) == ("Maker", 8, "sRGB built-in")


def test_comments_and_packets_are_told_of() -> None:
    texts = PngImagePlugin.PngInfo()
    texts.add_text("Comment", "words")
    packet = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>"

    assert metadata(picture("JPEG", comment=b"words")) == NOTHING | {"comment": True}
    assert metadata(picture("PNG", pnginfo=texts)) == NOTHING | {"comment": True}
    assert metadata(picture("GIF", comment=b"words")) == NOTHING | {"comment": True}
    assert metadata(picture("JPEG", xmp=packet)) == NOTHING | {"xmp": True}
    assert metadata(picture("WEBP", xmp=packet)) == NOTHING | {"xmp": True}


def test_info_without_metadata_tells_none() -> None:
    assert "metadata" not in job.run(Info(), picture("JPEG"), Limits(), Template.RASTER).facts["info"]


def named(name: str) -> bytes:
    """A profile with nothing but a name, which lies behind zeros."""
    words = name.encode("utf-16-be")
    tag = b"mluc" + struct.pack(">4xII2s2sII", 1, 12, b"en", b"US", len(words), 28) + words
    return bytes(128) + struct.pack(">I4sII", 1, b"desc", 144, len(tag)) + tag


def test_a_long_name_of_a_profile_is_cut() -> None:
    assert icc.description(named("x" * 512)) == "x" * 512
    assert icc.description(named("x" * 513)) == "x" * 512


@pytest.mark.parametrize("profile", [b"", b"x" * 200, named("")[:150], SRGB[:140], bytes(200)])
def test_a_broken_profile_has_no_name(profile: bytes) -> None:
    assert icc.description(profile) is None


@pytest.mark.parametrize(("before", "name"), [(PROFILE_BYTES - 58, "x"), (PROFILE_BYTES - 56, None)])
def test_a_profile_of_a_png_is_inflated_up_to_a_length(before: int, name: str | None) -> None:
    tag = b"mluc" + struct.pack(">4xII2s2sII", 1, 12, b"en", b"US", 2, 28) + b"\0x"
    profile = bytes(128) + struct.pack(">I4sII", 1, b"desc", before + 28, len(tag))
    profile = profile.ljust(before + 28, b"\0") + tag
    plain = picture("PNG")
    body = b"iCCPname\0\0" + zlib.compress(profile)
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))

    assert metadata(plain[:33] + chunk + plain[33:])["icc"] == name


GROUPS = ("IFD0", "ExifIFD", "GPS")


@pytest.mark.needs_exiftool
def test_exiftool_gives_the_same_values_for_all_samples(
    samples: Path, exiftool: Callable[..., CompletedProcess[bytes]]
) -> None:
    names = [
        path
        for path in sorted(samples.glob("*/*.*"))
        if path.parent.name not in ("making", "pages", "svg", "ico", "icns")
    ]
    compared = _compared(names, exiftool)

    assert compared > 100


@pytest.mark.needs_exiftool
def test_exiftool_gives_the_same_values_for_photos(
    shared: Path, exiftool: Callable[..., CompletedProcess[bytes]]
) -> None:
    corpus = shared / "corpus" / "public"
    found = [*sorted(corpus.rglob("*.jp*g")), *sorted(corpus.rglob("derived-gps-exif.*"))]
    # Of blocks that are broken every reader makes something else.
    photos = [path for path in found if "broken" not in path.name and "bad" not in path.name]

    assert _compared(photos, exiftool) > 500


def _compared(paths: list[Path], exiftool: Callable[..., CompletedProcess[bytes]]) -> int:
    wanted = ("-EXIF:all", "-GPS:all", "-Composite:GPSLatitude", "-Composite:GPSLongitude", "-XMP-exif:GPS*")
    listed = json.loads(exiftool("-n", "-j", "-q", "-q", "-m", "-G1", *wanted, *paths).stdout)
    compared = 0
    differing = []
    for path, found in zip(paths, listed, strict=True):
        try:
            told = metadata(path.read_bytes())
        except WorkFailed:
            continue
        theirs = {name.partition(":")[2]: value for name, value in found.items() if name.startswith(GROUPS)}
        for name, value in told["exif"].items():
            compared += 1
            if not _is_same(value, theirs.get(name)):
                differing.append((path.name, name, value, theirs.get(name)))
        if told["gps"]:
            compared += 1
            ours = told["gps"]["latitude"], told["gps"]["longitude"]
            group = "Composite" if "Composite:GPSLatitude" in found else "XMP-exif"
            place_there = found.get(f"{group}:GPSLatitude"), found.get(f"{group}:GPSLongitude")
            if not all(map(_is_same, ours, place_there)):
                differing.append((path.name, "GPS", ours, place_there))
    assert differing == []
    return compared


def _is_same(ours: object, theirs: object) -> bool:
    """Text but for white space; numbers to the digits that exiftool gives."""
    with suppress(TypeError, ValueError):  # Of many digits exiftool makes text.
        return abs(float(ours) - float(theirs)) <= 1e-6 * max(1.0, abs(float(theirs)))
    return " ".join(str(ours).split()) == " ".join(str(theirs).split())
