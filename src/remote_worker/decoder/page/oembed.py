"""What the jail does for a ReadOembed: an oEmbed answer in JSON or XML to the members that a card shows.

Its `html` never leaves: a frame is made anew from our own list of providers.
"""

import json
from typing import Any
from xml.parsers import expat

from ...contract import pages
from ...contract.failures import FailureCode, WorkFailed
from ...contract.nesting import is_deeper
from ...contract.texts import ReadOembed
from ..reading import Read
from .values import Addresses, clean, whole

MOST_BYTES = 128 * 1024
DEEPEST = 32


def read(task: ReadOembed, data: bytes) -> Read:
    """The members of `contract.pages`, those that there are. Raises WorkFailed(DAMAGED)."""
    if len(data) > MOST_BYTES:
        raise WorkFailed(FailureCode.DAMAGED, "too long")
    said = _xml(data) if _is_xml(task.media_type, data) else _json(data)
    addresses = Addresses(task.url)
    facts: dict[str, Any] = {}
    for name, longest in pages.OEMBED_TEXTS.items():
        if isinstance(value := said.get(name), str | int | float) and not isinstance(value, bool):
            facts[name] = clean(str(value), longest)
    for name in pages.OEMBED_ADDRESSES:
        facts[name] = addresses.absolute(said.get(name))
    for name, most in pages.OEMBED_NUMBERS.items():
        facts[name] = whole(said.get(name), most)
    facts["type"] = facts["type"] if facts.get("type") in pages.OEMBED_TYPES else ""
    html = said.get("html")
    facts["has_html"] = isinstance(html, str) and bool(html.strip())
    return Read(facts={name: value for name, value in facts.items() if value})


def warm() -> None:
    """Load what is loaded late."""
    for data in (b'{"title": "a\\u00e9"}', b"<oembed><title>b</title></oembed>"):
        read(ReadOembed(url="https://example.com/", media_type=""), data)


def _is_xml(media_type: str, data: bytes) -> bool:
    return "xml" in media_type or ("json" not in media_type and data.lstrip()[:1] == b"<")


def _json(data: bytes) -> dict[str, Any]:
    text = data.decode("utf-8", "replace").removeprefix("\ufeff")
    if is_deeper(data, DEEPEST):
        raise WorkFailed(FailureCode.DAMAGED, "nested too deep")
    try:
        said = json.loads(text, strict=False, parse_constant=_refuse)
    except ValueError as error:
        raise WorkFailed(FailureCode.DAMAGED, "no JSON") from error
    if not isinstance(said, dict):
        raise WorkFailed(FailureCode.DAMAGED, "no object")
    return said


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _xml(data: bytes) -> dict[str, Any]:
    """The text of each element right below the root. A document type is refused, and with it every entity."""
    said: dict[str, str] = {}
    path: list[str] = []

    def start(name: str, _: object) -> None:
        path.append(name)
        if len(path) > DEEPEST:
            raise WorkFailed(FailureCode.DAMAGED, "nested too deep")

    def text(piece: str) -> None:
        if len(path) == 2:
            said[path[1]] = said.get(path[1], "") + piece

    def refuse(*_: object) -> None:
        raise WorkFailed(FailureCode.DAMAGED, "a document type")

    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = start
    parser.EndElementHandler = lambda _: path.pop()
    parser.CharacterDataHandler = text
    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(data, True)
    except (expat.ExpatError, ValueError, LookupError) as error:
        raise WorkFailed(FailureCode.DAMAGED, "no XML") from error
    return said
