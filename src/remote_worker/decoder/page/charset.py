"""Which encoding a page is in, as browsers decide it, and its text (HTML, 13.2.3)."""

import codecs
import re
from collections.abc import Callable

import webencodings

PRESCANNED_BYTES = 1024
_LATE_BYTES = 64 * 1024
"""A browser that meets its first `<meta charset>` behind the prescan starts over with it."""
_GUESSED_BYTES = 32 * 1024
_LEAST_GUESSED_BYTES = 12
_BOMS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_BE, "utf-16be"), (codecs.BOM_UTF16_LE, "utf-16le"))
_CODECS = {
    # Python's codecs of these names are narrower than the standard's.
    "gbk": "gb18030",
    "big5": "big5hkscs",
    "shift_jis": "cp932",
    "euc-kr": "cp949",
    "iso-2022-jp": "iso2022_jp_ext",
    # These have other names in Python.
    "iso-8859-8-i": "iso8859-8",
    "x-mac-cyrillic": "mac-cyrillic",
    "macintosh": "mac-roman",
    "windows-874": "cp874",
}
_NAMES = frozenset(webencodings.LABELS.values())
_USER_DEFINED = "".join(map(chr, range(128))) + "".join(map(chr, range(0xF780, 0xF800)))

_MARKUP = re.compile(rb"<(?:(!--)|(?:([Mm][Ee][Tt][Aa])(?=[\t\n\f\r /])|/?[A-Za-z][^\t\n\f\r >]*+)|[!/?])")
_ATTRIBUTE = re.compile(
    rb"[\t\n\f\r /]*+([^\t\n\f\r />][^\t\n\f\r />=]*+)"
    rb"(?:[\t\n\f\r ]*+=[\t\n\f\r ]*+"
    rb"(?:\"([^\"]*+)(?:\"|\Z)|'([^']*+)(?:'|\Z)|([^\t\n\f\r >\"'][^\t\n\f\r >]*+)))?+"
)
_SPACE = re.compile(rb"[\t\n\f\r /]*+")
_CHARSET = re.compile(
    rb"charset[\t\n\f\r ]*+=[\t\n\f\r ]*+(?:\"([^\"]*+)\"|'([^']*+)'|([^\t\n\f\r ;\"'][^\t\n\f\r ;]*+))", re.I
)
_XML = re.compile(rb"<\?xml[^>]*?encoding[\0-\x20]*=[\0-\x20]*(?:\"([^\0-\x20\">]+)\"|'([^\0-\x20'>]+)')")


def decode(data: bytes, declared: str) -> tuple[str, str]:
    """The text, and the standard's name of its encoding; `declared` is what HTTP says of it."""
    for mark, name in _BOMS:
        if data.startswith(mark):
            return _text(data[len(mark) :], name), name
    name = _known(declared) or prescanned(data[:PRESCANNED_BYTES])
    if not name and data.isascii():
        # Whatever else may be found here, almost all encodings say the same with these bytes.
        name = prescanned(data[:_LATE_BYTES]) or "utf-8"
    name = name or prescanned(data[:_LATE_BYTES]) or _guessed(data)
    return _text(data, name), name


def warm() -> None:
    """Load the codec of every label."""
    for name in _NAMES:
        _text(b"<a>\xe4\xf6", name)


def prescanned(data: bytes) -> str:
    """What these first bytes declare, or nothing (HTML, "prescan a byte stream")."""
    if data.startswith((b"<\0?\0x\0", b"\0<\0?\0x")):
        return "utf-16le" if data[0] else "utf-16be"
    return _meta(data) or _xml(data)


def _meta(data: bytes) -> str:
    at = 0
    while found := _MARKUP.search(data, at):
        if found[1]:
            # The dashes that open a comment may be the ones that close it.
            at = data.find(b"-->", found.end() - 2) + 3
            if at == 2:
                return ""
        elif found[0] in (b"<!", b"</", b"<?"):
            at = data.find(b">", found.end()) + 1
            if at == 0:
                return ""
        else:
            attributes, at = _attributes(data, found.end())
            if at == len(data):
                return ""
            if found[2] and (name := _declared(attributes)):
                return name
    return ""


def _attributes(data: bytes, at: int) -> tuple[dict[bytes, bytes], int]:
    attributes: dict[bytes, bytes] = {}
    while found := _ATTRIBUTE.match(data, at):
        at = found.end()
        attributes.setdefault(found[1].lower(), found[2] or found[3] or found[4] or b"")
    space = _SPACE.match(data, at)
    return attributes, space.end() if space else at


def _declared(attributes: dict[bytes, bytes]) -> str:
    if b"charset" in attributes:
        name = _known(attributes[b"charset"].decode("latin-1"))
    elif attributes.get(b"http-equiv", b"").lower() == b"content-type":
        found = _CHARSET.search(attributes.get(b"content", b""))
        name = _known((found[1] or found[2] or found[3] or b"").decode("latin-1")) if found else ""
    else:
        return ""
    # Who could read this as ASCII is not reading UTF-16.
    return {"utf-16be": "utf-8", "utf-16le": "utf-8", "x-user-defined": "windows-1252"}.get(name, name)


def _xml(data: bytes) -> str:
    found = _XML.match(data)
    name = _known((found[1] or found[2]).decode("latin-1")) if found else ""
    return "utf-8" if name.startswith("utf-16") else name


def _known(label: str) -> str:
    return webencodings.LABELS.get(label.strip("\t\n\f\r ").lower(), "") if label.isascii() else ""


def _text(data: bytes, name: str) -> str:
    if name == "replacement":
        return "\ufffd" if data else ""
    if name == "x-user-defined":
        return data.decode("latin-1").translate(dict(zip(range(128, 256), _USER_DEFINED[128:], strict=True)))
    return data.decode(_CODECS.get(name, name), "replace")


def _guessed(data: bytes) -> str:
    """For pages that declare nothing: UTF-8 if they are that, else what their letters look like."""
    try:
        codecs.utf_8_decode(data, "strict", False)
    except UnicodeDecodeError:
        first = _HIGH.search(data)
        data = data[first.start() : first.start() + _GUESSED_BYTES] if first else b""
        high = len(data.translate(None, _ASCII))
        return next(
            (name for name, looks in _LOOKS if high >= _LEAST_GUESSED_BYTES and looks(data, high)),
            "windows-1252",
        )
    return "utf-8"


_HIGH = re.compile(rb"[\x80-\xff]")
_ASCII = bytes(range(128))
_PAIRS = re.compile(rb"[\xa1-\xf7][\xa1-\xfe]")
_RUNS = re.compile(rb"[\xa8\xb8\xc0-\xff]{3,}")
_KANA = re.compile("[\u3001\u3002\u3040-\u30ff]")
_HANGUL = re.compile("[\uac00-\ud7a3]")
_HANZI = re.compile("[\u3001\u3002\u4e00-\u9fff\uff0c\uff1a]")


def _share(data: bytes, codec: str, letters: re.Pattern[str]) -> float:
    """How many of the characters beyond ASCII are such letters; none where the bytes are another encoding."""
    try:
        text = codecs.getincrementaldecoder(codec)("strict").decode(data)
    except UnicodeDecodeError:
        return 0
    beyond = len(text) - len(text.encode("ascii", "ignore"))
    return len(letters.findall(text)) / beyond if beyond else 0


def _is_paired(data: bytes, high: int) -> bool:
    return 2 * len(_PAIRS.findall(data)) >= 0.9 * high


def _is_cyrillic(data: bytes, high: int) -> bool:
    """Words in which the four commonest letters of Russian, Ukrainian and Bulgarian are that common."""
    words = b"".join(_RUNS.findall(data))
    return len(words) >= 0.8 * high and sum(map(words.count, b"\xee\xe5\xe0\xe8")) >= 0.28 * len(words)


_LOOKS: tuple[tuple[str, Callable[[bytes, int], bool]], ...] = (
    ("shift_jis", lambda data, _: _share(data, "cp932", _KANA) > 0.3),
    ("euc-jp", lambda data, high: _is_paired(data, high) and _share(data, "euc_jp", _KANA) > 0.3),
    ("euc-kr", lambda data, high: _is_paired(data, high) and _share(data, "cp949", _HANGUL) > 0.85),
    ("gbk", lambda data, high: _is_paired(data, high) and _share(data, "gb18030", _HANZI) > 0.85),
    ("windows-1251", _is_cyrillic),
)
"""In this order, because Japanese in EUC-JP and Korean in EUC-KR are also something in GBK."""
