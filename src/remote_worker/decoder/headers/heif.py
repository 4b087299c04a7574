"""Headers of HEIC and AVIF, stills and AVIF sequences."""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

from ..header import Header
from ..metadata import mp4
from . import Buffer, Metadata, damaged, piece
from .heif_items import Meta, read_meta
from .heif_track import Sequence, read_sequence
from .isobmff import Box, Fields, Walk, whole

AVIF_BRANDS = frozenset({b"avif", b"avis"})
HEIC_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"})
GENERIC_BRANDS = frozenset({b"mif1", b"mif2", b"msf1"})

MOST_BRANDS_BYTES = 1024 * 1024
"""A length that is text, such as `<` with zeros, belongs to another format."""

CODED_KINDS = frozenset(
    {b"hvc1", b"hev1", b"lhv1", b"av01", b"avc1", b"vvc1", b"evc1", b"jpeg", b"j2k1", b"unci"}
)
COMPOSED_KINDS = frozenset({b"grid", b"iovl", b"iden"})
"""Pictures made of others, which are then parts and no pictures of their own."""
ALPHA = frozenset(
    {
        b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha",
        b"urn:mpeg:hevc:2015:auxid:1",
        b"urn:mpeg:avc:2015:auxid:1",
    }
)

ORIENTATIONS = {(0, 0): 1, (0, 1): 2, (2, 0): 3, (2, 1): 4, (1, 1): 5, (3, 0): 6, (3, 1): 7, (1, 0): 8}
"""By quarter turns to the left, made after a mirroring of left and right or without one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """How the coded picture comes to stand: cut to `crop` (left, top, right, bottom), then turned.

    `turn` is an orientation of 1..8. AVIF and HEIF ignore the orientation in EXIF and XMP.
    """

    width: int
    height: int
    display_width: int
    display_height: int
    crop: tuple[int, int, int, int] | None = None
    turn: int = 1
    is_stated: bool = False
    """There is a rotation or a mirroring in the file, even one that changes nothing."""


def brand(prefix: bytes) -> str | None:
    """`heic` or `avif` by the brands at the head of a file, None for everything else."""
    length = int.from_bytes(prefix[:4], "big")
    if prefix[4:8] != b"ftyp" or len(prefix) < 16 or length > MOST_BRANDS_BYTES:
        return None
    end = min(length, len(prefix))
    compatible = [prefix[at : at + 4] for at in range(16, end - 3, 4)]
    for one in [prefix[8:12], *compatible]:
        if one in AVIF_BRANDS:
            return "avif"
        if one in HEIC_BRANDS:
            return "heic"
    return "heic" if prefix[8:12] in GENERIC_BRANDS else None


def read(data: Buffer) -> Header:
    """The facts of a HEIC or AVIF file."""
    document = _open(data)
    meta, sequence, placed = document.meta, document.sequence, document.placement
    metas = [meta, *(sequence.metas if sequence else ())]
    metadata = Metadata()
    for each in metas:
        for block in each.exif_blocks():
            metadata.take_exif(block)
        for packet in each.xmp_packets():
            metadata.take_xmp(packet)
    metadata.profile = _profile(meta)
    depth, channels = _depth_and_channels(meta, sequence)
    return Header(
        width=placed.width,
        height=placed.height,
        display_width=placed.display_width,
        display_height=placed.display_height,
        frames=sequence.pictures.frames if sequence else _pictures(meta),
        orientation=placed.turn if placed.is_stated else metadata.orientation,
        has_alpha=sequence.has_alpha if sequence else _has_alpha(meta),
        color_space="gray" if channels == 1 else "rgb",
        bit_depth=depth,
        has_icc_profile=metadata.profile is not None,
        has_exif=metadata.has_exif,
        has_gps=metadata.has_gps or any(mp4.has_location(data, box.start, box.end) for box in document.films),
        loop=sequence.pictures.loop if sequence else None,
        duration_ms=sequence.pictures.duration_ms if sequence else None,
        is_animation=sequence is not None,
        blocks=metadata.blocks,
    )


def placement(data: Buffer) -> Placement:
    """How to stand a picture upright that a decoder gave as it is coded."""
    return _open(data).placement


@dataclass(frozen=True, slots=True)
class _Document:
    meta: Meta
    sequence: Sequence | None
    placement: Placement
    films: tuple[Box, ...]
    """Boxes that hold a film: the sequence's own, or a motion photo's."""


def _open(data: Buffer) -> _Document:
    walk = Walk(data)
    meta = Meta(walk)
    movie: Box | None = None
    films = []
    is_sequence = data[8:12] == b"avis"
    for box in walk.top():
        if box.kind == b"meta" and not meta.items:
            meta = read_meta(walk, whole(box))
        elif box.kind == b"moov" and movie is None:
            movie = whole(box)
            films.append(box)
        elif box.kind == b"mpvd":
            films.append(box)
    # Only the major brand makes it a sequence: that is how libavif chooses between its two faces.
    sequence = read_sequence(walk, movie) if is_sequence and movie else None
    if meta.primary is not None and meta.primary in meta.items:
        placed = _placement(meta, meta.primary)
    elif sequence is not None:
        track = sequence.pictures
        placed = Placement(
            width=track.width, height=track.height, display_width=track.width, display_height=track.height
        )
    else:
        raise damaged("no primary picture")
    if sequence is not None and sequence.pictures.frames < 1:
        raise damaged("a sequence without frames")
    if min(placed.width, placed.height, placed.display_width, placed.display_height) < 1:
        raise damaged("a picture without a size")
    return _Document(meta, sequence, placed, tuple(films[:2]))


def _placement(meta: Meta, item: int) -> Placement:
    extent = meta.property_of(item, b"ispe")
    if extent is None:
        raise damaged("a picture without its size")
    fields = meta.walk.fields(extent)
    fields.take(4)
    width, height = fields.number(4), fields.number(4)
    shown = (width, height)
    crop = None
    turns, mirrored, is_stated = 0, 0, False
    for box in meta.properties_of(item):
        fields = meta.walk.fields(box)
        if box.kind == b"clap":
            cut = _clean_aperture(fields, *shown)
            shown = (cut[2] - cut[0], cut[3] - cut[1])
            crop = cut if (turns, mirrored, crop) == (0, 0, None) else crop
        elif box.kind == b"irot":
            is_stated = True
            quarter = fields.number(1) & 3
            turns = (turns + quarter) % 4
            shown = (shown[1], shown[0]) if quarter % 2 else shown
        elif box.kind == b"imir":
            is_stated = True
            # 1 exchanges left and right; 0 exchanges top and bottom, the same and half a turn.
            half = 0 if fields.number(1) & 1 else 2
            turns, mirrored = (half - turns) % 4, 1 - mirrored
    return Placement(
        width=width,
        height=height,
        display_width=shown[0],
        display_height=shown[1],
        crop=crop,
        turn=ORIENTATIONS[turns, mirrored],
        is_stated=is_stated,
    )


def _clean_aperture(fields: Fields, width: int, height: int) -> tuple[int, int, int, int]:
    """The part to show, kept inside the picture, as libheif rounds it."""
    sides = []
    for picture_side in (width, height):
        numerator, denominator = fields.number(4), fields.number(4)
        if denominator == 0 or numerator == 0:
            raise damaged("a clean aperture without a size")
        sides.append((picture_side, Fraction(numerator, denominator)))
    cut = []
    for picture_side, side in sides:
        numerator, denominator = fields.signed(4), fields.signed(4)
        if denominator == 0:
            raise damaged("a clean aperture without a place")
        start = int(Fraction(numerator, denominator) + Fraction(picture_side - 1, 2) - (side - 1) / 2)
        stop = min(start + int(side + Fraction(1, 2)), picture_side)
        start = max(start, 0)
        if start >= stop:
            raise damaged("a clean aperture outside the picture")
        cut.append((start, stop))
    return cut[0][0], cut[1][0], cut[0][1], cut[1][1]


def _pictures(meta: Meta) -> int:
    """The pictures that a viewer offers: not thumbnails, auxiliary pictures, parts or tone-mapped twins."""
    lesser: set[int] = set()
    for reference in meta.references:
        if reference.kind in (b"thmb", b"auxl"):
            lesser.add(reference.source)
        elif reference.kind == b"dimg":
            lesser.update(reference.targets)
    if meta.primary is not None:
        # A gain map's twin is derived from the primary picture, which stays a picture of its own.
        lesser.discard(meta.primary)
    kinds = CODED_KINDS | COMPOSED_KINDS
    return max(
        1,
        sum(
            item.kind in kinds and not item.is_hidden and number not in lesser
            for number, item in meta.items.items()
        ),
    )


def _has_alpha(meta: Meta) -> bool:
    sources = {one.source for one in meta.references if one.kind == b"auxl" and meta.primary in one.targets}
    for source in sources:
        kind = meta.property_of(source, b"auxC")
        if kind is not None:
            fields = meta.walk.fields(kind)
            fields.take(4)
            if fields.text() in ALPHA:
                return True
    return False


def _profile(meta: Meta) -> Callable[[], bytes] | None:
    for box in meta.properties_of(meta.primary):
        kind = meta.walk.data[box.start : box.start + 4]
        if box.kind == b"colr" and box.end - box.start > 4 and kind in (b"prof", b"rICC"):
            return piece(meta.walk.data, box.start + 4, box.end)
    return None


def _depth_and_channels(meta: Meta, sequence: Sequence | None) -> tuple[int, int]:
    """By pixi, else by the codec's own record, of the picture or of its first part."""
    parts = (one.targets[:1] for one in meta.references if (one.kind, one.source) == (b"dimg", meta.primary))
    found = [box for item in (meta.primary, *next(parts, ())) for box in meta.properties_of(item)]
    if sequence is not None and sequence.pictures.codec is not None:
        found.append(sequence.pictures.codec)
    for kind in (b"pixi", b"av1C", b"hvcC"):
        for box in found:
            if box.kind == kind:
                content = meta.walk.data[box.start : min(box.end, box.start + 32)]
                depth, channels = _codec_says(kind, content)
                if depth:
                    return depth, channels
    return 8, 3


def _codec_says(kind: bytes, content: bytes) -> tuple[int, int]:
    """Bits and channels, or zeros."""
    if kind == b"pixi" and len(content) >= 6:
        return content[5], content[4]
    if kind == b"av1C" and len(content) >= 4:
        bits = (12 if content[2] & 0x20 else 10) if content[2] & 0x40 else 8
        return bits, 1 if content[2] & 0x10 else 3
    if kind == b"hvcC" and len(content) >= 18:
        return (content[17] & 7) + 8, 3 if content[16] & 3 else 1
    return 0, 0
