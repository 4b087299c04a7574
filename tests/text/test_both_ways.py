"""Markdown without raw HTML has a short way past the parser: it gives what the long way gives."""

import random

from text.payloads import CONTEXTS, EVERY

from remote_worker.contract.markup import is_allowed
from remote_worker.decoder import markdown
from remote_worker.decoder.cmark import Cmark

CMARK = Cmark()
PIECES = [
    *"* ** _ __ ~ ~~ ` `` ``` | ![ ! [ ] ]( ( ) { < = ; % \\ / // .. - -- a 你 é 😀 ⓐ @bob @你好".split(),
    *"\" ' #x x:y".split(),
    *"<http://a.b> <x@y.zz> http:// https://a.b/c?d=e&f www.a.b mailto:a@b.c javascript:x :80 :99999".split(),
    *"xn--a 1.2.3.4 0x1 a--b %41 [r] /u `x` *e* **s** ~~d~~ [l](/m) ![i](j.png) [l](https://m.n 't')".split(),
    *[
        "\n",
        "\n\n",
        "\n***\n",
        "\n===\n",
        "  \n",
        "\\\n",
        "\r\n",
        "\r",
        "\t",
        "    ",
        " ",
        "> ",
        "# ",
        "## ",
        "- ",
    ],
    *["1. ", "2) ", "- [ ] ", "- [x] ", "|\n|-|:-:|\n", "[r]: /u 't'\n", "\n```js\n", '"t"', " 'u'"],
    *[
        "&nbsp;",
        "&lt;",
        "&amp;",
        "&quot;",
        "&#39;",
        "\xa0",
        "\u2028",
        "\ufeff",
        "\u200b",
        "\x0b",
        "\x0c",
        "\x01",
    ],
]
"""What means something to Markdown, to a parser of HTML or to one of addresses."""
LENGTHS = (3, 6, 12, 30, 80, 400)


def both_ways(text: str) -> bool:
    """Whether there is a short way for this text. It is held against the long one."""
    made, has_raw = CMARK.html(text.encode())
    short = None if has_raw else markdown.short_way(made.decode())
    if short is None:
        return False
    assert short == markdown.long_way(made.decode(), has_raw=False), text
    assert is_allowed(short), text
    return True


def test_payloads_come_out_the_same() -> None:
    short = [payload for context in CONTEXTS for payload in EVERY if both_ways(context.format(payload))]

    assert len(short) > 2000


def test_texts_made_at_random_come_out_the_same() -> None:
    choose = random.Random(19)
    texts = ("".join(choose.choices(PIECES, k=choose.choice(LENGTHS))) for _ in range(6000))
    short = [text for text in texts if both_ways(text)]

    assert len(short) > 1000


def test_usual_texts_take_the_short_way() -> None:
    assert both_ways(
        "# A *b*\n\n@c **d**: https://e.fg/h?i=1&j#k `l<m>`\n\n> \"n\"\n\n1. [o](/p 'q')\n2. ![r](s.png)\n"
    )
    assert both_ways(
        "```c++\nint a;\n```\n\n| b | c |\n|:-|-:|\n| 1 | ~~2~~ |\n\n- [x] d@e.fg\n\n3) h  \ni\n\n***\n"
    )
    assert both_ways("- `a`\n" * 500)


def test_what_a_parser_would_change_takes_the_long_way() -> None:
    assert not both_ways("[<http://a.b>](/c)")  # A link within a link.
    assert not both_ways("[a](javascript:b)")
    assert not both_ways("[a](b:c)")
    assert not both_ways("[a](http://1.2.3.4.5/)")
    assert not both_ways("> " * 101 + "deep\n\n" + "a *b*\n\n" * 200)
    assert not both_ways(
        "*a *b* c*\n\n" + "*d*\n\n" * 200
    )  # Among so many tags an element within itself ends.
