"""XMP packets: orientation, whether they tell a location, and a copy without it.

They are parsed by expat with namespaces, so that prefixes and attribute or element form do not matter.
"""

import re
from collections.abc import Callable
from xml.parsers import expat

TIFF = "http://ns.adobe.com/tiff/1.0/"
LATITUDE = "GPSLatitude"
MOST_BYTES = 16 * 1024 * 1024
SEPARATOR = " "
COORDINATE = re.compile(r"(?i)latitude|longt?itude|gpscoordinates|gpsposition")
LOOSE_COORDINATE = re.compile(
    rb"(?i)(?:GPS|drone-dji:)[a-z]{0,16}(?:Latitude|Longt?itude)\s*(?:=\s*[\"']\s*[^\"'\s]|>\s*[^<\s])"
)
LOOSE_ORIENTATION = re.compile(rb"tiff:Orientation(?:\s*=\s*[\"']|>)\s*([1-8])\s*[\"'<]")
GEO = "http://www.w3.org/2003/01/geo/wgs84_pos#"
PLACE = re.compile(
    r"(?i:gps|latitude|longt?itude|altitude|geotag|ciadr|worldregion|makernote)"
    r"|(?:^l|L)ocat(?:ion|ed)|(?i:sublocation)|RatingRegion|(?:^l|L)ocality|(?:^c|C)ity|(?:^c|C)ountry|(?:^c|C)ounty|(?:^p|P)rovince"
    r"|(?:^c|C)overage|(?:^c|C)ontinent|(?:^m|M)unicipality|(?:^i|I)sland|(?:^w|W)aterBody|(?:^g|G)eography"
    r"|(?:^l|L)andmark|(?:^c|C)oordinates|(?:^a|A)ddress"
    r"|^(?:[Ss]tate|[Ll]at|[Ll]on|[Ll]ong|lat_long|[Aa]lt|Thumbnails|HasExtendedXMP|MotionPhoto.*|MicroVideo.*)$"
)
"""Local names of properties that tell a place, that hold pictures with metadata of their own, or that
describe what is no longer there: the extended packet and the film of a motion photo."""
DROPPED_NAMESPACES = frozenset(
    {
        GEO,
        "http://developer.sonyericsson.com/cell/1.0/",
        "http://rs.tdwg.org/dwc/index.htm",
        "http://www.dji.com/drone-dji/1.0/",
        "http://ns.adobe.com/xap/1.0/g/img/",
        "http://ns.adobe.com/hdr-gain-map/1.0/",
        "http://ns.apple.com/HDRGainMap/1.0/",
        "http://ns.google.com/photos/1.0/audio/",
        "http://ns.google.com/photos/1.0/container/",
        "http://ns.google.com/photos/1.0/depthmap/",
        "http://ns.google.com/photos/1.0/image/",
    }
)
"""Places, pictures inside the packet, and pictures behind the main one, which do not outlive it."""
GOOGLE_DEVICE = "http://ns.google.com/photos/dd/1.0/"
"""Poses of the phone on the earth, its cameras and their pictures."""
RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
TAG = re.compile(rb"<[^\s/>]+")
ATTRIBUTE = re.compile(rb"\s+([^\s=/>\"']+)\s*=\s*(\"[^\"]*\"|'[^']*')")


class Unreadable(Exception):
    """The packet is no well-formed XML, or it has a document type."""


def orientation(packet: bytes) -> int | None:
    """`tiff:Orientation` as 1..8, or None where the packet says nothing usable."""
    found: list[int] = []

    def see(namespace: str, name: str, value: str) -> None:
        if name == "Orientation" and namespace == TIFF and value in {"1", "2", "3", "4", "5", "6", "7", "8"}:
            found.append(int(value))

    if b"Orientation" not in packet.replace(b"\0", b""):
        return None
    try:
        properties(packet, see)
    except Unreadable:
        loose = LOOSE_ORIENTATION.search(packet.replace(b"\0", b"")[:MOST_BYTES])
        return int(loose[1]) if loose else None
    return found[0] if found else None


def has_gps(packet: bytes) -> bool:
    """Whether there are coordinates, as attribute or element, with any prefix and in any encoding."""
    found: list[str] = []

    def see(namespace: str, name: str, value: str) -> None:
        if value and (COORDINATE.search(name) or (namespace == GEO and name in {"lat", "long", "lat_long"})):
            found.append(name)

    try:
        properties(packet, see)
    except Unreadable:
        # Other readers do not insist on well-formed XML and find what a broken packet holds.
        return LOOSE_COORDINATE.search(packet.replace(b"\0", b"")[:MOST_BYTES]) is not None
    return bool(found)


def scrubbed(packet: bytes) -> bytes:
    """A copy in UTF-8 without location, embedded pictures and comments, with orientation 1.

    Empty when the packet is not well-formed or has a document type.
    """
    try:
        copy = _Scrubber(utf8(packet)).copy()
    except Unreadable:
        return b""
    return b"" if has_gps(copy) or orientation(copy) not in (None, 1) else copy


def properties(packet: bytes, see: Callable[[str, str, str], None]) -> None:
    """Call `see(namespace, name, value)` for every attribute, and every element without child elements."""
    open_texts: list[list[str] | None] = []

    def start(_name: str, attributes: list[str]) -> None:
        if open_texts:
            open_texts[-1] = None
        open_texts.append([])
        for index in range(0, len(attributes), 2):
            see(*split(attributes[index]), attributes[index + 1].strip())

    def text(data: str) -> None:
        if open_texts and (pieces := open_texts[-1]) is not None:
            pieces.append(data)

    def end(name: str) -> None:
        pieces = open_texts.pop()
        if pieces is not None:
            see(*split(name), "".join(pieces).strip())

    parser = new_parser()
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = text
    parse(parser, utf8(packet))


def new_parser() -> expat.XMLParserType:
    """A parser that resolves namespaces and refuses every document type."""
    parser = expat.ParserCreate("utf-8", SEPARATOR)
    parser.ordered_attributes = True
    parser.buffer_text = True

    def refuse(*_: object) -> None:
        raise Unreadable("a document type")

    parser.StartDoctypeDeclHandler = refuse
    parser.EntityDeclHandler = refuse
    return parser


def parse(parser: expat.XMLParserType, text: bytes) -> None:
    """Feed the whole text. Raises Unreadable."""
    try:
        parser.Parse(text, True)
    except (expat.ExpatError, ValueError) as error:
        raise Unreadable("not well-formed") from error


def split(name: str) -> tuple[str, str]:
    """The namespace and local name that expat joined."""
    namespace, _, local = name.rpartition(SEPARATOR)
    return namespace, local


def utf8(packet: bytes) -> bytes:
    """The packet as UTF-8 without padding. Raises Unreadable."""
    if len(packet) > MOST_BYTES:
        raise Unreadable("too long")
    encoding = _encoding(packet)
    if encoding != "utf-8":
        try:
            packet = packet.decode(encoding).encode()
        except UnicodeError as error:
            raise Unreadable("not in its encoding") from error
    return packet.removeprefix(b"\xef\xbb\xbf").strip(b"\0 \t\r\n")


def _encoding(packet: bytes) -> str:
    head = packet[:4]
    if head in (b"\xff\xfe\0\0", b"\0\0\xfe\xff"):
        return "utf-32"
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "utf-16"
    if head == b"\0\0\0<":
        return "utf-32-be"
    if head == b"<\0\0\0":
        return "utf-32-le"
    if head[:2] == b"\0<":
        return "utf-16-be"
    if head[:2] == b"<\0":
        return "utf-16-le"
    return "utf-8"


def _is_dropped(namespace: str, name: str) -> bool:
    if namespace in DROPPED_NAMESPACES or namespace.startswith(GOOGLE_DEVICE):
        return True
    return namespace != RDF and PLACE.search(name) is not None


class _Scrubber:
    """Parses a text once and notes which of its bytes to leave out or to replace."""

    def __init__(self, text: bytes) -> None:
        self._text = text
        self._edits: list[tuple[int, int, bytes]] = []
        self._tag_ends: list[int] = []
        self._dropping_at: int | None = None
        self._dropping_depth = 0
        self._parser = new_parser()
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CommentHandler = self._comment
        self._parser.ProcessingInstructionHandler = self._instruction
        self._parser.XmlDeclHandler = self._declaration

    def copy(self) -> bytes:
        parse(self._parser, self._text)
        pieces = []
        done = 0
        for start, end, replacement in self._edits:
            if start < done:
                raise Unreadable("something inside an orientation")
            pieces += [self._text[done:start], replacement]
            done = end
        return b"".join([*pieces, self._text[done:]])

    def _start(self, name: str, attributes: list[str]) -> None:
        at = self._parser.CurrentByteIndex
        if self._dropping_at is not None:
            self._dropping_depth += 1
            return
        if _is_dropped(*split(name)):
            self._dropping_at = at
            self._dropping_depth = 0
            self._tag_ends.append(self._tag_end(at, None))
            return
        self._tag_ends.append(self._tag_end(at, attributes))

    def _tag_end(self, at: int, attributes: list[str] | None) -> int:
        """Where a start tag ends. What its attributes need, if it is kept, is noted."""
        opening = TAG.match(self._text, at)
        if opening is None:
            raise Unreadable("a tag that is none")
        position = opening.end()
        index = 0
        while match := ATTRIBUTE.match(self._text, position):
            position = match.end()
            if match[1] == b"xmlns" or match[1].startswith(b"xmlns:") or attributes is None:
                continue
            if index >= len(attributes):
                raise Unreadable("an attribute too many")
            namespace, local = split(attributes[index])
            index += 2
            if _is_dropped(namespace, local):
                self._edits.append((match.start(), match.end(), b""))
            elif local == "Orientation" and namespace == TIFF:
                self._edits.append((match.start(2), match.end(2), b'"1"'))
        if attributes is not None and index != len(attributes):
            raise Unreadable("an attribute too few")
        return self._text.index(b">", position) + 1  # It is there: expat has seen the whole tag.

    def _end(self, name: str) -> None:
        at = self._parser.CurrentByteIndex
        if self._dropping_at is not None:
            if self._dropping_depth:
                self._dropping_depth -= 1
                return
            tag_end = self._tag_ends.pop()
            end = tag_end if self._is_empty(tag_end) else self._text.index(b">", at) + 1
            self._edits.append((self._dropping_at, end, b""))
            self._dropping_at = None
            return
        tag_end = self._tag_ends.pop()
        if split(name) == (TIFF, "Orientation") and not self._is_empty(tag_end):
            self._edits.append((tag_end, at, b"1"))

    def _is_empty(self, tag_end: int) -> bool:
        return self._text[tag_end - 2 : tag_end] == b"/>"

    def _comment(self, _data: str) -> None:
        self._leave_out(b"-->")

    def _instruction(self, target: str, _data: str) -> None:
        if target != "xpacket":
            self._leave_out(b"?>")

    def _declaration(self, _version: str, _encoding: str | None, _standalone: int) -> None:
        self._leave_out(b"?>")

    def _leave_out(self, terminator: bytes) -> None:
        if self._dropping_at is None:
            at = self._parser.CurrentByteIndex
            self._edits.append((at, self._text.index(terminator, at) + len(terminator), b""))
