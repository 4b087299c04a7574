"""GitHub's cmark. The binding that brings it has no way to free the tree nor the HTML; its library has."""

import ctypes
import re
from typing import Any

from cmarkgfm import _cmark

_EXTENSIONS = (b"table", b"strikethrough", b"autolink", b"tasklist")
_SAFE = 1 << 9
"""Bytes that are not UTF-8 are replaced."""
_WITH_RAW = _SAFE | 1 << 17
_MAY_BE_RAW = re.compile(rb"<[A-Za-z/!?]")
_LEFT_OUT = b"<!-- raw HTML omitted -->"


class Cmark:
    """Renders Markdown as GitHub does. What comes is not sanitised."""

    def __init__(self) -> None:
        self._cmark: Any = _cmark.lib
        self._ffi: Any = _cmark.ffi
        self._free = ctypes.CDLL(None).free
        self._free_tree = ctypes.CDLL(_cmark.__file__).cmark_node_free
        for free in (self._free, self._free_tree):
            free.argtypes, free.restype = [ctypes.c_void_p], None
        self._cmark.cmark_gfm_core_extensions_ensure_registered()
        self._extensions = [self._cmark.cmark_find_syntax_extension(name) for name in _EXTENSIONS]
        if not all(self._extensions):
            raise RuntimeError("cmark lacks an extension")

    def html(self, text: bytes) -> tuple[bytes, bool]:
        """The HTML of this UTF-8, and whether there is raw HTML in it."""
        cmark = self._cmark
        parser = cmark.cmark_parser_new(_WITH_RAW)
        try:
            for extension in self._extensions:
                cmark.cmark_parser_attach_syntax_extension(parser, extension)
            cmark.cmark_parser_feed(parser, text, len(text))
            tree = cmark.cmark_parser_finish(parser)
            try:
                # Code may look like raw HTML; then what is rendered without it knows better.
                has_raw = bool(_MAY_BE_RAW.search(text)) and _LEFT_OUT in self._rendered(tree, parser, _SAFE)
                return self._rendered(tree, parser, _WITH_RAW), has_raw
            finally:
                self._free_tree(self._address(tree))
        finally:
            cmark.cmark_parser_free(parser)

    def _rendered(self, tree: Any, parser: Any, options: int) -> bytes:
        extensions = self._cmark.cmark_parser_get_syntax_extensions(parser)
        made = self._cmark.cmark_render_html(tree, options, extensions)
        try:
            html: bytes = self._ffi.string(made)
            return html
        finally:
            self._free(self._address(made))

    def _address(self, pointer: Any) -> int:
        return int(self._ffi.cast("uintptr_t", pointer))
