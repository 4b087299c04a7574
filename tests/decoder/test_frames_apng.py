"""APNG frames: composited by the format's own formula, in every kind of pixel; bad frames are refused."""

import io
import itertools
import struct
import zlib
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageCms

from remote_worker.contract.failures import FailureCode, WorkFailed
from remote_worker.contract.messages import Avatars, Fit
from remote_worker.decoder.formats import FORMATS
from remote_worker.decoder.loaders.loader import Frame

from .pictures import do, saved

Pixels = npt.NDArray[np.uint8]

WIDTH, HEIGHT = 12, 8
NONE, BACKGROUND, PREVIOUS = 0, 1, 2
SOURCE, OVER = 0, 1
CANVAS = (WIDTH, HEIGHT)


@dataclass(frozen=True)
class Part:
    """One frame as a file has it; `pixels` are what its data holds, of any kind."""

    pixels: Pixels
    left: int = 0
    top: int = 0
    dispose: int = NONE
    blend: int = SOURCE
    delay: tuple[int, int] = (7, 100)
    width: int | None = None
    """Where a pixel is not one entry of a row."""


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def deflated(pixels: Pixels) -> bytes:
    return zlib.compress(b"".join(b"\0" + row.tobytes() for row in pixels))


def apng(
    parts: list[Part], *, depth: int = 8, kind: int = 6, extra: bytes = b"", default: Pixels | None = None
) -> bytes:
    """The file, with each frame's data in two chunks, as encoders may."""
    made = [
        b"\x89PNG\r\n\x1a\n",
        chunk(b"IHDR", struct.pack(">IIBBBBB", *CANVAS, depth, kind, 0, 0, 0)),
        extra,
    ]
    made.append(chunk(b"acTL", struct.pack(">II", len(parts), 0)))
    if default is not None:
        made.append(chunk(b"IDAT", deflated(default)))
    sequence = itertools.count()
    for at, part in enumerate(parts):
        height, width = part.pixels.shape[:2]
        place = (part.width or width, height, part.left, part.top)
        made.append(
            chunk(
                b"fcTL", struct.pack(">5I2H2B", next(sequence), *place, *part.delay, part.dispose, part.blend)
            )
        )
        data = deflated(part.pixels)
        for piece in (data[:9], data[9:]):
            if at == 0 and default is None:
                made.append(chunk(b"IDAT", piece))
            else:
                made.append(chunk(b"fdAT", struct.pack(">I", next(sequence)) + piece))
    return b"".join([*made, chunk(b"IEND", b"")])


def by_the_formula(parts: list[Part]) -> list[npt.NDArray[np.float64]]:
    """What the specification says each frame shows (PNG third edition, 11.3.5 and 13.10), not rounded."""
    canvas = np.zeros((HEIGHT, WIDTH, 4))
    shown = []
    for at, part in enumerate(parts):
        height, width = part.pixels.shape[:2]
        place = np.s_[part.top : part.top + height, part.left : part.left + width]
        before = canvas.copy()
        source = part.pixels.astype(float)
        if part.blend == OVER:
            alpha, below = source[..., 3:] / 255, canvas[place][..., 3:] / 255
            out = alpha + below * (1 - alpha)
            mixed = source[..., :3] * alpha + canvas[place][..., :3] * below * (1 - alpha)
            source = np.concatenate((mixed / np.where(out == 0, 1, out), out * 255), axis=-1)
        canvas[place] = source
        shown.append(canvas.copy())
        if part.dispose == BACKGROUND or (part.dispose == PREVIOUS and at == 0):
            canvas[place] = 0
        elif part.dispose == PREVIOUS:
            canvas = before
    return shown


def frames_of(data: bytes) -> list[Frame]:
    row = next(row for row in FORMATS if row.name == "png")
    assert row.loader is not None
    return list(row.loader.frames(data, row.header(data)))


def assert_shows(images: list[Image.Image], expected: list[npt.NDArray[np.float64]]) -> None:
    """Alpha within one level; colours within two, weighed by their alpha, since clear pixels have none."""
    assert len(images) == len(expected)
    for image, want in zip(images, expected, strict=True):
        got = np.asarray(image.convert("RGBA")).astype(float)
        assert np.abs(got[..., 3] - want[..., 3]).max() <= 1
        weight = want[..., 3:] / 255
        assert (np.abs(got - want)[..., :3] * weight).max() <= 2


def reread(data: bytes) -> list[Image.Image]:
    """The frames of an APNG whose later frames only replace, which Pillow puts together as it should."""
    image = Image.open(io.BytesIO(data))
    made = []
    for at in range(getattr(image, "n_frames", 1)):
        image.seek(at)
        made.append(image.convert("RGBA"))
    return made


def colored(seed: int, width: int, height: int, alphas: list[int]) -> Pixels:
    random = np.random.default_rng(seed)
    pixels = random.integers(0, 256, (height, width, 4), dtype=np.uint8)
    pixels[..., 3] = random.choice(alphas, (height, width))
    return pixels


OPAQUE, CUT_OUT, HALF_CLEAR = [255], [0, 255], [0, 1, 77, 128, 254, 255]


@pytest.mark.parametrize("alphas", [OPAQUE, CUT_OUT, HALF_CLEAR], ids=["opaque", "cut out", "half clear"])
@pytest.mark.parametrize("first_alphas", [OPAQUE, HALF_CLEAR], ids=["on opaque", "on half clear"])
@pytest.mark.parametrize("blend", [SOURCE, OVER])
@pytest.mark.parametrize("dispose", [NONE, BACKGROUND, PREVIOUS])
@pytest.mark.parametrize("first_dispose", [NONE, BACKGROUND, PREVIOUS])
def test_frames_show_what_the_formula_says(
    alphas: list[int], first_alphas: list[int], blend: int, dispose: int, first_dispose: int
) -> None:
    parts = [Part(colored(1, *CANVAS, first_alphas), dispose=first_dispose)]
    for seed, (left, top) in enumerate([(0, 0), (2, 1), (3, 2), (6, 4)], start=2):
        parts.append(Part(colored(seed, 6, 4, alphas), left, top, dispose, blend))
    data = apng(parts)

    seen = [frame.image for frame in frames_of(data)]
    written = do(Fit(width=10_000, height=10_000, animated=True), data).pictures["output"]

    assert_shows(seen, by_the_formula(parts))
    assert_shows(reread(written), by_the_formula(parts))


def test_disposals_and_blends_may_change_from_frame_to_frame() -> None:
    parts = [Part(colored(1, *CANVAS, HALF_CLEAR))]
    for seed, (dispose, blend) in enumerate(
        itertools.product((PREVIOUS, BACKGROUND, NONE), (OVER, SOURCE)), 2
    ):
        parts.append(Part(colored(seed, 6, 4, HALF_CLEAR), seed % 6, seed % 4, dispose, blend))
        parts.append(Part(colored(seed + 50, *CANVAS, HALF_CLEAR), 0, 0, dispose, blend))

    assert_shows([frame.image for frame in frames_of(apng(parts))], by_the_formula(parts))


def test_a_picture_before_the_first_control_is_no_frame() -> None:
    default = colored(9, *CANVAS, OPAQUE)
    parts = [Part(colored(1, 6, 4, OPAQUE), 3, 2), Part(colored(2, 6, 4, HALF_CLEAR), 1, 1, blend=OVER)]
    data = apng(parts, default=default)

    still = do(Fit(width=10_000, height=10_000), data).pictures["output"]

    assert_shows([frame.image for frame in frames_of(data)], by_the_formula(parts))
    assert reread(still)[0].tobytes() == default.tobytes()


def test_frames_stay_as_they_were_when_later_ones_come() -> None:
    parts = [Part(colored(seed, *CANVAS, OPAQUE)) for seed in range(3)]
    parts += [Part(colored(8, 6, 4, HALF_CLEAR), 1, 1, BACKGROUND, OVER), Part(colored(9, 6, 4, OPAQUE))]
    row = next(row for row in FORMATS if row.name == "png")
    assert row.loader is not None
    seen, then = [], []

    for frame in row.loader.frames(apng(parts), row.header(apng(parts))):
        seen.append(frame.image)
        then.append(frame.image.tobytes())

    assert [image.tobytes() for image in seen] == then
    assert len({id(image) for image in seen}) == len(parts)


def test_opaque_frames_have_no_alpha() -> None:
    parts = [Part(colored(seed, *CANVAS, OPAQUE)[..., :3]) for seed in range(2)]
    data = apng([*parts, Part(colored(3, 6, 4, OPAQUE)[..., :3], 1, 1, blend=OVER)], kind=2)

    assert [frame.image.mode for frame in frames_of(data)] == ["RGB"] * 3


PALETTE = chunk(b"PLTE", bytes([255, 0, 0, 0, 255, 0, 0, 0, 255, 9, 9, 9])) + chunk(
    b"tRNS", bytes([255, 128, 0])
)


def full(value: Any, width: int, height: int, dtype: str = ">u1") -> Pixels:
    """Samples as the file has them: 16-bit ones are two bytes each."""
    array = np.full((height, width, *np.shape(value)), value, dtype=dtype)
    return array.view(np.uint8) if dtype == ">u2" else array.astype(np.uint8)


@pytest.mark.parametrize(
    ("depth", "kind", "extra", "dtype", "first", "second", "seen"),
    [
        (8, 0, b"", ">u1", 40, 200, (200, 200, 200, 255)),
        (8, 0, chunk(b"tRNS", b"\0\xc8"), ">u1", 40, 200, (40, 40, 40, 255)),
        (8, 0, chunk(b"tRNS", b"\0\xc9"), ">u1", 40, 200, (200, 200, 200, 255)),
        (16, 0, b"", ">u2", 0, 0x8080, (128, 128, 128, 255)),
        (8, 2, chunk(b"tRNS", b"\0\x01\0\x02\0\x03"), ">u1", (9, 8, 7), (1, 2, 3), (9, 8, 7, 255)),
        (8, 3, PALETTE, ">u1", 0, 1, (127, 128, 0, 255)),
        (8, 3, PALETTE, ">u1", 0, 2, (255, 0, 0, 255)),
        (8, 3, PALETTE, ">u1", 0, 3, (9, 9, 9, 255)),
        (8, 4, b"", ">u1", (0, 255), (200, 128), (100, 100, 100, 255)),
        (8, 6, b"", ">u1", (0, 0, 0, 255), (200, 100, 0, 128), (100, 50, 0, 255)),
    ],
)
def test_every_kind_of_pixel_is_laid_over(
    depth: int, kind: int, extra: bytes, dtype: str, first: Any, second: Any, seen: tuple[int, ...]
) -> None:
    parts = [
        Part(full(first, *CANVAS, dtype), width=WIDTH),
        Part(full(second, 6, 4, dtype), 2, 1, NONE, OVER, width=6),
    ]

    image = frames_of(apng(parts, depth=depth, kind=kind, extra=extra))[1].image.convert("RGBA")

    found = image.getpixel((4, 3))
    assert isinstance(found, tuple)
    assert max(abs(a - b) for a, b in zip(found, seen, strict=True)) <= 1


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_packed_samples_are_read(depth: int) -> None:
    white = np.full((HEIGHT, -(-WIDTH * depth // 8)), 255, dtype=np.uint8)
    parts = [Part(white, width=WIDTH), Part(white * 0, width=WIDTH)]
    data = apng(parts, depth=depth, kind=0)

    assert [frame.image.convert("L").getextrema() for frame in frames_of(data)] == [(255, 255), (0, 0)]


def test_the_profile_of_the_file_counts_for_every_frame() -> None:
    # White by this profile is not the white of sRGB, and blue and red change places.
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    parts = [Part(colored(seed, *CANVAS, OPAQUE)) for seed in (1, 2)]
    profile = chunk(b"iCCP", b"name\0\0" + zlib.compress(lab))

    seen = frames_of(apng(parts, extra=profile))

    assert [frame.image.info.get("icc_profile") for frame in seen] == [lab, lab]
    assert "icc_profile" not in frames_of(apng(parts))[1].image.info


GOOD = [Part(colored(1, *CANVAS, OPAQUE)), Part(colored(2, 6, 4, OPAQUE), 6, 4)]


@pytest.mark.parametrize(
    "last",
    [
        replace(GOOD[1], left=7),
        replace(GOOD[1], top=5),
        replace(GOOD[1], left=0xFFFF_FFFF),
        replace(GOOD[1], pixels=GOOD[1].pixels[:0]),
        replace(GOOD[1], dispose=3),
        replace(GOOD[1], blend=2),
    ],
)
def test_a_frame_that_does_not_fit_is_damage(last: Part) -> None:
    assert len(frames_of(apng(GOOD))) == 2

    with pytest.raises(WorkFailed) as failed:
        frames_of(apng([GOOD[0], last]))
    assert failed.value.code is FailureCode.DAMAGED


def test_the_first_picture_of_the_file_is_as_large_as_the_canvas_when_it_is_a_frame() -> None:
    with pytest.raises(WorkFailed) as failed:
        frames_of(apng([GOOD[1], GOOD[0]]))

    assert failed.value.code is FailureCode.DAMAGED


def test_a_frame_without_all_its_pixels_is_damage() -> None:
    data = apng(GOOD)
    last = data.rindex(b"fdAT") - 4

    for cut in (data[:last], data[: last + 14], data[: data.rindex(b"fdAT", 0, last) - 4]):
        with pytest.raises(WorkFailed) as failed:
            frames_of(cut)
        assert failed.value.code is FailureCode.DAMAGED


def test_delays_without_a_denominator_are_hundredths() -> None:
    parts = [replace(GOOD[0], delay=(7, 0)), replace(GOOD[1], delay=(1, 3))]

    assert [frame.duration_ms for frame in frames_of(apng(parts))] == [70, 333]


@pytest.mark.parametrize(
    ("delay", "seconds"),
    [
        ((65535, 1000), 65.535),
        ((6554, 100), 65.54),
        ((65535, 100), 655.35),
        ((6554, 10), 655.4),
        ((65535, 10), 6553.5),
        ((6554, 1), 6554),
        ((65535, 1), 65535),
    ],
)
def test_long_delays_are_written_as_they_were(delay: tuple[int, int], seconds: float) -> None:
    data = apng([replace(part, delay=delay) for part in GOOD])

    for made in (
        do(Fit(width=10_000, height=10_000, animated=True), data).pictures["output"],
        do(Avatars(animated=True), data).pictures["avatar24"],
    ):
        at = made.index(b"fcTL") + 24
        numerator, denominator = struct.unpack_from(">HH", made, at)
        assert numerator / denominator == seconds


def test_a_still_png_has_one_frame() -> None:
    assert len(frames_of(saved(Image.new("RGB", (5, 4), "red"), "PNG"))) == 1
