"""IPTC-IIM records and the Photoshop resources around them: do they name a place, and copies that do not."""

from collections.abc import Iterator

MOST_DATASETS = 10_000
MOST_RESOURCES = 1_000
PHOTOSHOP = b"Photoshop 3.0\0"
RESOURCE_SIGNATURES = frozenset({b"8BIM", b"PHUT", b"DCSR", b"AgHg", b"MeSa"})
IPTC_RESOURCE = 0x0404

PLACES = frozenset({26, 27, 90, 92, 95, 100, 101})
"""Datasets of record 2: content location code and name, city, sublocation, state, country code and name."""
DESTINATION = (1, 5)
PREVIEWS = frozenset({200, 201, 202})
KEPT_RECORDS = frozenset({1, 2, 3})
"""The envelope, the application record and the photo's own; others hold previews and makers' data."""
KEPT_RESOURCES = frozenset({0x03ED, 0x03F0, 0x0406, 0x040A, 0x040B})
"""Resolution, caption, JPEG quality, copyright flag and URL. All others, among them thumbnails, EXIF, XMP
and the digest of the IPTC bytes, are dropped."""


def has_location(block: bytes) -> bool:
    """Whether an IPTC-IIM block, or a Photoshop resource block around one, names a place."""
    if block[:4] in (b"8BIM", b"Phot"):
        block = from_photoshop(block)
    return any(
        record == 2 and dataset in PLACES and end > start
        for record, dataset, _at, start, end in datasets(block)
    )


def from_photoshop(block: bytes) -> bytes:
    """The IPTC-IIM bytes of a Photoshop resource block, empty when it has none."""
    return b"".join(block[start:end] for kind, _at, start, end in resources(block) if kind == IPTC_RESOURCE)


def scrubbed(block: bytes) -> bytes:
    """An IPTC-IIM block without places and previews."""
    return b"".join(
        block[at:end]
        for record, dataset, at, _start, end in datasets(block)
        if record in KEPT_RECORDS
        and not (record == 2 and dataset in PLACES | PREVIEWS)
        and (record, dataset) != DESTINATION
    )


def scrubbed_photoshop(block: bytes) -> bytes:
    """A Photoshop resource block with its IPTC scrubbed and only the resources that can tell no place."""
    pieces = []
    for kind, at, start, end in resources(block):
        if kind in KEPT_RESOURCES:
            pieces.append(block[at:end] + bytes((end - start) % 2))
        elif kind == IPTC_RESOURCE:
            inner = scrubbed(block[start:end])
            if inner:
                pieces.append(block[at : start - 4] + len(inner).to_bytes(4, "big") + inner)
                pieces.append(bytes(len(inner) % 2))
    return b"".join(pieces)


def datasets(block: bytes) -> Iterator[tuple[int, int, int, int, int]]:
    """Record, dataset, offset, and the value's bounds, until something is not a dataset."""
    at = 0
    for _ in range(MOST_DATASETS):
        if at + 5 > len(block) or block[at] != 0x1C:
            return
        record, dataset = block[at + 1], block[at + 2]
        length = int.from_bytes(block[at + 3 : at + 5], "big")
        start = at + 5
        if length & 0x8000:
            length_bytes = length & 0x7FFF
            if length_bytes > 4:
                return
            length = int.from_bytes(block[start : start + length_bytes], "big")
            start += length_bytes
        end = start + length
        if end > len(block):
            return
        yield record, dataset, at, start, end
        at = end


def resources(block: bytes) -> Iterator[tuple[int, int, int, int]]:
    """Kind, offset, and the value's bounds of each Photoshop resource, until something is not one."""
    at = len(PHOTOSHOP) if block.startswith(PHOTOSHOP) else 0
    for _ in range(MOST_RESOURCES):
        if at + 12 > len(block) or block[at : at + 4] not in RESOURCE_SIGNATURES:
            return
        kind = int.from_bytes(block[at + 4 : at + 6], "big")
        size_at = at + 6 + (block[at + 6] + 2) // 2 * 2
        start = size_at + 4
        end = start + int.from_bytes(block[size_at:start], "big")
        if end > len(block):
            return
        yield kind, at, start, end
        at = end + (end - start) % 2
