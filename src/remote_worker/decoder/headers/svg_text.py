"""The text of an SVG document: inflated, decoded, and its root element. Nothing it refers to is followed."""

import codecs
import re
import zlib
from dataclasses import dataclass
from xml.parsers import expat

from ...contract.failures import FailureCode, WorkFailed
from ...contract.signatures import Template, template_of
from . import Buffer, damaged

GZIP = b"\x1f\x8b"
NAMESPACE = "http://www.w3.org/2000/svg"
SEPARATOR = " "

MOST_BYTES = 30 * 1024 * 1024
MOST_RATIO = 200
UNSUSPICIOUS_BYTES = 1024 * 1024
"""So much may come out of any gzip file, however small."""
MOST_PROLOG_CHARACTERS = 1024 * 1024
"""The root's start tag ends within so much text."""
MOST_ENTITIES = 256
MOST_ENTITY_CHARACTERS = 4096

DECLARATION = re.compile(rb"<\?xml[^>]{0,200}?\bencoding\s*=\s*[\"']([A-Za-z0-9._-]{1,40})[\"']")
ENCODINGS = (
    "utf-8 us-ascii iso-8859-1 iso-8859-2 iso-8859-3 iso-8859-4 iso-8859-5 iso-8859-6 iso-8859-7 iso-8859-8"
    " iso-8859-9 iso-8859-10 iso-8859-13 iso-8859-14 iso-8859-15 iso-8859-16 windows-1250 windows-1251"
    " windows-1252 windows-1253 windows-1254 windows-1255 windows-1256 windows-1257 windows-1258 koi8-r"
    " koi8-u macintosh shift_jis euc-jp iso-2022-jp euc-kr gb2312 gbk gb18030 big5 utf-16 utf-16-le utf-16-be"
).split()
# Python loads a codec's file when it is first asked for, and a sealed process can open none.
DECODERS = {name: codecs.lookup(name) for name in ENCODINGS}
MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
FIRST_LETTERS = ((b"<\0", "utf-16-le"), (b"\0<", "utf-16-be"))


@dataclass(frozen=True, slots=True)
class Root:
    """The root element's attributes without a namespace, and where its start tag begins in the text."""

    attributes: dict[str, str]
    start: int


def is_svg(prefix: bytes) -> bool:
    """XML whose root is `svg`, or whose root lies behind the prefix; likewise when gzip is around it."""
    if template_of(prefix) is not Template.SVG:
        return False
    if prefix.startswith(GZIP):
        try:
            prefix = zlib.decompressobj(16 + zlib.MAX_WBITS).decompress(prefix, UNSUSPICIOUS_BYTES)
        except zlib.error:
            return False
    try:
        text = _decode(prefix, is_prefix=True)
        if not text.lstrip(" \t\r\n").startswith("<"):
            return False
        find_root(text, is_prefix=True)
    except WorkFailed as failed:
        # A document that is forbidden, and not merely another one, is still SVG to be refused as such.
        return failed.code is not FailureCode.UNSUPPORTED_FORMAT
    return True


def text_of(data: Buffer) -> str:
    """The whole document as text without a byte order mark."""
    raw = _inflate(data) if data[:2] == GZIP else bytes(data[: MOST_BYTES + 1])
    if len(raw) > MOST_BYTES:
        raise damaged("the document is too long")
    return _decode(raw, is_prefix=False)


def find_root(text: str, *, is_prefix: bool = False) -> Root | None:
    """Read up to the root's start tag. None when a prefix ends before it."""
    found: list[Root] = []
    entities = 0

    def start(name: str, attributes: dict[str, str]) -> None:
        if found:
            return
        namespace, _, local = name.rpartition(SEPARATOR)
        if local != "svg" or namespace not in ("", NAMESPACE):
            raise _Stopped(not_svg())
        # Attributes with a namespace carry it before a separator and mean nothing here.
        plain = {key: value for key, value in attributes.items() if SEPARATOR not in key}
        found.append(Root(plain, parser.CurrentByteIndex))
        raise _Stopped(None)

    def entity(*declaration: object) -> None:
        nonlocal entities
        entities += 1
        value = declaration[2]
        if not isinstance(value, str):
            raise _Stopped(damaged("an entity that is a file"))
        if entities > MOST_ENTITIES or len(value) > MOST_ENTITY_CHARACTERS:
            raise _Stopped(damaged("entities that are too many or too long"))
        if "&" in value or "%" in value:
            raise _Stopped(damaged("an entity within an entity"))

    parser = expat.ParserCreate("utf-8", SEPARATOR)
    parser.StartElementHandler = start
    parser.EntityDeclHandler = entity
    head = text[:MOST_PROLOG_CHARACTERS].encode("utf-8", "replace")
    try:
        parser.Parse(head, not is_prefix)
    except _Stopped as stopped:
        if stopped.failure is not None:
            raise stopped.failure from None
        root = found[0]
        return Root(root.attributes, len(head[: root.start].decode("utf-8", "replace")))
    except (expat.ExpatError, ValueError) as error:
        if "<" in text and _names_svg(text):
            raise damaged("broken XML before the root") from error
        raise not_svg() from error
    if is_prefix:
        return None
    raise damaged("the root element is too far away") if len(text) > MOST_PROLOG_CHARACTERS else not_svg()


def not_svg() -> WorkFailed:
    """The failure of a document that is no SVG."""
    return WorkFailed(FailureCode.UNSUPPORTED_FORMAT, "the root element is not svg")


class _Stopped(Exception):
    """Leaves the parser, with a failure or because the root was found."""

    def __init__(self, failure: WorkFailed | None) -> None:
        super().__init__()
        self.failure = failure


def _names_svg(text: str) -> bool:
    """Whether the first element that can be seen is `svg`: what tells broken SVG from what is no SVG."""
    seen = re.search(r"<(?:[A-Za-z_][\w.-]{0,40}:)?([A-Za-z_][\w.-]{0,40})", text[:MOST_PROLOG_CHARACTERS])
    return seen is not None and seen[1] == "svg"


def _inflate(data: Buffer) -> bytes:
    most = min(MOST_BYTES, max(UNSUSPICIOUS_BYTES, MOST_RATIO * len(data)))
    inflater = zlib.decompressobj(16 + zlib.MAX_WBITS)
    try:
        raw = inflater.decompress(data, most)
    except zlib.error as error:
        raise damaged("broken gzip") from error
    if not inflater.eof:
        raise damaged("gzip that is cut, or inflates to too much")
    return raw


def _decode(raw: bytes, *, is_prefix: bool) -> str:
    encoding = next((name for mark, name in MARKS if raw.startswith(mark)), None)
    if encoding is None:
        encoding = next((name for letters, name in FIRST_LETTERS if raw.startswith(letters)), None)
    if encoding is None:
        declared = DECLARATION.match(raw[:4096].lstrip(b" \t\r\n"))
        encoding = declared[1].decode().lower() if declared else "utf-8"
        if encoding == "utf-16":
            # It says so in single bytes, so it is not.
            encoding = "utf-8"
        if encoding not in DECODERS:
            raise damaged("an unknown encoding")
    try:
        text = raw.decode(encoding, "ignore" if is_prefix else "strict")
    except UnicodeError as error:
        raise damaged("not in its encoding") from error
    return text.removeprefix("\ufeff")
