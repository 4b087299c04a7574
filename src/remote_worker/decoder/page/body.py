"""The first heading, paragraph and pictures of a body, for pages whose head says nothing.

By the same tags as the head, without a tree: a parser that builds one takes seconds for nests that
strangers write.
"""

import re
from dataclasses import dataclass, field
from html import unescape

from .scanner import Attributes, Reader
from .values import whole

LONGEST_PIECE = 4096
"""Of a heading or a paragraph: characters, as written."""
_MOST_IMAGES = 50
_LEAST_PARAGRAPH = 40
"""A shorter one is a label."""
_UNTOLD_AREA = 200 * 200
_UNSEEN = frozenset({"nav", "footer", "template", "svg"})
_BLOCKS = frozenset(
    """/h1 /p /body /div /article /section /main p div article section main h1 h2 h3 h4 h5 h6 ul ol dl table
    form     blockquote pre hr header nav footer aside figure""".split()
)
"""What ends a heading or a paragraph."""
_SPACES = re.compile(r"\s++")
_COMMENT = re.compile(r"<!--(?s:.)*?(?:-->|\Z)")


@dataclass(slots=True)
class Body:
    """What a body shows first; `images` as they are written, larger ones before smaller ones."""

    heading: str = ""
    paragraph: str = ""
    images: list[Attributes] = field(default_factory=list)


def read(reader: Reader, at: int) -> Body:
    """What is shown from there on."""
    body = Body()
    images: list[Attributes] = []
    unseen = ""
    gathering = ""
    pieces: list[str] = []
    length = 0
    behind = at
    for name, tag, ends in reader.tags(at):
        if unseen:
            unseen = "" if name == unseen else unseen
            behind = ends
            continue
        if gathering:
            piece = reader.text[behind : min(tag.start(), behind + LONGEST_PIECE - length)]
            pieces.append(piece)
            length += len(piece)
            if name in _BLOCKS or length >= LONGEST_PIECE:
                _take(body, gathering, _text(pieces))
                gathering = ""
        if name in _UNSEEN:
            unseen = "/" + name
        elif (name == "h1" and not body.heading) or (name == "p" and not body.paragraph):
            gathering, pieces, length = name, [], 0
        elif name == "br":
            pieces.append(" ")
        elif name == "img" and len(images) < _MOST_IMAGES:
            images.append(reader.attributes(tag))
        behind = ends
    if gathering:
        _take(body, gathering, _text([*pieces, reader.text[behind : behind + LONGEST_PIECE]]))
    body.images = [
        {**image, "url": source}
        for image in sorted(images, key=_area, reverse=True)
        if (source := _source(image))
    ]
    return body


def _take(body: Body, name: str, text: str) -> None:
    if name == "h1":
        body.heading = text
    elif len(text) >= _LEAST_PARAGRAPH:
        body.paragraph = text


def _text(pieces: list[str]) -> str:
    return _SPACES.sub(" ", unescape(_COMMENT.sub("", "".join(pieces)))).strip()


def _area(image: Attributes) -> int:
    width, height = whole(image.get("width")), whole(image.get("height"))
    return width * height if width and height else _UNTOLD_AREA


def _source(image: Attributes) -> str:
    """Pictures that are loaded late have something small, or nothing, where others have their address."""
    source = image.get("src", "").strip()
    return source if source and not source.startswith("data:") else image.get("data-src", "").strip()
