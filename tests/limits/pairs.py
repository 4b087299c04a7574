"""Documents made to hold exactly as much of something as is asked for, one maker for each limit of a reader.

`PAIRS` has, by the place of a limit in the code, what a reader makes of a document with so many of them:
`inside` is what it answers at the limit, `outside` just past it.
"""

import gzip
import random
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from decoder.headers.blocks import directory, exif_block, xmp_packet
from decoder.headers.heif_files import box, full, heic, infe, ispe, meta, reference, track
from PIL import ImageCms

from remote_worker.contract import wire
from remote_worker.contract.failures import FailureCode, WorkFailed
from remote_worker.contract.limits import Limits
from remote_worker.contract.messages import Fit, Info, Task
from remote_worker.contract.signatures import Template
from remote_worker.decoder import color, icc, job, jpeg_bytes
from remote_worker.decoder.headers import (
    Metadata,
    gif,
    heif,
    heif_track,
    icns,
    ico,
    isobmff,
    jp2,
    jxl,
    png,
    svg,
    svg_extent,
    svg_text,
    tiff,
    webp,
)
from remote_worker.decoder.metadata import exif, iptc, mp4, xmp
from remote_worker.pool import verify

SAMPLES = Path(__file__).parents[2] / "src/remote_worker/decoder/samples"
DAMAGED = FailureCode.DAMAGED
READ = "read"
GPS_EXIF = exif_block(has_gps=True)
GPS_XMP = xmp_packet(has_gps=True)


Make = Callable[[int], object]


@dataclass(frozen=True, kw_only=True)
class Pair:
    """What comes of a document with this many, at the limit and just past it."""

    of: Make
    inside: object
    outside: object


PAIRS: dict[str, Pair] = {}


def pair(place: str, inside: object, outside: object) -> Callable[[Make], Make]:
    """Register a maker under the place of its limit."""

    def register(of: Make) -> Make:
        PAIRS[place] = Pair(of=of, inside=inside, outside=outside)
        return of

    return register


def told(read: Callable[..., object], *arguments: object) -> object:
    """`READ`, or the failure's code."""
    try:
        read(*arguments)
    except WorkFailed as failed:
        return failed.code
    return READ


# SVG.


@pair("decoder.headers.svg_text:MOST_BYTES", READ, DAMAGED)
def svg_of_bytes(count: int) -> object:
    return told(svg_text.text_of, b"<svg/>".ljust(count))


@pair("decoder.headers.svg_text:UNSUSPICIOUS_BYTES", READ, DAMAGED)
def small_svgz_of_bytes(count: int) -> object:
    return told(svg_text.text_of, gzip.compress(b"<svg/>".ljust(count)))


@pair("decoder.headers.svg_text:MOST_RATIO", READ, DAMAGED)
def svgz_of_ratio(ratio: int) -> object:
    """Digits that hardly deflate, and as many blanks as make nearly this ratio, and no more than it."""
    noise = "<svg/>" + random.Random(1).randbytes(20_000).hex()
    least, most = 0, 20_000_000
    while most - least > 1:
        middle = (least + most) // 2
        raw = noise.encode().ljust(len(noise) + middle)
        least, most = (middle, most) if len(raw) <= ratio * len(gzip.compress(raw)) else (least, middle)
    raw = noise.encode().ljust(len(noise) + least)
    assert ratio - 1 < len(raw) / len(gzip.compress(raw)) <= ratio
    return told(svg_text.text_of, gzip.compress(raw))


@pair("decoder.headers.svg_text:MOST_PROLOG_CHARACTERS", READ, DAMAGED)
def svg_whose_root_ends_at(count: int) -> object:
    return told(svg_text.find_root, f"<!--{' ' * (count - 12)}--><svg>")


@pair("decoder.headers.svg_text:MOST_ENTITIES", READ, DAMAGED)
def svg_of_entities(count: int) -> object:
    entities = "".join(f'<!ENTITY e{index} "x">' for index in range(count))
    return told(svg_text.find_root, f"<!DOCTYPE svg [{entities}]><svg>")


@pair("decoder.headers.svg_text:MOST_ENTITY_CHARACTERS", READ, DAMAGED)
def svg_of_a_long_entity(count: int) -> object:
    return told(svg_text.find_root, f'<!DOCTYPE svg [<!ENTITY e "{"x" * count}">]><svg>')


@pair("decoder.headers.svg:MOST_TAG_CHARACTERS", READ, DAMAGED)
def svg_of_a_long_root(count: int) -> object:
    root = '<svg width="1" height="1" a="'
    return told(svg.drawing, f'{root}{"x" * (count - len(root) - 2)}"></svg>'.encode())


@pair("decoder.headers.svg:MOST_LENGTH_CHARACTERS", 10, 7)
def width_of_so_many_digits(count: int) -> object:
    """Past it the length says nothing, and the view box tells the width."""
    return svg.read(f'<svg width="{"10".rjust(count, "0")}" height="7" viewBox="0 0 7 7"/>'.encode()).width


@pair("decoder.headers.svg:LONGEST_SIDE", READ, DAMAGED)
def svg_of_width(pixels: float) -> object:
    return told(svg.read, f'<svg width="{pixels:.0f}" height="1"/>'.encode())


RECT = '<rect width="3" height="2"/>'
SEEN = (0.0, 0.0, 3.0, 2.0)


@pair("decoder.headers.svg_extent:MOST_CHARACTERS", SEEN, None)
def extent_of_characters(count: int) -> object:
    return svg_extent.extent_of(f"<svg><!--{' ' * (count - 12 - len(RECT))}-->{RECT}")


@pair("decoder.headers.svg_extent:MOST_ELEMENTS", SEEN, None)
def extent_of_elements(count: int) -> object:
    return svg_extent.extent_of(f"<svg>{'<g/>' * (count - 2)}{RECT}</svg>")


@pair("decoder.headers.svg_extent:MOST_DEPTH", SEEN, None)
def extent_of_depth(count: int) -> object:
    return svg_extent.extent_of(f"<svg>{'<g>' * (count - 2)}{RECT}")


@pair("decoder.headers.svg_extent:MOST_NUMBERS", SEEN, None)
def extent_of_numbers(count: int) -> object:
    return svg_extent.extent_of(f'<svg><polygon points="0 0 3 2{" 1" * (count - 4)}"/></svg>')


@pair("decoder.loaders.svg:_MOST_DEPTH", READ, DAMAGED)
def drawing_of_depth(count: int) -> object:
    nested = f"{'<g>' * (count - 2)}{RECT}{'</g>' * (count - 2)}"
    drawn = f'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9">{nested}</svg>'
    return told(do, Fit(width=9, height=9), drawn.encode(), Template.SVG)


def do(task: Task, data: bytes, template: Template = Template.RASTER) -> object:
    return job.run(task, data, Limits(), template)


# Boxes: HEIF, AVIF, JPEG 2000, JPEG XL.


@pair("decoder.headers.isobmff:MOST_BOXES", READ, DAMAGED)
def boxes(count: int) -> object:
    return told(list, isobmff.Walk(box(b"free") * count).top())


JP2_HEAD = jp2.SIGNATURE + box(b"ftyp", b"jp2 \0\0\0\0jp2 ")


def siz(components: int = 3) -> bytes:
    sides = struct.pack(">8I", 40, 20, 0, 0, 40, 20, 0, 0)
    body = b"\0\0" + sides + struct.pack(">H", components) + b"\7\1\1" * components
    return b"\xff\x4f\xff\x51" + struct.pack(">H", len(body) + 2) + body


def jp2_with(*more: bytes) -> bytes:
    header = box(b"ihdr", struct.pack(">IIHBBBB", 20, 40, 3, 7, 7, 0, 0))
    return JP2_HEAD + box(b"jp2h", header) + box(b"jp2c", siz()) + b"".join(more)


@pair("decoder.headers.isobmff:MOST_XMP_BYTES", True, False)
def jp2_of_xmp_bytes(count: int) -> object:
    return jp2.read(jp2_with(box(b"xml ", GPS_XMP.ljust(count)))).has_gps


@pair("decoder.headers.jp2:MOST_EXIF_BYTES", True, False)
def jp2_of_exif_bytes(count: int) -> object:
    return jp2.read(jp2_with(box(b"uuid", jp2.EXIF_UUID + GPS_EXIF.ljust(count, b"\0")))).has_gps


@pair("decoder.headers.jp2:MOST_COMPONENTS", READ, DAMAGED)
def jp2_of_components(count: int) -> object:
    return told(jp2.read, siz(count))


def bits(*fields: tuple[int, int]) -> bytes:
    """Values with their count of bits, lowest first."""
    whole = at = 0
    for value, count in fields:
        whole |= value << at
        at += count
    return whole.to_bytes(-(-at // 8), "little")


EIGHT_BY_EIGHT = ((0x0AFF, 16), (1, 1), (0, 5), (1, 3))


@pair("decoder.headers.jxl_codestream:MOST_EXTRA_CHANNELS", READ, DAMAGED)
def jxl_of_channels(count: int) -> object:
    """Neither the default nor extra fields, 8 bits; a channel of one set bit is alpha."""
    head = (*EIGHT_BY_EIGHT, (0, 1), (0, 1), (0, 1), (0, 2), (1, 1))
    channels = ((3, 2), (count - 1, 12), *[(1, 1)] * count)
    return told(jxl.read, bits(*head, *channels, (1, 1), (1, 1), (0, 2), (1, 1)))


def jxl_animation(side: int, frames: int, sections: int) -> bytes:
    """Frames of one tick, each with a table of so many sections of no bytes."""
    size = ((0x0AFF, 16), (0, 1), (3, 2), (side - 1, 30), (1, 3))
    timing = ((2, 2), (49, 10), (0, 2), (2, 2), (0, 16), (0, 1))
    extra = ((0, 1), (1, 1), (0, 3), (0, 1), (0, 1), (1, 1), *timing)
    pixels = ((0, 1), (3, 2), (7, 6), (1, 1), (0, 2), (1, 1), (1, 1), (1, 1), (0, 2), (1, 1))
    frame = ((0, 1), (0, 2), (0, 1), (0, 2), (0, 2), (0, 6), (0, 2), (0, 1), (0, 2), (2, 2), (1, 8), (0, 1))
    end = ((1, 2), (0, 1), (0, 2), (1, 1), (0, 2), (0, 1))
    return bits(*size, *extra, *pixels) + (bits(*frame, *end) + bits(*[(0, 12)] * sections)) * frames


@pair("decoder.headers.jxl_frames:MOST_FRAMES", True, False)
def jxl_of_frames(count: int) -> object:
    """Whether all of so many frames are counted."""
    return jxl.read(jxl_animation(8, count, 1)).frames == count


@pair("decoder.headers.jxl:MOST_EXIF_BYTES", True, False)
def jxl_of_exif_bytes(count: int) -> object:
    picture = box(b"jxlc", bits(*EIGHT_BY_EIGHT, (1, 1), (1, 1)))
    block = (bytes(4) + GPS_EXIF).ljust(count, b"\0")
    return jxl.read(jxl.CONTAINER + picture + box(b"Exif", block)).has_gps


def heic_with(items: list[bytes], **more: Any) -> bytes:
    return heic(meta([infe(1, b"hvc1"), *items], {1: [ispe(40, 20)]}, **more))


@pair("decoder.headers.heif_items:MOST_ITEMS", READ, DAMAGED)
def heic_of_items(count: int) -> object:
    return told(heif.read, heic_with([infe(2 + index, b"none") for index in range(count - 1)]))


@pair("decoder.headers.heif_items:MOST_REFERENCES", READ, DAMAGED)
def heic_of_references(count: int) -> object:
    references = [reference(b"none", 1, *[1] * 40_000), reference(b"none", 1, *[1] * (count - 40_002))]
    return told(heif.read, heic_with([], references=references))


@pair("decoder.headers.heif_items:MOST_METADATA_ITEMS", True, False)
def heic_of_metadata_items(count: int) -> object:
    plain = dict.fromkeys(range(2, count + 1), bytes(4) + exif_block())
    items = [infe(number, b"Exif") for number in range(2, count + 2)]
    return heif.read(heic_with(items, contents={**plain, count + 1: bytes(4) + GPS_EXIF})).has_gps


@pair("decoder.headers.heif_items:MOST_EXTENTS", True, False)
def heic_of_extents(count: int) -> object:
    """The block's bytes one by one, and the rest of it as the last piece."""
    content = bytes(4) + GPS_EXIF
    made = meta([infe(1, b"hvc1"), infe(2, b"Exif")], {1: [ispe(40, 20)]}, contents={2: content})
    whole = full(b"iloc", struct.pack(">HHHHHHII", 0x4400, 1, 2, 1, 0, 1, 0, len(content)), version=1)
    pieces = [(at, 1) for at in range(count - 1)] + [(count - 1, len(content) - count + 1)]
    listed = b"".join(struct.pack(">II", *piece) for piece in pieces)
    cut = full(b"iloc", struct.pack(">HHHHHH", 0x4400, 1, 2, 1, 0, count) + listed, version=1)
    assert whole in made
    return heif.read(heic(full(b"meta", made[12:].replace(whole, cut)))).has_gps


@pair("decoder.headers.heif_items:MOST_EXIF_BYTES", True, False)
def heic_of_exif_bytes(count: int) -> object:
    """The place stands at the very end, so that it is lost with the last byte."""
    block = exif_ending_in_gps(count - 4)
    return heif.read(heic_with([infe(2, b"Exif")], contents={2: bytes(4) + block})).has_gps


def exif_ending_in_gps(count: int) -> bytes:
    """A block of so many bytes whose last ones are the entry of a latitude."""
    gps_at = count - 2 - 12
    main = directory([(0x8825, 4, 1, gps_at)], 8)
    head = b"II*\0" + struct.pack("<I", 8)
    return (head + main).ljust(gps_at, b"\0") + struct.pack("<HHHII", 1, 1, 2, 2, ord("N"))


@pair("decoder.headers.heif_track:MOST_TRACKS", READ, DAMAGED)
def film_of_tracks(count: int) -> object:
    return told(film, box(b"moov", track() * count))


@pair("decoder.headers.heif_track:MOST_DURATIONS", READ, DAMAGED)
def film_of_durations(count: int) -> object:
    return told(film, box(b"moov", track(ticks=[(1, 1)] * count)))


def film(data: bytes) -> object:
    walk = isobmff.Walk(data)
    return heif_track.read_sequence(walk, next(walk.top()))


# PNG, WebP, GIF, TIFF, icons, JPEG.


def chunk(kind: bytes, body: bytes = b"") -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_with(*between: bytes) -> bytes:
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 3, 2, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(between) + chunk(b"IDAT", b"x") + chunk(b"IEND")


@pair("decoder.headers.png:MOST_METADATA_CHUNKS", True, False)
def png_of_metadata_chunks(count: int) -> object:
    return png.read(png_with(*[chunk(b"tEXt", b"a\0b")] * (count - 1), chunk(b"eXIf", GPS_EXIF))).has_gps


@pair("decoder.headers.png:INFLATED_BYTES", True, False)
def png_of_inflated_bytes(count: int) -> object:
    """ImageMagick's way to write EXIF, in hexadecimal: without the last digit it is none."""
    text = f"exif {len(GPS_EXIF)} {GPS_EXIF.hex()}".rjust(count, "\n").encode()
    return png.read(png_with(chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(text)))).has_gps


def riff(kind: bytes, body: bytes = b"") -> bytes:
    return kind + struct.pack("<I", len(body)) + body + bytes(len(body) % 2)


@pair("decoder.headers.webp:MOST_METADATA_CHUNKS", True, False)
def webp_of_metadata_chunks(count: int) -> object:
    extended = riff(b"VP8X", bytes(4) + b"\2\0\0\1\0\0")
    picture = riff(b"VP8L", struct.pack("<BI", 0x2F, 2 | 1 << 14))
    body = extended + picture + riff(b"EXIF") * (count - 1) + riff(b"EXIF", GPS_EXIF)
    return webp.read(b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body).has_gps


@pair("decoder.headers.gif:MOST_XMP_BYTES", True, False)
def gif_whose_packet_goes_on_at(count: int) -> object:
    """A packet in blocks, of which the last, that has the place, begins at this byte."""
    start, place = GPS_XMP[: GPS_XMP.index(b" exif:GPS")], GPS_XMP[GPS_XMP.index(b" exif:GPS") :]
    room = count - 1
    blanks = room - len(start) - 1
    sizes = [255] * (blanks // 256)
    rest = blanks - 256 * len(sizes)
    sizes += [rest - 1] if rest > 1 else []
    sizes[:1] = [sizes[0] - 2, 1] if rest == 1 else sizes[:1]
    blocks = [start, *(b" " * size for size in sizes)]
    assert sum(1 + len(block) for block in blocks) == room
    packet = b"".join(bytes([len(block)]) + block for block in [*blocks, place]) + b"\0"
    frame = b"," + struct.pack("<HHHHB", 0, 0, 3, 2, 0) + b"\2\1;\0"
    extension = b"!\xff\x0bXMP DataXMP" + packet
    screen = b"GIF89a" + struct.pack("<HHBBB", 3, 2, 0x80, 0, 0) + bytes(6)
    return gif.read(screen + extension + frame + b";").has_gps


def tiff_of(*entries: tuple[int, int, int, int], tail: bytes = b"") -> bytes:
    return b"II*\0" + struct.pack("<I", 8) + directory([(256, 3, 1, 3), (257, 3, 1, 2), *entries], 8) + tail


@pair("decoder.headers.tiff:MOST_ENTRIES", 6, 1)
def tiff_of_entries(count: int) -> object:
    return tiff.read(tiff_of(*[(305, 3, 1, 0)] * (count - 3), (274, 3, 1, 6))).orientation


@pair("decoder.headers.tiff:MOST_VALUES", 16, 8)
def tiff_of_values(count: int) -> object:
    at = 8 + 2 + 3 * 12 + 4
    depths = struct.pack(f"<{count}H", *[8] * (count - 1), 16)
    return tiff.read(tiff_of((258, 3, count, at), tail=depths)).bit_depth


@pair("decoder.headers.tiff:MOST_PAGES", READ, DAMAGED)
def tiff_of_pages(count: int) -> object:
    page = struct.Struct("<HHHII I")
    chain = b"".join(page.pack(1, 256, 3, 1, 3, 8 + page.size * index) for index in range(1, count))
    return told(tiff._File(b"II*\0" + struct.pack("<I", 8) + chain + page.pack(1, 256, 3, 1, 3, 0)).pages)


@pair("decoder.headers.ico:MOST_ENTRIES", READ, DAMAGED)
def ico_of_entries(count: int) -> object:
    picture = struct.pack("<IiiHH", 40, 2, 4, 1, 32) + bytes(24)
    at = 6 + 16 * count
    entry = struct.pack("<BBBBHHII", 2, 2, 0, 0, 1, 32, len(picture), at)
    return told(ico.read, struct.pack("<HHH", 0, 1, count) + entry * count + picture)


@pair("decoder.headers.icns:MOST_ELEMENTS", READ, DAMAGED)
def icns_of_elements(count: int) -> object:
    picture = struct.pack(">4sI", b"is32", 12) + bytes(4)
    body = picture + struct.pack(">4sI", b"name", 8) * (count - 1)
    return told(icns.read, b"icns" + struct.pack(">I", len(body) + 8) + body)


@pair("decoder.jpeg_bytes:MOST_SEGMENTS", READ, DAMAGED)
def jpeg_of_segments(count: int) -> object:
    return told(list, jpeg_bytes.segments(b"\xff\xd8" + b"\xff\xfe\0\2" * (count - 1) + b"\xff\xd9"))


# Metadata blocks.


@pair("decoder.headers:Metadata.MOST_BLOCKS", True, False)
def exif_blocks(count: int) -> object:
    metadata = Metadata()
    for block in [exif_block()] * (count - 1) + [GPS_EXIF]:
        metadata.take_exif(block)
    return metadata.has_gps


@pair("decoder.headers:Metadata.MOST_XMP_BYTES", True, False)
def xmp_bytes(count: int) -> object:
    metadata = Metadata()
    metadata.take_xmp(GPS_XMP.ljust(count))
    return metadata.has_gps


@pair("decoder.metadata.xmp:MOST_BYTES", True, False)
def copy_of_xmp(count: int) -> object:
    """A packet that is kept, of so many bytes."""
    return bool(xmp.scrubbed(xmp_packet(1).ljust(count)))


@pair("decoder.metadata.exif:MOST_BYTES", True, False)
def copy_of_exif(count: int) -> object:
    """A block that is kept, of so many bytes."""
    return bool(exif.scrubbed(exif_block(1).ljust(count, b"\0")))


@pair("decoder.metadata.exif:MOST_ENTRIES", 6, None)
def exif_of_entries(count: int) -> object:
    entries = [(305, 3, 1, 0)] * (count - 1) + [(0x0112, 3, 1, 6)]
    return exif.read(b"II*\0" + struct.pack("<I", 8) + directory(entries, 8)).orientation


@pair("decoder.metadata.exif:MOST_DIRECTORIES", True, False)
def exif_of_directories(count: int) -> object:
    """A chain, the last of which points to a place, which is a directory too."""
    one = struct.Struct("<HHHII I")
    links = [one.pack(1, 305, 3, 1, 0, 8 + one.size * (index + 1)) for index in range(count - 2)]
    last = one.pack(1, 0x8825, 4, 1, 8 + one.size * (count - 1), 0)
    gps = directory([(2, 2, 2, ord("N"))], 8)
    return exif.read(b"II*\0" + struct.pack("<I", 8) + b"".join(links) + last + gps).has_gps


@pair("decoder.metadata.exif:MOST_INNER_BLOCKS", True, False)
def exif_of_inner_blocks(count: int) -> object:
    inner = [exif_block()] * (count - 1) + [GPS_EXIF]
    return exif.read(exif_block() + b"".join(b"Exif\0\0" + block for block in inner)).has_gps


@pair("decoder.metadata.exif:MOST_XMP_BYTES", True, False)
def exif_of_xmp_bytes(count: int) -> object:
    at = 8 + 2 + 12 + 4
    main = directory([(700, 7, count, at)], 8)
    return exif.read(b"II*\0" + struct.pack("<I", 8) + main + GPS_XMP.ljust(count)).has_gps


@pair("decoder.metadata.iptc:MOST_DATASETS", True, False)
def iptc_of_datasets(count: int) -> object:
    return iptc.has_location(b"\x1c\2\5\0\1x" * (count - 1) + b"\x1c\2\x5a\0\1x")


@pair("decoder.metadata.iptc:MOST_RESOURCES", True, False)
def photoshop_of_resources(count: int) -> object:
    def resource(kind: int, value: bytes) -> bytes:
        return b"8BIM" + struct.pack(">HHI", kind, 0, len(value)) + value

    return iptc.has_location(resource(1, b"ab") * (count - 1) + resource(0x0404, b"\x1c\2\x5a\0\1x"))


FTYP = box(b"ftyp", b"mp42\0\0\0\0")
PLACE = box(b"\xa9xyz", b"\0\x12\x15\xc7+51.5074-000.1278/")


@pair("decoder.metadata.mp4:MOST_BOXES", True, False)
def mp4_of_boxes(count: int) -> object:
    data = FTYP + box(b"free") * (count - 4) + box(b"moov", box(b"udta", PLACE))
    return mp4.has_location(data, 0, len(data))


@pair("decoder.metadata.mp4:MOST_DEPTH", True, False)
def mp4_of_depth(count: int) -> object:
    nested = PLACE
    for _ in range(count):
        nested = box(b"moov", nested)
    return mp4.has_location(FTYP + nested, 0, len(FTYP + nested))


@pair("decoder.metadata.mp4:MOST_KEYS_BYTES", True, False)
def mp4_of_keys_bytes(count: int) -> object:
    """The key ends at this byte."""
    keys = box(b"keys", b"com.apple.quicktime.location".rjust(count, b"\0"))
    data = FTYP + box(b"moov", box(b"meta", box(b"hdlr", bytes(25)) + keys))
    return mp4.has_location(data, 0, len(data))


# Pixels and colours.


@pair("decoder.color:_MOST_PROFILE_BYTES", True, False)
def profile_of_bytes(count: int) -> object:
    """Whether a profile of so many bytes is applied."""
    return color._transform(srgb_profile().ljust(count, b"\0"), "RGB") is not None


@cache
def srgb_profile() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


@pair("decoder.icc:_MOST_TAGS", True, False)
def profile_of_tags(count: int) -> object:
    """Whether the last of so many tags is seen."""
    tags = b"".join(struct.pack(">4sII", b"%04d" % index, 0, 0) for index in range(1, count + 1))
    return b"%04d" % count in icc._tags(bytes(128) + struct.pack(">I", count) + tags)


@pair("decoder.loaders.jp2:_MOST_MARKERS", READ, DAMAGED)
def jp2_of_markers(count: int) -> object:
    """SIZ, comments, and the coding style as the last of so many markers."""
    data = (SAMPLES / "sample.j2k").read_bytes()
    (length,) = struct.unpack_from(">H", data, 4)
    behind = 4 + length
    assert data[behind : behind + 2] == b"\xff\x52"
    return told(do, Fit(width=9, height=9), data[:behind] + b"\xff\x64\0\4\0\1" * (count - 2) + data[behind:])


@pair("decoder.loaders.jp2:_MOST_BITS", READ, DAMAGED)
def jp2_of_bits(count: int) -> object:
    data = bytearray((SAMPLES / "sample.j2k").read_bytes())
    (components,) = struct.unpack_from(">H", data, 40)
    for index in range(components):
        data[42 + 3 * index] = count - 1
    return told(do, Fit(width=9, height=9), bytes(data))


# Replies of a child.


def facts(**members: object) -> bytes:
    return wire.json.dumps({"upload": {"format": "png", "mime": "image/png"}, **members}).encode()


def body(**parts: bytes) -> bytes:
    table, _, _ = wire.layout({name: len(part) for name, part in parts.items()})
    return table + b"".join(parts.values())


def judged(task: Task, reply: bytes) -> object:
    try:
        verify.reply(task, reply)
    except verify.HostileReply:
        return "hostile"
    return READ


@pair("pool.verify:_MOST_NUMBER", READ, "hostile")
def reply_of_a_number_below(number: int) -> object:
    return judged(Info(), body(facts=facts(info={"width": number - 1})))


@pair("pool.verify:_MOST_FRAMES", READ, "hostile")
def reply_of_frames(count: int) -> object:
    claim = {"name": "output", "format": "gif", "width": 3, "height": 2, "frames": count}
    return judged(Fit(width=9, height=9), body(facts=facts(pictures=[claim]), output=b"GIF89a\3\0\2\0"))
