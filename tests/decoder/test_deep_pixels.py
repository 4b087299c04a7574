"""Samples of more or fewer than 8 bits, and colours that files keep otherwise than they show them."""

import base64
import io
import struct
import subprocess
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from remote_worker.contract.failures import FailureCode, WorkFailed
from remote_worker.contract.messages import Fit

from .pictures import WHITE, output, pixel, pixels

Run = Callable[..., subprocess.CompletedProcess[bytes]]

np = pytest.importorskip("numpy")

NATURAL = Fit(width=10_000, height=10_000, format="png")
SIZE = (48, 32)


def ramp(bits: int, channels: int) -> "np.ndarray":
    """All levels from black to white, with both ends in large places, each channel in its own direction."""
    top = (1 << bits) - 1
    gray = np.linspace(0, top, SIZE[0] * SIZE[1]).round().astype(np.uint32).reshape(SIZE[1], SIZE[0])
    gray[:6], gray[-6:] = 0, top
    turned = [gray, gray[::-1], gray[:, ::-1], gray[::-1, ::-1]]
    return np.stack(turned[:channels], axis=-1)


def expected(samples: "np.ndarray", bits: int) -> "np.ndarray":
    return samples * (255 / ((1 << bits) - 1))


def worst(made: Image.Image, wanted: "np.ndarray") -> float:
    modes = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}
    found = np.asarray(made.convert(modes[wanted.shape[-1]])).reshape(wanted.shape)
    return float(np.abs(found - wanted).max())


def tiff(
    samples: "np.ndarray", bits: int, *, photometric: int, planes: bool = False, order: str = "<"
) -> bytes:
    """An uncompressed TIFF of whole bytes a sample, in one strip or one a plane."""
    height, width, channels = samples.shape
    parts = [samples[..., index] for index in range(channels)] if planes else [samples]
    strips = [part.astype(f"{order}u{bits // 8}").tobytes() for part in parts]
    fields = [
        (256, width), (257, height), (258, [bits] * channels), (259, 1), (262, photometric), (273, None),
        (277, channels), (278, height), (279, [len(strip) for strip in strips]), (284, 2 if planes else 1),
    ]  # fmt: skip
    if channels == 4:
        fields.append((338, 2))
    behind = 8 + 2 + 12 * len(fields) + 4
    extra = b""
    starts = [behind + 64 + sum(map(len, strips[:index])) for index in range(len(strips))]
    entries = b""
    for tag, value in fields:
        values = starts if value is None else value if isinstance(value, list) else [value]
        content = struct.pack(f"{order}{len(values)}I", *values)
        if len(values) > 1:
            place = behind + len(extra)
            extra += content
            content = struct.pack(f"{order}I", place)
        entries += struct.pack(f"{order}HHI", tag, 4, len(values)) + content
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}IH", 8, len(fields))
    return head + entries + bytes(4) + extra.ljust(64, b"\0") + b"".join(strips)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(("channels", "planes"), [(3, True), (4, True), (3, False), (4, False)])
def test_a_tiff_of_16_bits_keeps_its_colors(channels: int, planes: bool, order: str) -> None:
    samples = ramp(16, channels)

    made = output(NATURAL, tiff(samples, 16, photometric=2, planes=planes, order=order))

    assert worst(made, expected(samples, 16)) <= 1.01


def test_a_tiff_of_16_bits_whose_smallest_value_is_white_is_inverted() -> None:
    samples = ramp(16, 1)

    made = output(NATURAL, tiff(samples, 16, photometric=0))

    assert worst(made, 255 - expected(samples, 16)) <= 1


def test_unsigned_samples_of_32_bits_do_not_wrap() -> None:
    samples = ramp(32, 1)

    made = output(NATURAL, tiff(samples, 32, photometric=1))

    assert worst(made, expected(samples, 32)) <= 1


@pytest.mark.needs_imagemagick
def test_a_tiff_of_12_bits_reaches_white(imagemagick: Run, tmp_path: Path) -> None:
    file = tmp_path / "gray.tiff"
    imagemagick("-size", "48x32", "gradient:black-white", "-colorspace", "Gray", "-depth", "12", file)
    shown = Image.open(io.BytesIO(imagemagick(file, "-depth", "8", "png:-").stdout)).convert("L")

    made = output(NATURAL, file.read_bytes())

    assert worst(made, np.asarray(shown)[..., None].astype(float)) <= 1
    assert made.convert("L").getextrema() == (0, 255)


@pytest.mark.needs_imagemagick
def test_premultiplied_planes_of_a_tiff_are_refused(imagemagick: Run, tmp_path: Path) -> None:
    file = tmp_path / "planes.tiff"
    imagemagick(
        "-size", "48x32", "xc:#ff000080", "-define", "tiff:alpha=associated", "-interlace", "Plane",
        "-compress", "LZW", file,
    )  # fmt: skip

    with pytest.raises(WorkFailed) as failed:
        output(NATURAL, file.read_bytes())

    assert failed.value.code is FailureCode.DAMAGED


@pytest.mark.needs_imagemagick
@pytest.mark.parametrize("kind", ["jp2", "j2k"])
@pytest.mark.parametrize("bits", [4, 8, 9, 10, 12, 16])
def test_a_jpeg_2000_of_any_depth_reaches_black_and_white(
    bits: int, kind: str, imagemagick: Run, tmp_path: Path
) -> None:
    samples = ramp(bits, 3)
    whole = (samples * (65535 / ((1 << bits) - 1))).round().astype(">u2").tobytes()
    file = tmp_path / f"ramp.{kind}"
    imagemagick(
        "-size", "48x32", "-depth", "16", "-endian", "MSB", "rgb:-", "-depth", str(bits), file, stdin=whole
    )

    made = output(NATURAL, file.read_bytes())

    # Pillow rounds samples of 16 bits to the nearest 256th.
    assert worst(made, expected(samples, bits)) <= 1.6


@pytest.mark.needs_imagemagick
def test_a_deep_jpeg_2000_that_is_scaled_while_it_is_read_reaches_black_and_white(
    imagemagick: Run, tmp_path: Path
) -> None:
    file = tmp_path / "halves.jp2"
    imagemagick(
        "-size", "256x256", "xc:white", "xc:black", "+append", "-type", "TrueColor", "-depth", "16", file
    )

    made = output(Fit(width=32, height=32, format="png"), file.read_bytes()).convert("RGB")

    assert made.size == (32, 16)
    assert [made.getpixel((x, 8)) for x in (1, 8, 23, 30)] == [WHITE] * 2 + [(0, 0, 0)] * 2


BARS_9_7 = base64.b85decode(
    "|4;u>051Rl0000O0000800000000000000O00008000000000000R#J0S^HI4*>!HQUDA9000320R#j90RLP73qpt_"
    "m(!Qimty~r015yA0002D00IA#->JAEYzPcK)D%g!LqWVhLqd=OwwDqAhW`i?5IoVqBQxD6WR1ays4f`I$ecm(;MZAA"
    "TX{-yLFdoBR67j_oZ03by9Bt}fEn77HVqG~`D@R}Xh7NwMmV}|mxG4vrVDp>j?&^}bTJ+%V{CfI-YftiZno+dhA2?*"
    "7dG2aEmL2}=*Ly3Gr{%-05+bz3(JkUCjq1j6~Xof05$Rml$I8&FwJ-T=>OR"
)
"""Black, white and (65535, 32768, 0) in bars of 8 x 8, 16 bits, `opj_compress -I -r 4 -n 2`."""


def test_a_lossy_deep_jpeg_2000_whose_white_overshoots_stays_white() -> None:
    made = output(NATURAL, BARS_9_7).convert("RGB")

    assert _near(made.getpixel((3, 4)), (0, 0, 0))
    assert _near(made.getpixel((11, 4)), WHITE)
    assert _near(made.getpixel((20, 4)), (255, 128, 0))


GRAY_ALPHA_16 = base64.b64decode(
    "AAAADEpYTCANCocKAAAAFGZ0eXBqeGwgAAAAAGp4bCAAAAAJanhsbAoAAAAuanhsY/8KAAAG4EdRXAgICBAAWABLGIsVQopOEaCz/P+r"
    "3I5kkP/7UOQD"
)
"""`cjxl -d 0` (alpha in 8 bits) of a row of (0, 65535), (65535, 0x8000), (0x1234, 0xfedc), (0xabcd, 255)."""
GAMMA_0_45455 = base64.b85decode("{|Xoo90Zkns|W%J0s#Ol081E)6~dVGEQ$~S")
"""`cjxl -d 0` of ImageMagick's `-size 4x4 gradient: -depth 8`, 255 to 0, which says a gamma of 0.45455."""


def test_a_jpeg_xl_of_16_bit_gray_with_alpha_keeps_both() -> None:
    pytest.importorskip("pillow_jxl")

    made = output(NATURAL, GRAY_ALPHA_16).convert("LA")

    assert list(made.get_flattened_data()) == [(0, 255), (255, 0x80), (0x12, 0xFE), (0xAB, 1)]


def test_a_jpeg_xl_made_from_a_png_with_the_usual_gamma_is_taken_as_srgb() -> None:
    pytest.importorskip("pillow_jxl")

    made = output(NATURAL, GAMMA_0_45455).convert("L")

    assert [made.getpixel((0, y)) for y in range(4)] == [255, 170, 85, 0]


def clear_png(color: tuple[int, int, int], *others: tuple[int, int, int]) -> bytes:
    """A row of 16-bit RGB samples of which one colour is clear."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        )

    row = b"\0" + b"".join(struct.pack(">3H", *each) for each in (color, *others))
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", 1 + len(others), 1, 16, 2, 0, 0, 0))
        + chunk(b"tRNS", struct.pack(">3H", *color))
        + chunk(b"IDAT", zlib.compress(row))
        + chunk(b"IEND", b"")
    )


def test_a_clear_color_of_16_bits_is_told_from_its_neighbours() -> None:
    clear = (0x1234, 0x5678, 0x9ABC)
    neighbours = [(0x1235, 0x5678, 0x9ABC), (0x1234, 0x5677, 0x9ABC), (0x1234, 0x5678, 0x9BBC)]

    made = output(NATURAL, clear_png(clear, *neighbours))

    assert [each[3] for each in pixels(made)] == [0, 255, 255, 255]
    assert pixel(made, 1, 0)[:3] == (0x12, 0x56, 0x9A)


@pytest.mark.parametrize(
    ("stored", "alpha", "shown"),
    # Photoshop lays the merged picture on white: c * a + 255 * (255 - a), in parts of 255.
    [
        ((255, 128, 128), 127, (255, 0, 0)),
        ((168, 143, 168), 203, (145, 114, 145)),
        ((10, 20, 30), 255, (10, 20, 30)),
    ],
)
def test_the_white_behind_a_merged_photoshop_picture_is_taken_away(
    stored: tuple[int, int, int], alpha: int, shown: tuple[int, int, int]
) -> None:
    planes = b"".join(bytes([value]) * 64 for value in (*stored, alpha))
    # One layer that is transparent where the picture is: a negative number of layers says so.
    layers = struct.pack(">IIhxx", 8, 4, -1)
    head = struct.pack(">4sH6xHIIHH", b"8BPS", 1, 4, 8, 8, 8, 3)

    made = output(NATURAL, head + bytes(8) + layers + bytes(2) + planes)

    if alpha == 255:
        assert pixel(made, 4, 4) == (*shown, 255)
    else:
        assert _near(pixel(made, 4, 4), (*shown, alpha), 1)


def test_the_alpha_bit_of_a_bmp_of_16_bits_counts() -> None:
    masks = struct.pack("<4I", 0x7C00, 0x03E0, 0x001F, 0x8000)
    info = struct.pack("<IiiHHIIiiII", 124, 2, 1, 1, 16, 3, 4, 0, 0, 0, 0) + masks
    body = info.ljust(124, b"\0") + struct.pack("<2H", 0xFC00, 0x7C00)
    made = output(NATURAL, struct.pack("<2sIHHI", b"BM", 14 + len(body), 0, 0, 14 + 124) + body)

    assert [pixel(made, x, 0) for x in (0, 1)] == [(255, 0, 0, 255), (255, 0, 0, 0)]


def _near(found: object, wanted: tuple[int, ...], tolerance: int = 3) -> bool:
    assert isinstance(found, tuple)
    return all(abs(a - b) <= tolerance for a, b in zip(found, wanted, strict=True))
