"""Pages and oEmbed answers: any bytes at all give facts that fit a reply and that the host takes."""

import json
import re
from collections.abc import Mapping

from justhtml import JustHTML

from remote_worker.contract import pages, wire
from remote_worker.contract.failures import FailureCode, WorkFailed
from remote_worker.contract.texts import ReadOembed, ReadPage
from remote_worker.decoder.page import oembed as oembed_reader
from remote_worker.decoder.page import read
from remote_worker.decoder.page.scanner import MOST_ATTRIBUTES, Reader, head
from remote_worker.pool import verify_page

URL = "https://a.example/b/c"
_CHARSETS = ("", "utf-8", "shift_jis", "gbk", "utf-16", "iso-2022-jp", "x-user-defined", "utf-7")
_ENDS = re.compile(r"</head|</html|</body|<body|<frameset", re.IGNORECASE)
# Within these a tag may be something else, or nothing.
_STRANGE = re.compile(
    # Of the last this parser takes another view than the standard and other parsers.
    r"<(?:svg|math|template|select|table|plaintext|html|frame|option|!-+!>)",
    re.IGNORECASE,
)
_WORD = re.compile(r"[^\s/=]+")


def fits_a_reply(data: bytes) -> None:
    """The facts of any page fit a reply, and the host takes them."""
    charset = _CHARSETS[data[0] % len(_CHARSETS)] if data else ""
    for said in {"utf-8", charset}:
        facts = read.read(ReadPage(url=URL, charset=said), data).facts
        verify_page.facts(wire.read_facts(memoryview(json.dumps(facts).encode())))


def same_as_a_parser(data: bytes) -> None:
    """The metas of a head that stays where it is are those that a parser of the standard finds."""
    text = data[:4096].decode("utf-8", "replace").replace("\r", "\n").replace("\0", "")
    text = _ENDS.split(text, maxsplit=1)[0]
    has_many = any(len(_WORD.findall(piece)) > MOST_ATTRIBUTES for piece in text.split(">"))
    if has_many or _STRANGE.search(text.removeprefix("<!doctype html><html>")):
        return
    root = JustHTML(text, sanitize=False, scripting_enabled=False).root
    ours = [_shown(tag) for tag in head(Reader(text)).metas]
    theirs = [_shown(node.attrs or {}) for node in root.query("meta")]
    assert ours == theirs, (ours, theirs)


def _shown(attributes: Mapping[str, str | None]) -> dict[str, str]:
    return {name: pages.UNCLEAN.sub("", value or "") for name, value in attributes.items()}


def oembed(data: bytes) -> None:
    """Any answer is damaged, or has members that the host takes."""
    try:
        facts = oembed_reader.read(ReadOembed(url=URL, media_type=""), data).facts
    except WorkFailed as failed:
        assert failed.code is FailureCode.DAMAGED
        return
    verify_page.oembed(wire.read_facts(memoryview(json.dumps(facts).encode())))
