"""A format that is off is neither read nor written, on its own or inside of another."""

import io
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from remote_worker.contract.failures import FailureCode, WorkFailed
from remote_worker.contract.formats import FormatName
from remote_worker.contract.limits import Limits
from remote_worker.contract.messages import Avatars, Fit, Info, Prepare, Task
from remote_worker.contract.signatures import PICTURES, Template
from remote_worker.decoder import switches, warm

from .pictures import corners, do, noise, saved

Leave = Callable[..., None]
SMALL = Fit(width=8, height=8)


@pytest.fixture
def switch_off() -> Iterator[Leave]:
    """Switches these formats off until the test ends."""
    yield lambda *names: switches.leave_on(name for name in FormatName if name not in names)
    switches.leave_on(FormatName)


def refusal(task: Task, data: bytes) -> FailureCode | None:
    try:
        do(task, data)
    except WorkFailed as failed:
        return failed.code
    return None


OFF = FailureCode.FORMAT_UNAVAILABLE
CORPUS = Path(__file__).parents[1] / "corpus"
SAMPLES = {
    "jpeg": "sample.jpg",
    "jp2": "sample.jp2",
    "png": "sample.png",
    "gif": "sample.gif",
    "bmp": "sample.bmp",
    "tiff": "sample-lzw.tif",
    "webp": "sample.webp",
    "heic": "sample.heic",
    "avif": "sample.avif",
    "psd": "sample.psd",
    "icns": "sample.icns",
    "ico": "sample.ico",
    "jxl": "sample.jxl",
    "svg": "sample.svg",
}


def sample(name: str) -> bytes:
    return (warm.SAMPLES / SAMPLES[name]).read_bytes()


@pytest.mark.parametrize("name", FormatName)
def test_an_upload_of_a_format_that_is_off_is_refused_and_each_other_is_read(
    switch_off: Leave, name: FormatName
) -> None:
    switch_off(name)

    assert [refusal(task, sample(name)) for task in (SMALL, Info(), Avatars())] == [OFF, OFF, OFF]
    others = {other: refusal(Info(), sample(other)) for other in SAMPLES if other != name}
    assert set(others.values()) == {None}


@pytest.mark.parametrize("target", ["png", "jpeg", "webp", "avif"])
def test_a_format_that_is_off_is_not_written(switch_off: Leave, target: str) -> None:
    upload = saved(corners(), "BMP")
    switch_off(target)

    assert refusal(Fit(width=8, height=8, format=target), upload) is OFF
    others = {"png", "jpeg", "webp", "avif"} - {target}
    assert [refusal(Fit(width=8, height=8, format=other), upload) for other in others] == [None] * 3


def test_without_png_there_are_no_avatars_and_no_fit_that_would_write_one(switch_off: Leave) -> None:
    switch_off("png")

    assert refusal(Avatars(), sample("jpeg")) is OFF
    assert refusal(SMALL, sample("psd")) is OFF
    assert refusal(Fit(width=8, height=8, format="webp"), sample("psd")) is None
    assert refusal(SMALL, sample("jpeg")) is None


def test_without_jpeg_nothing_is_prepared_and_what_is_no_jpeg_is_told_so(switch_off: Leave) -> None:
    switch_off("jpeg")

    assert refusal(Prepare(), sample("jpeg")) is OFF
    assert refusal(Prepare(), sample("png")) is FailureCode.NOT_A_JPEG


def test_a_heic_without_alpha_needs_jpeg_to_be_fitted_without_a_format(switch_off: Leave) -> None:
    plain, clear = (CORPUS / "heic" / "plain.heic", CORPUS / "heic" / "alpha.heic")
    switch_off("jpeg")

    assert refusal(SMALL, plain.read_bytes()) is OFF
    assert refusal(Fit(width=8, height=8, format="png"), plain.read_bytes()) is None
    assert refusal(SMALL, clear.read_bytes()) is None


def ico(entry: bytes, side: int) -> bytes:
    return struct.pack("<HHHBBBBHHII", 0, 1, 1, side, side, 0, 0, 1, 32, len(entry), 22) + entry


def icns(kind: bytes, entry: bytes) -> bytes:
    return b"icns" + struct.pack(">I4sI", 16 + len(entry), kind, 8 + len(entry)) + entry


def bitmap(side: int) -> bytes:
    """A device independent bitmap of a colour, with its mask."""
    header = struct.pack("<IiiHHIIiiII", 40, side, 2 * side, 1, 32, 0, 0, 0, 0, 0, 0)
    return header + b"\x10\x20\x30\xff" * side * side + b"\0" * 4 * side


PNG_16 = saved(corners(16, 16), "PNG")


def tiff(compression: str) -> bytes:
    file = io.BytesIO()
    noise(16, 16).convert("RGB").save(file, "TIFF", compression=compression)
    return file.getvalue()


@pytest.mark.parametrize(
    ("inner", "outer", "neighbour"),
    [
        ("png", ico(PNG_16, 16), ico(bitmap(16), 16)),
        ("bmp", ico(bitmap(16), 16), ico(PNG_16, 16)),
        ("png", icns(b"ic10", PNG_16), icns(b"ic10", saved(corners(16, 16), "JPEG2000"))),
        ("jp2", icns(b"ic10", saved(corners(16, 16), "JPEG2000")), icns(b"ic10", PNG_16)),
        ("jpeg", tiff("jpeg"), tiff("tiff_lzw")),
    ],
    ids=["png in ico", "bmp in ico", "png in icns", "jp2 in icns", "jpeg in tiff"],
)
def test_a_container_is_refused_when_the_format_inside_is_off(
    switch_off: Leave, inner: str, outer: bytes, neighbour: bytes
) -> None:
    task = Fit(width=8, height=8, format="webp")
    assert refusal(task, outer) is None
    switch_off(inner)

    assert refusal(task, outer) is OFF
    assert refusal(task, neighbour) is None


def test_a_jpeg_packed_into_jpeg_xl_is_refused_when_jpeg_is_off(switch_off: Leave) -> None:
    pytest.importorskip("pillow_jxl")
    packed = (CORPUS / "jxl" / "orientation-6.jxl").read_bytes()
    assert refusal(SMALL, packed) is None
    switch_off("jpeg")

    assert refusal(SMALL, packed) is OFF
    assert refusal(SMALL, sample("jxl")) is None


@pytest.mark.parametrize("template", PICTURES)
def test_the_warm_up_names_what_is_off_and_finds_the_rest_in_order(
    switch_off: Leave, template: Template
) -> None:
    switch_off("png", "bmp")
    words = warm.up(template, Limits())

    off = {"png", "bmp"} & words.keys()
    assert words == dict.fromkeys(words, "ok") | dict.fromkeys(off, "off")
    assert {name for name, row in warm.table().items() if not row["is_written"]} >= {"png", "bmp", "psd"}
    assert warm.table()["webp"] == {"mime": "image/webp", "is_written": True, "keeps_frames": True}
