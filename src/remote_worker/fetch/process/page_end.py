"""Where the head of a page ends, found while it comes in. Reads only tags that end a head or hide one."""

import re

_MARK = re.compile(
    rb"<(?:(!--)|(/head|body)[\t\n\f\r />]"
    rb"|(script|style|title|noscript|textarea|iframe|xmp|noembed|noframes)[\t\n\f\r />])",
    re.IGNORECASE,
)
_LONGEST_MARK = 12
"""No mark is longer, so so many bytes are looked at again with what comes next."""
_ATTRIBUTE_BYTES = 1024
"""How far back it looks for the beginning of a tag."""
_MOST_MARKS = 4096
"""A page with more is read as if its head never ended."""
_COMMENT_END = re.compile(rb"--!?>")
_RAW_ENDS = {
    name: re.compile(rb"</" + name + rb"[\t\n\f\r />]", re.IGNORECASE)
    for name in (
        b"script",
        b"style",
        b"title",
        b"noscript",
        b"textarea",
        b"iframe",
        b"xmp",
        b"noembed",
        b"noframes",
    )
}
_TITLE = re.compile(rb"<title|og:title", re.IGNORECASE)


class PageEnd:
    """Remembers how far it has looked, so that no byte is looked at more than twice."""

    def __init__(self) -> None:
        self._at = 0
        self._marks = 0
        self._raw_end: re.Pattern[bytes] | None = None
        """Of the comment or the raw text that it is inside."""

    def find(self, page: bytearray) -> int:
        """Where the head ends in what has come so far, or -1."""
        while True:
            if self._raw_end is not None:
                end = self._raw_end.search(page, self._at)
                if end is None:
                    self._wait(page)
                    return -1
                self._at, self._raw_end = end.end(), None
            mark = _MARK.search(page, self._at)
            if mark is None or self._marks >= _MOST_MARKS:
                self._wait(page)
                return -1
            self._marks += 1
            comment, end_of_head, raw = mark.groups()
            if comment:
                # Also `<!-->` is a whole one.
                self._at, self._raw_end = mark.start() + 2, _COMMENT_END
            elif raw:
                self._at, self._raw_end = mark.end(), _RAW_ENDS[raw.lower()]
            elif _is_inside_tag(page, mark.start()):
                self._at = mark.end()
            else:
                return mark.start() if end_of_head[:1] in b"bB" else mark.end()

    def _wait(self, page: bytearray) -> None:
        self._at = max(self._at, len(page) - _LONGEST_MARK)


def has_title(page: bytearray, end: int) -> bool:
    """Whether it says before there what it is called."""
    return _TITLE.search(page, 0, end) is not None


def _is_inside_tag(page: bytearray, at: int) -> bool:
    """As in the value of an attribute."""
    begin = max(0, at - _ATTRIBUTE_BYTES)
    return page.rfind(b"<", begin, at) > page.rfind(b">", begin, at)
