"""Valid samples of every format in its important variants."""

import gzip
import struct
import tempfile
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from . import containers as by_hand
from .pictures import saved, scene, scene_with_alpha, srgb_profile, stored
from .rows import Row
from .warmers import drawing, planes

WIDE = (64, 40)
LARGE = (640, 512)
"""Tall enough for all six avatars, with the neighbour one pixel below."""


def good() -> Iterator[Row]:
    """Every valid row."""
    yield from _jpeg()
    yield from _png()
    yield from _gif()
    yield from _bmp()
    yield from _tiff()
    yield from _webp()
    yield from _heif()
    yield from _jp2()
    yield from _icons_and_psd()
    yield from _jxl()
    yield from _svg()


def _jpeg() -> Iterator[Row]:
    def row(variant: str, data: bytes, size: tuple[int, int] = WIDE, **known: object) -> Row:
        return _row("jpeg", variant, "jpg", data, size, **known)

    picture = scene(*WIDE)
    plain = saved(picture, "JPEG", quality=90)
    yield row("baseline", plain)
    yield row("progressive", saved(picture, "JPEG", quality=90, progressive=True))
    yield row("gray", saved(picture.convert("L"), "JPEG", quality=90))
    yield row("cmyk", saved(picture.convert("CMYK"), "JPEG", quality=90))
    yield row("icc", saved(picture, "JPEG", quality=90, icc_profile=srgb_profile()))
    yield row("comment", saved(picture, "JPEG", quality=90, comment=b"a comment"))
    yield row(
        "restarts-444",
        saved(picture, "JPEG", quality=90, subsampling=0, restart_marker_blocks=2),
    )
    yield row("all-avatars", saved(scene(*LARGE), "JPEG", quality=40), LARGE)
    yield row("one-avatar-less", saved(scene(640, 511), "JPEG", quality=40), (640, 511))
    yield row("one-pixel", saved(scene(8, 8).crop((2, 2, 3, 3)), "JPEG"), (1, 1))
    other = saved(scene(*WIDE, shift=-10), "JPEG", quality=90)
    yield row("two-pictures", by_hand.multi_picture(plain, other), frames=2)
    for orientation in range(1, 9):
        held = stored(picture, orientation)
        tagged = by_hand.jpeg_with(
            saved(held, "JPEG", quality=92, subsampling=0),
            by_hand.exif_segment(by_hand.tiff_block(orientation=orientation)),
        )
        yield row(f"orientation-{orientation}", tagged, held.size, orientation=orientation)
    # These sides are no multiples of a coding block, so that no lossless turn is possible.
    odd = stored(scene(61, 37), 6)
    tagged = by_hand.jpeg_with(
        saved(odd, "JPEG", quality=92),
        by_hand.exif_segment(by_hand.tiff_block(orientation=6)),
    )
    yield row("orientation-6-odd-sides", tagged, odd.size, orientation=6)
    exif = by_hand.exif_segment(by_hand.tiff_block(orientation=1, gps=True))
    yield row("gps-exif", by_hand.jpeg_with(plain, exif), has_gps="yes")
    yield row(
        "gps-xmp",
        by_hand.jpeg_with(plain, by_hand.xmp_segment(by_hand.xmp_packet(gps=True))),
        has_gps="yes",
    )
    thumbnail = by_hand.jpeg_with(saved(scene(16, 10), "JPEG"), exif)
    inside = by_hand.tiff_block(orientation=1, thumbnail=thumbnail)
    yield row(
        "gps-thumbnail",
        by_hand.jpeg_with(plain, by_hand.exif_segment(inside)),
        has_gps="thumbnail",
    )
    film = by_hand.motion_photo_trailer()
    packet = by_hand.xmp_segment(by_hand.xmp_packet(motion_bytes=len(film)))
    yield row("gps-trailer", by_hand.jpeg_with(plain, packet, trailer=film), has_gps="trailer")
    second = by_hand.jpeg_with(other, exif)
    yield row(
        "gps-second-picture",
        by_hand.multi_picture(plain, second),
        frames=2,
        has_gps="yes",
    )
    yield row("place-names-iptc", by_hand.jpeg_with(plain, by_hand.iptc_segment()))


def _png() -> Iterator[Row]:
    def row(variant: str, data: bytes, size: tuple[int, int] = WIDE, **known: object) -> Row:
        return _row("png", variant, "png", data, size, **known)

    picture, glass = scene(*WIDE), scene_with_alpha(*WIDE)
    plain = saved(picture, "PNG", optimize=True)
    yield row("rgb", plain)
    yield row("rgba", saved(glass, "PNG", optimize=True), has_alpha=True)
    yield row("all-avatars", saved(scene(*LARGE).quantize(8), "PNG", optimize=True), LARGE)
    yield row("palette", saved(picture.quantize(32), "PNG"))
    yield row(
        "palette-transparent",
        saved(picture.quantize(32), "PNG", transparency=0),
        has_alpha=True,
    )
    yield row("gray-alpha", saved(glass.convert("LA"), "PNG"), has_alpha=True)
    yield row("gray-1bit", saved(picture.convert("1"), "PNG"))
    deep = b"".join(
        b"\0" + b"".join(struct.pack(">H", (x * 65535 // 63 + y * 97) & 0xFFFF) for x in range(64))
        for y in range(40)
    )
    yield row("gray-16bit", by_hand.png_of(*WIDE, depth=16, kind=0, rows=deep))
    colours = b"".join(
        b"\0" + b"".join(struct.pack(">HHH", x * 1040, y * 1680, 65535 - x * 1040) for x in range(64))
        for y in range(40)
    )
    yield row("rgb-16bit", by_hand.png_of(*WIDE, depth=16, kind=2, rows=colours))
    passes = by_hand.adam7(*WIDE, picture.tobytes())
    yield row("interlaced", by_hand.png_of(*WIDE, depth=8, kind=2, rows=passes, interlace=1))
    held = saved(stored(picture, 6), "PNG", optimize=True)
    turned = by_hand.png_with(held, b"eXIf", by_hand.tiff_block(orientation=6))
    yield row("orientation-6", turned, (40, 64), orientation=6)
    yield row(
        "gps-exif",
        by_hand.png_with(plain, b"eXIf", by_hand.tiff_block(gps=True)),
        has_gps="yes",
    )
    text = b"XML:com.adobe.xmp\0\0\0\0\0" + by_hand.xmp_packet(gps=True)
    yield row("gps-xmp", by_hand.png_with(plain, b"iTXt", text), has_gps="yes")
    frames = [scene_with_alpha(*WIDE, shift=-8 * number) for number in range(3)]
    moving = saved(
        frames[0],
        "PNG",
        save_all=True,
        append_images=frames[1:],
        duration=[100, 150, 200],
        loop=2,
    )
    yield _row("apng", "animated", "png", moving, WIDE, frames=3, has_alpha=True)
    opaque = [scene(*WIDE, shift=-8 * number) for number in range(3)]
    moving = saved(opaque[0], "PNG", save_all=True, append_images=opaque[1:], duration=100, loop=0)
    yield _row("apng", "opaque", "png", moving, WIDE, frames=3)


def _gif() -> Iterator[Row]:
    frames = [scene(*WIDE, shift=-8 * number) for number in range(4)]
    yield _row("gif", "still", "gif", saved(frames[0].quantize(32), "GIF"), WIDE)
    moving = saved(frames[0], "GIF", save_all=True, append_images=frames[1:], duration=80, loop=0)
    yield _row("gif", "animated", "gif", moving, WIDE, frames=4)
    seen_through = saved(frames[0].quantize(32), "GIF", transparency=3)
    yield _row("gif", "transparent", "gif", seen_through, WIDE, has_alpha=True)
    yield _row("gif", "frames-512", "gif", by_hand.gif_of_dots(512), (1, 1), frames=512)
    yield _row("gif", "frames-513", "gif", by_hand.gif_of_dots(513), (1, 1), frames=513)


def _bmp() -> Iterator[Row]:
    picture = scene(*WIDE)
    yield _row("bmp", "24bit", "bmp", saved(picture, "BMP"), WIDE)
    yield _row("bmp", "8bit", "bmp", saved(picture.quantize(64), "BMP"), WIDE)
    yield _row("bmp", "1bit", "bmp", saved(picture.convert("1"), "BMP"), WIDE)
    width, height = 16, 8
    small = scene(width, height).quantize(4)
    palette = b"".join(bytes((blue, green, red, 0)) for red, green, blue in _colours(small, 16))
    indices = [small.tobytes()[y * width : (y + 1) * width] for y in reversed(range(height))]
    nibbles = b"".join(bytes(row[i] << 4 | row[i + 1] for i in range(0, width, 2)) for row in indices)
    four = by_hand.bmp(width, height, bits=4, compression=0, palette=palette, body=nibbles)
    yield _row("bmp", "4bit", "bmp", four, (width, height))
    palette = b"".join(bytes((blue, green, red, 0)) for red, green, blue in _colours(small, 256))
    runs = b"".join(by_hand.run_lengths(row) for row in indices) + b"\0\1"
    packed = by_hand.bmp(width, height, bits=8, compression=1, palette=palette, body=runs)
    yield _row("bmp", "rle8", "bmp", packed, (width, height))
    # Readers differ in whether the fourth byte is alpha, so it says the same to both sides.
    opaque = picture.copy()
    opaque.putalpha(255)
    yield _row("bmp", "32bit", "bmp", saved(opaque, "BMP"), WIDE, has_alpha=None)


def _tiff() -> Iterator[Row]:
    picture = scene(*WIDE)
    yield _row("tiff", "lzw", "tif", saved(picture, "TIFF", compression="tiff_lzw"), WIDE)
    yield _row(
        "tiff",
        "deflate",
        "tif",
        saved(picture, "TIFF", compression="tiff_adobe_deflate"),
        WIDE,
    )
    yield _row(
        "tiff",
        "jpeg",
        "tif",
        saved(picture, "TIFF", compression="jpeg", quality=90),
        WIDE,
    )
    yield _row(
        "tiff",
        "packbits-gray",
        "tif",
        saved(picture.convert("L"), "TIFF", compression="packbits"),
        WIDE,
    )
    fax = saved(picture.convert("1"), "TIFF", compression="group4")
    yield _row("tiff", "fax-1bit", "tif", fax, WIDE)
    glass = saved(scene_with_alpha(*WIDE), "TIFF", compression="tiff_lzw")
    yield _row("tiff", "alpha", "tif", glass, WIDE, has_alpha=True)
    yield _row(
        "tiff",
        "cmyk",
        "tif",
        saved(picture.convert("CMYK"), "TIFF", compression="tiff_lzw"),
        WIDE,
    )
    deep = Image.frombytes("I;16", (32, 16), struct.pack("<512H", *(i * 128 for i in range(512))))
    yield _row(
        "tiff",
        "gray-16bit",
        "tif",
        saved(deep, "TIFF", compression="tiff_lzw"),
        (32, 16),
    )
    pages = [scene(40, 24, shift=-4 * number) for number in range(3)]
    book = saved(pages[0], "TIFF", save_all=True, append_images=pages[1:], compression="tiff_lzw")
    yield _row("tiff", "three-pages", "tif", book, (40, 24), frames=3)
    for orientation in (3, 6):
        held = stored(picture, orientation)
        turned = saved(held, "TIFF", compression="tiff_lzw", tiffinfo={274: orientation})
        yield _row(
            "tiff",
            f"orientation-{orientation}",
            "tif",
            turned,
            held.size,
            orientation=orientation,
        )


def _webp() -> Iterator[Row]:
    picture, glass = scene(*WIDE), scene_with_alpha(*WIDE)
    yield _row("webp", "lossy", "webp", saved(picture, "WEBP", quality=90), WIDE)
    yield _row("webp", "lossless", "webp", saved(picture, "WEBP", lossless=True), WIDE)
    yield _row("webp", "alpha", "webp", saved(glass, "WEBP", quality=90), WIDE, has_alpha=True)
    frames = [scene_with_alpha(*WIDE, shift=-8 * number) for number in range(3)]
    moving = saved(
        frames[0],
        "WEBP",
        save_all=True,
        append_images=frames[1:],
        duration=120,
        loop=0,
        quality=80,
    )
    yield _row("webp", "animated", "webp", moving, WIDE, frames=3, has_alpha=True)
    held = stored(picture, 6)
    turned = saved(held, "WEBP", quality=90, exif=b"Exif\0\0" + by_hand.tiff_block(orientation=6))
    yield _row("webp", "orientation-6", "webp", turned, held.size, orientation=6)
    placed = saved(picture, "WEBP", quality=90, exif=by_hand.tiff_block(gps=True))
    yield _row("webp", "gps-exif", "webp", placed, WIDE, has_gps="yes")
    placed = saved(picture, "WEBP", quality=90, xmp=by_hand.xmp_packet(gps=True))
    yield _row("webp", "gps-xmp", "webp", placed, WIDE, has_gps="yes")


def _heif() -> Iterator[Row]:
    def heic(picture: Image.Image, **options: object) -> bytes:
        return saved(picture, "HEIF", quality=90, **options)

    def avif(picture: Image.Image, **options: object) -> bytes:
        return saved(picture, "AVIF", quality=90, max_threads=1, **options)

    # The HEVC encoder stores whole blocks of 64 pixels and crops them with a clean aperture.
    size = (128, 64)
    picture, glass = scene(*size), scene_with_alpha(*size)
    held = stored(picture, 6)
    yield _row(
        "heic",
        "clean-aperture",
        "heic",
        heic(scene(64, 48)),
        (64, 64),
        display=(64, 48),
    )
    turned, placed = (
        by_hand.tiff_block(orientation=6),
        by_hand.tiff_block(orientation=1, gps=True),
    )
    for name, written in (("heic", heic), ("avif", avif)):
        yield _row(name, "plain", name, written(picture), size)
        yield _row(name, "alpha", name, written(glass), size, has_alpha=True)
        yield _row(
            name,
            "orientation-6",
            name,
            written(held, exif=turned),
            (64, 128),
            orientation=6,
        )
        yield _row(name, "gps-exif", name, written(picture, exif=placed), size, has_gps="yes")
    both = heic(picture, save_all=True, append_images=[scene(*size, shift=-10)])
    yield _row("heic", "two-pictures", "heic", both, size, frames=2)
    frames = [scene(*size, shift=-8 * number) for number in range(3)]
    moving = avif(frames[0], save_all=True, append_images=frames[1:], duration=100)
    yield _row("avif", "animated", "avif", by_hand.undated(moving), size, frames=3)
    packet = by_hand.xmp_packet(gps=True)
    yield _row("avif", "gps-xmp", "avif", avif(picture, xmp=packet), size, has_gps="yes")


def _jp2() -> Iterator[Row]:
    picture = scene(*WIDE)
    lossless = saved(picture, "JPEG2000")
    yield _row("jp2", "lossless", "jp2", lossless, WIDE)
    lossy = saved(picture, "JPEG2000", irreversible=True, quality_layers=[10])
    yield _row("jp2", "lossy", "jp2", lossy, WIDE)
    yield _row("jp2", "codestream", "j2k", saved(picture, "JPEG2000", no_jp2=True), WIDE)
    yield _row("jp2", "gray", "jp2", saved(picture.convert("L"), "JPEG2000"), WIDE)
    yield _row(
        "jp2",
        "alpha",
        "jp2",
        saved(scene_with_alpha(*WIDE), "JPEG2000"),
        WIDE,
        has_alpha=True,
    )
    uuid = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
    placed = lossless + by_hand.box(b"uuid", uuid + by_hand.xmp_packet(gps=True))
    yield _row("jp2", "gps-xmp", "jp2", placed, WIDE, has_gps="yes")


def _icons_and_psd() -> Iterator[Row]:
    picture = scene(*WIDE)
    yield _row("psd", "rgb", "psd", by_hand.psd(*WIDE, planes(picture), mode=3), WIDE)
    yield _row(
        "psd",
        "rgb-packed",
        "psd",
        by_hand.psd(*WIDE, planes(picture), mode=3, packed=True),
        WIDE,
    )
    yield _row(
        "psd",
        "gray",
        "psd",
        by_hand.psd(*WIDE, planes(picture.convert("L")), mode=1),
        WIDE,
    )
    inks = [bytes(255 - value for value in plane) for plane in planes(picture.convert("CMYK"))]
    yield _row("psd", "cmyk", "psd", by_hand.psd(*WIDE, inks, mode=4), WIDE)

    small, large = (saved(scene_with_alpha(side, side), "PNG", optimize=True) for side in (32, 64))
    yield _row(
        "icns",
        "png",
        "icns",
        by_hand.icns((b"ic11", small), (b"ic12", large)),
        (64, 64),
        has_alpha=True,
    )
    yield _row(
        "icns",
        "old-rgb-mask",
        "icns",
        by_hand.icns(*_old_icon(16)),
        (16, 16),
        has_alpha=True,
    )

    blue, green, red, alpha = _bgra(scene_with_alpha(16, 16))
    rows = [
        b"".join(
            bytes(pixel) for pixel in list(zip(blue, green, red, alpha, strict=True))[y * 16 : y * 16 + 16]
        )
        for y in reversed(range(16))
    ]
    old = by_hand.icon_bitmap(16, 16, b"".join(rows))
    several = by_hand.ico((16, 16, old), (64, 64, large), (32, 32, small))
    yield _row("ico", "several", "ico", several, (64, 64), has_alpha=True)
    yield _row("ico", "bmp", "ico", by_hand.ico((16, 16, old)), (16, 16), has_alpha=True)


def _jxl() -> Iterator[Row]:
    picture = scene(*WIDE)
    yield _row(
        "jxl",
        "lossless",
        "jxl",
        saved(picture, "JXL", lossless=True, num_threads=0),
        WIDE,
    )
    yield _row("jxl", "lossy", "jxl", saved(picture, "JXL", quality=90, num_threads=0), WIDE)
    glass = saved(scene_with_alpha(*WIDE), "JXL", lossless=True, num_threads=0)
    yield _row("jxl", "alpha", "jxl", glass, WIDE, has_alpha=True)
    held = stored(picture, 6)
    camera = by_hand.jpeg_with(
        saved(held, "JPEG", quality=90),
        by_hand.exif_segment(by_hand.tiff_block(orientation=6)),
    )
    yield _row("jxl", "orientation-6", "jxl", _wrapped_jpeg(camera), held.size, orientation=6)
    placed = saved(
        picture,
        "JXL",
        quality=90,
        num_threads=0,
        exif=by_hand.tiff_block(gps=True),
        use_container=True,
    )
    yield _row("jxl", "gps-exif", "jxl", placed, WIDE, has_gps="yes")


def _svg() -> Iterator[Row]:
    def row(
        variant: str,
        data: bytes,
        size: tuple[int, int] | None,
        ending: str = "svg",
        **known: object,
    ) -> Row:
        return _row(
            "svg",
            variant,
            ending,
            data,
            size,
            **{"has_alpha": True, "orientation": None, **known},
        )

    def sized(words: str) -> bytes:
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" {words}><rect x="4" y="4" width="24" height="16"'
            ' fill="#c22"/><circle cx="24" cy="20" r="8" fill="#26c"/></svg>'
        ).encode()

    everything = drawing(saved(scene_with_alpha(32, 24), "PNG", optimize=True))
    yield row("everything", everything, (64, 48))
    yield row("gzip", gzip.compress(everything, mtime=0), (64, 48), "svgz")
    yield row("pixels", sized('width="60px" height="40px"'), (60, 40))
    yield row("points", sized('width="30pt" height="45pt"'), (40, 60))
    yield row("inches", sized('width="0.5in" height="0.25in" viewBox="0 0 48 24"'), (48, 24))
    yield row("viewbox-only", sized('viewBox="0 0 48 32"'), (48, 32))
    yield row("percent", sized('width="100%" height="100%" viewBox="0 0 48 32"'), (48, 32))
    yield row("no-size", sized(""), None, expected="partial")
    yield row(
        "long-prefix",
        b"<!--" + b" away " * 200 + b"-->" + sized('width="32" height="32"'),
        (32, 32),
    )
    declared = '<?xml version="1.0" encoding="UTF-16"?>' + sized('width="32" height="24"').decode()
    yield row("utf-16", declared.encode("utf-16"), (32, 24))
    outside = (
        b'<svg xmlns="http://www.w3.org/2000/svg" xmlns:x="http://www.w3.org/1999/xlink"'
        b' width="32" height="32"><rect width="16" height="32" fill="#282"/>'
        b'<image x:href="http://192.0.2.1/a.png" width="8" height="8"/></svg>'
    )
    yield row("external-picture", outside, (32, 32))


def _row(
    form: str,
    variant: str,
    ending: str,
    data: bytes,
    size: tuple[int, int] | None,
    **known: object,
) -> Row:
    return Row(
        path=f"{form}/{variant}.{ending}",
        format=form,
        variant=variant,
        data=data,
        size=size,
        **known,  # type: ignore[arg-type]  # names and types are those of Row
    )


def _colours(picture: Image.Image, count: int) -> list[tuple[int, int, int]]:
    flat = bytes(picture.getpalette() or ()).ljust(3 * count, b"\0")
    return [(flat[i], flat[i + 1], flat[i + 2]) for i in range(0, 3 * count, 3)]


def _bgra(picture: Image.Image) -> tuple[bytes, bytes, bytes, bytes]:
    red, green, blue, alpha = planes(picture)
    return blue, green, red, alpha


def _old_icon(side: int) -> tuple[tuple[bytes, bytes], tuple[bytes, bytes]]:
    red, green, blue, alpha = planes(scene_with_alpha(side, side))
    runs = b"".join(
        bytes((127,)) + plane[start : start + 128]
        for plane in (red, green, blue)
        for start in range(0, side * side, 128)
    )
    return (b"is32", runs), (b"s8mk", alpha)


def _wrapped_jpeg(jpeg: bytes) -> bytes:
    """The JPEG as JPEG XL that can give it back; the encoder takes it by name only."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "camera.jpg"
        path.write_bytes(jpeg)
        with Image.open(path) as picture:
            return saved(picture, "JXL", lossless_jpeg=True, num_threads=0)
