"""Which HTML a rendered text may be. Whatever made it, this looks last, in the jail and outside of it."""

import re

from .limits import MIB

ELEMENTS = frozenset(
    "a b blockquote br code dd del div dt em h1 h2 h3 h4 h5 h6 hr i img input li ol p pre span strong"
    " table tbody td th thead tr tt ul".split()
)
"""Those of v2ex/remote."""
VOID = frozenset({"br", "hr", "img", "input"})

MOST_HTML_BYTES = 4 * MIB - 128 * 1024
"""Of a rendered text, also before it is sanitised. With its facts it fits into a reply."""
MOST_IMAGES = 2000
"""Of a rendered text: where each of them stands has to fit into the facts of a reply."""

# Escaped as our own writer does it: a browser reads no other character out of these.
_LETTERS = r'(?:[^"&<>\x00-\x1f]++|&(?:amp|lt|gt|quot);)*+'
_NAME_LETTERS = r'(?:[^"&<>\x00-\x1f:/?#]++|&(?:amp|lt|gt|quot);)*+'
_ADDRESS = rf"(?:(?i:https?|mailto):{_LETTERS}|{_NAME_LETTERS}(?:[/?#]{_LETTERS})?+(?=\"))"
"""With a harmless scheme, or with none: a colon makes a scheme only in front of any slash."""
_TEXT = r'[^"<>]*+'
_IMAGE = (
    rf'img (?:alt="{_TEXT}" )?class="embedded_image" loading="lazy" referrerpolicy="no-referrer" '
    rf'rel="noreferrer"(?: src="(?P<address>{_ADDRESS})")?(?: title="{_TEXT}")?/>'
)
LANGUAGE = r"language-[\w+#.-]+"
_PLAIN = "|".join(sorted(ELEMENTS - VOID, reverse=True))
_STRAY = re.compile(
    rf"<(?!/?(?:{_PLAIN})>|[bh]r/>"
    rf'|a(?: alt="{_TEXT}")?(?: href="{_ADDRESS}"(?: rel="nofollow")?)?(?: title="{_TEXT}")?>'
    rf'|code class="{LANGUAGE}">'
    rf'|input disabled="" type="checkbox"/>|{_IMAGE})'
)
"""What begins like markup and is none that may be there. No tag has another `<` in it."""
_IMAGE_ADDRESS = re.compile(f"<{_IMAGE}")
_IS_ADDRESS = re.compile(rf'{_ADDRESS}"')


def is_allowed(html: str) -> bool:
    """Whether there is no markup in it but these elements, with these attributes and harmless addresses."""
    return _STRAY.search(html) is None


def is_address(escaped: str) -> bool:
    """Whether this may be what a link or a picture leads to."""
    return _IS_ADDRESS.fullmatch(f'{escaped}"') is not None


def image_sources(html: str) -> list[tuple[int, int]]:
    """Where the address of each picture begins and ends."""
    if "<img" not in html:
        return []
    return [found.span("address") for found in _IMAGE_ADDRESS.finditer(html) if found["address"] is not None]
