"""Members' names in sanitised HTML become links, by the rule of v2ex/remote."""

import re

_MENTION = re.compile(r"(\A|\s|[\u4e00-\u9fa5])@([\w-]+)")
_LINK = r'\1@<a href="/member/\2">\2</a>'
_OPENING = ("<a", "<code", "<pre")
_CLOSING = frozenset({"</a>", "</code>", "</pre>"})


def link_mentions(pieces: list[str]) -> None:
    """Link names in each paragraph that holds text and nothing else; its text stays escaped as it is.

    The pieces are text and tags by turns. What a link or code holds is left alone.
    """
    if not any("@" in text for text in pieces[::2]):
        return
    within = 0
    for at in range(1, len(pieces) - 2, 2):
        tag = pieces[at]
        if tag == "<p>":
            if not within and pieces[at + 2] == "</p>" and "@" in pieces[at + 1]:
                pieces[at + 1] = _MENTION.sub(_LINK, pieces[at + 1])
        elif tag in _CLOSING:
            within -= 1
        elif tag.startswith(_OPENING):
            within += 1
