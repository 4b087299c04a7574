"""Writers: what other readers make of our PNG, APNG, GIF and BMP."""

import io
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pillow_jxl  # noqa: F401  Pillow writes JPEG XL from then on.
import pytest
from PIL import Image, ImageChops, ImageDraw

from remote_worker.contract.failures import FailureCode, WorkFailed
from remote_worker.decoder import animation, encode, png_chunks
from remote_worker.decoder.animation import Film
from remote_worker.decoder.loaders.loader import Frame

from .pictures import frame_count, noise, pixel

LIMIT = 64 * 1024 * 1024
MODES = ["L", "LA", "RGB", "RGBA"]


def opened(body: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(body))
    image.load()
    return image


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("size", [(1, 1), (1, 7), (7, 1), (3, 2), (97, 61), (700, 800)])
def test_png_gives_back_every_pixel(mode: str, size: tuple[int, int]) -> None:
    image = noise(*size, mode)

    made = opened(encode.encode(image, "png", None, LIMIT))

    assert (made.format, made.mode, made.size) == ("PNG", mode, size)
    assert made.tobytes() == image.tobytes()


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_drawings_come_back_and_weigh_as_little_as_with_zlib(mode: str) -> None:
    image = Image.new(mode, (640, 480), "#f4f5f7")
    pen = ImageDraw.Draw(image)
    for at in range(12):
        pen.rectangle((20, 10 + 39 * at, 200, 40 + 39 * at), fill="#7aa0ff" if at % 3 else "#2b3a55")
        pen.text((220, 15 + 39 * at), f"{at}. The quick brown fox jumps over the lazy dog " * 2, fill="#333")
    by_zlib = io.BytesIO()
    image.save(by_zlib, "PNG")

    body = encode.encode(image, "png", None, LIMIT)

    assert opened(body).mode == mode
    assert opened(body).tobytes() == image.tobytes()
    assert len(body) <= 1.02 * by_zlib.tell()


def test_a_gray_photo_in_rgb_is_taken_for_no_drawing() -> None:
    levels = Image.radial_gradient("L").resize((640, 480))
    image = ImageChops.add(levels, Image.effect_noise((640, 480), 12), scale=2).convert("RGB")
    by_zlib = io.BytesIO()
    image.save(by_zlib, "PNG")

    body = encode.encode(image, "png", None, LIMIT)

    assert opened(body).tobytes() == image.tobytes()
    assert len(body) <= 1.1 * by_zlib.tell()


@pytest.mark.needs_imagemagick
@pytest.mark.parametrize("mode", MODES)
def test_imagemagick_reads_the_same_pixels(mode: str, imagemagick: Callable[..., Any]) -> None:
    image = noise(97, 61, mode)

    read = imagemagick(
        "png:-", "-depth", "8", "rgba:-", stdin=encode.encode(image, "png", None, LIMIT)
    ).stdout

    assert read == image.convert("RGBA").tobytes()


@pytest.mark.parametrize("name", sorted(encode.WRITERS))
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("size", [(1, 1), (33, 20)])
def test_every_writer_takes_every_mode(name: str, mode: str, size: tuple[int, int]) -> None:
    made = opened(encode.encode(noise(*size, mode), name, None, LIMIT))

    assert made.size == size
    # The JPEG XL decoder makes up a profile for what it gives.
    carried = {"exif", "xmp", "comment"} | ({"icc_profile"} if name != "jxl" else set())
    assert not carried & {key for key, value in made.info.items() if value}


# Of the usual Huffman tables (ITU-T T.81, K.3.1): codes of each length for luminance DC differences.
USUAL_CODES = bytes.fromhex("0000010501010101010100000000000000")


@pytest.mark.parametrize(
    ("size", "deviation", "is_usual"),
    [((256, 256), 200, False), ((257, 256), 200, True), ((800, 600), 0, False), ((800, 600), 50, True)],
)
def test_small_and_flat_jpegs_have_huffman_tables_of_their_own(
    size: tuple[int, int], deviation: int, is_usual: bool
) -> None:
    gray = Image.effect_noise(size, deviation)

    body = encode.encode(Image.merge("RGB", (gray, gray.rotate(180), gray)), "jpeg", 95, LIMIT)

    assert (USUAL_CODES in body) is is_usual


@pytest.mark.parametrize(("size", "quality"), [((256, 256), 94), ((256, 256), 100), ((1, 65_400), None)])
def test_even_noise_and_narrow_pictures_are_written_as_jpeg(
    size: tuple[int, int], quality: int | None
) -> None:
    levels = np.random.default_rng(1).integers(0, 2, (size[1], size[0], 3), np.uint8) * 255

    body = encode.encode(Image.fromarray(levels), "jpeg", quality, LIMIT)

    read = Image.open(io.BytesIO(body))
    read.load()
    assert read.size == size
    assert len(body) > size[0] * size[1]  # Pillow's own guess of what it takes.


@pytest.mark.parametrize("name", ["avif", "webp"])
@pytest.mark.parametrize("size", [(300, 200), (2000, 1001)])
def test_alpha_is_kept_whole_where_colours_are_not(name: str, size: tuple[int, int]) -> None:
    image = noise(*size, "RGBA")

    made = opened(encode.encode(image, name, None, LIMIT))

    assert made.getchannel("A").tobytes() == image.getchannel("A").tobytes()
    assert made.convert("RGB").tobytes() != image.convert("RGB").tobytes()


def test_bmp_keeps_alpha() -> None:
    image = noise(9, 7, "RGBA")

    assert opened(encode.encode(image, "bmp", None, LIMIT)).tobytes() == image.tobytes()


def test_gif_clears_what_is_more_than_half_clear() -> None:
    image = Image.new("RGBA", (10, 10), (0, 0, 255, 127))
    image.paste((255, 0, 0, 128), (0, 0, 5, 10))

    made = opened(encode.encode(image, "gif", None, LIMIT)).convert("RGBA")

    assert made.getpixel((2, 2)) == (255, 0, 0, 255)
    pixel = made.getpixel((8, 2))
    assert isinstance(pixel, tuple)
    assert pixel[3] == 0


def test_a_side_that_a_format_cannot_say_is_refused() -> None:
    with pytest.raises(WorkFailed) as failed:
        encode.encode(Image.new("L", (16_384, 1)), "webp", None, LIMIT)

    assert failed.value.code is FailureCode.OUTPUT_TOO_LARGE
    assert opened(encode.encode(Image.new("L", (16_383, 1)), "webp", None, LIMIT)).size == (16_383, 1)


def test_a_body_over_the_limit_is_refused() -> None:
    image = Image.effect_noise((200, 200), 100)
    size = len(encode.encode(image, "png", None, LIMIT))

    assert len(encode.encode(image, "png", None, size)) == size
    with pytest.raises(WorkFailed) as failed:
        encode.encode(image, "png", None, size - 1)
    assert failed.value.code is FailureCode.OUTPUT_TOO_LARGE


def test_a_chunk_carries_its_checksum() -> None:
    # The end of every PNG (ISO/IEC 15948, 11.2.5).
    assert png_chunks.chunk(b"IEND", b"") == bytes.fromhex("0000000049454e44ae426082")


def moving() -> list[Image.Image]:
    frames = []
    for at in range(6):
        frame = Image.new("RGB", (40, 30), "white")
        frame.paste("red", (5 * at, 5, 5 * at + 9, 15))
        frames.append(frame)
    frames.insert(3, frames[2].copy())
    return frames


def film(frames: list[Image.Image], durations: list[int], *, loop: int = 0) -> Film:
    def again() -> Iterator[Frame]:
        return map(Frame, frames, durations)

    return Film(frames=again, count=len(frames), size=frames[0].size, loop=loop)


@pytest.mark.parametrize("name", ["png", "gif"])
def test_every_frame_comes_back_whole_even_one_like_the_one_before(name: str) -> None:
    frames, durations = moving(), [100, 20, 0, 700, 70_000, 50, 60]

    made = Image.open(io.BytesIO(animation.film(film(frames, durations), name, None, LIMIT)))

    assert frame_count(made) == 7
    for at, frame in enumerate(frames):
        made.seek(at)
        assert made.convert("RGB").tobytes() == frame.tobytes()
        assert round(made.info.get("duration", 0)) == durations[at]


@pytest.mark.parametrize("name", animation.ANIMATED)
def test_a_frame_that_has_alpha_later_makes_the_film_start_again(name: str) -> None:
    clear = Image.new("RGBA", (40, 30), (0, 0, 0, 0))
    clear.paste((255, 0, 0, 255), (0, 0, 20, 30))
    frames = [Image.new("RGB", (40, 30), "blue"), clear]

    made = Image.open(io.BytesIO(animation.film(film(frames, [50, 50]), name, None, LIMIT)))
    made.seek(1)

    assert pixel(made, 35, 15)[3] == 0
    assert pixel(made, 5, 15)[3] == 255


@pytest.mark.parametrize("loop", [0, 1, 5])
@pytest.mark.parametrize("name", ["png", "gif", "webp"])
def test_the_number_of_rounds_is_kept(name: str, loop: int) -> None:
    made = Image.open(io.BytesIO(animation.film(film(moving(), [50] * 7, loop=loop), name, None, LIMIT)))

    assert made.info.get("loop", 1) == loop


def test_a_film_over_the_limit_is_refused() -> None:
    frames = [Image.effect_noise((100, 100), 90 + at) for at in range(4)]

    with pytest.raises(WorkFailed) as failed:
        animation.film(film(frames, [50] * 4), "png", None, 20_000)

    assert failed.value.code is FailureCode.OUTPUT_TOO_LARGE


def test_avatars_share_one_run_through_the_frames() -> None:
    runs = []

    def frames() -> Iterator[tuple[list[Image.Image], int]]:
        runs.append(1)
        for frame in moving():
            yield [frame, frame.resize((20, 15))], 50

    bodies = animation.films(frames, most_bytes=LIMIT)

    assert [opened(body).size for body in bodies] == [(40, 30), (20, 15)]
    assert runs == [1]
