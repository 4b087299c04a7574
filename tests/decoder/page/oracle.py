"""A parser of the HTML standard as a second judge, scripting off."""

from collections.abc import Iterator
from typing import Any

from justhtml import JustHTML


def metas_and_title(text: str) -> tuple[list[dict[str, str]], str]:
    """The attributes of every meta of the document, and the text of its first title."""
    # A decoder of the standard hands lines over with plain ends.
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    nodes = list(_below(JustHTML(text, sanitize=False, scripting_enabled=False).root))
    titles = [node for node in nodes if node.name == "title" and node.namespace in (None, "html")]
    title = "".join(child.data or "" for child in titles[0].children) if titles else ""
    return [dict(node.attrs) for node in nodes if node.name == "meta"], title


def _below(node: Any) -> Iterator[Any]:
    for child in getattr(node, "children", None) or ():
        yield child
        yield from _below(child)
