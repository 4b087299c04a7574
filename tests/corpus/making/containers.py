"""Containers and metadata blocks written by hand, where no library writes what a sample needs."""

import struct
import zlib
from collections.abc import Sequence

NOWHERE = (12, 34, 56)
"""Degrees, minutes and seconds of the made-up place in every sample, far out at sea."""

ASCII, SHORT, LONG, RATIONAL, UNDEFINED = 2, 3, 4, 5, 7

Entry = tuple[int, int, int, bytes]


def tiff_block(
    *,
    orientation: int | None = None,
    gps: bool = False,
    thumbnail: bytes = b"",
    maker: str = "Sample",
) -> bytes:
    """EXIF as it stands in a file, little-endian, without the `Exif\\0\\0` before it."""
    first: list[Entry] = [(0x010F, ASCII, len(maker) + 1, maker.encode() + b"\0")]
    if orientation is not None:
        first.append((0x0112, SHORT, 1, struct.pack("<H", orientation)))
    places: list[Entry] = []
    if gps:
        there = struct.pack("<6I", *(part for number in NOWHERE for part in (number, 1)))
        places = [
            (0x0000, 1, 4, bytes((2, 3, 0, 0))),
            (0x0001, ASCII, 2, b"N\0"),
            (0x0002, RATIONAL, 3, there),
            (0x0003, ASCII, 2, b"W\0"),
            (0x0004, RATIONAL, 3, there),
        ]
        first.append((0x8825, LONG, 1, bytes(4)))
    head = 8
    room = len(_directory(first, head, 0))
    at_gps = head + room
    if gps:
        first[-1] = (0x8825, LONG, 1, struct.pack("<I", at_gps))
    gps_part = _directory(places, at_gps, 0) if gps else b""
    at_second = at_gps + len(gps_part)
    second = b""
    if thumbnail:
        entries: list[Entry] = [
            (0x0103, SHORT, 1, struct.pack("<H", 6)),
            (0x0201, LONG, 1, struct.pack("<I", at_second + 2 + 3 * 12 + 4)),
            (0x0202, LONG, 1, struct.pack("<I", len(thumbnail))),
        ]
        second = _directory(entries, at_second, 0) + thumbnail
    return b"II*\0\x08\0\0\0" + _directory(first, head, at_second if thumbnail else 0) + gps_part + second


def xmp_packet(*, orientation: int | None = None, gps: bool = False, motion_bytes: int = 0) -> bytes:
    """An XMP packet with attributes of the TIFF, EXIF and camera schemas."""
    words = ""
    if orientation is not None:
        words += f' tiff:Orientation="{orientation}"'
    if gps:
        words += ' exif:GPSLatitude="12,34.56N" exif:GPSLongitude="12,34.56W"'
    if motion_bytes:
        words += (
            f' GCamera:MicroVideo="1" GCamera:MicroVideoVersion="1" GCamera:MicroVideoOffset="{motion_bytes}"'
        )
    return (
        '<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about=""'
        ' xmlns:tiff="http://ns.adobe.com/tiff/1.0/" xmlns:exif="http://ns.adobe.com/exif/1.0/"'
        ' xmlns:GCamera="http://ns.google.com/photos/1.0/camera/"'
        f'{words}/></rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
    ).encode()


def iptc_resource() -> bytes:
    """A Photoshop resource block whose IPTC record names a city and a country."""
    record = b"\x1c\x02\x5a\x00\x08Atlantis" + b"\x1c\x02\x65\x00\x06Utopia"
    padded = record + b"\0" * (len(record) % 2)
    return b"8BIM\x04\x04\0\0" + struct.pack(">I", len(record)) + padded


def jpeg_with(jpeg: bytes, *segments: tuple[int, bytes], trailer: bytes = b"") -> bytes:
    """The JPEG with marker segments put right after its start, and bytes after its end."""
    added = b"".join(struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body for marker, body in segments)
    return jpeg[:2] + added + jpeg[2:] + trailer


def exif_segment(block: bytes) -> tuple[int, bytes]:
    """EXIF as an APP1 segment."""
    return 0xE1, b"Exif\0\0" + block


def xmp_segment(packet: bytes) -> tuple[int, bytes]:
    """XMP as an APP1 segment."""
    return 0xE1, b"http://ns.adobe.com/xap/1.0/\0" + packet


def iptc_segment() -> tuple[int, bytes]:
    """IPTC as an APP13 segment."""
    return 0xED, b"Photoshop 3.0\0" + iptc_resource()


def motion_photo_trailer() -> bytes:
    """A tiny MP4 that says where it was filmed, in the QuickTime way and in the 3GPP way."""
    place = b"+12.3400-056.7800/"
    quicktime = box(b"\xa9xyz", struct.pack(">HH", len(place), 0x15C7) + place)
    threegpp = box(
        b"loci",
        bytes(4) + struct.pack(">H", 0x55C4) + b"\0\0" + struct.pack(">3i", -56 << 16, 12 << 16, 0) + b"\0\0",
    )
    header = box(b"mvhd", bytes(12) + struct.pack(">II", 1000, 1000) + bytes(80))
    return box(b"ftyp", b"mp42\0\0\0\0mp42isom") + box(b"moov", header + box(b"udta", quicktime + threegpp))


def multi_picture(first: bytes, second: bytes) -> bytes:
    """An MPO: two JPEGs behind each other, with the index of CIPA DC-007 in the first."""
    entries = 2 * 16
    table = struct.pack("<H", 3)
    table += struct.pack("<HHI4s", 0xB000, UNDEFINED, 4, b"0100")
    table += struct.pack("<HHII", 0xB001, LONG, 1, 2)
    table += struct.pack("<HHII", 0xB002, UNDEFINED, entries, 8 + 2 + 3 * 12 + 4)
    table += struct.pack("<I", 0)
    body_bytes = 4 + 8 + len(table) + entries
    first_bytes = len(first) + 4 + body_bytes
    # The second picture's offset counts from the byte order mark of this block, which lies at byte 10.
    listed = struct.pack("<IIIHH", 0x20030000, first_bytes, 0, 0, 0)
    listed += struct.pack("<IIIHH", 0x00020002, len(second), first_bytes - 10, 0, 0)
    return jpeg_with(first, (0xE2, b"MPF\0II*\0\x08\0\0\0" + table + listed)) + second


def box(kind: bytes, body: bytes) -> bytes:
    """One box of an ISO base media file or a JPEG 2000 file."""
    return struct.pack(">I", len(body) + 8) + kind + body


def undated(movie: bytes) -> bytes:
    """An image sequence without the times at which it was made, which would differ in every run."""
    changed = bytearray(movie)
    for kind in (b"mvhd", b"tkhd", b"mdhd"):
        at = movie.index(kind, movie.index(b"moov")) + 4
        changed[at + 4 : at + 20] = bytes(16)
        if movie[at] != 1:
            raise ValueError("only the 64-bit times that libavif writes are known here")
    return bytes(changed)


def png_chunk(kind: bytes, body: bytes) -> bytes:
    """One chunk of a PNG."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_of(
    width: int,
    height: int,
    *,
    depth: int,
    kind: int,
    rows: bytes | None,
    extra: bytes = b"",
    interlace: int = 0,
) -> bytes:
    """A PNG of filtered rows; with `rows=None` every sample is 0, deflated as tightly as it goes."""
    header = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, interlace)
    samples = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[kind]
    if rows is None:
        packer = zlib.compressobj(9)
        row = bytes(1 + (width * samples * depth + 7) // 8)
        packed = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    else:
        packed = zlib.compress(rows, 9)
    return (
        b"\x89PNG\r\n\x1a\n"
        + png_chunk(b"IHDR", header)
        + extra
        + png_chunk(b"IDAT", packed)
        + png_chunk(b"IEND", b"")
    )


def png_with(png: bytes, kind: bytes, body: bytes) -> bytes:
    """The PNG with one more chunk right after its header."""
    return png[:33] + png_chunk(kind, body) + png[33:]


def adam7(width: int, height: int, pixels: bytes) -> bytes:
    """RGB pixels in the seven passes of an interlaced PNG, each row unfiltered."""
    out = bytearray()
    passes = (
        (0, 0, 8, 8),
        (4, 0, 8, 8),
        (0, 4, 4, 8),
        (2, 0, 4, 4),
        (0, 2, 2, 4),
        (1, 0, 2, 2),
        (0, 1, 1, 2),
    )
    for left, top, right_step, down_step in passes:
        for y in range(top, height, down_step):
            row = b"".join(
                pixels[3 * (y * width + x) : 3 * (y * width + x) + 3] for x in range(left, width, right_step)
            )
            if row:
                out += b"\0" + row
    return bytes(out)


def psd(
    width: int,
    height: int,
    channels: Sequence[bytes],
    *,
    mode: int,
    packed: bool = False,
) -> bytes:
    """A flat Photoshop file of 8-bit planes. Modes: 1 gray, 3 RGB, 4 CMYK (stored inverted)."""
    header = b"8BPS" + struct.pack(">H6xHIIHH", 1, len(channels), height, width, 8, mode)
    resolution = b"8BIM\x03\xed\0\0" + struct.pack(">IIHHIHH", 16, 72 << 16, 1, 1, 72 << 16, 1, 1)
    sections = struct.pack(">I", 0) + struct.pack(">I", len(resolution)) + resolution + struct.pack(">I", 0)
    if not packed:
        return header + sections + struct.pack(">H", 0) + b"".join(channels)
    rows = [_packbits(channel[y * width : (y + 1) * width]) for channel in channels for y in range(height)]
    lengths = struct.pack(f">{len(rows)}H", *(len(row) for row in rows))
    return header + sections + struct.pack(">H", 1) + lengths + b"".join(rows)


def icns(*parts: tuple[bytes, bytes]) -> bytes:
    """An Apple icon file of the given (type, data) pairs."""
    body = b"".join(kind + struct.pack(">I", len(data) + 8) + data for kind, data in parts)
    return b"icns" + struct.pack(">I", len(body) + 8) + body


def ico(*pictures: tuple[int, int, bytes], bits: int = 32) -> bytes:
    """A Windows icon file of (width, height, PNG or headerless BMP) pictures."""
    offset = 6 + 16 * len(pictures)
    table, body = struct.pack("<HHH", 0, 1, len(pictures)), b""
    for width, height, data in pictures:
        table += struct.pack(
            "<BBBBHHII",
            width % 256,
            height % 256,
            0,
            0,
            1,
            bits,
            len(data),
            offset + len(body),
        )
        body += data
    return table + body


def icon_bitmap(width: int, height: int, bgra_bottom_up: bytes) -> bytes:
    """The headerless BMP that old icons hold: colours, then an empty mask."""
    mask_row = bytes((width + 31) // 32 * 4)
    header = struct.pack("<IiiHHIIiiII", 40, width, 2 * height, 1, 32, 0, len(bgra_bottom_up), 0, 0, 0, 0)
    return header + bgra_bottom_up + mask_row * height


def bmp(width: int, height: int, *, bits: int, compression: int, palette: bytes, body: bytes) -> bytes:
    """A Windows bitmap with a 40-byte header."""
    at = 14 + 40 + len(palette)
    info = struct.pack(
        "<IiiHHIIiiII",
        40,
        width,
        height,
        1,
        bits,
        compression,
        len(body),
        2835,
        2835,
        len(palette) // 4,
        0,
    )
    return b"BM" + struct.pack("<IHHI", at + len(body), 0, 0, at) + info + palette + body


def run_lengths(row: bytes) -> bytes:
    """One row of an RLE8 bitmap."""
    out = bytearray()
    start = 0
    while start < len(row):
        end = start
        while end < len(row) and row[end] == row[start] and end - start < 255:
            end += 1
        out += bytes((end - start, row[start]))
        start = end
    return bytes(out) + b"\0\0"


def gif_of_dots(frames: int) -> bytes:
    """A 1 by 1 GIF animation that changes colour with every frame."""
    head = b"GIF89a" + struct.pack("<HHBBB", 1, 1, 0x80, 0, 0) + b"\0\0\0\xff\xff\xff"
    loop = b"\x21\xff\x0bNETSCAPE2.0\x03\x01\0\0\0"
    out = head + loop
    for number in range(frames):
        pixel = b"\x44\x01" if number % 2 == 0 else b"\x4c\x01"
        out += b"\x21\xf9\x04\0\x05\0\0\0" + b"\x2c" + struct.pack("<HHHHB", 0, 0, 1, 1, 0)
        out += b"\x02\x02" + pixel + b"\0"
    return out + b"\x3b"


def _directory(entries: list[Entry], at: int, following: int) -> bytes:
    table = struct.pack("<H", len(entries))
    beyond = b""
    at_beyond = at + 2 + 12 * len(entries) + 4
    for tag, kind, count, value in entries:
        if len(value) <= 4:
            place = value.ljust(4, b"\0")
        else:
            place = struct.pack("<I", at_beyond + len(beyond))
            beyond += value + b"\0" * (len(value) % 2)
        table += struct.pack("<HHI", tag, kind, count) + place
    return table + struct.pack("<I", following) + beyond


def _packbits(row: bytes) -> bytes:
    out = bytearray()
    for start in range(0, len(row), 128):
        piece = row[start : start + 128]
        if len(set(piece)) == 1 and len(piece) > 1:
            out += bytes((257 - len(piece), piece[0]))
        else:
            out += bytes((len(piece) - 1,)) + piece
    return bytes(out)
