"""The fonts that SVG text is drawn with: the system's, and the packaged one where those lack a family."""

import os
from pathlib import Path
from typing import Any

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
