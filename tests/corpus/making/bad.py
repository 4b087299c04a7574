"""Hostile and broken samples: none of them is dangerous to keep, all of them are rude to a decoder."""

import gzip
import struct
from collections.abc import Iterator

from . import containers as by_hand
from .pictures import saved, scene
from .rows import Row

WIDE = (64, 40)


def bad(good_rows: list[Row]) -> Iterator[Row]:
    """Every hostile row; the cut ones are made from the good ones."""
    yield from _too_many_pixels()
    yield from _cut(good_rows)
    yield from _misnamed(good_rows)
    yield from _not_images()
    yield from _polyglots()
    yield from _svg_attacks()


def _too_many_pixels() -> Iterator[Row]:
    def row(
        variant: str,
        ending: str,
        form: str,
        data: bytes,
        size: tuple[int, int],
        **known: object,
    ) -> Row:
        return _row("bomb", variant, ending, form, data, expected="reject", size=size, **known)

    limit = by_hand.png_of(8000, 8000, depth=1, kind=0, rows=None)
    yield _row("bomb", "64-megapixels", "png", "png", limit, expected="ok", size=(8000, 8000))
    yield row(
        "64-megapixels-and-a-row",
        "png",
        "png",
        by_hand.png_of(8000, 8001, depth=1, kind=0, rows=None),
        (8000, 8001),
    )
    header = by_hand.png_of(60000, 60000, depth=8, kind=6, rows=b"\0")
    yield row("png-60000", "png", "png", header, (60000, 60000), has_alpha=True)
    thin = by_hand.png_of(65536, 1, depth=1, kind=0, rows=None)
    yield row("png-side-65536", "png", "png", thin, (65536, 1))
    widest = by_hand.png_of(65535, 1, depth=1, kind=0, rows=None)
    yield _row("bomb", "png-side-65535", "png", "png", widest, expected="ok", size=(65535, 1))
    small = saved(scene(*WIDE), "JPEG")
    at = small.index(b"\xff\xc0")
    jpeg = small[: at + 5] + struct.pack(">HH", 65500, 65500) + small[at + 9 :]
    yield row("jpeg-65500", "jpg", "jpeg", jpeg, (65500, 65500))
    gif = b"GIF89a" + struct.pack("<HH", 65535, 65535) + by_hand.gif_of_dots(1)[10:]
    yield row("gif-65535", "gif", "gif", gif, (65535, 65535))
    bmp = by_hand.bmp(60000, 60000, bits=24, compression=0, palette=b"", body=bytes(16))
    yield row("bmp-60000", "bmp", "bmp", bmp, (60000, 60000))
    psd = by_hand.psd(30000, 30000, [bytes(4)] * 3, mode=3)
    yield row("psd-30000", "psd", "psd", psd, (30000, 30000))
    yield row(
        "ico-of-a-bomb",
        "ico",
        "ico",
        by_hand.ico((0, 0, header)),
        (60000, 60000),
        has_alpha=None,
    )
    yield row(
        "icns-of-a-bomb",
        "icns",
        "icns",
        by_hand.icns((b"ic10", header)),
        (60000, 60000),
        has_alpha=None,
    )
    svg = b'<svg xmlns="http://www.w3.org/2000/svg" width="100000" height="100000"><path d="M0 0h9v9"/></svg>'
    yield _row("bomb", "svg-100000", "svg", "svg", svg, expected="bomb", orientation=None)


def _cut(good_rows: list[Row]) -> Iterator[Row]:
    wanted = {
        *(
            "jpeg/baseline",
            "jpeg/progressive",
            "png/rgb",
            "apng/animated",
            "gif/animated",
            "bmp/24bit",
        ),
        *(
            "tiff/lzw",
            "webp/lossy",
            "heic/plain",
            "avif/plain",
            "jp2/lossless",
            "psd/rgb",
            "icns/png",
        ),
        *("ico/several", "jxl/lossless", "svg/everything", "svg/gzip"),
    }
    for row in good_rows:
        stem, _, ending = row.path.rpartition(".")
        if stem in wanted:
            half = row.data[: len(row.data) // 2]
            yield _row(
                "cut",
                stem.replace("/", "-"),
                ending,
                row.format,
                half,
                expected="partial",
                has_alpha=None,
                frames=None,
                orientation=None,
            )


def _misnamed(good_rows: list[Row]) -> Iterator[Row]:
    wanted = {
        "png/rgb.png": "jpg",
        "jpeg/baseline.jpg": "png",
        "heic/plain.heic": "jpg",
        "svg/pixels.svg": "png",
    }
    for row in good_rows:
        if row.path in wanted:
            yield _row(
                "misnamed", f"{row.format}-called", wanted[row.path], row.format, row.data,
                expected="ok", size=row.size, has_alpha=row.has_alpha, orientation=row.orientation,
            )  # fmt: skip


def _not_images() -> Iterator[Row]:
    contents = {
        "text.jpg": b"Only words stand here.\n" * 20,
        "html.png": b"<!doctype html><html><body><p>Hello</p></body></html>",
        "pdf.jpg": b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n<</Type/Catalog>>\nendobj\n%%EOF\n",
        "postscript.jpg": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n",
        "pixmap.png": b"P6\n8 8\n255\n" + bytes(192),
        "targa.png": struct.pack("<BBB5xHHHHBB", 0, 0, 2, 0, 0, 8, 8, 24, 0x20) + bytes(192),
        "program.png": b"\x7fELF\x02\x01\x01" + bytes(57),
        "archive.jpg": b"PK\x05\x06" + bytes(18),
        "xml.svg": b'<?xml version="1.0"?><note><to>you</to></note>',
        "film.heic": by_hand.motion_photo_trailer(),
        "one-byte.jpg": b"\xff",
        "start-and-end.jpg": b"\xff\xd8\xff\xd9",
        "signature.png": b"\x89PNG\r\n\x1a\n",
        "signature.gif": b"GIF89a",
        "zeros.jpg": bytes(4096),
        "script.svg": b"#!/bin/sh\necho hello\n",
    }
    for name, data in contents.items():
        stem, _, ending = name.rpartition(".")
        yield _row(
            "not-an-image",
            stem,
            ending,
            "none",
            data,
            expected="reject",
            frames=None,
            has_alpha=None,
            orientation=None,
        )


def _polyglots() -> Iterator[Row]:
    page = b"<html><script>alert(1)</script></html>"
    jpeg, png = (
        saved(scene(*WIDE), "JPEG", quality=90),
        saved(scene(*WIDE), "PNG", optimize=True),
    )
    gif = saved(scene(*WIDE).quantize(16), "GIF")
    yield _row(
        "polyglot",
        "jpeg-then-page",
        "jpg",
        "jpeg",
        jpeg + page,
        expected="ok",
        size=WIDE,
    )
    yield _row(
        "polyglot",
        "page-in-a-comment",
        "jpg",
        "jpeg",
        by_hand.jpeg_with(jpeg, (0xFE, page)),
        expected="ok",
        size=WIDE,
    )
    yield _row(
        "polyglot",
        "png-then-archive",
        "png",
        "png",
        png + b"PK\x05\x06" + bytes(18),
        expected="ok",
        size=WIDE,
    )
    yield _row(
        "polyglot",
        "gif-then-program",
        "gif",
        "gif",
        gif + b"<?php echo 1; ?>",
        expected="ok",
        size=WIDE,
    )
    yield _row(
        "polyglot",
        "page-then-jpeg",
        "jpg",
        "none",
        page + jpeg,
        expected="reject",
        frames=None,
        has_alpha=None,
        orientation=None,
    )


def _svg_attacks() -> Iterator[Row]:
    def row(
        variant: str,
        data: str,
        expected: str,
        ending: str = "svg",
        packed: bool = False,
    ) -> Row:
        body = data.encode()
        return _row(
            "svg", variant, ending, "svg", gzip.compress(body, mtime=0) if packed else body,
            expected=expected, has_alpha=None, orientation=None, frames=None,
        )  # fmt: skip

    space = 'xmlns="http://www.w3.org/2000/svg" xmlns:x="http://www.w3.org/1999/xlink" width="32" height="32"'
    for name, target in (
        ("file-image", "file:///etc/passwd"),
        ("path-image", "/usr/share/pixmaps/debian-logo.png"),
        ("network-image", "http://127.0.0.1:9/a.png"),
    ):
        yield row(
            name,
            f'<svg {space}><rect width="9" height="9"/><image x:href="{target}" width="9" height="9"/></svg>',
            "partial",
        )
    script = f'<svg {space} onload="alert(1)"><script>alert(1)</script><rect width="9" height="9"/></svg>'
    yield row("script", script, "partial")
    entities = "".join(f'<!ENTITY e{n} "' + f"&e{n - 1};" * 10 + '">' for n in range(1, 10))
    laughs = f'<!DOCTYPE svg [<!ENTITY e0 "ha">{entities}]><svg {space}><text y="9">&e9;</text></svg>'
    yield row("entity-bomb", laughs, "bomb")
    entity = '<!ENTITY x SYSTEM "file:///etc/passwd">'
    outside = f'<!DOCTYPE svg [{entity}]><svg {space}><text y="9">&x;</text></svg>'
    yield row("entity-of-a-file", outside, "partial")
    uses = "".join(f'<g id="g{n}">' + f'<use x:href="#g{n - 1}"/>' * 10 + "</g>" for n in range(1, 9))
    yield row(
        "use-bomb",
        f'<svg {space}><defs><rect id="g0" width="1" height="1"/>{uses}</defs><use x:href="#g8"/></svg>',
        "bomb",
    )
    yield row(
        "use-of-itself",
        f'<svg {space}><g id="a"><use x:href="#a"/></g></svg>',
        "partial",
    )
    deep = f"<svg {space}>{'<g>' * 50_000}{'</g>' * 50_000}</svg>"
    yield row("deep-groups", deep, "bomb", "svgz", packed=True)
    long = f"<svg {space}><!--{' ' * 60_000_000}--><rect width='9' height='9'/></svg>"
    yield row("gzip-bomb", long, "bomb", "svgz", packed=True)
    nested = gzip.compress(f'<svg {space}><rect width="9" height="9"/></svg>'.encode(), mtime=0)
    yield _row(
        "svg",
        "gzip-in-gzip",
        "svgz",
        "svg",
        gzip.compress(nested, mtime=0),
        expected="reject",
        has_alpha=None,
        orientation=None,
        frames=None,
    )


def _row(
    kind: str,
    variant: str,
    ending: str,
    form: str,
    data: bytes,
    *,
    expected: str,
    size: tuple[int, int] | None = None,
    **known: object,
) -> Row:
    return Row(
        path=f"hostile/{kind}/{variant}.{ending}",
        format=form,
        variant=kind,
        data=data,
        size=size,
        expected=expected,
        **known,  # type: ignore[arg-type]  # names and types are those of Row
    )
