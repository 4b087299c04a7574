"""SVG through resvg, which runs no script. References that lead out of the document are taken out."""

import re
from collections.abc import Iterator
from contextlib import suppress
from xml.parsers import expat

import resvg_py
from PIL import PngImagePlugin

from ..header import Header
from ..headers import Buffer, svg
from ..operations import scaled
from .fonts import FONT_OPTIONS
from .loader import Frame, Size, Still, damaged, library_errors
from .pillow import stream


class SvgLoader:
    """Draws at exactly the size that is asked for."""

    def still(self, data: Buffer, header: Header, cover: Size | None) -> Still:
        """The picture at `cover`, or at its natural size."""
        size = cover or (header.width, header.height)
        with library_errors():
            drawn = resvg_py.svg_to_bytes(
                svg_string=_sealed(svg.drawing(data).text),
                width=size[0],
                height=size[1],
                dpi=96.0,
                **FONT_OPTIONS,
            )
            image = PngImagePlugin.PngImageFile(stream(drawn))
            image.load()
        # resvg rounds the second side up.
        return Still(scaled(image, size))

    def frames(self, data: Buffer, header: Header) -> Iterator[Frame]:
        """Animation is not played: the picture alone."""
        yield Frame(self.still(data, header, None).image, 0)


SVG = SvgLoader()


_OUTWARD = re.compile(r"""href(\s*=\s*["'])(?!\s*(?:#|data:))""")
_ENTITY = re.compile(r"""<!ENTITY\s+(?:%\s+)?[\w.:-]{1,256}\s+("[^"]{0,8192}"|'[^']{0,8192}')""")


def _sealed(text: str) -> str:
    """The document with every reference renamed that leads out of it; Landlock would stop it too.

    Each `href=` is judged by itself, wherever it stands: a rule that paired quotes could be led astray.
    """
    for start in re.finditer("<!ENTITY", text):
        # Character references are resolved where an entity is declared, so one could spell a reference
        # that is not seen below.
        entity = _ENTITY.match(text, start.start())
        if entity is None or "&" in entity[1]:
            raise damaged("an entity that is not plain text")
    _hold_depth(text)
    return _OUTWARD.sub(r"none\1", text)


_MOST_DEPTH = 200


def _hold_depth(text: str) -> None:
    """resvg walks nested elements by recursion, and 250 groups overflow a stack of 8 MiB."""
    if text.count("</") < _MOST_DEPTH:
        return
    depth = 0

    def start(_: str, __: object) -> None:
        nonlocal depth
        depth += 1
        if depth > _MOST_DEPTH:
            raise damaged("elements nested too deep")

    def end(_: str) -> None:
        nonlocal depth
        depth -= 1

    parser = expat.ParserCreate("utf-8")
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    with suppress(expat.ExpatError):  # What is no XML, resvg refuses by itself.
        parser.Parse(text.encode("utf-8", "replace"), True)
