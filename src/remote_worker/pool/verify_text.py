"""Checks what a text child says as if it were hostile, and gives it a shape."""

from collections.abc import Mapping
from typing import Any

from ..contract import wire
from ..contract.links import PageFacts
from ..contract.texts import Rendered
from . import verify_page
from .verify import HostileReply


def page(body: memoryview) -> PageFacts:
    """What a page says of itself. Raises HostileReply."""
    return verify_page.facts(_only_facts(body))


def oembed(body: memoryview) -> Mapping[str, Any]:
    """What an oEmbed answer says. Raises HostileReply."""
    return verify_page.oembed(_only_facts(body))


def rendered(body: memoryview) -> Rendered:
    """HTML, and where its pictures are. Raises HostileReply."""
    facts, parts = _read(body)
    if facts.keys() != {"images"} or parts.keys() != {"html"}:
        raise HostileReply("not what Markdown becomes")
    try:
        html = str(parts["html"], "utf-8")
    except UnicodeDecodeError as error:
        raise HostileReply("HTML that is no text") from error
    return Rendered(html=html, image_sources=_spans(facts["images"], len(html)))


def _spans(claim: Any, length: int) -> tuple[tuple[int, int], ...]:
    """Pairs of start and end, one behind the other, within the length."""
    if not isinstance(claim, list):
        raise HostileReply("no list of places")
    spans = []
    behind = 0
    for pair in claim:
        if not (isinstance(pair, list) and len(pair) == 2 and all(type(end) is int for end in pair)):
            raise HostileReply("a place that is no pair of numbers")
        start, end = pair
        if not behind <= start <= end <= length:
            raise HostileReply("places out of order")
        spans.append((start, end))
        behind = end
    return tuple(spans)


def _only_facts(body: memoryview) -> dict[str, Any]:
    facts, parts = _read(body)
    if parts:
        raise HostileReply("more than facts")
    return facts


def _read(body: memoryview) -> tuple[dict[str, Any], dict[str, memoryview]]:
    try:
        parts = wire.read_parts(body)
        return wire.read_facts(parts.pop(wire.FACTS)), parts
    except (wire.BadReply, KeyError) as error:
        raise HostileReply(str(error)) from error
