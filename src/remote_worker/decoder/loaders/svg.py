"""SVG through resvg, which runs no script. References that lead out of the document are taken out."""

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from xml.parsers import expat

from PIL import PngImagePlugin

from ..header import Header
from ..headers import Buffer, svg
from ..operations import scaled
from .loader import Frame, Loader, Size, Still, damaged, library_errors
from .pillow import stream

SVG: Loader | None = None
"""None where there is no wheel for this Python."""

FONTS = Path(__file__).parents[1] / "fonts"
FALLBACK_FONT = FONTS / "DejaVuSans.ttf"
"""Draws text whose own font is not installed, on a machine without any font too."""
_FAMILY = "DejaVu Sans"
_SYSTEM = "/usr/share/fonts"
_SERIF = {"DejaVuSerif": "DejaVu Serif", "LiberationSerif": "Liberation Serif", "NotoSerif": "Noto Serif"}
_MONOSPACE = {"DejaVuSansMono": "DejaVu Sans Mono", "LiberationMono": "Liberation Mono"}


def _installed(families: dict[str, str]) -> str:
    """The first of these families (by the name that its files begin with) that the system has."""
    files = {name.partition("-")[0].partition(".")[0] for _, _, names in os.walk(_SYSTEM) for name in names}
    return next((family for name, family in families.items() if name in files), _FAMILY)


FONT_OPTIONS: dict[str, Any] = {
    "font_files": [str(FALLBACK_FONT)],
    "font_family": _FAMILY,
    "serif_family": _installed(_SERIF),
    "sans_serif_family": _FAMILY,
    "cursive_family": _FAMILY,
    "fantasy_family": _FAMILY,
    "monospace_family": _installed(_MONOSPACE),
}
"""Always the same: resvg looks for fonts once for each set of these, before there are children."""


def enter_fonts() -> list[str]:
    """Make the packaged fonts the working directory, and tell what a sealed process must be able to read.

    Root becomes another user when it is sealed, who may not walk to a folder that lies under `/root`; from
    the inside the way is short. resvg opens a font's file each time it draws with it.
    """
    os.chdir(FONTS)
    FONT_OPTIONS["font_files"] = [FALLBACK_FONT.name]
    return ["."]


def see_font() -> None:
    """Raises OSError when the packaged font cannot be read: text would be left out without a word."""
    with Path(FALLBACK_FONT.name).open("rb") as font:
        font.read(4)


with suppress(ImportError):
    import resvg_py

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
