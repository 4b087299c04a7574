"""Raw HTML among rendered Markdown, put in order: what may not be markup becomes text, the rest nests.

A browser's parser repairs what is out of order, at a cost that may grow with the square of the text: elements
that are left open are opened again in each paragraph to come. It gets nothing to repair.
"""

import re
from collections import Counter

from ..contract.markup import ELEMENTS, VOID

DEEPEST = 100
"""Elements within each other; deeper ones are left out, their text is not."""

_CELLS = {
    "thead": {"table"},
    "tbody": {"table"},
    "tr": {"table", "thead", "tbody"},
    "th": {"tr"},
    "td": {"tr"},
}
"""The parts of a table, and where each may stand."""
_TABLE_PARTS = frozenset({"table", "thead", "tbody", "tr"})
"""Which hold parts of a table and nothing else."""
_INLINE = frozenset("a b br code del em i img input span strong tt".split())
_ENDED_BY_BLOCKS = _INLINE | frozenset("p h1 h2 h3 h4 h5 h6".split())
_ENDED_BY = {"li": frozenset({"li"}), "dd": frozenset({"dd", "dt"}), "dt": frozenset({"dd", "dt"})}

_SPACE = r"[ \t\n\f\r]"
_VALUE = r"""(?:"[^"]*+"|'[^']*+'|[^ \t\n\f\r"'=<>`]++)"""
_TAG = re.compile(
    # A comment that is not closed goes to the end, so that none is looked through twice.
    r"<!--(?:[^-]++|-(?!->))*+(?:-->)?"
    rf"|<(?P<close>/?)(?P<name>{'|'.join(sorted(ELEMENTS, reverse=True))})"
    rf"(?P<attributes>(?:{_SPACE}++[a-z_:][a-z0-9_:.-]*+(?:{_SPACE}*+={_SPACE}*+{_VALUE})?+)*+)"
    rf"{_SPACE}*+/?>"
    r"|<",
    re.IGNORECASE | re.ASCII,
)


def in_order(html: str) -> str:
    """The same with markup only of allowed elements, each closed within the one that it was opened in."""
    tree = _Tree()
    pieces = tree.pieces
    end = 0
    for found in _TAG.finditer(html):
        pieces.append(html[end : found.start()])
        end = found.end()
        name = found["name"]
        if name is None:
            if found[0] == "<":
                pieces.append("&lt;")
        elif found["close"]:
            tree.close(name.lower())
        else:
            tree.open(name.lower(), found["attributes"])
    pieces.append(html[end:])
    tree.close_all()
    return "".join(pieces)


class _Tree:
    """The elements that are open, and the text so far."""

    def __init__(self) -> None:
        self.pieces: list[str] = []
        self._open: list[tuple[str, bool]] = []
        """Each with whether it was written. One that was not still takes its end tag."""
        self._counts: Counter[str] = Counter()
        self._depth = 0

    def open(self, name: str, attributes: str) -> None:
        """An element begins, or is left out where it may not stand. Blocks end what they cannot be in."""
        if name not in _INLINE:
            self._end_while(_ENDED_BY_BLOCKS)
            self._end_while(_ENDED_BY.get(name, frozenset()))
        top = self._open[-1][0] if self._open else ""
        may_stand = top in _CELLS[name] if name in _CELLS else top not in _TABLE_PARTS
        if name in VOID:
            if may_stand:
                self.pieces.append(f"<{name}{attributes}>")
            return
        is_written = may_stand and self._depth < DEEPEST and not (name in _INLINE and self._counts[name])
        self._open.append((name, is_written))
        self._counts[name] += 1
        if is_written:
            self._depth += 1
            self.pieces.append(f"<{name}{attributes}>")

    def close(self, name: str) -> None:
        """An element ends, with those in it that are still open; without one the tag is left out."""
        if self._counts[name]:
            while self._end() != name:
                pass

    def close_all(self) -> None:
        """The text ends."""
        while self._open:
            self._end()

    def _end_while(self, names: frozenset[str]) -> None:
        while self._open and self._open[-1][0] in names:
            self._end()

    def _end(self) -> str:
        name, is_written = self._open.pop()
        self._counts[name] -= 1
        if is_written:
            self._depth -= 1
            self.pieces.append(f"</{name}>")
        return name
