"""Metadata blocks made by hand, and the comparison with the manifests that all header tests share."""

import mmap
import random
import struct
from collections.abc import Callable, Iterator

from conformance.corpora import Sample, samples

from remote_worker.contract.failures import FailureCode, WorkFailed
from remote_worker.decoder.header import Header

Read = Callable[[bytes | mmap.mmap], Header]

COMPARED = (
    "width",
    "height",
    "display_width",
    "display_height",
    "frames",
    "has_alpha",
    "orientation",
    "has_gps",
)


def directory(entries: list[tuple[int, int, int, int]], at: int, order: str = "<") -> bytes:
    """A TIFF directory of (tag, type, count, value) without a next one."""
    packed = [
        struct.pack(order + ("HHIHxx" if kind == 3 and count == 1 else "HHII"), tag, kind, count, value)
        for tag, kind, count, value in entries
    ]
    assert at >= 8
    return struct.pack(order + "H", len(packed)) + b"".join(packed) + bytes(4)


def exif_block(orientation: int | None = None, *, has_gps: bool = False, order: str = "<") -> bytes:
    """An EXIF block with an orientation, and a GPS directory that has a latitude or only its version."""
    entries = [] if orientation is None else [(0x0112, 3, 1, orientation)]
    gps_at = 8 + 2 + 12 * (len(entries) + 1) + 4
    main = directory([*entries, (0x8825, 4, 1, gps_at)], 8, order)
    latitude = (2, 5, 3, gps_at + 18)
    gps = directory([latitude if has_gps else (0, 1, 4, 0x0302)], gps_at, order)
    head = (b"II" if order == "<" else b"MM") + struct.pack(order + "HI", 42, 8)
    return head + main + gps + struct.pack(order + "6I", 52, 1, 30, 1, 0, 1)


def xmp_packet(orientation: int | None = None, *, has_gps: bool = False) -> bytes:
    """An XMP packet that says as little as that."""
    attributes = "" if orientation is None else f' tiff:Orientation="{orientation}"'
    attributes += ' exif:GPSLatitude="52,30.0N"' if has_gps else ' exif:GPSVersionID="2.3.0.0"'
    return (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        '<rdf:Description rdf:about="" xmlns:tiff="http://ns.adobe.com/tiff/1.0/"'
        f' xmlns:exif="http://ns.adobe.com/exif/1.0/"{attributes}/></rdf:RDF></x:xmpmeta>'
    ).encode()


def samples_of(*formats: str) -> list[Sample]:
    """The files of these formats that every reader must understand."""
    return [sample for sample in samples() if sample.format in formats and sample.expected == "ok"]


def disagreements(read: Read, sample: Sample) -> dict[str, tuple[object, object]]:
    """The facts that differ from the manifest's, which exiftool and ImageMagick measured."""
    header = read(sample.read())
    stated = {name: getattr(sample, name) for name in COMPARED}
    if sample.orientation is not None and sample.orientation not in range(1, 9):
        stated["orientation"] = 1
    return {
        name: (value, getattr(header, name))
        for name, value in stated.items()
        if value is not None and value != getattr(header, name)
    }


def outcome(read: Read, data: bytes) -> Header | FailureCode:
    """The header, or the code of the one failure that a header may end in."""
    try:
        return read(data)
    except WorkFailed as failure:
        return failure.code


def mutilated(data: bytes, seed: int = 1) -> Iterator[bytes]:
    """Every prefix of a small file, and copies with a few bytes changed."""
    for length in range(1, len(data)):
        yield data[:length]
    dice = random.Random(seed)
    for _ in range(2000):
        copy = bytearray(data)
        for _ in range(dice.choice((1, 2, 8))):
            copy[dice.randrange(len(copy))] = dice.choice((0, 1, 0x7F, 0xFF, dice.randrange(256)))
        yield bytes(copy)
