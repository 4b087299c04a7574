"""The benign samples that ship with the decoder: one for every library and lazily loaded part."""

import codecs
import gzip
from base64 import b64encode

from PIL import Image

from .containers import exif_segment, icns, ico, jpeg_with, psd, tiff_block, undated
from .pictures import saved, scene, scene_with_alpha, srgb_profile, stored

SIZE = (32, 24)
PLAIN_DRAWING = (
    b'<svg xmlns="http://www.w3.org/2000/svg" width="64" height="48">'
    b'<path d="M40 8 q8 8 16 0 v8 h-16 z" fill="#282"/><text x="4" y="36" font-size="12">Aa</text></svg>'
)
"""An SVG that is drawn in a tenth of the time of one with everything in it."""


def warmers() -> dict[str, bytes]:
    """File name to contents."""
    picture, glass = scene(*SIZE), scene_with_alpha(*SIZE)
    moved, moved_glass = scene(*SIZE, shift=-6), scene_with_alpha(*SIZE, shift=-6)
    sideways = stored(picture, 6)
    png = saved(glass, "PNG", optimize=True)
    small_png = saved(scene_with_alpha(32, 32), "PNG", optimize=True)
    return {
        "sample.jpg": jpeg_with(
            saved(sideways, "JPEG", quality=80, icc_profile=srgb_profile()),
            exif_segment(tiff_block(orientation=6)),
        ),
        "sample-progressive.jpg": saved(picture, "JPEG", quality=80, progressive=True, subsampling=0),
        "sample-gray.jpg": saved(picture.convert("L"), "JPEG", quality=80),
        "sample-cmyk.jpg": saved(picture.convert("CMYK"), "JPEG", quality=80),
        "sample.jp2": saved(picture, "JPEG2000", irreversible=True, quality_layers=[20]),
        "sample.j2k": saved(picture, "JPEG2000", no_jp2=True),
        "sample.png": png,
        "sample-palette.png": saved(picture.quantize(16), "PNG", optimize=True),
        "sample-16bit.png": saved(picture.convert("L").convert("I;16"), "PNG"),
        "sample-animated.png": saved(
            glass,
            "PNG",
            save_all=True,
            append_images=[moved_glass],
            duration=100,
            loop=0,
        ),
        "sample.gif": saved(picture, "GIF", save_all=True, append_images=[moved], duration=100, loop=0),
        "sample.bmp": saved(picture, "BMP"),
        "sample-lzw.tif": saved(picture, "TIFF", compression="tiff_lzw"),
        "sample-deflate.tif": saved(picture, "TIFF", compression="tiff_adobe_deflate"),
        "sample-jpeg.tif": saved(picture, "TIFF", compression="jpeg"),
        "sample.webp": saved(glass, "WEBP", quality=75),
        "sample-lossless.webp": saved(picture, "WEBP", lossless=True),
        "sample-animated.webp": saved(
            glass,
            "WEBP",
            save_all=True,
            append_images=[moved_glass],
            duration=100,
            loop=0,
            quality=60,
        ),
        "sample.heic": saved(glass, "HEIF", quality=60),
        "sample.avif": saved(glass, "AVIF", quality=60, max_threads=1),
        "sample-animated.avif": undated(
            saved(
                picture,
                "AVIF",
                save_all=True,
                append_images=[moved],
                duration=100,
                quality=60,
                max_threads=1,
            )
        ),
        "sample.psd": psd(*SIZE, planes(picture), mode=3, packed=True),
        "sample.ico": ico((32, 32, small_png)),
        "sample.icns": icns((b"ic11", small_png)),
        "sample.jxl": saved(glass, "JXL", lossless=True, num_threads=0),
        "sample-lossy.jxl": saved(picture, "JXL", quality=80, num_threads=0),
        "sample.svg": drawing(png),
        "sample-plain.svg": PLAIN_DRAWING,
        "sample.svgz": gzip.compress(PLAIN_DRAWING, mtime=0),
        # Python loads a codec when it first decodes with it, which a sealed process cannot do.
        "sample-utf16le.svg": codecs.BOM_UTF16_LE + PLAIN_DRAWING.decode().encode("utf-16-le"),
        "sample-utf16be.svg": codecs.BOM_UTF16_BE + PLAIN_DRAWING.decode().encode("utf-16-be"),
    }


def drawing(png: bytes) -> bytes:
    """An SVG with every kind of thing in it: gradient, text, path, clip, filter and an embedded picture."""
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
        ' width="64" height="48" viewBox="0 0 64 48">'
        '<defs><linearGradient id="g"><stop stop-color="#fc3"/><stop offset="1" stop-color="#36c"/>'
        '</linearGradient><clipPath id="c"><circle cx="16" cy="24" r="12"/></clipPath>'
        '<filter id="f"><feGaussianBlur stdDeviation="1"/></filter></defs>'
        '<rect width="64" height="48" fill="url(#g)"/>'
        f'<image x="4" y="12" width="32" height="24" clip-path="url(#c)"'
        f' xlink:href="data:image/png;base64,{b64encode(png).decode()}"/>'
        '<path d="M40 8 q8 8 16 0 v8 h-16 z" fill="#282" filter="url(#f)"/>'
        '<text x="34" y="36" font-family="sans-serif" font-size="12">Aa文</text>'
        "</svg>"
    ).encode()


def planes(picture: Image.Image) -> list[bytes]:
    """The channels of a picture, one after the other."""
    return [channel.tobytes() for channel in picture.split()]
